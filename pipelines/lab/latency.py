"""Where a turn's time goes: marks on one clock, and parts between them that sum to the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    Frame,
    InterruptionFrame,
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
        at: Time by the name of a mark.
    """

    speech_end: float | None = None
    at: dict[str, float] = field(default_factory=dict)

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
