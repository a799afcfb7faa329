"""The short tags in which a language model writes how its next sentence is to be said.

    <warm>Of course. <slower softer>Take your time. <urgent pace=+2>Please leave now! </urgent>Thank you.

A tag holds styles, words that change a way, scales with a number from -3 to +3, `pause`, or `stress` and the words
that are to stand out. It holds until the next tag; tags with nothing between them are one tag; a closing tag, whatever
it closes, goes back to the persona's own way. What is not known in a tag is left out, and so is every tag of other
languages (SSML, HTML, those of voices).

**What is a tag.** `<` with a letter, `/`, `!` or `?` behind it, up to the `>` that closes it, in `LONGEST` characters;
`<` with anything else behind it only if it is closed as soon and holds none but known words. Of one that is not closed
in time, the first word and the known words behind it are taken for the tag, unless that word is unknown and a single
letter or `<` stands directly behind a letter or digit. So "3 < 5", "I <3 you", "x <= y" and "a<b" are text, and
"a<b and c>d" is not: between `<` and `>` nothing is heard.

**Where a tag was there is white space**, or the beginning or end of the text, or punctuation with white space behind
it: two words that were apart stay apart. What comes out is all that is heard, so a guard belongs behind this, not
before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.styles import shipped, summed

LONGEST = 120
"""Characters of a tag, and of what is held back until it is known whether there is one."""

PAUSE = 0.5
"""Seconds of a pause that does not say how long it is."""

LONGEST_PAUSE = 2.0
"""Seconds."""

STEPS = 3
"""A scale is written from -3 to +3."""

_PAUSES = ("pause", "break")
_STRESS = "stress"
_SIGNS = "/!?"
_MARKS = '.,!?;:…)]}"”’»'
_MOST_MARKS = 3
_MOST_STRESSED = 3
_LONGEST_WORD = 20
_WORD = re.compile(r"[^\W\d_]+")
_ITEM = re.compile(r"([^\W\d_]+)(?:\s*[=:]?\s*[\"']?([+\-−]?\d+(?:\.\d+)?))?")
_REST = re.compile(r"[\w'’=+\-−:/%\"]*")
_GLUED = re.compile(r"([^\W\d_]+)(?:[=:][\"']?[+\-−]?\d+(?:\.\d+)?[\"']?)?")
_BETWEEN = re.compile(r"[\s,;|]*")
_FLAT = re.compile(r"<[^<>]*>")
_CLOSING = re.compile(r"<+\s*/")


@dataclass(frozen=True)
class Pause:
    """A moment of silence before what follows.

    Args:
        seconds: How long it is.
    """

    seconds: float


Piece: TypeAlias = str | Delivery | Pause


def prompt() -> str:
    """What a language model is told of tags: two lines. Of pauses and stress it is told nothing, as most voices have
    neither."""
    styles = shipped()
    words = [word for word, scales in styles.words.items() if word.endswith("er") and any(scales.model_dump().values())]
    return (
        "Before a sentence you may say how it is said, in a tag that is not heard: <warm>, <slower softer>, "
        "<urgent pace=+2>. It holds until the next tag or </>. Most sentences need none.\n"
        f"Styles: {' '.join(styles.styles)}. Changes: {' '.join(words)}. "
        f"Scales, from -{STEPS} to +{STEPS}: {' '.join(SCALES)}."
    )


class Tags:
    """Feed it an answer as it is written; it gives back, in order, the text without tags and what they say.

    Each Delivery and Pause is given directly before the first character it applies to. A Delivery that is plain is the
    way back to what would be without tags. A tag of which nothing is known gives nothing.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._held = ""
        self._before = ""  # the last character read, whether it was given back or not
        self._last = ""  # the last character given back
        self._gap = False  # whether a tag was read, and nothing but white space and punctuation since
        self._marks = ""  # that punctuation, until it is known what stands behind it
        self._open = ""  # what was given back since the last "<", as long as ">" could make a tag of it
        self._way = Delivery()
        self._reading = _Reading()
        self._given: list[Piece] = []

    @property
    def held(self) -> str:
        """What has been fed and is neither read as a tag nor given back: under `LONGEST` characters and three marks."""
        return self._marks + self._held

    def feed(self, text: str) -> list[Piece]:
        """What is settled by `text`."""
        self._held += text
        return self._settle(final=False)

    def finish(self) -> list[Piece]:
        """What is left at the end of the answer; the next text begins a new one."""
        given = self._settle(final=True)
        self._begin()
        return given

    def _settle(self, final: bool) -> list[Piece]:
        while self._held:
            text = self._held.partition("<")[0]
            if text:
                self._say(text)
            else:
                length = _length(self._held, self._before, final)
                if length is None:
                    break
                text = self._held[: length or 1]
                if length:
                    self._take(text)
                else:
                    self._say(text)
            self._held, self._before = self._held[len(text) :], text[-1]
        if final:
            self._give(self._marks)
        given, self._given = self._given, []
        return given

    def _take(self, tag: str) -> None:
        self._give(self._marks)
        self._marks, self._gap = "", True
        self._reading.read(tag)

    def _say(self, text: str) -> None:
        at = 0
        while at < len(text) and (self._gap or self._open):
            self._step(text[at])
            at += 1
        self._give(text[at:])

    def _step(self, char: str) -> None:
        apart = not self._last or self._last.isspace()
        if char == ">" and self._gap and not self._marks:
            pass  # one too many
        elif char == ">" and self._open and _is_tag(self._open + char):
            # It was too long for a tag with what was taken out of it, and would be one now.
            self._take("")
            self._open = ""
        elif not self._gap:
            self._give(char)
        elif char in _MARKS and not apart and len(self._marks) < _MOST_MARKS:
            self._marks += char
        elif not char.isspace():
            self._resume("" if apart else " ")
            self._give(char)
        elif self._marks:
            self._give(self._marks + char)
            self._marks = ""
        elif not apart or char not in " \t":
            self._give(char)

    def _resume(self, space: str) -> None:
        self._give(space)
        pieces, self._way = self._reading.pieces(self._way)
        self._given += pieces
        self._reading, self._gap = _Reading(), False
        self._give(self._marks)
        self._marks = ""

    def _give(self, text: str) -> None:
        if not text:
            return
        self._last = text[-1]
        if text == "<":
            self._open = text
        elif self._open:
            self._open = self._open + text if len(self._open + text) < LONGEST else ""
        if self._given and isinstance(before := self._given[-1], str):
            self._given[-1] = before + text
        else:
            self._given.append(text)


