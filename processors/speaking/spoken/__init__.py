"""How written text is said aloud: numbers, dates, money, addresses, abbreviations and leftovers of markup.

Every whitespace-separated word of the text keeps its place, with what is said for it beside it, so that whoever knows
when something was said also knows which written word that was. What is said holds letters, apostrophes, hyphens and
punctuation only. Abbreviations lose their full stop, so a full stop that is left ends a sentence. Letters to be spelled
are joined by full stops, with none at the end ("U.K", "P.M").

Dates are read the American way (month first) where the order is open.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from processors.speaking.spoken.abbreviations import abbreviation
from processors.speaking.spoken.identifiers import digit_groups, say_digit_group
from processors.speaking.spoken.markup import DROP, without_markup
from processors.speaking.spoken.rules import say_core
from processors.speaking.spoken.words import PAUSES, QUOTES, Word

__all__ = ["Spoken", "spoken"]

_NUMBERED = re.compile(r"\d{1,2}[.)]$")


class Spoken(NamedTuple):
    """A written word and what is said for it; nothing is said for an emoji or a bullet."""

    written: str
    said: str


def spoken(text: str) -> list[Spoken]:
    """Say ``text``: one entry for each of ``text.split()``, in order."""
    words = _words(text)
    kept = [word for word in words if word.text]
    for word in kept:
        word.said = _say(word)
    for word, after in pairwise(kept):
        gap = text[word.start + len(word.written) : after.start]
        if "\n" in gap and word.said and word.said[-1] not in PAUSES:
            heading = re.match(r"\n\s*#", word.line)
            item = gap.count("\n") > 1 or gap.strip() or _NUMBERED.match(after.text)
            word.said += "." if heading or item else ","
    return [Spoken(word.written, word.said) for word in words]


def _words(text: str) -> list[Word]:
    """The words of a text; those that are more than markup know their neighbours."""
    plain = without_markup(text)
    groups = digit_groups(plain)
    words = [
        Word(match.group(), plain[match.start() : match.end()].replace(DROP, ""), match.start())
        for match in re.finditer(r"\S+", text)
    ]
    kept = [word for word in words if word.text]
    for before, after in pairwise(kept):
        before.after, after.before = after, before
    for word in kept:
        word.line = "\n" + text[: word.start].rpartition("\n")[2]
        word.group = next((end for start, end in groups if start <= word.start < end), 0)
    return words


def _say(word: Word) -> str:
    closing = word.closing
    if not word.core:
        said = ""
    elif word.said_before is not None:
        said = word.said_before
    elif word.group:
        said = say_digit_group(word.text)
    else:
        said, full_stop_spoken = abbreviation(word)
        if full_stop_spoken:
            closing = closing[1:]
        elif not said:
            said = say_core(word.core, word)
    if not said and closing and word.before is not None and word.before.said[-1:] not in tuple(PAUSES):
        word.before.said += closing.strip(QUOTES + "()[]{}")[:1]
    if _NUMBERED.match(word.text) and not word.line.strip() and word.after is not None:
        closing = ","
    pauses = re.sub(r"\.{2,}", "…", re.sub(r"[^,.;:!?…]", "", closing))
    same_group = word.group and word.after is not None and word.after.group == word.group
    return said + ("," if same_group and not pauses else pauses) if said else ""
