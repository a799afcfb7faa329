"""One call with real models: what the language model was given, how the voice was told to speak, what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from pipecat.frames.frames import Frame, TTSSpeakFrame, TTSUpdateSettingsFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport

from pipelines.assemble import assemble
from pipelines.definition import Architecture
from pipelines.lab import virtual
from pipelines.lab.caller import OUTPUT_RATE, QUIET_SECS, RATE, Caller, calling
from pipelines.lab.retention.manners import Said
from pipelines.lab.retention.sounds import Sound, sound
from pipelines.stacks import Stack
from processors.pcm import Samples

SAME_WORDS = "Let me see what I can do about that. One moment, please."
"""Said after the answer, by the application and as the answer was said: its sound is compared from call to call."""


@dataclass(frozen=True)
class Passed:
    """What came of something said.

    Args:
        said: What, by whom and how.
        heard: The caller's words, as recognised.
        told: What the language model was told besides, in this turn.
        settings: What the voice was told, as names with values.
        answer: The words of the answer.
        sound: How `SAME_WORDS` sounded.
        own: How the answer itself sounded.
    """

    said: Said
    heard: str
    told: str
    settings: frozenset[str]
    answer: str
    sound: Sound
    own: Sound

    def as_json(self) -> dict[str, Any]:
        """Everything but the caller's sound."""
        return {
            "group": self.said.group,
            "speaker": self.said.speaker,
            "manner": self.said.manner,
            "heard": self.heard,
            "told": self.told,
            "settings": sorted(self.settings),
            "answer": self.answer,
            "sound": self.sound.as_json(),
            "own": self.own.as_json(),
        }


class _Voice(BaseObserver):
    """What the voice is told."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.settings: dict[str, Any] = {}

    async def on_push_frame(self, data: FramePushed) -> None:
        frame: Frame = data.frame
        if isinstance(frame, TTSUpdateSettingsFrame) and frame.delta:
            self.settings |= frame.delta.given_fields()


def hold(architecture: Architecture, stack: Stack, said: Said) -> Passed:
    """A call in which one sentence is said, on virtual time that counts the models' work.

    Args:
        architecture: Through which it is held.
        stack: Which services; none may need a network. Load it first.
        said: The sentence.

    Raises:
        DefinitionError, StackError: If the architecture cannot be assembled.
    """
    return virtual.run(_hold(architecture, stack, said), measured=True)


async def _hold(architecture: Architecture, stack: Stack, said: Said) -> Passed:
    voice, workers = _Voice(), []

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        observing = [*observers, voice]
        workers.append(assemble(architecture, stack, transport, observers=observing, clients=False))
        return workers[0]

    async with calling(make) as caller:
        answer = (await caller.say(said.samples)).answer
        own = heard_by(caller)
        messages = [dict(message) for message in workers[0].app_resources.context.messages]
        same = await say_the_same(caller, workers[0])
    contents: dict[str, list[str]] = {"user": [], "developer": []}
    for message in messages:
        contents.get(str(message.get("role")), []).append(str(message.get("content")))
    settings = frozenset(f"{name} {value}" for name, value in voice.settings.items())
    return Passed(
        said,
        " ".join(contents["user"]),
        " ".join(contents["developer"]),
        settings,
        answer,
        sound(same, SAME_WORDS),
        sound(own, answer),
    )


async def say_the_same(caller: Caller, worker: PipelineWorker) -> Samples:
    """Have `SAME_WORDS` said as the last answer was, and hear it out. Mono at 16 kHz."""
    caller.heard.clear()
    await worker.queue_frame(TTSSpeakFrame(SAME_WORDS, append_to_context=False))
    async with asyncio.timeout(QUIET_SECS * 20):
        await caller.sound()
    pieces = 0
    while pieces < len(caller.heard):
        pieces = len(caller.heard)
        await asyncio.sleep(QUIET_SECS)
    return heard_by(caller)


def heard_by(caller: Caller) -> Samples:
    """What a caller has heard since they last spoke. Mono at 16 kHz."""
    return np.asarray(soxr.resample(caller.answer_audio(), OUTPUT_RATE, RATE), np.float32)
