"""The input guard: what a caller says is held to the policy before the language model is asked."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, is_given
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.admission import Admission, Admitted
from processors.guarding.frames import RefusedFrame
from processors.guarding.guarding import Guarding, Verdict
from processors.guarding.tools import ToolGate
from processors.turns.frames import UserTurnSoFarFrame


class InputGuard(FrameProcessor):
    """Keeps from the language model what the policy forbids to hear.

    Rules that can be decided at once are, before it is asked. What takes a classifier is judged in a thread: before the
    model is asked if it has tools, as those act; otherwise while it writes, and the answer waits for the verdict.

    The caller's own words are changed in the context alone: frames that tell of them, to clients and traces, hold what
    was said.

    Args:
        guarding: The conversation's.
        admission: What the caller's words are held to.
        gate: Waits for a caller's yes.
    """

    def __init__(self, guarding: Guarding, admission: Admission, gate: ToolGate) -> None:
        super().__init__()
        self._guarding = guarding
        self._admission = admission
        self._gate = gate
        self._turn: Admitted | None = None
        self._guess: str | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EagerEndOfTurnCancelFrame):
            self._guess = None
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, UserStoppedSpeakingFrame):
            if self._guess is not None:
                # It was right, and its answer is let go by this frame.
                self._guarding.said.heard(self._guess)
                self._guess = None
            await self.push_frame(frame)
        elif isinstance(frame, UserTurnSoFarFrame):
            if self._admission.silent(frame.text):
                await self.push_frame(frame)
        elif isinstance(frame, LLMContextUserTurnFrame):
            # The answer may have been begun before the turn was over, from a copy of the context: then this is all
            # that comes of it now.
            self._turn = await self._take(None)
            await self.push_frame(frame)
        elif isinstance(frame, LLMContextFrame):
            await self._asked(frame)
        else:
            await self.push_frame(frame)

    async def _take(self, context: LLMContext | None) -> Admitted:
        """Clean what the conversation remembers, or another context of it."""
        admitted = self._admission.clean(context)
        await self._report(admitted)
        return admitted

    async def _report(self, admitted: Admitted) -> None:
        for report in self._guarding.reports(admitted.decisions, "heard", admitted.failure):
            await self.push_frame(report)

    async def _asked(self, frame: LLMContextFrame) -> None:
        await self._guarding.settle()
        self._gate.heard(frame.context)
        if frame.speculation:
            admitted = self._admission.clean(frame.context)
            self._guess = admitted.said
        else:
            admitted = await self._take(frame.context)
            admitted, self._turn = self._turn or admitted, None
            self._guess = None
            self._guarding.said.heard(admitted.said)
        decision = admitted.decision
        self._guarding.verdict = None
        if decision is None and admitted.said and self._admission.judges:
            judging = self._admission.judge(admitted)
            tools = frame.context.tools
            if is_given(tools) and tools:
                verdict: Verdict = await asyncio.shield(judging)
                decision = verdict.decision
                self._admission.clean(frame.context)
                if decision is not None and not frame.speculation:
                    await self._report(Admitted(decisions=(decision,), failure=verdict.failure))
            else:
                self._guarding.verdict = judging
        if decision is None:
            await self.push_frame(frame)
        elif frame.speculation:
            # It is asked again when the turn is over, and told then.
            await self.broadcast_frame(EagerEndOfTurnCancelFrame)
        else:
            await self.push_frame(LLMFullResponseStartFrame())
            await self.push_frame(RefusedFrame(decision))
            await self.push_frame(LLMFullResponseEndFrame())
