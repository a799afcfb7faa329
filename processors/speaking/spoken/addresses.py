"""Addresses of the net."""

import re

from processors.speaking.spoken.counting import amount, digit_by_digit
from processors.speaking.spoken.spelling import letters
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_EMAIL = re.compile(r"(?:mailto:)?([\w.+%-]+)@([\w-]+(?:\.[\w-]+)+)")
_URL = re.compile(
    rf"(?:(?:https?|ftp|wss?)://)(?:www\.)?([\w.-]+)(?::\d+)?(/\S*)?"
    rf"|(?:www\.)([\w-]+(?:\.[\w-]+)+)(/\S*)?"
    rf"|((?:[A-Za-z0-9-]+\.)+(?:{'|'.join(TABLES.addresses.domains)}))(/\S*)?",
    re.IGNORECASE,
)


def email(core: str, word: Word) -> str | None:
    """ "bob@example.com"."""
    match = _EMAIL.fullmatch(core)
    return f"{_address(match[1])} at {_address(match[2])}" if match else None


def url(core: str, word: Word) -> str | None:
    """The host, and the path where it is short and made of words."""
    match = _URL.fullmatch(core)
    if match is None:
        return None
    host, path = match[1] or match[3] or match[5], match[2] or match[4] or match[6] or ""
    path = path.rstrip("/")
    speakable = len(path) <= 24 and re.fullmatch(r"(?:/[A-Za-z-]+)*", path)
    return _address(host + path if speakable else host)


def _address(text: str) -> str:
    return " ".join(_part(part) for part in re.findall(r"[A-Za-z]+|\d+|[^\W\d_]+|[._+/%-]", text))


def _part(part: str) -> str:
    table = TABLES.addresses
    if part in table.signs:
        return table.signs[part]
    if part.isdecimal():
        return amount(part) if len(part) < 3 or part.endswith("00") else digit_by_digit(part)
    if part.lower() in table.spelled or len(part) == 1 or not re.search(r"[aeiouy]", part, re.IGNORECASE):
        return letters(part)
    return part.lower()
