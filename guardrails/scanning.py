"""What watches a text for a rule: steps over characters, reports what is covered and what is undecided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from guardrails.fold import Folded, Kind, fold

NEVER = 1 << 62
"""Later than any character, weaker than any rule."""

GAP_LIMIT = 12
"""Between two characters of words there are at most so many of others, white space and punctuation; and after each
character at most so many that cannot be seen. `guardrails.stream` drops what is more, from the output as well."""


class Span(NamedTuple):
    """A stretch of the text that a rule covers.

    Args:
        start: Number of its first character.
        end: Number of the character after its last.
        rank: Which rule: the lower, the stronger.
    """

    start: int
    end: int
    rank: int


class Scanner(Protocol):
    """Watches a text for one or more rules, one original character at a time.

    How the text was split cannot matter to it, as it never sees more than a character.

    Attributes:
        open: The earliest character that an undecided candidate would cover; `NEVER` if there is none. No span that
            begins before it is reported later, except one that continues a span already reported.
        open_rank: The strongest rank that an undecided candidate may have; `NEVER` if there is none.
    """

    open: int
    open_rank: int

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        """What the next character decides.

        Args:
            at: Its number: more than that of the character before, by more than one where some were invisible.
            char: What it counts as; never `Kind.IGNORED`.
        """

    def finish(self) -> Sequence[Span]:
        """What the end of the text decides. Afterwards the scanner is as new."""

    def reset(self) -> None:
        """Forget the text."""


def scan(scanner: Scanner, text: str) -> list[Span]:
    """All that a scanner finds in a whole text, by the numbers of its characters. Afterwards the scanner is as new."""
    spans: list[Span] = []
    for at, char in enumerate(map(fold, text)):
        if char.kind is not Kind.IGNORED:
            spans += scanner.step(at, char)
    return [*spans, *scanner.finish()]
