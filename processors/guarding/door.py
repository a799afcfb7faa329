"""The one door to the voice, and what stands before and behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMTextFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.frames import GenerationStoppedFrame, UnclearedTextFrame, clear, is_cleared, to_be_said
from processors.guarding.guarding import Guarding
from processors.guarding.output import consequence, with_text

SPEECH = (TTSAudioRawFrame, SpeechOutputAudioRawFrame)

_kept: WeakSet[FrameProcessor] = WeakSet()


class Ears(FrameProcessor):
    """Stands behind the loudspeaker and hears which words are heard.

    Args:
        guarding: The conversation's.
    """

    def __init__(self, guarding: Guarding) -> None:
        super().__init__()
        self._guarding = guarding

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSTextFrame) and direction is FrameDirection.DOWNSTREAM:
            self._guarding.spoken(frame)
        await self.push_frame(frame, direction)


def veil(writer: FrameProcessor) -> None:
    """Have what a language model writes leave it as `UnclearedTextFrame`, so that only the guard can read it.

    Args:
        writer: Its service, of whatever vendor; changed in place.
    """
    service: Any = writer
    push = service.push_frame

    def veiled(frame: Frame) -> Frame:
        if not isinstance(frame, (LLMTextFrame, TTSTextFrame)) or is_cleared(frame):
            return frame
        return UnclearedTextFrame(
            frame.text,
            _skips(service, frame.skip_tts),
            frame.append_to_context,
            spoken=isinstance(frame, TTSTextFrame),
            includes_inter_frame_spaces=frame.includes_inter_frame_spaces,
        )

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        await push(veiled(frame), direction)

    process = service.process_frame

    async def process_frame(frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, GenerationStoppedFrame):
            # As Pipecat ends a guess that has turned out wrong: nothing else is disturbed.
            await service._start_interruption()
            await service.stop_all_metrics()
            return
        await process(frame, direction)

    service.push_frame = push_frame
    service.process_frame = process_frame
    if hasattr(service, "_push_llm_text"):
        pushed = service._push_llm_text

        async def push_text(text: str) -> None:
            # Pipecat's tracing writes down what passes `push_frame` as text.
            if service._filter_incomplete_user_turns:
                await pushed(text)
                return
            outer = service.push_frame

            async def push_veiled(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
                await outer(veiled(frame), direction)

            service.push_frame = push_veiled
            try:
                await pushed(text)
            finally:
                service.push_frame = outer

        service._push_llm_text = push_text


def _skips(service: Any, skip_tts: bool | None) -> bool | None:
    own: bool | None = getattr(service, "_skip_tts", None)
    return skip_tts if own is None else own


def keep(voice: FrameProcessor, guarding: Guarding) -> None:
    """Have a voice say cleared text only. Any other passes the guard first, whoever gives it, and be it from behind.

    Args:
        voice: The service; changed in place.
        guarding: The conversation's.
    """
    service: Any = voice
    process = service.process_frame

    async def process_frame(frame: Frame, direction: FrameDirection) -> None:
        for through in await _through(guarding, frame, direction):
            await process(through, direction)

    service.process_frame = process_frame
    _kept.add(voice)


async def _through(guarding: Guarding, frame: Frame, direction: FrameDirection) -> Sequence[Frame]:
    """What may be given to the voice in place of a frame.

    Speech that somebody else has made may not, as no guard can read it.
    """
    if isinstance(frame, SPEECH) and direction is FrameDirection.DOWNSTREAM:
        logger.error(f"{type(frame).__name__} was given to the voice, and no guard can read it: give it text")
        return ()
    if not to_be_said(frame) or is_cleared(frame):
        return (frame,)
    text = await guarding.speak(frame.text)
    decisions = guarding.said.take()
    reports = guarding.reports(decisions, "said", guarding.said.failure if decisions else None)
    said = [with_text(frame, text)] if text.strip() else []
    return (*said, *reports, *filter(None, map(consequence, decisions)))


def trust(guard: FrameProcessor) -> None:
    """Take what a guard of somebody else's lets through for cleared.

    Args:
        guard: Its processor; changed in place.
    """
    service: Any = guard
    push = service.push_frame

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if direction is FrameDirection.DOWNSTREAM and to_be_said(frame):
            clear(frame)
        await push(frame, direction)

    service.push_frame = push_frame


def kept(voice: FrameProcessor) -> bool:
    """Whether a voice says cleared text only."""
    return voice in _kept
