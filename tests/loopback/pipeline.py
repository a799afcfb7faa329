"""One service in a real pipeline, with everything that comes out of it kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

F = TypeVar("F", bound=Frame)

PATIENCE_SECS = 20.0
"""How long to wait for something that should come at once."""


class _Ear(FrameProcessor):
    def __init__(self, heard: Callable[[Frame], None], direction: FrameDirection) -> None:
        super().__init__(enable_direct_mode=True)
        self._heard = heard
        self._toward = direction

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is self._toward:
            self._heard(frame)
        await self.push_frame(frame, direction)


class Bench:
    """What one service was given and what came out."""

    def __init__(self) -> None:
        self.down: list[Frame] = []
        self.up: list[Frame] = []
        self._news = asyncio.Event()
        self.worker: PipelineWorker

    def note(self, into: list[Frame], frame: Frame) -> None:
        """Keep a frame that came out."""
        into.append(frame)
        self._news.set()

    async def send(self, *frames: Frame) -> None:
        await self.worker.queue_frames(frames)

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until something is true of the frames so far.

        Raises:
            TimeoutError: If it does not become true.
        """
        async with asyncio.timeout(PATIENCE_SECS):
            while not fact():
                self._news.clear()
                await self._news.wait()

    async def wait(self, kind: type[F], count: int = 1) -> F:
        """The `count`-th frame of that kind to come out, upstream or downstream."""
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    def all(self, kind: type[F]) -> list[F]:
        return [frame for frame in (*self.down, *self.up) if isinstance(frame, kind)]

    @property
    def errors(self) -> list[ErrorFrame]:
        return self.all(ErrorFrame)

    def seconds_of_audio(self) -> float:
        return sum(frame.num_frames / frame.sample_rate for frame in self.all(OutputAudioRawFrame))


@asynccontextmanager
async def bench(service: FrameProcessor) -> AsyncIterator[Bench]:
    """Run `service` between two ears, at 16 kHz in and 24 kHz out, until the block ends; then end it properly."""
    board = Bench()
    board.worker = PipelineWorker(
        Pipeline(
            [
                _Ear(lambda frame: board.note(board.up, frame), FrameDirection.UPSTREAM),
                service,
                _Ear(lambda frame: board.note(board.down, frame), FrameDirection.DOWNSTREAM),
            ]
        ),
        params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=24000, enable_usage_metrics=True),
        enable_rtvi=False,
        cancel_on_idle_timeout=False,
    )
    started = asyncio.Event()

    @board.worker.event_handler("on_pipeline_started")
    async def _(*_: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(board.worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            await started.wait()
        yield board
        await board.worker.queue_frame(EndFrame())
        async with asyncio.timeout(PATIENCE_SECS):
            await running
    finally:
        if not running.done():
            await board.worker.cancel()
            await running


def event(service: FrameProcessor, name: str) -> asyncio.Event:
    """Set when the service next reports the event of that name."""
    happened = asyncio.Event()

    async def handle(*_: object) -> None:
        happened.set()

    service.add_event_handler(name, handle)
    return happened
