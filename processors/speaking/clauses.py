"""Cuts an answer into pieces that can be spoken while the rest is still being written."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType

from guardrails.sentences import CLOSERS
from guardrails.sentences import ENDS as SENTENCE_ENDS

CLAUSE_ENDS = ",;:—–"
ABBREVIATIONS = frozenset(
    "dr mr mrs ms prof st sr jr vs etc inc ltd co no approx dept est fig gen gov hon rev sen rep mt ft "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun "
    "e.g i.e a.m p.m u.s u.k".split()
)
PHRASE_STARTS = frozenset(
    "about after and as at because before between but by during for from if in into near of on once or over since so "
    "than that through to under unless until when where whether which while who with within without".split()
)
"""Words before which a speaker may take a breath."""

EARLY_WORDS = 3
"""Until so many words have been given back, pieces may end at a clause."""

PHRASE_WORDS = 4
"""A first piece may also end before a phrase, once it has so many words."""


class ClauseSplitter:
    """Feed it text as it arrives; it gives back what can be spoken.

    The first pieces of an answer end at clauses, the very first if need be before a phrase, so that the voice starts
    early; later ones are whole sentences, because they are written faster than they are spoken and sound better whole.
    Where the way to speak is to change, a later one ends at a clause, too.
    """

    def __init__(self) -> None:
        self._held = ""
        self._given = 0
        self._turning = False

    @property
    def held(self) -> str:
        """What has been fed and not yet given back."""
        return self._held

    def feed(self, text: str) -> list[str]:
        """The pieces that `text` completes, in order, stripped of surrounding white space."""
        pieces = []
        for at, char in enumerate(text):
            if not self._held.strip() and char in SENTENCE_ENDS + CLAUSE_ENDS:
                # What is left of a "?!" whose first mark ended a piece.
                continue
            self._held += char
            if text[at + 1 : at + 2] and text[at + 1] in SENTENCE_ENDS + CLOSERS:
                continue
            pieces += self._taken()
        return pieces

    def turn(self) -> list[str]:
        """What follows is to be said in another way, from the next end of a clause on.

        Returns:
            The piece that ends here, if a clause does.
        """
        self._turning = bool(self._held.strip())
        return self._taken()

    def finish(self) -> str:
        """What is left at the end of the answer; the next text begins a new one."""
        rest, self._held, self._given, self._turning = self._held.strip(), "", 0, False
        return rest

    def _taken(self) -> list[str]:
        """The piece that can be cut off."""
        cut = self._cut()
        if not cut:
            return []
        piece, self._held = self._held[:cut].strip(), self._held[cut:]
        self._given += len(piece.split())
        self._turning = False
        return [piece]

    def _cut(self) -> int:
        """Where the held text can be cut, or 0."""
        if self._held.endswith("\n"):
            return len(self._held) if self._held.strip() else 0
        body = self._held.rstrip()
        closed = body.rstrip(CLOSERS)
        if not closed.strip(SENTENCE_ENDS + CLAUSE_ENDS + CLOSERS + " "):
            return 0
        spaced = len(body) < len(self._held)
        mark = closed[-1]
        if mark in SENTENCE_ENDS:
            return len(self._held) if self._ends_sentence(closed, spaced) else 0
        if self._given >= EARLY_WORDS and not self._turning:
            return 0
        if mark in CLAUSE_ENDS:
            # "1,000" and "7:30" go on without a space.
            return len(self._held) if spaced or not closed[-2:-1].isdigit() else 0
        return self._before_phrase(body) if spaced and not self._given else 0

    @staticmethod
    def _before_phrase(text: str) -> int:
        """Where the last word begins, if it starts a phrase and enough stands before it; or 0."""
        before, _, last = text.rpartition(" ")
        words = before.split()
        if last.lower() not in PHRASE_STARTS or len(words) < PHRASE_WORDS or words[-1].lower() in PHRASE_STARTS:
            return 0
        return len(before) + 1

    @staticmethod
    def _ends_sentence(text: str, spaced: bool) -> bool:
        if text[-1] != ".":
            return True
        word = text[:-1].split()[-1].lstrip("(\"'“‘").lower() if text[:-1].split() else ""
        if not word or word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
            return False
        # "3." may go on as "3.5", "example." as "example.com".
        return spaced if word[-1].isdigit() or "." in word or "@" in word else True


class ClauseAggregator(BaseTextAggregator):
    """`ClauseSplitter` as the aggregator of Pipecat's `LLMTextProcessor`."""

    def __init__(self) -> None:
        super().__init__()
        self._splitter = ClauseSplitter()

    @property
    def text(self) -> Aggregation:
        return Aggregation(text=self._splitter.held.strip(), type=TextType.SENTENCE)

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        for piece in self._splitter.feed(text):
            yield Aggregation(text=piece, type=TextType.SENTENCE)

    async def turn(self) -> AsyncIterator[Aggregation]:
        """As `ClauseSplitter.turn`."""
        for piece in self._splitter.turn():
            yield Aggregation(text=piece, type=TextType.SENTENCE)

    async def flush(self) -> Aggregation | None:
        rest = self._splitter.finish()
        return Aggregation(text=rest, type=TextType.SENTENCE) if rest else None

    async def handle_interruption(self) -> None:
        self._splitter = ClauseSplitter()

    async def reset(self) -> None:
        self._splitter = ClauseSplitter()
