"""The stage TAGS: how the language model wants to be spoken is taken out of what it writes.

It stands before the output guard: a tag that were taken out behind it could join what the guard saw apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.frames import UnclearedTextFrame
from processors.speaking.frames import DeliveryTagFrame
from processors.speaking.tags import Piece, Tags


class Tagging(FrameProcessor):
    """Passes text on without tags, and what they say as `DeliveryTagFrame`, each right before the text it is for.

    Text is kept back only while it may yet turn out to be a tag; each answer begins without those of the one before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tags = Tags()
        self._last: UnclearedTextFrame | LLMTextFrame | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, UnclearedTextFrame | LLMTextFrame):
                self._last = frame
                await self._give(self._tags.feed(frame.text))
                return
            if isinstance(frame, InterruptionFrame | LLMFullResponseStartFrame):
                self._tags, self._last = Tags(), None
            elif isinstance(frame, LLMFullResponseEndFrame):
                await self._give(self._tags.finish())
        await self.push_frame(frame, direction)

    async def _give(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if not isinstance(piece, str):
                await self.push_frame(DeliveryTagFrame(piece))
            elif self._last is not None:
                await self.push_frame(_like(self._last, piece))


def _like(frame: UnclearedTextFrame | LLMTextFrame, text: str) -> Frame:
    """A frame like another, with another text."""
    if frame.text == text:
        return frame
    if isinstance(frame, UnclearedTextFrame):
        return UnclearedTextFrame(text, frame.skip_tts, frame.append_to_context)
    like = LLMTextFrame(text)
    like.skip_tts, like.append_to_context = frame.skip_tts, frame.append_to_context
    return like
