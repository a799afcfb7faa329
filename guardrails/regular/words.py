"""Terms and claims as trees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrails.fold import Kind, fold
from guardrails.regular.tree import NOTHING, WORD, Boundary, Chars, Choice, Gap, Node, Repeat, Row, choice, text

SPELLED_FROM = 3
"""A term of so many letters is also recognised with a gap after each."""

LONGEST_WORD = 24
"""Longer words between those of a claim end it."""

NEGATIONS = frozenset(
    "no not never none nothing neither nor cannot cant wont dont doesnt isnt arent wasnt werent couldnt wouldnt "
    "shouldnt didnt without unable impossible nobody hardly t".split()
)
"""Where an apostrophe parts a word, as in "don't", the "t" is what is left of it."""


def words(term: str) -> list[str]:
    """The words of a term as base characters, so that case, accents and look-alikes make no difference."""
    found = [""]
    for char in term:
        here = fold(char)
        if here.kind is Kind.WORD:
            found[-1] += here.bases[0]
        elif here.kind is Kind.GAP and char not in "'’":
            found.append("")
    return [word for word in found if word]


def term(phrase: str) -> Node:
    """A phrase, as words with any gap between them or as letters with a gap after each.

    Args:
        phrase: One word or more. With a `*` at its end the last word may go on.

    Raises:
        ValueError: If there is no word in it.
    """
    parts = _words_of(phrase)
    ending: Node = Repeat(WORD, 0, None) if phrase.rstrip().endswith("*") else Boundary()
    ways: list[Node] = [Row((Boundary(), _row_of(map(text, parts), Gap()), ending))]
    letters = "".join(parts)
    if len(letters) >= SPELLED_FROM:
        ways.append(Row((Boundary(), _row_of(map(text, letters), Gap()), Boundary())))
    return choice(ways)


def _words_of(phrase: str) -> list[str]:
    parts = words(phrase.rstrip("*"))
    if not parts:
        raise ValueError(f"{phrase!r} has no word in it: write one")
    return parts


def _row_of(parts: Iterable[Node], between: Node) -> Node:
    row: list[Node] = []
    for part in parts:
        row += [between, part] if row else [part]
    return Row(tuple(row))


def claim(choices: Sequence[Sequence[str]], within: int, unless_negated: bool) -> Node:
    """One of each choice of phrases in this order, with a few words between them.

    Args:
        choices: For each part of the claim, the phrases that make it.
        within: How many words may stand between two parts.
        unless_negated: Whether a negation between two parts makes it no claim.

    Raises:
        ValueError: If a phrase has no word in it.
    """
    between = Row((Gap(), Repeat(Row((_other_word(NEGATIONS if unless_negated else frozenset()), Gap())), 0, within)))
    parts = [choice(_phrase(phrase) for phrase in phrases) for phrases in choices]
    return Row((Boundary(), _row_of(parts, between)))


def _phrase(phrase: str) -> Node:
    parts = _words_of(phrase)
    ending: Node = Repeat(WORD, 0, LONGEST_WORD) if phrase.rstrip().endswith("*") else NOTHING
    return Row((_row_of(map(text, parts), Gap()), ending, Boundary()))


def _other_word(not_these: frozenset[str]) -> Node:
    """A word of at most `LONGEST_WORD` characters that is none of these."""
    return _unlike({"".join(words(word)) for word in not_these}, LONGEST_WORD)


def _unlike(endings: set[str], left: int) -> Node:
    """What may follow in a word so that it does not go on, and end, as one of these."""
    if not endings:
        return Row((WORD, Repeat(WORD, 0, left - 1), Boundary()))
    firsts = {ending[0] for ending in endings if ending}
    ways: list[Node] = []
    for first in sorted(firsts):
        further = {ending[1:] for ending in endings if ending.startswith(first)}
        ways.append(Row((text(first), _after(further, left - 1))))
    another = Chars(frozenset(firsts) | {" "}, gaps=True, others=True)
    ways.append(Row((another, Repeat(WORD, 0, left - 1), Boundary())))
    return Choice(tuple(ways))


def _after(endings: set[str], left: int) -> Node:
    """As `_unlike`, once something of the word has been read: it may also end, unless it is one of these."""
    further = {ending for ending in endings if ending}
    longer: Node = _unlike(further, left) if further else Row((WORD, Repeat(WORD, 0, left - 1), Boundary()))
    return longer if "" in endings else Choice((Boundary(), longer))
