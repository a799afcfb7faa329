"""How long a caller waits for an answer, against a plain Pipecat pipeline with the same models in the same run."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from pipelines.app import recording
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab.baseline import plain_worker
from pipelines.lab.caller import MakeWorker, Turn, calling
from pipelines.lab.latency import MARKS
from pipelines.lab.load import Load, measured
from pipelines.stacks.embedded import EMBEDDED

LATE_SECS = 2.0
"""An answer that takes longer than this counts as late."""

TURNS_PER_CALL = 6
PATTERNS = ("agent_turns_tau2/*.wav", "read_speech/*", "turn_vap_phrases/*_female_en-US-Wavenet-C.flac")
LONGEST_SECS = 15.0
FEWEST = 30


class BenchError(RuntimeError):
    """The benchmark cannot be run here. One line."""

    mendable = True


def utterances(data: Path) -> list[Path]:
    """The recordings: caller turns, real read speech up to 15 s, and finished phrases.

    Raises:
        BenchError: If there are fewer than 30.
    """
    found = [path for pattern in PATTERNS for path in sorted(data.glob(pattern))]
    short = [path for path in found if len(recording.load(path)) <= LONGEST_SECS * recording.RATE]
    if len(short) < FEWEST:
        raise BenchError(
            f"{data}: holds {len(short)} of the {FEWEST} recordings that the benchmark needs: give their folder with "
            f"--data"
        )
    return short


@dataclass
class Contestant:
    """One pipeline's turns and what they cost."""

    name: str
    make: MakeWorker
    turns: list[tuple[Path, Turn]] = field(default_factory=list)
    load: Load = field(default_factory=Load)

    def latencies(self) -> NDArray[np.float64]:
        """Milliseconds of all turns; one that was never answered counts as infinite."""
        totals = [turn.marks.total_ms for _, turn in self.turns]
        return np.array([np.inf if total is None else total for total in totals])

    def percentile(self, share: float) -> float:
        """Milliseconds, over all turns."""
        return float(np.percentile(self.latencies(), share, method="higher"))

    def part(self, name: str, share: float) -> float:
        """Milliseconds of one part over the answered turns."""
        values = [part.ms for _, turn in self.turns for part in turn.marks.parts() if part.name == name]
        return float(np.percentile(values, share)) if values else float("nan")

    def counts(self) -> dict[str, int]:
        """What went wrong, in turns."""
        latencies = self.latencies()
        return {
            "turns": len(self.turns),
            "unanswered": int(np.isinf(latencies).sum()),
            "late": int((np.isfinite(latencies) & (latencies > 1000 * LATE_SECS)).sum()),
            "ended_in_mid_utterance": sum(turn.ended_early > 0 for _, turn in self.turns),
            "spoken_over": sum(turn.spoken_over for _, turn in self.turns),
            "with_errors": sum(bool(turn.errors) for _, turn in self.turns),
        }

    def as_json(self) -> dict[str, Any]:
        """All figures and every turn."""
        return {
            "p50_ms": round(self.percentile(50), 1),
            "p95_ms": round(self.percentile(95), 1),
            "parts_ms": {
                name: {"p50": round(self.part(name, 50), 1), "p95": round(self.part(name, 95), 1)}
                for name in MARKS.values()
            },
            **self.counts(),
            **self.load.as_json(),
            "each": [
                {
                    "file": path.name,
                    "ms": None if turn.marks.total_ms is None else round(turn.marks.total_ms, 1),
                    "parts_ms": [round(part.ms, 1) for part in turn.marks.parts()],
                    "transcript": turn.transcript,
                    "answer": turn.answer,
                    "ended_early": turn.ended_early,
                    "spoken_over": turn.spoken_over,
                }
                for path, turn in self.turns
            ],
        }


@dataclass
class Result:
    """Both contestants, measured on one machine at one time."""

    ours: Contestant
    plain: Contestant
    machine: str
    date: str

    @property
    def ratio(self) -> float:
        """Our median by the plain pipeline's."""
        return self.ours.percentile(50) / self.plain.percentile(50)

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "ratio_p50": round(self.ratio, 3),
            "antiphon": self.ours.as_json(),
            "plain_pipecat": self.plain.as_json(),
        }


def machine() -> str:
    """Processor, cores and memory, in words."""
    import psutil

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"


async def run(data: Path, on_turn: Callable[[str, Path, int, int], None], limit: int | None = None) -> Result:
    """Hold every turn with both pipelines, call by call in alternation.

    Args:
        data: The folder with the recordings.
        on_turn: Called before each turn with the contestant, the recording, turns done and turns in all.
        limit: Take only this many recordings, spread over all.

    Raises:
        BenchError: As `utterances`.
    """
    paths = utterances(data)
    if limit is not None:
        paths = paths[:: max(1, len(paths) // limit)][:limit]
    await EMBEDDED.load(BASIC_CASCADE)
    ours = Contestant("Antiphon", lambda t, observers: assemble(BASIC_CASCADE, EMBEDDED, t, observers=observers))
    plain = Contestant("plain Pipecat", plain_worker)
    done = 0
    # The first call warms what a process warms once.
    await _call(Contestant("warm-up", ours.make), paths[:1])
    await _call(Contestant("warm-up", plain.make), paths[:1])
    for at in range(0, len(paths), TURNS_PER_CALL):
        batch = paths[at : at + TURNS_PER_CALL]
        for contestant in (plain, ours):

            def report(path: Path, number: int, name: str = contestant.name, before: int = done) -> None:
                on_turn(name, path, before + number, 2 * len(paths))

            async with measured(contestant.load):
                await _call(contestant, batch, report)
            done += len(batch)
    return Result(ours, plain, machine(), datetime.now(UTC).date().isoformat())


async def _call(
    contestant: Contestant, paths: Sequence[Path], on_turn: Callable[[Path, int], None] = lambda path, number: None
) -> None:
    async with calling(contestant.make) as caller:
        for number, path in enumerate(paths):
            on_turn(path, number)
            contestant.turns.append((path, await caller.say(recording.load(path))))


def table(result: Result) -> Table:
    """The comparison for people."""
    shown = Table(
        title=f"From the end of speech to the first sound of the answer, ms — {result.machine}, {result.date}"
    )
    shown.add_column("")
    for name in (result.plain.name, result.ours.name):
        shown.add_column(f"{name} p50", justify="right")
        shown.add_column("p95", justify="right")
    both = (result.plain, result.ours)
    for part in MARKS.values():
        shown.add_row(part, *(f"{c.part(part, share):.0f}" for c in both for share in (50, 95)))
    shown.add_section()
    shown.add_row("all turns", *(f"{c.percentile(share):.0f}" for c in both for share in (50, 95)), style="bold")
    shown.add_row("ratio of medians", "", "", f"{result.ratio:.2f}", "")
    shown.add_section()
    for name in result.ours.counts():
        shown.add_row(name.replace("_", " "), *(x for c in both for x in (str(c.counts()[name]), "")))
    for name, unit in (("rss_peak_mb", "MB"), ("cpu_cores", "cores"), ("worst_stall_ms", "ms")):
        shown.add_row(
            f"{name.rsplit('_', 1)[0].replace('_', ' ')} ({unit})",
            *(x for c in both for x in (str(c.load.as_json()[name]), "")),
        )
    return shown
