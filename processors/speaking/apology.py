"""Says sorry when something fails in mid-call, so that the caller is not left in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pipecat.frames.frames import ErrorFrame, Frame, TTSSpeakFrame, UserStartedSpeakingFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed


class Apology(BaseObserver):
    """Speaks once for all errors of a turn, and again only after the caller has said something.

    A voice that fails cannot apologise for itself: its second failure is not answered.

    Args:
        text: Gives what to say; nothing if empty.
        queue: Puts a frame at the beginning of the pipeline, as `PipelineWorker.queue_frame` does.
    """

    hears_microphone = False

    def __init__(self, text: Callable[[], str], queue: Callable[[Frame], Awaitable[None]]) -> None:
        super().__init__(observe_every_push=False)
        self._text = text
        self._queue = queue
        self._said = False

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, UserStartedSpeakingFrame):
            self._said = False
        elif isinstance(data.frame, ErrorFrame) and not self._said and (text := self._text()):
            self._said = True
            # The greeting and the apology are the persona's own words; the LLM did not say them.
            await self._queue(TTSSpeakFrame(text, append_to_context=False))
