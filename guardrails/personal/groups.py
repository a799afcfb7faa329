"""Groups of digits, as they were written or said, and what of them is plainly no personal number."""

from __future__ import annotations

from typing import NamedTuple

GLUED = "a"


class Group(NamedTuple):
    """Digits with nothing between them, or said one after the other without a pause.

    Args:
        digits: Their values.
        start: Number of the first character.
        end: Number of the character after the last.
        gap: What stands between this group and the one before: characters, folded, and fillers as "<and>". Before the
            first group of a run, "+" or "$" if that stands in front of it, and `GLUED` if a letter does.
        said: How many of its digits were said as words.
        compound: Whether words for more than one digit were among them, such as "forty".
    """

    digits: str
    start: int
    end: int
    gap: str
    said: int
    compound: bool


def pauses(gap: str) -> bool:
    """Whether there is more than white space and dashes in a gap."""
    return bool(gap.strip(" "))


def is_amount(groups: tuple[Group, ...]) -> bool:
    """Whether these are an amount: thousands with a comma between them, decimals, or a currency in front."""
    if any(group.said for group in groups):
        return False
    gaps = [group.gap for group in groups[1:]]
    sizes = [len(group.digits) for group in groups]
    if groups[0].gap == "$":
        return True
    if len(groups) == 2 and gaps[0] in (".", ",") and sizes[0] <= 3:
        return True
    mark, point = gaps[0] if gaps else "", gaps[-1] if gaps else ""
    whole, cents = (sizes[1:-1], sizes[-1]) if point != mark else (sizes[1:], 0)
    if (mark, point) not in ((",", ","), (",", "."), (".", ",")) or set(gaps[: len(whole)]) > {mark}:
        return False
    return sizes[0] <= 3 and bool(whole) and set(whole) == {3} and cents <= 2


def is_date(groups: tuple[Group, ...]) -> bool:
    """Whether three groups are a date in figures: a year, a month and a day in any usual order."""
    if len(groups) != 3 or any(group.said for group in groups):
        return False
    if groups[1].gap != groups[2].gap or groups[1].gap not in (" ", "/", "."):
        return False
    first, second, third = (int(group.digits) if len(group.digits) <= 4 else 0 for group in groups)
    sizes = tuple(len(group.digits) for group in groups)
    if sizes[0] == 4 and max(sizes[1:]) <= 2:
        return 1800 <= first <= 2200 and 1 <= second <= 12 and 1 <= third <= 31
    if max(sizes[:2]) <= 2 and sizes[2] in (2, 4):
        return (1 <= first <= 12 and 1 <= second <= 31) or (1 <= second <= 12 and 1 <= first <= 31)
    return False
