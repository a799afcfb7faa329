"""How fast the lab is: simulated seconds for a second of real time, and what a trace costs on the event loop.

As a program, `python -m pipelines.lab.bench_lab TURNS` holds one call and prints how it went, for `run`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.bench_latency import machine
from pipelines.lab.holding import Recording, hold
from pipelines.lab.profile import Profile
from pipelines.lab.script import Conversation, agent, caller
from pipelines.lab.trace import TraceObserver
from pipelines.lab.trace.overhead import Overhead, Timed

TURNS = 120
PROCESSES = 3
PROFILE = "vendor_cascade"
PAUSE_SECS = 3.2
"""Between an answer and the next question, so that the call takes half an hour."""


@dataclass(frozen=True)
class Held:
    """One long call as a process of its own held it.

    Args:
        simulated: Seconds of the call.
        wall: Seconds that it took to simulate, without the process's imports.
        digest: Of every event and its time.
    """

    simulated: float
    wall: float
    digest: str


@dataclass(frozen=True)
class Result:
    """One long call, held in three processes without a trace, and with one.

    Args:
        turns: Of the call.
        plain: The call without a trace, by process.
        traced_wall: Seconds with a trace being written.
        traced_digest: Of that call's events.
        overhead: What the trace took of the event loop.
    """

    turns: int
    plain: tuple[Held, ...]
    traced_wall: float
    traced_digest: str
    overhead: Overhead
    machine: str
    date: str

    @property
    def simulated(self) -> float:
        """Seconds of the call."""
        return self.plain[0].simulated

    @property
    def wall(self) -> float:
        """Seconds that it took to simulate: the median of the processes."""
        return median(held.wall for held in self.plain)

    @property
    def digests(self) -> list[str]:
        """Of the call's events, by process; they are to be the same."""
        return [held.digest for held in self.plain]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "turns": self.turns,
            "simulated_s": round(self.simulated, 1),
            "wall_s": round(self.wall, 2),
            "walls_s": [round(held.wall, 2) for held in self.plain],
            "simulated_s_per_wall_s": round(self.simulated / self.wall, 1),
            "traced_wall_s": round(self.traced_wall, 2),
            "trace_us_per_frame": {
                "p50": round(self.overhead.p50_us, 1),
                "p99": round(self.overhead.p99_us, 1),
                "max": round(self.overhead.max_us, 1),
            },
            "digests": self.digests,
            "same_in_every_process": len(set(self.digests)) == 1,
            "same_with_a_trace": self.traced_digest == self.digests[0],
        }


def long_call(turns: int = TURNS) -> Conversation:
    """Questions and answers of a few seconds each."""
    steps = [
        step
        for number in range(turns)
        for step in (
            caller(f"Here is question number {number} about the order that I made.", after=PAUSE_SECS),
            agent(f"This is answer number {number}. It takes a while to say, as answers on the phone do."),
        )
    ]
    return Conversation("a long call", *steps)


def held_here(turns: int) -> Held:
    """Hold the call in this process."""
    call, how = _prepared(turns)
    recording, wall = _timed(lambda: virtual.run(hold(call, BASIC_CASCADE, how)))
    return Held(recording.seconds, wall, recording.digest)


def held_elsewhere(turns: int) -> Held:
    """Hold the call in a process of its own.

    Raises:
        subprocess.CalledProcessError: If it fails; why stands on standard error.
    """
    program = [sys.executable, "-m", "pipelines.lab.bench_lab", str(turns)]
    quiet = {**os.environ, "LOGURU_LEVEL": "WARNING"}
    done = subprocess.run(program, stdout=subprocess.PIPE, check=True, env=quiet)  # noqa: S603
    return Held(**json.loads(done.stdout))


def run(on_step: Callable[[int, int], None] = lambda done, of: None, *, turns: int = TURNS) -> Result:
    """Hold the call in three processes, one after the other, and once more with a trace.

    Args:
        on_step: Told how many of how many calls are done.
        turns: Of the call.
    """
    calls = PROCESSES + 1
    plain = []
    for number in range(PROCESSES):
        on_step(number, calls)
        plain.append(held_elsewhere(turns))
    on_step(PROCESSES, calls)
    call, how = _prepared(turns)
    with tempfile.TemporaryDirectory() as folder:

        async def traced() -> tuple[Recording, Overhead]:
            timed = Timed(TraceObserver(Path(folder)))
            return await hold(call, BASIC_CASCADE, how, observers=[timed]), timed.overhead()

        (recorded, overhead), traced_wall = _timed(lambda: virtual.run(traced()))
    on_step(calls, calls)
    today = datetime.now(UTC).date().isoformat()
    return Result(turns, tuple(plain), traced_wall, recorded.digest, overhead, machine(), today)


def _prepared(turns: int) -> tuple[Conversation, Profile]:
    """The call and its pace. What a process imports and builds once is no part of a call, and done here."""
    how = profile.load(PROFILE)
    virtual.run(hold(long_call(1), BASIC_CASCADE, how))
    return long_call(turns), how


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def table(result: Result) -> Table:
    """The figures for people."""
    shown = Table(
        title=f"A call of {result.turns} turns on virtual time — {result.machine}, {result.date}", show_header=False
    )
    figures = result.as_json()
    trace = figures["trace_us_per_frame"]
    shown.add_row("length of the call", f"{result.simulated / 60:.1f} min")
    shown.add_row("time to simulate it", f"{result.wall:.1f} s")
    shown.add_row("simulated seconds a second", f"{figures['simulated_s_per_wall_s']:.0f}", style="bold")
    shown.add_row("with a trace being written", f"{result.traced_wall:.1f} s")
    shown.add_row(
        "a trace's time on the event loop, p50 / p99 / most",
        f"{trace['p50']} / {trace['p99']} / {trace['max']} µs a frame",
    )
    shown.add_row("the same events in three processes", "yes" if figures["same_in_every_process"] else "no")
    shown.add_row("the same events with a trace", "yes" if figures["same_with_a_trace"] else "no")
    return shown


if __name__ == "__main__":
    json.dump(asdict(held_here(int(sys.argv[1]))), sys.stdout)
