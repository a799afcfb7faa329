"""A voice behind a model that speaks itself: what either says keeps its place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pipecat.audio.utils import is_silence
from pipecat.frames.frames import (
    DataFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.fused.pacing import Lead
from processors.guarding.frames import clear, is_cleared, to_be_said

LATE_SECS = 0.3
"""By how much speech that never ends may be late before its silences are left out."""


BEHIND_SECS = 0.1
"""So much after its speech begins is a voice's word told if it is behind speech of the model's: the model's own words
are told when what came before them has been played, which a loudspeaker's buffers put off by some 40 ms."""


@dataclass
class _Carried(DataFrame):
    """Something of the model's on its way past the voice. To a voice it is no text, speech or answer of its own, and so
    comes out where it stood among what the voice says."""

    frame: Frame


OWN = (
    LLMFullResponseStartFrame,
    LLMFullResponseEndFrame,
    OutputAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
"""What an answer that a model speaks itself consists of."""


def let_pass(speaker: FrameProcessor) -> None:
    """Have what a model says itself, where there is no gate, or what a gate of somebody else's lets out, pass a voice
    `beside` it.

    Args:
        speaker: The model's service, or the gate; changed in place.
    """
    service: Any = speaker
    push = service.push_frame

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, LLMTextFrame):
            return  # the words of a `TTSTextFrame` once more, which a voice would read out
        if isinstance(frame, OWN) and direction is FrameDirection.DOWNSTREAM:
            clear(frame)
        await push(frame, direction)

    service.push_frame = push_frame


def beside(voice: FrameProcessor) -> None:
    """Have a voice let a model's own answers, as the audio gate lets them out, pass in their order.

    A voice gives its words the times at which they are heard if it is heard at once. Behind speech of the model's that
    is still being played they are heard later by as much. And a model whose speech never ends is heard later by as much
    as was said in between, for the rest of the call, unless some of its silences are left out.

    Args:
        voice: The service; changed in place.
    """
    service: Any = voice
    process, push = service.process_frame, service.push_frame
    lead, late = Lead(), 0.0
    saying: str | None = None

    async def process_frame(frame: Frame, direction: FrameDirection) -> None:
        if direction is FrameDirection.DOWNSTREAM and is_cleared(frame) and not to_be_said(frame):
            frame = _Carried(frame)
        await process(frame, direction)

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        nonlocal lead, late, saying
        if isinstance(frame, _Carried):
            frame = frame.frame
            is_late = lead.secs(_now()) > LATE_SECS
            if is_late and isinstance(frame, SpeechOutputAudioRawFrame) and is_silence(frame.audio):
                return
        elif isinstance(frame, InterruptionFrame):
            lead, late = Lead(), 0.0
        else:
            if isinstance(frame, (TTSAudioRawFrame, TTSTextFrame)) and frame.context_id != saying:
                ahead = lead.secs(_now())
                saying, late = frame.context_id, ahead + BEHIND_SECS if ahead else 0.0
            if frame.pts:
                frame.pts += round(1e9 * late)
        if isinstance(frame, OutputAudioRawFrame):
            lead.add(frame.num_frames / frame.sample_rate, _now())
        await push(frame, direction)

    service.process_frame = process_frame
    service.push_frame = push_frame


def _now() -> float:
    return asyncio.get_running_loop().time()
