"""Silero VAD that also says when speech pauses, well before it calls the speech ended."""

from __future__ import annotations

import copy
import time
from functools import cache
from typing import Any

from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection

from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame

WINDOW_SECS = 0.032
"""Silero scores windows of 512 samples at 16 kHz."""

START_SECS = 0.128
"""Four voiced windows start speech. Six, Pipecat's default, miss a short "hello"."""

STOP_SECS = 0.2
PAUSE_WINDOWS = 2
"""Windows of silence that are reported one by one."""


@cache
def silero() -> SileroOnnxModel:
    """Silero's model, loaded once in a process. It takes a tenth of a second: call it in a thread beforehand."""
    return SileroVADAnalyzer()._model


class PauseAnalyzer(SileroVADAnalyzer):
    """Silero with a view on the silence it is in the middle of counting.

    All conversations share one model, and each has the state of its own voice.
    """

    def __init__(self) -> None:
        # Past Silero's own, which would load the model again.
        VADAnalyzer.__init__(self, params=VADParams(start_secs=START_SECS, stop_secs=STOP_SECS))
        self._model = copy.copy(silero())
        self._model.reset_states()
        self._windows_since_reset = 0
        self._low_confidence_windows = 0

    @property
    def state(self) -> VADState:
        """Quiet, starting, speaking or stopping, as of the last whole window."""
        return self._vad_state

    @property
    def silent_windows(self) -> int:
        """Windows without voice since speech was last heard, while it is stopping."""
        return self._vad_stopping_count if self._vad_state is VADState.STOPPING else 0


class PauseWatch:
    """Decides when speech pauses and resumes, from the analyzer's state after each piece of audio."""

    def __init__(self) -> None:
        self._reported = PAUSE_WINDOWS

    def update(self, state: VADState, silent_windows: int) -> type[Frame] | None:
        """The frame to send, if any.

        Args:
            state: The analyzer's state now.
            silent_windows: How many windows of silence it has counted while stopping.
        """
        if state in (VADState.STARTING, VADState.SPEAKING):
            resumed, self._reported = self._reported > 0, 0
            return SpeechResumedFrame if resumed else None
        # A sound that was no speech leaves no window to count.
        windows = silent_windows if state is VADState.STOPPING else PAUSE_WINDOWS
        if min(windows, PAUSE_WINDOWS) <= self._reported:
            return None
        self._reported = min(windows, PAUSE_WINDOWS)
        return SpeechPausedFrame


class PauseVAD(VADProcessor):
    """Pipecat's VAD processor, with `SpeechPausedFrame` and `SpeechResumedFrame` pushed downstream."""

    def __init__(self) -> None:
        self._analyzer = PauseAnalyzer()
        # It has next to nothing to do itself: a queue would cost more than it.
        super().__init__(vad_analyzer=self._analyzer, enable_direct_mode=True)
        self._watch = PauseWatch()

    async def broadcast_frame(self, frame_cls: type[Frame], **kwargs: Any) -> None:
        if issubclass(frame_cls, (VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame)):
            # By default they bear the time of a clock that was bound on import and that nobody can replace.
            kwargs = {"timestamp": time.time(), **kwargs}
        await super().broadcast_frame(frame_cls, **kwargs)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            return
        windows = self._analyzer.silent_windows
        change = self._watch.update(self._analyzer.state, windows)
        if change is SpeechPausedFrame:
            await self.push_frame(SpeechPausedFrame(silence=windows * WINDOW_SECS))
        elif change is SpeechResumedFrame:
            await self.push_frame(SpeechResumedFrame())
