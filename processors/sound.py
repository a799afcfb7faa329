"""Where sound goes: the microphone's fifty frames a second would cost a call more than all else together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pipecat.frames.frames import (
    BotSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.worker import IdleFrameObserver, PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIObserver
from pipecat.transports.base_input import BaseInputTransport

QUIET_SECS = 0.2
"""Of the microphone's sound at a time, while the caller has nothing to say."""

EXACT = 1e-6
"""Seconds by which sums of pieces may be off."""

SPEAKING_SECS = 2.0
"""Between two notes that the agent is still speaking."""


class Pieces:
    """Pieces of a microphone's sound that are put together. Other rates, channels and kinds than before don't fit.

    Attributes:
        secs: How long what is held lasts.
    """

    def __init__(self) -> None:
        self.secs = 0.0
        self._held: list[InputAudioRawFrame] = []

    def fits(self, frame: InputAudioRawFrame) -> bool:
        """Whether a piece can be put to those that are held."""
        return not self._held or _kind(self._held[-1]) == _kind(frame)

    def add(self, frame: InputAudioRawFrame) -> None:
        """Hold a piece that fits."""
        self._held.append(frame)
        self.secs += frame.num_frames / frame.sample_rate

    def take(self) -> list[InputAudioRawFrame]:
        """What is held as one frame, which is the last of them to everybody who knew it; nothing if nothing is."""
        held, self._held, self.secs = self._held, [], 0.0
        if len(held) < 2:
            return held
        # A copy, as observers look at the pieces later; not by `copy.copy`, which takes ten times as long.
        whole = object.__new__(type(held[-1]))
        vars(whole).update(vars(held[-1]))
        whole.audio = b"".join(frame.audio for frame in held)
        whole.num_frames = sum(frame.num_frames for frame in held)
        return [whole]


def _kind(frame: InputAudioRawFrame) -> tuple[type[Frame], int, int, str | None]:
    return type(frame), frame.sample_rate, frame.num_channels, frame.transport_source


def end(last: FrameProcessor) -> None:
    """Have the microphone's sound go no further than to a processor, which hands on everything else as it was.

    Args:
        last: The last that it goes to; changed in place.
    """
    service: Any = last
    push = service.push_frame

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if direction is FrameDirection.UPSTREAM or not isinstance(frame, InputAudioRawFrame):
            await push(frame, direction)

    service.push_frame = push_frame


def turn_away(processor: FrameProcessor) -> None:
    """Have a processor take nothing of what has been played, which it has no use for. Observers see it come.

    Args:
        processor: The one behind the loudspeaker; changed in place.
    """
    service: Any = processor
    queue = service.queue_frame

    async def queue_frame(frame: Frame, *args: Any) -> None:
        if not isinstance(frame, OutputAudioRawFrame):
            await queue(frame, *args)

    service.queue_frame = queue_frame


def hand_on(source: FrameProcessor, window: float = 0.0) -> None:
    """Have a transport hand on the microphone's sound as it comes, where Pipecat queues each piece and wakes a task.

    Where a filter works on the sound, which takes time, it stays so.

    Args:
        source: A transport's input, whatever transport it is; changed in place.
        window: Seconds of what VAD looks at at a time, if it is the first to listen: sound that completes none is
            handed on with the next that does. 0 if something else may want it at once.
    """
    if not isinstance(source, BaseInputTransport) or source._params.audio_in_filter is not None:
        return
    service: Any = source
    queue_up = service.push_audio_frame
    pieces = Pieces()
    over = 0

    async def push_audio_frame(frame: InputAudioRawFrame) -> None:
        nonlocal over
        if service._audio_task is None:
            # Not yet begun, or at its end.
            await queue_up(frame)
        elif frame.audio and service._params.audio_in_passthrough and not service._paused:
            if not pieces.fits(frame):
                await _push(service.push_frame, pieces)
            pieces.add(frame)
            over += frame.num_frames
            whole = round(window * frame.sample_rate)
            if over >= whole:
                over = over % whole if whole else 0
                await _push(service.push_frame, pieces)

    service.push_audio_frame = push_audio_frame


def gather(vad: FrameProcessor) -> None:
    """Have VAD hand on more of the microphone's sound at a time while there is nothing in it: from the end of a turn
    until it says that somebody speaks. What comes behind the sound stays behind it.

    Args:
        vad: Its processor, whatever finds the speech; changed in place.
    """
    service: Any = vad
    push = service.push_frame
    pieces = Pieces()
    quiet = True

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        nonlocal quiet
        if direction is FrameDirection.UPSTREAM:
            quiet = quiet or isinstance(frame, UserStoppedSpeakingFrame)
            await push(frame, direction)
            return
        if isinstance(frame, InputAudioRawFrame) and quiet and pieces.fits(frame):
            pieces.add(frame)
            if pieces.secs >= QUIET_SECS - EXACT:
                await _push(push, pieces)
            return
        await _push(push, pieces)
        quiet = quiet and not isinstance(frame, VADUserStartedSpeakingFrame)
        await push(frame, direction)

    service.push_frame = push_frame


async def _push(push: Callable[[Frame], Awaitable[None]], pieces: Pieces) -> None:
    for frame in pieces.take():
        await push(frame)


def note_seldom(out: FrameProcessor) -> None:
    """Have a transport note once in `SPEAKING_SECS` that the agent still speaks. Pipecat notes it five times a second
    to every stage, and it is a sign of life.

    Args:
        out: Its output; changed in place.
    """
    service: Any = out
    broadcast = service.broadcast_frame
    noted = float("-inf")

    async def broadcast_frame(frame_cls: type[Frame], **kwargs: Any) -> None:
        nonlocal noted
        if frame_cls is BotSpeakingFrame:
            now = asyncio.get_running_loop().time()
            if now - noted < SPEAKING_SECS:
                return
            noted = now
        await broadcast(frame_cls, **kwargs)

    service.broadcast_frame = broadcast_frame


class Watched(WorkerObserver):
    """Tells each observer what it looks at, where Pipecat wakes every one for every frame at every stage.

    That a frame is being processed is told to those that have an `on_process_frame` of their own. The microphone's
    sound is told to all but those that say `hears_microphone = False` of themselves, and to those of Pipecat's own of
    which it is known that they pass over it. Whatever is told comes in the same order as before.
    """

    async def on_process_frame(self, data: FrameProcessed) -> None:
        for observer, proxy in (self._proxies or {}).items():
            if type(observer).on_process_frame is not BaseObserver.on_process_frame:
                await proxy.queue.put(data)

    async def on_push_frame(self, data: FramePushed) -> None:
        if not isinstance(data.frame, InputAudioRawFrame):
            await super().on_push_frame(data)
            return
        told = [proxy for observer, proxy in (self._proxies or {}).items() if _hears(observer)]
        if not told:
            return
        frame = data.frame
        data.first_push = frame.id not in self._frames_pushed
        if data.first_push:
            self._frames_pushed[frame.id] = frame
        for proxy in told:
            if data.first_push or proxy.observer.observe_every_push:
                await proxy.queue.put(data)


def watch(worker: PipelineWorker) -> None:
    """Have the observers of a worker, and those that it is given later, told by `Watched`.

    Args:
        worker: Not yet running; changed in place.
    """
    worker._observer = Watched(observers=worker._observer._observers)


def _hears(observer: BaseObserver) -> bool:
    if isinstance(observer, RTVIObserver):
        return observer._params.user_audio_level_enabled
    return not isinstance(observer, IdleFrameObserver) and getattr(observer, "hears_microphone", True)
