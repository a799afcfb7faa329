"""How numbers are said, in one or digit by digit, and things that are counted."""

from hibari.g2p import numbers

from processors.speaking.spoken.tables import TABLES

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
"""Matches an amount as it is written."""
DASH = r"[-–—−‒]"


def cardinal(number: int) -> str:
    """105 is "one hundred five"."""
    return _plainly(numbers.cardinal(number))


def ordinal(number: int) -> str:
    """105 is "one hundred fifth"."""
    return _plainly(numbers.ordinal(number))


def year(number: int) -> str:
    """1905 is "nineteen oh five"."""
    return _plainly(numbers.year(number))


def _plainly(words: str) -> str:
    return words.replace(",", "").replace(" and ", " ").replace("oh-", "oh ")


def digit_by_digit(digits: str) -> str:
    """ "007" is "zero zero seven"."""
    return " ".join(numbers.ONES[int(digit)] for digit in digits)


def by_threes(digits: str) -> str:
    """Say digits one by one, with a breath between threes where there are more than five."""
    if len(digits) <= 5:
        return digit_by_digit(digits)
    cuts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    if len(cuts[-1]) == 1:
        cuts[-2:] = [cuts[-2] + cuts[-1]]
    return ", ".join(digit_by_digit(cut) for cut in cuts)


def amount(written: str) -> str:
    """Say what `NUMBER` matches: "1,250.5" is "one thousand two hundred fifty point five"."""
    whole, point, fraction = written.replace(",", "").partition(".")
    if len(whole) > 15 or (len(whole) > 1 and whole.startswith("0")):
        said = digit_by_digit(whole)
    else:
        said = cardinal(int(whole)) if whole else ""
    return f"{said} point {digit_by_digit(fraction)}".strip() if point and fraction else said


def plural(unit: str) -> str:
    """ "mile per hour" is "miles per hour"."""
    head, per, tail = unit.partition(" per ")
    *words, last = head.split()
    return " ".join([*words, TABLES.plurals.get(last, last + "s")]) + per + tail


def count(written: str, unit: str) -> str:
    """Say an amount of something: "1" and "foot" is "one foot", "2" and "foot" is "two feet"."""
    return f"{amount(written)} {unit if written == '1' else plural(unit)}"
