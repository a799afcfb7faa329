"""How written text is said aloud: numbers, dates, money, addresses, abbreviations and leftovers of markup.

Every whitespace-separated word of the text keeps its place, with what is said for it beside it, so that whoever knows
when something was said also knows which written word that was. What is said holds letters, apostrophes, hyphens and
punctuation only. Abbreviations lose their full stop, so a full stop that is left ends a sentence. Letters to be spelled
are joined by full stops, with none at the end ("U.K", "P.M").

Dates are read the American way (month first) where the order is open.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from hibari.g2p import numbers


class Spoken(NamedTuple):
    """A written word and what is said for it; nothing is said for an emoji or a bullet."""

    written: str
    said: str


def spoken(text: str) -> list[Spoken]:
    """Say ``text``: one entry for each of ``text.split()``, in order."""
    plain, groups = _mark(text)
    words = [_Word(m.group(), plain[m.start() : m.end()].replace(_DROP, ""), m.start()) for m in _WORD.finditer(text)]
    kept = [word for word in words if word.text]
    for i, word in enumerate(kept):
        word.before, word.after = kept[i - 1] if i else None, kept[i + 1] if i + 1 < len(kept) else None
        word.line = "\n" + text[: word.start].rpartition("\n")[2]
        group = next((span for span in groups if span[0] <= word.start < span[1]), None)
        word.group = group[1] if group else 0
    for word in kept:
        word.said = _say(word)
    for word, after in pairwise(kept):
        gap = text[word.start + len(word.written) : after.start]
        if "\n" in gap and word.said and word.said[-1] not in _PAUSES:
            heading = re.match(r"\n\s*#", word.line)
            item = gap.count("\n") > 1 or gap.strip() or _NUMBERED.match(after.text)
            word.said += "." if heading or item else ","
    return [Spoken(word.written, word.said) for word in words]


# --- markup ----------------------------------------------------------------------------------------------------------

_DROP = "\0"
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff\u25a0-\u25ff\u200b-\u200f\u2060\ufe00-\ufe0f"
    "\u20e3\ufeff\U000e0000-\U000e007f\ue000-\uf8ff"
)
_MARKUP = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"```[\w+-]*|~~~[\w+-]*",  # fences
        r"!?\[(?P<keep>[^\]\n]*)\]\([^)\n]*\)",  # links, images
        r"</?[A-Za-z][^<>\n]*>|<!--.*?-->",  # tags
        r"\[\^?\d{1,3}\]",  # footnotes
        r"^[ \t]{0,3}#{1,6}(?=\s)",  # headings
        r"^[ \t]*[|:-][|: -]*-[|: -]*-[|: -]*$|^[ \t]*[*_=](?:[ \t]*[*_=]){2,}[ \t]*$",  # rules
        r"^[ \t]*[-*+•‣◦▪–](?=\s)",  # bullets
        r"^[ \t]*>+(?=\s|\w)",  # quotes
        r"(?<!\S)(?:[:;=]['’]?-?[)(DPp/|3oO\]]|<3|\^_\^)(?=[\s.,!?]|$)",  # emoticons
        rf"[{_EMOJI}©®™`|\x00-\x08\x0e-\x1b\x7f]|\*\*+|__+|~~+",
        r"(?<!\w)[*_](?=[^\s*_])|(?<=[^\s*_])[*_](?!\w)",  # emphasis
    )
]
_NUMBERED = re.compile(r"\d{1,2}[.)]$")

# Numbers whose digits are read one by one, and which may hold spaces.
_DIGIT_GROUPS = re.compile(
    r"(?<![\w.$€£,/-])(?:"
    r"(?:\+?1[ .-]?)?(?:\(\d{3}\)[ .-]?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # North American telephone
    r"|\d{3}-\d{4}|\d{3}-\d{2}-\d{4}"  # local telephone, social security
    r"|\+\d{1,3}(?:[ .-]?\(?\d{2,5}\)?){2,5}"  # international telephone
    r"|0\d{1,4}[ -]\d{3,4}(?:[ -]?\d{3,4}){0,2}"  # national telephone
    r"|\d{4}(?:[ -]\d{4}){2,3}"  # card
    r")(?![\w%]|[.,-]\d)"
)


def _mark(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Blank out markup, keeping every character's place, and find the groups of digits."""
    text = re.sub(r"\d", lambda match: str(int(match[0])), text)  # digits of other scripts
    for pattern in _MARKUP:
        text = pattern.sub(_blank, text)
    return text, [match.span() for match in _DIGIT_GROUPS.finditer(text)]


def _blank(match: "re.Match[str]") -> str:
    start, end = match.span("keep") if "keep" in match.groupdict() else (match.end(), match.end())
    dropped = match.string[match.start() : start], match.string[end : match.end()]
    before, after = (re.sub(r"\S", _DROP, part) for part in dropped)
    return before + match.string[start:end] + after


# --- words -----------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"\S+")
_PAUSES = ",.;:!?…—"
_QUOTES = "\"'“”‘’«»"
_OPENING = _QUOTES + "([{"
_CLOSING = _QUOTES + ")]},.;:!?…"


