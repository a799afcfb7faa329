"""What hearing how something is said, and answering in kind, add to the wait for an answer: with and without them.

Turns are told apart by whether the language model was told something of the caller's voice: reading that takes time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import LLMContextFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport
from rich.table import Table

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app import recording
from pipelines.assemble import assemble
from pipelines.definition import DELIVERY, HEARING, Architecture
from pipelines.lab.bench_latency import TURNS_PER_CALL, machine, utterances
from pipelines.lab.caller import Turn, calling
from pipelines.lab.latency import MARKS
from pipelines.lab.load import Load, measured
from pipelines.lab.retention.manners import people
from pipelines.stacks.embedded import EMBEDDED
from processors.pcm import Samples

AIM_MS = 20.0
"""What may be added to the median."""

SPEAKER = r"tau2|sb_spk\d|Wavenet-C"
"""What names of recordings tell of who speaks. What tells nothing of it is left out."""

UNTIL_FIRST_TOKEN = tuple(MARKS.values())[:4]
"""The parts that do not depend on which words the model chooses."""


@dataclass(frozen=True)
class Recorded:
    """Something said.

    Args:
        name: Of the recording.
        samples: Mono at 16 kHz.
    """

    name: str
    samples: Samples


@dataclass(frozen=True)
class Held:
    """A turn, and what the language model was told of the caller's voice.

    Args:
        name: Of the recording.
        turn: What came of it.
        told: In the context.
    """

    name: str
    turn: Turn
    told: str = ""


@dataclass
class Way:
    """One of the two.

    Args:
        name: For people.
        architecture: What it is.
        turns: In order.
        load: What they cost the machine.
    """

    name: str
    architecture: Architecture
    turns: list[Held] = field(default_factory=list)
    load: Load = field(default_factory=Load)

    def percentile(self, share: float) -> float:
        """Milliseconds from the end of speech to the first sound, over answered turns."""
        totals = [held.turn.marks.total_ms for held in self.turns if held.turn.marks.total_ms is not None]
        return float(np.percentile(totals, share)) if totals else float("nan")


@dataclass(frozen=True)
class Added:
    """By how many milliseconds the same recordings were answered later; shares are percentiles of the differences.

    Args:
        turns: Answered both ways.
        p50: To the first sound.
        p95: The same.
        token_p50: To the first token.
        token_p95: The same.
    """

    turns: int
    p50: float
    p95: float
    token_p50: float
    token_p95: float

    def as_json(self) -> dict[str, float]:
        """Rounded figures by name."""
        return {name: round(value, 1) for name, value in vars(self).items()}


class _Told(BaseObserver):
    """What the language model is told of the caller's voice."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.begin()

    def begin(self) -> None:
        """The next turn begins."""
        self._context: LLMContextFrame | None = None

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, LLMContextFrame):
            self._context = data.frame

    @property
    def told(self) -> str:
        """With the words that were answered."""
        found = self._context.context.get_messages() if self._context else []
        messages = [message for message in found if isinstance(message, dict)]
        roles = [message.get("role") for message in messages]
        if "user" not in roles:
            return ""
        at = len(roles) - 1 - roles[::-1].index("user")
        return str(messages[at - 1].get("content")) if at and roles[at - 1] == "developer" else ""


