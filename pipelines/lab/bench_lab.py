"""How fast the lab is: simulated seconds for a second of real time, and what a trace costs on the event loop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.bench_latency import machine
from pipelines.lab.holding import Recording, hold
from pipelines.lab.script import Conversation, agent, caller
from pipelines.lab.trace import TraceObserver
from pipelines.lab.trace.overhead import Overhead, Timed

TURNS = 120
PROFILE = "vendor_cascade"
PAUSE_SECS = 3.2
"""Between an answer and the next question, so that the call takes half an hour."""


@dataclass(frozen=True)
class Result:
    """One long call, held without and with a trace.

    Args:
        simulated: Seconds of the call.
        wall: Seconds that it took to simulate.
        traced_wall: The same with a trace being written.
        overhead: What the trace took of the event loop.
        digests: Of the two calls; they are equal.
    """

    simulated: float
    wall: float
    traced_wall: float
    overhead: Overhead
    digests: tuple[str, str]
    machine: str
    date: str

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "turns": TURNS,
            "simulated_s": round(self.simulated, 1),
            "wall_s": round(self.wall, 2),
            "simulated_s_per_wall_s": round(self.simulated / self.wall, 1),
            "traced_wall_s": round(self.traced_wall, 2),
            "trace_us_per_frame": {
                "p50": round(self.overhead.p50_us, 1),
                "p99": round(self.overhead.p99_us, 1),
                "max": round(self.overhead.max_us, 1),
            },
            "same_twice": self.digests[0] == self.digests[1],
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


def run(on_step: Callable[[int, int], None] = lambda done, of: None) -> Result:
    """Hold the call twice.

    Args:
        on_step: Told how many of how many calls are done.
    """
    call, how = long_call(), profile.load(PROFILE)
    # What a process imports and builds once is no part of a call.
    virtual.run(hold(long_call(1), BASIC_CASCADE, how))
    on_step(0, 2)
    plain, wall = _timed(lambda: virtual.run(hold(call, BASIC_CASCADE, how)))
    on_step(1, 2)
    with tempfile.TemporaryDirectory() as folder:

        async def traced() -> tuple[Recording, Overhead]:
            timed = Timed(TraceObserver(Path(folder)))
            return await hold(call, BASIC_CASCADE, how, observers=[timed]), timed.overhead()

        (recorded, overhead), traced_wall = _timed(lambda: virtual.run(traced()))
    on_step(2, 2)
    digests = (plain.digest, recorded.digest)
    return Result(plain.seconds, wall, traced_wall, overhead, digests, machine(), datetime.now(UTC).date().isoformat())


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def table(result: Result) -> Table:
    """The figures for people."""
    shown = Table(title=f"A call of {TURNS} turns on virtual time — {result.machine}, {result.date}", show_header=False)
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
    shown.add_row("the same events twice", "yes" if figures["same_twice"] else "no")
    return shown