@dataclass(eq=False)
class _Word:
    written: str
    text: str  # without markup
    start: int  # in characters of the text
    line: str = ""  # what stands before it in its line, after a line feed
    group: int = 0  # identifies the group of digits it belongs to
    before: "_Word | None" = None
    after: "_Word | None" = None
    said: str = ""
    said_before: str | None = None  # decided by the word before

    def __post_init__(self) -> None:
        core = self.text.lstrip(_OPENING)
        self.opening = self.text[: len(self.text) - len(core)]
        self.core = core.rstrip(_CLOSING)
        self.closing = core[len(self.core) :]

    @property
    def first(self) -> bool:
        """Whether a sentence begins with it."""
        return self.before is None or (self.before.closing[-1:] in tuple(".!?…") and not self.before.abbreviated)

    @property
    def abbreviated(self) -> bool:
        return self.closing.startswith(".") and (
            self.core in _TITLES or self.core in _PLACES or self.core.lower() in _ABBREVIATIONS
        )

    @property
    def capital(self) -> bool:
        return self.core[:1].isupper()

    @property
    def key(self) -> str:
        return self.core.lower()


def _say(word: _Word) -> str:
    closing = word.closing
    if not word.core:
        said = ""
    elif word.said_before is not None:
        said = word.said_before
    elif word.group:
        said = _say_digit_group(word)
    else:
        said, full_stop_spoken = _say_abbreviation(word)
        if full_stop_spoken:
            closing = closing[1:]
        elif not said:
            said = _say_core(word.core, word)
    if not said and closing and word.before is not None and word.before.said[-1:] not in tuple(_PAUSES):
        word.before.said += closing.strip(_QUOTES + "()[]{}")[:1]
    if _NUMBERED.match(word.text) and not word.line.strip() and word.after is not None:
        closing = ","
    pauses = re.sub(r"\.{2,}", "…", re.sub(r"[^,.;:!?…]", "", closing))
    same_group = word.group and word.after is not None and word.after.group == word.group
    return said + ("," if same_group and not pauses else pauses) if said else ""


_ALLOWED = re.compile(r"[^\w' \-.,;:!?…—]|[\d_]")


def _say_core(core: str, word: _Word) -> str:
    """Say a word without its closing punctuation."""
    core = core.replace("’", "'")
    for rule in _RULES:
        said = rule(core, word)
        if said is not None:
            break
    else:
        said = core
    return " ".join(_ALLOWED.sub(" ", said).split()).strip(" -.,;:")


Rule = Callable[[str, _Word], str | None]
_RULES: list[Rule] = []


def _rule(function: Rule) -> Rule:
    """Add a rule, tried after those above it: what is said for a word, or None where it does not apply."""
    _RULES.append(function)
    return function


# --- numbers ---------------------------------------------------------------------------------------------------------

_N = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_DASH = r"[-–—−‒]"


def _plainly(words: str) -> str:
    return words.replace(",", "").replace(" and ", " ").replace("oh-", "oh ")


def _cardinal(number: int) -> str:
    return _plainly(numbers.cardinal(number))


def _ordinal(number: int) -> str:
    return _plainly(numbers.ordinal(number))


def _year(number: int) -> str:
    return _plainly(numbers.year(number))


def _digits(digits: str) -> str:
    return " ".join(numbers.ONES[int(digit)] for digit in digits)


def _number(written: str) -> str:
    """Say an amount: "1,250.5" is "one thousand two hundred fifty point five"."""
    whole, point, fraction = written.replace(",", "").partition(".")
    if len(whole) > 15 or (len(whole) > 1 and whole.startswith("0")):
        said = _digits(whole)
    else:
        said = _cardinal(int(whole)) if whole else ""
    return f"{said} point {_digits(fraction)}".strip() if point and fraction else said


def _plural(unit: str) -> str:
    head, of, tail = unit.partition(" per ")
    irregular = {"foot": "feet", "inch": "inches", "hertz": "hertz", "yen": "yen", "won": "won", "pence": "pence"}
    if head.endswith("hertz"):
        irregular[head] = head
    words = head.split()
    words[-1] = irregular.get(words[-1], words[-1] + "s")
    return " ".join(words) + of + tail


def _count(amount: str, unit: str) -> str:
    return f"{_number(amount)} {unit if amount == '1' else _plural(unit)}"


def _letters(text: str) -> str:
    """Spell letters: "pm" is "P.M"."""
    return ".".join(text.upper())


def _say_digit_group(word: _Word) -> str:
    groups = re.findall(r"\d+", word.text)
    said = ", ".join("eight hundred" if group == "800" else _digits(group) for group in groups)
    return f"plus {said}" if word.text.startswith("+") else said


# --- addresses -------------------------------------------------------------------------------------------------------

