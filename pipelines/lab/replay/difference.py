"""What is different between a conversation and its replay: words, sound and timing, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.lab.acoustics import first_audible
from pipelines.lab.replay.replay import LEAD_SECS, span
from pipelines.lab.trace import Event, Trace, TracedTurn
from processors.pcm import Samples

WORDS = ("transcript", "planned", "answer")
"""What was understood, what the language model wrote, and what was heard of it."""


IDENTIFIERS = frozenset(("call", "context", "id", "tool_call_id"))
SAME_SECS = 5e-6
"""Times in a trace are rounded to the microsecond."""

PLUMBING = frozenset(
    (
        "CancelFrame",
        "EndFrame",
        "LLMServiceMetadataFrame",
        "MetricsFrame",
        "OutputTransportReadyFrame",
        "StartFrame",
        "STTMetadataFrame",
    )
)
"""What says nothing of a conversation."""


@dataclass(frozen=True)
class Sound:
    """How what was played in two turns compares.

    Args:
        same: Whether every sample is, after the pieces are put one upon the other at their first sound.
        until: Seconds for which they are the same, from the first sound on.
        seconds: How long each is, from its first sound to its last.
    """

    same: bool
    until: float
    seconds: tuple[float, float]

    def __str__(self) -> str:
        if self.same:
            return "the same" if self.seconds[0] else "none"
        before, now = self.seconds
        return f"the same for {self.until:.2f} s of {before:.2f} and {now:.2f} s"


@dataclass(frozen=True)
class TurnDifference:
    """One turn, before and now.

    Args:
        number: As recorded.
        words: Before and now, by the name of what it is.
        latency_ms: From the end of speech to the first sound, before and now.
        parts_ms: The same, part by part.
        sound: What was played.
    """

    number: int
    words: dict[str, tuple[str, str]]
    latency_ms: tuple[float | None, float | None]
    parts_ms: dict[str, tuple[float, float]]
    sound: Sound

    @property
    def same_words(self) -> bool:
        """Whether all words are as they were."""
        return all(before == now for before, now in self.words.values())

    @property
    def same_timing(self) -> bool:
        """Whether every part of the latency is as long as it was, to the microsecond."""
        times = [self.latency_ms, *self.parts_ms.values()]
        return all(a == b or (a is not None and b is not None and abs(a - b) < 1.5e-3) for a, b in times)


@dataclass(frozen=True)
class Difference:
    """Two conversations.

    Args:
        turns: What is in both.
        missing: Numbers of recorded turns that the replay does not have.
        added: How many turns the replay has beyond those.
        events: Whether everything that happened is the same, to the microsecond; None if only one turn was run again.
    """

    turns: tuple[TurnDifference, ...]
    missing: tuple[int, ...]
    added: int
    events: bool | None

    @property
    def same_words(self) -> bool:
        """Whether nobody said or understood anything else."""
        return not self.missing and not self.added and all(turn.same_words for turn in self.turns)

    @property
    def same_sound(self) -> bool:
        """Whether every answer sounds the same to the sample."""
        return not self.missing and not self.added and all(turn.sound.same for turn in self.turns)

    @property
    def same_timing(self) -> bool:
        """Whether everything happened when it did."""
        return not self.missing and not self.added and all(turn.same_timing for turn in self.turns)

    @property
    def identical(self) -> bool:
        """Whether words, sound, timing and every event are the same."""
        return self.events is not False and self.same_words and self.same_sound and self.same_timing

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "identical": self.identical,
            "same_words": self.same_words,
            "same_sound": self.same_sound,
            "same_timing": self.same_timing,
            "missing_turns": list(self.missing),
            "added_turns": self.added,
            "turns": [
                {
                    "number": turn.number,
                    **{name: {"before": a, "now": b} for name, (a, b) in turn.words.items()},
                    "latency_ms": {"before": _round(turn.latency_ms[0]), "now": _round(turn.latency_ms[1])},
                    "parts_ms": {
                        name: {"before": _round(a), "now": _round(b)} for name, (a, b) in turn.parts_ms.items()
                    },
                    "sound": {
                        "same": turn.sound.same,
                        "same_for_s": round(turn.sound.until, 3),
                        "before_s": round(turn.sound.seconds[0], 3),
                        "now_s": round(turn.sound.seconds[1], 3),
                    },
                }
                for turn in self.turns
            ],
        }


def difference(before: Trace, now: Trace, *, turn: int | None = None) -> Difference:
    """Compare a replay with what it replays.

    Args:
        before: The recorded conversation.
        now: The replay.
        turn: The number of the only turn that was run again, if it was only one.
    """
    begin, end = span(before, turn)
    offset = max(0.0, begin - LEAD_SECS)
    old = [known for known in before.turns if begin <= known.begin < end]
    new = list(now.turns)
    pairs: list[tuple[TracedTurn, TracedTurn]] = []
    missing: list[int] = []
    for known in old:
        near = [other for other in new if other.begin + offset < known.end and known.begin < other.end + offset]
        if near:
            best = min(near, key=lambda other: abs(other.begin + offset - known.begin))
            new.remove(best)
            pairs.append((known, best))
        else:
            missing.append(known.number)
    turns = tuple(_turn(a, b, before, now) for a, b in pairs)
    return Difference(turns, tuple(missing), len(new), _same_events(before, now) if turn is None else None)


def _turn(old: TracedTurn, new: TracedTurn, before: Trace, now: Trace) -> TurnDifference:
    parts = {part.name: part.ms for part in new.marks.parts()}
    return TurnDifference(
        old.number,
        {name: (getattr(old, name), getattr(new, name)) for name in WORDS},
        (old.marks.total_ms, new.marks.total_ms),
        {part.name: (part.ms, parts.get(part.name, 0.0)) for part in old.marks.parts()},
        _sound(_heard(before, old), _heard(now, new), before.meta.rates["out"]),
    )


def _heard(trace: Trace, turn: TracedTurn) -> Samples:
    """What is played of the answer in a turn, from its first sound to its last; of a turn without one, everything."""
    rate = trace.meta.rates["out"]
    begin = turn.marks.at.get("heard", turn.begin)
    return _trimmed(trace.played[round(begin * rate) : round(turn.end * rate)])


def _trimmed(samples: Samples) -> Samples:
    first = first_audible(samples)
    if first is None:
        return samples[:0]
    last = first_audible(samples[::-1])
    return samples[first : len(samples) - (last or 0)]


def _sound(a: Samples, b: Samples, rate: int) -> Sound:
    shorter = min(len(a), len(b))
    differ = np.flatnonzero(a[:shorter] != b[:shorter])
    until = int(differ[0]) if len(differ) else shorter
    return Sound(len(a) == len(b) == until, until / rate, (len(a) / rate, len(b) / rate))


def _same_events(before: Trace, now: Trace) -> bool:
    """Whether every stage took and gave the same at the same time. Simultaneous events have no order."""
    old, new = _by_stage(before), _by_stage(now)
    return old.keys() == new.keys() and all(
        len(old[stage]) == len(new[stage]) and all(map(_same_event, old[stage], new[stage])) for stage in old
    )


def _by_stage(trace: Trace) -> dict[tuple[str, str], list[Event]]:
    found: dict[tuple[str, str], list[Event]] = {}
    for event in trace.events:
        if event.kind not in PLUMBING:
            found.setdefault((event.stage, event.way), []).append(event)
    for events in found.values():
        # A recorded stage that lets something pass does so at once, and so before what it gave at the same time.
        events.sort(key=lambda event: (round(event.at, 3), event.kind))
    return found


def _same_event(a: Event, b: Event) -> bool:
    one, other = _content(a.payload or {}), _content(b.payload or {})
    times = [(a.at, b.at), (one.pop("at", None) or 0.0, other.pop("at", None) or 0.0)]
    return (a.kind, a.up, one) == (b.kind, b.up, other) and all(abs(x - y) < SAME_SECS for x, y in times)


def _content(payload: Any) -> Any:
    """What was in a frame, without identifiers that are drawn anew each time."""
    if isinstance(payload, dict):
        return {key: _content(value) for key, value in payload.items() if key not in IDENTIFIERS}
    if isinstance(payload, list):
        return [_content(value) for value in payload]
    return payload


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
