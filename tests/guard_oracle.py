"""What a guard gives for a whole text, by brute force from the definitions: slow, and none of the guard's own code.

Only texts as a test makes them are understood: of look-alikes the few below, of numbers those that are typed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

MOST_GAPS = 12
"""Characters that no word is made of follow each other at most so often; more of them are dropped."""

LOOKALIKES = {"а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "ѕ": "s", "і": "i", "ο": "o", "α": "a", "ρ": "p"}
LETTERS_OF_DIGITS = {"0": "o", "1": "li", "3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "@": "a", "|": "li"}
MAYBE_NOTHING = "-‐‑‒–—_.'’·•\x1c\x1f\x85"
SPELLED_FROM = 3
"""Letters that a phrase must have to be found with all its letters apart."""

IGNORED_SIGNS = "*~`"
NEGATIONS = frozenset(("not", "never", "no", "cannot", "without"))

Cover = list[tuple[int, int]]
"""Pairs of the first covered character and the one after the last."""


@dataclass(frozen=True)
class Unit:
    """A character that is not ignored: where it stands, what it may be read as, and whether it belongs to a word."""

    at: int
    readings: frozenset[str]
    word: bool


@lru_cache(None)
def readings(char: str) -> tuple[frozenset[str], bool] | None:
    """What a character may be read as, and whether it belongs to a word; None if it is ignored."""
    if char.isspace() and char not in MAYBE_NOTHING:
        return frozenset(" "), False
    category = unicodedata.category(char)
    if char in IGNORED_SIGNS or (char not in MAYBE_NOTHING and category in ("Cf", "Cc", "Cs", "Cn", "Co", "Mn", "Me")):
        return None
    if category == "So" or (char in MAYBE_NOTHING and char not in ".'’"):
        return frozenset((" ", "")), False
    compatible = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", char).casefold())
    plain = "".join(c for c in compatible if not unicodedata.combining(c))
    plain = "".join(LOOKALIKES.get(c, c) for c in plain)
    read = {"".join(each) for each in product(*((c, *LETTERS_OF_DIGITS.get(c, "")) for c in plain))}
    if char == "I":
        read.add("l")
    if char in MAYBE_NOTHING:
        read.add("")
    return frozenset(read), category[0] in "LN" or any(c.isalnum() for c in plain)


def units(text: str) -> list[Unit]:
    """The characters of a text that count: of white space, dashes and pictures in a row only the first."""
    found: list[Unit] = []
    spacing = False
    for at, char in enumerate(text):
        reading = readings(char)
        if reading is None:
            continue
        if not (spacing and " " in reading[0]):
            found.append(Unit(at, *reading))
        spacing = " " in reading[0]
    return found


def thinned(text: str) -> str:
    """A text without what stands too long between words."""
    kept, gaps, unseen = [], 0, 0
    for char in text:
        reading = readings(char)
        unseen = unseen + 1 if reading is None else 0
        if reading is not None:
            gaps = 0 if reading[1] else gaps + 1
        if max(gaps, unseen) <= MOST_GAPS:
            kept.append(char)
    return "".join(kept)


def pattern_cover(pattern: str) -> Callable[[str], Cover]:
    """Everything that a regular expression matches, at every place and of every length, in any reading."""
    compiled = re.compile(rf"(?:{pattern})(?=(.*)\Z)", re.DOTALL)
    exact = [re.compile(rf"(?:{pattern})(?=.{{{rest}}}\Z)", re.DOTALL) for rest in range(64)]

    def cover(text: str) -> Cover:
        found: Cover = []
        each = units(text)
        for choice in product(*(sorted(unit.readings) for unit in each)):
            read = "".join(choice)
            at = [unit.at for unit, reading in zip(each, choice, strict=True) for _ in reading]
            if not compiled.search(read):
                continue
            for start, end in combinations(range(len(read) + 1), 2):
                if exact[len(read) - end].match(read, start):
                    found.append((at[start], at[end - 1] + 1))
        return found

    return cover


def term_cover(*terms: str) -> Callable[[str], Cover]:
    """Every place where a phrase stands between words' ends, each of its words as it is or with its letters apart."""

    def cover(text: str) -> Cover:
        each = units(text)
        found: Cover = []
        for start, unit in enumerate(each):
            if not unit.word or (start and each[start - 1].word):
                continue
            for term in terms:
                may_be_spelled = sum(char.isalnum() for char in term) >= SPELLED_FROM
                for last in _phrase_ends(each, start, term.removesuffix("*").split(), may_be_spelled):
                    for end in _endings(each, last, term.endswith("*")):
                        found.append((unit.at, each[end].at + 1))
        return found

    return cover