_EMAIL = re.compile(r"(?:mailto:)?([\w.+%-]+)@([\w-]+(?:\.[\w-]+)+)")
_TOP_LEVEL = "com|org|net|edu|gov|io|co|ai|dev|app|info|me|tv|uk|us|de|fr|eu|ca|au|biz|ly|gg|xyz|health|shop"
_URL = re.compile(
    rf"(?:(?:https?|ftp|wss?)://)(?:www\.)?([\w.-]+)(?::\d+)?(/\S*)?"
    rf"|(?:www\.)([\w-]+(?:\.[\w-]+)+)(/\S*)?"
    rf"|((?:[A-Za-z0-9-]+\.)+(?:{_TOP_LEVEL}))(/\S*)?",
    re.IGNORECASE,
)
_SIGNS = {".": "dot", "-": "dash", "_": "underscore", "+": "plus", "/": "slash", "%": "percent"}
_SPELLED_DOMAINS = {"uk", "us", "tv", "eu", "au", "edu", "de", "fr", "ca", "gg", "ly"}


def _say_address(text: str) -> str:
    said = []
    for part in re.findall(r"[A-Za-z]+|\d+|[^\W\d_]+|[._+/%-]", text):
        if part in _SIGNS:
            said.append(_SIGNS[part])
        elif part.isdecimal():
            said.append(_number(part) if len(part) < 3 or part.endswith("00") else _digits(part))
        elif part.lower() in _SPELLED_DOMAINS or len(part) == 1 or not re.search(r"[aeiouy]", part, re.IGNORECASE):
            said.append("com" if part.lower() == "com" else _letters(part))
        else:
            said.append(part.lower())
    return " ".join(said)


@_rule
def _email(core: str, word: _Word) -> str | None:
    match = _EMAIL.fullmatch(core)
    return f"{_say_address(match[1])} at {_say_address(match[2])}" if match else None


@_rule
def _url(core: str, word: _Word) -> str | None:
    """Say the host, and the path where it is short and made of words."""
    match = _URL.fullmatch(core)
    if match is None:
        return None
    host, path = match[1] or match[3] or match[5], match[2] or match[4] or match[6] or ""
    path = path.rstrip("/")
    speakable = len(path) <= 24 and re.fullmatch(r"(?:/[A-Za-z-]+)*", path)
    return _say_address(host + path if speakable else host)


# --- dates and times -------------------------------------------------------------------------------------------------

_MONTHS = ("january february march april may june july august september october november december").split()
_MONTH = {name[:3]: name for name in _MONTHS} | {name: name for name in _MONTHS} | {"sept": "september"}
_DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday",
    "thur": "Thursday", "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_HALF_OF_DAY = re.compile(r"([AaPp])\.?[Mm]")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:([AaPp])\.?[Mm])?")
_HOUR = re.compile(r"(\d{1,2})([AaPp])\.?[Mm]")
_BEFORE_A_YEAR = set(
    "in since by from of until till before after during year circa around between and to late early mid spring summer"
    " autumn fall winter".split()
)


def _month(word: _Word | None) -> str | None:
    """The month ``word`` names, capitalised, or None. "May", "March" and "Sun" need a capital."""
    return _MONTH[word.key].capitalize() if word is not None and word.capital and word.key in _MONTH else None


def _half_of_day_follows(word: _Word) -> bool:
    return word.after is not None and _HALF_OF_DAY.fullmatch(word.after.core) is not None and not word.closing


def _say_time(hour: int, minute: int, second: int | None, marked: bool) -> str:
    said = _cardinal(hour)
    if minute:
        said += f" oh {_cardinal(minute)}" if minute < 10 else f" {_cardinal(minute)}"
    elif not marked and second is None:
        said += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second is not None:
        said += f" and {_count(str(second), 'second')}"
    return said


@_rule
def _time(core: str, word: _Word) -> str | None:
    parts = re.split(_DASH, core)
    if not 1 <= len(parts) <= 2:
        return None
    said = []
    for part in parts:
        if match := _TIME.fullmatch(part):
            hour, minute, second, half = int(match[1]), int(match[2]), match[3], match[4]
            if hour > 24 or minute > 59:
                return None
            marked = bool(half) or len(parts) > 1 or _half_of_day_follows(word)
            said.append(_say_time(hour, minute, int(second) if second else None, marked))
        elif match := _HOUR.fullmatch(part):
            if not 1 <= int(match[1]) <= 12:
                return None
            said.append(_cardinal(int(match[1])))
            half = match[2]
        elif len(parts) > 1 and part.isdecimal() and int(part) <= 24:
            said.append(_cardinal(int(part)))
            half = ""
        else:
            return None
        if half:
            said[-1] += f" {half.upper()}.M"
    if all(part.isdecimal() for part in parts):
        return None
    return " to ".join(said)


@_rule
def _half_of_day(core: str, word: _Word) -> str | None:
    follows_hour = word.before is not None and bool(re.search(r"\d$", word.before.core))
    match = _HALF_OF_DAY.fullmatch(core)
    if match and (follows_hour or "." in core or core.lower() == "pm"):
        return f"{match[1].upper()}.M"
    return None


