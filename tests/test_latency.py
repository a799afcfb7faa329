"""A turn's marks, and parts that sum to the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.holding import Recording, hold
from pipelines.lab.latency import MARKS, Filler, LatencyObserver, TurnMarks
from pipelines.lab.latency_budget import LatencyBudget, LatencyBudgetError, TooLateError
from pipelines.lab.script import Conversation, agent, caller
from pipelines.lab.trace import Trace, TraceObserver
from processors.guarding.output import OutputGuard

TURN: list[tuple[float, Frame]] = [
    (0.0, VADUserStartedSpeakingFrame()),
    (0.0, UserStartedSpeakingFrame()),
    (0.0, InterruptionFrame()),
    (1.2, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
    (1.21, TranscriptionFrame(text="Hello.", user_id="", timestamp="")),
    (1.25, UserStoppedSpeakingFrame()),
    (1.3, LLMTextFrame("Hi")),
    (1.4, AggregatedTextFrame(text="Hi.", text_type="sentence")),
    (1.42, TTSAudioRawFrame(b"\0\0", 24000, 1)),
    (1.43, BotStartedSpeakingFrame()),
]


def observe(timeline: list[tuple[float, Frame]]) -> LatencyObserver:
    observer = LatencyObserver()
    for now, frame in timeline:
        observer.mark(frame, now)
    return observer


def test_each_part_ends_at_its_mark() -> None:
    (turn,) = observe(TURN).turns
    assert {part.name: round(part.ms) for part in turn.parts()} == {
        "noticing the end of speech": 200,
        "transcript": 10,
        "deciding the turn is over": 40,
        "first token": 50,
        "first clause": 100,
        "voice": 20,
        "output": 10,
    }
    assert turn.total_ms == pytest.approx(430)


@given(st.dictionaries(st.sampled_from(list(MARKS)), st.floats(0, 10)), st.floats(0, 10))
def test_parts_sum_to_the_whole_in_whatever_order_things_happened(at: dict[str, float], end: float) -> None:
    marks = TurnMarks(end, {**at, "heard": end + 1.0})
    total = marks.total_ms
    assert total is not None
    assert sum(part.ms for part in marks.parts()) == pytest.approx(total)
    assert all(part.ms >= 0 for part in marks.parts())


def test_a_greeting_is_no_turn() -> None:
    assert observe([(0.5, TTSAudioRawFrame(b"\0\0", 24000, 1)), (0.6, BotStartedSpeakingFrame())]).turns == []


def test_speech_that_goes_on_starts_the_marks_anew() -> None:
    again: list[tuple[float, Frame]] = [
        *TURN[:5],
        (1.3, VADUserStartedSpeakingFrame()),
        *[(now + 1, frame) for now, frame in TURN[3:]],
    ]
    (turn,) = observe(again).turns
    assert turn.speech_end == pytest.approx(2.0)
    assert turn.total_ms == pytest.approx(430)


def test_two_turns_are_two() -> None:
    observer = observe([*TURN, *[(now + 10, frame) for now, frame in TURN]])
    assert [round(turn.total_ms or 0) for turn in observer.turns] == [430, 430]


def guess() -> LLMContextFrame:
    return LLMContextFrame(LLMContext(), speculation=True)


def test_an_answer_begun_ahead_saves_its_head_start() -> None:
    (turn,) = observe([*TURN[:4], (1.21, guess()), *TURN[4:]]).turns
    assert turn.saved_ms == pytest.approx(40)
    assert (turn.withdrawn, turn.wasted) == (0, 0.0)
    assert turn.total_ms == pytest.approx(430)


def test_an_answer_that_was_not_begun_ahead_saves_and_wastes_nothing() -> None:
    asked = LLMContextFrame(LLMContext())
    (turn,) = observe([*TURN[:4], (1.21, asked), *TURN[4:6], (1.26, asked), *TURN[6:]]).turns
    assert (turn.saved_ms, turn.withdrawn, turn.wasted) == (0, 0, 0.0)
    assert turn.asides() == []


def test_an_answer_begun_in_vain_is_waste() -> None:
    ahead: list[tuple[float, Frame]] = [
        *TURN[:3],
        (1.1, guess()),
        (1.15, EagerEndOfTurnCancelFrame()),
        *TURN[3:5],
        (1.22, guess()),
        (1.24, guess()),
        *TURN[5:],
    ]
    (turn,) = observe(ahead).turns
    assert turn.withdrawn == 2
    assert turn.wasted == pytest.approx(0.07)
    assert turn.saved_ms == pytest.approx(10)
    assert turn.asides() == ["saved by beginning the answer early: 10 ms", "begun in vain: 2, 70 ms of work"]


# Who is responsible


def test_parts_name_the_service_or_the_setting_that_they_wait_for() -> None:
    observer = LatencyObserver(stages={"VAD": None, "STT": "acme", "LLM": "mind", "SENTENCES": None, "TTS": "voice"})
    for now, frame in TURN:
        observer.mark(frame, now)
    assert {part.name: part.by for part in observer.turns[0].parts()} == {
        "noticing the end of speech": "VAD, stop_secs 0.2",
        "transcript": "STT acme",
        "deciding the turn is over": "",
        "first token": "LLM mind",
        "first clause": "LLM mind, SENTENCES",
        "voice": "TTS voice",
        "output": "",
    }
    assert [str(part) for part in observer.turns[0].parts()][1:3] == [
        "transcript (STT acme)",
        "deciding the turn is over",
    ]


# Fillers


def said(begin: float, text: str, *, context: str) -> list[tuple[float, Frame]]:
    """What the voice pushes for a text from a moment on, and half a second of playing it, which begins 20 ms later."""
    return [
        (begin, AggregatedTextFrame(text, "sentence")),
        (begin, TTSStartedFrame(context_id=context)),
        (begin + 0.01, TTSAudioRawFrame(b"\0\0", 24000, 1, context_id=context)),
        (begin + 0.02, BotStartedSpeakingFrame()),
        (begin + 0.02, TTSTextFrame(text, "word", context_id=context)),
        (begin + 0.52, BotStoppedSpeakingFrame()),
    ]


def test_what_is_said_while_the_answer_is_awaited_is_not_the_answer() -> None:
    timeline = [
        *TURN[:6],
        (1.26, TTSSpeakFrame("One moment.")),
        *said(1.27, "One moment.", context="filler"),
        (2.0, LLMTextFrame("Hi")),
        *said(2.1, "Hi.", context="answer"),
    ]
    observer = observe(timeline)
    (turn,) = observer.turns
    assert turn.fillers == [Filler(pytest.approx(1.29), pytest.approx(1.79))]
    assert turn.filler_ms == pytest.approx(290)
    assert turn.total_ms == pytest.approx(1120)
    assert {part.name: round(part.ms) for part in turn.parts()} == {
        "noticing the end of speech": 200,
        "transcript": 10,
        "deciding the turn is over": 40,
        "first token": 750,
        "first clause": 100,
        "voice": 10,
        "output": 10,
    }
    turn.at["heard"] = 1.295  # as somebody has it who listens
    assert turn.total_ms == pytest.approx(1120)
    assert turn.asides() == ["filler heard after 290 ms"]


def test_an_answer_that_waits_for_a_filler_to_end_is_heard_after_it() -> None:
    filler, answer = said(1.27, "One moment.", context="filler"), said(1.78, "Hi.", context="answer")
    ready = [(1.28, frame) for _, frame in answer[:3]]
    timeline = [*TURN[:7], (1.25, TTSSpeakFrame("One moment.")), *filler[:3], *ready, *filler[3:], *answer[3:]]
    (turn,) = observe(timeline).turns
    assert turn.heard == pytest.approx(1.80)
    assert turn.filler_ms == pytest.approx(290)
    assert {part.name: round(part.ms) for part in turn.parts()}["output"] == 500


def test_an_answer_that_was_wanted_and_failed_was_not_begun_in_vain() -> None:
    failed = [*TURN[:4], (1.21, guess()), *TURN[4:6], (1.26, TTSSpeakFrame("Sorry."))]
    (turn,) = observe(
        [*failed, *said(1.27, "Sorry.", context="filler"), *[(at + 5, frame) for at, frame in TURN[:3]]]
    ).turns
    assert (turn.withdrawn, turn.wasted) == (0, 0.0)
    assert turn.filler_ms == pytest.approx(290)


def test_a_turn_in_which_only_a_filler_was_heard_has_no_answer() -> None:
    timeline = [*TURN[:6], (1.26, TTSSpeakFrame("Sorry.")), *said(1.27, "Sorry.", context="filler")]
    (turn,) = observe(timeline).turns
    assert turn.total_ms is None
    assert turn.parts() == []
    assert turn.filler_ms == pytest.approx(290)


moments = st.lists(st.floats(0, 2), min_size=7, max_size=7).map(sorted)


@given(moments, st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=3), st.floats(0, 4))
def test_parts_sum_to_the_whole_whatever_fillers_were_heard(
    at: list[float], fillers: list[tuple[float, float]], heard: float
) -> None:
    played = [Filler(begin, begin + lasts) for begin, lasts in fillers]
    answered = max([at[-1], *(filler.end for filler in played)])
    turn = TurnMarks(0.0, {**dict(zip(MARKS, at, strict=True)), "heard": heard}, fillers=played, answered=answered)
    total = turn.total_ms
    assert total is not None
    assert sum(part.ms for part in turn.parts()) == pytest.approx(total)
    assert not any(1000 * filler.begin <= total < 1000 * filler.end for filler in played)


class Filling(BaseObserver):
    """Has something said as soon as the caller's turn is over, from where no answer is in the way."""

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, UserStoppedSpeakingFrame) and isinstance(data.destination, OutputGuard):
            await data.source.push_frame(TTSSpeakFrame("One moment.", append_to_context=False))


