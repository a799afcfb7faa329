"""What goes wrong in a long call is counted as it happens, faults that are put in are looked for, voices told apart."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines import Needs, architectures, choose
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import OUTPUT_GUARD, Architecture
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.half_cascade import HALF_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.compare import Answer, Comparison, Error, Kind, LongCall, apart, claims, compare, long_call, page
from pipelines.lab.compare.errors import errors, of_answers
from pipelines.lab.compare.faults import FAULTS, VOCABULARY, Fault, hear, inject, sung
from pipelines.lab.holding import hold
from pipelines.lab.latency import Part
from pipelines.lab.script import words
from pipelines.lab.voices import Pair, Voices
from processors.pcm import to_samples

GOOD = Answer("Four two, please.", "4-2 please", "It is here.", (Part("voice", 500.0),))
SHORT = 3


def but(**changes: object) -> Answer:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Three minutes of a cascade with no guard, and of a model that listens while it speaks."""
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="for the test")
    described = [profile.load(name) for name in ("seed_full_cascade", "moshi_fused")]
    return compare([bare, DUPLEX_FUSED], described, long=SHORT)


# Errors


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (GOOD, []),
        (but(parts=()), [Error.UNANSWERED]),
        (but(early=True), [Error.EARLY]),
        (but(understood="For two, please."), [Error.MISUNDERSTOOD]),
        (but(heard="It is", remembered="It is", silent_ms=2001.0), [Error.TALKED_ON]),
        (but(heard="It is", remembered="It is here.", silent_ms=120.0), [Error.MISREMEMBERED]),
        (but(remembered="It is 07700 900418."), [Error.LEAKED]),
        (but(heard="It is", remembered="It is", silent_ms=1999.0), []),
    ],
)
def test_an_error_is_what_the_recording_shows(answer: Answer, found: list[Error]) -> None:
    assert errors(answer, ("07700 900418",)) == found


def test_errors_are_counted_in_the_minute_in_which_the_caller_was_done() -> None:
    wrong = but(early=True)
    ends = [10.0 + 30 * number for number in range(20)]
    call = of_answers([wrong if end >= 300 else GOOD for end in ends], ends, 8)
    assert call.turns == 16
    assert call.by_minute == [0, 0, 0, 0, 0, 2, 2, 2]
    assert (call.first, call.last) == (0, 6 / 5)
    assert call.growth.low > 0
    assert call.told == "6 × an answer begun before the caller had finished"
    assert call.delay_growth is not None
    assert call.delay_growth.slope == pytest.approx(0)
    assert call.lag_growth is None


def test_delay_that_grows_is_told_by_the_minute() -> None:
    ends = [20.0 * number for number in range(30)]
    answers = [but(parts=(Part("voice", 500.0 + 2 * end),)) for end in ends]
    growth = of_answers(answers, ends, 10).delay_growth
    assert growth is not None
    assert growth.slope == pytest.approx(120)
    assert growth.low == pytest.approx(growth.high)


# The script


def test_the_long_call_is_the_same_each_time_and_no_two_turns_of_it_are() -> None:
    first, second = long_call(30), long_call(30)
    assert first.steps == second.steps
    asked = [words(exchange.heard) for exchange in first.exchanges]
    assert len(set(asked)) == len(asked)
    assert len(first.forbidden) > 10
    said = " ".join(exchange.answer.text for exchange in first.exchanges)
    assert all(text in said for text in first.forbidden)


def test_who_answers_soonest_still_has_enough_to_answer() -> None:
    soonest = profile.load("seed_half_cascade")
    held = virtual.run(hold(long_call(SHORT), HALF_CASCADE, soonest, policy=long_call(SHORT).policy))
    assert held.seconds > 60 * SHORT
    assert held.errors == []


# What was held


def test_without_a_guard_what_is_forbidden_is_an_error_of_its_minute(comparison: Comparison) -> None:
    bare = comparison.rows[0]
    assert bare.long_call is not None
    leaks = [at for at, error in bare.long_call.errors if error is Error.LEAKED]
    assert len(leaks) == 1  # in every third round, of which three minutes have three or four
    assert bare.long_call.told.count("something forbidden") == 1
    assert bare.cells["errors_first"].kind is Kind.PROFILE
    assert bare.cells["errors_first"].value == pytest.approx(len(bare.long_call.errors) / SHORT, abs=0.001)
    assert "make no mistakes of their own" in bare.cells["errors_first"].source
    assert "95 % interval" in bare.cells["errors_growth"].source


def test_only_sound_that_never_ends_can_fall_behind(comparison: Comparison) -> None:
    turns, duplex = comparison.rows
    assert (turns.cells["lag_growth"].kind, turns.cells["lag_growth"].value) == (Kind.DEFINITION, "none")
    assert duplex.long_call is not None
    assert len(duplex.long_call.lags) == duplex.long_call.turns
    assert all(0 < ms < 2000 for _, ms in duplex.long_call.lags)
    assert isinstance(duplex.cells["lag_growth"].value, float)


