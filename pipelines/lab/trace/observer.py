"""Watches a conversation and has it written down."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport

from pipelines.definition import Port
from pipelines.lab.trace.event import Way
from pipelines.lab.trace.payload import TAKEN, UNNOTED, payload
from pipelines.lab.trace.reader import TraceError
from pipelines.lab.trace.recorder import Heard, Played, Seen
from pipelines.lab.trace.redact import Redactor, redact
from pipelines.lab.trace.writer import Writer
from pipelines.stacks import Session
from processors.guarding.frames import is_cleared, to_be_said

PIPELINE = "PIPELINE"
"""The stage of whatever comes from no stage of the architecture: the worker itself, Pipecat's own processors."""


class TraceObserver(BaseObserver):
    """Records one conversation into a folder of its own. Begins with the first frame; ends with the worker.

    Args:
        folder: Where traces lie. The conversation's own folder is made in it, named after the time.
        redactor: Takes personal data out of a text. None records everything as it is.

    Raises:
        TraceError: If the folder cannot be made.
    """

    def __init__(self, folder: Path | str, *, redactor: Redactor | None = redact) -> None:
        super().__init__()
        self.folder = _make(Path(folder))
        self._writer = Writer(self.folder, redactor)
        self._begun = False
        self._closed = False
        self._stages: dict[str, str] = {}
        self._takes: dict[str, tuple[type[Frame], ...]] = {}
        self._uncleared: frozenset[str] = frozenset()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take note of a frame. Never waits."""
        self.see(data)

    async def cleanup(self) -> None:
        """Finish the trace: called by the worker at its end."""
        await super().cleanup()
        await self.finish()

    async def finish(self) -> None:
        """Wait until everything is written. What is pushed afterwards is not recorded."""
        self._closed = True
        await asyncio.to_thread(self._writer.close)

    def see(self, data: FramePushed) -> None:
        """Take note of a frame: copies what matters of it and leaves the rest to the writer's thread."""
        frame, source = data.frame, data.source
        if self._closed:
            return
        if isinstance(frame, InputAudioRawFrame):
            if isinstance(source, BaseInputTransport):
                at = data.timestamp / 1e9
                self._writer.put(Heard(at, frame.audio, frame.sample_rate, frame.num_channels))
            return
        if isinstance(frame, OutputAudioRawFrame):
            self._output(frame, data)
            return
        if isinstance(frame, UNNOTED):
            return
        if data.direction is FrameDirection.UPSTREAM and frame.broadcast_sibling_id is not None:
            return  # the one of a broadcast pair that went downstream says it all
        if not self._begun:
            self._begin(source)
        # Words leave the loudspeaker when they are heard: that is an output of that stage, though not a new frame.
        if data.first_push or (isinstance(frame, TTSTextFrame) and isinstance(source, BaseOutputTransport)):
            self._note(data, self._stages.get(source.name, PIPELINE), "out")
        taker = data.destination.name
        if data.direction is FrameDirection.DOWNSTREAM and isinstance(frame, self._takes.get(taker, ())):
            self._note(data, self._stages[taker], "in")

    def _output(self, frame: OutputAudioRawFrame, data: FramePushed) -> None:
        if isinstance(data.source, BaseOutputTransport):
            speech = isinstance(frame, (TTSAudioRawFrame, SpeechOutputAudioRawFrame))
            self._writer.put(
                Played(data.timestamp / 1e9, frame.audio, frame.sample_rate, frame.num_channels, speech=speech)
            )
        elif data.first_push:
            self._note(data, self._stages.get(data.source.name, PIPELINE), "out")

    def _note(self, data: FramePushed, stage: str, way: Way) -> None:
        frame = data.frame
        up = data.direction is FrameDirection.UPSTREAM
        held = payload(frame)
        before = stage in self._uncleared or (way == "in" and self._uncleared)
        if before and to_be_said(frame) and not is_cleared(frame):
            # What the guard makes of it is written down behind the guard.
            held = {"characters": len(frame.text)}
        self._writer.put(Seen(data.timestamp / 1e9, stage, way, type(frame).__name__, frame.id, up, held))

    def _begin(self, source: FrameProcessor) -> None:
        self._begun = True
        session = None
        with suppress(Exception):  # a processor that was never set up has no worker
            session = source.pipeline_worker.app_resources
        if not isinstance(session, Session):
            session = None
        if session is not None and session.architecture is not None:
            self._stages = session.stages
            stages = session.architecture.stages
            if any(stage.clears for stage in stages):
                unsaid = itertools.takewhile(lambda stage: stage.gives is not Port.SPEECH, stages)
                self._uncleared = frozenset((PIPELINE, *(stage.name for stage in unsaid)))
            ports = {stage.name: stage.takes for stage in session.architecture.stages}
            for processor, stage in session.stages.items():
                port = ports[stage]
                self._takes[processor] = TAKEN.get(port, ()) if port is not None else ()
        self._writer.begin(session, time.time())


def _make(folder: Path) -> Path:
    """A new folder for one conversation."""
    name = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            place = folder / (name if number == 1 else f"{name}-{number}")
            try:
                place.mkdir(mode=0o700)
                return place
            except FileExistsError:
                continue
    except OSError as error:
        raise TraceError(f"{folder}: no trace can be written here ({error.strerror}): choose another folder") from None
    raise TraceError(f"{folder}: too many traces of one second: choose another folder")


@asynccontextmanager
async def tracing(folder: Path | str, *, redactor: Redactor | None = redact) -> AsyncIterator[TraceObserver]:
    """Record a conversation: hand what this gives to `assemble(observers=[…])`. Afterwards everything is written.

    Args:
        folder: Where traces lie; the conversation gets a folder of its own in it, `observer.folder`.
        redactor: Takes personal data out of a text, and with it the audio of what was said. None leaves it in.

    Raises:
        TraceError: If the folder cannot be made.
    """
    observer = TraceObserver(folder, redactor=redactor)
    try:
        yield observer
    finally:
        await observer.finish()
