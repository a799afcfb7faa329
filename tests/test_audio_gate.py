"""The audio gate: no sample of a forbidden word is heard, and all others are, however audio and transcript come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from guardrails import Policy, StreamGuard
from guardrails.check import check
from guardrails.stream import GUARD, MOST_CHARACTERS
from pipelines.lab import bench_gate
from pipelines.lab.bench_gate import Transcript
from processors.guarding.audio_gate import BACKWARDS, MISSING, QUIET, WORD_SECS, AudioGate, Broken, Pcm, Released
from tests.guarded import HIDDEN, patterns, personal, policy, terms

RATE = 1000
"""Hz, so that a sample is a millisecond."""

SECRET = "project nightingale"
POLICIES = (
    policy(terms(SECRET, "secret")),
    policy(terms(SECRET, "secret", text="secrets")),
    policy(terms("secret", action="stop", text="")),
    policy(terms("secret", action="cut_sentence", text="Enough."), terms(SECRET)),
    policy(terms("secret", action="replace_sentence", text="No."), terms(SECRET, action="hand_over")),
    policy(personal("card"), patterns("night[a-z]*")),
)
CARD = "four one one one one one one one one one one one one one one one".split()
WORDS = ("hello", "project", "nightingale", "secret", "secretary", "well.", "four", "one", "And", "so?")


@dataclass(frozen=True)
class Word:
    """A word of a synthetic answer.

    Args:
        text: With a space behind it.
        begin, end: Numbers of the samples that it is spoken in.
    """

    text: str
    begin: int
    end: int


@dataclass(frozen=True)
class Answer:
    """Words, and sound in which the samples of each hold its own number."""

    words: tuple[Word, ...]
    audio: Pcm

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words)

    def allowed(self, rules: Policy) -> int:
        """How many words stand before the first that a rule acts on."""
        decisions = check(rules, self.text, direction="said").decisions
        if not decisions:
            return len(self.words)
        first = min(decision.start for decision in decisions)
        ends = np.cumsum([len(word.text) for word in self.words])
        return int(np.searchsorted(ends, first, side="right"))


def spoken(words: Sequence[tuple[str, int, int]], tail: int = 0) -> Answer:
    """An answer of words, each with the samples of silence before it and its own."""
    at, made, audio = 0, [], []
    for number, (text, pause, length) in enumerate(words):
        made.append(Word(f"{text} ", at + pause, at + pause + length))
        audio += [np.zeros(pause, np.int16), np.full(length, 1000 + number, np.int16)]
        at += pause + length
    return Answer(tuple(made), np.concatenate([*audio, np.zeros(tail, np.int16)]))


@dataclass
class Heard:
    """A gate, its guard, and all that was let out."""

    guard: StreamGuard
    gate: AudioGate
    parts: list[Pcm] = field(default_factory=list)
    text: str = ""
    first: str = ""
    broken: Broken | None = None

    def take(self, released: Released) -> None:
        assert self.broken is None or not (len(released.audio) or released.text or released.broken)
        self.parts.append(released.audio)
        self.text += released.text
        self.first += released.first
        if released.broken is not None:
            self.broken = released.broken

    def hear(self, samples: Pcm) -> None:
        self.take(self.gate.hear(samples, RATE))

    def read(self, text: str, until: int | None = None) -> None:
        self.take(self.gate.read(self.guard, text, until))

    def finish(self, *, goes_on: bool = False) -> None:
        self.take(self.gate.finish(self.guard, goes_on=goes_on))

    @property
    def audio(self) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *self.parts])

    def check(self, answer: Answer, rules: Policy) -> None:
        """What is cleared was heard as it was, in order and once, and nothing of what follows."""
        allowed = answer.allowed(rules)
        assert np.array_equal(self.audio, answer.audio[: len(self.audio)])
        assert self.text == "".join(word.text for word in answer.words[:allowed])[: len(self.text)]
        if allowed == len(answer.words):
            assert self.broken is None
            assert len(self.audio) == len(answer.audio)
            assert self.text == answer.text
        else:
            assert self.broken is not None
            assert not (self.audio >= 1000 + allowed).any()
            over = answer.words[allowed - 1].end if allowed else 0
            assert len(self.audio) >= over
            assert self.broken.before.startswith("".join(word.text for word in answer.words[:allowed]).strip())
        counts = self.gate.counts
        assert (counts.come, counts.out) == (len(answer.audio), len(self.audio))
        assert counts.out + counts.silenced == counts.come


def heard(rules: Policy, **settings_of: Any) -> Heard:
    return Heard(StreamGuard(rules), AudioGate(**{"margin_ms": 0, "lag_ms": 0, "limit_secs": 1e6, **settings_of}))


ANSWERS = st.builds(
    spoken,
    st.lists(
        st.tuples(st.sampled_from(WORDS), st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=12
    ).flatmap(
        lambda words: st.sampled_from(
            [
                words,
                [*words, *((word, 0, 5) for word in CARD)],
                [*((word, 3, 30) for word in SECRET.split()), *words],
                [*words, ("secret", 0, 9)],
            ]
        )
    ),
    st.integers(0, 50),
)
CUTS = st.lists(st.integers(1, 90), min_size=1, max_size=20)


def chunks(audio: Pcm, sizes: Sequence[int]) -> list[Pcm]:
    """Audio in chunks of these sizes, over and over."""
    cut, at, number = [], 0, 0
    while at < len(audio):
        size = sizes[number % len(sizes)]
        cut.append(audio[at : at + size])
        at, number = at + size, number + 1
    return cut


# --- what is true of all answers ---


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(POLICIES), ANSWERS, CUTS, st.lists(st.booleans(), min_size=1, max_size=40), st.data())
def test_with_exact_times_no_sample_of_a_forbidden_word_is_heard_and_all_before_it_are(
    rules: Policy, answer: Answer, sizes: list[int], order: list[bool], data: st.DataObject
) -> None:
    held = heard(rules)
    audio = chunks(answer.audio, sizes)
    pieces: list[tuple[str, int]] = []
    for word in answer.words:
        # A word may come in parts that say how far it is spoken by then.
        cut = data.draw(st.integers(0, len(word.text)))
        middle = data.draw(st.integers(word.begin, word.end)) if cut else word.begin
        pieces += [(word.text[:cut], middle), (word.text[cut:], word.end)]
    turn = 0
    while audio or pieces:
        if audio and (order[turn % len(order)] or not pieces):
            held.hear(audio.pop(0))
        else:
            held.read(*pieces.pop(0))
        turn += 1
    held.finish()
    held.check(answer, rules)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(POLICIES), ANSWERS, CUTS, st.integers(0, 200), st.booleans(), st.data())
def test_without_times_the_same_holds_as_long_as_text_is_no_later_than_the_lag(
    rules: Policy, answer: Answer, sizes: list[int], lag: int, steady: bool, data: st.DataObject
) -> None:
    held = heard(rules, lag_ms=lag)
    held.gate.steady = steady
    audio, words, come = chunks(answer.audio, sizes), list(answer.words), 0
    while audio or words:
        size = len(audio[0]) if audio else 0
        # The next word has to come before audio is there that is later than its first sound by more than the lag.
        must = bool(words) and (not audio or come + size > words[0].begin + lag)
        if must or (words and data.draw(st.booleans())):
            held.read(words.pop(0).text)
        else:
            come += size
            held.hear(audio.pop(0))
    held.finish()
    allowed = answer.allowed(rules)
    assert np.array_equal(held.audio, answer.audio[: len(held.audio)])
    if allowed == len(answer.words):
        assert held.broken is None
        assert len(held.audio) == len(answer.audio)
        assert held.text == answer.text
    else:
        assert held.broken is not None
        assert not (held.audio >= 1000 + allowed).any()


@settings(max_examples=100, deadline=None)
@given(ANSWERS, CUTS, st.integers(0, 100), st.integers(0, 60))
def test_times_that_are_off_by_no_more_than_the_margin_let_nothing_out(
    answer: Answer, sizes: list[int], margin: int, off: int
) -> None:
    off = min(off, margin)
    held = heard(POLICIES[0], margin_ms=margin)
    for chunk in chunks(answer.audio, sizes):
        held.hear(chunk)
    for word in answer.words:
        held.read(word.text, word.end + off)
    held.finish()
    allowed = answer.allowed(POLICIES[0])
    assert not (held.audio >= 1000 + allowed).any()
    assert (held.broken is None) == (allowed == len(answer.words))


@settings(max_examples=50, deadline=None)
@given(CUTS, st.booleans())
def test_no_more_is_held_than_the_limit(sizes: list[int], begun: bool) -> None:
    held = heard(POLICIES[0], limit_secs=0.5)
    if begun:
        held.read("Well, ", 3)
    for chunk in chunks(np.full(5000, 2000, np.int16), sizes):
        held.hear(chunk)
        counts = held.gate.counts
        assert counts.come - counts.out - counts.silenced <= 500
    assert held.broken is not None
    assert (held.broken.decision.rule, held.broken.failure) == (GUARD, MISSING)
    assert len(held.audio) == (3 if begun else 0)


def test_text_without_end_is_no_longer_read() -> None:
    held = heard(POLICIES[0])
    for _ in range(MOST_CHARACTERS // 5 + 2):
        held.read("well ")
    held.hear(np.full(10, 2000, np.int16))
    assert held.broken is not None
    assert held.broken.decision.rule == GUARD
    assert not len(held.audio)


# --- by hand ---

NUMBER = spoken([(word, 0, 100) for word in "Your card is 4111 1111 1111 1111 all right".split()])


def test_what_the_guard_keeps_back_keeps_back_its_audio() -> None:
    held = heard(policy(personal("card")))
    held.hear(NUMBER.audio[:700])
    for word in NUMBER.words[:6]:
        held.read(word.text, word.end)
    assert (len(held.audio), held.text) == (300, "Your card is ")
    assert held.broken is None
    held.read("or so ", 800)
    held.hear(NUMBER.audio[700:])
    assert (len(held.audio), held.text) == (800, "Your card is 4111 1111 1111 or so ")


def test_a_match_is_told_once_with_what_stands_before_it() -> None:
    held = heard(policy(personal("card")))
    held.hear(NUMBER.audio)
    for word in NUMBER.words:
        held.read(word.text, word.end)
    assert held.broken is not None
    assert held.broken.before == "Your card is "
    decision = held.broken.decision
    assert (decision.action, decision.text, decision.start) == ("redact", HIDDEN, 13)
    assert len(held.audio) == 300
    held.hear(NUMBER.audio)
    held.read("More. ", 5000)
    held.finish()
    assert len(held.audio) == 300


def test_silence_begins_a_margin_before_the_match() -> None:
    held = heard(policy(personal("card")), margin_ms=30)
    held.hear(NUMBER.audio)
    for word in NUMBER.words:
        held.read(word.text, word.end)
    assert held.broken is not None
    assert len(held.audio) == 270


def test_what_is_cleared_ahead_of_its_audio_is_heard_when_that_comes_and_no_more() -> None:
    held = heard(POLICIES[0], margin_ms=30)
    answer = spoken([(word, 0, 100) for word in "This is secret now".split()])
    for word in answer.words:
        held.read(word.text, word.end)
    assert held.broken is None
    for at in range(0, 400, 50):
        held.hear(answer.audio[at : at + 50])
    assert held.broken is not None
    assert (len(held.audio), held.text) == (170, "This is ")


def test_a_match_whose_audio_never_comes_is_told_at_the_end() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(50, 1000, np.int16))
    held.read("This ", 100)
    held.read("secret ", 200)
    assert held.broken is None
    held.finish()
    assert held.broken is not None
    assert len(held.audio) == 50


@pytest.mark.parametrize(
    ("instead", "pieces"),
    [("secret keeping.", ["secret", " is", " what", " it", " is"]), ("So.", ["secret", " is", " So.x", " it", " is"])],
    ids=["as it begins", "as it goes on"],
)
def test_text_that_is_replaced_by_some_of_its_own_is_not_heard(instead: str, pieces: list[str]) -> None:
    # It is certain that a sentence is cut off before it is over, and so before that is decided as a whole.
    held = heard(policy(terms("secret", action="cut_sentence", text=instead)))
    for number, text in enumerate(pieces):
        held.hear(np.full(100, 1000 + number, np.int16))
        held.read(text, 100 * (number + 1))
        assert not len(held.audio)
    held.finish()
    assert held.broken is not None
    assert (held.broken.decision.text, len(held.audio)) == (instead, 0)


def test_a_transcript_that_goes_back_ends_the_answer() -> None:
    held = heard(POLICIES[0])
    held.hear(NUMBER.audio)
    held.read("Your ", 100)
    held.read("card ", 99)
    assert held.broken is not None
    assert (held.broken.decision.rule, held.broken.failure, held.broken.before) == (GUARD, BACKWARDS, "Your ")
    assert len(held.audio) == 100


@pytest.mark.parametrize("inside", [False, True])
def test_a_guard_that_breaks_ends_the_answer(monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    def broken(*_: object) -> str:
        raise MemoryError

    held = heard(POLICIES[0])
    held.hear(NUMBER.audio)
    held.read("Your ", 100)
    monkeypatch.setattr(held.guard, "_read" if inside else "feed", broken)
    held.read("card ", 200)
    assert held.broken is not None
    assert held.broken.decision.rule == GUARD
    assert (held.guard.failure if inside else held.broken.failure) == "MemoryError"
    assert (len(held.audio), held.text) == (100, "Your ")


def test_audible_audio_after_the_last_time_is_silenced_and_without_times_it_is_the_last_words() -> None:
    for until, let_out in ((100, 100), (None, 250)):
        held = heard(POLICIES[0])
        held.read("Hello. ", until)
        held.hear(np.full(250, 1000, np.int16))
        held.finish()
        assert (len(held.audio), held.text, held.broken) == (let_out, "Hello. ", None)


def test_an_answer_without_a_transcript_is_not_heard() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(100, 1000, np.int16))
    held.finish()
    assert held.broken is not None
    assert held.broken.failure == MISSING
    assert not len(held.audio)


def test_nothing_is_heard_between_two_answers_and_the_next_is() -> None:
    held = heard(POLICIES[0])
    held.read("Hello. ", 100)
    held.hear(np.full(100, 1000, np.int16))
    held.finish()
    held.hear(np.full(100, 2000, np.int16))
    held.read("Well. ")
    assert len(held.audio) == 100
    held.gate.begin()
    held.read("Again. ", 50)
    held.hear(np.full(100, 3000, np.int16))
    assert list(held.audio[100:]) == [3000] * 50


def test_an_interrupted_answer_is_not_heard_on() -> None:
    held = heard(POLICIES[0])
    held.read("Hello ", 100)
    held.hear(np.full(50, 1000, np.int16))
    held.gate.abort()
    held.read("there ", 200)
    held.hear(np.full(150, 1000, np.int16))
    held.finish()
    assert len(held.audio) == 50
    assert held.gate.counts.silenced == 150


def test_what_is_too_quiet_to_be_heard_needs_no_transcript() -> None:
    held = heard(POLICIES[0])
    held.hear(np.array([0, QUIET, -QUIET, QUIET + 1, 0, 0], np.int16))
    assert len(held.audio) == 3
    held.hear(np.array([-32768], np.int16))
    assert len(held.audio) == 3


def test_audio_without_end_goes_on_behind_an_answer_and_a_breath_is_not_heard() -> None:
    held = heard(POLICIES[0], limit_secs=0.3)
    silence, breath = np.zeros(200, np.int16), np.full(20, 1500, np.int16)
    for _ in range(10):
        held.hear(silence)
    held.hear(breath)
    for _ in range(5):
        held.hear(silence)
    assert held.broken is None
    assert held.gate.counts.silenced == 420
    come = held.gate.counts.come
    held.read("Hello. ", come + 100)
    held.hear(np.full(100, 1000, np.int16))
    held.finish(goes_on=True)
    held.hear(silence)
    held.read("Again. ", come + 400)
    held.hear(np.full(100, 1000, np.int16))
    assert int(np.count_nonzero(held.audio == 1000)) == 200
    assert held.text == "Hello. Again. "


def test_speech_that_comes_with_its_text_waits_as_long_as_the_lag_and_not_for_the_next_word() -> None:
    held = heard(POLICIES[0], lag_ms=200)
    held.gate.steady = True
    held.read("Hello. ")
    for come in range(100, 600, 100):
        held.hear(np.full(100, 1000, np.int16))
        assert len(held.audio) == max(0, come - 200)
    assert held.text == "Hello. "


def test_speech_whose_text_no_longer_comes_is_not_heard_on() -> None:
    held = heard(POLICIES[0], lag_ms=200)
    held.gate.steady = True
    held.read("Hello. ")
    for _ in range(20):
        held.hear(np.full(100, 1000, np.int16))
    assert len(held.audio) == 1000 * WORD_SECS - 200
    held.read("secret ")
    assert len(held.audio) == 2000 - 200
    for _ in range(20):
        held.hear(np.full(100, 1000, np.int16))
    held.finish(goes_on=True)
    assert len(held.audio) == 2000 - 200
    assert held.broken is not None


def test_audio_without_end_is_heard_again_in_the_answer_after_one_that_was_broken_off() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(100, 1000, np.int16))
    held.read("secret ", 100)
    assert held.broken is not None
    held.guard.abort("")
    held.hear(np.full(100, 1001, np.int16))
    held.finish(goes_on=True)
    held.broken = None
    held.hear(np.full(100, 1002, np.int16))
    held.read("Hello. ", 300)
    assert list(held.audio) == [1002] * 100


def test_white_space_that_the_guard_drops_is_no_part_of_what_is_forbidden() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(300, 1000, np.int16))
    held.read("This" + " " * 30, 100)
    held.read("secret ", 200)
    held.read("word ", 300)
    assert held.broken is not None
    assert (len(held.audio), held.broken.before) == (100, "This" + " " * 30)


def test_what_has_to_be_said_first_is_and_the_answer_follows() -> None:
    rules = policy({"kind": "disclosure", "action": "say_first", "text": "I am a machine.", "at_start": True})
    held = heard(rules)
    held.hear(np.full(100, 1000, np.int16))
    held.read("Hello. ", 100)
    assert (held.first, held.text, len(held.audio), held.broken) == ("I am a machine.", "Hello. ", 100, None)
    held.gate.fail("Error")
    held.read("Well. ", 200)
    assert held.broken is not None
    assert held.broken.before == "I am a machine. Hello. "


def test_what_has_to_be_said_in_the_midst_of_an_answer_ends_it() -> None:
    rules = policy({"kind": "disclosure", "action": "say_first", "text": "They can fall.", "before": ["stocks"]})
    held = heard(rules)
    held.hear(np.full(300, 1000, np.int16))
    held.read("Good. ", 100)
    held.read("And stocks ", 200)
    held.read("rise. ", 300)
    held.finish()
    assert held.broken is not None
    assert (held.broken.decision.text, len(held.audio)) == ("They can fall.", 100)


def test_letters_that_come_in_halves_are_read_and_keep_back_their_sound() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(300, 1000, np.int16))
    bold = "".join(chr(0x1D41A + ord(char) - ord("a")) for char in "secret")
    halves = bold.encode("utf-16-le", "surrogatepass")
    units = [chr(int.from_bytes(halves[at : at + 2], "little")) for at in range(0, len(halves), 2)]
    held.read("A ", 100)
    for number, unit in enumerate(units):
        held.read(unit, 101 + number)
    held.read(" ", 200)
    held.read("word ", 300)
    assert held.broken is not None
    assert len(held.audio) == 100


def test_another_rate_within_an_answer_is_refused() -> None:
    held = heard(POLICIES[0])
    held.hear(np.zeros(10, np.int16))
    with pytest.raises(ValueError, match="1000 Hz goes on with 8000 Hz"):
        held.gate.hear(np.zeros(10, np.int16), 8000)


def test_the_delay_is_what_came_while_a_sample_waited() -> None:
    held = heard(POLICIES[0])
    held.hear(np.full(100, 1000, np.int16))
    held.hear(np.full(300, 1000, np.int16))
    held.read("Hello. ", 100)
    held.read("Well. ", 400)
    counts = held.gate.counts
    assert (counts.delay_ms(0.25), counts.delay_ms(0.1), counts.delay_ms(1.0)) == (0.0, 0.0, 300.0)
    assert np.isnan(heard(POLICIES[0]).gate.counts.delay_ms(0.5))


# --- the benchmark ---


@pytest.fixture(scope="module")
def few() -> list[list[bench_gate.Word]]:
    return bench_gate.answers(8)


def test_exact_times_leak_nothing_however_late_and_cost_as_much_delay(few: list[list[bench_gate.Word]]) -> None:
    at_once, late = (bench_gate.measure(few, Transcript(late_ms=late, margin_ms=0)) for late in (0, 400))
    assert (at_once.leaked, late.leaked, at_once.lost, late.lost) == (0, 0, 0, 0)
    assert at_once.forbidden > 5
    assert late.p50_ms == pytest.approx(at_once.p50_ms + 400, abs=30)


def test_without_times_nothing_leaks_if_the_gate_is_given_as_much_lag(few: list[list[bench_gate.Word]]) -> None:
    leaks = [
        bench_gate.measure(few, Transcript(timed=False, late_ms=500, lag_ms=lag, margin_ms=0)).leaked
        for lag in (0, 250, 500)
    ]
    assert leaks[0] >= leaks[1] > leaks[2] == 0


def test_words_that_are_wrong_are_heard(few: list[list[bench_gate.Word]]) -> None:
    assert bench_gate.measure(few, Transcript(errors=0.2)).leak > 0.1


def test_the_benchmark_runs_and_is_drawn(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    result = bench_gate.run(lambda done, of: steps.append((done, of)), quick=True)
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1] == len(result.rows)
    figures = result.as_json()
    assert [row["leak"] for row in figures["exact_times_late"]] == [0.0] * len(result.late)
    shown = StringIO()
    Console(file=shown, width=80).print(bench_gate.tables(result))
    assert "20% wrong words" in shown.getvalue()
    bench_gate.draw(result, tmp_path / "gate.png")
    assert (tmp_path / "gate.png").stat().st_size > 20_000
