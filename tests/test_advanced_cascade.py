"""The advanced cascade with real models: how something is said reaches the model, the voice and the ear."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pipecat.frames.frames import TTSUpdateSettingsFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport

from pipelines import ADVANCED_CASCADE, EMBEDDED, assemble
from pipelines.app import recording
from pipelines.lab.caller import Turn, calling
from processors.embedded.tts import EmbeddedTTSSettings
from processors.hearing.frames import CueFrame
from tests.harness import on_virtual_time
from tests.speech import needs, real

WEIGHTS = ("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
CALM, ANGRY = (f"emotion_ravdess/03-01-{manner}-01-01-04.flac" for manner in ("02-01", "05-02"))
"""One actor, one sentence."""


class Noted(BaseObserver):
    """What was heard besides the words, and what the voice was told."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.cues: list[CueFrame] = []
        self.settings: list[EmbeddedTTSSettings] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, CueFrame):
            self.cues.append(data.frame)
        elif isinstance(data.frame, TTSUpdateSettingsFrame) and isinstance(data.frame.delta, EmbeddedTTSSettings):
            self.settings.append(data.frame.delta)


@dataclass
class Call:
    """What came of a recording."""

    turn: Turn
    noted: Noted
    messages: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


async def held(file: str) -> Call:
    noted, workers = Noted(), []

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        workers.append(assemble(ADVANCED_CASCADE, EMBEDDED, transport, observers=[*observers, noted]))
        return workers[0]

    async with calling(make) as caller:
        turn = await caller.say(recording.load(real(file)))
        seconds = len(caller.answer_audio()) / 24000
        messages = [dict(message) for message in workers[0].app_resources.context.messages]
    return Call(turn, noted, messages, seconds)


@pytest.fixture(autouse=True)
def _loaded() -> None:
    needs(*WEIGHTS)
    real(ANGRY)
    asyncio.run(EMBEDDED.load(ADVANCED_CASCADE))


@on_virtual_time(measured=True)
async def test_an_angry_and_a_calm_caller_are_answered_differently_in_words_and_in_voice() -> None:
    calm, angry = await held(CALM), await held(ANGRY)
    for call in (calm, angry):
        assert call.turn.answered
        assert call.turn.errors == []
        assert "kids" in call.turn.transcript.lower()
    assert angry.noted.cues[-1].cue.emotions["angry"] > calm.noted.cues[-1].cue.emotions["angry"]
    # The caller's own words are the same, and what is told of them is not.
    told = [
        [message["content"] for message in call.messages if message["role"] == "developer"] for call in (calm, angry)
    ]
    assert told[0] != told[1]
    assert "upset" in told[1][0]
    assert [message["role"] for message in angry.messages] == ["developer", "user", "assistant"]
    (settings,) = angry.noted.settings
    assert isinstance(settings.speed, float)
    assert settings.speed < 1.0
    assert not calm.noted.settings
