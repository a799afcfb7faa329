"""Rules that hold only where certain words do not come before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrails.fold import Folded, Kind
from guardrails.regular.automaton import Automaton, State
from guardrails.regular.scanner import RegularScanner
from guardrails.regular.words import words
from guardrails.scanning import NEVER, Span

WORDS_BEFORE = 3
"""Among so many words before a match, and in the same clause, one that exempts it is looked for."""

LONGEST = 24
"""Characters of a word that are compared."""


class UnlessAfterScanner(RegularScanner):
    """A `RegularScanner` in which no match begins shortly after certain words.

    Args:
        automaton: What to look for. Its matches begin where words begin.
        unless_after: The words. They exempt what follows in their clause: a comma, a full stop or the like ends that.
    """

    def __init__(self, automaton: Automaton, unless_after: Iterable[str]) -> None:
        self._exempting = {"".join(words(word)) for word in unless_after}
        self._shut = {word: State(frozenset(), frozenset(), word, NEVER, NEVER) for word in (False, True)}
        super().__init__(automaton)

    def reset(self) -> None:
        super().reset()
        self._spelled = ""
        self._since = WORDS_BEFORE
        self._starts = self._automaton.starts

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        if char.kind is Kind.WORD:
            if not self._spelled:
                self._starts = self._shut if self._since < WORDS_BEFORE else self._automaton.starts
            if len(self._spelled) <= LONGEST:
                self._spelled += char.bases[0]
        elif "" not in char.bases or char.space:
            self._end_word()
            if not char.space:
                self._since = WORDS_BEFORE
        elif char.bases[0] == ".":
            self._end_word()
            self._since = WORDS_BEFORE
        return super().step(at, char)

    def _end_word(self) -> None:
        if self._spelled:
            self._since = 0 if self._spelled in self._exempting else self._since + 1
            self._spelled = ""
