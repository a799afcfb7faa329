"""What tracing costs on the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.utils.asyncio.task_manager import BaseTaskManager

from pipelines.lab.caller import Caller, MakeWorker, calling
from pipelines.lab.trace.observer import tracing
from pipelines.lab.trace.redact import Redactor, redact


@dataclass(frozen=True)
class Overhead:
    """Time spent in an observer for a frame, over all stages that pass it on. Real time, also on a virtual loop.

    Args:
        frames: How many were seen.
        p50_us: Microseconds, as are the others.
        p99_us: The 99th percentile.
        max_us: The most.
    """

    frames: int
    p50_us: float
    p99_us: float
    max_us: float


class Timed(BaseObserver):
    """Takes the time of another observer.

    Args:
        observer: Sees what this sees.
    """

    def __init__(self, observer: BaseObserver) -> None:
        super().__init__(observe_every_push=observer.observe_every_push)
        self._observer = observer
        self._spent: dict[int, int] = {}

    async def on_push_frame(self, data: FramePushed) -> None:
        begin = perf_counter_ns()
        await self._observer.on_push_frame(data)
        spent = perf_counter_ns() - begin
        self._spent[data.frame.id] = self._spent.get(data.frame.id, 0) + spent

    async def setup(self, task_manager: BaseTaskManager) -> None:
        await super().setup(task_manager)
        await self._observer.setup(task_manager)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._observer.cleanup()

    def overhead(self) -> Overhead:
        """So far."""
        spent = np.array([*self._spent.values()] or [0]) / 1000
        p50, p99 = np.percentile(spent, [50, 99])
        return Overhead(len(self._spent), float(p50), float(p99), float(spent.max()))


async def measure(
    folder: Path | str,
    make_worker: MakeWorker,
    converse: Callable[[Caller], Awaitable[object]],
    *,
    redactor: Redactor | None = redact,
) -> Overhead:
    """Hold a conversation that is traced, and say what the tracing took of the event loop's time.

    Args:
        folder: Where the trace is written.
        make_worker: As for `pipelines.lab.caller.calling`.
        converse: What the caller does.
        redactor: As for `tracing`.

    Raises:
        TraceError: If the folder cannot be made.
    """
    async with tracing(folder, redactor=redactor) as trace:
        timed = Timed(trace)
        async with calling(lambda transport, observers: make_worker(transport, [*observers, timed])) as caller:
            await converse(caller)
    return timed.overhead()
