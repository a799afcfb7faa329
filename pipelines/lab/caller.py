"""Someone who calls: speaks recordings to a pipeline at real-time pace and keeps what is said and heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from pipelines.lab.acoustics import first_audible, speech_end
from pipelines.lab.latency import LatencyObserver, TurnMarks
from processors.pcm import to_samples
from processors.transports.memory import MemoryTransport

RATE = 16000
OUTPUT_RATE = 24000
CHUNK_SECS = 0.02
QUIET_SECS = 1.0
"""Silence after which an answer counts as over."""


@runtime_checkable
class _Prepares(Protocol):
    async def prepared(self) -> None: ...


MakeWorker = Callable[[BaseTransport, Sequence[BaseObserver]], PipelineWorker]


@dataclass
class Turn:
    """One thing said by the caller and what came of it. Times are seconds on the event loop's clock."""

    started: float
    speech_end: float
    transcript: str = ""
    answer: str = ""
    marks: TurnMarks = field(default_factory=TurnMarks)
    ended_early: int = 0
    spoken_over: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether an answer was heard after the caller had finished."""
        return "heard" in self.marks.at


class _Watch(BaseObserver):
    """Collects the words of both sides and the moments the harness waits for."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.turn: Turn | None = None

    async def on_push_frame(self, data: FramePushed) -> None:
        frame: Frame = data.frame
        turn = self.turn
        if turn is None:
            return
        if isinstance(frame, ErrorFrame):
            turn.errors.append(frame.error)
        elif isinstance(frame, InterimTranscriptionFrame):
            return
        elif isinstance(frame, TranscriptionFrame):
            turn.transcript = f"{turn.transcript} {frame.text}".strip()
        elif isinstance(frame, TTSTextFrame):
            turn.answer = f"{turn.answer} {frame.text}".strip()
        elif isinstance(frame, UserStoppedSpeakingFrame) and data.direction is FrameDirection.DOWNSTREAM:
            turn.ended_early += asyncio.get_running_loop().time() < turn.speech_end


