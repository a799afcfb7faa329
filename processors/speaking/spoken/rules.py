"""The rules that say a word, in the order in which they are tried, and those that take it apart and say the pieces."""

import re

from processors.speaking.spoken.abbreviations import symbol
from processors.speaking.spoken.addresses import email, url
from processors.speaking.spoken.counting import DASH, amount
from processors.speaking.spoken.dates import day_of_month, name_of_month_or_day, numeric_date, years
from processors.speaking.spoken.identifiers import identifier, version
from processors.speaking.spoken.measures import feet_and_inches, measure, size
from processors.speaking.spoken.money import price
from processors.speaking.spoken.numerals import fraction, ordinal_number, roman
from processors.speaking.spoken.spelling import letters, letters_and_digits, spelled, suffixed
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.times import half_of_day, time
from processors.speaking.spoken.words import Rule, Word

_MEASURES, _SHORT_DAYS = TABLES.measures, TABLES.calendar.short_days
_UNSAYABLE = re.compile(r"[^\w' \-.,;:!?…—]|[\d_]")


def say_core(core: str, word: Word) -> str:
    """Say a word without its closing punctuation."""
    core = core.replace("’", "'")
    for rule in _RULES:
        said = rule(core, word)
        if said is not None:
            break
    else:
        said = core
    return " ".join(_UNSAYABLE.sub(" ", said).split()).strip(" -.,;:")


def _pieces(core: str, separator: str, joint: str) -> str:
    """Say the pieces between what the pattern ``separator`` matches, with ``joint`` between them."""
    parts = [part for part in re.split(separator, core) if part]
    said = (_short_day(part) or say_core(part, Word(part, part)) for part in parts)
    return joint.join(piece for piece in said if piece)


def _short_day(part: str) -> str | None:
    return _SHORT_DAYS.get(part.lower()) if part[:1].isupper() else None


def _tagged(core: str, word: Word) -> str | None:
    """ "#3", "#A1-2093", "#HashTag", "@john_doe"."""
    if match := re.fullmatch(r"#(\d[\d,]*)", core):
        return f"number {amount(match[1])}"
    if core.startswith("#") and re.search(r"\d", core):
        return f"number {say_core(core[1:], word)}"
    if match := re.fullmatch(r"([#@])([^\W\d_][\w.-]*)", core):
        words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|_", " ", match[2])
        return f"{'hashtag' if match[1] == '#' else 'at'} {_pieces(words, ' ', ' ')}"
    return None


def _possessive(core: str, word: Word) -> str | None:
    """ "1984's", "AT&T's"."""
    match = re.fullmatch(r"(.*\d.*|.*&.*)'s", core)
    return say_core(match[1], word) + "'s" if match else None


def _broken_off(core: str, word: Word) -> str | None:
    """ "wait—what", "well...no"."""
    if not re.search(r"\w[—…]|[—…]\w|\w(?:--+|\.{3,})\w", core):
        return None
    return _pieces(core, r"—|…|--+|\.{3,}", "… " if "…" in core or "..." in core else " — ")


def _ampersand(core: str, word: Word) -> str | None:
    """ "R&D", "salt&pepper"."""
    if "&" not in core.strip("&"):
        return None
    names = [name for name in core.split("&") if name]
    return " and ".join(letters(name) if name.isupper() and len(name) < 4 else say_core(name, word) for name in names)


def _ratio(core: str, word: Word) -> str | None:
    """ "3:1"."""
    return _pieces(core, ":", " to ") if re.fullmatch(r"\d{1,3}(?::\d{1,3})+", core) else None


def _rate(core: str, word: Word) -> str | None:
    """ "miles/hr", "days/week"."""
    match = re.fullmatch(r"(\w+)/(\w+)", core)
    per = _MEASURES.per.get(match[2], match[2]) if match else ""
    return f"{say_core(match[1], word)} per {per}" if match and per in _MEASURES.per_words else None


def _separated(core: str, word: Word) -> str | None:
    """ "and/or", "snake_case", "a,b", "2+2=4"."""
    if not re.search(r"[/\\_=]|\w\+\w|[:,;!?]\w", core.strip("/\\_=")):
        return None
    if re.fullmatch(r"[\d.+=]+", core):
        return _pieces(re.sub(r"([+=])", r" \1 ", core), " ", " ")
    return _pieces(core, r"[/\\_=+]+|(?<=[:,;!?])(?=\w)", " ")


def _serial(core: str, word: Word) -> str | None:
    """ "A1-2093"."""
    if not re.fullmatch(r"(?=.*[A-Z])(?=.*\d{3})[A-Z\d]+(?:-[A-Z\d]+)+", core):
        return None
    return ", ".join(letters_and_digits(part, word) or part for part in core.split("-"))


def _dashed(core: str, word: Word) -> str | None:
    """ "10-12", "Mon–Fri", "COVID-19"; plain words keep their hyphens."""
    if not re.search(DASH, core.strip("-–−")) or not (re.search(r"\d", core) or re.search("[–−]", core)):
        return None
    to = re.fullmatch(rf"\d+\w*{DASH}\d+\w*", core) or re.fullmatch(r"[^\W\d_]+–[^\W\d_]+", core)
    return _pieces(core, DASH, " to " if to else " ")


def _dotted(core: str, word: Word) -> str | None:
    """ "node.js"."""
    dotted = re.search(r"[^\W\d_]\.[^\W\d_]", core) and re.fullmatch(r"[\w.-]+", core)
    return _pieces(core, r"\.", " dot ") if dotted else None


_RULES: tuple[Rule, ...] = (
    *(email, url),
    *(time, half_of_day, numeric_date, day_of_month, name_of_month_or_day, years),
    *(identifier, version),
    *(price, feet_and_inches, measure, ordinal_number, fraction),
    *(symbol, spelled, roman),
    *(_tagged, _possessive, size),
    *(_broken_off, _ampersand, _ratio, _rate, _separated, _serial, _dashed, _dotted),
    *(letters_and_digits, suffixed),
)
