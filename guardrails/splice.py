"""Puts words into a text so that it still reads as one."""

from __future__ import annotations

from typing import NamedTuple

from guardrails.sentences import CLOSERS, ENDS

BREAKS = ",;:—–-("


class Tail(NamedTuple):
    """How a text ends so far.

    Args:
        last: Its last character; "" if there is none.
        solid: Its last character that is no white space; "" if there is none.
        put_in: Whether the end was put in.
    """

    last: str
    solid: str
    put_in: bool


START = Tail("", "", False)


class Splice:
    """Collects what is let out, and what is put in.

    Args:
        tail: How the text ends that was let out before.
    """

    def __init__(self, tail: Tail) -> None:
        self._parts: list[str] = []
        self.tail = tail

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)

    def add(self, text: str) -> None:
        """What stood there."""
        if text:
            if self.tail.put_in and text[0].isalnum():
                self._parts.append(" ")
            self._put(text, put_in=False)

    def instead(self, text: str, *, breaks: bool) -> None:
        """Words in the place of others.

        Args:
            text: The words; nothing is put in if there are none.
            breaks: Whether they begin a sentence of their own, so that one under way breaks off.
        """
        if not text:
            return
        last, solid, _ = self.tail
        if breaks and solid and solid not in ENDS + CLOSERS + BREAKS:
            self._put("… ", put_in=True)
        elif last.isalnum() or (breaks and last and not last.isspace()):
            self._put(" ", put_in=True)
        self._put(text, put_in=True)

    def sentence(self, text: str) -> None:
        """A sentence before another."""
        self.instead(text, breaks=True)
        self._put(" ", put_in=False)

    def _put(self, text: str, *, put_in: bool) -> None:
        self._parts.append(text)
        solid = text.rstrip()[-1:] or self.tail.solid
        self.tail = Tail(text[-1], solid, put_in)
