"""Where sound goes: the microphone's fifty frames a second would cost a call more than all else together."""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.worker import IdleFrameObserver, PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIObserver
from pipecat.transports.base_input import BaseInputTransport


def end(last: FrameProcessor, sound: type[Frame]) -> None:
    """Have a sound go no further than to a processor, which hands on everything else as it was.

    Args:
        last: The last that it goes to; changed in place.
        sound: Its frames: `InputAudioRawFrame` for the microphone's, `OutputAudioRawFrame` for what has been played.
    """
    service: Any = last
    push = service.push_frame

    async def push_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if direction is FrameDirection.UPSTREAM or not isinstance(frame, sound):
            await push(frame, direction)

    service.push_frame = push_frame


def hand_on(source: FrameProcessor) -> None:
    """Have a transport hand on the microphone's sound as it comes, where Pipecat queues each piece and wakes a task.

    Where a filter works on the sound, which takes time, it stays so.

    Args:
        source: A transport's input, whatever transport it is; changed in place.
    """
    if not isinstance(source, BaseInputTransport) or source._params.audio_in_filter is not None:
        return
    service: Any = source
    queue_up = service.push_audio_frame

    async def push_audio_frame(frame: InputAudioRawFrame) -> None:
        if service._audio_task is None:
            # Not yet begun, or at its end.
            await queue_up(frame)
        elif frame.audio and service._params.audio_in_passthrough and not service._paused:
            await service.push_frame(frame)

    service.push_audio_frame = push_audio_frame


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