def test_a_real_pipeline_and_its_trace_tell_a_filler_from_the_answer(tmp_path: Path) -> None:
    how = profile.load("seed_full_cascade")

    async def held() -> tuple[Recording, Path]:
        trace = TraceObserver(tmp_path)
        script = Conversation("filled", caller("Play some jazz."), agent("Here it comes."))
        return await hold(script, BASIC_CASCADE, how, observers=[Filling(), trace]), trace.folder

    recording, folder = virtual.run(held())
    (exchange,) = recording.exchanges
    (turn,) = Trace.load(folder).turns
    # Words come after 300 ms and the voice takes 100; the answer waits for the filler's two words, played in chunks.
    played = 400 + 2000 * how.tts.word_secs
    for marks in (exchange.marks, turn.marks):
        assert marks.filler_ms == pytest.approx(400, abs=1)
        assert played - 1 <= (marks.total_ms or 0) <= played + 41
        assert sum(part.ms for part in marks.parts()) == pytest.approx(marks.total_ms)
        assert next(part.by for part in marks.parts() if part.name == "voice").startswith("TTS ")
    assert turn.marks.total_ms == pytest.approx(exchange.marks.total_ms, abs=1)


# Budgets


def test_a_budget_holds_every_turn_to_its_bounds() -> None:
    turns = observe([*TURN, *[(now + 10, frame) for now, frame in TURN]]).turns
    LatencyBudget(total_ms=431, parts={"transcript": 11, "first token": 51}).check(turns)
    turns[1].by["first_token"] = "LLM acme"
    with pytest.raises(TooLateError, match=r"^turn 2: first token \(LLM acme\) took 50 ms of 40 ms$"):
        LatencyBudget(parts={"first token": 40}).check([TurnMarks(0.0, {"heard": 0.1}), turns[1]])
    with pytest.raises(TooLateError, match=r"^turn 1 took 430 ms of 400 ms$"):
        LatencyBudget(total_ms=400).check(turns)
    with pytest.raises(TooLateError, match=r"^turn 1 was never answered$"):
        LatencyBudget().check([TurnMarks(1.0)])


def test_a_bound_on_what_is_no_part_is_refused() -> None:
    with pytest.raises(LatencyBudgetError, match="no part 'first word': choose noticing the end of speech, transcript"):
        LatencyBudget(parts={"first word": 100})
