"""The recogniser's service as a timeline: what is transcribed when, and what becomes of it."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import (
    EagerTranscriptionFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from processors.embedded.stt import EmbeddedSTTService
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame
from tests.harness import Bench, on_the_bench


class ScriptedRecogniser:
    """Answers with its script, one line a call; can be held in the middle of a call."""

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.heard: list[float] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, samples: NDArray[np.float32]) -> str:
        self.heard.append(len(samples) / 16000)
        line = self.lines.pop(0)
        assert self.free.wait(5)
        if isinstance(line, Exception):
            raise line
        return line


def audio(seconds: float) -> list[Frame]:
    chunk = np.full(320, 1000, np.int16).tobytes()
    return [InputAudioRawFrame(chunk, 16000, 1) for _ in range(round(seconds / 0.02))]


async def settled(bench: Bench) -> None:
    """Wait until nothing is being transcribed."""
    assert isinstance(bench.processor, EmbeddedSTTService)
    while (job := bench.processor._job) is not None:
        await asyncio.wait([job])


def texts(frames: list[TranscriptionFrame]) -> list[tuple[str, bool]]:
    return [(frame.text, frame.finalized) for frame in frames]


async def test_words_appear_while_the_caller_speaks() -> None:
    recogniser = ScriptedRecogniser("Can you", "Can you help")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await settled(bench)
        await bench.give(*audio(0.6))
        await settled(bench)
        assert [frame.text for frame in bench.take(InterimTranscriptionFrame)] == ["Can you", "Can you help"]
    assert recogniser.lines == []


async def test_the_transcript_of_a_pause_is_reused_when_nothing_was_added() -> None:
    recogniser = ScriptedRecogniser("Hello.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        assert [frame.text for frame in bench.take(EagerTranscriptionFrame)] == ["Hello."]
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("Hello.", True)]
    assert len(recogniser.heard) == 1


async def test_speech_after_the_pause_is_transcribed_with_what_came_before() -> None:
    recogniser = ScriptedRecogniser("I would", "I would like tea.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(SpeechResumedFrame(), *audio(0.3), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("I would like tea.", True)]
    assert recogniser.heard[1] > recogniser.heard[0]


async def test_a_transcript_that_is_still_under_way_at_the_end_is_waited_for_not_repeated() -> None:
    recogniser = ScriptedRecogniser("Hello.")
    recogniser.free.clear()
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert bench.take(TranscriptionFrame) == []
        recogniser.free.set()
        await settled(bench)
        assert texts(bench.take(TranscriptionFrame)) == [("Hello.", True)]
        assert bench.take(EagerTranscriptionFrame) == []


async def test_words_are_not_lost_when_the_caller_goes_on_before_they_are_transcribed() -> None:
    recogniser = ScriptedRecogniser("My name is Ann", "and I need help.")
    recogniser.free.clear()
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2), SpeechResumedFrame())
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.3), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        recogniser.free.set()
        await settled(bench)
        words = " ".join(frame.text for frame in bench.take(TranscriptionFrame))
        assert words == "My name is Ann and I need help."


async def test_a_noise_without_words_ends_in_an_empty_final_transcript() -> None:
    async with on_the_bench(EmbeddedSTTService(ScriptedRecogniser(""))) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("", True)]
        assert bench.take(EagerTranscriptionFrame) == []


async def test_a_recogniser_that_fails_is_reported_and_the_next_utterance_is_heard() -> None:
    recogniser = ScriptedRecogniser(RuntimeError("out of memory"), "Hello again.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        for _ in range(2):
            await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
            await settled(bench)
            await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert "out of memory" in bench.take(ErrorFrame)[0].error
        assert texts(bench.take(TranscriptionFrame)) == [("", True), ("Hello again.", True)]


async def test_a_monologue_is_committed_in_parts_the_recogniser_can_take() -> None:
    recogniser = ScriptedRecogniser(*["words"] * 200)
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1))
        for _ in range(60):
            await bench.give(*audio(1.0))
            await settled(bench)
        parts = bench.take(TranscriptionFrame)
        assert len(parts) == 2
        assert not any(part.finalized for part in parts)
    assert max(recogniser.heard) < 25