@_rule
def _numeric_date(core: str, word: _Word) -> str | None:
    if match := re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:T[\d:.]+Z?)?", core):
        year, month, day = match[1], int(match[2]), int(match[3])
    elif match := re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})", core):
        month, day, year = int(match[1]), int(match[2]), match[3]
        if "." in core and len(year) == 2:
            return None
        if month > 12:
            month, day = day, month
        if len(year) == 2:
            year = ("19" if int(year) > 50 else "20") + year
    else:
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{_MONTHS[month - 1].capitalize()} {_ordinal(day)}, {_year(int(year))}"


@_rule
def _day_of_month(core: str, word: _Word) -> str | None:
    match = re.fullmatch(rf"(\d{{1,2}})(?:st|nd|rd|th)?(?:{_DASH}(\d{{1,2}})(?:st|nd|rd|th)?)?", core)
    if match is None or not all(1 <= int(day) <= 31 for day in match.groups() if day):
        return None
    said = " to ".join(_ordinal(int(day)) for day in match.groups() if day)
    if _month(word.before) and not (word.before and word.before.closing.strip(".")):
        return said
    if _month(word.after) and not word.closing:
        article = word.before is not None and word.before.key == "the"
        return f"{said} of" if article else f"the {said} of"
    return None


def _month_or_day(key: str) -> str | None:
    return _MONTH[key].capitalize() if key in _MONTH else _DAYS.get(key)


@_rule
def _name_of_month_or_day(core: str, word: _Word) -> str | None:
    """Months and days cut short, where a number beside them shows that they are."""
    beside = any(other is not None and other.core[:1].isdecimal() for other in (word.before, word.after))
    return _month_or_day(core.lower()) if beside and core[:1].isupper() else None


@_rule
def _years(core: str, word: _Word) -> str | None:
    if match := re.fullmatch(r"((?:1[1-9]|20)?\d0)'?s", core):
        decade = match[1]
        said = _year(int(decade)) if len(decade) == 4 else _cardinal(int(decade))
        return said[:-1] + "ies" if said.endswith("y") else said + "s"
    match = re.fullmatch(rf"(1[1-9]\d\d|20\d\d)(?:{_DASH}(\d{{4}}|\d\d))?", core)
    if match is None:
        return None
    if match[2] and (word.before is None or word.before.key not in _IDENTIFIED):
        return f"{_year(int(match[1]))} to {_year(int(match[2])) if len(match[2]) == 4 else _cardinal(int(match[2]))}"
    before = word.before
    dated = before is not None and (
        before.key in _BEFORE_A_YEAR or _month(before) is not None or re.fullmatch(r"\d{1,2}\w{0,2}", before.core)
    )
    recent = 1900 <= int(match[1]) < 2100 and not _identified(word) and (word.after is None or bool(word.closing))
    return _year(int(match[1])) if not match[2] and (dated or recent) else None


# --- identifiers -----------------------------------------------------------------------------------------------------

_IDENTIFIED = set(
    "order code pin account confirmation ticket reference ref invoice case id extension ext tracking booking zip"
    " passcode password reservation member membership policy serial flight customer claim record employee otp"
    " phone telephone tel fax card ending".split()
)


def _identified(word: _Word) -> bool:
    """Whether the words before say that a number names something: "order 12345", "your code is 4821"."""
    other = word.before
    for _ in range(3):
        if other is None or other.closing.strip(":#)"):
            return False
        if other.key in _IDENTIFIED:
            return True
        if other.key not in ("is", "number", "no", "#", "was", "in", "code", "with"):
            return False
        other = other.before
    return False


def _in_a_place(word: _Word) -> bool:
    return word.before is not None and word.before.key in ("room", "suite", "apartment", "apt", "unit", "gate", "bus")


def _by_threes(digits: str) -> str:
    """Say digits one by one, with a breath between threes where there are more than five."""
    if len(digits) <= 5:
        return _digits(digits)
    cuts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    if len(cuts[-1]) == 1:
        cuts[-2:] = [cuts[-2] + cuts[-1]]
    return ", ".join(_digits(cut) for cut in cuts)


@_rule
def _identifier(core: str, word: _Word) -> str | None:
    if re.fullmatch(r"\d+(?:-\d+)+", core) and _identified(word):
        return ", ".join(_digits(part) for part in core.split("-"))
    match = re.fullmatch(r"#?(\d+)", core)
    if match is None:
        return None
    digits = match[1]
    state = word.before is not None and bool(re.fullmatch(r"[A-Z]{2}", word.before.core)) and len(digits) == 5
    zeros = len(digits) > 1 and digits.startswith("0")
    if not (zeros or len(digits) > 9 or state or (len(digits) >= 3 and (_in_a_place(word) or _identified(word)))):
        return None
    return ("number " if core.startswith("#") else "") + _by_threes(digits)


@_rule
def _version(core: str, word: _Word) -> str | None:
    match = re.fullmatch(r"([vV]?)(\d+(?:\.\d+)+)", core)
    if match is None or (not match[1] and match[2].count(".") < 2):
        return None
    parts = match[2].split(".")
    between = " dot " if len(parts) > 3 else " point "
    said = between.join(_digits(part) if len(part) > 2 or part.startswith("0") else _number(part) for part in parts)
    return f"version {said}" if match[1] else said


# --- money, amounts --------------------------------------------------------------------------------------------------

