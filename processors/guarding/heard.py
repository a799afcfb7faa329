"""The stage HEARD_GUARD: what a model hears itself is held to the policy, by the words that it tells of it.

A model that hears the caller needs no transcript, so that no guard can stand between one and the model. Its own
transcript comes back from it, and when that is depends on who makes it:

- A chat model that takes sound writes it before the answer, in the same stream; Ultravox tells it before it answers.
- OpenAI Realtime has another model write it, and promises no order: it comes before, within or behind the answer.
- OpenAI Live tells it word by word, and while the model may be answering already. Moshi tells nothing.

So where a model answers turn by turn, its answer is held until the words have been cleared, and its tools wait as well.
That costs nothing where the words come first, and of OpenAI Realtime only what its transcript is later than its answer,
which a caller who could not be held to the policy would save. Beyond `HOLD_SECS` it fails closed: words that have not
come by then are taken for forbidden. Words that come in pieces, and later than an answer that was let out, are still
held to the policy, only late: the answer is cut off where it is.

Where a model listens while it speaks nothing can be held, as it never stops. There all is late: what it has said by the
time at which the words are known has been said. Either way what may not be heard is answered by the policy's words, in
the persona's voice, and the model is not heard again before the caller next speaks.

The model has heard all of it. What it is to remember afterwards is what the context holds, which is the words that were
cleared: chat models are given nothing else, and OpenAI Realtime is made to put it in the place of the sound. Ultravox
is left for another call when a turn is refused; what a rule redacts stays with it for the rest of the call, and so does
everything with OpenAI Live.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from pipecat.frames.frames import (
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails import Decision
from guardrails.stream import GUARD
from processors.guarding.admission import WITHHELD, Admission, Admitted
from processors.guarding.frames import EARLIER, UnclearedTextFrame, clear
from processors.guarding.guarding import Guarding
from processors.guarding.output import consequence

HOLD_SECS = 2.0
"""How long an answer, or a tool, waits for the words that it answers, as long as a classifier may take for them."""

MISSING = "TranscriptMissing"
"""What has gone wrong if they do not come."""

SAYS = (LLMTextFrame, UnclearedTextFrame, TTSTextFrame, OutputAudioRawFrame)
"""What a model says."""

ANSWER = (*SAYS, LLMFullResponseStartFrame, LLMFullResponseEndFrame, TTSStartedFrame, TTSStoppedFrame)
"""What its answers consist of."""


class HeardGuard(FrameProcessor):
    """Stands before a model that hears, and at its mouth.

    What the model tells of the caller's words leaves it as far as the policy lets them be known, so that context,
    clients and traces hold that. Words that are not certain yet are looked at and told to nobody. If the policy has no
    rules for what is heard, nothing is changed.

    Args:
        guarding: The conversation's.
        admission: What the caller's words are held to.
    """

    def __init__(self, guarding: Guarding, admission: Admission) -> None:
        super().__init__()
        self._guarding = guarding
        self._admission = admission
        self._writer: Any = None
        self._push: Any = None
        self._late = False
        self._stop: Frame | None = None
        self._emitting = False
        # The caller's turn: what they have said in it as the model told it, and what of it was told on.
        self._said = self._told = self._so_far = ""
        self._turn_open = False
        self._owed = False  # whether they spoke since the model last told what they said
        self._complete = False  # whether all of it has been told, where turns are the model's to tell
        self._decision: tuple[Decision, str | None] | None = None  # to be acted on when the turn is over
        # The model's answer to it.
        self._held: deque[Frame] = deque()
        self._holding = self._muted = self._out = False
        self._waiting: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def overhear(self, writer: FrameProcessor, *, late: bool) -> None:
        """Let nothing of the caller's words out of a model but what may be known, nor of its answers to others.

        Args:
            writer: Its service, of whatever vendor; changed in place.
            late: Whether it never stops, so that its answers cannot be held.
        """
        if not self._admission.watches:
            return
        service: Any = writer
        self._writer, self._push, self._late = service, service.push_frame, late
        self._guarding.cleared = self.cleared

        async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
            if direction is FrameDirection.DOWNSTREAM and isinstance(frame, ANSWER):
                await self._answers(frame)
            elif isinstance(frame, InterimTranscriptionFrame):
                self._begins_to_tell(frame.text)
            elif isinstance(frame, TranscriptionFrame):
                await self._tells(frame, direction)
            elif frame is not self._stop:
                await self._push(frame, direction)

        service.push_frame = push_frame
        if hasattr(service, "_emit_user_transcript"):
            emit = service._emit_user_transcript

            async def emit_user_transcript(transcript: str) -> None:
                # It looks for what it told in the context, to know what it has answered.
                self._emitting = True
                try:
                    await emit(await self._hear(transcript))
                finally:
                    self._emitting = False
                await self._go_on()

            service._emit_user_transcript = emit_user_transcript

    async def cleanup(self) -> None:
        await super().cleanup()
        self._stop_waiting()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM or self._writer is None:
            await self.push_frame(frame, direction)
        elif isinstance(frame, LLMContextUserTurnFrame):
            self._admission.clean()
            frame.text = self._read(frame.text).text
            await self.push_frame(frame)
        elif isinstance(frame, LLMContextFrame):
            await self._asked(frame)
        else:
            if isinstance(frame, (UserStartedSpeakingFrame, VADUserStartedSpeakingFrame)):
                self._speaks(begins=isinstance(frame, UserStartedSpeakingFrame))
            elif isinstance(frame, InterruptionFrame):
                self._held.clear()
            elif isinstance(frame, UserStoppedSpeakingFrame):
                self._is_done()
            await self.push_frame(frame)

    # What the caller says.

    def _speaks(self, *, begins: bool) -> None:
        self._owed = True
        if begins and not self._late:
            self._begin_anew()
            self._turn_open = True
        elif begins and self._complete:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """What is told from here is of another turn. Where turns are the model's to tell, its words may come before the
        frame that says so."""
        self._said = self._told = self._so_far = ""
        self._complete, self._decision = False, None
        self._held.clear()
        if self._late:
            self._muted = self._out = False

    def _is_done(self) -> None:
        """The caller's turn is over. What the model says from here answers it."""
        if self._late:
            return
        # What it knows of past turns is taken from the context now.
        self._admission.clean()
        self._turn_open = self._muted = self._out = False
        self._held.clear()
        self._stop_waiting()
        self._holding = self._owed
        if self._holding:
            self._waiting = asyncio.get_running_loop().create_future()
        if self._decision is not None:
            self._refuse(*self._decision)

    async def _asked(self, frame: LLMContextFrame) -> None:
        """Words that were written, or those of a turn as they are remembered."""
        admitted = self._admission.clean(frame.context)
        if admitted.decision is not None:
            self._refuse(admitted.decision, admitted.failure)
        elif not self._muted:
            await self.push_frame(frame)

    def _begins_to_tell(self, text: str) -> None:
        """Words that are not certain yet: some services tell what is new of them, and some all so far."""
        if self._late and self._complete:
            self._begin_anew()
        self._so_far = text if text.startswith(self._so_far) else self._so_far + text
        words, _, _ = self._so_far.rpartition(" ")
        failure: str | None = None
        try:
            decision = self._admission.stops(f"{self._said} {words}".strip())
        except Exception as error:
            decision, failure = self._fallback(), type(error).__name__
        if decision is not None:
            self._refuse(decision, failure)

    async def _tells(self, frame: TranscriptionFrame, direction: FrameDirection) -> None:
        if self._emitting:
            await self._push(frame, direction)
            return
        if EARLIER in frame.metadata:
            # What follows was answered by who had heard them, and its own words are yet to come.
            admitted = self._read(frame.text)
            frame.text, frame.result = admitted.text, None
            await self._push(frame, direction)
            if admitted.decision is not None:
                self._refuse(admitted.decision, admitted.failure)
            return
        told = await self._hear(frame.text)
        if told != frame.text:
            frame.text, frame.result = told, None
        await self._push(frame, direction)
        await self._go_on()

    async def _hear(self, text: str) -> str:
        """Hold words to the policy, with those of the same turn before them.

        Returns:
            What may be told of them.
        """
        self._so_far, self._owed, self._complete = "", False, True
        before = len(self._said)
        self._said = whole = f"{self._said} {text}".strip()
        admitted = self._read(whole)
        if admitted.decision is None and whole and self._admission.judges:
            verdict = await asyncio.shield(self._admission.judge(admitted))
            if verdict.decision is not None:
                admitted = Admitted(WITHHELD, whole, admitted.decisions, verdict.decision, verdict.failure)
        told = self._rest(admitted, before, text)
        self._told = f"{self._told} {told}".strip()
        if self._told != admitted.text:
            self._admission.stands_for(self._told, admitted.text)
        if admitted.decision is not None:
            self._refuse(admitted.decision, admitted.failure)
        else:
            await self._report([decision for decision in admitted.decisions if decision.end > before])
            self._guarding.said.heard(text)
        return told

    def _rest(self, admitted: Admitted, before: int, text: str) -> str:
        """What of a turn's words follows those that were told.

        Args:
            admitted: The words of the turn.
            before: How many characters of them came before.
            text: Those that came now.
        """
        if admitted.decision is not None:
            return WITHHELD
        if admitted.text.startswith(f"{self._told} ") or not self._told:
            return admitted.text.removeprefix(self._told).strip()
        # A match that began before: its text, and what follows it.
        straddling = next((each for each in admitted.decisions if each.start < before < each.end), None)
        if straddling is None:
            return self._read(text).text
        return f"{straddling.text} {self._read(admitted.said[straddling.end :]).text}".strip()

    def _read(self, text: str) -> Admitted:
        """As the admission does; what makes that fail is withheld."""
        try:
            return self._admission.read(text)
        except Exception as error:
            decision = self._fallback(len(text))
            return Admitted(WITHHELD, text, (decision,), decision, type(error).__name__)

    def _fallback(self, characters: int = 0) -> Decision:
        return Decision(GUARD, "refuse", self._guarding.policy.fallback, 0, characters)

    async def _report(self, decisions: list[Decision], failure: str | None = None) -> None:
        for report in self._guarding.reports(decisions, "heard", failure):
            await self.push_frame(report)

    # What the model answers.

    async def cleared(self) -> bool:
        """Whether what the caller has said last may be acted on, once that is known."""
        if self._holding and not self._muted and self._waiting is not None:
            self._wait_no_longer()
            await asyncio.shield(self._waiting)
        return not self._muted

    async def _answers(self, frame: Frame) -> None:
        if self._muted:
            return
        if self._holding:
            self._held.append(frame)
            if isinstance(frame, SAYS):
                self._wait_no_longer()
            return
        self._out = self._out or isinstance(frame, SAYS)
        await self._push(frame)

    def _wait_no_longer(self) -> None:
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(HOLD_SECS, self._overdue)

    def _overdue(self) -> None:
        if self._holding:
            self._refuse(self._fallback(), MISSING)

    async def _go_on(self) -> None:
        """Let out what was held, if all words are known and none is forbidden."""
        if self._turn_open or self._muted or not self._holding:
            return
        while self._held:
            frame = self._held.popleft()
            self._out = self._out or isinstance(frame, SAYS)
            await self._push(frame)
        self._holding = False
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _refuse(self, decision: Decision, failure: str | None) -> None:
        """Have the model say nothing of the turn, or no more, and say why: when the caller is done."""
        if self._muted:
            return
        if self._turn_open and not self._late:
            self._decision = decision, failure
            return
        self._muted, self._holding, self._decision = True, False, None
        self._held.clear()
        self._stop_waiting()
        # Whoever tells the words may be what is to be stopped.
        self.create_task(self._cut_off(decision, failure), f"{self}::refusal")

    async def _cut_off(self, decision: Decision, failure: str | None) -> None:
        cut, self._out = self._out, False
        self._stop = InterruptionFrame()
        await self._writer.queue_frame(self._stop, FrameDirection.UPSTREAM)
        if cut:
            await self._push(InterruptionFrame())
        await self._report([decision], failure)
        # By an answer that is over, whoever remembers the conversation knows that the caller's turn is.
        await self._push(LLMFullResponseStartFrame())
        await self._push(LLMFullResponseEndFrame())
        speak = TTSSpeakFrame(decision.text or self._guarding.policy.fallback)
        clear(speak)
        await self._push(speak)
        after = consequence(decision)
        if after is not None:
            await self._push(after)
        elif hasattr(self._writer, "forget_turn"):
            await self._writer.forget_turn()
