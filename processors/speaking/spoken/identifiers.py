"""Numbers that name something instead of counting it, whose digits are read one by one."""

import re

from processors.speaking.spoken.counting import amount, by_threes, digit_by_digit
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_TABLE = TABLES.identifiers
_DIGIT_GROUPS = re.compile(
    r"(?<![\w.$€£,/-])(?:"
    r"(?:\+?1[ .-]?)?(?:\(\d{3}\)[ .-]?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # North American telephone
    r"|\d{3}-\d{4}|\d{3}-\d{2}-\d{4}"  # local telephone, social security
    r"|\+\d{1,3}(?:[ .-]?\(?\d{2,5}\)?){2,5}"  # international telephone
    r"|0\d{1,4}[ -]\d{3,4}(?:[ -]?\d{3,4}){0,2}"  # national telephone
    r"|\d{4}(?:[ -]\d{4}){2,3}"  # card
    r")(?![\w%]|[.,-]\d)"
)


def digit_groups(text: str) -> list[tuple[int, int]]:
    """Where the telephone and card numbers of a text begin and end: they may hold spaces."""
    return [match.span() for match in _DIGIT_GROUPS.finditer(text)]


def say_digit_group(text: str) -> str:
    """Say a word that belongs to a telephone or card number."""
    groups = re.findall(r"\d+", text)
    said = ", ".join("eight hundred" if group == "800" else digit_by_digit(group) for group in groups)
    return f"plus {said}" if text.startswith("+") else said


def identifier(core: str, word: Word) -> str | None:
    """ "order 12345", "#007", "CA 94103"."""
    if re.fullmatch(r"\d+(?:-\d+)+", core) and identified(word):
        return ", ".join(digit_by_digit(part) for part in core.split("-"))
    match = re.fullmatch(r"#?(\d+)", core)
    if match is None:
        return None
    digits = match[1]
    state = word.before is not None and bool(re.fullmatch(r"[A-Z]{2}", word.before.core)) and len(digits) == 5
    zeros = len(digits) > 1 and digits.startswith("0")
    if not (zeros or len(digits) > 9 or state or (len(digits) >= 3 and (in_a_place(word) or identified(word)))):
        return None
    return ("number " if core.startswith("#") else "") + by_threes(digits)


def version(core: str, word: Word) -> str | None:
    """ "v1.2", "2.10.3", "192.168.0.1"."""
    match = re.fullmatch(r"([vV]?)(\d+(?:\.\d+)+)", core)
    if match is None or (not match[1] and match[2].count(".") < 2):
        return None
    parts = match[2].split(".")
    between = " dot " if len(parts) > 3 else " point "
    said = between.join(
        digit_by_digit(part) if len(part) > 2 or part.startswith("0") else amount(part) for part in parts
    )
    return f"version {said}" if match[1] else said


def identified(word: Word) -> bool:
    """Whether the words before say that a number names something: "order 12345", "your code is 4821"."""
    other = word.before
    for _ in range(3):
        if other is None or other.closing.strip(":#)"):
            return False
        if other.key in _TABLE.named_by:
            return True
        if other.key not in _TABLE.between:
            return False
        other = other.before
    return False


def in_a_place(word: Word) -> bool:
    """Whether the word before says that a number names a place: "room 101"."""
    return word.before is not None and word.before.key in _TABLE.places
