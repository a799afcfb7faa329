"""What has been taken out of a conversation's texts, so that it stays out where it comes again in part."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from loguru import logger

from pipelines.lab.trace.redact import Redactor, Span, normal, replaced, tokens

WITHHELD = "[withheld]"
REDACTED = "[redacted]"

REMEMBERED = 64
SHORTEST = 3
"""Letters or digits that a remembered part has to have."""

_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


class Memory:
    """A redactor that remembers.

    A text is first given to `learn`, alone and together with what belongs to it. From then on two words or more in a
    row of what was taken out, or three digits or more, are taken out of every text, whether the digits are written or
    said as words.

    Args:
        redactor: Takes personal data out of one text.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._secrets: deque[str] = deque(maxlen=REMEMBERED)
        self._known: dict[str, str] = {}

    def learn(self, text: str) -> bool:
        """Remember what is taken out of a text; return whether anything is."""
        found = [span for span in self._found(text) if span.begin < span.end]
        for span in found:
            secret = "".join(normal(token[0]) for token in tokens(text[span.begin : span.end]))
            if len(secret) >= SHORTEST and secret not in self._secrets:
                self._secrets.append(secret)
                self._known.clear()
        return bool(found)

    def clean(self, text: str) -> str:
        """A text without what the redactor takes out of it and without what was taken out before."""
        if text not in self._known:
            if len(self._known) > 2000:
                self._known.clear()
            self._known[text] = replaced(text, self._spans(text))
        return self._known[text]

    def clean_pieces(self, pieces: Sequence[str], between: str) -> list[str]:
        """The pieces of a text without what is taken out of the whole. The first one hit says what it was.

        Args:
            pieces: In order.
            between: What stands between two of them.
        """
        begins = list(accumulate((len(piece) + len(between) for piece in pieces), initial=0))
        spans = self._spans(between.join(pieces))
        cleaned = []
        for piece, begin in zip(pieces, begins, strict=False):
            end = begin + len(piece)
            own = [
                Span(max(span.begin, begin) - begin, min(span.end, end) - begin, _said(span, begin))
                for span in spans
                if span.begin < end and span.end > begin
            ]
            cleaned.append(replaced(piece, own))
        return cleaned

    def _spans(self, text: str) -> list[Span]:
        spans: list[Span] = []
        for span in sorted([*self._found(text), *self._remembered(text)], key=lambda span: span.begin):
            if spans and span.begin < spans[-1].end:
                before = spans.pop()
                span = Span(before.begin, max(before.end, span.end), before.instead or span.instead)
            spans.append(span)
        return spans

    def _found(self, text: str) -> list[Span]:
        """What the redactor changes, from a comparison of what it was given and what it gave."""
        try:
            changed = self._redactor(text)
        except Exception as error:
            logger.warning(f"trace: the redactor failed, and a text is withheld: {type(error).__name__}")
            return [Span(0, len(text), WITHHELD)]
        if changed == text:
            return []
        before, after = _PIECES.findall(text), _PIECES.findall(changed)
        begins = list(accumulate((len(piece) for piece in before), initial=0))
        moves = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        return [
            Span(begins[first], begins[last], "".join(after[new:until]))
            for move, first, last, new, until in moves
            if move != "equal"
        ]

    def _remembered(self, text: str) -> Iterator[Span]:
        if not self._secrets:
            return
        found = tokens(text)
        plain = [normal(token[0]) for token in found]
        n = 0
        while n < len(found):
            until, joined = n, ""
            while until < len(found) and self._is_secret(joined + plain[until]):
                joined += plain[until]
                until += 1
            if len(joined) >= SHORTEST and (until - n >= 2 or joined.isdecimal()):
                yield Span(found[n].start(), found[until - 1].end(), REDACTED)
                n = until
            else:
                n += 1

    def _is_secret(self, joined: str) -> bool:
        return any(joined in secret for secret in self._secrets)


def _said(span: Span, begin: int) -> str:
    return span.instead if span.begin >= begin else ""
