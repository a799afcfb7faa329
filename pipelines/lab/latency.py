"""Where a turn's time goes: marks on one clock, and parts between them that sum to the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection

MARKS = {
    "end_of_speech_noticed": "noticing the end of speech",
    "transcript": "transcript",
    "turn_decided": "deciding the turn is over",
    "first_token": "first token",
    "first_clause": "first clause",
    "first_speech": "voice",
    "heard": "output",
}
"""In the order of a turn; each is the end of the part it names."""


@dataclass(frozen=True)
class Part:
    """One stretch of a turn's latency."""

    name: str
    ms: float


@dataclass
class TurnMarks:
    """When things happened in one turn, in seconds on the event loop's clock.

    Args:
        speech_end: The acoustic end of the caller's speech.
        at: Time by the name of a mark; `speculated` is when an answer was begun ahead of the turn's end.
        withdrawn: How often an answer was begun in vain.
        wasted: Seconds for which those answers were in the making.
    """

    speech_end: float | None = None
    at: dict[str, float] = field(default_factory=dict)
    withdrawn: int = 0
    wasted: float = 0.0

    def parts(self) -> list[Part]:
        """Parts in order that sum to the time from the end of speech until the answer was heard.

        What was done ahead of time, such as a transcript begun in the pause, counts as nothing. Empty if there was no
        answer.
        """
        if self.speech_end is None or "heard" not in self.at:
            return []
        parts, reached = [], self.speech_end
        heard = self.at["heard"]
        for mark, name in MARKS.items():
            until = min(max(reached, self.at.get(mark, reached)), heard)
            parts.append(Part(name, 1000 * (until - reached)))
            reached = until
        return parts

    @property
    def total_ms(self) -> float | None:
        """From the end of speech until the answer was heard; None if there was no answer."""
        if self.speech_end is None or "heard" not in self.at:
            return None
        return 1000 * (self.at["heard"] - self.speech_end)

    @property
    def saved_ms(self) -> float:
        """By how much the answer came sooner because it was begun before the turn was known to be over."""
        begun, decided = self.at.get("speculated"), self.at.get("turn_decided")
        if begun is None or decided is None:
            return 0.0
        return 1000 * max(0.0, min(decided, self.at.get("first_token", decided)) - begun)

    def withdraw(self, now: float) -> None:
        """The answer that was begun ahead is discarded."""
        begun = self.at.pop("speculated", None)
        if begun is not None:
            self.withdrawn += 1
            self.wasted += now - begun


class LatencyObserver(BaseObserver):
    """Marks every turn of a conversation.

    The acoustic end of speech is taken as the VAD's stop less the silence that it waited for. Who knows better (a
    benchmark that plays a file) sets `speech_end` of the turn itself.

    Args:
        on_turn: Told the number of the turn, from 1, and its marks when its answer is first heard.
    """

    def __init__(self, on_turn: Callable[[int, TurnMarks], Awaitable[None]] | None = None) -> None:
        super().__init__(observe_every_push=False)
        self.turns: list[TurnMarks] = []
        self._on_turn = on_turn
        self._turn = TurnMarks()
        self._answered = True
        self._offset: float | None = None

    async def on_push_frame(self, data: FramePushed) -> None:
        if self._offset is None:
            clock = data.source.get_clock()
            self._offset = asyncio.get_running_loop().time() - clock.get_time() / 1e9
        # Frames that are broadcast go both ways; one is enough.
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        before = len(self.turns)
        self.mark(data.frame, data.timestamp / 1e9 + self._offset)
        if self._on_turn and len(self.turns) > before:
            await self._on_turn(len(self.turns), self.turns[-1])

    def mark(self, frame: Frame, now: float) -> None:
        """Take note of a frame at a time."""
        turn = self._turn
        if isinstance(frame, UserStartedSpeakingFrame):
            self._turn, self._answered = TurnMarks(), False
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            if not self._answered:
                turn.withdraw(now)
                turn.at.clear()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            turn.speech_end = now - frame.stop_secs
            turn.at["end_of_speech_noticed"] = now
        elif isinstance(frame, TranscriptionFrame):
            turn.at["transcript"] = now
        elif isinstance(frame, UserStoppedSpeakingFrame):
            turn.at["turn_decided"] = now
        elif isinstance(frame, InterruptionFrame):
            for mark in ("first_token", "first_clause", "first_speech"):
                turn.at.pop(mark, None)
        elif isinstance(frame, LLMContextFrame):
            if frame.speculation is not None:
                turn.withdraw(now)
                turn.at["speculated"] = now
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            turn.withdraw(now)
        elif isinstance(frame, LLMTextFrame):
            turn.at.setdefault("first_token", now)
        elif isinstance(frame, AggregatedTextFrame):
            turn.at.setdefault("first_clause", now)
        elif isinstance(frame, TTSAudioRawFrame):
            turn.at.setdefault("first_speech", now)
        elif isinstance(frame, BotStartedSpeakingFrame) and not self._answered and "turn_decided" in turn.at:
            turn.at["heard"] = now
            self._answered = True
            self.turns.append(turn)
