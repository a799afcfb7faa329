"""Says personal data as people do: digit by digit, in pairs, with "double", fillers and pauses."""

from __future__ import annotations

from random import Random

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
REPEATED = {2: "double", 3: "triple"}
SIGNS = {".": "dot", "_": "underscore", "-": "dash", "+": "plus", "@": "at"}


def digits(text: str, random: Random) -> str:
    """Digits as words. What else is in the text makes pauses.

    Args:
        text: Digits, with any characters between them.
        random: Chooses how each is said.
    """
    groups = "".join(char if char.isdigit() else " " for char in text).split()
    if len(groups) == 1:
        sizes = random.choice((3, 4, 4, len(groups[0])))
        groups = [groups[0][at : at + sizes] for at in range(0, len(groups[0]), sizes)]
    manner = random.choice((_singly, _singly, _repeating, _in_pairs))
    pause = " " if manner is _in_pairs else random.choice((" ", " ", ", ", " - ", " uh ", " dash "))
    return pause.join(manner(group, random) for group in groups)


def _unit(digit: str, random: Random) -> str:
    return random.choice(("zero", "oh")) if digit == "0" else UNITS[int(digit)]


def _singly(group: str, random: Random) -> str:
    return " ".join(_unit(digit, random) for digit in group)


def _repeating(group: str, random: Random) -> str:
    said: list[str] = []
    at = 0
    while at < len(group):
        times = next((size for size in (3, 2) if group[at : at + size] == group[at] * size), 1)
        unit = _unit(group[at], random)
        said.append(f"{REPEATED[times]} {unit}" if times > 1 else unit)
        at += times
    return " ".join(said)


def _in_pairs(group: str, random: Random) -> str:
    odd = len(group) % 2
    said = [_unit(group[0], random)] if odd else []
    for at in range(odd, len(group), 2):
        first, second = int(group[at]), int(group[at + 1])
        if first == 0:
            said.append(f"{_unit('0', random)} {_unit(group[at + 1], random)}")
        elif first == 1:
            said.append(TEENS[second])
        else:
            said.append(TENS[first - 2] + (f" {UNITS[second]}" if second else ""))
    return " ".join(said)


def email(text: str, random: Random) -> str:
    """An address as words: its signs by name, its name sometimes spelled."""
    name, domain = text.lower().split("@")
    if random.random() < 0.3:
        name = " ".join(name)
    said = "".join(f" {SIGNS[char]} " if char in SIGNS else char for char in f"{name}@{domain}")
    return " ".join(said.split())


def iban(text: str, random: Random) -> str:
    """An account's number, letter by letter, with digits as words."""
    said = [char.upper() if char.isalpha() else _unit(char, random) for char in text if char.isalnum()]
    pause = random.choice((" ", " ", ", "))
    return pause.join(" ".join(said[at : at + 4]) for at in range(0, len(said), 4))