@dataclass(frozen=True)
class Result:
    """Both ways, on one machine at one time.

    Args:
        on: With hearing and delivery.
        off: Without.
        machine: Which.
        date: When.
    """

    on: Way
    off: Way
    machine: str
    date: str

    def added(self, *, told: bool | None = None) -> Added:
        """What they add.

        Args:
            told: Only turns in which the language model was told something, or only the others; all if None.
        """
        pairs = [
            (on.turn.marks, off.turn.marks)
            for on, off in zip(self.on.turns, self.off.turns, strict=True)
            if on.turn.answered and off.turn.answered and told in (None, bool(on.told))
        ]

        def until_token(marks: Any) -> float:
            return float(sum(part.ms for part in marks.parts() if part.name in UNTIL_FIRST_TOKEN))

        totals = np.array([(on.total_ms or 0) - (off.total_ms or 0) for on, off in pairs])
        tokens = np.array([until_token(on) - until_token(off) for on, off in pairs])
        return Added(len(pairs), *(_share(each, share) for each in (totals, tokens) for share in (50, 95)))

    @property
    def median(self) -> float:
        """By how many milliseconds the median is later."""
        return self.on.percentile(50) - self.off.percentile(50)

    @property
    def told(self) -> int:
        """Turns in which the language model was told something."""
        return sum(bool(held.told) for held in self.on.turns)

    def as_json(self) -> dict[str, Any]:
        """All figures and every turn."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "added_to_median_ms": round(self.median, 1),
            "added_ms": {
                "all": self.added().as_json(),
                "untold": self.added(told=False).as_json(),
                "told": self.added(told=True).as_json(),
            },
            "told": self.told,
            **{
                way.name: {
                    "p50_ms": round(way.percentile(50), 1),
                    "p95_ms": round(way.percentile(95), 1),
                    **way.load.as_json(),
                    "each": [
                        {
                            "file": held.name,
                            "ms": None if held.turn.marks.total_ms is None else round(held.turn.marks.total_ms, 1),
                            "parts_ms": [round(part.ms, 1) for part in held.turn.marks.parts()],
                            "told": held.told,
                            "answer": held.turn.answer,
                        }
                        for held in way.turns
                    ],
                }
                for way in (self.off, self.on)
            },
        }


def _share(values: NDArray[np.float64], share: float) -> float:
    return float(np.percentile(values, share)) if len(values) else float("nan")


async def run(data: Path, on_turn: Callable[[str, str, int, int], None], limit: int | None = None) -> Result:
    """Hold every turn both ways, call by call in alternation. Each call has one caller: the recordings' own speakers,
    and actors in four manners.

    Args:
        data: The folder with the recordings.
        on_turn: Called before each turn with the way, the recording, turns done and turns in all.
        limit: Take only this many recordings.

    Raises:
        BenchError: If there are too few recordings.
    """
    batches = _calls(data)
    if limit is not None:
        batches = _limited(batches, limit)
    of = 2 * sum(map(len, batches))
    await EMBEDDED.load(ADVANCED_CASCADE)
    on = Way("with", ADVANCED_CASCADE)
    off = Way("without", ADVANCED_CASCADE.without(HEARING, DELIVERY))
    for way in (on, off):
        # The first call warms what a process warms once.
        await _call(Way("warm-up", way.architecture), batches[0][:1])
    done = 0
    for place, batch in enumerate(batches):
        # Who comes first changes, since the second finds the machine as the first left it.
        for way in (on, off) if place % 2 else (off, on):

            def report(name: str, number: int, who: str = way.name, before: int = done) -> None:
                on_turn(who, name, before + number, of)

            async with measured(way.load):
                await _call(way, batch, report)
            done += len(batch)
    return Result(on, off, machine(), datetime.now(UTC).date().isoformat())


def _calls(data: Path) -> list[list[Recorded]]:
    """Calls of one speaker each, those of actors in between."""
    speakers: dict[str, list[Recorded]] = {}
    for path in utterances(data):
        if found := re.search(SPEAKER, path.name):
            speakers.setdefault(found[0], []).append(Recorded(path.name, recording.load(path)))
    own = [each[at : at + TURNS_PER_CALL] for each in speakers.values() for at in range(0, len(each), TURNS_PER_CALL)]
    said = people(data, len(own))
    acted = [
        [Recorded(f"{each.speaker}, {each.manner}", each.samples) for each in said if each.speaker == speaker]
        for speaker in dict.fromkeys(each.speaker for each in said)
    ]
    return [batch for both in zip(acted, own, strict=True) for batch in both]


def _limited(batches: Sequence[list[Recorded]], limit: int) -> list[list[Recorded]]:
    """The first calls, up to a number of recordings."""
    kept: list[list[Recorded]] = []
    for batch in batches:
        room = limit - sum(map(len, kept))
        if room > 0:
            kept.append(batch[:room])
    return kept


async def _call(
    way: Way, recordings: Sequence[Recorded], on_turn: Callable[[str, int], None] = lambda name, number: None
) -> None:
    told = _Told()

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(way.architecture, EMBEDDED, transport, observers=[*observers, told])

    async with calling(make) as caller:
        for number, each in enumerate(recordings):
            on_turn(each.name, number)
            told.begin()
            turn = await caller.say(each.samples)
            way.turns.append(Held(each.name, turn, told.told))


def table(result: Result) -> Table:
    """For people."""
    shown = Table(
        title=f"From the end of speech to the first sound of the answer, ms — {result.machine}, {result.date}",
    )
    shown.add_column("")
    for column in ("turns", "p50", "p95", "to the first token p50", "p95"):
        shown.add_column(column, justify="right")
    for way in (result.off, result.on):
        shown.add_row(
            f"{way.name} hearing and delivery", str(len(way.turns)), f"{way.percentile(50):.0f}",
            f"{way.percentile(95):.0f}", "", "",
        )  # fmt: skip
    shown.add_row(f"added to the median (aim ≤ {AIM_MS:.0f})", "", f"{result.median:+.0f}", "", "", "", style="bold")
    shown.add_section()
    for name, told in (("all turns", None), ("the LLM was told nothing", False), ("the LLM was told something", True)):
        added = result.added(told=told)
        figures = (added.p50, added.p95, added.token_p50, added.token_p95)
        shown.add_row(f"same recording later: {name}", str(added.turns), *(f"{ms:+.0f}" for ms in figures))
    return shown
