"""Trees as an automaton, and how long it may leave a text undecided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from guardrails.fold import Folded, Kind
from guardrails.regular.tree import Boundary, Chars, Choice, Gap, Node, Repeat, Row
from guardrails.scanning import GAP_LIMIT, NEVER

MOST_NODES = 20_000
"""Of one rule."""


class TooLargeError(ValueError):
    """A rule that would take too many states."""


class Nfa:
    """Nodes with edges: on a base character, on a gap, at a word's edge, or on nothing."""

    def __init__(self) -> None:
        self.on_char: list[dict[str, list[int]]] = []
        self.on_class: list[list[tuple[Chars, int]]] = []
        self.on_gap: list[list[int]] = []
        self.on_boundary: list[list[tuple[bool, int]]] = []
        self.on_nothing: list[list[int]] = []
        self.accepts: dict[int, int] = {}
        self.ranks: list[int] = []
        self.start = self._node(NEVER)

    def _node(self, rank: int) -> int:
        for edges in (self.on_class, self.on_gap, self.on_boundary, self.on_nothing):
            edges.append([])
        self.on_char.append({})
        self.ranks.append(rank)
        return len(self.ranks) - 1

    def add(self, tree: Node, rank: int) -> None:
        """Accept what a tree says, as rule `rank`.

        Raises:
            TooLargeError: If it takes more than `MOST_NODES`.
        """
        begin = self._node(rank)
        self._most = begin + MOST_NODES
        self.on_nothing[self.start].append(begin)
        self.accepts[self._build(tree, begin, rank)] = rank

    def _build(self, tree: Node, at: int, rank: int) -> int:
        """Add what `tree` says behind a node.

        Returns:
            The node at its end.
        """
        if len(self.ranks) > self._most:
            raise TooLargeError(f"takes more than {MOST_NODES} states: make it shorter, or repeat less")
        if isinstance(tree, Row):
            for part in tree.parts:
                at = self._build(part, at, rank)
            return at
        if isinstance(tree, Repeat):
            return self._repeat(tree, at, rank)
        end = self._node(rank)
        if isinstance(tree, Choice):
            for part in tree.parts:
                self.on_nothing[self._build(part, at, rank)].append(end)
        elif isinstance(tree, Gap):
            self.on_gap[at].append(end)
            self.on_gap[end].append(end)
        elif isinstance(tree, Boundary):
            self.on_boundary[at].append((not tree.inside, end))
        elif len(tree.chars) == 1 and not (tree.words or tree.gaps or tree.others):
            self.on_char[at].setdefault(next(iter(tree.chars)), []).append(end)
        else:
            self.on_class[at].append((tree, end))
        return end

    def _repeat(self, tree: Repeat, at: int, rank: int) -> int:
        for _ in range(tree.least):
            at = self._build(tree.part, at, rank)
        if tree.most is None:
            loop = self._node(rank)
            self.on_nothing[at].append(loop)
            self.on_nothing[self._build(tree.part, loop, rank)].append(loop)
            end = self._node(rank)
            self.on_nothing[loop].append(end)
            return end
        ends = [at]
        for _ in range(tree.most - tree.least):
            at = self._build(tree.part, at, rank)
            ends.append(at)
        end = self._node(rank)
        for one in ends:
            self.on_nothing[one].append(end)
        return end

    def reach(self, nodes: Iterable[int], *edges: bool) -> set[int]:
        """The nodes, and what can be reached from them without a character.

        Args:
            nodes: Where from.
            edges: Whether this is the edge of a word; nothing if that is not known yet, and both if either will do.
        """
        found = set(nodes)
        left = list(found)
        while left:
            node = left.pop()
            further = self.on_nothing[node]
            if edges and self.on_boundary[node]:
                further = [*further, *(to for wanted, to in self.on_boundary[node] if wanted in edges)]
            for to in further:
                if to not in found:
                    found.add(to)
                    left.append(to)
        return found

    def step(self, nodes: Iterable[int], base: str) -> set[int]:
        """Where a base string leads from nodes that `reach` has given."""
        for number, char in enumerate(base):
            if number:
                nodes = self.reach(nodes, False)
            found: set[int] = set()
            for node in nodes:
                found.update(self.on_char[node].get(char, ()))
                for chars, to in self.on_class[node]:
                    if char in chars:
                        found.add(to)
            nodes = found
        return set(nodes)

    def move(self, nodes: Iterable[int], char: Folded) -> set[int]:
        """Where a character leads from nodes that `reach` has given."""
        nodes = list(nodes)
        found: set[int] = set()
        if char.kind is Kind.GAP:
            for node in nodes:
                found.update(self.on_gap[node])
        for base in filter(None, char.bases):
            found |= self.step(nodes, base)
        return found

    def waiting(self, nodes: Iterable[int]) -> set[int]:
        """Those of the nodes that lead on by a character."""
        return {node for node in nodes if self.on_char[node] or self.on_class[node] or self.on_gap[node]}

    def accepted(self, nodes: Iterable[int]) -> int:
        """The strongest rank that is accepted in these nodes; `NEVER` if none is."""
        return min((self.accepts[node] for node in nodes if node in self.accepts), default=NEVER)

    def rank(self, nodes: Iterable[int]) -> int:
        """The strongest rank that these nodes belong to; `NEVER` if there are none."""
        return min((self.ranks[node] for node in nodes), default=NEVER)

    def edges(self, node: int) -> Iterator[tuple[bool, int]]:
        """Where a node's characters lead: whether by a character that stands between words, and the node."""
        for char, targets in self.on_char[node].items():
            for to in targets:
                yield not char.isalnum(), to
        for chars, to in self.on_class[node]:
            gap_only = not chars.others and not chars.words and not any(char.isalnum() for char in chars.chars)
            if not gap_only:
                yield False, to
            if gap_only or chars.others or chars.gaps or any(not char.isalnum() for char in chars.chars):
                yield True, to
        for to in self.on_gap[node]:
            yield True, to


