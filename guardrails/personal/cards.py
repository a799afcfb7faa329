"""Payment cards: which digits begin one, how many it has, and the check digit.

Sources: the issuers' published ranges (ISO/IEC 7812), and Luhn's formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

_RANGES = (
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "649", (16, 19)),
    ("65", "65", (16, 19)),
    ("300", "305", (14, 16, 19)),  # Diners Club
    ("3095", "3095", (14, 16, 19)),
    ("36", "36", (14, 16, 19)),
    ("38", "39", (14, 16, 19)),
    ("35", "35", (16, 17, 18, 19)),  # JCB: 3528 to 3589, and nobody else in between
    ("2131", "2131", (15,)),
    ("1800", "1800", (15,)),
    *(
        (prefix, prefix, tuple(range(12, 20)))  # Maestro
        for prefix in ("0604", "50", "56", "57", "58", "6304", "6390", "67")
    ),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
)

LENGTHS: dict[str, tuple[int, ...]] = {
    str(number).zfill(len(first)): lengths
    for first, last, lengths in _RANGES
    for number in range(int(first), int(last) + 1)
}
"""How many digits a card may have that begins so."""

LONGEST = 19
_PREFIX = max(map(len, LENGTHS))
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str) -> bool:
    """Whether these digits are a card's number: prefix, length and check digit."""
    fits = any(digits.startswith(prefix) and len(digits) in lengths for prefix, lengths in LENGTHS.items())
    return fits and luhn(digits)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before."""
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[0::2] + [_DOUBLED[value] for value in values[1::2]]) % 10 == 0


class Card:
    """What is known of a card's digits so far. There is one object for each such state.

    Args:
        length: How many digits there are.
        plain: Luhn's sum of them if the last is not doubled.
        doubled: Luhn's sum if it is.
        known: The digits themselves while the issuer is open, and otherwise how many there may be.

    Attributes:
        valid: Whether they are a card's number.
        alive: Whether more digits may make them one.
    """

    __slots__ = ("_known", "_sums", "alive", "length", "moves", "valid")

    def __init__(self, length: int, plain: int, doubled: int, known: str | tuple[int, ...]) -> None:
        lengths = tuple(_lengths(known)) if isinstance(known, str) else known
        longer = isinstance(known, str) and any(prefix.startswith(known) for prefix in LENGTHS)
        self.length = length
        self.valid = plain == 0 and length in lengths
        self.alive = longer or any(length < most for most in lengths)
        self.moves: list[Card | None] = [None] * 10
        self._known = known
        self._sums = plain, doubled

    def after(self, digit: int) -> Card:
        """The state with one more digit."""
        state = self.moves[digit]
        if state is None:
            plain, doubled = self._sums
            state = self.moves[digit] = _card(
                self.length + 1, (doubled + digit) % 10, (plain + _DOUBLED[digit]) % 10, self._known_with(digit)
            )
        return state

    def _known_with(self, digit: int) -> str | tuple[int, ...]:
        if not isinstance(self._known, str):
            return self._known
        known = f"{self._known}{digit}"
        if len(known) < _PREFIX and any(prefix != known and prefix.startswith(known) for prefix in LENGTHS):
            return known
        return tuple(sorted(set(_lengths(known))))


def _lengths(digits: str) -> Iterator[int]:
    for size in range(1, len(digits) + 1):
        yield from LENGTHS.get(digits[:size], ())


@cache
def _card(length: int, plain: int, doubled: int, known: str | tuple[int, ...]) -> Card:
    return Card(length, plain, doubled, known)


NO_DIGITS = Card(0, 0, 0, "")
BEGINNINGS = frozenset(prefix[0] for prefix in LENGTHS)
"""The digits that a card may begin with."""
