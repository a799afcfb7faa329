"""The advanced cascade with real models: how something is said reaches the model, the voice and the ear."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import TTSUpdateSettingsFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport

from pipelines import ADVANCED_CASCADE, EMBEDDED, Capability, Service, assemble, personas
from pipelines.app import recording
from pipelines.lab.caller import Turn, calling
from pipelines.lab.retention.calls import SAME_WORDS, heard_by, say_the_same
from pipelines.lab.retention.sounds import NOTHING, Sound, sound
from pipelines.stacks import Stack
from processors.embedded.tts import EmbeddedTTSSettings
from processors.hearing.frames import CueFrame
from tests.harness import on_virtual_time
from tests.speech import needs, real
from tests.standin import ScriptedLLM

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
    """What came of a recording.

    Args:
        answer: How its answer sounded.
        same: How words that do not depend on the answer sounded, said as it was.
    """

    turn: Turn
    noted: Noted
    answer: Sound
    same: Sound
    messages: list[dict[str, Any]] = field(default_factory=list)


async def held(file: str, persona: str = "ferni", stack: Stack = EMBEDDED) -> Call:
    """A call in which one thing is said; after its answer, words that are the same in every call."""
    noted, workers = Noted(), []
    who = personas.load(persona)

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        observing = [*observers, noted]
        workers.append(assemble(ADVANCED_CASCADE, stack, transport, persona=who, observers=observing, clients=False))
        return workers[0]

    async with calling(make) as caller:
        turn = await caller.say(recording.load(real(file)))
        answer = sound(heard_by(caller), turn.answer)
        messages = [dict(message) for message in workers[0].app_resources.context.messages]
        same = sound(await say_the_same(caller, workers[0]), SAME_WORDS)
    return Call(turn, noted, answer, same, messages)


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
    assert told == [[], ["frustrated"]]
    assert [message["role"] for message in angry.messages] == ["developer", "user", "assistant"]
    (settings,) = angry.noted.settings
    assert isinstance(settings.speed, float)
    assert settings.speed < 1.0
    assert not calm.noted.settings
    # What is heard differs by more than one notices: slower, and lower.
    for audio in (calm.answer, angry.answer):
        assert audio != NOTHING
    assert angry.same.pace < 0.95 * calm.same.pace
    assert angry.same.pitch < calm.same.pitch - 0.3
    assert np.abs(angry.same.steps - calm.same.steps).max() > 2


@on_virtual_time(measured=True)
async def test_each_of_the_six_personas_answers_in_a_voice_of_its_own() -> None:
    # What each would say is up to the model, which takes long to read six personas. Their words are the same here.
    scripted = Service("script", lambda session: ScriptedLLM(SAME_WORDS), frozenset({Capability.TEXT_OUT}))
    calls = {name: await held(CALM, name, EMBEDDED.replace(LLM=scripted)) for name in personas.names()}
    assert len(calls) == 6
    for call in calls.values():
        assert call.turn.answered
        assert call.turn.errors == []
    pitch = {name: call.answer.pitch for name, call in calls.items()}
    for name, other in combinations(calls, 2):
        assert abs(pitch[name] - pitch[other]) > 1.0, (name, other)
    for name in calls:
        designed = personas.load(name).voices.get("embedded", {}).get("pitch", 0.0)
        assert pitch[name] - pitch["ferni"] == pytest.approx(designed, abs=1.0), name
