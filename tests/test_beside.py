"""A voice behind a model that speaks itself: everything keeps its place and its time."""

from __future__ import annotations

import asyncio

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.beside import BEHIND_SECS, beside, let_pass
from processors.guarding.frames import clear
from tests.harness import on_the_bench, on_virtual_time

RATE = 24000


class Voice(FrameProcessor):
    """Takes text frames, answers and speech for its own, as a TTS service does; lets all else through."""

    def __init__(self) -> None:
        super().__init__()
        self.took: list[Frame] = []
        beside(self)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, (TextFrame, OutputAudioRawFrame, LLMFullResponseStartFrame, LLMFullResponseEndFrame)):
            self.took.append(frame)
        else:
            await self.push_frame(frame, direction)

    async def says(self, text: str, secs: float) -> TTSTextFrame:
        """It speaks, and gives the word the time at which it begins to."""
        now = asyncio.get_running_loop().time()
        await self.push_frame(TTSAudioRawFrame(b"\1\1" * round(secs * RATE), RATE, 1, context_id=text))
        word = TTSTextFrame(text, "word", context_id=text)
        word.pts = round(1e9 * now)
        await self.push_frame(word)
        return word


def models(frame: Frame) -> Frame:
    """As the gate lets it out."""
    clear(frame)
    return frame


def speech(secs: float, level: bytes = b"\0\20") -> Frame:
    return models(SpeechOutputAudioRawFrame(level * round(secs * RATE), RATE, 1))


@on_virtual_time()
async def test_what_the_gate_lets_out_passes_the_voice_in_its_order() -> None:
    voice = Voice()
    answer = [
        models(LLMFullResponseStartFrame()),
        speech(0.1),
        models(TTSTextFrame("Hello", "sentence")),
        models(LLMFullResponseEndFrame()),
    ]
    async with on_the_bench(voice) as bench:
        await bench.give(*answer)
        assert [frame for frame, _ in bench.pushed] == answer
        assert voice.took == []
        uncleared = TTSTextFrame("Hello", "sentence")
        await bench.give(uncleared)
        assert voice.took == [uncleared]


@on_virtual_time()
async def test_words_of_the_voice_are_heard_behind_what_is_still_being_played() -> None:
    voice = Voice()
    async with on_the_bench(voice) as bench:
        await bench.give(speech(2.0))
        await asyncio.sleep(0.5)
        begun = asyncio.get_running_loop().time()
        first, second = await voice.says("Sorry.", 1.0), await voice.says("Really.", 1.0)
        assert first.pts == pytest.approx(1e9 * (begun + 1.5 + BEHIND_SECS))
        assert second.pts == pytest.approx(1e9 * (begun + 2.5 + BEHIND_SECS))
        await bench.give(InterruptionFrame())
        after = await voice.says("Yes?", 1.0)
        assert after.pts == pytest.approx(1e9 * begun)


@on_virtual_time()
async def test_silences_are_left_out_until_speech_without_end_is_no_longer_late() -> None:
    voice = Voice()
    async with on_the_bench(voice) as bench:
        await voice.says("Sorry.", 1.0)
        bench.pushed.clear()
        for _ in range(20):
            await bench.give(speech(0.1, b"\0\0"))
            await asyncio.sleep(0.1)
        passed = len(bench.take(SpeechOutputAudioRawFrame))
        assert 12 <= passed <= 14  # late by 1 s; 0.3 are left
        await voice.says("Sorry.", 1.0)
        await bench.give(speech(0.1), speech(0.1, b"\0\0"))
        assert len(bench.take(SpeechOutputAudioRawFrame)) == 1  # what is heard is never left out


@on_virtual_time()
async def test_without_a_gate_the_voice_says_nothing_of_what_the_model_does() -> None:
    voice, model = Voice(), FrameProcessor()
    let_pass(model)
    said: list[Frame] = [
        LLMFullResponseStartFrame(),
        LLMTextFrame("Hello"),
        TTSAudioRawFrame(b"\0\20", RATE, 1),
        TTSTextFrame("Hello", "sentence"),
        LLMFullResponseEndFrame(),
    ]
    async with on_the_bench(model) as bench:
        for frame in said:
            await model.push_frame(frame)
        passed = [frame for frame, _ in bench.pushed]
    async with on_the_bench(voice) as bench:
        await bench.give(*passed)
        assert [frame for frame, _ in bench.pushed] == [frame for frame in said if not isinstance(frame, LLMTextFrame)]
        assert voice.took == []
