"""A whole pipeline on virtual time for traces: tones for speech, a script for ears, model and voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import INPUT_GUARD, OUTPUT_GUARD, VAD, Architecture, Capability
from pipelines.lab import virtual
from pipelines.lab.caller import RATE, Caller, calling
from pipelines.lab.trace import Redactor, Trace, tracing
from pipelines.stacks import Service, Stack
from processors.pcm import Samples, to_samples
from tests.standin import ScriptedLLM, ToneTTS

ARCHITECTURE = BASIC_CASCADE.without(VAD)
UNGUARDED = ARCHITECTURE.without(
    INPUT_GUARD, OUTPUT_GUARD, unguarded="guards would keep to themselves what is to be seen"
)
STOP_SECS = 0.2
START_SECS = 0.06
WORD_SECS = 0.25


class ScriptedEars(FrameProcessor):
    """Takes anything loud for speech, and hears in it what the script says next, a word every `WORD_SECS`.

    Args:
        utterances: What is understood, one after the other.
    """

    def __init__(self, *utterances: str) -> None:
        super().__init__()
        self._utterances = iter(utterances)
        self._words: list[str] = []
        self._loud = 0.0
        self._quiet = 0.0
        self._told = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            seconds = frame.num_frames / frame.sample_rate
            if float(np.abs(to_samples(frame.audio)).max()) > 0.01:
                await self._hear(seconds)
            elif self._words:
                await self._pause(seconds)

    async def _hear(self, seconds: float) -> None:
        self._quiet = 0.0
        self._loud += seconds
        if not self._words and self._loud >= START_SECS:
            self._words, self._told = next(self._utterances).split() or [""], 0
            await self.broadcast_frame(VADUserStartedSpeakingFrame, start_secs=START_SECS)
        known = min(int(self._loud / WORD_SECS), len(self._words))
        if known > self._told:
            self._told = known
            await self.push_frame(InterimTranscriptionFrame(" ".join(self._words[:known]), "", ""))

    async def _pause(self, seconds: float) -> None:
        self._quiet += seconds
        if self._quiet >= STOP_SECS:
            text, self._words, self._loud, self._quiet = " ".join(self._words), [], 0.0, 0.0
            await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=STOP_SECS)
            if text:
                await self.push_frame(TranscriptionFrame(text, "", "", finalized=True))


def speech(seconds: float, *, before: float = 0.5) -> Samples:
    """A tone that counts as speech, after silence. Mono at 16 kHz."""
    tone = 0.3 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * 440 / RATE)
    return np.concatenate([np.zeros(round(before * RATE)), tone]).astype(np.float32)


def stack(heard: Sequence[str], answers: Sequence[str | Callable[[], str]]) -> Stack:
    """Ears, model and voice by script."""
    return Stack(
        "scripted",
        {
            "STT": Service("ears", lambda session: ScriptedEars(*heard)),
            "LLM": Service("script", lambda session: ScriptedLLM(*answers), frozenset({Capability.TEXT_OUT})),
            "TTS": Service("tone", lambda session: ToneTTS(), frozenset({Capability.WORD_TIMESTAMPS})),
        },
    )


@asynccontextmanager
async def traced_call(
    folder: Path,
    heard: Sequence[str],
    answers: Sequence[str | Callable[[], str]],
    redactor: Redactor | None = None,
    architecture: Architecture = ARCHITECTURE,
) -> AsyncIterator[Caller]:
    """A call that is traced into `folder`."""
    scripted = stack(heard, answers)
    async with (
        tracing(folder, redactor=redactor) as trace,
        calling(
            lambda transport, observers: assemble(architecture, scripted, transport, observers=[*observers, trace])
        ) as caller,
    ):
        yield caller


def hold(
    folder: Path,
    heard: Sequence[str],
    answers: Sequence[str | Callable[[], str]],
    talk: Callable[[Caller], Awaitable[None]],
    redactor: Redactor | None = None,
    architecture: Architecture = ARCHITECTURE,
) -> Trace:
    """Hold a conversation on virtual time and open its trace."""

    async def call() -> None:
        async with traced_call(folder, heard, answers, redactor, architecture) as caller:
            await talk(caller)

    virtual.run(call())
    (trace,) = Trace.list(folder)
    return trace


async def interrupted(caller: Caller, first: Samples, second: Samples) -> None:
    """Say one thing, and another into the answer."""
    asked = asyncio.create_task(caller.say(first))
    await caller.sound()
    await asyncio.sleep(1.0)
    await caller.say(second)
    await asked