@lru_cache(maxsize=4096)  # the same phrases are looked for in what is heard and said, and in most policies
def bound(tree: Node) -> int:
    """How many characters a rule may leave undecided, those that cannot be seen not counted.

    Raises:
        TooLargeError: If the rule takes too many states.
        ValueError: If there is no such number, or the rule matches the empty text. One line with the mend.
    """
    nfa = Nfa()
    nfa.add(tree, 0)
    if nfa.accepted(nfa.reach([nfa.start], True, False)) == 0:
        raise ValueError("matches the empty text: ask for at least one character")
    certain = {node for node in range(len(nfa.ranks)) if nfa.accepted(nfa.reach([node])) == 0}
    return _Longest(nfa, certain).of([nfa.start, *certain])


class _Longest:
    """The longest way through nodes in which nothing is certain, counting a gap as long as a gap may be."""

    def __init__(self, nfa: Nfa, certain: set[int]) -> None:
        self._nfa = nfa
        self._certain = certain
        self._further: dict[int, list[tuple[bool, int]]] = {}
        self._known: dict[tuple[int, bool], int] = {}

    def of(self, starts: Iterable[int]) -> int:
        return max(self._from((start, False)) for start in starts)

    def _from(self, begin: tuple[int, bool]) -> int:
        # By hand, as the way may be longer than Python's stack is deep.
        under_way: set[tuple[int, bool]] = set()
        stack = [begin]
        while stack:
            here = stack[-1]
            if here in self._known:
                stack.pop()
                under_way.discard(here)
                continue
            ways = list(self._ways(*here))
            missing = [there for _, there in ways if there not in self._known]
            under_way.add(here)
            if any(there in under_way for there in missing):
                raise ValueError(
                    "could keep a text waiting without end, as something in it may repeat before the match is certain: "
                    "limit the repetition, as in {1,20}, or leave out what follows it"
                )
            if missing:
                stack += missing
                continue
            self._known[here] = max((weight + self._known[there] for weight, there in ways), default=0)
        return self._known[begin]

    def _ways(self, node: int, after_gap: bool) -> Iterator[tuple[int, tuple[int, bool]]]:
        """How long each step from a node is, where it leads, and whether it is a gap, which no gap follows."""
        for gap, to in self._edges(node):
            if not gap:
                yield 1, (to, False)
        if not after_gap:
            for to in self._over_gap(node):
                yield GAP_LIMIT, (to, True)

    def _over_gap(self, node: int) -> set[int]:
        """Where all that a gap may be leads to."""
        found: set[int] = set()
        left = [node]
        while left:
            further = {to for gap, to in self._edges(left.pop()) if gap} - found
            found |= further
            left += further
        return found

    def _edges(self, node: int) -> list[tuple[bool, int]]:
        if node not in self._further:
            reached = self._nfa.reach([node], True, False)
            edges = {edge for one in reached for edge in self._nfa.edges(one)}
            self._further[node] = [(gap, to) for gap, to in edges if to not in self._certain]
        return self._further[node]