_CURRENCIES = {
    "$": ("dollar", "cent"), "US$": ("dollar", "cent"), "C$": ("Canadian dollar", "cent"),
    "A$": ("Australian dollar", "cent"), "£": ("pound", "pence"), "€": ("euro", "cent"), "¥": ("yen", ""),
    "₹": ("rupee", "paisa"), "₩": ("won", ""),
}  # fmt: skip
_CURRENCY_CODES = {"USD": "dollar", "EUR": "euro", "GBP": "pound", "CAD": "Canadian dollar", "JPY": "yen"}
_SCALES = {"k": "thousand", "m": "million", "mm": "million", "mn": "million", "b": "billion", "bn": "billion"}
_SCALES |= {"t": "trillion", "tn": "trillion"}
_SCALE_WORDS = {"thousand", "million", "billion", "trillion", "hundred"}
_SYMBOL = "|".join(re.escape(symbol) for symbol in sorted(_CURRENCIES, key=len, reverse=True))
_MONEY = re.compile(
    rf"([-−+~]?)({_SYMBOL})({_N})(?:{_DASH}(?:{_SYMBOL})?({_N}))?(k|mm?|mn|bn?|tn?)?(\+?)(?:/([A-Za-z]+))?",
    re.IGNORECASE,
)


def _money(symbol: str, amount: str) -> str:
    unit, cent = _CURRENCIES[symbol.upper()]
    whole, _, fraction = amount.replace(",", "").partition(".")
    if not cent or len(fraction) > 2:
        return _count(amount, unit)
    cents = int((fraction + "0")[:2]) if fraction else 0
    said = [_count(whole.lstrip("0") or "0", unit)] if int(whole or 0) or not cents else []
    if cents:
        said.append(_count(str(cents), cent) if cent != "paisa" else f"{_cardinal(cents)} paise")
    return " and ".join(said)


@_rule
def _price(core: str, word: _Word) -> str | None:
    if match := re.fullmatch(rf"({_N})[¢¢]", core):
        return _count(match[1], "cent")
    if match := re.fullmatch(rf"({_N})([£€¥])", core):
        return _money(match[2], match[1])
    match = _MONEY.fullmatch(core)
    if match is None:
        return None
    sign, symbol, amount, most, scale, plus, per = match.groups()
    unit = _plural(_CURRENCIES[symbol.upper()][0])
    after = word.after
    if scale:
        said = f"{_number(amount)} {f'to {_number(most)} ' if most else ''}{_SCALES[scale.lower()]} {unit}"
    elif after is not None and after.key in _SCALE_WORDS and not word.closing:
        after.said_before = f"{after.core} {unit}"
        said = f"{_number(amount)}{f' to {_number(most)}' if most else ''}"
    elif most:
        said = f"{_number(amount)} to {_money(symbol, most)}"
    else:
        said = _money(symbol, amount)
    said = {"": "", "+": "plus ", "~": "about "}.get(sign, "minus ") + said
    return said + (" plus" if plus else "") + (f" per {_PER.get(per, per)}" if per else "")


_PER = {"mo": "month", "yr": "year", "hr": "hour", "h": "hour", "wk": "week", "s": "second", "min": "minute"}
_UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "mi": "mile", "ft": "foot", "yd": "yard",
    "in": "inch", "kg": "kilogram", "g": "gram", "mg": "milligram", "mcg": "microgram", "µg": "microgram",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter",
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "mph": "mile per hour", "m/s": "meter per second",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "Mbps": "megabit per second", "Gbps": "gigabit per second", "kbps": "kilobit per second",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz",
    "W": "watt", "kW": "kilowatt", "MW": "megawatt", "kWh": "kilowatt hour", "V": "volt", "mAh": "milliamp hour",
    "hr": "hour", "hrs": "hour", "h": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "s": "second", "ms": "millisecond", "yrs": "year", "yr": "year", "px": "pixel", "dB": "decibel", "cal": "calorie",
    "kcal": "kilocalorie", "°": "degree", "fps": "frame per second", "sqft": "square foot",
}  # fmt: skip
# Words in their own right: units only where nothing else can be meant.
_UNSURE_UNITS = {"in", "m", "g", "l", "s", "h", "V", "W", "cal"}
_DEGREES = {"C": "Celsius", "F": "Fahrenheit", "K": "Kelvin"}
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_AMOUNT = re.compile(rf"([-−+~≈<>≤≥±]?)({_N})(?:(?:{_DASH}|to)({_N}))?(°[CFK]|{_UNIT}|%|[kKMB]|[xX×]|\+)?(/[A-Za-z]+)?")
_SIGN_WORDS = {
    "-": "minus", "−": "minus", "+": "plus", "~": "about", "≈": "about", "<": "less than", ">": "more than",
    "≤": "at most", "≥": "at least", "±": "plus or minus",
}  # fmt: skip


@_rule
def _feet_and_inches(core: str, word: _Word) -> str | None:
    match = re.fullmatch(r"(\d)['′](\d{1,2})[\"″]?", core)
    return f"{_cardinal(int(match[1]))} foot {_cardinal(int(match[2]))}" if match else None


