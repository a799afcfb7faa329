"""Watches a text for international bank account numbers, written and spelled.

Sources: the registry of ISO 13616 (SWIFT) for lengths and structures, ISO 7064 for the check digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from guardrails.fold import SPACE, Folded, Kind
from guardrails.personal.words import FILLERS, MOST_FILLERS, NUMBERS, Lexicon, Part, Word
from guardrails.scanning import GAP_LIMIT, NEVER, Span

_REGISTRY = """
AD n8c12 AE n19 AL n8c16 AT n16 AZ a4c20 BA n16 BE n12 BG a4n6c8 BH a4c14 BI n23 BR n23a1c1 BY c4n4c16 CH n5c12
CR n18 CY n8c16 CZ n20 DE n18 DJ n23 DK n14 DO c4n20 EE n16 EG n25 ES n20 FI n14 FK a2n12 FO n14 FR n10c11n2
GB a4n14 GE a2n16 GI a4c15 GL n14 GR n7c16 GT c24 HN a4n20 HR n17 HU n24 IE a4n14 IL n19 IQ a4n15 IS n22
IT a1n10c12 JO a4n4c18 KW a4c22 KZ n3c13 LB n4c20 LC a4c24 LI n5c12 LT n16 LU n3c13 LV a4c13 LY n21 MC n10c11n2
MD c20 ME n18 MK n3c10n2 MN n16 MR n23 MT a4n5c18 MU a4n19a3 NI a4n20 NL a4n10 NO n11 OM n3c16 PK a4c16 PL n24
PS a4c21 PT n21 QA a4c21 RO a4c16 RS n18 RU n14c15 SA n2c18 SC a4n20a3 SD n14 SE n20 SI n15 SK n20 SM a1n10c12
SO n19 ST n21 SV a4n20 TL n19 TN n20 TR n6c16 UA n6c19 VA n18 VG a4n16 XK n16 YE a4n4c18
""".split()


def _structure(row: str) -> str:
    """One character per place: "n" a digit, "a" a letter, "c" either."""
    places, size = "", ""
    for char in reversed(row):
        if char.isdigit():
            size = char + size
        else:
            places, size = char * int(size) + places, ""
    return places


STRUCTURES = {country.lower(): _structure(row) for country, row in zip(_REGISTRY[::2], _REGISTRY[1::2], strict=True)}
"""What follows the two check digits, by country."""

_ALPHABET = (
    "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo "
    "sierra tango uniform victor whiskey xray yankee zulu"
).split()
_ALSO = {"alpha": "a", "juliet": "j", "whisky": "w", "zee": "z", "zed": "z"}

_SAID: dict[str, Word] = {
    **{word: value for word, value in NUMBERS.items() if value.part is not Part.LETTER},
    **{word: Word(Part.LETTER, word[0]) for word in _ALPHABET},
    **{word: Word(Part.LETTER, letter) for word, letter in _ALSO.items()},
    **{word: Word(Part.FILLER, word) for word in FILLERS},
}
LEXICON = Lexicon(_SAID)
_NAMES = frozenset(word for word in _SAID.values() if word.part in (Part.LETTER, Part.REPEAT))
"""Words with which a number may begin."""

_LETTER_NAMES = frozenset(word for word in _SAID.values() if word.part is Part.LETTER)

_COUNTRY_WORDS = frozenset("at be by do is it me no so".split())
"""Countries' letters that are words of any sentence: where they stand apart they are let out, and what is covered
begins behind them."""

GROUP = 4
"""Characters that are written together."""

MOST = 4 + max(map(len, STRUCTURES.values()))
"""Letters and digits of the longest number."""

BOUND = MOST * (max(map(len, _SAID)) + GAP_LIMIT + MOST_FILLERS * (max(map(len, FILLERS)) + GAP_LIMIT))
"""How many characters may be undecided: every place said as the longest word, with fillers and gaps behind."""

_NO_SPANS: tuple[Span, ...] = ()
_FROM_CHECK_DIGITS = pow(10**6, -1, 97)


class Iban(NamedTuple):
    """What is known of the first characters of an account number.

    Args:
        country: Its country's letters, as far as they are known.
        place: How many characters there are.
        wanted: The remainder that the account must have, from its country and its check digits.
        rest: The remainder of the account's characters so far.
    """

    country: str
    place: int
    wanted: int
    rest: int

    @property
    def valid(self) -> bool:
        """Whether these are all characters, and the check digits are right."""
        return self.place > 4 and self.place == 4 + len(STRUCTURES[self.country]) and self.rest == self.wanted

    @property
    def awaits(self) -> str:
        """What belongs in the next place: a country's letter "b", a digit "n", a letter "a", either "c", nothing."""
        if self.place < 4:
            return "b" if self.place < 2 else "n"
        return STRUCTURES[self.country][self.place - 4 : self.place - 3]

    @property
    def alive(self) -> bool:
        """Whether more characters may make it whole: two digits always can, one only the right one."""
        if self.place < 4:
            return True
        left = STRUCTURES[self.country][self.place - 4 :]
        if len(left) != 1:
            return bool(left)
        return any(_added(self.rest, char) == self.wanted for char in _FITTING[left])

    def fits(self, letters: int) -> bool:
        """Whether so many letters, the last ones, may stand by themselves: a bank's name or a group of four.

        Otherwise the words of any sentence would be letters of an account.
        """
        begin = self.place - letters
        bank = "a" * letters == STRUCTURES[self.country][begin - 4 : self.place - 4]
        return letters == 1 or bank or (letters <= GROUP and begin % GROUP == 0)

    def after(self, char: str) -> Iban | None:
        """With one more character, a lower-case letter or a digit; None if that cannot be."""
        country, place, wanted, rest = self
        if place < 2:
            country += char
            return Iban(country, place + 1, 0, 0) if country in _COUNTRIES else None
        fitting = self.awaits
        if not fitting or char not in _FITTING[fitting]:
            return None
        if place < 4:
            check = wanted * 10 + int(char)
            if place == 3:
                letters = _added(_added(0, country[0]), country[1])
                return Iban(country, 4, (1 - letters * 100 - check) * _FROM_CHECK_DIGITS % 97, 0)
            return Iban(country, 3, check, 0)
        return Iban(country, place + 1, wanted, _added(rest, char))


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FITTING = {"n": "0123456789", "a": _LETTERS, "c": "0123456789" + _LETTERS}
_COUNTRIES = frozenset(STRUCTURES) | {country[0] for country in STRUCTURES}
_BEGINNING = Iban("", 0, 0, 0)


