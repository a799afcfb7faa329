"""Four ways to guard a text that comes in pieces: ours, and the three that are in use, rebuilt around our own matcher.

All four look for the same things in the same way, so what they differ in is only when they look and what they let out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from guardrails.check import check
from guardrails.policy import Policy
from guardrails.stream import StreamGuard

TAIL = 20
"""Characters of what went before that a design with a carried-over tail looks at again."""

DEBOUNCE = 100
"""Characters between two checks of a debounced design: as many as OpenAI's realtime guard lets pass."""

Design = Callable[[Policy, Iterable[str]], str]
"""From a policy and the pieces of an answer to what was said."""


def ours(policy: Policy, pieces: Iterable[str]) -> str:
    """Holds back what a continuation could forbid."""
    guard = StreamGuard(policy)
    return "".join(map(guard.feed, pieces)) + guard.finish()


def per_piece(policy: Policy, pieces: Iterable[str]) -> str:
    """Checks every piece by itself."""
    return "".join(check(policy, piece, direction="said").text for piece in pieces)


def with_tail(policy: Policy, pieces: Iterable[str]) -> str:
    """Checks every piece together with the end of what went before, which has been said already."""
    said, tail = "", ""
    for piece in pieces:
        covered = _covered(policy, tail + piece)
        said += "".join(char for at, char in enumerate(piece, len(tail)) if at not in covered)
        tail = (tail + piece)[-TAIL:]
    return said


def debounced(policy: Policy, pieces: Iterable[str]) -> str:
    """Lets everything out at once, checks all of it every so many characters, and stops when it finds something."""
    said, checked = "", 0
    for piece in pieces:
        said += piece
        if len(said) - checked >= DEBOUNCE:
            checked = len(said)
            if _covered(policy, said):
                break
    return said


def _covered(policy: Policy, text: str) -> set[int]:
    decisions = check(policy, text, direction="said").decisions
    return {at for decision in decisions for at in range(decision.start, decision.end)}


DESIGNS: dict[str, Design] = {
    "Antiphon": ours,
    "every piece by itself": per_piece,
    f"with a tail of {TAIL} characters": with_tail,
    f"every {DEBOUNCE} characters": debounced,
}
"""Every design, by what it does."""