def _endings(each: Sequence[Unit], last: int, any_ending: bool) -> Iterator[int]:
    """The last units with which a term may end, whose last letter is at `last`."""
    if last + 1 == len(each) or not each[last + 1].word:
        yield last
    if any_ending:
        further = last + 1
        while further < len(each) and (each[further].word or "" in each[further].readings):
            if each[further].word:
                yield from _endings(each, further, False)
            further += 1


def _phrase_ends(each: Sequence[Unit], at: int, words: Sequence[str], may_be_spelled: bool) -> Iterator[int]:
    """Where the last of some words may end, the first of which begins at the unit `at`."""
    for spaced in (False, True)[: 1 + may_be_spelled]:
        for last in _word_ends(each, at, words[0], spaced):
            if len(words) == 1:
                yield last
            else:
                for begin in _behind_gap(each, last + 1):
                    yield from _phrase_ends(each, begin, words[1:], may_be_spelled)


def _behind_gap(each: Sequence[Unit], at: int) -> Iterator[int]:
    """Where a word may go on behind one unit or more between words."""
    while at < len(each) and not each[at].word:
        at += 1
        if at < len(each):
            yield at


def _word_ends(each: Sequence[Unit], at: int, rest: str, spaced: bool) -> Iterator[int]:
    """Where the letters `rest` of a word may end, the first of which is read at the unit `at`."""
    if at == len(each):
        return
    for reading in each[at].readings:
        if reading == rest and each[at].word:
            yield at
        elif rest.startswith(reading) and not (spaced and reading):
            yield from _word_ends(each, at + 1, rest[len(reading) :], spaced)
        elif rest.startswith(reading):
            for begin in _behind_gap(each, at + 1):
                yield from _word_ends(each, begin, rest[len(reading) :], spaced)


def claim_cover(parts: Sequence[Sequence[str]], within: int, unless_negated: bool) -> Callable[[str], Cover]:
    """Every row of words, one of each part in order, at most `within` others between, none of them a negation."""

    def cover(text: str) -> Cover:
        words = [(found.start(), found.end(), found[0].lower()) for found in re.finditer(r"\w+", text)]

        def after(number: int, part: int) -> Iterator[int]:
            """The ends of claims whose parts from `part` on begin at the word `number` or, past the first, later."""
            for at in range(number, min(len(words), number + (within if part else 0) + 1)):
                if not _is_one_of(words[at][2], parts[part]):
                    continue
                between = {word for _, _, word in words[number:at]}
                if part and unless_negated and between & NEGATIONS:
                    continue
                if part + 1 == len(parts):
                    yield words[at][1]
                else:
                    yield from after(at + 1, part + 1)

        return [(words[first][0], end) for first in range(len(words)) for end in after(first, 0)]

    return cover


def _is_one_of(word: str, choices: Iterable[str]) -> bool:
    return any(word.startswith(one[:-1]) if one.endswith("*") else word == one for one in choices)


CARD_BRANDS = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
    (r"3[47]", (15,)),
)
"""Of card numbers those that the tests use: how they begin, how long they are."""


def luhn(digits: str) -> bool:
    """Whether a number's last digit checks its others."""
    total = 0
    for number, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + number % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether digits are a card's number."""
    return luhn(digits) and any(re.match(first, digits) and len(digits) in lengths for first, lengths in CARD_BRANDS)


def is_iban(text: str, length: int) -> bool:
    """Whether capitals and digits are an account number of a country whose numbers are so long."""
    moved = text[4:] + text[:4]
    return len(text) == length and int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """Whether nine digits may be a social security number."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return len(digits) == 9 and area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def card_cover(text: str) -> Cover:
    """Every stretch of a run of digits that is a card's number, and what is left of the run after it."""
    found: Cover = []
    for run in re.finditer(r"\d(?:[ .,/()-]{0,8}\d)*", text):
        at = [run.start() + number for number, char in enumerate(run[0]) if char.isdigit()]
        digits = "".join(text[number] for number in at)
        for start, end in combinations(range(len(digits) + 1), 2):
            if is_card(digits[start:end]):
                found.append((at[start], run.end()))
                break
    return found


