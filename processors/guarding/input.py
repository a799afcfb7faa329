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

    A guess that the turn is over may be confirmed in the moment in which it is refused, and then nothing more comes of
    the turn but its words. So a turn whose guess was kept from the model is asked about, or refused, when its words
    come; if it is asked about by others as well, that is let pass.

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
        self._guess: str | None = None  # the words that the model answers ahead of the end of the turn
        self._kept = False  # whether a guess was kept from the model, and not withdrawn since
        self._answered: object = None  # the context's last message when the guard had a turn answered by itself
        # Frames of the system overtake guesses: the numbers of the last that withdrew one, and that ended a turn.
        self._withdrawn = self._over = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EagerEndOfTurnCancelFrame):
            self._cancelled(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._over = frame.id
            if self._guess is not None:
                # It was right, and its answer is let go by this frame.
                self._guarding.said.heard(self._guess)
                self._guess = None
            await self.push_frame(frame)
        elif isinstance(frame, UserTurnSoFarFrame):
            if self._admission.silent(frame.text):
                await self.push_frame(frame)
        elif isinstance(frame, LLMContextUserTurnFrame):
            await self._said(frame)
        elif isinstance(frame, LLMContextFrame):
            await (self._guessed(frame) if frame.speculation else self._asked(frame))
        else:
            await self.push_frame(frame)

    def _cancelled(self, frame: EagerEndOfTurnCancelFrame, direction: FrameDirection) -> None:
        if direction is FrameDirection.DOWNSTREAM:
            self._withdrawn = frame.id
            self._kept = False
        elif self._guess is not None:
            # The model gives it up, as when it wants a tool.
            self._kept = True
        self._guess = None

    async def _take(self, context: LLMContext | None) -> Admitted:
        """Clean what the conversation remembers, or another context of it."""
        admitted = self._admission.clean(context)
        await self._report(admitted)
        return admitted

    async def _report(self, admitted: Admitted) -> None:
        for report in self._guarding.reports(admitted.decisions, "heard", admitted.failure):
            await self.push_frame(report)

    async def _said(self, frame: LLMContextUserTurnFrame) -> None:
        """A turn is over. If it was guessed at, this may be all that comes of it now."""
        self._turn, self._answered = await self._take(None), None
        kept, self._kept = self._kept, False
        await self.push_frame(frame)
        if kept:
            context = self._admission.live
            await self._asked(LLMContextFrame(context))
            self._answered = _last(context)

    async def _guessed(self, frame: LLMContextFrame) -> None:
        """The turn may be over."""
        if self._late(frame):
            return
        self._guess = None
        await self._begin(frame.context)
        admitted = self._admission.clean(frame.context)
        decision = (await self._judged(admitted, frame.context)).decision
        if self._late(frame):
            return
        if decision is None:
            self._guess = admitted.said
            await self.push_frame(frame)
        else:
            # What is refused is told when the turn is over.
            self._kept = True
            await self.broadcast_frame(EagerEndOfTurnCancelFrame)

    def _late(self, guess: LLMContextFrame) -> bool:
        """Whether it is too late to guess. If the turn is over, what follows is its words, and they are asked about."""
        if guess.id < self._withdrawn:
            return True
        self._kept = guess.id < self._over
        return self._kept

    async def _asked(self, frame: LLMContextFrame) -> None:
        answered, self._answered = self._answered, None
        if answered is not None and _last(frame.context) is answered:
            return
        await self._begin(frame.context)
        admitted = await self._take(frame.context)
        admitted, self._turn = self._turn or admitted, None
        self._guess = None
        self._guarding.said.heard(admitted.said)
        verdict = await self._judged(admitted, frame.context)
        if verdict.decision is None:
            await self.push_frame(frame)
            return
        if admitted.decision is None:
            await self._report(Admitted(decisions=(verdict.decision,), failure=verdict.failure))
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(RefusedFrame(verdict.decision))
        await self.push_frame(LLMFullResponseEndFrame())

    async def _begin(self, context: LLMContext) -> None:
        """Something new is asked."""
        await self._guarding.settle()
        self._gate.heard(context)

    async def _judged(self, admitted: Admitted, context: LLMContext) -> Verdict:
        """What becomes of the caller's words, as far as the model's answer to them cannot wait for it."""
        self._guarding.verdict = None
        if admitted.decision is not None or not admitted.said or not self._admission.judges:
            return Verdict(admitted.decision)
        judging = self._admission.judge(admitted)
        if not (is_given(context.tools) and context.tools):
            self._guarding.verdict = judging
            return Verdict()
        verdict: Verdict = await asyncio.shield(judging)
        self._admission.clean(context)
        return verdict


def _last(context: LLMContext) -> object:
    return context.messages[-1] if context.messages else None