class Caller:
    """Speaks to a pipeline. Use `calling(make_worker)`.

    `heard` holds all that the pipeline has played, with the times at which its pieces were heard.
    """

    def __init__(self, transport: MemoryTransport, watch: _Watch, latency: LatencyObserver) -> None:
        self._transport = transport
        self._watch = watch
        self._latency = latency
        self._queue: asyncio.Queue[NDArray[np.int16]] = asyncio.Queue()
        self._played = asyncio.Event()
        self._sounded = asyncio.Event()
        self.heard: list[tuple[float, bytes]] = []

    def listen(self, pcm: bytes, at: float) -> None:
        """Take a piece of what the pipeline plays."""
        self.heard.append((at, pcm))
        self._played.set()
        if first_audible(to_samples(pcm)) is not None:
            self._sounded.set()

    async def sound(self) -> None:
        """Wait until something audible is played."""
        while not any(first_audible(to_samples(pcm)) is not None for _, pcm in self.heard):
            self._played.clear()
            await self._played.wait()

    async def feed(self) -> None:
        """Send the microphone's audio in real time: what is being said, silence otherwise."""
        loop = asyncio.get_running_loop()
        chunk = round(RATE * CHUNK_SECS)
        silence = np.zeros(chunk, np.int16)
        speaking: NDArray[np.int16] = silence[:0]
        due = loop.time()
        while True:
            if not len(speaking) and not self._queue.empty():
                speaking = self._queue.get_nowait()
            piece, speaking = speaking[:chunk], speaking[chunk:]
            if len(piece) < chunk:
                piece = np.concatenate([piece, silence[len(piece) :]])
            due += CHUNK_SECS
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._transport.hear(piece.tobytes())

    def speak(self, samples: NDArray[np.float32]) -> float:
        """Begin to speak, behind what is being said. Mono at 16 kHz in [-1, 1].

        Returns:
            When it begins if nothing is being said, on the event loop's clock.
        """
        self._queue.put_nowait((np.clip(samples, -1, 1) * 32767).astype(np.int16))
        return asyncio.get_running_loop().time() + CHUNK_SECS

    async def say(self, samples: NDArray[np.float32], *, patience: float = 8.0) -> Turn:
        """Speak, wait for the answer and hear it out.

        Args:
            samples: Mono at 16 kHz in [-1, 1].
            patience: Seconds to wait for an answer after the end of speech.
        """
        loop = asyncio.get_running_loop()
        started = loop.time() + CHUNK_SECS
        turn = Turn(started, started + speech_end(samples, RATE))
        self._watch.turn = turn
        self.heard.clear()
        self.speak(samples)
        await asyncio.sleep(max(0.0, started + len(samples) / RATE - loop.time()))
        heard = await self._answer_begins(turn.speech_end, patience)
        turn.spoken_over = self._audible_between(turn.started, turn.speech_end)
        if heard is not None:
            await self._answer_ends()
            if self._latency.turns:
                turn.marks = self._latency.turns[-1]
            turn.marks.speech_end = turn.speech_end
            turn.marks.at["heard"] = heard
        return turn

    async def _answer_begins(self, speech_end: float, patience: float) -> float | None:
        """When the answer's first audible sample is heard; None if it is not in time."""
        try:
            async with asyncio.timeout_at(speech_end + patience):
                while (heard := self._first_heard_after(speech_end)) is None:
                    self._played.clear()
                    await self._played.wait()
                return heard
        except TimeoutError:
            return None

    async def _answer_ends(self) -> None:
        """Wait until nothing has been audible for a while."""
        while True:
            self._sounded.clear()
            try:
                async with asyncio.timeout(QUIET_SECS):
                    await self._sounded.wait()
            except TimeoutError:
                return

    def _first_heard_after(self, moment: float) -> float | None:
        """When the first audible sample after a moment was heard that was not the end of something begun before."""
        begun_before_until = -1.0
        for at, pcm in self.heard:
            index = first_audible(to_samples(pcm))
            if index is None:
                continue
            sound = at + index / OUTPUT_RATE
            if sound >= moment and at > begun_before_until + CHUNK_SECS:
                return sound
            begun_before_until = at + len(pcm) / 2 / OUTPUT_RATE
        return None

    def _audible_between(self, begin: float, end: float) -> bool:
        return any(begin <= at < end and first_audible(to_samples(pcm)) is not None for at, pcm in self.heard)

    def answer_audio(self) -> NDArray[np.float32]:
        """What was heard since the last `say`, at 24 kHz, with the pauses between pieces."""
        if not self.heard:
            return np.zeros(0, np.float32)
        begin = self.heard[0][0]
        length = round((self.heard[-1][0] - begin) * OUTPUT_RATE) + len(self.heard[-1][1]) // 2
        audio = np.zeros(length, np.float32)
        for at, pcm in self.heard:
            samples = to_samples(pcm)
            start = round((at - begin) * OUTPUT_RATE)
            audio[start : start + len(samples)] = samples[: length - start]
        return audio


@asynccontextmanager
async def calling(make_worker: MakeWorker) -> AsyncIterator[Caller]:
    """Start a pipeline on an in-memory transport and hang up at the end.

    Args:
        make_worker: Builds the worker from a transport and observers, as
            `lambda transport, observers: assemble(BASIC_CASCADE, EMBEDDED, transport, observers=observers)`.
    """
    caller: Caller
    transport = MemoryTransport(lambda pcm, at: caller.listen(pcm, at), input_rate=RATE, output_rate=OUTPUT_RATE)
    watch, latency = _Watch(), LatencyObserver()
    caller = Caller(transport, watch, latency)
    worker = make_worker(transport, [watch, latency])
    async with running(worker, transport):
        feeding = asyncio.create_task(caller.feed())
        try:
            await _prepared(worker)
            yield caller
        finally:
            feeding.cancel()


async def _prepared(worker: PipelineWorker) -> None:
    """Wait until models have read what every conversation begins with: elsewhere the greeting gives them the time."""
    for processor in worker.pipeline.processors_with_metrics():
        if isinstance(processor, _Prepares):
            await processor.prepared()


@asynccontextmanager
async def running(worker: PipelineWorker, transport: MemoryTransport) -> AsyncIterator[None]:
    """Run a worker until the block ends, which begins when its transport takes audio."""
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        await transport.ready()
        yield
    finally:
        await worker.cancel()
        await asyncio.gather(run, return_exceptions=True)