def _added(rest: int, char: str) -> int:
    """The remainder with one more character behind; letters count as two digits, from 10."""
    return (rest * 10 + int(char)) % 97 if char.isdigit() else (rest * 100 + ord(char) - ord("a") + 10) % 97


def is_iban(text: str) -> bool:
    """Whether letters and digits, without gaps, are an account number: country, structure and check digits."""
    state: Iban | None = _BEGINNING
    for char in text.lower():
        state = state.after(char) if state is not None else None
    return state is not None and state.valid


@cache
def _readings(char: Folded, place: str) -> tuple[str, ...]:
    """What a character may be where a digit belongs ("n"), a letter ("a"), either ("c") or a country's letter ("b").

    Look-alikes count where only one of the two can stand.
    """
    letters = tuple(base for base in char.bases if base.isascii() and base.isalpha())
    if place == "n":
        return (char.digit,) if char.digit else ("0",) if "o" in letters else ("1",) if "l" in letters else ()
    if place == "c":
        return (char.digit,) if char.digit else letters[:1]
    return () if place == "b" and char.digit else letters


class _Tail(dict[Folded, "_Tail"]):
    """What the last letters may be of a country: the last two, the last one.

    Attributes:
        pairs: States after two letters.
        letters: States after one.
        begun: States after a check digit, if this character is one behind a pair.
    """

    __slots__ = ("begun", "letters", "pairs")

    def __init__(self, pairs: frozenset[Iban], letters: frozenset[Iban], begun: frozenset[Iban]) -> None:
        super().__init__()
        self.pairs, self.letters, self.begun = pairs, letters, begun

    def __missing__(self, char: Folded) -> _Tail:
        tail = self[char] = self.after((*_readings(char, "n"), *_readings(char, "b")))
        return tail

    def after(self, readings: tuple[str, ...]) -> _Tail:
        """With one more character, a letter or a digit."""
        pairs: set[Iban] = set()
        letters: set[Iban] = set()
        begun: set[Iban] = set()
        for reading in readings:
            # Two characters in one are no country's letters: they would not have a place each.
            sources = (*self.pairs, *self.letters, _BEGINNING) if len(reading) == 1 else tuple(self.pairs)
            for state in _run(sources, reading):
                (letters if state.place == 1 else pairs if state.place == 2 else begun).add(state)
        return _tail(frozenset(pairs), frozenset(letters), frozenset(begun))


