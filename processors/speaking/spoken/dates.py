"""Dates, months, days and years."""

import re

from processors.speaking.spoken.counting import DASH, cardinal, ordinal, year
from processors.speaking.spoken.identifiers import identified
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_CALENDAR = TABLES.calendar
_MONTHS = list(_CALENDAR.months)


def numeric_date(core: str, word: Word) -> str | None:
    """ "2024-05-03", "5/3/24", "31.12.1999"."""
    if match := re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:T[\d:.]+Z?)?", core):
        number, month, day = match[1], int(match[2]), int(match[3])
    elif match := re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})", core):
        month, day, number = int(match[1]), int(match[2]), match[3]
        if "." in core and len(number) == 2:
            return None
        if month > 12:
            month, day = day, month
        if len(number) == 2:
            number = ("19" if int(number) > 50 else "20") + number
    else:
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{_MONTHS[month - 1]} {ordinal(day)}, {year(int(number))}"


def day_of_month(core: str, word: Word) -> str | None:
    """A number beside a month: "May 5", "5 May", "May 5-7"."""
    match = re.fullmatch(rf"(\d{{1,2}})(?:st|nd|rd|th)?(?:{DASH}(\d{{1,2}})(?:st|nd|rd|th)?)?", core)
    if match is None or not all(1 <= int(day) <= 31 for day in match.groups() if day):
        return None
    said = " to ".join(ordinal(int(day)) for day in match.groups() if day)
    if _is_month(word.before) and not (word.before and word.before.closing.strip(".")):
        return said
    if _is_month(word.after) and not word.closing:
        article = word.before is not None and word.before.key == "the"
        return f"{said} of" if article else f"the {said} of"
    return None


def name_of_month_or_day(core: str, word: Word) -> str | None:
    """Months and days cut short, where a number beside them shows that they are."""
    beside = any(other is not None and other.is_number for other in (word.before, word.after))
    return month_or_day(core.lower()) if beside and core[:1].isupper() else None


def years(core: str, word: Word) -> str | None:
    """ "1984", "the 1990s", "2019-2024"."""
    if match := re.fullmatch(r"((?:1[1-9]|20)?\d0)'?s", core):
        decade = match[1]
        said = year(int(decade)) if len(decade) == 4 else cardinal(int(decade))
        return said[:-1] + "ies" if said.endswith("y") else said + "s"
    match = re.fullmatch(rf"(1[1-9]\d\d|20\d\d)(?:{DASH}(\d{{4}}|\d\d))?", core)
    if match is None:
        return None
    first, last, before = match[1], match[2], word.before
    if last and (before is None or before.key not in TABLES.identifiers.named_by):
        return f"{year(int(first))} to {year(int(last)) if len(last) == 4 else cardinal(int(last))}"
    dated = before is not None and (
        before.key in _CALENDAR.before_a_year or _is_month(before) or re.fullmatch(r"\d{1,2}\w{0,2}", before.core)
    )
    recent = 1900 <= int(first) < 2100 and not identified(word) and (word.after is None or bool(word.closing))
    return year(int(first)) if not last and (dated or recent) else None


def month_or_day(key: str) -> str | None:
    """The month or day that ``key`` names, in lower case: "jan" is January, "mon" Monday."""
    return _CALENDAR.month_names.get(key) or _CALENDAR.short_days.get(key)


def _is_month(word: Word | None) -> bool:
    """Whether ``word`` names a month: "may" and "march" without a capital do not."""
    return word is not None and word.capital and word.key in _CALENDAR.month_names
