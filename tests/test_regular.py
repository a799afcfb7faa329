"""Terms, patterns and claims, and how long they may keep a text waiting."""

from __future__ import annotations

import random

import pytest

from guardrails.fold import Kind, fold
from guardrails.regular import Automaton, Node, PatternError, RegularScanner, TooLargeError, bound, claim, parse, term
from guardrails.scanning import GAP_LIMIT, NEVER, Span


def found(text: str, *trees: Node) -> set[str]:
    """What of a text rules cover: the widest of each start."""
    scanner = RegularScanner(Automaton((tree, rank) for rank, tree in enumerate(trees)))
    widest: dict[int, int] = {}
    spans: list[Span] = []
    for at, char in enumerate(map(fold, text)):
        if char.kind is not Kind.IGNORED:
            spans += scanner.step(at, char)
    spans += scanner.finish()
    for span in spans:
        widest[span.start] = max(span.end, widest.get(span.start, 0))
    return {text[start:end] for start, end in widest.items()}


@pytest.mark.parametrize(
    ("phrase", "text", "covered"),
    [
        ("pin is", "my PIN is 1", {"PIN is"}),
        ("pin is", "my pin, is", {"pin, is"}),
        ("pin is", "pin\n\nis", {"pin\n\nis"}),
        ("pin is", "p-i-n i.s", {"p-i-n i.s"}),
        ("pin is", "p i n is, pin i s", {"p i n is", "pin i s"}),
        ("guarante*", "g u a r a n t e e d", {"g u a r a n t e"}),
        ("pin is", "p i nis, pi n is", set()),
        ("pin is", "spin is", set()),
        ("pin is", "pin isn", set()),
        ("password", "p a s s w o r d.", {"p a s s w o r d"}),
        ("password", "pass-word, pass word", {"pass-word"}),
        ("password", "pa😀ssword", {"pa😀ssword"}),
        ("password", "P.A.S.S.W.O.R.D", {"P.A.S.S.W.O.R.D"}),
        ("password", "passw0rd", {"passw0rd"}),
        ("guarante*", "guaranteed, guarantees", {"guaranteed", "guarantees"}),
        ("can't lose", "You can’t lose it, you cant lose", {"can’t lose", "cant lose"}),
        ("café", "cafe\u0301", {"cafe"}),
        ("paypal", "paypaI", {"paypaI"}),
        ("in to", "I n t o it", {"I n t o"}),
        ("bail", "ball", set()),
    ],
)
def test_terms(phrase: str, text: str, covered: set[str]) -> None:
    assert found(text, term(phrase)) == covered


@pytest.mark.parametrize(
    ("pattern", "text", "covered"),
    [
        (r"\d{3}-\d{2}-\d{4}", "１２３ 45–6789", {"１２３ 45–6789"}),
        (r"sk_[a-z0-9]{16,}", "SK_abcdefgh12345678xyz!", {"SK_abcdefgh12345678xyz"}),
        (r"\bORD-\d{4,6}\b", "ord-12345. ord-1234567", {"ord-12345"}),
        (r"(?:foo|bar)+baz", "", None),
        (r"a(b|cd)?e", "ae abe acde ace", {"ae", "abe", "acde"}),
        (r"[^\W\d]{3}1", "abc1 ab21", {"abc1"}),
        (r"x\s+y", "x  \n y", {"x  \n y"}),
        (r"x\By", "xy x y", {"xy"}),
        (r"ﬁsh", "fish ﬁsh", {"fish", "ﬁsh"}),
    ],
)
def test_patterns(pattern: str, text: str, covered: set[str] | None) -> None:
    if covered is None:
        with pytest.raises(ValueError, match="without end"):
            bound(parse(pattern))
    else:
        assert found(text, parse(pattern)) == covered


CLAIM = claim((("guarante*", "certain"), ("return*", "profit")), 3, True)


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("We have guaranteed returns.", {"guaranteed returns"}),
        ("a certain, quite solid profit", {"certain, quite solid profit"}),
        ("guaranteed, as we all do know, profit", set()),  # four words between
        ("guaranteed not a profit", set()),
        ("guaranteed nothing like profit", set()),
        ("guaranteed notable profit", {"guaranteed notable profit"}),
        ("guaranteed non profit", {"guaranteed non profit"}),
        ("c e r t a i n net r e t u r n", {"c e r t a i n net r e t u r n"}),
        ("guaranteed no, profit", set()),
        ("profit guaranteed", set()),
    ],
)
def test_claims(text: str, covered: set[str]) -> None:
    assert found(text, CLAIM) == covered


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"a.*b", "without end"),
        (r"[0-9]+@", "without end"),
        (r"sk_[a-z0-9]{16,}\b", "without end"),
        (r"(a|b)*c", "without end"),
        (r"x*", "empty text"),
        (r"\b", "empty text"),
        (r"(?:)", "empty text"),
    ],
)
def test_what_could_wait_without_end_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bound(parse(pattern))


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(?=a)b", "looks ahead"),
        (r"(?<!a)b", "looks ahead or behind"),
        (r"(a)\1", "refers back"),
        (r"^a", "anchor"),
        (r"a$", "anchor"),
        (r"(?>a+)b", "atomic"),
        (r"a++b", "possessively"),
        (r"(?s)a.b", "flag"),
        (r"a(b", "correct the pattern"),
        (r"[\u0000-\uffff]", "range"),
    ],
)
def test_what_cannot_be_decided_in_a_stream_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(PatternError, match=says):
        parse(pattern)


def test_a_rule_that_blows_up_is_refused() -> None:
    with pytest.raises(TooLargeError, match="states"):
        bound(parse(r"((a{1,40}){1,40}b){1,40}"))


@pytest.mark.parametrize(
    ("tree", "longest"),
    [
        (term("no"), 2),
        (parse(r"\d{3}"), 2),
        (parse(r"\b\d{3}\b"), 3),
        (parse(r"sk[a-z]{4,}"), 5),
        (parse(r"a b"), 1 + GAP_LIMIT),
        (parse(r"a[ .-]*b"), 1 + GAP_LIMIT),
    ],
)
def test_bounds(tree: Node, longest: int) -> None:
    assert bound(tree) == longest


def test_no_text_keeps_more_waiting_than_the_bound_says() -> None:
    trees = [term("my pin is"), term("guarante*"), CLAIM, parse(r"\b[a-c]{2,5} x\b"), parse(r"ab[ .]*c?d")]
    longest = max(map(bound, trees))
    random_ = random.Random(7)
    pieces = ["my", " ", "  ", ", ", "pin", "is", "guaranteed", "quite", "a", "b", "c", "x", "ab", ".", "profit", "not"]
    reached = 0
    scanner = RegularScanner(Automaton((tree, rank) for rank, tree in enumerate(trees)))
    for _ in range(1500):
        scanner.reset()
        covered = 0
        for at, char in enumerate(map(fold, "".join(random_.choices(pieces, k=12)))):
            for span in scanner.step(at, char):
                covered = max(covered, span.end)
            if scanner.open != NEVER:
                held = at + 1 - max(scanner.open, covered)
                reached = max(reached, held)
    assert 20 < reached <= longest


def test_as_many_matches_are_under_way_as_there_are_states_and_no_more() -> None:
    scanner = RegularScanner(Automaton([(parse("a{1,30}b"), 0)]))
    for at in range(5000):
        scanner.step(at, fold("a"))
        assert len(scanner._matches) <= 30