@cache
def _tail(pairs: frozenset[Iban], letters: frozenset[Iban], begun: frozenset[Iban]) -> _Tail:
    return _Tail(pairs, letters, begun)


def _run(states: Sequence[Iban], reading: str) -> Iterator[Iban]:
    for first in states:
        state: Iban | None = first
        for char in reading:
            state = state.after(char) if state is not None else None
        if state is not None:
            yield state


_NOTHING = _tail(frozenset(), frozenset(), frozenset())


class _Held(NamedTuple):
    """What is known before a word.

    Args:
        tail: The last letters.
        second: Where the last letter but one is; `NEVER` if it has been let out.
        last: Where the last letter is.
        states: What may become a number, each with its first character.
        pending: Words that the next may complete: "double", "twenty"; with what is known before them.
        fillers: How many fillers there are.
    """

    tail: _Tail
    second: int
    last: int
    states: dict[Iban, int]
    pending: tuple[tuple[_Held, Word, int], ...] = ()
    fillers: int = 0

    @property
    def open(self) -> int:
        """The first character that is undecided."""
        first = self.second if self.tail.pairs else self.last if self.tail.letters else NEVER
        for held, _, _ in self.pending:
            first = min(first, held.open)
        return min(first, *self.states.values()) if self.states else first

    @property
    def country_let_out(self) -> bool:
        """Whether a digit is where a number would begin to be covered."""
        return bool(self.tail.pairs) and self.second == NEVER

    @property
    def open_to_letters(self) -> int:
        """The first character that is undecided if a letter follows."""
        first = self.last if self.tail.letters else NEVER
        for state, start in self.states.items():
            if state.awaits != "n":
                first = min(first, start)
        return first


_EMPTY = _Held(_NOTHING, NEVER, NEVER, {})


