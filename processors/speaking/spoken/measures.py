"""Amounts with a sign, a unit or both."""

import re

from processors.speaking.spoken.counting import DASH, NUMBER, amount, cardinal, plural, year
from processors.speaking.spoken.identifiers import in_a_place
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_UNITS, _DEGREES, _PER = TABLES.measures.units, TABLES.measures.degrees, TABLES.measures.per
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_MEASURE = re.compile(
    rf"([-−+~≈<>≤≥±]?)({NUMBER})(?:(?:{DASH}|to)({NUMBER}))?(°[CFK]|{_UNIT}|%|[kKMB]|[xX×]|\+)?(/[A-Za-z]+)?"
)


def feet_and_inches(core: str, word: Word) -> str | None:
    """ "5'11"."""
    match = re.fullmatch(r"(\d)['′](\d{1,2})[\"″]?", core)
    return f"{cardinal(int(match[1]))} foot {cardinal(int(match[2]))}" if match else None


def measure(core: str, word: Word) -> str | None:
    """ "16GB", "10-15%", "-5", "~20 min", "100km/h", "10K"."""
    match = _MEASURE.fullmatch(core)
    if match is None:
        return None
    sign, least, most, unit, per = match.groups()
    if unit in ("B", "M") and ((len(least) > 2 and "." not in least) or in_a_place(word)):
        return None
    one = not most and least == "1"
    said = f"{amount(least)} to {amount(most)}" if most else amount(least)
    if unit:
        said += f" {_unit(unit, one)}"
    elif not per:
        _say_unit_after(word, one)
    if per:
        said += f" per {_PER.get(per[1:], per[1:])}"
    return f"{TABLES.signs[sign]} {said}" if sign else said


def size(core: str, word: Word) -> str | None:
    """ "1920x1080", "3x5cm"."""
    match = re.fullmatch(rf"({NUMBER})[x×]({NUMBER})([a-zA-Z]+)?", core)
    if match is None:
        return None
    unit = f" {plural(_UNITS[match[3]])}" if match[3] in _UNITS else ""
    sizes = [year(int(n)) if re.fullmatch(r"1\d\d\d", n) else amount(n) for n in (match[1], match[2])]
    return " by ".join(sizes) + unit


def _unit(unit: str, one: bool) -> str:
    """Say what follows a number in the same word; ``one`` for the singular."""
    if unit == "%":
        return "percent"
    if unit == "+":
        return "plus"
    if unit in ("x", "X", "×"):
        return "times"
    if unit in ("k", "K"):
        return "K"
    if unit in ("M", "B"):
        return TABLES.money.scales[unit.lower()]
    if unit.startswith("°") and unit[1:] in _DEGREES:
        return f"degree{'' if one else 's'} {_DEGREES[unit[1:]]}"
    return _UNITS[unit] if one else plural(_UNITS[unit])


def _say_unit_after(word: Word, one: bool) -> None:
    """Say the unit that stands apart from its number: "5 lbs", "20 °C", "12 USD"."""
    after = word.after
    if after is None or word.closing or after.opening:
        return
    unit = after.core
    if unit in TABLES.money.codes:
        name = TABLES.money.codes[unit]
    elif unit in ("°C", "°F"):
        after.said_before = f"degrees {_DEGREES[unit[1]]}"
        return
    elif unit in _UNITS and (unit not in TABLES.measures.unsure or after.closing or after.after is None):
        name = _UNITS[unit]
    elif unit in TABLES.measures.powers:
        after.said_before = TABLES.measures.powers[unit]
        if after.after is not None and after.after.core in _UNITS:
            after.after.said_before = plural(_UNITS[after.after.core])
        return
    else:
        return
    after.said_before = name if one else plural(name)
