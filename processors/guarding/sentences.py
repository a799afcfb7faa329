"""Cleared text in speakable pieces."""

from __future__ import annotations

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_text_processor import LLMTextProcessor
from pipecat.processors.frame_processor import FrameDirection

from processors.guarding.frames import clear, is_cleared
from processors.speaking.clauses import ClauseAggregator
from processors.speaking.frames import DeliveryTagFrame


class Sentences(LLMTextProcessor):
    """Pieces of cleared text are cleared. Those of an answer in which any text was not, are not, and what only passes
    stays what it is. What a tag says of the text goes between two pieces: before the text that it is for if a clause
    begins there, and else before the next that does."""

    def __init__(self) -> None:
        self._clauses = ClauseAggregator()
        super().__init__(text_aggregator=self._clauses)
        self._cleared = True
        self._passing: Frame | None = None
        self._waiting: list[DeliveryTagFrame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, AggregatedTextFrame):
            self._passing = frame
        if isinstance(frame, LLMFullResponseStartFrame):
            self._cleared = True
        elif isinstance(frame, LLMTextFrame):
            self._cleared = self._cleared and is_cleared(frame)
        if isinstance(frame, InterruptionFrame):
            self._waiting.clear()
        if isinstance(frame, DeliveryTagFrame):
            await super(LLMTextProcessor, self).process_frame(frame, direction)
            await self._turn(frame)
        else:
            await super().process_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame):
            self._waiting.clear()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        ours = isinstance(frame, AggregatedTextFrame) and frame is not self._passing
        if ours and self._cleared:
            clear(frame)
        await super().push_frame(frame, direction)
        if ours:
            await self._follow()

    async def _turn(self, frame: DeliveryTagFrame) -> None:
        self._waiting.append(frame)
        async for piece in self._clauses.turn():
            text = await self._aggregated_text_frame(piece)
            if text is not None:
                text.append_to_context, text.skip_tts = True, self._skip_tts
                await self.push_frame(text)
        if not self._clauses.text.text:
            await self._follow()

    async def _follow(self) -> None:
        """Whatever stands in the text that was held goes on behind the piece that ends there."""
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            await self.push_frame(frame)
