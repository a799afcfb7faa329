"""Times of day."""

import re

from processors.speaking.spoken.counting import DASH, cardinal, count
from processors.speaking.spoken.words import Word

_HALF_OF_DAY = re.compile(r"([AaPp])\.?[Mm]")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:([AaPp])\.?[Mm])?")
_HOUR = re.compile(r"(\d{1,2})([AaPp])\.?[Mm]")


def time(core: str, word: Word) -> str | None:
    """ "7:30", "9am", "9-5pm"."""
    parts = re.split(DASH, core)
    if len(parts) > 2 or all(part.isdecimal() for part in parts):
        return None
    said = []
    for part in parts:
        if match := _TIME.fullmatch(part):
            hour, minute, second, half = int(match[1]), int(match[2]), match[3], match[4]
            if hour > 24 or minute > 59:
                return None
            marked = bool(half) or len(parts) > 1 or _half_of_day_follows(word)
            said.append(_clock(hour, minute, int(second) if second else None, marked))
        elif match := _HOUR.fullmatch(part):
            if not 1 <= int(match[1]) <= 12:
                return None
            said.append(cardinal(int(match[1])))
            half = match[2]
        elif len(parts) > 1 and part.isdecimal() and int(part) <= 24:
            said.append(cardinal(int(part)))
            half = ""
        else:
            return None
        if half:
            said[-1] += f" {half.upper()}.M"
    return " to ".join(said)


def half_of_day(core: str, word: Word) -> str | None:
    """ "pm", and "am" where it is no verb."""
    follows_hour = word.before is not None and bool(re.search(r"\d$", word.before.core))
    match = _HALF_OF_DAY.fullmatch(core)
    if match and (follows_hour or "." in core or core.lower() == "pm"):
        return f"{match[1].upper()}.M"
    return None


def _half_of_day_follows(word: Word) -> bool:
    return word.after is not None and _HALF_OF_DAY.fullmatch(word.after.core) is not None and not word.closing


def _clock(hour: int, minute: int, second: int | None, marked: bool) -> str:
    """Say a time; ``marked`` is one that shows to be a time without "o'clock"."""
    said = cardinal(hour)
    if minute:
        said += f" oh {cardinal(minute)}" if minute < 10 else f" {cardinal(minute)}"
    elif not marked and second is None:
        said += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second is not None:
        said += f" and {count(str(second), 'second')}"
    return said
