"""What holds for every kind of personal data: nothing decided is taken back, the bound, and the cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from random import Random
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.fold import Kind, fold
from guardrails.personal import BOUND, What, personal_scanners
from guardrails.personal.words import FILLERS, NUMBERS, WITHIN
from guardrails.scanning import GAP_LIMIT, NEVER, Scanner, Span

ALL = tuple(BOUND)
PARTS = [
    *WITHIN,
    *"0123456789",
    *("4111", "1111", "474", "49", "7577", "905", "674", "3793", "GB29", "NWBK", "6016", "DE89", "golf", "bravo"),
    *("john", "at", "dot", "com", "gmail", "@", "gmail.com", "john@", "x", "a", "b", "the", "hello", "onerous"),
    *("f0ur", "0ne", "l", "O", "I", "tw", "thr", "3r", "s0", "50", "⑫", "½", "ﬁ"),
]
GAPS = [" ", " ", "", "", "-", ".", ", ", ". ", "/", " - ", "  ", "\n", "+", "(", ") ", "_", "\u200b", "*"]


@st.composite
def mixed_texts(draw: st.DrawFn) -> str:
    pool = draw(st.lists(st.sampled_from(PARTS), min_size=2, max_size=12))
    pairs = st.tuples(st.sampled_from(pool), st.sampled_from(GAPS))
    return "".join(part + gap for part, gap in draw(st.lists(pairs, min_size=1, max_size=30)))


def scanners() -> list[Scanner]:
    every = personal_scanners([(what, rank, False) for rank, what in enumerate(ALL)])
    strict = personal_scanners([("card", 2, True), ("ssn", 1, False)])
    return every + strict + [one for what in ALL for one in personal_scanners([(what, 0, False)])]


def steps(scanner: Scanner, text: str) -> Iterator[tuple[int, int, int, list[Span]]]:
    """For each character that is seen, and for the end: its number, what was open before it, and what it decides."""
    at = 0
    for at, char in enumerate(text):
        folded = fold(char)
        if folded.kind is not Kind.IGNORED:
            before = scanner.open, scanner.open_rank
            yield at, *before, list(scanner.step(at, folded))
    before = scanner.open, scanner.open_rank
    yield len(text), *before, list(scanner.finish())


@settings(max_examples=400, deadline=None)
@given(mixed_texts())
def test_nothing_is_covered_that_was_let_go_and_no_rank_is_stronger_than_said(text: str) -> None:
    for scanner in scanners():
        spans: list[Span] = []
        for at, undecided, rank, found in steps(scanner, text):
            for span in found:
                assert span.start < span.end <= at + 1
                continues = any(one.start <= span.start <= one.end for one in spans)
                assert span.start >= min(undecided, at) or continues
                assert span.start == at or span.rank >= rank
                spans.append(span)
            if at < len(text):
                assert scanner.open >= min(undecided, at)
        assert scanner.open == scanner.open_rank == NEVER


@settings(max_examples=100, deadline=None)
@given(mixed_texts(), mixed_texts())
def test_a_scanner_that_has_finished_or_forgotten_is_as_new(text: str, another: str) -> None:
    for used, new in zip(scanners(), scanners(), strict=True):
        for _ in steps(used, another):
            pass
        assert list(steps(used, text)) == list(steps(new, text))
        for at, char in enumerate(another):
            if fold(char).kind is not Kind.IGNORED:
                used.step(at, fold(char))
        used.reset()
        assert list(steps(used, text)) == list(steps(new, text))


@settings(max_examples=100, deadline=None)
@given(mixed_texts())
def test_one_scanner_for_all_covers_what_one_for_each_does(text: str) -> None:
    def covered(chosen: list[Scanner]) -> set[int]:
        spans = [span for one in chosen for *_, found in steps(one, text) for span in found]
        return {at for start, end, _ in spans for at in range(start, end)}

    each = [one for what in ALL for one in personal_scanners([(what, 0, False)])]
    assert covered(personal_scanners([(what, 0, False) for what in ALL])) == covered(each)


def most_held(scanner: Scanner, text: str) -> int:
    """The most characters, of those that can be seen, that were undecided at once."""
    seen: list[int] = []
    most = first = 0
    for at, char in enumerate(text):
        folded = fold(char)
        if folded.kind is Kind.IGNORED:
            continue
        scanner.step(at, folded)
        seen.append(at)
        if scanner.open == NEVER:
            first = len(seen)
        while first < len(seen) and seen[first] < scanner.open:
            first += 1
        most = max(most, len(seen) - first)
    scanner.reset()
    return most


def long_texts() -> Iterator[str]:
    gap = " " * GAP_LIMIT
    filler = max(FILLERS, key=len)
    slow = f"{gap}{filler}{gap}{filler}{gap}"
    yield slow.join(["four", *["three"] * 40])
    yield slow.join(["quadruple", "seven"] * 20)
    yield slow.join(["golf", "bravo", "two", "nine", *["november"] * 4, *["seventeen"] * 20])
    yield gap.join("uniform" for _ in range(60))
    yield "four" + "three" * 200
    yield "4" + "3" * 500
    yield "a." * 300 + "@" + "a " * 300
    yield "a" * 500 + " at " + "b" * 500 + " dot com"
    yield " ".join("abcdefghij" * 40) + " at " + " ".join("abcdefghij" * 40)
    yield "x at " + " dot ".join(["y" * 60] * 40)
    yield "x @ " + " dash ".join(["y" * 60] * 40)
    yield gap.join(["x", *["dot", "y"] * 100])
    yield gap.join(["x", *["um"] * 60, "at", "g", *["um"] * 60, "mail . y . com"])
    random = Random(1)
    for _ in range(150):
        pool = random.sample([*NUMBERS, *FILLERS, *PARTS], random.randint(1, 6))
        gaps = random.sample([*GAPS, gap], random.randint(1, 3))
        yield "".join(random.choice(pool) + random.choice(gaps) for _ in range(120))


@pytest.mark.parametrize("what", ALL)
def test_no_more_is_held_than_the_bound(what: What) -> None:
    (scanner,) = personal_scanners([(what, 0, False)])
    most = max(most_held(scanner, text) for text in long_texts())
    assert BOUND[what] / 8 < most <= BOUND[what]


def lines_run(work: Callable[[], None]) -> int:
    """How many lines of Python something takes: its cost, on any machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "unit",
    ["1 ", "1", "one ", "one", "twenty ", "double ", "one and uh ", "50 ", "12 34 56 78 90 ", "a.", "a ", "x at ", "a",
     "4111 1111 1111 1111 ", "GB29 NWBK 6016 1331 ", "g b 2 9 ", "i l ", "x@",
     "x at a dot ", "x um ", "x at um ", "x at y . ", "415, 555, 2671, ", "four fifteen, ",
     "four thousand one hundred "],
)  # fmt: skip
def test_twice_the_text_is_twice_the_work(unit: str) -> None:
    def work(size: int) -> Callable[[], None]:
        text = [fold(char) for char in unit * (size // len(unit))]

        def run() -> None:
            for scanner in chosen:
                for at, char in enumerate(text):
                    scanner.step(at, char)
                scanner.finish()

        return run

    chosen = personal_scanners([(what, 0, False) for what in ALL])
    work(2400)()  # what is worked out once is worked out now
    small, large = lines_run(work(1200)), lines_run(work(2400))
    assert large < 2.2 * small
