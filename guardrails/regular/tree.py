"""What a regular rule is before it becomes an automaton: a tree over base characters, as `guardrails.fold` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Chars:
    """One base character.

    Args:
        chars: The set that it is out of.
        words: Whether all of which words are made are in it too.
        gaps: Whether all others are.
        less: Those that `words` and `gaps` do not mean.
        others: Whether it is any character that is not in the set.
    """

    chars: frozenset[str] = frozenset()
    words: bool = False
    gaps: bool = False
    less: frozenset[str] = frozenset()
    others: bool = False

    def __contains__(self, char: str) -> bool:
        found = char in self.chars or ((self.words if char.isalnum() else self.gaps) and char not in self.less)
        return found != self.others

    def __or__(self, other: Chars) -> Chars:
        """One of either, neither of which is `others`."""
        less = frozenset(char for char in self.less | other.less if char not in self and char not in other)
        return Chars(self.chars | other.chars, self.words or other.words, self.gaps or other.gaps, less)

    @property
    def is_space(self) -> bool:
        """Whether it is white space and nothing else."""
        return self.chars == {" "} and not (self.words or self.gaps or self.others)


@dataclass(frozen=True)
class Gap:
    """Whatever stands between words: one character or more."""


@dataclass(frozen=True)
class Boundary:
    """The edge of a word, or with `inside` anywhere else."""

    inside: bool = False


@dataclass(frozen=True)
class Row:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The same again: from `least` to `most` times, without end if `most` is None."""

    part: Node
    least: int
    most: int | None


Node: TypeAlias = Chars | Gap | Boundary | Row | Choice | Repeat

WORD = Chars(words=True)
NOTHING = Row(())


def text(chars: str) -> Row:
    """These base characters in a row."""
    return Row(tuple(Chars(frozenset(char)) for char in chars))


def choice(parts: Iterable[Node]) -> Node:
    """One of them; the only one itself if there is no other."""
    several = tuple(dict.fromkeys(parts))
    return several[0] if len(several) == 1 else Choice(several)
