"""Social security numbers of the United States: nine digits of which area, group and serial may have been given out.

Source: the Social Security Administration's rules since 2011: no area 000, 666 or 900 to 999, no group 00, no serial
0000.
"""

from __future__ import annotations

from guardrails.personal.groups import Group, is_amount, is_date

LENGTH = 9
SIZES = (3, 2, 4)
_WRITTEN = ((LENGTH,), SIZES, (3, 6))
"""In groups of these sizes a number is written; others are of telephones, zip codes or addresses on a network."""


def may_begin(digits: str) -> bool:
    """Whether a number may begin with these digits, or be them."""
    return (
        len(digits) <= LENGTH
        and not digits.startswith("9")
        and digits[:3] not in ("000", "666")
        and digits[3:5] != "00"
        and digits[5:9] != "0000"
    )


def is_grouped(groups: tuple[Group, ...]) -> bool:
    """Whether these are three groups of three, two and four digits that are a number."""
    sizes = tuple(len(group.digits) for group in groups)
    return sizes == SIZES and may_begin("".join(group.digits for group in groups))


def is_whole(groups: tuple[Group, ...]) -> bool:
    """Whether all digits of a run are a number: said in any way, or written in usual groups or as single digits."""
    digits = "".join(group.digits for group in groups)
    if len(digits) != LENGTH or not may_begin(digits):
        return False
    sizes = tuple(len(group.digits) for group in groups)
    if not any(group.said for group in groups) and min(sizes) > 1 and sizes not in _WRITTEN:
        return False
    return not is_amount(groups) and not any(is_date(groups[first : first + 3]) for first in range(len(groups) - 2))


def undecided(groups: tuple[Group, ...], *, whole: bool) -> int | None:
    """The index of the first group that a number may yet begin with; None if there is none."""
    if whole and may_begin("".join(group.digits for group in groups)):
        return 0
    for first in range(max(0, len(groups) - 3), len(groups)):
        sizes = tuple(len(group.digits) for group in groups[first:])
        digits = "".join(group.digits for group in groups[first:])
        if sizes[:-1] == SIZES[: len(sizes) - 1] and sizes[-1] <= SIZES[len(sizes) - 1] and may_begin(digits):
            return first
    return None
