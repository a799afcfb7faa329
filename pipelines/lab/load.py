"""What running something costs this process and those it started: memory, processor time, stalls of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psutil

TICK_SECS = 0.005


@dataclass
class Load:
    """Measured while `measured()` was open.

    Args:
        rss_peak_mb: Largest resident set, in MB of 10^6 bytes.
        cpu_cores: Processor time per second of wall time.
        worst_stall_ms: Longest time that the event loop was late for a timer.
    """

    rss_peak_mb: float = 0.0
    cpu_cores: float = 0.0
    worst_stall_ms: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Rounded figures by name."""
        return {
            "rss_peak_mb": round(self.rss_peak_mb),
            "cpu_cores": round(self.cpu_cores, 2),
            "worst_stall_ms": round(self.worst_stall_ms, 1),
        }


@asynccontextmanager
async def measured(load: Load) -> AsyncIterator[None]:
    """Measure this process into `load`; several periods add up to their worst and their mean."""
    process = psutil.Process()
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        ticks = 0
        while True:
            due = loop.time() + TICK_SECS
            await asyncio.sleep(TICK_SECS)
            load.worst_stall_ms = max(load.worst_stall_ms, 1000 * (loop.time() - due))
            ticks += 1
            if ticks % 40 == 0:
                load.rss_peak_mb = max(load.rss_peak_mb, sum(p.memory_info().rss for p in family()) / 1e6)

    def family() -> list[psutil.Process]:
        return [process, *process.children(recursive=True)]

    def used() -> float:
        return sum(times.user + times.system for times in (p.cpu_times() for p in family()))

    before, begun = used(), loop.time()
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        cores = (used() - before) / max(loop.time() - begun, 1e-9)
        load.cpu_cores = cores if not load.cpu_cores else (load.cpu_cores + cores) / 2
