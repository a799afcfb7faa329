"""Social security numbers of the United States: nine digits of which area, group and serial may have been given out.

Source: the Social Security Administration's rules since 2011: no area 000, 666 or 900 to 999, no group 00, no serial
0000.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrails.personal.groups import Group, is_amount, is_date

LENGTH = 9
SIZES = (3, 2, 4)


def may_begin(digits: str) -> bool:
    """Whether a number may begin with these digits, or be them."""
    return (
        len(digits) <= LENGTH
        and not digits.startswith("9")
        and digits[:3] not in ("000", "666")
        and digits[3:5] != "00"
        and digits[5:9] != "0000"
    )


def find(groups: tuple[Group, ...], *, whole: bool, over: bool) -> Iterator[tuple[int, int]]:
    """The numbers among groups of digits.

    Args:
        groups: The groups that follow each other.
        whole: Whether the first is the first of the run.
        over: Whether the run is over with the last of them; if not, only numbers that begin with the first are given.

    Yields:
        The index of the first group, and one past the last.
    """
    digits = "".join(group.digits for group in groups)
    if over and whole and len(digits) == LENGTH and may_begin(digits):
        figures = [groups[first : first + 3] for first in range(len(groups) - 2)]
        if not is_amount(groups) and not any(map(is_date, figures)):
            yield 0, len(groups)
    for first in range(len(groups) - 2 if over else min(1, len(groups) - 2)):
        three = groups[first : first + 3]
        if tuple(len(group.digits) for group in three) == SIZES and may_begin("".join(one.digits for one in three)):
            yield first, first + 3


def undecided(groups: tuple[Group, ...], *, whole: bool) -> int | None:
    """The index of the first group that a number may yet begin with; None if there is none."""
    if whole and sum(len(group.digits) for group in groups) <= LENGTH:
        if may_begin("".join(group.digits for group in groups)):
            return 0
    for first in range(max(0, len(groups) - 3), len(groups)):
        sizes = tuple(len(group.digits) for group in groups[first:])
        digits = "".join(group.digits for group in groups[first:])
        if sizes[:-1] == SIZES[: len(sizes) - 1] and sizes[-1] <= SIZES[len(sizes) - 1] and may_begin(digits):
            return first
    return None
