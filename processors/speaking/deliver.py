"""The stage DELIVERY: the voice is told how to say a piece of text before the piece, and after all before it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.frames import to_be_said
from processors.hearing.cues import Cue
from processors.hearing.frames import CueFrame
from processors.speaking.delivery import Delivery
from processors.speaking.director import Director
from processors.speaking.frames import DeliveryFrame, DeliveryTagFrame, SpeakerFrame
from processors.speaking.lowering import fitted, lower


class Deliver(FrameProcessor):
    """Has what a language model writes said as its tags say, within the persona's range, and everything else that
    answers a turn as the director says, from the turn's cue on until the next.

    The voice is told as soon as that can be guessed, which is before the piece is complete: when an answer begins, by
    the cue, and where a tag stands. It is told anew before the piece if that was wrong.

    A tag's pause is left out: no voice here has a control for silence at one place.

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
        self._tag = Delivery()
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
            elif isinstance(frame, DeliveryTagFrame):
                if isinstance(frame.says, Delivery):
                    self._tag = frame.says
                    await self._tell(self._chosen())
                return
            elif isinstance(frame, InterruptionFrame):
                # What was on its way to the voice may have been dropped.
                self._tag, self._told, self._noted = Delivery(), None, None
            elif isinstance(frame, LLMFullResponseStartFrame):
                self._tag = Delivery()
                await self._tell(self._chosen())
            elif to_be_said(frame):
                own_words = isinstance(frame, TTSSpeakFrame)
                delivery = self._direction.delivery if own_words else self._chosen()
                await self._note(delivery, self._direction.rule if own_words or self._tag.plain else "")
                await self._tell(delivery, frame.text)
        await self.push_frame(frame, direction)

    def _chosen(self) -> Delivery:
        """How the answer is to be said."""
        return self._direction.delivery if self._tag.plain else self._director.hold(self._tag)

    async def _note(self, delivery: Delivery, rule: str) -> None:
        """Have it known how what follows is said, once an answer and where that changes."""
        # No guard has read the words that are to stand out.
        how = replace(delivery, emphasis=())
        if self._noted is None or (self._noted.delivery, self._noted.rule) != (how, rule):
            self._noted = DeliveryFrame(how, rule)
            await self.push_frame(self._noted)

    async def _tell(self, delivery: Delivery, text: str = "") -> None:
        """Tell the voice, if that is anything new to it.

        Args:
            delivery: How to say what follows.
            text: That, as far as it is known.
        """
        if self._own is None:
            self._own = copy.deepcopy(self._voice())
            self._told = lower(Delivery(), self._own)
        settings = lower(fitted(delivery, text), self._own)
        if settings is not None and settings != self._told:
            self._told = settings
            await self.push_frame(TTSUpdateSettingsFrame(delta=settings))
