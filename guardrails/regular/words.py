"""Terms and claims as trees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrails.fold import Kind, fold
from guardrails.regular.tree import NOTHING, WORD, Boundary, Chars, Gap, Node, Repeat, Row, choice, text

SPELLED_FROM = 3
"""The words of a phrase of so many letters are also recognised with a gap after each letter."""

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


def some_words(text: str) -> list[str]:
    """As `words`.

    Raises:
        ValueError: If there is none.
    """
    found = words(text)
    if not found:
        raise ValueError(f"{text!r} has no word in it: write one")
    return found


def term(phrase: str) -> Node:
    """A phrase: its words with any gap between them, each as it is written or as letters with a gap after each.

    Args:
        phrase: One word or more. With a `*` at its end the last word may go on.

    Raises:
        ValueError: If there is no word in it.
    """
    return Row((Boundary(), _phrase(phrase, Repeat(WORD, 0, None))))


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
    any_ending = Row((Repeat(WORD, 0, LONGEST_WORD), Boundary()))
    parts = [choice(_phrase(phrase, any_ending) for phrase in phrases) for phrases in choices]
    return Row((Boundary(), _row_of(parts, between)))


def _phrase(phrase: str, any_ending: Node) -> Node:
    """A phrase to the end of its last word, with what stands for a `*`."""
    parts = some_words(phrase)
    ending = any_ending if phrase.rstrip().endswith("*") else Boundary()
    may_be_spelled = len("".join(parts)) >= SPELLED_FROM
    return Row((_row_of((_word(part, may_be_spelled) for part in parts), Gap()), ending))


def _word(word: str, may_be_spelled: bool) -> Node:
    written = text(word)
    return choice((written, _row_of(written.parts, Gap()))) if may_be_spelled else written


def _other_word(not_these: frozenset[str]) -> Node:
    """A word of a few characters that is none of these: about `LONGEST_WORD` at most."""
    endings = {"".join(words(word)) for word in not_these}
    longer = Row((_unlike(endings), Repeat(WORD, 0, LONGEST_WORD)))
    return Row((choice((longer, *_begun(endings))), Boundary()))


def _unlike(endings: set[str]) -> Node:
    """What a word begins with that goes on as none of these."""
    firsts = {ending[0] for ending in endings if ending}
    ways: list[Node] = [Chars(frozenset(firsts) | {" "}, gaps=True, others=True)]
    for first in sorted(firsts):
        ways.append(Row((text(first), _unlike({ending[1:] for ending in endings if ending.startswith(first)}))))
    return choice(ways)


def _begun(endings: set[str]) -> list[Node]:
    """The words that these begin with, unless they are among them."""
    ways: list[Node] = []
    for first in sorted({ending[0] for ending in endings if ending}):
        further = {ending[1:] for ending in endings if ending.startswith(first)}
        ends = [*_begun(further)] if "" in further else [NOTHING, *_begun(further)]
        if ends:
            ways.append(Row((text(first), choice(ends))))
    return ways
