"""Silero and Smart Turn themselves take part on virtual time, and hear the same in every run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import soundfile
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import BaseTransport

from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import virtual
from pipelines.lab.caller import RATE, Turn, calling
from processors.pcm import Samples
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame
from processors.turns.strategy import smart_turn, turn_strategies
from tests.speech import real, say
from tests.standin import stack

FINISHED, UNFINISHED = "Can you tell me where my order is?", "My number is seven four and"
COSTS = {"Hearing.probability": 0.05, "VADAnalyzer._run_analyzer": 0.001}
HEARD = (
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
    SpeechPausedFrame,
    SpeechResumedFrame,
    UserStoppedSpeakingFrame,
    BotStartedSpeakingFrame,
)


@dataclass
class Hearing:
    """Smart Turn, and what it thought at which time."""

    thought: list[tuple[float, float]] = field(default_factory=list)

    def probability(self, samples: Samples, silence: float) -> float:
        """As `SmartTurn.probability`."""
        probable = smart_turn().probability(samples, silence)
        self.thought.append((asyncio.get_running_loop().time() - virtual.BEGIN, probable))
        return probable


class Notes(BaseObserver):
    """Keeps when what was heard."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.taken: list[tuple[float, str]] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, HEARD) and data.direction is FrameDirection.DOWNSTREAM:
            now = asyncio.get_running_loop().time() - virtual.BEGIN
            self.taken.append((round(now, 6), type(data.frame).__name__))


@dataclass
class Conversation:
    """What came of it, with times since the run began."""

    turns: list[Turn]
    heard: list[tuple[float, str]]
    thought: list[tuple[float, float]]


def converse(*utterances: Samples) -> Conversation:
    """Say them one after the other, each when the one before has been answered."""
    hearing, notes = Hearing(), Notes()
    ears = replace(stack(answers=("Yes.",)), turns=lambda: turn_strategies(judge=hearing.probability))

    async def main() -> list[Turn]:
        def worker(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
            return assemble(BASIC_CASCADE, ears, transport, observers=[*observers, notes], clients=False)

        async with calling(worker) as caller:
            return [await caller.say(samples) for samples in utterances]

    return Conversation(virtual.run(main(), costs=COSTS), notes.taken, hearing.thought)


def read(path: str) -> Samples:
    """A recording of the shared data, with half a second of silence before it."""
    samples, rate = soundfile.read(real(path), dtype="float32")
    assert rate == RATE
    return np.concatenate([np.zeros(RATE // 2, np.float32), samples])


@pytest.mark.parametrize(
    "speech",
    [
        lambda: [read("read_speech/sb_spk1_snt1.wav"), read("read_speech/sb_spk2_snt1.wav")],
        lambda: [say(FINISHED), say(UNFINISHED)],
    ],
    ids=["read by people", "synthesised"],
)
def test_what_is_heard_and_thought_is_the_same_twice(speech: Callable[[], list[Samples]]) -> None:
    utterances = speech()
    first, second = converse(*utterances), converse(*utterances)
    assert first == second
    assert all(turn.answered for turn in first.turns)
    kinds = {kind for _, kind in first.heard}
    assert kinds == {kind.__name__ for kind in HEARD}
    # Speech is noticed while it goes on, and its end no sooner than it comes.
    for turn in first.turns:
        begin, end = turn.started - virtual.BEGIN, turn.speech_end - virtual.BEGIN
        assert any(begin < at < end for at, kind in first.heard if kind == "VADUserStartedSpeakingFrame")
        assert any(end < at < end + 1.0 for at, kind in first.heard if kind == "VADUserStoppedSpeakingFrame")
    assert len(first.thought) >= 2


def test_smart_turn_hears_that_a_sentence_is_unfinished_and_the_answer_comes_later() -> None:
    finished, unfinished = converse(say(FINISHED)), converse(say(UNFINISHED))
    assert finished.thought[-1][1] > 0.5 > unfinished.thought[-1][1]
    (soon,), (late,) = finished.turns, unfinished.turns
    assert soon.marks.total_ms is not None
    assert late.marks.total_ms is not None
    assert soon.marks.total_ms + 300 < late.marks.total_ms
