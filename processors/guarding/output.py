"""The output guard: what is written becomes what may be said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields
from typing import TypeVar

from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails import Decision
from guardrails.stream import STOPS
from processors.guarding.admission import WITHHELD, Admission
from processors.guarding.frames import (
    GenerationStoppedFrame,
    HandOverFrame,
    RefusedFrame,
    UnclearedTextFrame,
    clear,
    is_cleared,
)
from processors.guarding.guarding import Guarding
from processors.guarding.marks import Marks
from processors.speaking.delivery import Delivery
from processors.speaking.frames import DeliveryTagFrame

KEPT = frozenset(
    ("append_to_context", "includes_inter_frame_spaces", "interruptible", "pts", "skip_tts", "transport_destination")
)
"""What a frame with another text has of the one whose place it takes."""

Spoken = TypeVar("Spoken", bound=TTSSpeakFrame | TextFrame)


class OutputGuard(FrameProcessor):
    """Lets out of an answer what the policy allows, token by token, and of words by themselves as well.

    What a model's tags say of its text stays with that text, and goes with what is not said. What is said in place of
    an answer is said as if there were no tags.

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
        self._append_to_context = True
        self._after: list[Frame] = []
        self._marks = Marks[DeliveryTagFrame]()
        self._marked = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._answering = False
            self._marks = Marks()
            self._guarding.interrupted()
            await self.push_frame(frame, direction)
            # Whoever talks over a goodbye is not spared what it was said for.
            await self._follow()
        elif direction is FrameDirection.UPSTREAM:
            await self._upstream(frame)
        elif isinstance(frame, LLMFullResponseStartFrame):
            await self._begin()
            await self.push_frame(frame)
        elif isinstance(frame, (UnclearedTextFrame, LLMTextFrame)):
            await self._text(frame)
        elif isinstance(frame, DeliveryTagFrame):
            await self._mark(frame)
        elif isinstance(frame, RefusedFrame):
            await self._refused(frame.decision)
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self._end(frame)
        elif isinstance(frame, (TTSSpeakFrame, AggregatedTextFrame)) and not is_cleared(frame):
            await self._speak(frame)
        else:
            await self.push_frame(frame)

    async def _upstream(self, frame: Frame) -> None:
        """What comes from behind on its way to the language model, which may read the whole conversation then."""
        if isinstance(frame, LLMContextAssistantTurnFrame):
            self._admission.clean()
        elif isinstance(frame, LLMContextFrame):
            admitted = self._admission.clean(frame.context)
            for report in self._guarding.reports(admitted.decisions, "heard", admitted.failure):
                await self.push_frame(report)
            if admitted.decision is not None:
                await self.push_frame(LLMFullResponseStartFrame())
                await self._refused(admitted.decision)
                await self._end(LLMFullResponseEndFrame())
                return
        await self.push_frame(frame, FrameDirection.UPSTREAM)

    async def _begin(self) -> None:
        if not self._answering:
            self._answering = True
            self._marks, self._marked = Marks(), False
            await self._guarding.settle()

    async def _mark(self, frame: DeliveryTagFrame) -> None:
        await self._begin()
        if not self._guarding.said.stopped:
            self._marked = True
            self._marks.put(frame)
            await self._say("", ())

    async def _refused(self, decision: Decision) -> None:
        """Say why there is no answer, or no more of one. It has been reported as a decision on what was heard."""
        await self._begin()
        text = await self._guarding.refuse(decision)
        decisions = self._guarding.said.take()
        self._consequences(decisions)
        await self._say(text, decisions)

    async def _text(self, frame: UnclearedTextFrame | LLMTextFrame) -> None:
        await self._begin()
        self._skip_tts, self._append_to_context = frame.skip_tts, frame.append_to_context
        if await self._admitted():
            stopped = self._guarding.said.stopped
            self._marks.feed(frame.text)
            said = await self._guarding.feed(frame.text)
            await self._say(said, await self._report())
            if self._guarding.said.stopped and not stopped:
                await self.push_frame(GenerationStoppedFrame(), FrameDirection.UPSTREAM)

    async def _admitted(self) -> bool:
        """Whether what the caller said may be answered. Where it may not, they are told, and nothing else."""
        judging = self._guarding.verdict
        if judging is None:
            return True
        verdict = await asyncio.shield(judging)
        decision = verdict.decision
        if self._guarding.verdict is judging:
            self._guarding.verdict = None
            if decision is not None:
                # What has been withheld by now was reported when it was.
                if self._admission.clean().said != WITHHELD:
                    for report in self._guarding.reports([decision], "heard", verdict.failure):
                        await self.push_frame(report)
                await self._refused(decision)
                await self.push_frame(GenerationStoppedFrame(), FrameDirection.UPSTREAM)
        return decision is None

    async def _end(self, frame: LLMFullResponseEndFrame) -> None:
        if self._answering:
            await self._admitted()
            said = await self._guarding.finish()
            await self._say(said, await self._report())
            self._answering = False
        await self.push_frame(frame)
        await self._follow()

    async def _follow(self) -> None:
        after, self._after = self._after, []
        for frame in after:
            await self.push_frame(frame)

    async def _say(self, text: str, decisions: Sequence[Decision]) -> None:
        """Push what may be said, with what tags say of it.

        Args:
            text: What may be said.
            decisions: What has been decided on it.
        """
        stop = next((decision for decision in decisions if decision.action in STOPS), None)
        parts: list[str | DeliveryTagFrame] = [text]
        if stop is None:
            parts = self._marks.placed(text, self._guarding.said.held)
        elif self._marked:
            parts = self._marks.broken_off(text, stop.text, DeliveryTagFrame(Delivery()))
        for part in parts:
            if isinstance(part, DeliveryTagFrame):
                await self.push_frame(part)
            elif part:
                await self.push_frame(self._cleared(part))

    def _cleared(self, text: str) -> LLMTextFrame:
        cleared = LLMTextFrame(text)
        cleared.skip_tts = self._skip_tts
        cleared.append_to_context = self._append_to_context
        clear(cleared)
        return cleared

    async def _speak(self, frame: TTSSpeakFrame | AggregatedTextFrame) -> None:
        text = await self._guarding.speak(frame.text)
        await self._report()
        if text.strip():
            await self.push_frame(with_text(frame, text))
        if not self._answering:
            await self._follow()

    async def _report(self) -> list[Decision]:
        """Make known what has been decided."""
        said = self._guarding.said
        decisions = said.take()
        for report in self._guarding.reports(decisions, "said", said.failure if decisions else None):
            await self.push_frame(report)
        self._consequences(decisions)
        return decisions

    def _consequences(self, decisions: Sequence[Decision]) -> None:
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
