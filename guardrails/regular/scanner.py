"""Watches a text for regular rules."""

from __future__ import annotations

from collections.abc import Sequence

from guardrails.fold import Folded, Kind
from guardrails.regular.automaton import Automaton, State
from guardrails.scanning import NEVER, Span


class RegularScanner:
    """A `Scanner` for all rules of an automaton.

    A match may begin at every character. Of those that are in the same state only the earliest counts, since whatever
    the others will cover it covers as well: so there are never more than the automaton has states.

    Args:
        automaton: What to look for.
    """

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._starts = automaton.starts
        self.reset()

    def reset(self) -> None:
        self.open = NEVER
        self.open_rank = NEVER
        self._matches: list[tuple[int, State]] = []
        self._word = False
        self._space = False
        self._last = 0

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        if char.space:
            if self._space:
                return ()
            self._space = True
        else:
            self._space = False
        begin = self._starts[self._word]
        self._word = char.kind is Kind.WORD
        first, _ = begin.moves.get(char) or self._automaton.move(begin, char)
        if not self._matches:
            self._last = at
            if first is None:
                return ()
            self._matches = [(at, first)]
            self.open, self.open_rank = at, first.best
            return (Span(at, at + 1, first.rank),) if first.rank != NEVER else ()
        return self._go_on(at, char, first)

    def _go_on(self, at: int, char: Folded, first: State | None) -> list[Span]:
        spans: list[Span] = []
        matches: list[tuple[int, State]] = []
        met: set[State] = set()
        for start, state in self._matches:
            following, before = state.moves.get(char) or self._automaton.move(state, char)
            if before != NEVER:
                spans.append(Span(start, self._last + 1, before))
            if following is not None and following not in met:
                met.add(following)
                matches.append((start, following))
                if following.rank != NEVER:
                    spans.append(Span(start, at + 1, following.rank))
        if first is not None and first not in met:
            matches.append((at, first))
            if first.rank != NEVER:
                spans.append(Span(at, at + 1, first.rank))
        self._matches = matches
        self._last = at
        self.open = matches[0][0] if matches else NEVER
        self.open_rank = min((state.best for _, state in matches), default=NEVER)
        return spans

    def finish(self) -> Sequence[Span]:
        spans = [
            Span(start, self._last + 1, rank)
            for start, state in self._matches
            if (rank := self._automaton.ends(state)) != NEVER
        ]
        self.reset()
        return spans