@_rule
def _amount(core: str, word: _Word) -> str | None:
    match = _AMOUNT.fullmatch(core)
    if match is None:
        return None
    sign, amount, most, unit, per = match.groups()
    if unit in ("B", "M") and ((len(amount) > 2 and "." not in amount) or _in_a_place(word)):
        return None
    said = f"{_number(amount)} to {_number(most)}" if most else _number(amount)
    one = not most and amount == "1"
    if unit == "%":
        said += " percent"
    elif unit == "+":
        said += " plus"
    elif unit in ("x", "X", "×"):
        said += " times"
    elif unit in ("k", "K", "M", "B"):
        said += f" {unit.upper()}" if unit in "kK" else f" {_SCALES[unit.lower()]}"
    elif unit and unit[1:] in _DEGREES and unit.startswith("°"):
        said += f" degree{'' if one else 's'} {_DEGREES[unit[1:]]}"
    elif unit:
        said += f" {_UNITS[unit] if one else _plural(_UNITS[unit])}"
    elif not per:
        _say_unit_after(word, one)
    if per:
        said += f" per {_PER.get(per[1:], per[1:])}"
    return f"{_SIGN_WORDS[sign]} {said}" if sign else said


def _say_unit_after(word: _Word, one: bool) -> None:
    """Say the unit that stands apart from its number: "5 lbs", "20 °C", "12 USD"."""
    after = word.after
    if after is None or word.closing or after.opening:
        return
    unit = after.core
    if unit in _CURRENCY_CODES:
        name = _CURRENCY_CODES[unit]
    elif unit in ("°C", "°F"):
        after.said_before = f"degrees {_DEGREES[unit[1]]}"
        return
    elif unit in _UNITS and (unit not in _UNSURE_UNITS or after.closing or after.after is None):
        name = _UNITS[unit]
    elif unit in ("sq", "cu"):
        after.said_before = "square" if unit == "sq" else "cubic"
        if after.after is not None and after.after.core in _UNITS:
            after.after.said_before = _plural(_UNITS[after.after.core])
        return
    else:
        return
    after.said_before = name if one else _plural(name)


@_rule
def _ordinal_number(core: str, word: _Word) -> str | None:
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)", core, re.IGNORECASE)
    return _ordinal(int(match[1].replace(",", ""))) if match and len(match[1]) < 16 else None


_PARTS_OF = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth"}
_PARTS_OF[10] = "tenth"
_VULGAR = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8)}


def _fraction_words(part: int, whole: int) -> str:
    name = _PARTS_OF[whole]
    return f"{'one' if part == 1 else _cardinal(part)} {name if part == 1 else name + 's'}"


@_rule
def _fraction(core: str, word: _Word) -> str | None:
    if match := re.fullmatch(rf"(\d*)([{''.join(_VULGAR)}])", core):
        said = _fraction_words(*_VULGAR[match[2]])
        if not match[1]:
            return said
        said = {"one half": "a half", "one quarter": "a quarter"}.get(said, said)
        return f"{_cardinal(int(match[1]))} and {said}"
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", core)
    if match is None:
        return None
    part, whole = int(match[1]), int(match[2])
    if 0 < part < whole < 10 or (part, whole) == (1, 10):
        said = _fraction_words(part, whole)
        mixed = word.before is not None and word.before.core.isdecimal() and not word.before.closing
        return f"and {said.replace('one half', 'a half')}" if mixed else said
    if (part, whole) in ((24, 7), (50, 50), (9, 11)):
        return f"{_cardinal(part)} {_cardinal(whole)}"
    return f"{_cardinal(part)} {'out of' if whole in (10, 20, 100) else 'slash'} {_cardinal(whole)}"


# --- abbreviations ---------------------------------------------------------------------------------------------------

