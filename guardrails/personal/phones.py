"""Telephone numbers: which groups of digits are one.

Shapes of national and international numbers decide where a number is written in groups; `phonenumbers` (Google's
metadata of all numbering plans) where it is written as one.

Between the groups of a number there may be anything where they are as their country has them; without pauses, or said
digit by digit, any groups may do. "And" between numbers makes them a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate

import phonenumbers

from guardrails.personal.groups import GLUED, Group, is_amount, is_date, pauses

SHORTEST, LONGEST = 7, 15
"""Digits of a number: without an area code, and at most (ITU-T E.164)."""

_BARE_FROM = 10
_EXTENSION = 6
_TWO = 8
"""Digits of a number with an area code of two digits and one more group: with fewer it is rather an address."""
_ENDS = {4, 7}
"""Where the groups of a number of North America end, counted from behind."""
_NATIONAL = range(9, 12)
"""Digits of a number with its area code, as it is written within its country."""
_REGIONS = {
    True: ("GB", "FR", "DE", "IT", "NL", "BE", "CH", "AT", "AU", "JP", "IN", "ZA"),
    False: ("US", "IT", "ES", "IN", "MX", "BR", "PL", "FR", "GB"),
}
"""Where a number without a country's code may be from, by whether it begins with a zero."""


def find(groups: tuple[Group, ...], *, over: bool) -> Iterator[tuple[int, int]]:
    """The numbers among groups of digits.

    Args:
        groups: The groups that follow each other.
        over: Whether the run is over with the last of them; if not, only numbers that begin with the first are given,
            and only such as end before the last.

    Yields:
        The index of the first group, and one past the last.
    """
    count = len(groups)
    for first in range(count if over else 1):
        digits = 0
        for last in range(first, count if over else count - 1):
            digits += len(groups[last].digits)
            if digits > LONGEST:
                break
            if digits >= SHORTEST and _is_phone(groups, first, last + 1):
                yield first, last + 1
                extended = last + 2
                if extended <= count and _is_extension(groups[last + 1]):
                    yield first, extended


def _is_extension(group: Group) -> bool:
    return "<ext" in group.gap and len(group.digits) <= _EXTENSION


def _is_phone(groups: tuple[Group, ...], first: int, last: int) -> bool:
    inside = groups[first:last]
    if any(_parts(group.gap) for group in inside[1:]):
        return False
    digits = "".join(group.digits for group in inside)
    if _counts(digits):
        return False
    spoken = sum(group.said for group in inside)
    said = spoken * 2 >= len(digits)
    if said and _is_said(groups, first, last, digits):
        return True
    paused = any(pauses(group.gap) and not _weak(group.gap) for group in inside[1:])
    if inside[0].gap == "+" or (first and groups[first].gap.endswith("+")):
        return not paused or _is_in("ZZ", f"+{digits}")
    if paused and len(digits) not in _NATIONAL:
        return False
    if is_amount(inside) or is_amount(groups) or _is_plain(inside):
        return False
    if first and last - first < 5 and any(map(is_date, _threes(groups, first, last))):
        return False
    if (spoken or paused) and _is_clear(groups, first, last, digits):
        return True
    if said or paused:
        return False
    if len(inside) == 1:
        sized = _BARE_FROM <= len(digits) <= (_BARE_FROM + 1 if inside[0].gap == GLUED else LONGEST)
        return sized and _alone(groups, first, last) and _is_valid(digits)
    sizes = tuple(len(group.digits) for group in inside)
    if sizes == (3, 3, 4) or (sizes == (1, 3, 3, 4) and digits[0] == "1"):
        return _alone(groups, first, last) or inside[-3].digits[0] not in "01"
    if set(sizes) == {1}:
        return _alone(groups, first, last)
    if max(sizes) > 8 or len(sizes) > 6 or (1 in sizes and (sizes.count(1) > 1 or len(digits) <= SHORTEST + 1)):
        return False
    if len(sizes) == 2 and (sizes[0] > 5 or sizes[1] < 4 or len(digits) == sizes[1] + 2 < _TWO):
        return False
    if digits[0] == "0" and len(digits) in _NATIONAL and (len(sizes) > 2 or _alone(groups, first, last)):
        return True
    return _alone(groups, first, last)


