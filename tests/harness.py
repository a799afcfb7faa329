"""Runs one processor by hand: frames in by call, what it pushes in a list, no pipeline; and tests on virtual time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import Frame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.utils.asyncio.task_manager import TaskManager

from pipelines.lab import virtual

Given = ParamSpec("Given")
Kind = TypeVar("Kind", bound=Frame)


def on_virtual_time(
    costs: Mapping[str, float] | None = None, *, measured: bool = False
) -> Callable[[Callable[Given, Coroutine[Any, Any, None]]], Callable[Given, None]]:
    """Have a test run on virtual time: what it waits for comes at once, and at the same times in every run.

    Args:
        costs: As for `virtual.run`.
        measured: As for `virtual.run`, where a model in a thread or in another process takes part.
    """

    def decorate(test: Callable[Given, Coroutine[Any, Any, None]]) -> Callable[Given, None]:
        @functools.wraps(test)
        def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
            virtual.run(test(*args, **kwargs), costs=costs, measured=measured)

        return run

    return decorate


class Neighbour(FrameProcessor):
    """Stands before or behind the processor and keeps what it is pushed."""

    def __init__(self, pushed: list[tuple[Frame, FrameDirection]]) -> None:
        super().__init__()
        self._pushed = pushed

    async def queue_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM, *_: object
    ) -> None:
        self._pushed.append((frame, direction))


class Bench:
    """A processor on the workbench."""

    def __init__(self, processor: FrameProcessor) -> None:
        self.processor = processor
        self.pushed: list[tuple[Frame, FrameDirection]] = []
        Neighbour(self.pushed).link(processor)
        processor.link(Neighbour(self.pushed))

    async def give(self, *frames: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Have the frames processed one after the other."""
        for frame in frames:
            await self.processor.process_frame(frame, direction)

    def take(self, kind: type[Kind]) -> list[Kind]:
        """What it has pushed of one kind, in order; the rest stays."""
        taken = [frame for frame, _ in self.pushed if isinstance(frame, kind)]
        self.pushed[:] = [(frame, direction) for frame, direction in self.pushed if not isinstance(frame, kind)]
        return taken


@asynccontextmanager
async def on_the_bench(processor: FrameProcessor, *, input_rate: int = 16000) -> AsyncIterator[Bench]:
    """Set a processor up, start it and clean it up at the end."""
    bench = Bench(processor)
    manager = TaskManager(loop=asyncio.get_running_loop())
    await processor.setup(
        FrameProcessorSetup(
            clock=SystemClock(),
            task_manager=manager,
            pipeline_worker=PipelineWorker(Pipeline([])),
            audio_in_sample_rate=input_rate,
            audio_out_sample_rate=24000,
        )
    )
    try:
        await bench.give(StartFrame())
        bench.pushed.clear()
        yield bench
    finally:
        await processor.cleanup()
