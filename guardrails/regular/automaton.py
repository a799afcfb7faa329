"""Many regular rules as one automaton whose states are made when they are first met."""

from __future__ import annotations

from collections.abc import Iterable

from guardrails.fold import Folded, Kind, fold
from guardrails.regular.nfa import Nfa
from guardrails.regular.tree import Node
from guardrails.scanning import NEVER

MOST_STATES = 20_000
"""Kept at a time; what is more is made anew when it is met again."""

ORDINARY = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'’\"“”-–—()…$€£%&/@*\n"


class State:
    """Where a match is.

    Attributes:
        nodes: All places of the rules that it is at.
        moved: Those that the last character led to; at the others it has stayed.
        word: Whether the last character was of a word.
        rank: The strongest rule that has matched when this state is entered; `NEVER` if none has.
        best: The strongest rule that may still match.
        moves: For each character met here so far, the state that follows, or None if nothing can match any more, and
            the strongest rule that had matched before the character.
    """

    __slots__ = ("best", "moved", "moves", "nodes", "rank", "word")

    def __init__(self, nodes: frozenset[int], moved: frozenset[int], word: bool, rank: int, best: int) -> None:
        self.nodes = nodes
        self.moved = moved
        self.word = word
        self.rank = rank
        self.best = best
        self.moves: dict[Folded, tuple[State | None, int]] = {}


class Automaton:
    """Shared by all who scan for the same rules.

    Args:
        rules: Trees, and the rank of each.

    Raises:
        TooLargeError: If a rule takes too many states.
    """

    def __init__(self, rules: Iterable[tuple[Node, int]]) -> None:
        self._nfa = Nfa()
        for tree, rank in rules:
            self._nfa.add(tree, rank)
        self._states: dict[tuple[frozenset[int], frozenset[int], bool], State] = {}
        start = frozenset([self._nfa.start])
        self.starts = {word: State(start, frozenset(), word, NEVER, NEVER) for word in (False, True)}
        for char in {fold(char) for char in ORDINARY} - {fold("*")}:
            for state in self.starts.values():
                self.move(state, char)

    def move(self, state: State, char: Folded) -> tuple[State | None, int]:
        """Where a character leads: kept in the state's `moves`."""
        word = char.kind is Kind.WORD
        edge = state.word != word
        nodes = self._nfa.reach(state.nodes, edge)
        begun = state not in self.starts.values()
        moved = self._nfa.move(nodes, char)
        # What may stand for nothing leaves a match where it is, but is no part of one that ends there.
        stayed = self._nfa.waiting(nodes) if begun and "" in char.bases else set()
        before = self._nfa.accepted(self._nfa.reach(state.moved, edge))
        state.moves[char] = made = (self._state(moved, stayed, word), before)
        return made

    def ends(self, state: State) -> int:
        """The strongest rule that has matched if the text ends here."""
        return self._nfa.accepted(self._nfa.reach(state.moved, state.word))

    def _state(self, moved: set[int], stayed: set[int], word: bool) -> State | None:
        nodes = frozenset(moved | stayed)
        if not nodes:
            return None
        key = (nodes, frozenset(moved), word)
        if key not in self._states:
            if len(self._states) >= MOST_STATES:
                self._states.clear()
                for start in self.starts.values():
                    start.moves.clear()
            rank = self._nfa.accepted(self._nfa.reach(moved))
            self._states[key] = State(nodes, key[1], word, rank, self._nfa.rank(nodes))
        return self._states[key]