def _is_clear(groups: tuple[Group, ...], first: int, last: int, digits: str) -> bool:
    """Whether groups are a number whatever stands between them: one of North America in its groups, or one that begins
    with a zero, as no number of a list does."""
    inside = groups[first:last]
    if sum("<point>" in group.gap for group in inside) == 1:
        return False
    gaps = {group.gap for group in inside[1:]}
    around = {group.gap for group in (groups[first], *groups[last : last + 1])}
    listed = not gaps.isdisjoint(around) or any("<and>" in gap for gap in around)
    numbers = _are_numbers(inside)
    values = [int(group.digits) for group in inside]
    ends = set(accumulate(len(group.digits) for group in reversed(inside)))
    national = digits[1:] if len(digits) == _BARE_FROM + 1 and digits[0] == "1" else digits
    said = any(group.said for group in inside)
    if len(national) == _BARE_FROM and (ends >= _ENDS or (said and not numbers and ends & _ENDS)):
        if numbers and (listed or all(value % 10 == 0 for value in values) or all(map(_is_time, inside))):
            return False
        return _is_in("US", national)
    if numbers or listed or digits[0] != "0" or len(digits) not in _NATIONAL:
        return False
    return gaps.isdisjoint((".", ":", "/")) and not (len(values) > 3 and values == sorted(values))


def _are_numbers(groups: tuple[Group, ...]) -> bool:
    """Whether each may be a number by itself, as in a list: none begins with a zero or was said digit by digit."""
    return any(group.said != 1 for group in groups) and all(map(_is_number, groups))


def _is_number(group: Group) -> bool:
    digits = group.digits
    if len(digits) == 1:
        return True
    if digits[0] == "0":
        return False
    short = len(digits) <= 4
    return not group.said or (short and digits[-2] == "0") or (group.compound and (short or digits.endswith("00")))


def _is_time(group: Group) -> bool:
    """Whether a time of the day was said, as in a timetable: "nine forty five"."""
    hours, minutes = divmod(int(group.digits), 100)
    return group.said > 0 and 1 <= hours <= 12 and minutes < 60 and minutes % 5 == 0


def _threes(groups: tuple[Group, ...], first: int, last: int) -> Iterator[tuple[Group, ...]]:
    """The threes that overlap with a stretch of groups."""
    for one in range(max(0, first - 2), min(last, len(groups) - 2)):
        yield groups[one : one + 3]


def _alone(groups: tuple[Group, ...], first: int, last: int) -> bool:
    """Whether what stands before and behind is set apart in another way than the groups within."""
    within = {group.gap for group in groups[first + 1 : last]}
    before = first == 0 or groups[first].gap not in within | {" ", ""}
    return before and (last == len(groups) or groups[last].gap not in within | {""})


def _parts(gap: str) -> bool:
    """Whether what stands between two groups makes them two things: an extension, the next of a list."""
    return "<ext" in gap or ("<and>" in gap and "<then>" not in gap)


def _weak(gap: str) -> bool:
    """Whether groups of one number may be written with this between them."""
    return gap.strip(" ") in ("", ".", "/", "(", ")", ") (", ")(", "<dash>", "<hyphen>", "<dot>", "<minus>", "<space>")


def _counts(digits: str) -> bool:
    """Whether somebody is counting: one, two, three, or down."""
    return any(digits in counting for counting in ("0123456789101112131415", "10987654321"))


def _is_plain(groups: tuple[Group, ...]) -> bool:
    """Whether groups are plainly something else: a date, years, a zip code, a round number, an address on a network, a
    social security number."""
    sizes = tuple(len(group.digits) for group in groups)
    gaps = {group.gap for group in groups[1:]}
    values = [int(group.digits) for group in groups]
    if any(is_date(groups[first : first + 3]) for first in range(len(groups) - 2)):
        return True
    if set(sizes) == {4} and all(1900 <= value <= 2100 for value in values):
        return True
    if len(sizes) == 2 and sizes[0] == 4 and 1900 <= values[0] <= 2100 and gaps == {" "}:
        return True
    if sizes in ((5, 4), (3, 2, 4)) and gaps == {" "}:
        return True
    if len(sizes) > 1 and sizes[0] <= 3 and set(sizes[1:]) == {3} and values[-1] == 0:
        return True
    if len(sizes) == 2 and all(value % 100 == 0 for value in values):
        return True
    return gaps == {"."} and len(sizes) == 4 and all(value <= 255 for value in values) and max(sizes) == 3


def _is_said(groups: tuple[Group, ...], first: int, last: int, digits: str) -> bool:
    inside = groups[first:last]
    if "<point>" in inside[min(1, len(inside) - 1)].gap and len(inside[0].digits) <= 3:
        return False
    if first and "<point>" in groups[first].gap:
        return False
    if any(pauses(group.gap) for group in inside[1:]) and _are_numbers(inside):
        return False
    before = first == 0 or not groups[first].said or pauses(groups[first].gap)
    behind = last == len(groups) or not groups[last].said or pauses(groups[last].gap)
    return before and behind and not (digits.endswith("000") and len(inside) == 1 and inside[0].compound)


def _is_valid(digits: str) -> bool:
    """Whether digits written as one are a number in a country that is often called."""
    regions = _REGIONS[digits.startswith("0")]
    return any(_is_in(region, digits) for region in regions) or _is_in("ZZ", f"+{digits.removeprefix('00')}")


@lru_cache(maxsize=4096)
def _is_in(region: str, digits: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False