def test_two_runs_are_the_same(comparison: Comparison) -> None:
    again = compare([DUPLEX_FUSED], [profile.load("moshi_fused")], long=SHORT)
    assert again.rows[0].as_json() == comparison.rows[1].as_json()


def test_the_page_has_a_small_plot_for_each(comparison: Comparison) -> None:
    text = page(comparison, claims(comparison))
    assert text.count("<svg") == 4
    assert "Errors over a long call" in text
    bars = text.count('<rect class="error"')
    held = [row.long_call for row in comparison.rows if row.long_call]
    assert bars == sum(count > 0 for call in held for count in call.by_minute)
    assert text.count('<circle class="delay"') == sum(len(call.delays) for call in held)


def test_without_a_long_call_its_cells_say_how_to_hold_one() -> None:
    (plain,) = compare([BASIC_CASCADE], [profile.load("seed_full_cascade")]).rows
    for name in ("errors_first", "errors_last", "errors_growth", "delay_growth", "lag_growth", "faults_located"):
        assert plain.cells[name].kind is Kind.NOT_YET
        assert "antiphon compare --long" in plain.cells[name].source
    assert plain.long_call is None


def test_errors_that_grow_weigh_in_a_choice(comparison: Comparison) -> None:
    bare, duplex = comparison.rows
    growing = LongCall(8, 80, tuple((at + 0.5, Error.EARLY) for at in range(8) for _ in range(at)), ())
    worse = dataclasses.replace(comparison, rows=(dataclasses.replace(bare, long_call=growing), duplex))
    for held, score in ((comparison, 1.0), (worse, pytest.approx(1 / 9))):
        found = {each.architecture: each.facts["long_calls"] for each in choose(Needs(), held).ranked}
        assert found["basic_cascade"].score == score
        assert found["duplex_fused"].score == 1.0


# Faults


LOCATED = {
    "basic_cascade": {"VAD", "STT", "USER_TURN", "LLM", "TTS", "ASSISTANT_TURN"},
    "advanced_cascade": {"VAD", "STT", "USER_TURN", "LLM", "TTS", "ASSISTANT_TURN"},
    "half_cascade": {"VAD", "TTS"},
    "hybrid": {"VAD", "TTS"},
    "sequential_fused": set(),
    "duplex_fused": set(),
}
"""The parts whose faults are found."""


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES, ids=lambda a: a.name)
def test_whose_fault_it_is_depends_on_what_stands_alone(architecture: Architecture) -> None:
    verdicts = inject(architecture)
    assert {verdict.fault.part for verdict in verdicts if verdict.located} == LOCATED[architecture.name]
    fused = {part for stage in architecture.stages for part in stage.fuses}
    assert not any(verdict.located for verdict in verdicts if verdict.fault.part in fused)


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES, ids=lambda a: a.name)
def test_where_nothing_is_wrong_nobody_is_named(architecture: Architecture) -> None:
    right: list[Fault] = [
        dataclasses.replace(FAULTS[0], alarm=False),
        dataclasses.replace(FAULTS[-1], forgets=False),
    ]
    assert {(verdict.named, verdict.why) for verdict in inject(architecture, right)} == {
        ("", "what is expected was heard")
    }


def test_every_word_that_is_sung_is_heard() -> None:
    assert all(one != other for one, other in pairwise(VOCABULARY))
    assert words(hear(to_samples(sung(VOCABULARY, 0.33, 16000)))) == VOCABULARY


# Personas


def test_how_far_voices_are_apart_is_shown_as_it_was_kept(tmp_path: Path) -> None:
    file = tmp_path / "apart.json"
    pairs = (Pair("ann", "bob", 4.0, 0.5), Pair("ann", "cy", 1.0, 2.0))
    apart.keep(Voices((), pairs, {"both": 0.9512}, 24), "a machine", file)
    found = apart.measured(BASIC_CASCADE, "embedded", file)
    assert (found.kind, found.value) == (Kind.MEASURED, 95.1)
    assert "ann and cy, 1.0 semitones apart, and ann and bob, 0.5 dB" in found.source
    assert json.loads(file.read_text(encoding="utf-8"))["machine"] == "a machine"
    assert apart.measured(BASIC_CASCADE, "cloud", file).value == apart.EACH
    assert apart.measured(BASIC_CASCADE, "embedded", tmp_path / "none.json").value == apart.EACH


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES, ids=lambda a: a.name)
def test_a_model_that_speaks_itself_has_one_voice_a_call(architecture: Architecture) -> None:
    found = apart.measured(architecture, "embedded")
    if architecture.name.endswith("_fused"):
        assert (found.kind, found.value) == (Kind.DEFINITION, apart.ONE)
    else:
        assert found.kind is Kind.MEASURED
        assert isinstance(found.value, float)
        assert 90 < found.value <= 100
