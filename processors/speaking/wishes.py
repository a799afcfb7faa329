"""Whom a caller asks to talk with, read from their words by phrases that are data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from guardrails.data_file import Record, read

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 400
"""Characters of a turn that are looked at. Nobody needs more to ask for somebody."""

_NAME = "NAME"
_PARTS = {"(": "(?:", ")": ")", "[": "(?:", "]": ")?", "|": "|"}


class WishesError(ValueError):
    """Phrases that cannot be used. One line: the file, where in it, what is wrong, the mend."""


class Phrases(Record):
    """What callers say who wish to talk with somebody else.

    Args:
        wishes: Phrases: words, (one|of several), [what may be missing], and NAME.
        before: What may stand before a wish.
        behind: What may stand behind it.
        heard: By name, how else it may be written.
    """

    wishes: tuple[str, ...] = Field(min_length=1)
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    heard: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("wishes")
    @classmethod
    def _readable(cls, wishes: tuple[str, ...]) -> tuple[str, ...]:
        for wish in wishes:
            if wish.split().count(_NAME) != 1:
                raise ValueError(f"{wish!r} holds no {_NAME}, or several: write it once, as a word by itself")
            try:
                re.compile(_pattern(wish, "x"))
            except re.error:
                raise ValueError(f"{wish!r} has brackets that do not match: close each where it belongs") from None
        return wishes


@dataclass(frozen=True)
class Wish:
    """Somebody is asked for.

    Args:
        name: Who.
        rest: Whatever else was said in the turn; empty if it was courtesies alone.
    """

    name: str
    rest: str = ""


class Wishes:
    """Reads wishes for some people.

    Args:
        phrases: What counts as a wish.
        names: Of those who can be asked for.
    """

    def __init__(self, phrases: Phrases, names: Iterable[str]) -> None:
        self._names = {
            spelt: name for name in names for spelt in (_words(name), *map(_words, phrases.heard.get(name, ())))
        }
        anybody = "|".join(sorted(map(re.escape, self._names), key=len, reverse=True))
        before, behind = (
            "|".join(re.escape(_words(each)) for each in given) for given in (phrases.before, phrases.behind)
        )
        # Whoever is spoken to may be called by their name first.
        before = f"(?:{before}|{anybody})"
        wishes = "|".join(_pattern(wish, anybody) for wish in phrases.wishes)
        self._wish = re.compile(f"{before}*?(?:{wishes})(?:{behind})*")
        self._courtesy = re.compile(f"{before}*(?:{behind})*")

    def read(self, text: str) -> Wish | None:
        """Whom a turn asks for; None if it asks for nobody.

        Args:
            text: The caller's words. If several are asked for, the last counts.
        """
        found, rest = "", []
        for sentence in _sentences(text[:LONGEST]):
            said = _words(sentence)
            wish = self._wish.fullmatch(said)
            if wish is not None:
                found = self._names[next(filter(None, wish.groups()))]
            elif not self._courtesy.fullmatch(said):
                rest.append(sentence.strip())
        return Wish(found, " ".join([*rest, text[LONGEST:]]).strip()) if found else None


def _sentences(text: str) -> Iterator[str]:
    return (sentence for sentence in re.split(r"(?<=[.!?…])\s+", text) if sentence.strip())


def _words(text: str) -> str:
    """The words of a text in lower case, a space behind each."""
    return "".join(f"{word} " for word in re.findall(r"[^\W_]+", text.lower()))


def _pattern(wish: str, anybody: str) -> str:
    """A phrase as a regular expression for `_words`."""
    parts = re.findall(r"[()\[\]|]|[^\s()\[\]|]+", wish)
    return "".join(_PARTS.get(part) or (f"({anybody})" if part == _NAME else f"{re.escape(part)} ") for part in parts)


def load(path: Path) -> Phrases:
    """Phrases from a file.

    Raises:
        WishesError: If it cannot be read or is malformed.
    """
    return read(path, Phrases, WishesError)


@cache
def shipped() -> Phrases:
    """The phrases that ship."""
    return load(Path(__file__).with_name("wishes.yaml"))


def wishes(names: Mapping[str, object]) -> Wishes:
    """Reads wishes for people of these names, by the phrases that ship."""
    return Wishes(shipped(), names)