_TITLES = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "St": "Saint", "Mt": "Mount",
    "Ft": "Fort", "Gen": "General", "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Capt": "Captain",
    "Lt": "Lieutenant", "Col": "Colonel", "Sgt": "Sergeant", "Rev": "Reverend", "Hon": "Honorable",
}  # fmt: skip
_PLACES = {
    "St": "Street", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Dr": "Drive", "Ln": "Lane", "Hwy": "Highway",
    "Pkwy": "Parkway", "Ct": "Court", "Sq": "Square", "Pl": "Place", "Apt": "Apartment", "Bldg": "Building",
    "Ste": "Suite",
}  # fmt: skip
_ABBREVIATIONS = {
    "e.g": "for example", "eg": "for example", "i.e": "that is", "ie": "that is", "etc": "et cetera", "vs": "versus",
    "approx": "approximately", "dept": "department", "est": "established", "a.k.a": "also known as",
    "jr": "Junior", "sr": "Senior", "inc": "Incorporated", "ltd": "Limited", "corp": "Corporation", "co": "Company",
    "bros": "Brothers", "no": "number", "nos": "numbers", "ext": "extension", "tel": "telephone",
    "misc": "miscellaneous",
    "temp": "temperature", "avg": "average", "max": "maximum", "min": "minimum", "appt": "appointment",
    "appts": "appointments", "govt": "government", "univ": "University", "vol": "volume", "fig": "figure",
    "pp": "pages", "ph.d": "P.H.D", "incl": "including", "excl": "excluding", "cf": "compare", "al": "al",
    "apt": "apartment", "bldg": "building", "hr": "hour", "hrs": "hours", "mins": "minutes", "secs": "seconds",
}  # fmt: skip
# These are words or names too without their full stop, or in another place.
_NEEDS_FULL_STOP = set("no co est min max temp fig al sr jr inc corp ext misc vol eg ie hr".split())
_WITHOUT_FULL_STOP = {
    "w/": "with", "w/o": "without", "b/c": "because", "aka": "also known as", "vs": "versus", "etc": "et cetera",
    "approx": "approximately", "dept": "department", "appt": "appointment", "appts": "appointments",
    "govt": "government", "fyi": "F.Y.I", "btw": "by the way",
    "imo": "in my opinion", "tbd": "to be decided", "n/a": "not applicable",
    "&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "→": "to", "×": "times", "÷": "divided by",
    "±": "plus or minus", "≈": "about", "°": "degrees", "#": "number", "§": "section", "-": "—", "–": "—", "—": "—",
    "--": "—", "---": "—", "...": "…", "…": "…", "sql": "S.Q.L", "vip": "V.I.P",
}  # fmt: skip
_ENDS_SENTENCE = set("etc jr sr inc ltd corp co bros a.m p.m st ave blvd rd dr ln hwy".split())


def _say_abbreviation(word: _Word) -> tuple[str, bool]:
    """What is said for an abbreviation, and whether its full stop belonged to it alone."""
    core, key, stop = word.core, word.key, word.closing.startswith(".")
    before, after = word.before, word.after
    said = ""
    follows_name = before is not None and before.capital and not before.first and not before.closing
    follows_number = before is not None and before.core[:1].isdecimal()
    if core in ("Mr", "Mrs", "Ms"):
        return _TITLES[core], stop
    if core in _TITLES and after is not None and after.capital and not (follows_name and core in _PLACES):
        return _TITLES[core], stop
    if core in _PLACES and (follows_name or follows_number or (stop and core not in _TITLES)):
        said = _PLACES[core]
    elif stop and word.capital and (name := _month_or_day(key)) and key not in _MONTHS:
        said = name if after is not None or key not in ("sun", "sat", "mar") or follows_number else ""
    elif stop and key == "no":
        said = "number" if after is not None and after.core[:1].isdecimal() else ""
    elif stop and key in _ABBREVIATIONS:
        said = _ABBREVIATIONS[key]
        if key in ("min", "max", "temp", "est", "hr", "mins", "secs", "hrs") and after is None and before is not None:
            said = "" if not follows_number else said
    elif key in _ABBREVIATIONS and key not in _NEEDS_FULL_STOP and not core.isupper():
        said = _ABBREVIATIONS[key]
    elif stop and re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])+", core):
        said = _letters(core.replace(".", ""))
    elif stop and len(core) == 1 and core.isupper() and core != "I" and after is not None and after.capital:
        return core, not (before is not None and before.key in ("plan", "option", "vitamin", "section", "group"))
    if not said:
        return "", False
    ends = after is None or (
        after.capital
        and key in _ENDS_SENTENCE
        and after.core != "I"
        and after.key[:3] not in _DAYS
        and after.key[:3] not in _MONTH
    )
    return said, stop and not (ends and word.closing[1:2] not in tuple("!?"))


@_rule
def _symbol(core: str, word: _Word) -> str | None:
    between_numbers = all(other is not None and other.core[:1].isdecimal() for other in (word.before, word.after))
    if core in ("*", "x", "X") and between_numbers:
        return "times" if core == "*" else "by"
    if core in ("-", "–", "−") and between_numbers:
        return "to" if core == "–" else "minus"
    if core == "/" and between_numbers:
        return "divided by"
    if core in ("<", ">") and between_numbers:
        return _SIGN_WORDS[core]
    return _WITHOUT_FULL_STOP.get(core.lower())


@_rule
def _spelled(core: str, word: _Word) -> str | None:
    match = re.fullmatch(r"((?:[A-Za-z]\.)+[A-Za-z])('s)?", core)
    return _letters(match[1].replace(".", "")) + (match[2] or "") if match else None


_COUNTED_IN_ROMAN = set(
    "chapter part act scene section volume book phase article war type level stage class bowl episode round appendix"
    " elizabeth".split()
)
_NUMBERED_IN_ROMAN = set(
    "henry louis edward george charles william james richard pius benedict john paul napoleon frederick philip"
    " alexander nicholas peter catherine ivan elizabeth leo".split()
)


@_rule
def _roman(core: str, word: _Word) -> str | None:
    if word.before is None or not re.fullmatch(r"(?=[IVXLC])L?X{0,3}(?:IX|IV|V?I{0,3})", core):
        return None
    values = [{"I": 1, "V": 5, "X": 10, "L": 50}[letter] for letter in core]
    number = sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
    if word.before.key in _NUMBERED_IN_ROMAN and word.before.capital and (number > 1 or core != "I"):
        return f"the {_ordinal(number)}"
    counted = word.before.key in _COUNTED_IN_ROMAN and (core != "I" or word.closing)
    return _cardinal(number) if counted else None


