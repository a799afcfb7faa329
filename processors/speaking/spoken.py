"""How written text is said aloud: numbers, dates, money, addresses, abbreviations and leftovers of markup.

Every whitespace-separated word of the text keeps its place, with what is said for it beside it, so that whoever knows
when something was said also knows which written word that was. What is said holds letters, apostrophes, hyphens and
punctuation only; abbreviations lose their full stops, so a full stop that is left ends a sentence. Letters to be
spelled are joined by full stops without one at the end ("U.K", "P.M").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from hibari.g2p import numbers


class Spoken(NamedTuple):
    """A written word and what is said for it, which is empty for a word that is not said (an emoji, a bullet)."""

    written: str
    said: str


def spoken(text: str) -> list[Spoken]:
    """Say ``text``: one entry for each of ``text.split()``, in order."""
    plain, groups = _mark(text)
    words = [_Word(text[m.start() : m.end()], plain[m.start() : m.end()].replace(_DROP, ""), m) for m in _WORD(text)]
    for word in words:
        word.digits = any(start <= word.start < end for start, end in groups)
    kept = [word for word in words if word.text]
    for i, word in enumerate(kept):
        word.before, word.after = kept[i - 1] if i else None, kept[i + 1] if i + 1 < len(kept) else None
    for word in kept:
        word.said = _say(word)
    _break_lines(text, words)
    return [Spoken(word.written, word.said) for word in words]


# --- words -----------------------------------------------------------------------------------------------------------

_WORD: Callable[[str], "re.Scanner"] = re.compile(r"\S+").finditer  # type: ignore[assignment, name-defined]
_OPENING = "([{\"'“‘«<"
_CLOSING = ")]}\"'”’»>"
_STOPS = ",.;:!?…"
_PARTS = re.compile(
    rf"(?P<opening>[{re.escape(_OPENING)}]*)(?P<core>.*?)(?P<closing>[{re.escape(_CLOSING + _STOPS)}]*)", re.DOTALL
)


@dataclass(eq=False)
class _Word:
    written: str
    text: str  # without markup
    span: "re.Match[str]"
    digits: bool = False  # in a group of numbers to be read digit by digit
    before: "_Word | None" = None
    after: "_Word | None" = None
    said: str = ""

    def __post_init__(self) -> None:
        parts = _PARTS.fullmatch(self.text)
        assert parts is not None
        self.core, self.closing = parts["core"], parts["closing"]

    @property
    def start(self) -> int:
        return self.span.start()

    @property
    def first(self) -> bool:
        """Whether it begins a sentence."""
        return self.before is None or self.before.closing[-1:] in (*".!?…",) and not self.before.abbreviated

    @property
    def abbreviated(self) -> bool:
        return self.core + "." in _ABBREVIATIONS or self.core in _TITLES or self.core in _PLACES

    @property
    def capital(self) -> bool:
        return self.core[:1].isupper()
