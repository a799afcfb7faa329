"""Where sentences end, one character at a time."""

from __future__ import annotations

from guardrails.scanning import NEVER

ENDS = ".?!…。！？"
CLOSERS = "\"'”’)]»"
LONGEST = 300
"""A sentence that is longer ends there, or there would be no end to waiting for it."""


class Sentences:
    """Follows a text. A sentence goes from its first character to its full stop and the quotes that close after it; the
    white space between two belongs to none. A line's end ends it too.

    Attributes:
        start: The number of the first character of the sentence under way; `NEVER` between two.
    """

    def __init__(self) -> None:
        self.start = NEVER
        self._last = 0
        self._stopped = False

    def step(self, at: int, char: str) -> tuple[int, int] | None:
        """The sentence that ends before this character: its first character, and the one after its last.

        Args:
            at: The character's number.
            char: The character itself.
        """
        ended = None
        if self.start != NEVER:
            over = char in "\n\r" or (self._stopped and char.isspace()) or at - self.start >= LONGEST
            if over:
                ended = self.finish()
        if not char.isspace():
            if self.start == NEVER:
                self.start = at
            self._last = at
            self._stopped = char in ENDS or (self._stopped and char in CLOSERS)
        return ended

    def finish(self) -> tuple[int, int] | None:
        """The sentence that is under way at the end of the text."""
        if self.start == NEVER:
            return None
        ended = (self.start, self._last + 1)
        self.start = NEVER
        self._stopped = False
        return ended


def under_way(text: str) -> str:
    """The end of a text that is the beginning of a sentence; "" if its last sentence is whole."""
    sentences = Sentences()
    for at, char in enumerate(text):
        sentences.step(at, char)
    sentences.step(len(text), " ")
    return "" if sentences.start == NEVER else text[sentences.start :]
