"""Ends turns by Smart Turn, the words so far and the silence, with an answer begun ahead of the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

from loguru import logger
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
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from processors.pcm import Samples, to_samples
from processors.turns.decision import Do, TurnDecision
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame, UserTurnSoFarFrame
from processors.turns.rules import TurnRules
from processors.turns.smart_turn import RATE, SECONDS, SmartTurn

Judge = Callable[[Samples, float], float]
"""Mono samples at 16 kHz and the silence in seconds that they end in → the probability that the turn is over."""


@cache
def smart_turn() -> SmartTurn:
    """The process's turn model."""
    return SmartTurn()


def _smart_turn_probability(samples: Samples, silence: float) -> float:
    return smart_turn().probability(samples, silence)


def turn_strategies(rules: TurnRules | None = None, judge: Judge = _smart_turn_probability) -> UserTurnStrategies:
    """The strategies of the USER_TURN stage. Arguments as for `SilenceByMeaning`."""
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
        stop=[SilenceByMeaning(rules or TurnRules(), judge)],
    )


def by_sound(strategies: UserTurnStrategies) -> UserTurnStrategies:
    """The same strategies where nobody recognises words: a language model hears the voice itself.

    Pipecat does so too when such a model makes itself known, and warns that it does.
    """
    for strategy in strategies.stop or []:
        if getattr(strategy, "wait_for_transcript", False):
            strategy.wait_for_transcript = False  # type: ignore[attr-defined]
    start = [each for each in strategies.start or [] if not isinstance(each, TranscriptionUserTurnStartStrategy)]
    return UserTurnStrategies(start=start, stop=strategies.stop)


class SilenceByMeaning(BaseUserTurnStopStrategy):
    """`TurnDecision` as a Pipecat strategy. The model runs in a thread; nothing here waits for it.

    Args:
        rules: How long to wait when.
        judge: The turn model; blocking.
    """

    def __init__(self, rules: TurnRules, judge: Judge = _smart_turn_probability) -> None:
        super().__init__()
        self._decision = TurnDecision(rules)
        self._judge = judge
        self._audio = bytearray()
        self._rate = RATE
        self._verdict: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None

    @property
    def wait_for_transcript(self) -> bool:
        """Whether a turn is over only when there are words; set to False where the sound alone decides."""
        return self._decision.by_words

    @wait_for_transcript.setter
    def wait_for_transcript(self, waits: bool) -> None:
        self._decision.by_words = waits

    async def handle_user_turn_started(self) -> None:
        await self._carry_out(self._decision.begin())

    async def handle_user_turn_stopped(self) -> None:
        await self._carry_out(self._decision.begin())

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_timer()
        await self._stop_judging()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Feed the decision and carry out what it says."""
        await super().process_frame(frame)
        decision, now = self._decision, asyncio.get_running_loop().time()
        if isinstance(frame, InputAudioRawFrame):
            self._keep(frame)
        elif isinstance(frame, SpeechPausedFrame):
            await self._carry_out(decision.paused(now, frame.silence), frame.silence)
        elif isinstance(frame, SpeechResumedFrame):
            await self._stop_judging()
            await self._carry_out(decision.resumed())
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            await self._stop_judging()
            await self._carry_out(decision.started())
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._carry_out(decision.stopped(now, frame.stop_secs), frame.stop_secs)
        elif isinstance(frame, EagerTranscriptionFrame):
            await self._carry_out(decision.early(frame.text))
        elif isinstance(frame, TranscriptionFrame):
            await self._carry_out(decision.words(now, frame.text, final=frame.finalized))
        elif isinstance(frame, InterimTranscriptionFrame):
            await self.push_frame(UserTurnSoFarFrame(text=f"{decision.text} {frame.text}".strip()))
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            decision.refused()
        elif isinstance(frame, STTMetadataFrame):
            decision.transcript_wait = frame.ttfs_p99_latency
        return ProcessFrameResult.CONTINUE

    def _keep(self, frame: InputAudioRawFrame) -> None:
        self._rate = frame.sample_rate
        self._audio += frame.audio
        surplus = len(self._audio) - 2 * round(self._rate * SECONDS)
        if surplus > 2 * self._rate:
            del self._audio[:surplus]

    async def _carry_out(self, todo: list[Do], silence: float = 0.0) -> None:
        for do in todo:
            if do is Do.JUDGE:
                await self._stop_judging()
                self._verdict = self.task_manager.create_task(self._run_model(silence), f"{self}::verdict")
            elif do is Do.SPECULATE and self._decision.speculation is not None:
                speculation = UserTurnSpeculation(text=self._decision.speculation)
                await self.trigger_user_turn_inference_triggered(speculation=speculation)
            elif do is Do.WITHDRAW:
                await self.trigger_user_turn_speculation_cancelled()
            elif do is Do.CONFIRM:
                await self.trigger_user_turn_finalized(confirms_speculation=True)
            elif do is Do.ANSWER:
                await self.trigger_user_turn_stopped()
        await self._set_timer()

    async def _run_model(self, silence: float) -> None:
        samples = to_samples(self._audio)
        probability: float | None = None
        try:
            if self._rate == RATE:
                probability = await asyncio.to_thread(self._judge, samples, silence)
        except Exception as error:
            logger.error(f"{self}: the turn model failed, going on without it: {error!r}")
        self._verdict = None
        await self._carry_out(self._decision.verdict(asyncio.get_running_loop().time(), probability))

    async def _set_timer(self) -> None:
        await self._stop_timer()
        due = self._decision.due
        if due is not None:
            self._timer = self.task_manager.create_task(self._tick_at(due), f"{self}::timer")

    async def _tick_at(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, due - loop.time()))
        self._timer = None
        await self._carry_out(self._decision.tick(max(due, loop.time())))

    async def _stop_timer(self) -> None:
        if self._timer and self._timer is not asyncio.current_task():
            timer, self._timer = self._timer, None
            await self.task_manager.cancel_task(timer)

    async def _stop_judging(self) -> None:
        if self._verdict and self._verdict is not asyncio.current_task():
            verdict, self._verdict = self._verdict, None
            await self.task_manager.cancel_task(verdict)
