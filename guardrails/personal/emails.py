"""Watches a text for e-mail addresses, written and said: "john.smith@gmail.com", "john dot smith at gmail dot com"."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto

from guardrails.fold import SPACE, Folded, Kind
from guardrails.personal.words import NUMBERS, Lexicon, Part, Place
from guardrails.scanning import GAP_LIMIT, NEVER, Span

LOCAL = 160
"""Characters before the "at" that are covered at least, where there are so many in several words."""
LONGEST_WORD = 64
"""The same where they are one word, as RFC 5321 has it; up to twice as many are held."""
DOMAIN = 255
"""Characters behind the "at" before it is sure that they are no address, as RFC 5321 has it."""

BOUND = LOCAL + 2 * LONGEST_WORD + DOMAIN + 2 * LONGEST_WORD + 4 * GAP_LIMIT
"""How many characters may be undecided."""


class _As:
    """What a word may be in an address."""

    AT = "at"
    SIGN = "sign"
    """Behind "at": "at sign"."""
    DOT = "dot"
    DOTCOM = "dotcom"
    JOIN = "join"
    """Between two parts of a name: "dot", "underscore"."""
    HYPHEN = "hyphen"
    NUMBER = "number"
    COMMON = "common"
    """In front of "at" it is rather part of a sentence about a web site: "find us at acme dot com"."""
    PAUSE = "pause"
    """Nothing is meant by it, wherever it stands: "um"."""
    PROVIDER = "provider"
    """Behind "at" it is a mail service: then the word in front is a name, whatever it is."""
    HALF = "half"
    """Of a mail service, as in "hot mail": one more word may end the label."""
    TOP = "top"
    """The last part of a domain."""
    SURELY_TOP = "surely top"
    """The same, and no word of a sentence: it may stand behind a full stop and a space."""


_GENERIC = (
    "com org net edu gov mil int info biz name pro mobi aero coop museum travel jobs app dev io ai tech online site "
    "store shop cloud xyz blog email live news world agency company solutions services digital media group global "
    "systems network software studio design academy care health finance bank money legal law consulting support"
).split()
_SURE = frozenset("co com org net edu gov biz uk de fr io eu ca nl ch pl se dk fi jp ru cn br mx nz couk coma".split())
_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd "
    "cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge "
    "gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh "
    "ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw "
    "mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb "
    "sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk "
    "us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
).split()
_PROVIDERS = (
    "gmail googlemail yahoo ymail rocketmail hotmail outlook live msn icloud aol proton protonmail gmx mail fastmail "
    "hey zoho yandex comcast verizon att btinternet sky tutanota"
).split()
_SENTENCES = (
    "a an the to from for of with by my your his our their its i you he she it we they me him her us them this that "
    "these those here there who what which one ones "
    "is are was were be been am do does did done has have had can could will would shall should may might must "
    "and or but so if than then not only also just more most all any some each every both now today online again "
    "visit find found look looking see go going get got shop shopping buy order ordering orders ordered read learn "
    "book booking booked sign log login pay paid apply register registered download available website site web page "
    "pages store stores app link portal account accounts form forms faq blog details detail information documents "
    "document terms policy policies guide guides help answers instructions up in on out over down back live hosted "
    "posted published located listed located works working work worked start started starts arrive check checked "
    "track tracked tracking reach reached contact email write call us"
).split()


def _words() -> dict[str, object]:
    words: dict[str, set[str]] = {}
    for kind, which in (
        (_As.AT, ["at"]),
        (_As.SIGN, ["sign", "symbol"]),
        (_As.DOT, ["dot", "period", "point"]),
        (_As.DOTCOM, ["dotcom", "dotorg", "dotnet"]),
        (_As.JOIN, "dot period point underscore dash hyphen minus plus".split()),
        (_As.HYPHEN, ["dash", "hyphen", "minus"]),
        (_As.NUMBER, [word for word, value in NUMBERS.items() if value.part is not Part.LETTER]),
        (_As.COMMON, _SENTENCES),
        (_As.PAUSE, "um uh er erm ah hmm".split()),
        (_As.PROVIDER, _PROVIDERS),
        (_As.HALF, "hot out proton fast rocket google i".split()),
        (_As.TOP, _GENERIC + _COUNTRIES),
        (_As.SURELY_TOP, sorted(_SURE)),
    ):
        for word in which:
            words.setdefault(word, set()).add(kind)
    return {word: frozenset(kinds) for word, kinds in words.items()}


_WORDS = _words()
_TOPS = frozenset(_GENERIC) | frozenset(_COUNTRIES)
LEXICON = Lexicon(_WORDS)
_NONE: frozenset[str] = frozenset()
_SPOKEN = frozenset((_As.AT, _As.JOIN, _As.PAUSE))
_GOES_ON = _SPOKEN | {_As.NUMBER}
_BEHIND_LABEL = frozenset((_As.DOT, _As.DOTCOM, _As.HYPHEN, _As.PAUSE))
_BEHIND_STOP = _BEHIND_LABEL | {_As.SURELY_TOP}
_NO_SPANS: tuple[Span, ...] = ()
_TIGHT = frozenset(".-+'%&=#!/?^{}|")
"""What may stand within a name, besides letters and digits; a dash stands for an underscore, too."""


def _kinds(values: frozenset[object]) -> frozenset[str]:
    found = _NONE
    for value in values:
        if isinstance(value, frozenset):
            found |= value
    return found


def _noted(place: Place) -> tuple[frozenset[str], frozenset[str]]:
    """What a word is if it ends here, and what it may be if it goes on."""
    if place.note is None:
        whole = _kinds(place.whole)
        place.note = whole, whole | _kinds(place.ahead)
    noted: tuple[frozenset[str], frozenset[str]] = place.note
    return noted


class _Wait(Enum):
    """What a domain waits for."""

    LABEL = auto()
    DOT = auto()
    TOP = auto()
    SURE_TOP = auto()
    """A top-level domain that cannot be the first word of a sentence."""
    SPACED = auto()
    """The same, or one more label: behind a full stop with a space on either side."""
    MORE = auto()
    """Nothing: it goes on as long as its characters follow each other."""


class _Label(Enum):
    """What the label under way is."""

    WHOLE = auto()
    """A word, or nothing yet."""
    HALF = auto()
    """A word that another may complete: "hot mail"."""
    SPELLED = auto()
    """Letters: "g mail", "g m x"."""
    TOP = auto()
    """Letters behind a dot, which may be a top-level domain: "d e"."""


class _Domain:
    """What comes behind an "at".

    Attributes:
        start: The first character of the address.
        end: One past the last that has been reported; the start if nothing has.
        waiting: What it waits for.
        signed: Whether there is an "@".
        common: Whether the word in front is one of a sentence.
        label: What the label under way is.
        letters: Those of it that are spelled.
        labels: How many labels there are.
        size: How many characters there are.
        sure: Whether it is an address already.
    """

    __slots__ = ("common", "end", "label", "labels", "letters", "signed", "size", "start", "sure", "waiting")

    def __init__(self, start: int, *, signed: bool, common: bool) -> None:
        self.start = self.end = start
        self.waiting = _Wait.LABEL
        self.signed, self.common = signed, common
        self.label, self.letters = _Label.WHOLE, ""
        self.labels = self.size = 0
        self.sure = False


class EmailScanner:
    """A `Scanner` for e-mail addresses.

    Every word may be the name in an address, so each is held until what follows shows that it isn't: mostly for one
    letter of the next word. A name may consist of parts with dots, dashes and the like between them, typed or said, and
    of letters and numbers that are spelled. With an "@" between two characters it is an address without more ado;
    otherwise it needs a domain with a dot, typed or said.

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
        self._size = 0
        self._wake = 0
        self._start = NEVER
        self._end = 0
        self._only = SPACE
        self._number = False
        self._recent: deque[int] = deque(maxlen=LONGEST_WORD)
        self._gap = ""
        self._name: list[tuple[int, int]] = []
        self._name_common = False  # such a word by itself
        self._dangling = False
        self._joined = False
        self._settled = False
        self._domains: list[_Domain] = []

    def step(self, at: int, char: Folded) -> Sequence[Span]:
        before = self._place
        place = self._place = before[char]
        self._size += 1
        if self._size < self._wake and not place.beginning:
            self._end = at + 1
            return _NO_SPANS
        if char.kind is Kind.GAP:
            self._size -= 1
            return self._pause(char, before)
        spans: list[Span] = []
        if before.beginning:
            self._begin_word(at, char)
        self._end = at + 1
        if self._size > LONGEST_WORD:
            self._lengthen(at)
        for domain in self._domains:
            if domain.waiting is _Wait.MORE:
                spans.append(Span(domain.end, at + 1, self._rank))
                domain.end = at + 1
        if not self._settled:
            self._settle(place)
        self._set_open()
        return spans

    def _begin_word(self, at: int, char: Folded) -> None:
        gap = self._gap
        self._start, self._size, self._only, self._number = at, 1, char, bool(char.digit)
        self._recent.clear()
        self._settled = False
        for domain in self._domains:
            _cross(domain, gap)
        self._domains = [domain for domain in self._domains if domain.size <= DOMAIN or domain.sure]
        if "@" in gap:
            if self._name:
                domain = _Domain(self._name[0][0], signed=True, common=False)
                if gap == "@":
                    domain.waiting, domain.sure = _Wait.MORE, True
                self._domains.append(domain)
            self._name = []
        elif gap == " . " or (0 < len(gap) <= 2 and _TIGHT.issuperset(gap)):
            self._joined = True
        self._wake = 0

    def _lengthen(self, at: int) -> None:
        """A word is longer than any name: what counts is its end."""
        self._recent.append(at)
        self._domains = [domain for domain in self._domains if domain.sure]
        if self._size > 2 * LONGEST_WORD:
            self._start = self._recent[0]
            self._name = []

    def _settle(self, place: Place) -> None:
        """Drop what this word can't go on with."""
        ahead = _noted(place)[1]
        single = self._size == 1
        waiting = False
        if self._name and not self._joined:
            goes_on = _SPOKEN if self._name_common else _GOES_ON
            if self._name_common or not (single or self._number):
                if ahead.isdisjoint(goes_on):
                    self._name = []
                else:
                    waiting = True
        kept = []
        for domain in self._domains:
            if domain.waiting in (_Wait.DOT, _Wait.SURE_TOP):
                behind = _BEHIND_LABEL if domain.waiting is _Wait.DOT else _BEHIND_STOP
                alive = not ahead.isdisjoint(behind) or (single and domain.label is not _Label.WHOLE) or _begun(domain)
                waiting = True
            else:
                alive = True
            if alive:
                kept.append(domain)
        self._domains = kept
        self._settled = not waiting and not single
        if self._settled and not any(domain.waiting is _Wait.MORE for domain in kept):
            self._wake = LONGEST_WORD

    def _pause(self, char: Folded, before: Place) -> Sequence[Span]:
        spans: Sequence[Span] = _NO_SPANS
        if not before.beginning:
            spans = self._end_word(before)
            self._gap = ""
            self._wake = 0
        white = char.space and "" not in char.bases
        self._gap += " " if white else "-" if char.space else char.bases[0]
        self._set_open(between=True)
        return spans

    def _end_word(self, place: Place) -> list[Span]:
        spans: list[Span] = []
        kinds = _noted(place)[0]
        single = self._size == 1
        domains = []
        for domain in self._domains:
            domain.size += self._size
            if self._advance(domain, kinds, spans, single=single):
                domains.append(domain)
        self._domains = domains
        number = self._number or _As.NUMBER in kinds
        name = self._name
        if _As.AT in kinds and name:
            self._domains.append(_Domain(name[0][0], signed=False, common=self._name_common))
            self._name = [(self._start, self._size)]
            self._joined = False
        elif _As.PAUSE in kinds and name:
            name.append((self._start, self._size + len(self._gap)))
            self._trim()
            return spans
        elif _As.JOIN in kinds and name and not self._dangling:
            name.append((self._start, self._size + len(self._gap)))
            self._joined = self._dangling = True
            self._name_common = False
            self._trim()
            return spans
        else:
            goes_on = self._joined or (not self._name_common and (single or number))
            if name and goes_on:
                name.append((self._start, self._size + len(self._gap)))
            else:
                self._name = [(self._start, self._size)]
            self._joined = single and not number and self._only.bases[0] not in ("a", "i")
            self._trim()
        self._dangling = False
        self._name_common = len(self._name) == 1 and _As.COMMON in kinds
        return spans

    def _trim(self) -> None:
        """Of a name in many parts the end counts."""
        name = self._name
        while len(name) > 1 and sum(size for _, size in name) > LOCAL:
            del name[0]

    def _advance(self, domain: _Domain, kinds: frozenset[str], spans: list[Span], *, single: bool) -> bool:
        """Whether an address can go on with a word."""
        if domain.waiting is _Wait.MORE:
            domain.waiting = _Wait.DOT
            return True
        if domain.waiting in (_Wait.DOT, _Wait.SURE_TOP):
            if single and domain.label is not _Label.WHOLE:
                domain.waiting = _Wait.DOT
                return self._spell(domain, spans)
            if _As.PAUSE in kinds:
                return True
            alive = True
            if _As.DOT in kinds:
                domain.waiting = _Wait.TOP
            elif _As.HYPHEN in kinds:
                domain.waiting = _Wait.LABEL
            else:
                if _As.DOTCOM in kinds or (domain.waiting is _Wait.SURE_TOP and _As.SURELY_TOP in kinds):
                    self._accept(domain, spans)
                else:
                    alive = _begun(domain)
                domain.waiting = _Wait.DOT
            domain.label, domain.letters = _Label.WHOLE, ""
            return alive
        if domain.waiting is _Wait.LABEL and not domain.labels and _As.SIGN in kinds and not domain.signed:
            domain.signed = True
            return True
        if domain.waiting is _Wait.LABEL and domain.labels and _As.DOT in kinds:
            domain.waiting = _Wait.TOP  # what seemed to join two words of a label was a pause
            return True
        named = domain.waiting is not _Wait.LABEL
        top = _As.TOP if domain.waiting is _Wait.TOP else _As.SURELY_TOP
        if named and top in kinds:
            self._accept(domain, spans)
        elif named and _As.PAUSE in kinds:
            return True
        else:
            if domain.common and not domain.labels and not domain.signed and _As.PROVIDER not in kinds:
                return False
            domain.labels += 1
        domain.waiting = _Wait.DOT
        half = _As.HALF in kinds and not single
        domain.label, domain.letters = _Label.HALF if half else _Label.WHOLE, ""
        if single:
            return self._spell(domain, spans, top=named)
        if _As.PAUSE in kinds:
            domain.label = _Label.SPELLED
        return True

    def _spell(self, domain: _Domain, spans: list[Span], *, top: bool = False) -> bool:
        """One more letter of a label."""
        if domain.label is _Label.WHOLE:
            domain.label = _Label.TOP if top else _Label.SPELLED
        domain.letters += self._only.bases[0]
        if domain.label is _Label.TOP and domain.letters in _TOPS:
            self._accept(domain, spans)
        return domain.sure or len(domain.letters) < LONGEST_WORD

    def _accept(self, domain: _Domain, spans: list[Span]) -> None:
        spans.append(Span(domain.end, self._end, self._rank))
        domain.end = self._end
        domain.sure = True

    def _set_open(self, *, between: bool = False) -> None:
        first = self._name[0][0] if self._name else NEVER if between else self._start
        if not between and self._start < first:
            first = self._start
        for domain in self._domains:
            if domain.end < first:
                first = domain.end
        self.open = first
        self.open_rank = NEVER if first == NEVER else self._rank

    def finish(self) -> Sequence[Span]:
        spans = [] if self._place.beginning else self._end_word(self._place)
        self.reset()
        return spans


def _begun(domain: _Domain) -> bool:
    """Whether a word may complete the label under way, as in "g mail" and "dot i cloud", but not in "a mail"."""
    if domain.label is _Label.TOP:
        return domain.letters == "i"
    return domain.label is _Label.HALF or (domain.label is _Label.SPELLED and domain.letters != "a")


def _cross(domain: _Domain, gap: str) -> None:
    """What a gap means to an address."""
    domain.size += len(gap)
    if domain.waiting is _Wait.DOT:
        tight = " " not in gap
        if "." in gap:
            if tight:
                domain.waiting = _Wait.MORE if domain.sure and not domain.labels else _Wait.TOP
            elif gap == " . ":
                domain.waiting = _Wait.TOP if domain.signed and not domain.sure else _Wait.SPACED
            elif not domain.sure or not domain.labels:
                domain.waiting = _Wait.SURE_TOP
        elif tight and gap in ("-", "--"):
            domain.waiting = _Wait.MORE if domain.sure and not domain.labels else _Wait.LABEL
            domain.label, domain.letters = _Label.WHOLE, ""
