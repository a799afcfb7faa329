"""Watches a text for numbers of cards, social security and telephones, typed and said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guardrails.fold import Folded, Kind
from guardrails.personal import phones, ssn
from guardrails.personal.cards import BEGINNINGS, NO_DIGITS, Card
from guardrails.personal.cards import LONGEST as CARD
from guardrails.personal.groups import GLUED, Group, pauses
from guardrails.personal.words import FILLERS, LONGEST, MOST_FILLERS, NUMBERS, WITHIN, Lexicon, Part, Place, Word
from guardrails.scanning import GAP_LIMIT, NEVER, Span

LEXICON = Lexicon(NUMBERS, WITHIN, digits=True)
LEXICON_WITHIN = Lexicon(WITHIN, WITHIN, digits=True)

LONGEST_GLUED = CARD * 5
"""Letters of number words without gaps after which they are numbers, whatever follows in the same word."""

UNREAD = 8
"""Letters of the first word of what may be a number before it is read."""

STRICT_FROM = 13
"""Digits of a run that strictly is taken for a card, whatever they are."""
STRICT_CUT = 8
"""Digits of what may become a card that strictly is taken for one where the text ends."""

_NO_CARD = frozenset(
    word
    for word in WITHIN.values()
    if word.part in (Part.FILLER, Part.PLURAL)
    or (
        word.part in (Part.DIGITS, Part.TENS)
        and BEGINNINGS.isdisjoint(word.text + ("0" if word.part is Part.TENS else ""))
    )
)
"""Words with which no card begins."""

_DIGIT = max(map(len, NUMBERS)) + GAP_LIMIT + MOST_FILLERS * (max(map(len, FILLERS)) + GAP_LIMIT)
"""Characters of a digit at most: said as the longest word, with fillers and gaps behind."""

BOUND = {
    "card": CARD * _DIGIT,
    "ssn": (ssn.LENGTH + 1) * _DIGIT,
    "phone": (phones.LONGEST + 1) * _DIGIT,
}
"""How many characters may be undecided, by what is looked for."""

_NO_SPANS: tuple[Span, ...] = ()
_KEPT = 16
"""Digits of a run that are kept in groups: one more than a telephone number has."""


class _Pending:
    """A reading that the next word may complete, such as "twenty" as the first digit of "twenty three"."""

    __slots__ = ("gap", "origin", "part", "start", "text")

    def __init__(self, origin: _Joint, part: Part, text: str, start: int, gap: str) -> None:
        self.origin, self.part, self.text, self.start, self.gap = origin, part, text, start, gap


class _Joint:
    """A place between two words of numbers, and all that is known of the digits before it.

    Attributes:
        cards: What may become a card's number, each with its first character.
        covered: The first character of the first card that has been found in the run; `NEVER` if none has.
        groups: The last digits of the run, in the likeliest reading.
        whole: Whether these are all of the run's.
        digits: How many digits the run has.
        pending: Readings that need the next word.
        found: What has been found, to be reported when it is sure that the word ends here.
        swallowing: The rank of the rule that covers the rest of the run; `NEVER` if none does.
        first: The run's first character.
        end: One past the last.
        reached: Whether the word before is whole; otherwise there are only pending readings.
        loose: Whether there are letters for digits, which need a typed digit beside them.
        typed: Whether there is a typed digit in this word.
        fillers: How many fillers there are behind the last digit.
        filler: The last of them, if that ends here.
        linked: Whether the run began before this word.
        undecided: The first character that is part of something undecided.
        rank: The strongest rank it may have.
        settled: As `undecided`, the pending readings aside.
        settled_rank: As `rank`, the same.
    """

    __slots__ = (
        "cards",
        "covered",
        "digits",
        "end",
        "filler",
        "fillers",
        "first",
        "found",
        "groups",
        "linked",
        "loose",
        "pending",
        "rank",
        "reached",
        "settled",
        "settled_rank",
        "swallowing",
        "typed",
        "undecided",
        "whole",
    )

    def __init__(self) -> None:
        self.cards: dict[Card, int] = {}
        self.covered = NEVER
        self.groups: tuple[Group, ...] = ()
        self.whole = True
        self.digits = 0
        self.pending: tuple[_Pending, ...] = ()
        self.found: tuple[Span, ...] = ()
        self.swallowing = NEVER
        self.first = NEVER
        self.end = 0
        self.reached = False
        self.loose = False
        self.typed = False
        self.fillers = 0
        self.filler = ""
        self.linked = False
        self.undecided = NEVER
        self.rank = NEVER
        self.settled = NEVER
        self.settled_rank = NEVER

    def find(self, start: int, end: int, rank: int) -> None:
        """Note a span, as part of the one before if it continues that."""
        if self.found and self.found[-1].end == start and self.found[-1].rank == rank:
            start = self.found[-1].start
            self.found = self.found[:-1]
        self.found += (Span(start, end, rank),)


_NOTHING = _Joint()
_NOTHING.reached = True


class DigitScanner:
    """A `Scanner` for numbers that consist of digits, in every script and as English words, mixed as they may be.

    A run of digits goes on over any gap and over up to two fillers, such as "dash" or "uh". Where words can be read in
    more than one way ("twenty three" is 23 or 20 3), every reading may make a card; for the other kinds the usual one
    counts.

    Args:
        card: The rank of the rule for cards; `NEVER` if there is none.
        ssn: The same for social security numbers.
        phone: The same for telephone numbers.
        strict: Whether any run of `STRICT_FROM` digits is a card, and what may become a card is one at the end of the
            text, from `STRICT_CUT` digits.
    """

    def __init__(self, *, card: int = NEVER, ssn: int = NEVER, phone: int = NEVER, strict: bool = False) -> None:
        self._card, self._ssn, self._phone, self._strict = card, ssn, phone, strict
        self._strongest = min(card, ssn, phone)
        self._grouped = ssn != NEVER or phone != NEVER
        self.reset()

    def reset(self) -> None:
        self.open = NEVER
        self.open_rank = NEVER
        self._place = LEXICON.root
        self._busy = False
        self._idle()

    def _idle(self) -> None:
        self._tail = self._last = self._former = _NOTHING
        self._word: list[int] = []
        self._joints: dict[int, _Joint] = {}
        self._unread: list[tuple[int, Place]] = []
        self._gap = ""

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        before = self._place
        place = self._place = before[char]
        if place.quiet and not self._busy:
            return _NO_SPANS
        if char.kind is Kind.GAP:
            return self._end_word(char)
        self._busy = True
        if not self._word:
            self._joints = {0: self._tail}
            if self._tail is _NOTHING:
                self._gap = before.mark if before.beginning else GLUED
        self._word.append(at)
        if place.quiet:
            if self._last is _NOTHING and self._former is _NOTHING:
                self._word, self._unread = [], []
                self._busy = False
                self.open = self.open_rank = NEVER
                return _NO_SPANS
            return self._end_run(char)
        length = len(self._word)
        if not place.typed and length < UNREAD and self._tail is _NOTHING and len(self._joints) == 1:
            # Most words that begin like a number's are none: they are read when they may be one.
            self._unread.append((length, place))
            undecided = self._grouped or any(one.done for _, one in self._unread) or _may_begin_card(place)
            self.open, self.open_rank = (self._word[0], self._strongest) if undecided else (NEVER, NEVER)
            return _NO_SPANS
        if self._unread:
            self._catch_up()
        spans: Sequence[Span] = _NO_SPANS
        if place.done:
            spans = self._read(length, at + 1)
        self._joints.pop(length - LONGEST - 1, None)
        if not self._set_open(length):
            return [*spans, *self._end_run(char)]
        return spans

    def _catch_up(self) -> None:
        """Read the word under way up to here."""
        place, unread = self._place, self._unread
        for length, reached in unread:
            if reached.done:
                self._place = reached
                self._read(length, self._word[length - 1] + 1)
        self._place, self._unread = place, []

    def finish(self) -> Sequence[Span]:
        spans: list[Span] = []
        if self._unread:
            self._catch_up()
        if self._word:
            now = self._whole_word()
            if now is None or not now.reached:
                spans += self._decide(self._last) + self._decide(self._former)
            else:
                if not now.linked:
                    spans += self._decide(self._former)
                spans += now.found
                spans += self._decide(now, cut=True)
        else:
            spans += self._decide(self._tail, cut=True)
        self.reset()
        return spans

    def _end_run(self, char: Folded) -> Sequence[Span]:
        """With this character it is sure that the word is no number."""
        spans = self._decide(self._last) + self._decide(self._former)
        self._idle()
        self._place = LEXICON.lost[char]
        self._busy = False
        self.open = self.open_rank = NEVER
        return spans

    def _end_word(self, char: Folded) -> Sequence[Span]:
        """A gap follows."""
        spans: list[Span] = []
        if self._unread:
            self._catch_up()
        if self._word:
            now = self._whole_word()
            if now is None:
                return self._end_run(char)
            if not now.linked:
                spans += self._decide(self._former)
            if now.found:
                spans += now.found
                now.found = ()
            now.linked = True
            for one in now.pending:
                one.origin.pending = ()
            self._tail = self._last = now
            self._former = _NOTHING
            self._word = []
            self._gap = f"{self._gap}<{now.filler}>" if now.filler else ""
            self._look(now)
            self.open, self.open_rank = now.undecided, now.rank
        self._place = LEXICON_WITHIN.root
        self._gap += char.bases[0]
        return spans

    def _whole_word(self) -> _Joint | None:
        """The place behind the word; None if it is no number."""
        now = self._joints.get(len(self._word))
        if now is None or not (now.reached or now.pending):
            return None
        if now.loose and (len(self._word) == 1 or not self._tail.digits):
            return None
        now.loose = now.typed = False
        return now

    def _read(self, length: int, end: int) -> Sequence[Span]:
        """Words are whole with this character."""
        joints, word = self._joints, self._word
        now = _Joint()
        now.end = end
        now.loose = True
        typed = False
        for value, size in self._place.done:
            assert isinstance(value, Word)  # noqa: S101
            origin = joints.get(length - size)
            gap = self._gap if size == length else ""
            if value.part is Part.TYPED:
                typed = True
                if origin is None or not (origin.reached or origin.pending):
                    origin, gap = _NOTHING, GLUED
            if origin is not None:
                self._follow(now, origin, value, word[length - size], gap)
        if not (now.reached or now.pending):
            return _NO_SPANS
        joints[length] = now
        spans: Sequence[Span] = _NO_SPANS
        if now.reached and (typed or (length > LONGEST_GLUED and not now.loose)):
            spans, now.found = now.found, ()
            if now.linked:
                self._former = _NOTHING
            elif self._last is self._tail or self._last.linked:
                self._former = self._last
            self._last = now
        self._look(now)
        return spans

    def _follow(self, now: _Joint, origin: _Joint, word: Word, start: int, gap: str) -> None:
        """All readings of a word at a place."""
        part, text = word
        loose = part is not Part.TYPED and (origin.loose or (part is Part.LETTER and not origin.typed))
        if part is Part.FILLER:
            self._fill(now, origin, text)
            return
        pending: list[_Pending] = []
        if part in (Part.TYPED, Part.DIGITS, Part.LETTER):
            said = part is Part.DIGITS
            readings: list[tuple[_Joint, str, int, str, bool]] = []
            for other in origin.pending:
                digits = _completed(other, text)
                if digits:
                    readings.append((other.origin, digits, other.start, other.gap, other.part is not Part.REPEAT))
                    if other.part is Part.THOUSAND and len(text) == 1:
                        pending.append(_Pending(other.origin, Part.DIGITS, other.text + text, other.start, other.gap))
            if origin.reached:
                # The usual reading of "fifty, six" is two numbers.
                first = bool(readings) and pauses(gap) and "<" not in gap
                readings.insert(0 if first else len(readings), (origin, text, start, gap, said and len(text) > 1))
                if said and len(text) == 1 and text in "23456789":
                    pending.append(_Pending(origin, Part.PLURAL, text, start, gap))
            for before, digits, begin, between, compound in readings:
                self._extend(now, before, digits, begin, between, said=said, compound=compound)
        elif part is Part.TENS:
            for other in origin.pending:
                if other.part in (Part.HUNDRED, Part.THOUSAND):
                    zeros = "" if other.part is Part.HUNDRED else "0"
                    digits = other.text + zeros + text
                    self._extend(now, other.origin, digits + "0", other.start, other.gap, said=True, compound=True)
                    pending.append(_Pending(other.origin, Part.TENS, digits, other.start, other.gap))
            if origin.reached:
                self._extend(now, origin, text + "0", start, gap, said=True, compound=True)
                pending.append(_Pending(origin, Part.TENS, text, start, gap))
        elif part is Part.REPEAT:
            if origin.reached:
                pending.append(_Pending(origin, Part.REPEAT, text, start, gap))
        elif part is Part.PLURAL:
            for other in origin.pending:
                if other.part is Part.PLURAL:
                    self._extend(now, other.origin, text * int(other.text), other.start, other.gap, said=True)
        elif origin.digits and origin.reached and not origin.fillers:
            for other in origin.pending:
                if other.part is Part.DIGITS:
                    hundreds = other.text + "00"
                    self._extend(now, other.origin, hundreds, other.start, other.gap, said=True, compound=True)
                    pending.append(_Pending(other.origin, Part.HUNDRED, other.text, other.start, other.gap))
            zeros = "00" if part is Part.HUNDRED else "000"
            self._extend(now, origin, zeros, start, gap, said=True, compound=True)
            pending.append(_Pending(origin, part, "", start, gap))
        if pending:
            now.pending += tuple(pending)
            now.linked = now.linked or origin.linked
            now.first = min(now.first, origin.first, start)
        if now.reached or pending:
            now.loose = now.loose and loose
            now.typed = now.typed or part is Part.TYPED or origin.typed

    def _fill(self, now: _Joint, origin: _Joint, text: str) -> None:
        if now.reached or not origin.digits or origin.fillers >= MOST_FILLERS or self._joints.get(0) is not origin:
            return
        now.cards, now.groups, now.whole, now.digits = origin.cards, origin.groups, origin.whole, origin.digits
        now.covered = origin.covered
        now.swallowing, now.first, now.end, now.reached = origin.swallowing, origin.first, origin.end, origin.reached
        now.loose, now.linked, now.found = origin.loose, origin.linked, origin.found
        now.fillers, now.filler = origin.fillers + 1, text
        if text == "and":
            now.pending = tuple(one for one in origin.pending if one.part in (Part.HUNDRED, Part.THOUSAND))

    def _extend(
        self, now: _Joint, origin: _Joint, digits: str, start: int, gap: str, *, said: bool, compound: bool = False
    ) -> None:
        """Digits after a place."""
        new = not now.reached
        now.reached = True
        now.linked = now.linked or origin.linked
        now.first = min(now.first, origin.first, start)
        now.digits = max(now.digits, origin.digits + len(digits))
        if origin.found:
            now.found += origin.found
        if origin.swallowing != NEVER:
            now.swallowing = min(now.swallowing, origin.swallowing)
            now.find(origin.end, now.end, origin.swallowing)
        if self._card != NEVER:
            self._extend_cards(now, origin, digits, start)
        if new and self._grouped:
            self._extend_groups(now, origin, Group(digits, start, now.end, gap, len(digits) if said else 0, compound))

    def _extend_cards(self, now: _Joint, origin: _Joint, digits: str, start: int) -> None:
        covered = first = min(now.covered, origin.covered)
        if self._strict and now.digits >= STRICT_FROM:
            first = min(first, now.first)
        cards = origin.cards
        for digit in map(int, digits):
            following: dict[Card, int] = {}
            for state, begin in cards.items():
                after = state.moves[digit] or state.after(digit)
                if after.valid and begin < first:
                    first = begin
                if after.alive and begin < following.get(after, NEVER):
                    following[after] = begin
            after = NO_DIGITS.after(digit)
            if after.alive:
                following.setdefault(after, start)
            cards = following
        if now.cards:
            for state, begin in now.cards.items():
                if begin < cards.get(state, NEVER):
                    cards[state] = begin
        if first < covered:
            now.find(first, now.end, self._card)
            now.swallowing = min(now.swallowing, self._card)
        if first != NEVER:
            # All from there on is covered: only what begins before may add to it.
            cards = {state: begin for state, begin in cards.items() if begin < first}
        now.covered, now.cards = first, cards

    def _extend_groups(self, now: _Joint, origin: _Joint, new: Group) -> None:
        groups, whole = origin.groups, origin.whole
        joined = False
        if groups:
            last = groups[-1]
            tight = not new.gap and (new.start == last.end or not new.said)
            joined = tight or ((new.said + last.said > 0) and not pauses(new.gap))
        if joined:
            last = groups[-1]
            groups = (
                *groups[:-1],
                Group(
                    last.digits + new.digits,
                    last.start,
                    new.end,
                    last.gap,
                    last.said + new.said,
                    last.compound or new.compound,
                ),
            )
        else:
            if self._ssn != NEVER and ssn.is_grouped(groups[-3:]):
                now.found += (Span(groups[-3].start, groups[-1].end, self._ssn),)
            groups = (*groups, new)
        total = sum(len(group.digits) for group in groups)
        while total >= _KEPT:
            if self._phone != NEVER:
                now.found += tuple(self._phones(groups, over=False))
            whole = False
            if len(groups) == 1:
                if not joined or len(origin.groups[-1].digits) < _KEPT:
                    self._overflow(now, groups[0])
                total, groups = 0, (groups[0]._replace(digits=groups[0].digits[:_KEPT]),)
            else:
                total -= len(groups[0].digits)
                groups = groups[1:]
        now.groups, now.whole = groups, whole

    def _overflow(self, now: _Joint, group: Group) -> None:
        """There are more digits than in a telephone number, without a pause: nobody could tell where one begins."""
        if self._phone != NEVER and group.said * 2 >= len(group.digits):
            now.found += (Span(group.start, now.end, self._phone),)
            now.swallowing = min(now.swallowing, self._phone)

    def _phones(self, groups: tuple[Group, ...], *, over: bool) -> Iterator[Span]:
        for first, last in phones.find(groups, over=over):
            yield Span(groups[first].start, groups[last - 1].end, self._phone)

    def _decide(self, joint: _Joint, *, cut: bool = False) -> list[Span]:
        """A run is over."""
        spans: list[Span] = []
        groups = joint.groups
        if groups and self._ssn != NEVER:
            if joint.whole and ssn.is_whole(groups):
                spans.append(Span(groups[0].start, groups[-1].end, self._ssn))
            elif ssn.is_grouped(groups[-3:]):
                spans.append(Span(groups[-3].start, groups[-1].end, self._ssn))
        if groups and self._phone != NEVER:
            spans += self._phones(groups, over=True)
        if cut and self._strict:
            spans += [
                Span(begin, joint.end, self._card) for state, begin in joint.cards.items() if state.length >= STRICT_CUT
            ]
        return spans

    def _look(self, joint: _Joint) -> None:
        """Note what is undecided at a place."""
        undecided = rank = NEVER
        if joint.swallowing != NEVER:
            undecided, rank = joint.end, joint.swallowing
        if joint.cards:
            undecided, rank = min(undecided, *joint.cards.values()), min(rank, self._card)
        if self._strict and joint.digits and joint.first < joint.covered:
            undecided, rank = min(undecided, joint.first), min(rank, self._card)
        groups = joint.groups
        if groups:
            if self._phone != NEVER and len(groups[-1].digits) < _KEPT:
                undecided, rank = min(undecided, groups[0].start), min(rank, self._phone)
            if self._ssn != NEVER:
                first = ssn.undecided(groups, whole=joint.whole)
                if first is not None:
                    undecided, rank = min(undecided, groups[first].start), min(rank, self._ssn)
        for span in joint.found:
            undecided, rank = min(undecided, span.start), min(rank, span.rank)
        joint.settled, joint.settled_rank = undecided, rank
        for one in joint.pending:
            undecided = min(undecided, one.origin.settled, one.start)
            rank = min(rank, one.origin.settled_rank, self._strongest)
        joint.undecided, joint.rank = undecided, rank

    def _set_open(self, length: int) -> bool:
        """Whether the word may still be a number."""
        joints, place = self._joints, self._place
        undecided = rank = NEVER
        for before in (self._last, self._former):
            undecided, rank = min(undecided, before.undecided), min(rank, before.rank)
        now = joints.get(length)
        alive = now is not None
        if now is not None:
            undecided, rank = min(undecided, now.undecided), min(rank, now.rank)
        for size in place.lengths:
            origin = joints.get(length - size)
            if origin is None:
                continue
            alive = True
            undecided, rank = min(undecided, origin.undecided), min(rank, origin.rank)
            if self._grouped or size in _may_begin_card(place):
                undecided = min(undecided, self._word[length - size])
                rank = min(rank, self._strongest)
        self.open, self.open_rank = undecided, rank
        return alive


def _may_begin_card(place: Place) -> frozenset[int]:
    """How many characters there are so far of those words under way with which a card may begin."""
    if place.note is None:
        place.note = frozenset(length for branch, length in place.branches if not _NO_CARD.issuperset(branch.ahead))
    lengths: frozenset[int] = place.note
    return lengths


def _completed(pending: _Pending, text: str) -> str:
    """The digits of a pending reading with a unit or a teen; "" if they do not go together."""
    if pending.part is Part.TENS:
        return pending.text + text if len(text) == 1 and text != "0" else ""
    if pending.part is Part.REPEAT:
        return text * int(pending.text) if len(text) == 1 else ""
    if pending.part is Part.HUNDRED:
        return pending.text + text.zfill(2)
    if pending.part is Part.THOUSAND:
        return pending.text + text.zfill(3)
    return ""
