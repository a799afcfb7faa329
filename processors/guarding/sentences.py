"""Cleared text in speakable pieces."""

from __future__ import annotations

from pipecat.frames.frames import AggregatedTextFrame, Frame, LLMFullResponseStartFrame, LLMTextFrame
from pipecat.processors.aggregators.llm_text_processor import LLMTextProcessor
from pipecat.processors.frame_processor import FrameDirection

from processors.guarding.frames import clear, is_cleared
from processors.speaking.clauses import ClauseAggregator


class Sentences(LLMTextProcessor):
    """Pieces of cleared text are cleared. Those of an answer in which any text was not, are not, and what only passes
    stays what it is."""

    def __init__(self) -> None:
        super().__init__(text_aggregator=ClauseAggregator())
        self._cleared = True
        self._passing: Frame | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, AggregatedTextFrame):
            self._passing = frame
        if isinstance(frame, LLMFullResponseStartFrame):
            self._cleared = True
        elif isinstance(frame, LLMTextFrame):
            self._cleared = self._cleared and is_cleared(frame)
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, AggregatedTextFrame) and frame is not self._passing and self._cleared:
            clear(frame)
        await super().push_frame(frame, direction)
