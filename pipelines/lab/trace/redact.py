"""Takes personal data out of a text: what a trace uses unless it is given another redactor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Redactor = Callable[[str], str]
"""Gives a text without its personal data. Called in the trace's thread; what makes it raise is withheld altogether."""

_UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

NUMBER_WORDS = {
    **{word: str(value) for value, word in enumerate(_UNITS)},
    **{word: str(10 * value) for value, word in enumerate(_TENS, 2)},
    **dict.fromkeys(("oh", "o", "nought", "naught", "nil"), "0"),
    **{word: word for word in ("hundred", "thousand", "double", "triple")},
}
"""What says a number, and the same in digits."""

WORDS_IN_A_ROW = 4
DIGITS_IN_A_ROW = 6

_TOKEN = re.compile(r"[^\W_]+")
_GAP = re.compile(r"[\s.,;:/()\-–—+#*]*")
_HESITATION = frozenset("um uh er erm hmm and then dash hyphen minus space".split())
_PLAIN = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?|\d{1,2}(:\d{2}){1,2}")
"""A quantity or a time of day, however many digits it has."""

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SPOKEN_EMAIL = re.compile(
    r"\b\w+(?:\s+(?:dot|underscore|dash|hyphen)\s+\w+)*\s+at\s+\w+(?:\s+(?:dash|hyphen)\s+\w+)*(?:\s+dot\s+\w+)+",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?\b", re.IGNORECASE)
_SSN = re.compile(r"\d{3}-\d{2}-\d{4}")


@dataclass(frozen=True)
class Span:
    """A stretch of a text and what is to stand there instead."""

    begin: int
    end: int
    instead: str


def redact(text: str) -> str:
    """Replace e-mail addresses, IBANs, and numbers that are long or said word by word.

    That is six digits in a row or more, however they are grouped, and four number words in a row or more, with or
    without hesitations between them. Quantities with thousands separators and times of day stay.
    """
    spans: list[Span] = []
    for found in (_addresses(text), _numbers(text)):
        spans += [span for span in found if all(span.end <= one.begin or one.end <= span.begin for one in spans)]
    return replaced(text, sorted(spans, key=lambda span: span.begin))


def replaced(text: str, spans: list[Span]) -> str:
    """The text with each span's replacement. Spans are in order and don't overlap."""
    pieces, reached = [], 0
    for span in spans:
        pieces += [text[reached : span.begin], span.instead]
        reached = span.end
    return "".join([*pieces, text[reached:]])


def tokens(text: str) -> list[re.Match[str]]:
    """Words and numbers of a text."""
    return list(_TOKEN.finditer(text))


def normal(token: str) -> str:
    """A token such that a number is the same in words and in digits."""
    low = token.lower()
    return NUMBER_WORDS.get(low, low)


def _addresses(text: str) -> Iterator[Span]:
    for pattern in (_EMAIL, _SPOKEN_EMAIL):
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), "[e-mail]")
    for match in _IBAN.finditer(text):
        if sum(character.isdigit() for character in match[0]) >= 8:
            yield Span(match.start(), match.end(), "[iban]")


def _numbers(text: str) -> Iterator[Span]:
    for run in _runs(text):
        begin, end = run[0].start(), run[-1].end()
        words = sum(not token[0].isdecimal() or len(token[0]) <= 2 for token in run)
        digits = sum(len(token[0]) if token[0].isdecimal() else 1 for token in run)
        if (words >= WORDS_IN_A_ROW or digits >= DIGITS_IN_A_ROW) and not _PLAIN.fullmatch(text, begin, end):
            begin -= text[:begin].endswith(("+", "("))
            yield Span(begin, end, _name(text[begin:end], "".join(normal(token[0]) for token in run)))


def _runs(text: str) -> Iterator[list[re.Match[str]]]:
    """Numbers with nothing but punctuation and hesitations between them."""
    run: list[re.Match[str]] = []
    reached = 0
    for token in tokens(text):
        joined = _GAP.fullmatch(text, reached, token.start()) is not None
        if token[0].isdecimal() or token[0].lower() in NUMBER_WORDS:
            if run and not joined:
                yield run
                run = []
            run.append(token)
        elif not (joined and run and token[0].lower() in _HESITATION):
            if run:
                yield run
            run = []
        reached = token.end()
    if run:
        yield run


def _name(text: str, digits: str) -> str:
    if not digits.isdecimal():
        return "[number]"
    if 13 <= len(digits) <= 19 and _luhn(digits):
        return "[card]"
    if _SSN.fullmatch(text):
        return "[ssn]"
    return "[phone]" if text.startswith(("+", "(")) or 7 <= len(digits) <= 12 else "[number]"


def _luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as on a card."""
    doubled = [int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
