"""Reads a trace, also one whose conversation went on or was killed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
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
from pipecat.processors.aggregators.llm_context import LLMContext
from pydantic import ValidationError
from soundfile import LibsndfileError

from pipelines.lab.cost import CostLedger
from pipelines.lab.latency import LatencyObserver, TurnMarks
from pipelines.lab.trace import flac
from pipelines.lab.trace.event import Event, Way
from pipelines.lab.trace.files import Payloads
from pipelines.lab.trace.meta import FORMAT, INPUT_RATE, OUTPUT_RATE, Meta
from pipelines.lab.usage import BILLED
from processors.guarding.frames import UnclearedTextFrame
from processors.pcm import Samples


def _context(event: Event) -> str | None:
    context = (event.payload or {}).get("context")
    return None if context is None else str(context)


def _asked(event: Event) -> LLMContextFrame:
    return LLMContextFrame(LLMContext(), speculation=bool((event.payload or {}).get("speculation")))


MARKED: dict[str, Callable[[Event], Frame]] = {
    "UserStartedSpeakingFrame": lambda event: UserStartedSpeakingFrame(),
    "VADUserStartedSpeakingFrame": lambda event: VADUserStartedSpeakingFrame(),
    "VADUserStoppedSpeakingFrame": lambda event: VADUserStoppedSpeakingFrame(
        stop_secs=float((event.payload or {}).get("stop_secs", 0.0))
    ),
    "TranscriptionFrame": lambda event: TranscriptionFrame(event.text, "", ""),
    "UserStoppedSpeakingFrame": lambda event: UserStoppedSpeakingFrame(),
    "InterruptionFrame": lambda event: InterruptionFrame(),
    "LLMContextFrame": _asked,
    "EagerEndOfTurnCancelFrame": lambda event: EagerEndOfTurnCancelFrame(),
    "LLMTextFrame": lambda event: LLMTextFrame(event.text),
    "UnclearedTextFrame": lambda event: UnclearedTextFrame(""),
    "AggregatedTextFrame": lambda event: AggregatedTextFrame(event.text, "sentence"),
    "TTSSpeakFrame": lambda event: TTSSpeakFrame(event.text),
    "TTSStartedFrame": lambda event: TTSStartedFrame(context_id=_context(event)),
    "TTSTextFrame": lambda event: TTSTextFrame(event.text, "word", context_id=_context(event)),
    "TTSAudioRawFrame": lambda event: TTSAudioRawFrame(b"", OUTPUT_RATE, 1, context_id=_context(event)),
    "BotStartedSpeakingFrame": lambda event: BotStartedSpeakingFrame(),
    "BotStoppedSpeakingFrame": lambda event: BotStoppedSpeakingFrame(),
}
"""What `pipelines.lab.latency` marks, made again from what was written of it."""

SAME_SECS = 0.05
"""Events no further apart than this happened at the same moment."""


class TraceError(ValueError):
    """A trace that cannot be read or written. One line: the file, what is wrong, the mend."""

    mendable = True


@dataclass(frozen=True)
class TracedTurn:
    """From the moment the caller begins to speak to the next such moment.

    Args:
        number: From 1.
        begin: Seconds from the conversation's begin.
        end: Likewise.
        events: All that happened, in order.
        marks: Where the time went, in seconds from the conversation's begin; without "heard" if nothing was answered.
    """

    number: int
    begin: float
    end: float
    events: tuple[Event, ...]
    marks: TurnMarks

    @property
    def transcript(self) -> str:
        """What the caller was understood to say."""
        return _words(self.events, "TranscriptionFrame", "out")

    @property
    def planned(self) -> str:
        """What the language model wanted to say."""
        return "".join(event.text for event in self.events if event.kind == "LLMTextFrame" and event.way == "out")

    @property
    def answer(self) -> str:
        """The words that were heard."""
        return _words(self.events, "TTSTextFrame", "out", "AUDIO_OUT")

    @property
    def interrupts(self) -> bool:
        """Whether the agent was speaking when the caller began, and stopped."""
        for event in self.events:
            if event.kind == "BotStartedSpeakingFrame":
                return False
            if event.kind == "BotStoppedSpeakingFrame":
                return event.at - self.begin < 0.5
        return False

    @property
    def errors(self) -> list[str]:
        """What went wrong."""
        return [str((event.payload or {}).get("error")) for event in self.events if event.kind == "ErrorFrame"]


def _words(events: tuple[Event, ...], kind: str, way: Way, stage: str | None = None) -> str:
    found = [event for event in events if event.kind == kind and event.way == way]
    if stage is not None and any(event.stage == stage for event in found):
        found = [event for event in found if event.stage == stage]
    joined = " ".join(event.text for event in found if event.text).strip()
    return re.sub(r"(?<=\]) (?=[,.;:!?])", "", joined)  # what was taken out may leave a comma of its own


class Trace:
    """A recorded conversation. Nothing is read before it is asked for, but `meta`. Use `Trace.load`.

    Args:
        folder: The conversation's folder.
        meta: What holds for all of it.
    """

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder = folder
        self.meta = meta
        self._damage: list[str] = []

    @classmethod
    def load(cls, folder: Path | str) -> Trace:
        """Open a trace.

        Raises:
            TraceError: If there is none, or it is of another version.
        """
        folder = Path(folder)
        file = folder / "meta.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise TraceError(
                f"{file}: cannot be read ({error.strerror}): give the folder of one conversation"
            ) from None
        except ValueError:
            raise TraceError(f"{file}: is no JSON: give a folder that a trace was written into") from None
        version = content.get("format") if isinstance(content, dict) else None
        if version != FORMAT:
            raise TraceError(f"{file}: has format {version}, and this reads {FORMAT}: read it with its own version")
        try:
            meta = Meta.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TraceError(f"{file}: {where}: {first['msg']}: record it anew") from None
        return cls(folder, meta)

    @classmethod
    def list(cls, folder: Path | str) -> list[Trace]:
        """All traces that lie in a folder, in the order in which they began. Other folders are passed over.

        Raises:
            TraceError: If the folder cannot be read.
        """
        folder = Path(folder)
        try:
            places = sorted(path for path in folder.iterdir() if (path / "meta.json").is_file())
        except OSError as error:
            raise TraceError(f"{folder}: cannot be read ({error.strerror}): give the folder of traces") from None
        traces = []
        for place in places:
            try:
                traces.append(cls.load(place))
            except TraceError:
                continue
        return sorted(traces, key=lambda trace: (trace.meta.begun, trace.folder.name))

    @property
    def damage(self) -> tuple[str, ...]:
        """What could not be read, a line each: files that are missing, a last line that was cut off."""
        _ = self.events, self.heard, self.played
        return tuple(self._damage)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened, in order, with whole payloads.

        Raises:
            TraceError: If a line other than the last one is no event.
        """
        file = self.folder / "events.jsonl"
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError as error:
            self._damage.append(f"{file.name}: cannot be read ({error.strerror})")
            return ()
        events, payloads = [], Payloads()
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                events.append(payloads.whole(Event.model_validate_json(line)))
            except ValidationError:
                if number < len(lines):
                    raise TraceError(f"{file}: line {number} is no event: restore the file") from None
                self._damage.append(f"{file.name}: line {number} was cut off and is skipped")
        return tuple(events)

    @cached_property
    def heard(self) -> Samples:
        """The caller: mono at 16 kHz in [-1, 1]."""
        return self._audio("in.flac")

    @cached_property
    def played(self) -> Samples:
        """What was played: mono at 24 kHz in [-1, 1], on the same time axis."""
        return self._audio("out.flac")

    def _audio(self, name: str) -> Samples:
        try:
            return flac.read(self.folder / name).astype(np.float32) / np.float32(32768)
        except (OSError, LibsndfileError) as error:
            self._damage.append(f"{name}: cannot be read ({getattr(error, 'strerror', None) or 'no audio'})")
            return np.zeros(0, np.float32)

    @cached_property
    def duration(self) -> float:
        """Seconds."""
        last = self.events[-1].at if self.events else 0.0
        return max(last, len(self.heard) / INPUT_RATE, len(self.played) / OUTPUT_RATE)

    def of(self, stage: str, way: Way | None = None) -> tuple[Event, ...]:
        """What a stage took and gave, or one of both.

        Raises:
            TraceError: If the conversation had no such stage.
        """
        known = [known.name for known in self.meta.stages] or sorted({event.stage for event in self.events})
        if stage not in known and not any(event.stage == stage for event in self.events):
            raise TraceError(f"{self.folder}: no stage {stage}: choose {', '.join(known)}")
        return tuple(event for event in self.events if event.stage == stage and way in (None, event.way))

    @cached_property
    def turns(self) -> tuple[TracedTurn, ...]:
        """Each from the moment the caller begins to speak. What comes before the first is in none."""
        marks = self._marks()
        turns = []
        begins = [self._first(n) for n, event in enumerate(self.events) if event.kind == "UserStartedSpeakingFrame"]
        for number, (first, after) in enumerate(pairwise([*begins, len(self.events)]), 1):
            end = self.events[after].at if after < len(self.events) else self.duration
            own = self.events[first:after]
            turns.append(TracedTurn(number, own[0].at, end, own, marks.get(number, TurnMarks())))
        return tuple(turns)

    @cached_property
    def cost(self) -> CostLedger:
        """What every turn used, at the prices that ship now. What comes before the first turn is in turn 0."""
        ledger = CostLedger()
        kinds = {kind.__name__: kind for kind in BILLED}
        for event in self.events:
            if event.way == "out" and event.kind == "UserStartedSpeakingFrame" and not event.up:
                ledger.start_turn()
            elif event.way == "out" and event.kind == "MetricsFrame":
                for metric in (event.payload or {}).get("metrics", ()):
                    if kind := kinds.get(metric.get("kind")):
                        ledger.note(kind.model_validate({key: metric[key] for key in metric if key != "kind"}))
        return ledger

    def _first(self, started: int) -> int:
        """The event with which a turn begins: the speech that began it, if that was noticed at the same moment."""
        for n in range(started - 1, -1, -1):
            if self.events[started].at - self.events[n].at > SAME_SECS:
                break
            if self.events[n].kind == "VADUserStartedSpeakingFrame":
                return n
        return started

    def _announced(self, said: Event) -> str:
        """What the voice says of words of which only the number of characters is known, as no guard had read them."""
        count = (said.payload or {}).get("characters")
        later = (event for event in self.events if event.at >= said.at and event.kind == "AggregatedTextFrame")
        return next((event.text for event in later if event.stage == "TTS" and len(event.text) == count), "")

    def _marks(self) -> dict[int, TurnMarks]:
        """Marks by the number of their turn, as `LatencyObserver` makes them."""
        observer, number = LatencyObserver(stages={stage.name: stage.service for stage in self.meta.stages}), 0
        found: dict[int, TurnMarks] = {}
        for event in self.events:
            if event.way != "out" or event.up or event.kind not in MARKED:
                continue
            if event.kind == "TTSTextFrame" and event.stage == "AUDIO_OUT":
                continue
            number += event.kind == "UserStartedSpeakingFrame"
            frame = MARKED[event.kind](event)
            if isinstance(frame, TTSSpeakFrame) and not frame.text:
                frame.text = self._announced(event)
            observer.mark(frame, event.at)
            if observer.turns:
                found.setdefault(number, observer.turns.pop())
        return found
