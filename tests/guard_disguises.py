"""Numbers and addresses in disguise: in other scripts, in words, apart, with what cannot be seen in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from tests.guard_oracle import is_iban, is_ssn, luhn

DIGITS = "0123456789"
ONES = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
FILLERS = ("and", "uh", "um", "then", "er")
SEPARATORS = (" ", "-", " - ", ", ", ". ", " / ", "… ", "\n", "  ", " 😀 ", ": ", " – ")
UNSEEN = "\u200b\u00ad\u2060\u202e\u0301*"
LOOKALIKES = {"o": "о", "e": "е", "a": "а", "i": "і", "s": "ѕ", "c": "с", "p": "р"}
SCRIPTS = (
    DIGITS,
    "０１２３４５６７８９",
    "٠١٢٣٤٥٦٧٨٩",
    "०१२३४५६७८९",
    "⓪①②③④⑤⑥⑦⑧⑨",
    "⁰¹²³⁴⁵⁶⁷⁸⁹",
    "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
    "〇一二三四五六七八九",
)
TELL = re.compile(rf"\d|\b(?:{'|'.join([*ONES, *TEENS, *TENS])}|double|triple|oh)\b")
"""Any part of a number, in a folded text."""


def card(random: Random) -> str:
    """A card's number."""
    begins, length = random.choice(
        [("4", 16), ("4", 13), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("36", 14), ("3530", 16)]
    )
    digits = begins + "".join(random.choices(DIGITS, k=length - 1 - len(begins)))
    return digits + next(last for last in DIGITS if luhn(digits + last))


def ssn(random: Random) -> str:
    """A social security number."""
    while True:
        digits = "".join(random.choices(DIGITS, k=9))
        if is_ssn(digits):
            return digits


def iban(random: Random) -> str:
    """A German account's number."""
    account = "".join(random.choices(DIGITS, k=18))
    return next(number for check in range(2, 99) if is_iban(number := f"DE{check:02}{account}", 22))


def address(random: Random) -> str:
    """An e-mail address, as words and signs with spaces between."""
    names = random.sample("jane doe smith lee maria kim".split(), random.randint(1, 2))
    hosts = random.sample("gmail example outlook mail".split(), random.randint(1, 2))
    local = f" {random.choice(('.', '_', '-'))} ".join(names)
    return f"{local} @ {' . '.join(hosts)} . {random.choice(('com', 'org', 'net', 'co . uk'))}"


def digits_in_disguise(digits: str, random: Random, *, longest: int = 4) -> str:
    """Digits, each written or said in another way.

    Args:
        digits: The digits.
        random: What chooses.
        longest: How many that are written stand together at most.
    """
    parts, at = [], 0
    while at < len(digits):
        part, length = _part(digits[at:], random, longest)
        parts.append(part)
        at += length
    return _joined(parts, random)


def _part(digits: str, random: Random, longest: int) -> tuple[str, int]:
    first, way = digits[0], random.random()
    for count, word in ((3, "triple"), (2, "double")):
        if way < 0.25 and digits[:count] == first * count:
            return f"{word} {word_in_disguise(ONES[int(first)], random)}", count
    if way < 0.35 and first == "1" and len(digits) > 1:
        return word_in_disguise(TEENS[int(digits[1])], random), 2
    if way < 0.45 and first > "1" and digits[1:2] > "0":
        ten, one = word_in_disguise(TENS[int(first) - 2], random), word_in_disguise(ONES[int(digits[1])], random)
        return f"{ten}{random.choice(' -')}{one}", 2
    if way < 0.7:
        return word_in_disguise("oh" if first == "0" and way < 0.55 else ONES[int(first)], random), 1
    count = random.randint(1, longest)
    return "".join(_digit(digit, random) for digit in digits[:count]), min(count, len(digits))


def _digit(digit: str, random: Random) -> str:
    if random.random() < 0.05:
        return f"{digit}\ufe0f\u20e3"
    return random.choice((*SCRIPTS, DIGITS, DIGITS, DIGITS))[int(digit)]


def word_in_disguise(word: str, random: Random) -> str:
    """A word in capitals, in other letters, or with something in it that cannot be seen."""
    ways: Sequence[Callable[[str], str]] = (
        str.upper,
        str.title,
        lambda word: "".join(LOOKALIKES.get(char, char) for char in word),
        lambda word: "".join(chr(ord(char) + 0xFEE0) for char in word),
    )
    if random.random() < 0.35:
        word = random.choice(ways)(word)
    if random.random() < 0.15:
        place = random.randint(1, max(1, len(word) - 1))
        word = word[:place] + random.choice(UNSEEN) + word[place:]
    return word


def _joined(parts: Sequence[str], random: Random) -> str:
    joined = parts[0]
    for part in parts[1:]:
        separator = random.choice((*SEPARATORS, *[" "] * 8))
        if random.random() < 0.12:
            separator = f"{random.choice((' ', ', '))}{random.choice(FILLERS)}{random.choice((' ', ', '))}"
        joined += separator + part
    return joined


def iban_in_disguise(number: str, random: Random) -> str:
    """An account's number: its letters together or apart, its digits in disguise."""
    letters = random.choice((number[:2], number[:2].lower(), f"{number[0]} {number[1]}", f"{number[0]}.{number[1]}."))
    return f"{letters}{random.choice((' ', '-', ', '))}{digits_in_disguise(number[2:], random)}"


def address_in_disguise(words: str, random: Random) -> str:
    """An address: its signs written or said, its words in disguise."""
    said = {
        "@": ("@", " @ ", " at ", " AT ", " at sign ", "＠", " (at) "),
        ".": (".", " . ", " dot ", " DOT ", "．", " (dot) "),
        "_": ("_", " underscore "),
        "-": ("-", " dash "),
    }
    return "".join(
        random.choice(said[word]) if word in said else word_in_disguise(word, random) for word in words.split()
    )
