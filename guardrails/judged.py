"""Rules whose verdict is a classifier's: asked at the end of every clause, about the sentence as far as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guardrails.fold import Folded
from guardrails.scanning import NEVER, Span

CLAUSE_ENDS = ".?!…,;:"
SENTENCE_ENDS = ".?!…"
LONGEST_CLAUSE = 120
LONGEST_SENTENCE = 400
"""Characters; a longer sentence is judged by its end."""

Score = Callable[[str], float]
"""How sure a classifier is, from 0 to 1, that a text is what the rule forbids. Raises where it cannot say."""


class JudgedScanner:
    """A `Scanner` that covers the clause with which a sentence becomes what a classifier knows.

    The classifier is called while the scanner is stepped, and takes as long as it takes: feed the guard in a thread.
    What it is given is folded, so that no look-alike deceives it.

    Args:
        score: The classifier.
        threshold: How sure it must be.
        rank: The rule's.
    """

    def __init__(self, score: Score, threshold: float, rank: int) -> None:
        self._score = score
        self._threshold = threshold
        self._rank = rank
        self.reset()

    def reset(self) -> None:
        self.open = NEVER
        self.open_rank = NEVER
        self._sentence = ""
        self._clause = 0
        self._last = 0

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        base = char.bases[0]
        self._last = at
        if self.open == NEVER:
            if base == " ":
                self._sentence += base
                return ()
            self.open, self.open_rank, self._clause = at, self._rank, 0
        self._sentence += base
        self._clause += 1
        if base in CLAUSE_ENDS or (self._clause >= LONGEST_CLAUSE and base == " "):
            return self._judge(ends=base in SENTENCE_ENDS)
        return ()

    def finish(self) -> Sequence[Span]:
        spans = self._judge(ends=True) if self.open != NEVER else ()
        self.reset()
        return spans

    def _judge(self, *, ends: bool) -> Sequence[Span]:
        start, self.open, self.open_rank = self.open, NEVER, NEVER
        sentence = self._sentence.strip()[-LONGEST_SENTENCE:]
        self._sentence = "" if ends else sentence
        if not any(char.isalnum() for char in sentence) or self._score(sentence) < self._threshold:
            return ()
        return (Span(start, self._last + 1, self._rank),)
