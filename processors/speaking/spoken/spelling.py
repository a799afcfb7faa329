"""What is said letter by letter, alone or among digits."""

import re

from processors.speaking.spoken.counting import amount, by_threes
from processors.speaking.spoken.words import Word


def letters(text: str) -> str:
    """ "pm" is "P.M"."""
    return ".".join(text.upper())


def spelled(core: str, word: Word) -> str | None:
    """ "U.S", "U.S's"."""
    match = re.fullmatch(r"((?:[A-Za-z]\.)+[A-Za-z])('s)?", core)
    return letters(match[1].replace(".", "")) + (match[2] or "") if match else None


def letters_and_digits(core: str, word: Word) -> str | None:
    """ "MP3", "CO2", "204B", "AB1234", "v2", "iPhone15"."""
    if not re.search(r"\d", core):
        return None
    if match := re.fullmatch(r"[vV](\d+)", core):
        return f"version {amount(match[1])}"
    return " ".join(_part(part) for part in re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\+", core))


def suffixed(core: str, word: Word) -> str | None:
    """ "C++", "C#", "A+", "F#"."""
    match = re.fullmatch(r"([A-Za-z]+)(\++|#)", core)
    if match is None:
        return None
    sign = "sharp" if match[2] == "#" else " ".join("plus" for _ in match[2])
    return f"{match[1]} {sign}"


def _part(part: str) -> str:
    if part == "+":
        return "plus"
    if part.count(".") > 1:
        return " dot ".join(amount(number) for number in part.split("."))
    if part[0].isdecimal():
        long = part.isdecimal() and (len(part) > 2 or part.startswith("0"))
        return by_threes(part) if long else amount(part)
    return letters(part) if part.isupper() and len(part) <= 3 else part
