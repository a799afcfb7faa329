"""What stands between words keeps its place while the words are kept back and changed."""

from __future__ import annotations

from typing import Generic, TypeVar

from guardrails.fold import Kind, fold
from guardrails.scanning import GAP_LIMIT

Mark = TypeVar("Mark")


class Marks(Generic[Mark]):
    """Follows a text into a `StreamGuard` and out of it.

    A mark goes directly before the first character that came after it; never before one that came earlier. Where the
    guard has changed the text around it, it goes behind the change.
    """

    def __init__(self) -> None:
        self._text = ""  # what was fed and is kept back
        self._marks: list[tuple[int, Mark]] = []

    def put(self, mark: Mark) -> None:
        """A mark after all that has been fed."""
        self._marks.append((len(self._text), mark))

    def feed(self, text: str) -> None:
        """More of the text, as the guard is fed it."""
        self._text += text

    def placed(self, out: str, held: int) -> list[str | Mark]:
        """What the guard lets out, with the marks that stand in it or at its end.

        Args:
            out: The text.
            held: How many characters the guard keeps back after it.
        """
        settled = self._settled(held)
        done, self._text = self._text[:settled], self._text[settled:]
        due = [(at, mark) for at, mark in self._marks if at <= settled]
        self._marks = [(at - settled, mark) for at, mark in self._marks if at > settled]
        return _joined(out, [(_place(done, at, out), mark) for at, mark in due])

    def broken_off(self, out: str, instead: str, mark: Mark) -> list[str | Mark]:
        """The last that the guard lets out of an answer that it stops. Marks of what is not said are dropped.

        Args:
            out: The text.
            instead: With what it ends: what is said in place of the rest.
            mark: Goes before that.
        """
        same = _common(self._text, out)
        marks = [(at, before) for at, before in self._marks if at <= same]
        self._text, self._marks = "", []
        return _joined(out, [*marks, (max(len(out) - len(instead), 0), mark)])

    def _settled(self, held: int) -> int:
        """How much of the text is dealt with. The guard leaves out what there is too much of between words; where that
        is, this may be too little, and is never too much."""
        at, kept, run = len(self._text), 0, 0
        while at and kept < held:
            at -= 1
            char = self._text[at]
            run = 0 if fold(char).kind is Kind.WORD else run + 1
            # Of a character in halves only one counts.
            kept += run <= GAP_LIMIT and not "\ud800" <= char <= "\udbff"
        return at


def _place(done: str, at: int, out: str) -> int:
    """Where in what was let out a place in what was dealt with is."""
    if out.endswith(done[at:]):
        return len(out) - len(done[at:])
    if out.startswith(done[:at]):
        return at
    return len(out) - _common(done[::-1], out[::-1])


def _joined(out: str, marks: list[tuple[int, Mark]]) -> list[str | Mark]:
    """A text with marks in it, in their order."""
    joined: list[str | Mark] = []
    begin = 0
    for place, mark in marks:
        end = max(place, begin)
        joined += [out[begin:end], mark]
        begin = end
    return [part for part in [*joined, out[begin:]] if part != ""]


def _common(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
