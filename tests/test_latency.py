"""A turn's marks, and parts that sum to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.turns.types import UserTurnSpeculation

from pipelines.lab.latency import MARKS, LatencyObserver, TurnMarks

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


def guess(text: str) -> LLMContextFrame:
    return LLMContextFrame(LLMContext(), speculation=UserTurnSpeculation(text))


def test_an_answer_begun_ahead_saves_its_head_start() -> None:
    (turn,) = observe([*TURN[:4], (1.21, guess("Hello.")), *TURN[4:]]).turns
    assert turn.saved_ms == pytest.approx(40)
    assert (turn.withdrawn, turn.wasted) == (0, 0.0)
    assert turn.total_ms == pytest.approx(430)


def test_an_answer_begun_in_vain_is_waste() -> None:
    ahead: list[tuple[float, Frame]] = [
        *TURN[:3],
        (1.1, guess("Hell")),
        (1.15, EagerEndOfTurnCancelFrame()),
        *TURN[3:5],
        (1.22, guess("Hello")),
        (1.24, guess("Hello.")),
        *TURN[5:],
    ]
    (turn,) = observe(ahead).turns
    assert turn.withdrawn == 2
    assert turn.wasted == pytest.approx(0.07)
    assert turn.saved_ms == pytest.approx(10)
