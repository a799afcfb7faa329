"""The recogniser's service as a timeline on virtual time: what is transcribed when, and what becomes of it."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from pipecat.frames.frames import (
    EagerTranscriptionFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from processors.embedded.stt import EmbeddedSTTService
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame
from tests.harness import Bench, on_the_bench, on_virtual_time

RECOGNITION = {"ScriptedRecogniser": 1.0}
"""Seconds that a transcription takes, in which a test may give all that is said meanwhile."""


class ScriptedRecogniser:
    """Answers with its script, one line a call."""

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.heard: list[float] = []
        self._calls = asyncio.Semaphore(0)

    async def called(self) -> None:
        """Wait for the next call."""
        await self._calls.acquire()

    def __call__(self, samples: NDArray[np.float32]) -> str:
        self.heard.append(len(samples) / 16000)
        line = self.lines.pop(0)
        self._calls.release()
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


@on_virtual_time(RECOGNITION)
async def test_words_appear_while_the_caller_speaks() -> None:
    recogniser = ScriptedRecogniser("Can you", "Can you help")
    async with on_the_bench(EmbeddedSTTService(recogniser, clock=lambda: 0.0)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await settled(bench)
        await bench.give(*audio(0.6))
        await settled(bench)
        assert [frame.text for frame in bench.take(InterimTranscriptionFrame)] == ["Can you", "Can you help"]
    assert recogniser.lines == []


@on_virtual_time(RECOGNITION)
async def test_a_slow_recogniser_is_not_kept_busy_with_interim_transcripts() -> None:
    recogniser = ScriptedRecogniser("Can", "Can you help")
    times = itertools.count(step=0.4)  # each transcription takes 0.4 s
    async with on_the_bench(EmbeddedSTTService(recogniser, clock=lambda: next(times))) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await settled(bench)
        await bench.give(*audio(1.0))
        await settled(bench)
        assert len(recogniser.heard) == 1
        await bench.give(*audio(0.3))
        await settled(bench)
    assert len(recogniser.heard) == 2


@on_virtual_time(RECOGNITION)
async def test_the_transcript_of_a_pause_is_reused_when_nothing_was_added() -> None:
    recogniser = ScriptedRecogniser("Hello.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        assert [frame.text for frame in bench.take(EagerTranscriptionFrame)] == ["Hello."]
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("Hello.", True)]
    assert len(recogniser.heard) == 1


@on_virtual_time(RECOGNITION)
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


@on_virtual_time(RECOGNITION)
async def test_a_transcript_that_is_still_under_way_at_the_end_is_waited_for_not_repeated() -> None:
    recogniser = ScriptedRecogniser("Hello.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await recogniser.called()
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert bench.take(TranscriptionFrame) == []
        await settled(bench)
        assert texts(bench.take(TranscriptionFrame)) == [("Hello.", True)]
        assert bench.take(EagerTranscriptionFrame) == []


@on_virtual_time(RECOGNITION)
async def test_words_are_not_lost_when_the_caller_goes_on_before_they_are_transcribed() -> None:
    recogniser = ScriptedRecogniser("My name is Ann", "and I need help.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await recogniser.called()
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2), SpeechResumedFrame())
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.3), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await settled(bench)
        words = " ".join(frame.text for frame in bench.take(TranscriptionFrame))
        assert words == "My name is Ann and I need help."


@on_virtual_time(RECOGNITION)
async def test_a_noise_without_words_ends_in_an_empty_final_transcript() -> None:
    async with on_the_bench(EmbeddedSTTService(ScriptedRecogniser(""))) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("", True)]
        assert bench.take(EagerTranscriptionFrame) == []


@on_virtual_time(RECOGNITION)
async def test_a_recogniser_that_fails_is_reported_and_the_next_utterance_is_heard() -> None:
    recogniser = ScriptedRecogniser(RuntimeError("out of memory"), "Hello again.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        for _ in range(2):
            await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
            await settled(bench)
            await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert "out of memory" in bench.take(ErrorFrame)[0].error
        assert texts(bench.take(TranscriptionFrame)) == [("", True), ("Hello again.", True)]


@on_virtual_time(RECOGNITION)
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


@on_virtual_time(RECOGNITION)
async def test_what_is_said_while_a_part_is_transcribed_comes_after_it_and_nothing_waits() -> None:
    recogniser = ScriptedRecogniser("I was", "I was told to wait.", "So I waited.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await recogniser.called()
        # From here on the recogniser has all of this before it, and has not answered once.
        await bench.give(*audio(25.0), InterruptionFrame(), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert bench.take(TranscriptionFrame) == []
        await settled(bench)
        assert texts(bench.take(TranscriptionFrame)) == [("I was told to wait.", False), ("So I waited.", True)]
        assert bench.take(InterimTranscriptionFrame) == []
        assert bench.take(ErrorFrame) == []
    assert recogniser.heard[1] + recogniser.heard[2] == pytest.approx(25.6, abs=0.01)


@on_virtual_time(RECOGNITION)
async def test_a_part_is_pushed_before_what_the_next_utterance_brings() -> None:
    recogniser = ScriptedRecogniser("I was", "I was told to wait.", "So I waited.", "Hello?")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await recogniser.called()
        await bench.give(*audio(24.0), SpeechPausedFrame(silence=0.064))
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2), SpeechResumedFrame())
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.4), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        told = texts(bench.take(TranscriptionFrame))
        assert told == [("I was told to wait.", False), ("So I waited.", False), ("Hello?", True)]


@on_virtual_time(RECOGNITION)
async def test_an_utterance_that_is_long_enough_to_be_cut_is_not_cut_in_a_pause() -> None:
    recogniser = ScriptedRecogniser("I was", "I was told to wait.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await recogniser.called()
        await bench.give(*audio(23.3), SpeechPausedFrame(silence=0.064))
        await settled(bench)
        await bench.give(*audio(0.2), VADUserStoppedSpeakingFrame(stop_secs=0.2))
        assert texts(bench.take(TranscriptionFrame)) == [("I was told to wait.", True)]
    assert len(recogniser.heard) == 2


@on_virtual_time(RECOGNITION)
async def test_an_interim_transcript_does_not_stand_for_the_whole_utterance() -> None:
    recogniser = ScriptedRecogniser("I would", "I would like tea.")
    async with on_the_bench(EmbeddedSTTService(recogniser)) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.5))
        await recogniser.called()
        await bench.give(*audio(0.4), VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await settled(bench)
        assert texts(bench.take(TranscriptionFrame)) == [("I would like tea.", True)]


@on_virtual_time(RECOGNITION)
async def test_hanging_up_while_a_part_waits_to_be_transcribed_ends_the_work() -> None:
    recogniser = ScriptedRecogniser("I was", "I was told to wait.")
    service = EmbeddedSTTService(recogniser)
    async with on_the_bench(service) as bench:
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.1), *audio(0.6))
        await recogniser.called()
        await bench.give(*audio(24.0))
    await asyncio.sleep(60)
    assert recogniser.lines == ["I was told to wait."]
    assert bench.take(TranscriptionFrame) == []
