"""Abbreviations, titles and signs that stand for a word."""

import re

from processors.speaking.spoken.dates import month_or_day
from processors.speaking.spoken.spelling import letters
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_TABLE, _CALENDAR = TABLES.abbreviations, TABLES.calendar
_EITHER_WAY = _TABLE.with_or_without | _TABLE.anywhere
_ON_THEIR_OWN = TABLES.symbols | _TABLE.anywhere | _TABLE.without_full_stop


def abbreviation(word: Word) -> tuple[str, bool]:
    """What is said for an abbreviation ("" for other words), and whether its full stop belonged to it alone."""
    core, stop, after = word.core, word.closing.startswith("."), word.after
    name_follows = after is not None and after.capital
    if core in _TABLE.sure_titles or (
        core in _TABLE.titles and name_follows and not (_follows_name(word) and core in _TABLE.places)
    ):
        return _TABLE.titles[core], stop
    said = _in_full(word, stop)
    if said:
        return said, stop and not _ends_sentence(word)
    if stop and len(core) == 1 and core.isupper() and core != "I" and name_follows:
        return core, not (word.before is not None and word.before.key in _TABLE.before_a_letter)
    return "", False


def symbol(core: str, word: Word) -> str | None:
    """ "&", "w/o", and between numbers "x", "-", "/", "<"."""
    if all(other is not None and other.is_number for other in (word.before, word.after)):
        if core in ("*", "x", "X"):
            return "times" if core == "*" else "by"
        if core in ("-", "–", "−"):
            return "to" if core == "–" else "minus"
        if core == "/":
            return "divided by"
        if core in ("<", ">"):
            return TABLES.signs[core]
    return _ON_THEIR_OWN.get(core.lower())


def _in_full(word: Word, stop: bool) -> str:
    """What an abbreviation is short for; "" for other words."""
    core, key, after = word.core, word.key, word.after
    number_before = word.before is not None and word.before.is_number
    if core in _TABLE.places and (number_before or _follows_name(word) or (stop and core not in _TABLE.titles)):
        return _TABLE.places[core]
    if stop and word.capital and (name := month_or_day(key)) and key != name.lower():
        return "" if key in _CALENDAR.words_at_the_end and after is None and not number_before else name
    if stop and key == "no":
        return _TABLE.words[key] if after is not None and after.is_number else ""
    if stop and key in _TABLE.words:
        a_word = key in _TABLE.words_at_the_end and after is None and word.before is not None and not number_before
        return "" if a_word else _TABLE.words[key]
    if key in _EITHER_WAY and not core.isupper():
        return _EITHER_WAY[key]
    return letters(core.replace(".", "")) if stop and re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])+", core) else ""


def _follows_name(word: Word) -> bool:
    """Whether the word before has a capital that doesn't come from the beginning of a sentence."""
    before = word.before
    return before is not None and before.capital and not before.closing and not _begins_sentence(before)


def _begins_sentence(word: Word) -> bool:
    before = word.before
    return before is None or (before.closing.endswith((".", "!", "?", "…")) and not _is_abbreviation(before))


def _is_abbreviation(word: Word) -> bool:
    known = word.core in _TABLE.titles or word.core in _TABLE.places or word.key in _TABLE.words
    return known and word.closing.startswith(".")


def _ends_sentence(word: Word) -> bool:
    """Whether the full stop of an abbreviation ends a sentence too."""
    after = word.after
    begins = after is not None and after.capital and after.core != "I" and not month_or_day(after.key[:3])
    ends = after is None or (begins and word.key in _TABLE.end_sentences)
    return ends and word.closing[1:2] not in ("!", "?")