@dataclass(frozen=True)
class Ruled:
    """A rule: what it covers, what it does, and what is said of it. Stronger rules stand before weaker ones."""

    cover: Callable[[str], Cover]
    text: str
    action: str = "redact"


def sentences(text: str) -> list[tuple[int, int]]:
    """Where sentences begin and end: at full stops and the quotes that close after them, before white space; at the
    ends of lines; after 300 characters."""
    found = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        line = re.compile(r"[^\n\r]*").match(text, at)
        assert line is not None
        ended = re.compile(r".*?[.?!…。！？][\"'”’)\]»]*(?=\s|\Z)", re.DOTALL).match(text, at, line.end())
        end = min(ended.end() if ended else line.end(), at + 300)
        found.append((at, at + len(text[at:end].rstrip())))
        at = end
    return found


def whole(text: str, rules: Sequence[Ruled], before: str = "") -> str:
    """What a guard gives for a whole text.

    Args:
        text: The text.
        rules: The rules, the stronger before the weaker.
        before: The end of what was said in the answer before, which stays as it was.
    """
    text = thinned(text)
    before += "-" if before else ""
    ranks: list[int | None] = [None] * len(text)
    for rank, rule in enumerate(rules):
        for start, end in rule.cover(before + text):
            if end > len(before):
                first, last = _reach(text, rule.action, max(0, start - len(before)), end - len(before))
                ranks[first:last] = [rank if there is None else there for there in ranks[first:last]]
    said = ""
    within: int | None = None
    for char, rank in zip(text, ranks, strict=True):
        if rank is None and (within is None or readings(char) is not None):
            said += (" " if within is not None and char.isalnum() else "") + char
            within = None
        elif rank is not None and (within is None or (rank < within and rules[rank].action != "redact")):
            said = _in_place(said, rules[rank])
            within = rank
            if rules[rank].action == "stop":
                break
    return said


def _reach(text: str, action: str, start: int, end: int) -> tuple[int, int]:
    """From where to where a rule acts that covers from `start` to `end`."""
    if action == "stop":
        return start, len(text)
    touched = [(first, last) for first, last in sentences(text) if first < end and last > start]
    if action == "redact" or not touched:
        return start, end
    last = max(end, touched[-1][1])
    if not re.search(r"[.?!…。！？][\"'”’)\]»]*\Z", text[:last]):
        # Nothing ended the sentence before the white space did not go on.
        last += len(re.match(r"[^\S\n\r]*", text[last:])[0])  # type: ignore[index]
    return touched[0][0] if action == "replace_sentence" else start, last


def _in_place(said: str, rule: Ruled) -> str:
    """What has been said, with a rule's text after it; a sentence that is under way breaks off."""
    breaks = rule.action in ("cut_sentence", "stop")
    if breaks and said.strip() and said.rstrip()[-1] not in ".?!…。！？\"'”’)]»,;:—–-(":
        return f"{said}… {rule.text}"
    apart = said[-1:].isalnum() or (breaks and said[-1:].strip() != "")
    return f"{said}{' ' if apart else ''}{rule.text}"


def released(prefix: str, endings: Iterable[str], whole_of: Callable[[str], str]) -> str:
    """What may be said after a prefix: what is the same whichever of the endings follows."""
    common: str | None = None
    for ending in endings:
        given = whole_of(prefix + ending)
        common = given if common is None else _common(common, given)
    return common or ""


def releases(alphabet: str, longest: int, whole_of: Callable[[str], str]) -> dict[str, str]:
    """What may be said after each text over an alphabet, of at most `longest` characters, if none is longer."""
    texts = [""]
    layers = [texts]
    for _ in range(longest):
        texts = [text + char for text in texts for char in alphabet]
        layers.append(texts)
    may: dict[str, str] = {}
    for layer in reversed(layers):
        for text in layer:
            common = whole_of(text)
            if len(text) < longest:
                for char in alphabet:
                    common = _common(common, may[text + char])
            may[text] = common
    return may


def _common(first: str, second: str) -> str:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return first[:length]
