"""The output guard: what is written becomes what may be said."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeVar

from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails import Decision
from processors.guarding.admission import Admission
from processors.guarding.frames import GenerationStoppedFrame, HandOverFrame, UnclearedTextFrame, clear, is_cleared
from processors.guarding.guarding import Guarding

KEPT = frozenset(
    ("append_to_context", "includes_inter_frame_spaces", "interruptible", "pts", "skip_tts", "transport_destination")
)
"""What a frame with another text has of the one whose place it takes."""

Spoken = TypeVar("Spoken", bound=TTSSpeakFrame | TextFrame)


class OutputGuard(FrameProcessor):
    """Lets out of an answer what the policy allows, token by token, and of words by themselves as well.

    Args:
        guarding: The conversation's.
        admission: Cleans the context of what the caller said before the language model prepares for the next turn.
    """

    def __init__(self, guarding: Guarding, admission: Admission) -> None:
        super().__init__()
        self._guarding = guarding
        self._admission = admission
        self._answering = False
        self._skip_tts: bool | None = None
        self._after: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._answering = False
            self._after.clear()
            self._guarding.interrupted()
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.UPSTREAM:
            if isinstance(frame, LLMContextAssistantTurnFrame):
                # On its way to the language model, which may read the whole conversation now.
                self._admission.clean(self.pipeline_worker.app_resources.context)
            await self.push_frame(frame, direction)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._begin()
            await self.push_frame(frame)
        elif isinstance(frame, (UnclearedTextFrame, LLMTextFrame)):
            await self._text(frame)
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self._end(frame)
        elif isinstance(frame, (TTSSpeakFrame, AggregatedTextFrame)) and not is_cleared(frame):
            await self._speak(frame)
        else:
            await self.push_frame(frame)

    def _begin(self) -> None:
        if not self._answering:
            self._answering = True
            self._guarding.begin()

    async def _text(self, frame: UnclearedTextFrame | LLMTextFrame) -> None:
        self._begin()
        self._skip_tts = frame.skip_tts
        if await self._admitted():
            stopped = self._guarding.said.stopped
            await self._say(self._guarding.said.feed(frame.text))
            if self._guarding.said.stopped and not stopped:
                await self.push_frame(GenerationStoppedFrame(), FrameDirection.UPSTREAM)

    async def _admitted(self) -> bool:
        """Whether what the caller said may be answered. Where it may not, they are told, and nothing else."""
        verdict = self._guarding.verdict
        if verdict is None:
            return True
        decision = await verdict
        if self._guarding.verdict is verdict:
            self._guarding.verdict = None
            if decision is not None:
                await self._say(self._guarding.said.refuse(decision))
                await self.push_frame(GenerationStoppedFrame(), FrameDirection.UPSTREAM)
        return decision is None

    async def _end(self, frame: LLMFullResponseEndFrame) -> None:
        if self._answering:
            self._answering = False
            await self._admitted()
            await self._say(self._guarding.said.finish())
        await self.push_frame(frame)
        for after in self._after:
            await self.push_frame(after)
        self._after.clear()

    async def _say(self, text: str) -> None:
        await self._report()
        if text:
            cleared = LLMTextFrame(text)
            cleared.skip_tts = self._skip_tts
            clear(cleared)
            await self.push_frame(cleared)

    async def _speak(self, frame: TTSSpeakFrame | AggregatedTextFrame) -> None:
        text = self._guarding.speak(frame.text)
        await self._report()
        if text.strip():
            await self.push_frame(with_text(frame, text))
        if not self._answering:
            for after in self._after:
                await self.push_frame(after)
            self._after.clear()

    async def _report(self) -> None:
        said = self._guarding.said
        decisions = said.take()
        for report in self._guarding.reports(decisions, "said", said.failure if decisions else None):
            await self.push_frame(report)
        self._after += [after for decision in decisions if (after := consequence(decision))]


def with_text(frame: Spoken, text: str) -> Spoken:
    """A cleared frame like another, with another text."""
    given = {each.name: getattr(frame, each.name) for each in fields(frame) if each.init}
    cleared = type(frame)(**given | {"text": text})
    for name in KEPT & vars(frame).keys():
        setattr(cleared, name, getattr(frame, name))
    if isinstance(cleared, AggregatedTextFrame) and cleared.raw_text is not None:
        cleared.raw_text = text
    clear(cleared)
    return cleared


def consequence(decision: Decision) -> Frame | None:
    """What happens behind the words that a decision has had said."""
    if decision.action == "hand_over":
        return HandOverFrame(rule=decision.rule)
    if decision.action == "end_call":
        return EndWorkerFrame(reason=f"rule {decision.rule}")
    return None