@dataclass
class _Reading:
    """What the tags between two characters say together."""

    way: bool = False
    style: str = ""
    changes: list[Mapping[str, float]] = field(default_factory=list)
    emphasis: tuple[str, ...] = ()
    seconds: float = 0.0

    def read(self, tag: str) -> None:
        styles = shipped()
        items = [(match[1].lower(), match[2]) for match in _ITEM.finditer(tag)]
        if _CLOSING.match(tag):
            if not items or any(_sets_way(word) for word, _ in items):
                self.way, self.style, self.changes, self.emphasis = True, "", [], ()
            return
        for at, (word, number) in enumerate(items):
            if word == _STRESS:
                stressed = [each for each, _ in items[at + 1 :] if len(each) <= _LONGEST_WORD]
                self.emphasis += tuple(stressed[:_MOST_STRESSED])
                return
            if word in _PAUSES:
                self.seconds += max(_number(number), 0.0) if number else PAUSE
            elif _sets_way(word) and (number or word not in SCALES):
                self.way = True
                self.style = styles.style(word) or self.style
                self.changes.append(_change(word, number))

    def pieces(self, way: Delivery) -> tuple[list[Piece], Delivery]:
        """What to give, and the way that holds from here.

        Args:
            way: The one that held before.
        """
        pieces: list[Piece] = [Pause(min(self.seconds, LONGEST_PAUSE))] if self.seconds else []
        if self.way:
            way = Delivery(style=self.style, **summed(self.changes))
        if self.way or self.emphasis:
            way = replace(way, emphasis=self.emphasis)
            pieces.append(way)
        return pieces, way


def _sets_way(word: str) -> bool:
    styles = shipped()
    return word in SCALES or word in styles.words or bool(styles.style(word))


def _known(word: str) -> bool:
    return word in _PAUSES or word == _STRESS or _sets_way(word)


def _change(word: str, number: str | None) -> Mapping[str, float]:
    styles = shipped()
    if word in SCALES:
        return {word: _number(number or "0") / STEPS}
    scales: dict[str, float] = (styles.words.get(word) or styles.styles[styles.style(word)]).model_dump()
    return scales


def _number(written: str) -> float:
    return float(written.replace("−", "-"))


def _is_tag(text: str) -> bool:
    """Whether text from a "<" to a ">", with neither between them, is a tag."""
    words = _WORD.findall(text.lower())
    return len(text) <= LONGEST and (_opens(text) or (bool(words) and all(map(_known, words))))


def _opens(text: str) -> bool:
    first = text.lstrip("<")[:1]
    return first.isalpha() or (first != "" and first in _SIGNS)


def _length(text: str, before: str, final: bool) -> int | None:
    """How many characters of a text that begins with "<" are a tag: 0 if it is none, None if that is not clear yet.

    Args:
        text: All that is held.
        before: The character before it.
        final: Whether there is no more text.
    """
    window = text[:LONGEST]
    settled = final or len(text) >= LONGEST
    if not window.strip("<"):
        # Nothing ends with "<" but what was cut off.
        return len(window) if settled else None
    if _opens(window):
        depth = 0
        for at, char in enumerate(window):
            depth += (char == "<") - (char == ">")
            if not depth:
                return at + 1
        return _unclosed(window, before, final) if settled else None
    if closed := _FLAT.match(window):
        return closed.end() if _is_tag(closed[0]) else 0
    words = _WORD.findall(window.lower())
    complete = words[:-1] if window[-1].isalpha() else words
    return None if not settled and "<" not in window[1:] and all(map(_known, complete)) else 0


def _unclosed(window: str, before: str, final: bool) -> int:
    """How many characters of a tag without an end are the tag."""
    if window[1] == "<":
        return 1
    signs = len(window) - len(window[1:].lstrip(_SIGNS))
    first = _WORD.match(window, signs)
    if not first:
        return signs if "/" in window[:signs] else 0
    cut_off = final and first.end() == len(window) and len(first[0]) > 1
    if not _known(first[0].lower()) and not (cut_off and _begins_one(first[0].lower())):
        stray = signs == 1 and (before.isalnum() or len(first[0]) == 1)
        return 0 if stray else _end(_REST, window, first.end())
    end = _end(_GLUED, window, signs)
    while (item := _GLUED.match(window, _end(_BETWEEN, window, end))) and _known(item[1].lower()):
        end = item.end()
    return end


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _begins_one(part: str) -> bool:
    styles = shipped()
    words = (*_PAUSES, _STRESS, *SCALES, *styles.styles, *styles.aliases, *styles.words)
    return any(word.startswith(part) for word in words)
