"""The TTS service alone, and in a pipeline that plays at the pace of a loudspeaker and is interrupted; virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    MetricsFrame,
    TextType,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData, TTSUsageMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.tests.utils import run_test
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from processors.embedded.hibari import SAMPLE_RATE, Controls, Speech, SpokenWord, Synthesiser
from processors.embedded.tts import EmbeddedTTSService
from processors.embedded.weights import locate
from processors.transports.memory import MemoryOutput
from tests.harness import on_virtual_time

FIRST = "Sure, I can move your appointment to Friday, May 5 at 7:30 pm."
SECOND = "The total comes to $4.50, and you can pay at the front desk or by card."
SHORT_WORDS = "You can pay at the desk or by card or in cash when you come in on that day."

SYNTHESIS = {"next": 0.05}
"""Seconds that a piece of speech costs."""


@pytest.fixture(scope="module")
def synthesiser() -> Synthesiser:
    return Synthesiser(locate("hibari-heart"))


class Tones:
    """A voice that says each word as 0.1 s of tone, and fails on the word "fail"."""

    def __init__(self) -> None:
        self.controls: list[Controls] = []

    def stream(self, text: str, controls: Controls) -> Iterator[Speech]:
        self.controls.append(controls)
        if text == "fail":
            raise RuntimeError("no voice today")
        words = text.split()
        samples = np.sin(np.arange(2400 * len(words), dtype=np.float32) / 20) / 4
        yield Speech(samples, tuple(SpokenWord(word, i / 10, (i + 1) / 10) for i, word in enumerate(words)))


def sentence(text: str) -> AggregatedTextFrame:
    return AggregatedTextFrame(text, TextType.SENTENCE)


def answer(*texts: str) -> list[Frame]:
    return [LLMFullResponseStartFrame(), *(sentence(text) for text in texts), LLMFullResponseEndFrame()]


async def spoken_by(service: EmbeddedTTSService, *frames: Frame, rate: int = SAMPLE_RATE) -> tuple[list, list]:
    down, up = await run_test(
        service,
        frames_to_send=list(frames),
        pipeline_params=PipelineParams(audio_out_sample_rate=rate, enable_metrics=True, enable_usage_metrics=True),
    )
    return list(down), list(up)


def of(kind: type, frames: list) -> list:
    return [frame for frame in frames if isinstance(frame, kind)]


def audio(frames: list) -> bytes:
    return b"".join(frame.audio for frame in of(TTSAudioRawFrame, frames))


@on_virtual_time(SYNTHESIS)
async def test_an_answer_is_started_spoken_word_by_word_and_stopped(synthesiser: Synthesiser) -> None:
    down, up = await spoken_by(EmbeddedTTSService(synthesiser), *answer(FIRST, SECOND))
    kinds = [type(frame) for frame in down if isinstance(frame, (TTSStartedFrame, TTSAudioRawFrame, TTSStoppedFrame))]
    assert kinds[0] is TTSStartedFrame
    assert kinds[-1] is TTSStoppedFrame
    assert kinds.count(TTSStartedFrame) == kinds.count(TTSStoppedFrame) == 1
    words = of(TTSTextFrame, down)
    assert [word.text for word in words] == (FIRST + " " + SECOND).split()
    assert [word.pts for word in words] == sorted(word.pts for word in words)
    assert not of(ErrorFrame, up)


@on_virtual_time(SYNTHESIS)
async def test_words_are_timed_by_the_audio_before_them(synthesiser: Synthesiser) -> None:
    down, _ = await spoken_by(EmbeddedTTSService(synthesiser), *answer(FIRST, SECOND))
    speech = synthesiser.speak(FIRST + " " + SECOND)
    pts = [word.pts / 1e9 for word in of(TTSTextFrame, down)]
    assert [at - pts[0] for at in pts] == pytest.approx([word.start for word in speech.words], abs=0.001)


@on_virtual_time(SYNTHESIS)
async def test_audio_comes_in_short_frames_at_the_rate_of_the_pipeline(synthesiser: Synthesiser) -> None:
    wanted = synthesiser.speak(FIRST)
    for rate in (8_000, 16_000, 24_000, 48_000):
        down, _ = await spoken_by(EmbeddedTTSService(synthesiser), *answer(FIRST), rate=rate)
        frames = of(TTSAudioRawFrame, down)
        assert {frame.sample_rate for frame in frames} == {rate}
        assert max(frame.num_frames for frame in frames) <= 0.1 * rate
        heard = np.frombuffer(audio(down), "<i2") / 32767
        assert len(heard) / rate == pytest.approx(wanted.seconds, abs=0.005)
        assert np.sqrt(np.square(heard).mean()) == pytest.approx(np.sqrt(np.square(wanted.samples).mean()), rel=0.1)


@on_virtual_time(SYNTHESIS)
async def test_settings_hold_from_the_text_after_them() -> None:
    voice = Tones()
    service = EmbeddedTTSService(voice, settings=EmbeddedTTSService.Settings(pitch=2, breath=3))
    await spoken_by(
        service,
        LLMFullResponseStartFrame(),
        sentence("one"),
        TTSUpdateSettingsFrame(delta=EmbeddedTTSService.Settings(pitch=-1, speed=1.2)),
        sentence("two"),
        LLMFullResponseEndFrame(),
    )
    assert voice.controls == [Controls(pitch=2, breath=3), Controls(pitch=-1, breath=3, speed=1.2)]


@on_virtual_time(SYNTHESIS)
async def test_a_setting_out_of_range_is_refused_and_changes_nothing() -> None:
    voice = Tones()
    _, up = await spoken_by(
        EmbeddedTTSService(voice),
        TTSUpdateSettingsFrame(delta=EmbeddedTTSService.Settings(pitch=2, speed=float("nan"))),
        *answer("one"),
    )
    assert voice.controls == [Controls()]
    assert "speed is nan: give a number from 0.5 to 2" in of(ErrorFrame, up)[0].error
    with pytest.raises(ValueError, match="volume is 99: give a number"):
        EmbeddedTTSService(voice, settings=EmbeddedTTSService.Settings(volume=99))


@on_virtual_time(SYNTHESIS)
async def test_a_synthesis_that_raises_is_reported_and_the_next_text_is_spoken() -> None:
    frames = [frame for _ in range(4) for frame in answer("fail")]
    async with asyncio.timeout(6):  # a context that is left open ends after three seconds each
        down, up = await spoken_by(EmbeddedTTSService(Tones()), *frames, *answer("still here"))
    errors = of(ErrorFrame, up)
    assert sum("no voice today" in error.error for error in errors) == 4
    assert not any(error.fatal for error in errors)
    assert len(audio(down)) == 2 * 2400 * 2
    assert [word.text for word in of(TTSTextFrame, down)][-2:] == ["still", "here"]
    assert len(of(LLMFullResponseEndFrame, down)) == 5


@on_virtual_time(SYNTHESIS)
async def test_what_cannot_be_said_makes_no_sound_and_no_error() -> None:
    down, up = await spoken_by(EmbeddedTTSService(Tones()), *answer("🙂", "---", "**"), *answer("yes 🙂"))
    assert len(of(TTSStartedFrame, down)) == 1
    assert not of(ErrorFrame, up)


@on_virtual_time(SYNTHESIS)
async def test_emoji_and_markup_stay_in_the_words(synthesiser: Synthesiser) -> None:
    text = "Great! 🎉 Here is **your** code: 4821 🙂"
    down, _ = await spoken_by(EmbeddedTTSService(synthesiser), *answer(text))
    assert " ".join(word.text for word in of(TTSTextFrame, down)).split() == text.split()


@on_virtual_time(SYNTHESIS)
async def test_metrics(synthesiser: Synthesiser) -> None:
    down, _ = await spoken_by(EmbeddedTTSService(synthesiser), *answer(FIRST))
    data = [data for frame in of(MetricsFrame, down) for data in frame.data]
    assert [each.value for each in data if isinstance(each, TTSUsageMetricsData)] == [len(FIRST)]
    first_byte = [each.value for each in data if isinstance(each, TTFBMetricsData) and each.value]
    assert len(first_byte) == 1
    assert first_byte[0] == pytest.approx(SYNTHESIS["next"])


class Call:
    """A pipeline of the service, a loudspeaker and the context of what it said."""

    def __init__(self, service: EmbeddedTTSService) -> None:
        self.samples = 0
        self.pcm = bytearray()
        self._awaited: list[tuple[int, asyncio.Event]] = []
        self.loudspeaker = MemoryOutput(
            TransportParams(audio_out_enabled=True, audio_out_10ms_chunks=2, audio_out_end_silence_secs=0), self._listen
        )
        self.context = LLMContext()
        assistant = LLMContextAggregatorPair(self.context).assistant()
        self.worker = PipelineWorker(
            Pipeline([service, self.loudspeaker, assistant]),
            params=PipelineParams(audio_out_sample_rate=SAMPLE_RATE),
        )

    def _listen(self, pcm: bytes, at: float) -> None:
        self.pcm += pcm
        self.samples += len(pcm) // 2
        for samples, event in self._awaited:
            if self.samples >= samples:
                event.set()

    async def hold(self, caller: Coroutine[None, None, None]) -> None:
        """Run the pipeline and the caller until both are done, or either fails."""
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        async with asyncio.timeout(40), asyncio.TaskGroup() as both:
            both.create_task(runner.run())
            both.create_task(caller)

    async def heard(self, seconds: float) -> None:
        """Wait until so much has been played."""
        event = asyncio.Event()
        self._awaited.append((int(seconds * SAMPLE_RATE), event))
        await event.wait()

    def played(self) -> float:
        """Seconds until the last sample that was not silence."""
        return float(np.flatnonzero(np.frombuffer(bytes(self.pcm), "<i2")).max(initial=0)) / SAMPLE_RATE

    def said(self) -> list[str]:
        return " ".join(
            str(message["content"])
            for message in self.context.get_messages()
            if isinstance(message, dict) and message["role"] == "assistant"
        ).split()


@dataclass
class Silence:
    """The next frame comes so long after `heard` seconds were played."""

    heard: float
    seconds: float


async def interrupted(service: EmbeddedTTSService, frames: list[Frame | Silence], seconds: float) -> Call:
    """The call after `seconds` of the answer were played and the caller began to speak."""
    call = Call(service)

    async def caller() -> None:
        for frame in frames:
            if isinstance(frame, Silence):
                await asyncio.wait_for(call.heard(frame.heard), 30)
                await asyncio.sleep(frame.seconds)
            else:
                await call.worker.queue_frame(frame)
        await asyncio.wait_for(call.heard(seconds), 30)
        await call.worker.queue_frame(InterruptionFrame())
        await call.worker.queue_frame(EndFrame())

    await call.hold(caller())
    return call


def assert_context_holds_what_was_played(call: Call, speech: Speech, seconds: float) -> None:
    """The words that had begun when a speech was stopped after `seconds`."""
    played = call.played()
    assert seconds - 0.02 < played < seconds + 0.02, "the output went on after the interruption"
    assert call.said() == [word.text for word in speech.words if word.start < played]


@on_virtual_time({"next": 1.0})
async def test_the_first_sentence_is_heard_while_the_next_is_made() -> None:
    class Slow(Tones):
        def stream(self, text: str, controls: Controls) -> Iterator[Speech]:
            first, second = text.split(". ")
            yield from super().stream(first + ".", controls)
            yield from super().stream(second, controls)

    call = Call(EmbeddedTTSService(Slow()))
    begun = asyncio.get_running_loop().time()
    first_heard = 0.0

    async def caller() -> None:
        nonlocal first_heard
        for frame in answer("One two. Three"):
            await call.worker.queue_frame(frame)
        await call.worker.queue_frame(EndFrame())
        await call.heard(0.1)
        first_heard = asyncio.get_running_loop().time() - begun

    await call.hold(caller())
    assert first_heard == pytest.approx(1.1, abs=0.05)
    assert call.said() == ["One", "two.", "Three"]
    assert call.samples >= 3 * 2400


@pytest.mark.parametrize("seconds", [0.6, 2.0, 5.2])
@on_virtual_time(SYNTHESIS)
async def test_after_an_interruption_the_context_holds_the_words_that_were_heard(
    synthesiser: Synthesiser, seconds: float
) -> None:
    call = await interrupted(EmbeddedTTSService(synthesiser), answer(FIRST, SECOND), seconds)
    assert_context_holds_what_was_played(call, synthesiser.speak(f"{FIRST} {SECOND}"), seconds)


@on_virtual_time(SYNTHESIS)
async def test_words_wait_for_a_sentence_that_comes_late(synthesiser: Synthesiser) -> None:
    first = synthesiser.speak("Sure.").seconds
    late = [
        LLMFullResponseStartFrame(),
        sentence("Sure."),
        Silence(first - 0.1, 1.2),
        sentence(SHORT_WORDS),
        LLMFullResponseEndFrame(),
    ]
    call = await interrupted(EmbeddedTTSService(synthesiser), late, first + 1.0)
    assert_context_holds_what_was_played(call, synthesiser.speak(f"Sure. {SHORT_WORDS}"), first + 1.0)


@on_virtual_time(SYNTHESIS)
async def test_words_wait_for_the_speech_before_them(synthesiser: Synthesiser) -> None:
    """Two utterances of their own, given at once: the second's words follow the first one's last sample."""
    first = "Hello, this is the dental clinic, how may I help you today?"
    length = synthesiser.speak(first).seconds
    frames = [TTSSpeakFrame(first, append_to_context=True), TTSSpeakFrame(SHORT_WORDS, append_to_context=True)]
    call = await interrupted(EmbeddedTTSService(synthesiser), frames, length + 1.0)
    assert_context_holds_what_was_played(call, synthesiser.speak(f"{first} {SHORT_WORDS}"), length + 1.0)


@on_virtual_time(SYNTHESIS)
async def test_the_next_answer_is_timed_from_its_own_start(synthesiser: Synthesiser) -> None:
    """What an interruption threw away is not waited for."""
    call = Call(EmbeddedTTSService(synthesiser))

    async def caller() -> None:
        for frame in answer(FIRST, SECOND):
            await call.worker.queue_frame(frame)
        await asyncio.wait_for(call.heard(0.5), 30)
        await call.worker.queue_frame(InterruptionFrame())
        for frame in answer("Yes."):
            await call.worker.queue_frame(frame)
        await call.worker.queue_frame(EndFrame())

    async with asyncio.timeout(synthesiser.speak(f"{FIRST} {SECOND}").seconds / 2):
        await call.hold(caller())
    assert call.said()[-1] == "Yes."
