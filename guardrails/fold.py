"""What a character counts as when rules are matched: look-alikes are one, what cannot be seen is nothing.

Each character is folded by itself, without a look at its neighbours, so that a text may be split anywhere. Sources:
Unicode's normalisation (NFKC, NFKD), case folding and digits as Python's `unicodedata` has them; `lookalikes.txt`,
made by `guardrails.lookalikes` from Unicode's table of confusables.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import product
from pathlib import Path


class Kind(Enum):
    """What a character does to words."""

    IGNORED = "nothing is heard of it"
    GAP = "it stands between words"
    WORD = "words and numbers are made of it"


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What a character counts as. One object per character, so that it can be compared by identity.

    Args:
        kind: What it does to words.
        bases: What it may stand for, the likeliest first: each a string of base characters, or "" where it may also
            stand for nothing, as the dash in "pass-word". Empty if `kind` is `IGNORED`.
        digit: Its decimal digits, in ASCII, if it stands for a number; otherwise "".
        space: Whether it is white space, a dash or a picture: of several in a row only the first counts.
    """

    kind: Kind
    bases: tuple[str, ...]
    digit: str = ""
    space: bool = False


IGNORED = Folded(Kind.IGNORED, ())
SPACE = Folded(Kind.GAP, (" ",), space=True)
DASH = Folded(Kind.GAP, (" ", ""), space=True)
"""A dash, a dot in the middle, a control character that separates, or a picture: a space, or nothing."""

_APOSTROPHE = Folded(Kind.GAP, ("'", ""))

_MARKUP = "*~`"
_SKINS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_FILLERS = "\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u180e\ufff9\ufffa\ufffb"
_APOSTROPHES = "'’‘‛´′ʹʼʻˈ＇"
_DASHES = "\u2212_\u30fc\uff70\u2043\u02d7"
_DOTS = "·‧•∙⋅・･"
_SEPARATORS = "\x1c\x1d\x1e\x1f\x85"
_ALSO = {"0": "o", "1": "li", "3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "@": "a", "|": "li"}
"""What may stand for a letter."""

_CJK_DIGITS = {char: str(value) for value, char in enumerate("〇一二三四五六七八九")} | {"零": "0"}
_PICTURED = (0x1F150, 0x1F170, 0x1F1E6)
"""Where the alphabets of white letters on black circles, on black squares, and of flags begin."""


_LATIN = re.compile(r"LATIN (?:SMALL LETTER|LETTER SMALL CAPITAL) ([A-Z])(?: WITH .*)?")


def _read_lookalikes() -> dict[str, tuple[str, ...]]:
    lines = (Path(__file__).parent / "lookalikes.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {chr(int(code, 16)): tuple(bases.split(" ")) for code, bases in pairs}


_LOOKALIKES = _read_lookalikes()


@cache
def fold(char: str) -> Folded:
    """What one character counts as."""
    category = unicodedata.category(char)
    if category == "Pd" or char in _DASHES or char in _DOTS or char in _SEPARATORS:
        return DASH
    if char.isspace() or char == "\u2800":
        return SPACE
    if char in _APOSTROPHES:
        return _APOSTROPHE
    if char in _MARKUP or char in _FILLERS or char in _SKINS or category in ("Cf", "Cc", "Mn", "Me", "Cs", "Co", "Cn"):
        return IGNORED
    for first in _PICTURED:
        if first <= ord(char) < first + 26:
            char = chr(ord("a") + ord(char) - first)
            break
    digit = _CJK_DIGITS.get(char) or _digits(char)
    plain = _plain(char)
    if not plain:
        return IGNORED
    if plain.isspace():
        return SPACE
    bases = [*map("".join, product(*map(_alternatives, plain)))] if len(plain) <= 4 else [plain]
    bases += _LOOKALIKES.get(unicodedata.normalize("NFKC", char), ("l",) if char == "I" else ())
    bases = [*dict.fromkeys((digit, *bases) if digit else bases)]
    if any(base.isalnum() for base in plain) or category[0] in "LNM":
        return Folded(Kind.WORD, tuple(bases), digit)
    if category in ("So", "Sk") or "\U0001f000" <= char <= "\U0001faff":
        return DASH
    if plain == ".":
        bases.append("")
    return Folded(Kind.GAP, tuple(bases))


def _plain(char: str) -> str:
    """Compatible, lower-case, without marks."""
    compatible = unicodedata.normalize("NFKC", char).casefold().replace("。", ".")
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", compatible))
    return "".join(_latin(part) for part in parts if unicodedata.category(part) not in ("Mn", "Me", "Cf", "Cc"))


def _latin(char: str) -> str:
    """The letter that a Latin one with a stroke, a hook or the like, or a small capital, is of."""
    found = None if char.isascii() else _LATIN.fullmatch(unicodedata.name(char, ""))
    return found[1].lower() if found else char


def _digits(char: str) -> str:
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", char).strip("().")
    return compatible if compatible.isascii() and compatible.isdigit() else ""


def _alternatives(base: str) -> tuple[str, ...]:
    """A base character and what it cannot be told from."""
    similar = _LOOKALIKES.get(base, (base,))
    also = tuple(letter for one in similar for letter in _ALSO.get(one, ""))
    return tuple(dict.fromkeys((*similar, *also)))


def folded(text: str) -> str:
    """A text as its first alternatives, without what cannot be seen, and white space as single spaces."""
    return " ".join("".join(fold(char).bases[0] for char in text if fold(char).bases).split())
