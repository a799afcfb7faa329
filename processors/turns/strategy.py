"""When the caller is done: Smart Turn, the words so far and the silence, with an answer begun ahead of the verdict."""

from __future__ import annotations

import asyncio
from functools import cache

import numpy as np
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.turns.types import ProcessFrameResult, UserTurnSpeculation
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.turns.user_stop.eager_match_policy import NormalizedMatch
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame, UserTurnSoFarFrame
from processors.turns.rules import TurnRules, silence_needed
from processors.turns.smart_turn import RATE, SECONDS, SmartTurn


@cache
def smart_turn() -> SmartTurn:
    """The process's turn model."""
    return SmartTurn()


def turn_strategies(rules: TurnRules | None = None) -> UserTurnStrategies:
    """The strategies of the USER_TURN stage."""
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
        stop=[SilenceByMeaning(rules or TurnRules())],
    )


class SilenceByMeaning(BaseUserTurnStopStrategy):
    """Ends the turn after a silence whose length depends on what was said and how.

    At the first sign of a pause the turn model runs in a thread; when an early transcript arrives, an answer is
    generated speculatively and held by the LLM service. A voice withdraws it, the end of the turn confirms it if
    the words are still the same.

    Args:
        rules: How long to wait when.
    """

    def __init__(self, rules: TurnRules) -> None:
        super().__init__()
        self._rules = rules
        self._match = NormalizedMatch()
        self._audio = bytearray()
        self._rate = RATE
        self._transcript_wait = 0.0
        self._speaking = False
        self._voice = False
        self._silent_since = 0.0
        self._probability: float | None = None
        self._verdict: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._text = ""
        self._heard_all = False
        self._speculation: UserTurnSpeculation | None = None

    @property
    def text(self) -> str:
        """The caller's words of this turn that the recogniser has committed to."""
        return self._text

    async def handle_user_turn_started(self) -> None:
        await self._forget()

    async def handle_user_turn_stopped(self) -> None:
        await self._forget()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_tasks()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Feed the decision. Never waits for a model."""
        await super().process_frame(frame)
        if isinstance(frame, InputAudioRawFrame):
            self._keep(frame)
        elif isinstance(frame, SpeechPausedFrame):
            await self._paused(frame.silence)
        elif isinstance(frame, SpeechResumedFrame):
            await self._resumed()
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            await self._started()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._stopped(frame.stop_secs)
        elif isinstance(frame, EagerTranscriptionFrame):
            await self._speculate(frame.text)
        elif isinstance(frame, TranscriptionFrame):
            self._text = f"{self._text} {frame.text}".strip()
            self._heard_all = frame.finalized
            await self._reconsider()
        elif isinstance(frame, InterimTranscriptionFrame):
            await self.push_frame(UserTurnSoFarFrame(text=f"{self._text} {frame.text}".strip()))
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            # The LLM withdrew it: it wants a tool, which must not run before the turn is over.
            self._speculation = None
        elif isinstance(frame, STTMetadataFrame):
            self._transcript_wait = frame.ttfs_p99_latency
        return ProcessFrameResult.CONTINUE

    def _keep(self, frame: InputAudioRawFrame) -> None:
        self._rate = frame.sample_rate
        self._audio += frame.audio
        surplus = len(self._audio) - 2 * round(self._rate * SECONDS)
        if surplus > 2 * self._rate:
            del self._audio[:surplus]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _started(self) -> None:
        self._speaking = self._voice = True
        self._heard_all = False
        self._probability = None
        await self._stop_tasks()
        await self._withdraw()

    async def _paused(self, silence: float) -> None:
        self._voice = False
        if self._speaking:
            self._silent_since = self._now() - silence
            self._judge(silence)
        else:
            await self._reconsider()

    async def _resumed(self) -> None:
        self._voice = True
        await self._stop_tasks()
        if self._speaking:
            self._probability = None
            await self._withdraw()

    async def _stopped(self, stop_secs: float) -> None:
        self._speaking = self._voice = False
        if not self._silent_since:
            self._silent_since = self._now() - stop_secs
        if self._probability is None and self._verdict is None:
            self._judge(stop_secs)
        await self._reconsider()

    def _judge(self, silence: float) -> None:
        if self._rate == RATE:
            self._verdict = self.task_manager.create_task(self._run_model(silence), f"{self}::verdict")

    async def _run_model(self, silence: float) -> None:
        samples = np.frombuffer(bytes(self._audio), np.int16).astype(np.float32) / 32768
        probability = await asyncio.to_thread(lambda: smart_turn().probability(samples, silence))
        self._verdict = None
        self._probability = probability
        await self._reconsider()

    async def _reconsider(self) -> None:
        """Set the timer for the end of the turn from what is known now, or end it."""
        if self._timer:
            timer, self._timer = self._timer, None
            await self.task_manager.cancel_task(timer)
        if self._speaking or self._voice or self._verdict or not (self._text or self._heard_all):
            return
        needed = silence_needed(self._probability, self._text, self._rules)
        if not self._heard_all:
            needed = max(needed, self._transcript_wait)
        left = self._silent_since + needed - self._now()
        if left <= 0:
            await self._end()
        else:
            self._timer = self.task_manager.create_task(self._end_after(left), f"{self}::timer")

    async def _end_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._timer = None
        await self._end()

    async def _end(self) -> None:
        speculation, self._speculation = self._speculation, None
        if speculation and self._match.matches(speculation.text, self._text):
            await self.trigger_user_turn_finalized(confirms_speculation=True)
            return
        if speculation:
            await self.trigger_user_turn_speculation_cancelled()
        await self.trigger_user_turn_stopped()

    async def _speculate(self, text: str) -> None:
        text = f"{self._text} {text}".strip()
        if not text or self._voice or (self._speculation and self._match.matches(self._speculation.text, text)):
            return
        await self._withdraw()
        self._speculation = UserTurnSpeculation(text=text)
        await self.trigger_user_turn_inference_triggered(speculation=self._speculation)

    async def _withdraw(self) -> None:
        if self._speculation:
            self._speculation = None
            await self.trigger_user_turn_speculation_cancelled()

    async def _stop_tasks(self) -> None:
        for task in (self._verdict, self._timer):
            if task:
                await self.task_manager.cancel_task(task)
        self._verdict = self._timer = None

    async def _forget(self) -> None:
        """Clear what belongs to one turn. Whether a voice is heard belongs to the caller, and stays."""
        await self._stop_tasks()
        await self._withdraw()
        self._text = ""
        self._heard_all = False
        self._probability = None
        self._silent_since = 0.0
