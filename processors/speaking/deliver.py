"""The stage DELIVERY: the voice is told how to say a piece of text right before the piece, and only then."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipecat.frames.frames import Frame, InterruptionFrame, TTSUpdateSettingsFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.frames import to_be_said
from processors.hearing.cues import Cue
from processors.hearing.frames import CueFrame
from processors.speaking.delivery import Delivery
from processors.speaking.director import Director
from processors.speaking.frames import DeliveryFrame, SpeakerFrame
from processors.speaking.lowering import fitted, lower


class Deliver(FrameProcessor):
    """Has everything that answers a turn said as the director says, from the turn's cue on until the next.

    Args:
        director: Decides how.
        voice: Gives the voice's settings as the persona has them. Asked for once, before the first text.
    """

    def __init__(self, director: Director, voice: Callable[[], Any]) -> None:
        super().__init__()
        self._director = director
        self._voice = voice
        self._own: Any = None
        self._cue: Cue | None = None
        self._direction = director.direct(None)
        self._told: Any = None
        self._noted: DeliveryFrame | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, CueFrame):
                self._cue = frame.cue
                self._direction = self._director.direct(frame.cue)
            elif isinstance(frame, SpeakerFrame):
                self._director, self._own = frame.director, frame.voice or self._own
                self._direction = self._director.direct(self._cue)
                self._told = self._noted = None
            elif isinstance(frame, InterruptionFrame):
                # What was on its way to the voice may have been dropped.
                self._told = self._noted = None
            elif to_be_said(frame):
                await self._note(self._direction.delivery, self._direction.rule)
                await self._tell(frame.text)
        await self.push_frame(frame, direction)

    async def _note(self, delivery: Delivery, rule: str) -> None:
        """Have it known how what follows is said, once an answer and where that changes."""
        # No guard has read the words that are to stand out.
        how = replace(delivery, emphasis=())
        if self._noted is None or (self._noted.delivery, self._noted.rule) != (how, rule):
            self._noted = DeliveryFrame(how, rule)
            await self.push_frame(self._noted)

    async def _tell(self, text: str) -> None:
        if self._own is None:
            self._own = copy.deepcopy(self._voice())
            self._told = lower(Delivery(), self._own)
        settings = lower(fitted(self._direction.delivery, text), self._own)
        if settings is not None and settings != self._told:
            self._told = settings
            await self.push_frame(TTSUpdateSettingsFrame(delta=settings))
