"""Services that stand in for models: what they hear and say is written in the test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import fields
from itertools import chain, repeat

import numpy as np
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, TTSSettings
from pipecat.services.tts_service import TTSService

from pipelines.definition import Capability
from pipelines.stacks import Service, Stack
from pipelines.stacks.stack import Progress
from processors.embedded.stt import EmbeddedSTTService

WORD_SECS = 0.25
"""How long `ToneTTS` takes for a word."""


class ScriptedLLM(LLMService):
    """Answers each context with the next of its answers; the last one stays.

    Args:
        answers: What it says, turn by turn. A callable is called and may raise.
    """

    def __init__(self, *answers: str | Callable[[], str]) -> None:
        unsupported = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}
        super().__init__(settings=LLMSettings(**{**unsupported, "model": "scripted"}))
        self._answers = chain(answers, repeat(answers[-1]))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        answer = next(self._answers)
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            for word in (answer() if callable(answer) else answer).split():
                await self.push_frame(LLMTextFrame(f"{word} "))
        except Exception as error:
            await self.push_error(f"the scripted answer failed: {error}")
        finally:
            await self.push_frame(LLMFullResponseEndFrame())


class ToneTTS(TTSService):
    """Sings every word on one note of `WORD_SECS`, at half of full scale."""

    def __init__(self, hertz: float = 220.0) -> None:
        super().__init__(
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="tone", voice="tone", language=None),
        )
        self._hertz = hertz
        self._sung: dict[str, int] = {}

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        words = text.split()
        before = self._sung.get(context_id, 0)
        self._sung[context_id] = before + len(words)
        await self.start_word_timestamps()
        times = [(word, (before + n) * WORD_SECS) for n, word in enumerate(words)]
        await self.add_word_timestamps(times, context_id)
        at = np.arange(round(WORD_SECS * self.sample_rate * len(words))) / self.sample_rate
        tone = (16000 * np.sin(2 * np.pi * self._hertz * at)).astype("<i2")
        yield TTSAudioRawFrame(tone.tobytes(), self.sample_rate, 1, context_id=context_id)


def stack(
    heard: str = "What can you do?",
    answers: tuple[str | Callable[[], str], ...] = ("I can sing one note, and I can sing it for as long as you like.",),
    load: Callable[[Progress], None] | None = None,
    keys: tuple[str, ...] = (),
) -> Stack:
    """A stack that hears `heard` in every speech and answers in turn with `answers`.

    Args:
        heard: What STT makes of anything that VAD takes for speech.
        answers: As `ScriptedLLM`.
        load: What loading the LLM does.
        keys: What the LLM needs in the environment.
    """
    return Stack(
        "standin",
        {
            "STT": Service("scripted", lambda session: EmbeddedSTTService(lambda samples: heard)),
            "LLM": Service(
                "scripted",
                lambda session: ScriptedLLM(*answers),
                frozenset({Capability.TEXT_OUT}),
                load=load,
                keys=keys,
            ),
            "TTS": Service("tone", lambda session: ToneTTS(), frozenset({Capability.WORD_TIMESTAMPS})),
        },
    )
