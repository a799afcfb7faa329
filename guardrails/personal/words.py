"""How numbers are said in English, and a reader of words that takes one character at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

from guardrails.fold import Folded, Kind


class Part(Enum):
    """What a word does in a number."""

    TYPED = auto()
    """A character that is a digit."""
    DIGITS = auto()
    """One digit or a teen."""
    LETTER = auto()
    """A letter that looks like a digit, and is one if a typed digit stands in the same word."""
    TENS = auto()
    """Twenty to ninety: a unit may follow. `text` is the first digit."""
    REPEAT = auto()
    """Double, triple. `text` is how often."""
    HUNDRED = auto()
    THOUSAND = auto()
    PLURAL = auto()
    """Sevens, as in "two sevens"."""
    FILLER = auto()
    """May stand between the digits of a number."""


class Word(NamedTuple):
    """A word of numbers.

    Args:
        part: What it does.
        text: Its digits, or the word itself if it is a filler.
    """

    part: Part
    text: str = ""


_UNITS = "zero one two three four five six seven eight nine".split()
_PLURALS = "zeros ones twos threes fours fives sixes sevens eights nines".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ZEROS = "o oh nought naught nil".split()
FILLERS = frozenset(
    "and then uh um er erm ah hmm dash hyphen minus point dot space slash stroke comma period underscore so next now "
    "like plus ext extension".split()
)
"""Up to `MOST_FILLERS` of them in a row may stand between two digits."""
MOST_FILLERS = 2

NUMBERS: dict[str, Word] = {
    **{word: Word(Part.DIGITS, str(value)) for value, word in enumerate(_UNITS)},
    **{word: Word(Part.DIGITS, "0") for word in _ZEROS},
    "niner": Word(Part.DIGITS, "9"),
    **{word: Word(Part.DIGITS, str(value)) for value, word in enumerate(_TEENS, 10)},
    **{word: Word(Part.TENS, str(value)) for value, word in enumerate(_TENS, 2)},
    "fourty": Word(Part.TENS, "4"),
    "double": Word(Part.REPEAT, "2"),
    "triple": Word(Part.REPEAT, "3"),
    "treble": Word(Part.REPEAT, "3"),
    "quadruple": Word(Part.REPEAT, "4"),
    "l": Word(Part.LETTER, "1"),
    "i": Word(Part.LETTER, "1"),
}
"""Words that a number may begin with."""

WITHIN: dict[str, Word] = {
    **NUMBERS,
    **{word: Word(Part.PLURAL, str(value)) for value, word in enumerate(_PLURALS)},
    "zeroes": Word(Part.PLURAL, "0"),
    "ohs": Word(Part.PLURAL, "0"),
    "hundred": Word(Part.HUNDRED),
    "thousand": Word(Part.THOUSAND),
    **{word: Word(Part.FILLER, word) for word in FILLERS},
}
"""Words that may stand within a number."""

LONGEST = max(map(len, WITHIN))
"""Letters of the longest of them."""


class _Branch:
    """A place in the words: what may follow, what ends here, and what ends further on."""

    __slots__ = ("ahead", "ends", "following")

    def __init__(self) -> None:
        self.following: dict[str, _Branch] = {}
        self.ends: tuple[object, ...] = ()
        self.ahead: set[object] = set()


def _tree(words: Iterable[tuple[str, object]]) -> _Branch:
    root = _Branch()
    for word, value in words:
        branch = root
        for letter in word:
            branch.ahead.add(value)
            branch = branch.following.setdefault(letter, _Branch())
        branch.ends = (*branch.ends, value)
    return root


class Place(dict[Folded, "Place"]):
    """Where a reader is within a word. What follows by which character is worked out when it is first asked for.

    Attributes:
        done: The words that are whole with this character, and how many characters each has, the longest first, fillers
            last.
        lengths: For each word that is under way, how many characters there are of it so far.
        beginning: Whether this is the place before a word.
        quiet: Whether no word can be whole here or go on from here.
        mark: Before a word, the sign in front of it if it matters: "+" or "$".
        typed: Whether this character is a digit, and one by itself.
        whole: What `done` holds, without the lengths.
        ahead: The words that are under way.
        note: What the lexicon's owner makes of the two, worked out when it is first needed.
    """

    __slots__ = (
        "ahead",
        "beginning",
        "branches",
        "done",
        "lengths",
        "lexicon",
        "mark",
        "note",
        "quiet",
        "typed",
        "whole",
    )

    def __init__(
        self, lexicon: Lexicon, branches: tuple[tuple[_Branch, int], ...], done: tuple[tuple[object, int], ...]
    ) -> None:
        super().__init__()
        self.lexicon = lexicon
        self.branches = branches
        self.done = done
        self.lengths = tuple(sorted({length for _, length in branches}))
        self.quiet = not branches and not done
        self.typed = any(isinstance(value, Word) and value.part is Part.TYPED for value, _ in done)
        self.beginning = False
        self.mark = ""
        self.note: Any = None
        self.whole = frozenset(value for value, _ in done)
        self.ahead = frozenset(value for branch, _ in branches for value in branch.ahead)

    def __missing__(self, char: Folded) -> Place:
        place = self[char] = self.lexicon.after(self, char)
        return place


class Lexicon:
    """Reads words, look-alikes included: a lazily made automaton over characters.

    Args:
        words: What may begin a run of word characters.
        further: What may follow in the same run, directly behind a word or a digit; None if nothing may.
        digits: Whether a character that is a digit is a word by itself, wherever it stands.

    Attributes:
        root: Before a word.
        lost: Within a run of characters that is no word.
    """

    def __init__(
        self, words: Mapping[str, object], further: Mapping[str, object] | None = None, *, digits: bool = False
    ) -> None:
        self._first = _tree(words.items())
        self._further = None if further is None else _tree(further.items())
        self._digits = digits
        self._made: dict[object, Place] = {}
        self.root = self._before("")
        self._marked = {"+": self._before("+"), "$": self._before("$")}
        self.lost = Place(self, (), ())

    def _before(self, mark: str) -> Place:
        place = Place(self, (), ())
        place.beginning, place.mark = True, mark
        return place

    def after(self, place: Place, char: Folded) -> Place:
        """Where a character leads to."""
        if char.kind is Kind.GAP:
            if char.bases[0] in "+$£€¥":
                return self._marked["+" if char.bases[0] == "+" else "$"]
            return place if place.beginning and char.bases[0] == "(" else self.root
        sources = list(place.branches)
        if place.beginning:
            sources.append((self._first, 0))
        elif place.done and self._further is not None:
            sources.append((self._further, 0))
        branches: dict[tuple[int, int], tuple[_Branch, int]] = {}
        done: dict[tuple[object, int], None] = {}
        # "I" is in every other sentence, and would be held for a "like" that begins with it.
        bases = char.bases[:1] if place.beginning and char.bases == ("i", "l") else char.bases
        for branch, length in sources:
            for base in bases:
                reached = _walk(branch, base)
                if reached is None:
                    continue
                done.update(dict.fromkeys((value, length + 1) for value in reached.ends))
                if reached.following:
                    branches[id(reached), length + 1] = (reached, length + 1)
        if self._digits and char.digit:
            done = {end: None for end in done if end[1] > 1}
            done[Word(Part.TYPED, char.digit), 1] = None
        key = (frozenset(branches), frozenset(done))
        if not branches and not done:
            return self.lost
        if key not in self._made:
            whole = tuple(sorted(done, key=_longest_first))
            self._made[key] = Place(self, tuple(branches.values()), whole)
        return self._made[key]


def _longest_first(whole: tuple[object, int]) -> tuple[bool, int]:
    word, length = whole
    return isinstance(word, Word) and word.part is Part.FILLER, -length


def _walk(branch: _Branch, base: str) -> _Branch | None:
    if not base:
        return None
    at: _Branch | None = branch
    for letter in base:
        at = at.following.get(letter) if at is not None else None
    return at
