"""What a turn's audio and events say of who spoke when, and of what could be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import soxr

from pipelines.lab.acoustics import AUDIBLE_DBFS, WINDOW_SECS, levels, speech_end
from pipelines.lab.replay.replay import LEAD_SECS
from pipelines.lab.script import words
from pipelines.lab.trace import Event, Trace, TracedTurn
from processors.pcm import Samples

Hear = Callable[[Samples], str]
"""A recogniser: mono at 16 kHz in [-1, 1] → words."""

GOES_ON_SECS = 2.5
"""A caller who speaks again within so long of the end of their own words was not done."""

LATE_MS = 2500.0
"""A turn that is over for so long before that is noticed ended untimely, too."""

PAUSE_SECS = 0.3
"""Silence that a VAD should notice."""

LOUD_DB = 35.0
"""Below the loudest 10 ms of a turn; what is less loud is no speech."""

RATE = 16000
HEARD_SECS = 29.0
"""The recogniser takes no more at once."""


class Evidence:
    """One turn of a trace, looked at again.

    Args:
        trace: The conversation.
        turn: The turn.
        hear: Hears what was said and played.
    """

    def __init__(self, trace: Trace, turn: TracedTurn, hear: Hear) -> None:
        self.trace = trace
        self.turn = turn
        self._hear = hear

    def speech(self) -> list[tuple[float, float]]:
        """From when to when the caller's audio has sound, in seconds of the conversation; real pauses lie between."""
        begin = max(0.0, self.turn.begin - LEAD_SECS)
        samples = self.trace.heard[round(begin * RATE) : round(self.decided(self.turn) * RATE)]
        level = levels(samples, RATE)
        if not len(level) or level.max() < AUDIBLE_DBFS:
            return []
        loud = np.flatnonzero(level > level.max() - LOUD_DB)
        stretches = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_SECS / WINDOW_SECS) + 1)
        return [(begin + int(part[0]) * WINDOW_SECS, begin + (int(part[-1]) + 1) * WINDOW_SECS) for part in stretches]

    def group(self) -> list[TracedTurn]:
        """The turn and those around it that belong to it, because the caller went on soon."""
        turns = list(self.trace.turns)
        here = next(n for n, turn in enumerate(turns) if turn.number == self.turn.number)
        first = last = here
        while first and self._went_on(turns[first - 1], turns[first]):
            first -= 1
        while last + 1 < len(turns) and self._went_on(turns[last], turns[last + 1]):
            last += 1
        return turns[first : last + 1]

    def decided_late(self) -> float:
        """Milliseconds between the end of the caller's speech and the decision that the turn was over."""
        marks = self.turn.marks
        decided = marks.at.get("turn_decided")
        if decided is None or marks.speech_end is None:
            return 0.0
        late = 1000 * (decided - marks.speech_end)
        return late if late > LATE_MS else 0.0

    def before(self, turn: TracedTurn) -> list[dict[str, Any]]:
        """The context before a turn's own words."""
        messages = asked_with(turn)
        return messages[: last_of("user", messages)]

    def remembered(self, turn: TracedTurn) -> str:
        """What the context of this turn holds of the answer to an earlier one."""
        since = asked_with(self.turn)[len(self.before(turn)) + 1 :]
        own = [message for message in since if message.get("role") == "assistant" and message.get("content")]
        return str(own[0]["content"]) if own else ""

    def heard_caller(self, turn: TracedTurn) -> str:
        """The words that can be heard in all that the caller said until the turn was decided to be over."""
        samples = self.trace.heard[round(max(0.0, turn.begin - LEAD_SECS) * RATE) : round(self.decided(turn) * RATE)]
        return self._recognised(samples)

    def heard_back(self, trace: Trace, turn: TracedTurn | None) -> str:
        """The words that can be heard in the answer to a turn, or in all that was played."""
        rate = trace.meta.rates["out"]
        if turn is None:
            begin, end = 0.0, trace.duration
        else:
            begin, end = turn.marks.at.get("heard", self.decided(turn)), turn.end
            after = [other for other in trace.turns if other.number == turn.number + 1 and other.interrupts]
            end += 0.5 * bool(after)
        played = trace.played[round(begin * rate) : round(end * rate)]
        return self._recognised(soxr.resample(played, rate, RATE).astype(np.float32))

    def decided(self, turn: TracedTurn) -> float:
        """When a turn was decided to be over, in seconds of the conversation; its end if that is not known."""
        return turn.marks.at.get("turn_decided", turn.end)

    def _went_on(self, turn: TracedTurn, after: TracedTurn) -> bool:
        end = self._speech_end(turn)
        return end is not None and after.begin - end < GOES_ON_SECS

    def _speech_end(self, turn: TracedTurn) -> float | None:
        """When the caller's last words in a turn ended, in seconds of the conversation."""
        stops = [event for event in turn.events if event.kind == "VADUserStoppedSpeakingFrame" and event.way == "out"]
        return stops[-1].at - float((stops[-1].payload or {}).get("stop_secs", 0.0)) if stops else None

    def _recognised(self, samples: Samples) -> str:
        end = round(speech_end(samples, RATE) * RATE)
        if not end:
            return ""
        samples = samples[: end + RATE // 2]
        piece = round(HEARD_SECS * RATE)
        return " ".join(self._hear(samples[at : at + piece]) for at in range(0, len(samples), piece)).strip()


def contexts(turn: TracedTurn) -> list[Event]:
    """The events with which the language model was asked in a turn, guesses included."""
    return [event for event in turn.events if event.kind == "LLMContextFrame" and event.stage == "USER_TURN"]


def asked_with(turn: TracedTurn) -> list[dict[str, Any]]:
    """The messages of the first context of a turn; none if the language model was never asked."""
    given = contexts(turn)
    return [dict(message) for message in (given[0].payload or {})["messages"]] if given else []


def last_of(role: str, messages: Sequence[dict[str, Any]]) -> int:
    """The index of the last message of a role; how many there are if none is."""
    return max((n for n, message in enumerate(messages) if message.get("role") == role), default=len(messages))


def heard_of(planned: str, heard: str) -> str:
    """The beginning of an answer up to the last word of it that was heard."""
    spoken = planned.split()
    plain = [" ".join(words(word)) for word in spoken]
    blocks = SequenceMatcher(None, plain, list(words(heard)), autojunk=False).get_matching_blocks()
    return " ".join(spoken[: max(block.a + block.size for block in blocks if block.size)]) if len(blocks) > 1 else ""
