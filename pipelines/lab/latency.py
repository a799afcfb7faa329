"""Where a turn's time goes: marks on one clock, and parts between them that sum to the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport

from pipelines.stacks import Session
from processors.guarding.frames import UnclearedTextFrame

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


SLOTS = {
    "end_of_speech_noticed": ("VAD",),
    "transcript": ("STT",),
    "turn_decided": ("USER_TURN", "SPOKEN_TURN"),
    "first_token": ("LLM", "AUDIO_LLM"),
    "first_clause": ("LLM", "AUDIO_LLM", "SENTENCES"),
    "first_speech": ("TTS",),
    "heard": ("AUDIO_OUT",),
}
"""The stages that are responsible for the part that ends with a mark."""


@dataclass(frozen=True)
class Part:
    """One stretch of a turn's latency.

    Args:
        name: A value of `MARKS`.
        ms: How long it took.
        by: Who is responsible: stages with the services in them, and the setting that has them wait. Empty if unknown.
    """

    name: str
    ms: float
    by: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.by})" if self.by else self.name


@dataclass
class Filler:
    """Speech that is not the answer, heard while the answer was awaited. Seconds on the clock of the marks."""

    begin: float
    end: float = float("inf")


@dataclass
class TurnMarks:
    """When things happened in one turn, in seconds on the event loop's clock.

    Args:
        speech_end: The acoustic end of the caller's speech.
        at: Time by the name of a mark; `speculated` is when an answer was begun ahead of the turn's end. Whoever
            listens may set `heard` to the moment of the first sound, be it a filler's.
        withdrawn: How often an answer was begun in vain.
        wasted: Seconds for which those answers were in the making.
        fillers: What was said that is not the answer.
        answered: When the answer began to be played; None if it was not.
        by: Who is responsible for what ends with a mark.
    """

    speech_end: float | None = None
    at: dict[str, float] = field(default_factory=dict)
    withdrawn: int = 0
    wasted: float = 0.0
    fillers: list[Filler] = field(default_factory=list)
    answered: float | None = None
    by: dict[str, str] = field(default_factory=dict)

    @property
    def heard(self) -> float | None:
        """When the answer was first heard, fillers apart; None if it was not."""
        heard = self.at.get("heard")
        if heard is not None and any(filler.begin <= heard < filler.end for filler in self.fillers):
            return self.answered
        return heard

    def parts(self) -> list[Part]:
        """Parts in order that sum to the time from the end of speech until the answer was heard.

        What was done ahead of time, such as a transcript begun in the pause, counts as nothing. Empty if there was no
        answer.
        """
        heard = self.heard
        if self.speech_end is None or heard is None:
            return []
        parts, reached = [], self.speech_end
        for mark, name in MARKS.items():
            at = heard if mark == "heard" else self.at.get(mark, reached)
            until = min(max(reached, at), heard)
            parts.append(Part(name, 1000 * (until - reached), self.by.get(mark, "")))
            reached = until
        return parts

    @property
    def total_ms(self) -> float | None:
        """From the end of speech until the answer was heard; None if there was no answer."""
        heard = self.heard
        return None if self.speech_end is None or heard is None else 1000 * (heard - self.speech_end)

    @property
    def filler_ms(self) -> float | None:
        """From the end of speech until a filler was heard; None if there was none."""
        if self.speech_end is None or not self.fillers:
            return None
        return 1000 * (self.fillers[0].begin - self.speech_end)

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

    def asides(self) -> list[str]:
        """What belongs to no part, a line each: fillers, and what was won and lost by beginning answers early."""
        lines = []
        if self.filler_ms is not None:
            lines.append(f"filler heard after {self.filler_ms:.0f} ms")
        if self.saved_ms >= 0.5:
            lines.append(f"saved by beginning the answer early: {self.saved_ms:.0f} ms")
        if self.withdrawn:
            lines.append(f"begun in vain: {self.withdrawn}, {1000 * self.wasted:.0f} ms of work")
        return lines

    def as_json(self) -> dict[str, Any]:
        """All figures, in milliseconds."""
        total, filler = self.total_ms, self.filler_ms
        parts = self.parts()
        return {
            "latency_ms": None if total is None else round(total, 1),
            "parts_ms": {part.name: round(part.ms, 1) for part in parts},
            "by": {part.name: part.by for part in parts if part.by},
            "filler_ms": None if filler is None else round(filler, 1),
            "saved_ms": round(self.saved_ms, 1),
            "withdrawn": self.withdrawn,
            "wasted_ms": round(1000 * self.wasted, 1),
        }


def responsible(stages: Mapping[str, str | None]) -> dict[str, str]:
    """Who is responsible for what ends with a mark.

    Args:
        stages: The service in each stage of an architecture, if one fills it.
    """
    return {
        mark: ", ".join(f"{slot} {stages[slot] or ''}".strip() for slot in slots if slot in stages)
        for mark, slots in SLOTS.items()
    }


def _stages(source: FrameProcessor) -> dict[str, str | None]:
    """The stages of the pipeline that a processor is part of, if `assemble` built it."""
    session = None
    with suppress(Exception):  # a processor that was never set up has no worker
        session = source.pipeline_worker.app_resources
    if not isinstance(session, Session) or session.architecture is None:
        return {}
    return {stage.name: session.services.get(stage.name) for stage in session.architecture.stages}


class LatencyObserver(BaseObserver):
    """Marks every turn of a conversation.

    The acoustic end of speech is taken as the VAD's stop less the silence that it waited for. Who knows better (a
    benchmark that plays a file) sets `speech_end` of the turn itself.

    A `TTSSpeakFrame` is said by the application and is no answer: its sound is a filler's.

    Args:
        on_turn: Told the number of the turn, from 1, and its marks when its answer is first heard.
        stages: The service in each stage; taken from the pipeline's session if not given.

    Attributes:
        turns: Those in which something was heard after the caller's speech, in order.
    """

    hears_microphone = False

    def __init__(
        self,
        on_turn: Callable[[int, TurnMarks], Awaitable[None]] | None = None,
        stages: Mapping[str, str | None] | None = None,
    ) -> None:
        super().__init__(observe_every_push=False)
        self.turns: list[TurnMarks] = []
        self._on_turn = on_turn
        self._by = responsible(stages or {})
        self._turn = TurnMarks()
        self._answered = True
        self._offset: float | None = None
        self._to_say: list[str] = []
        self._filler_begins = False
        self._filler_contexts: set[str | None] = set()
        self._to_play: dict[str | None, None] = {}

    async def on_push_frame(self, data: FramePushed) -> None:
        if self._offset is None:
            clock = data.source.get_clock()
            self._offset = asyncio.get_running_loop().time() - clock.get_time() / 1e9
            if stages := _stages(data.source):
                self._by = responsible(stages)
        # Frames that are broadcast go both ways; one is enough.
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        # What is played has been cut anew, and belongs to no context any more.
        if isinstance(data.frame, TTSAudioRawFrame) and isinstance(data.source, BaseOutputTransport):
            return
        awaited = not self._answered
        self.mark(data.frame, data.timestamp / 1e9 + self._offset)
        if self._on_turn and awaited and self._answered:
            await self._on_turn(len(self.turns), self.turns[-1])

    def mark(self, frame: Frame, now: float) -> None:
        """Take note of a frame at a time."""
        turn = self._turn
        if isinstance(frame, UserStartedSpeakingFrame):
            self._turn, self._answered = TurnMarks(by=dict(self._by)), False
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            if "turn_decided" not in turn.at and not self._answered:
                turn.withdraw(now)
                turn.at.clear()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            turn.speech_end = now - frame.stop_secs
            turn.at["end_of_speech_noticed"] = now
            vad = self._by["end_of_speech_noticed"] or "VAD"
            turn.by["end_of_speech_noticed"] = f"{vad}, stop_secs {frame.stop_secs:g}"
        elif isinstance(frame, TranscriptionFrame):
            turn.at["transcript"] = now
        elif isinstance(frame, UserStoppedSpeakingFrame):
            turn.at["turn_decided"] = now
        elif isinstance(frame, InterruptionFrame):
            for mark in ("first_token", "first_clause", "first_speech"):
                turn.at.pop(mark, None)
            self._to_say.clear()
            self._to_play.clear()
            self._filler_begins = False
        elif isinstance(frame, LLMContextFrame):
            if frame.speculation:
                turn.withdraw(now)
                turn.at["speculated"] = now
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            turn.withdraw(now)
        elif isinstance(frame, (LLMTextFrame, UnclearedTextFrame)):
            turn.at.setdefault("first_token", now)
        else:
            self._mark_speech(frame, now)

    def _mark_speech(self, frame: Frame, now: float) -> None:
        turn = self._turn
        if isinstance(frame, TTSSpeakFrame):
            # As it was given, and as it was cleared.
            if frame.text not in self._to_say:
                self._to_say.append(frame.text)
        elif isinstance(frame, AggregatedTextFrame):
            if not isinstance(frame, TTSTextFrame) and frame.text in self._to_say:
                # TTS announces what it begins to say; the context in which it says it comes next.
                self._to_say.remove(frame.text)
                self._filler_begins = True
            elif frame.context_id not in self._filler_contexts:
                turn.at.setdefault("first_clause", now)
        elif isinstance(frame, TTSStartedFrame):
            if self._filler_begins:
                self._filler_contexts.add(frame.context_id)
                self._filler_begins = False
        elif isinstance(frame, TTSAudioRawFrame):
            self._to_play.setdefault(frame.context_id)
            if frame.context_id not in self._filler_contexts:
                turn.at.setdefault("first_speech", now)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._mark_sound(now)
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._to_play.pop(next(iter(self._to_play), None), None)
            if turn.fillers and turn.fillers[-1].end > now:
                turn.fillers[-1].end = now

    def _mark_sound(self, now: float) -> None:
        """What TTS gave first, of what has not been played, is heard now."""
        turn = self._turn
        playing = next(iter(self._to_play), None)
        if self._answered:
            return
        if playing in self._filler_contexts:
            if "end_of_speech_noticed" not in turn.at:
                return
            turn.fillers.append(Filler(now))
        elif "turn_decided" in turn.at:
            turn.at["heard"] = turn.answered = now
            self._answered = True
        else:
            return
        if not any(known is turn for known in self.turns[-1:]):
            self.turns.append(turn)
