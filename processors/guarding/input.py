"""The input guard: what a caller says is held to the policy before the language model is asked."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.guarding.admission import Admission, Admitted
from processors.guarding.frames import UnclearedTextFrame
from processors.guarding.guarding import Guarding
from processors.guarding.tools import ToolGate
from processors.turns.frames import UserTurnSoFarFrame


class InputGuard(FrameProcessor):
    """Keeps from the language model what the policy forbids to hear.

    Rules that can be decided at once are, before it is asked. What takes a classifier is judged in a thread: before the
    model is asked if it has tools, as those act; otherwise while it writes, and the answer waits for the verdict.

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

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, UserTurnSoFarFrame) and direction is FrameDirection.DOWNSTREAM:
            admitted = self._admission.read(frame.text)
            if admitted.decision is None:
                same = admitted.text == frame.text
                await self.push_frame(frame if same else UserTurnSoFarFrame(text=admitted.text))
        elif isinstance(frame, LLMContextFrame) and direction is FrameDirection.DOWNSTREAM:
            await self._asked(frame)
        else:
            await self.push_frame(frame, direction)

    async def _asked(self, frame: LLMContextFrame) -> None:
        admitted = self._admission.clean(frame.context)
        self._gate.heard(frame.context)
        if not frame.speculation:
            for report in self._guarding.reports(admitted.decisions, "heard", admitted.failure):
                await self.push_frame(report)
        self._guarding.said.heard(admitted.said)
        self._guarding.verdict = None
        if admitted.decision is None and self._admission.judges:
            judging = asyncio.ensure_future(asyncio.to_thread(self._admission.judge, admitted.said))
            if frame.context.tools or frame.speculation:
                verdict = await judging
                admitted = Admitted(admitted.text, admitted.said, admitted.decisions, verdict)
            else:
                self._guarding.verdict = judging
        if admitted.decision is None:
            await self.push_frame(frame)
        elif frame.speculation:
            # It is asked again when the turn is over, and told then.
            await self.broadcast_frame(EagerEndOfTurnCancelFrame)
        else:
            await self._refuse(admitted)

    async def _refuse(self, admitted: Admitted) -> None:
        verdict: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        verdict.set_result(admitted.decision)
        self._guarding.verdict = verdict  # type: ignore[assignment]
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(UnclearedTextFrame(""))
        await self.push_frame(LLMFullResponseEndFrame())