class IbanScanner:
    """A `Scanner` for account numbers: in groups or without, in letters and digits or as words (English number words,
    the names of letters in the international spelling alphabet), with any gaps.

    It is known with its last character, so that nothing which follows lets it out. A beginning stays undecided while
    structure and check digits leave a way to end.

    Args:
        rank: The rank of the rule.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self.reset()

    def reset(self) -> None:
        self.open = NEVER
        self.open_rank = NEVER
        self._place = LEXICON.root
        self._before = _EMPTY
        self._before_open = self._before_letters = NEVER
        self._tail = _NOTHING
        self._second = self._last = NEVER
        self._states: dict[Iban, int] = {}
        self._start = NEVER
        self._size = 0
        self._only = SPACE
        self._letters = True
        self._end = 0

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        before = self._place
        place = self._place = before[char]
        if char.kind is Kind.GAP:
            if before.beginning:
                return _NO_SPANS
            return self._end_word(before.whole)
        if before.beginning:
            self._start, self._size, self._only, self._letters = at, 0, char, True
        self._size += 1
        if char.digit:
            self._letters = False
        self._end = at + 1
        tail = self._tail = self._tail[char]
        spans: Sequence[Span] = _NO_SPANS
        if self._states or tail.begun:
            spans = self._go_on(at, char, tail)
        self._second, self._last = self._last, at
        first = self._second if tail.pairs else at if tail.letters else NEVER
        if self._states:
            first = min(first, *self._states.values())
        if not place.quiet:
            if place.note is None:
                words = place.ahead | place.whole
                place.note = not _NAMES.isdisjoint(words), words <= _LETTER_NAMES
            name, only_letters = place.note
            first = min(first, self._before_letters if only_letters else self._before_open)
            if name or self._before.country_let_out:
                first = min(first, self._start)
        elif self._size == 1:
            for held, _, _ in self._before.pending:
                first = min(first, held.open)
        if first != self.open:
            self.open = first
            self.open_rank = NEVER if first == NEVER else self._rank
        return spans

    def _go_on(self, at: int, char: Folded, tail: _Tail) -> Sequence[Span]:
        following: dict[Iban, int] = {}
        spans: list[Span] = []
        # Check digits don't begin with a letter that looks like one, or "no, I" would be the beginning of a number.
        begun = tail.begun if char.digit or self._size > 1 else ()
        found = [(state, at if self._second == NEVER else self._second) for state in begun]
        for state, start in self._states.items():
            for reading in _readings(char, state.awaits):
                for after in _run((state,), reading):
                    if not self._letters or after.fits(self._size):
                        found.append((after, start))
        self._keep(found, at + 1, following, spans)
        self._states = following
        return spans

    def _keep(self, found: list[tuple[Iban, int]], end: int, states: dict[Iban, int], spans: list[Span]) -> None:
        for state, start in found:
            if state.valid:
                spans.append(Span(start, end, self._rank))
            if state.alive:
                states[state] = min(start, states.get(state, NEVER))

    def _end_word(self, values: frozenset[object]) -> list[Span]:
        """A gap follows."""
        before = self._before
        if self._size > 2 and not (values or self._states or before.pending):
            self._before, self._tail = _EMPTY, _NOTHING
            self._before_open = self._before_letters = self.open = self.open_rank = NEVER
            return []
        spans: list[Span] = []
        tail = self._tail
        second = self._second
        if self._size == 2:
            tail = _tail(tail.pairs, frozenset(), frozenset())
            if all(state.country in _COUNTRY_WORDS for state in tail.pairs):
                second = NEVER
        elif self._size > 2:
            tail = _NOTHING
        now = _Held(tail, second, self._last, self._states)
        for word in values:
            if isinstance(word, Word):
                now = self._said(word, before, now, spans)
        if self._size == 1:
            for text in (*_readings(self._only, "n"), *_readings(self._only, "b")):
                now = self._complete(text, before, now, spans)
        self._before = now
        self._tail, self._second, self._last, self._states = now[:4]
        self._before_open = self.open = now.open
        self._before_letters = now.open_to_letters
        self.open_rank = NEVER if self.open == NEVER else self._rank
        return spans

    def _said(self, word: Word, before: _Held, now: _Held, spans: list[Span]) -> _Held:
        """A word, read as what it stands for."""
        part, text = word
        if part is Part.FILLER:
            if before.fillers >= MOST_FILLERS:
                return now
            return _joined(now, before._replace(pending=(), fillers=before.fillers + 1))
        if part is Part.REPEAT:
            return now._replace(pending=(*now.pending, (before._replace(pending=()), word, self._start)))
        if part is Part.TENS:
            now = self._extended(before, text + "0", self._start, now, spans)
            return now._replace(pending=(*now.pending, (before._replace(pending=()), word, self._start)))
        now = self._extended(before, text, self._start, now, spans)
        return self._complete(text, before, now, spans)

    def _complete(self, text: str, before: _Held, now: _Held, spans: list[Span]) -> _Held:
        """What a word completes that came before."""
        for held, word, start in before.pending:
            if len(text) > 1:
                continue
            if word.part is Part.REPEAT:
                now = self._extended(held, text * int(word.text), start, now, spans)
            elif text in "123456789":
                now = self._extended(held, word.text + text, start, now, spans)
        return now

    def _extended(self, held: _Held, text: str, start: int, now: _Held, spans: list[Span]) -> _Held:
        tail = held.tail.after((text,))
        found = [(state, start if held.second == NEVER else held.second) for state in tail.begun]
        found += [(after, begin) for state, begin in held.states.items() for after in _run((state,), text)]
        states: dict[Iban, int] = {}
        self._keep(found, self._end, states, spans)
        return _joined(now, _Held(tail, held.last, start, states))

    def finish(self) -> Sequence[Span]:
        spans = [] if self._place.beginning else self._end_word(self._place.whole)
        self.reset()
        return spans


def _joined(now: _Held, other: _Held) -> _Held:
    """Two readings of the same words."""
    states = dict(now.states)
    for state, start in other.states.items():
        states[state] = min(start, states.get(state, NEVER))
    tail, second, last = other[:3] if other.tail is not _NOTHING else now[:3]
    return _Held(tail, second, last, states, now.pending, max(now.fillers, other.fillers))
