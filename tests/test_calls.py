"""Whole calls with the real models: waiting is free, work takes its time; what goes well and what goes wrong."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport

from pipelines import BASIC_CASCADE, EMBEDDED, Capability, Service, assemble
from pipelines.app import recording
from pipelines.lab.caller import RATE, calling
from processors.embedded.hibari import Controls, Speech
from processors.embedded.tts import EmbeddedTTSService
from processors.pcm import to_pcm
from processors.transports.memory import MemoryTransport
from tests.harness import on_virtual_time
from tests.speech import needs, real, say

WEIGHTS = ("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")


@pytest.fixture(autouse=True)
def _loaded() -> None:
    needs(*WEIGHTS)
    asyncio.run(EMBEDDED.load(BASIC_CASCADE))


class Line:
    """Builds the worker and keeps it, to look at what it remembers."""

    def __init__(self, **services: Service) -> None:
        self._stack = EMBEDDED.replace(**services)
        self.worker: PipelineWorker | None = None

    def __call__(self, transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        self.worker = assemble(BASIC_CASCADE, self._stack, transport, observers=observers)
        return self.worker

    @property
    def messages(self) -> list[dict[str, Any]]:
        assert self.worker is not None
        return [dict(message) for message in self.worker.app_resources.context.messages]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.mark.parametrize("file", ["agent_turns_tau2/tau2_help_me.wav", "read_speech/sb_spk1_snt5.wav"])
@on_virtual_time(measured=True)
async def test_a_real_recording_is_understood_and_answered(file: str) -> None:
    samples = recording.load(real(file))
    line = Line()
    async with calling(line) as caller:
        turn = await caller.say(samples)
    assert {"tau2_help_me": "help", "sb_spk1_snt5": "sunday"}[Path(file).stem] in words(turn.transcript)
    assert turn.answered
    assert turn.errors == []
    assert sum(part.ms for part in turn.marks.parts()) == pytest.approx(turn.marks.total_ms)
    assert [message["role"] for message in line.messages] == ["user", "assistant"]
    assert words(line.messages[1]["content"]) == words(turn.answer)


@on_virtual_time(measured=True)
async def test_the_conversation_remembers_what_was_said_before() -> None:
    async with calling(Line()) as caller:
        await caller.say(say("Hello, my name is Peter."))
        turn = await caller.say(say("What is my name?"))
    assert "peter" in words(turn.answer)


@on_virtual_time(measured=True)
async def test_an_interruption_leaves_the_words_that_were_heard() -> None:
    line = Line()
    async with calling(line) as caller:
        asked = asyncio.create_task(caller.say(say("Please count slowly from one to twenty.")))
        await caller.sound()
        await asyncio.sleep(1.0)
        played = len(caller.heard)
        interruption = await caller.say(say("Stop. What is the capital of France?"))
        await asked
    assert played
    assert "paris" in words(interruption.answer)
    roles = [message["role"] for message in line.messages]
    assert roles == ["user", "assistant", "user", "assistant"]
    counted = words(line.messages[1]["content"])
    assert "twenty" not in counted
    assert "20" not in counted


@on_virtual_time(measured=True)
async def test_a_language_model_that_dies_is_apologised_for_and_started_again() -> None:
    from pipelines.stacks.embedded import LANGUAGE_MODEL

    server = LANGUAGE_MODEL.get()
    async with calling(Line()) as caller:
        asked = asyncio.create_task(caller.say(say("Please tell me a long story about the sea."), patience=15))
        await caller.sound()
        os.kill(server.pid, signal.SIGKILL)
        broken = await asked
        # Said after the call has been quiet for a while, the apology would count as the next answer.
        async with asyncio.timeout(20):
            while "sorry" not in words(broken.answer):  # noqa: ASYNC110 (a turn tells nobody of its words)
                await asyncio.sleep(0.02)
        turn = await caller.say(say("What is the capital of France?"), patience=20)
    assert server.alive
    assert "paris" in words(turn.answer)


class FailsOnce:
    """A voice whose first text fails."""

    def __init__(self) -> None:
        self.failed = False

    def stream(self, text: str, controls: Controls) -> Iterator[Speech]:
        from pipelines.stacks.embedded import SYNTHESISER

        if not self.failed:
            self.failed = True
            raise RuntimeError("the synthesiser fell over")
        yield from SYNTHESISER.get().stream(text, controls)


@on_virtual_time(measured=True)
async def test_a_voice_that_raises_is_apologised_for() -> None:
    voice = FailsOnce()
    service = Service("fails once", lambda session: EmbeddedTTSService(voice), EMBEDDED.services["TTS"].provides)
    async with calling(Line(TTS=service)) as caller:
        turn = await caller.say(say("What is the capital of France?"))
        assert voice.failed
        assert any("fell over" in error for error in turn.errors)
        assert turn.answered
        assert "sorry" in words(turn.answer)
        again = await caller.say(say("What is the capital of Italy?"))
    assert "rome" in words(again.answer)


@on_virtual_time(measured=True)
async def test_silence_and_noise_are_not_answered() -> None:
    random = np.random.default_rng(1)
    async with calling(Line()) as caller:
        turn = await caller.say(np.zeros(RATE, np.float32), patience=1.0)
        assert not turn.answered
        hiss = (0.02 * random.standard_normal(2 * RATE)).astype(np.float32)
        turn = await caller.say(hiss, patience=1.0)
        assert not turn.answered
        assert turn.errors == []


class ToneVoice(TTSService):
    """The engineer's own voice of the README: a tone."""

    def __init__(self, name: str) -> None:
        from pipecat.services.settings import TTSSettings

        settings = TTSSettings(model="tone", voice=name, language=None)
        super().__init__(sample_rate=24000, push_start_frame=True, push_stop_frames=True, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> Any:
        from pipecat.frames.frames import TTSAudioRawFrame

        tone = (0.3 * np.sin(np.arange(12000) / 10)).astype(np.float32)
        yield TTSAudioRawFrame(to_pcm(tone), 24000, 1, context_id=context_id)


@on_virtual_time(measured=True)
async def test_the_readmes_ten_lines_hold_a_conversation() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = (
        block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "async def converse" in block
    )
    assert len([text for text in block.splitlines() if text.strip() and "import" not in text]) <= 10
    namespace: dict[str, Any] = {"MyTTSService": ToneVoice}
    exec(block, namespace)  # noqa: S102
    heard = asyncio.Event()
    transport = MemoryTransport(lambda pcm, at: heard.set() if any(pcm) else None)
    conversation = asyncio.create_task(namespace["converse"](transport))
    try:
        await transport.ready()
        speech = np.concatenate([say("What is the capital of France?"), np.zeros(RATE, np.float32)])

        async def speak() -> None:
            for at in range(0, len(speech), RATE // 50):
                await transport.hear(to_pcm(speech[at : at + RATE // 50]))
                await asyncio.sleep(0.02)
            while True:
                await transport.hear(bytes(RATE // 50 * 2))
                await asyncio.sleep(0.02)

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(30):
            await heard.wait()
        speaking.cancel()
    finally:
        conversation.cancel()
        await asyncio.gather(conversation, return_exceptions=True)


def test_capabilities_are_checked_before_anything_is_loaded() -> None:
    deaf = Service(
        "no timestamps", lambda session: ToneVoice(session.persona.name), frozenset({Capability.PERSONA_VOICE})
    )
    with pytest.raises(ValueError, match="TTS needs word_timestamps, and no timestamps offers persona_voice"):
        assemble(BASIC_CASCADE, EMBEDDED.replace(TTS=deaf), MemoryTransport(lambda pcm, at: None))
