"""Ordinals, fractions and Roman numerals."""

import re

from processors.speaking.spoken.counting import cardinal, ordinal
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_TABLE = TABLES.numerals
_ONE_CHARACTER = re.compile(rf"(\d*)([{''.join(_TABLE.fractions)}])")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50}


def ordinal_number(core: str, word: Word) -> str | None:
    """ "21st"."""
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)", core, re.IGNORECASE)
    return ordinal(int(match[1].replace(",", ""))) if match and len(match[1]) < 16 else None


def fraction(core: str, word: Word) -> str | None:
    """ "2½", "3/4", "8/10", "24/7"."""
    if match := _ONE_CHARACTER.fullmatch(core):
        said = _parts(*_TABLE.fractions[match[2]])
        if not match[1]:
            return said
        said = {"one half": "a half", "one quarter": "a quarter"}.get(said, said)
        return f"{cardinal(int(match[1]))} and {said}"
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", core)
    if match is None:
        return None
    part, whole = int(match[1]), int(match[2])
    if 0 < part < whole < 10 or (part, whole) == (1, 10):
        said = _parts(part, whole)
        mixed = word.before is not None and word.before.core.isdecimal() and not word.before.closing
        return f"and {said.replace('one half', 'a half')}" if mixed else said
    if f"{part}/{whole}" in _TABLE.two_numbers:
        return f"{cardinal(part)} {cardinal(whole)}"
    return f"{cardinal(part)} {'out of' if whole in _TABLE.out_of else 'slash'} {cardinal(whole)}"


def roman(core: str, word: Word) -> str | None:
    """ "Henry VIII", "World War II"."""
    if word.before is None or not re.fullmatch(r"(?=[IVXLC])L?X{0,3}(?:IX|IV|V?I{0,3})", core):
        return None
    values = [_ROMAN_DIGITS[letter] for letter in core]
    number = sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
    if word.before.key in _TABLE.monarchs and word.before.capital and (number > 1 or core != "I"):
        return f"the {ordinal(number)}"
    counted = word.before.key in _TABLE.counted and (core != "I" or word.closing)
    return cardinal(number) if counted else None


def _parts(part: int, whole: int) -> str:
    """3 and 4 is "three quarters"."""
    name = _TABLE.parts[whole]
    return f"{'one' if part == 1 else cardinal(part)} {name if part == 1 else name + 's'}"