# --- what joins words ------------------------------------------------------------------------------------------------


def _pieces(core: str, word: _Word, separator: str, joint: str) -> str:
    parts = [part for part in re.split(separator, core) if part]
    said = (
        (part[:1].isupper() and _DAYS.get(part.lower())) or _say_core(part, _Word(part, part, word.start))
        for part in parts
    )
    return joint.join(piece for piece in said if piece)


@_rule
def _tagged(core: str, word: _Word) -> str | None:
    if match := re.fullmatch(r"#(\d[\d,]*)", core):
        return f"number {_number(match[1])}"
    if core.startswith("#") and re.search(r"\d", core):
        return f"number {_say_core(core[1:], word)}"
    if match := re.fullmatch(r"([#@])([^\W\d_][\w.-]*)", core):
        words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|_", " ", match[2])
        return f"{'hashtag' if match[1] == '#' else 'at'} {_pieces(words, word, ' ', ' ')}"
    return None


@_rule
def _possessive(core: str, word: _Word) -> str | None:
    match = re.fullmatch(r"(.*\d.*|.*&.*)'s", core)
    return _say_core(match[1], word) + "'s" if match else None


@_rule
def _size(core: str, word: _Word) -> str | None:
    match = re.fullmatch(rf"({_N})[x×]({_N})([a-zA-Z]+)?", core)
    if match is None:
        return None
    unit = f" {_plural(_UNITS[match[3]])}" if match[3] in _UNITS else ""
    sizes = [_year(int(n)) if re.fullmatch(r"1\d\d\d", n) else _number(n) for n in (match[1], match[2])]
    return " by ".join(sizes) + unit


@_rule
def _joined(core: str, word: _Word) -> str | None:
    if re.search(r"\w[—…]|[—…]\w|\w(?:--+|\.{3,})\w", core):
        pause = "… " if "…" in core or "..." in core else " — "
        return _pieces(core, word, r"—|…|--+|\.{3,}", pause)
    if "&" in core.strip("&"):
        names = core.split("&")
        return " and ".join(
            _letters(name) if name.isupper() and len(name) < 4 else _say_core(name, word) for name in names if name
        )
    if re.fullmatch(r"\d{1,3}(?::\d{1,3})+", core):
        return _pieces(core, word, ":", " to ")
    if match := re.fullmatch(r"(\w+)/(\w+)", core):
        per = _PER.get(match[2], match[2])
        if per in _PER.values() or per in ("day", "night", "person", "year"):
            return f"{_say_core(match[1], word)} per {per}"
    if re.search(r"[/\\_=]|\w\+\w|[:,;!?]\w", core.strip("/\\_=")):
        sums = re.fullmatch(r"[\d.+=]+", core)
        if sums:
            return _pieces(re.sub(r"([+=])", r" \1 ", core), word, " ", " ")
        return _pieces(core, word, r"[/\\_=+]+|(?<=[:,;!?])(?=\w)", " ")
    if re.fullmatch(r"(?=.*[A-Z])(?=.*\d{3})[A-Z\d]+(?:-[A-Z\d]+)+", core):
        return ", ".join(_letters_and_digits(part, word) or part for part in core.split("-"))
    if re.search(rf"{_DASH}", core.strip("-–−")) and (re.search(r"\d", core) or re.search("[–−]", core)):
        to = re.fullmatch(rf"\d+\w*{_DASH}\d+\w*", core) or re.fullmatch(r"[^\W\d_]+–[^\W\d_]+", core)
        return _pieces(core, word, _DASH, " to " if to else " ")
    if re.search(r"[^\W\d_]\.[^\W\d_]", core) and re.fullmatch(r"[\w.-]+", core):
        return _pieces(core, word, r"\.", " dot ")
    return None


@_rule
def _letters_and_digits(core: str, word: _Word) -> str | None:
    """ "MP3", "CO2", "204B", "AB1234", "v2", "iPhone15"."""
    if not re.search(r"\d", core):
        return None
    if match := re.fullmatch(r"[vV](\d+)", core):
        return f"version {_number(match[1])}"
    said = []
    for part in re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\+", core):
        if part == "+":
            said.append("plus")
        elif part[0].isdecimal():
            long = part.isdecimal() and (len(part) > 2 or part.startswith("0"))
            said.append(_by_threes(part) if long else _number(part))
        elif part.isupper() and len(part) <= 3:
            said.append(_letters(part))
        else:
            said.append(part)
    return " ".join(said)


@_rule
def _suffixed(core: str, word: _Word) -> str | None:
    """ "C++", "C#", "A+", "F#"."""
    match = re.fullmatch(r"([A-Za-z]+)(\++|#)", core)
    if match is None:
        return None
    sign = "sharp" if match[2] == "#" else " ".join("plus" for _ in match[2])
    return f"{match[1]} {sign}"
