"""Moonshine as a Pipecat service that transcribes while the caller speaks and again at the first sign of a pause."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import (
    EagerTranscriptionFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.utils.time import time_now_iso8601
from pipecat.utils.tracing.service_decorators import traced_stt

from processors.embedded.utterance import RATE, Utterance
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame

INTERIM_SECS = 0.5
"""Audio between two interim transcripts, at least."""

INTERIM_SHARE = 1 / 3
"""Of the time, at most for interim transcripts: while one is made, the transcript at a pause has to wait."""

EARLY_SECS = 0.06
"""Silence at which an early transcript is worth its time: most gaps within words are shorter."""

Transcribe = Callable[[NDArray[np.float32]], str]


class Purpose(Enum):
    """What a transcription is for."""

    INTERIM = auto()
    EARLY = auto()
    PART = auto()
    FINAL = auto()


@dataclass(frozen=True)
class Job:
    """One transcription and the moment it was asked for."""

    purpose: Purpose
    samples: NDArray[np.float32]
    utterance: int
    pause: int

    @property
    def moment(self) -> tuple[int, int]:
        """Another with each utterance, pause, resumption and cut. What was asked for in an earlier one is stale."""
        return self.utterance, self.pause

    def answers(self, owed: Job) -> bool:
        """Whether its words are those that another job asks for: nothing was added since a pause's transcript."""
        if self.purpose is Purpose.EARLY and owed.purpose is Purpose.FINAL:
            return self.moment == owed.moment
        return self is owed


class EmbeddedSTTService(STTService):
    """Segments by VAD frames, so a VAD has to stand before it.

    Sends `InterimTranscriptionFrame` about twice a second while the caller speaks, less often where the recogniser is
    slow, `EagerTranscriptionFrame` at a pause, and a finalized `TranscriptionFrame` when the VAD calls the speech
    ended: at once if the pause's transcript stands. An utterance in which no words are found ends in a finalized frame
    without text. One that grows too long for the recogniser is cut, and sent in parts of which only the last is
    finalized.

    Args:
        transcribe: Blocking; called in threads with mono samples at 16 kHz.
        clock: Tells the seconds by which a transcription's duration is measured.
    """

    def __init__(
        self,
        transcribe: Transcribe,
        clock: Callable[[], float] = lambda: time.monotonic(),  # looked up at each call: virtual time replaces it
    ) -> None:
        super().__init__(
            sample_rate=RATE,
            # A finalized frame always follows the end of speech, so nobody needs to wait on a deadline.
            ttfs_p99_latency=1.0,
            settings=STTSettings(model="moonshine-tiny-en", language=None),
        )
        self._transcribe = transcribe
        self._clock = clock
        self._utterance = Utterance()
        self._utterances = 0
        self._pauses = 0
        self._in_speech = False
        self._in_pause = False
        self._interim_at = 0.0
        self._job_secs = 0.0  # how long the last transcription took
        self._early: str | None = None
        self._owed: deque[Job] = deque()
        self._wanted: Job | None = None
        self._job: asyncio.Task[None] | None = None

    def can_generate_metrics(self) -> bool:
        return True

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        self._utterance.add(audio)
        # A pause's transcript stands for all that was said before it, so nothing is cut off during one.
        if self._in_speech and not self._in_pause:
            too_long = self._utterance.split_if_long()
            if too_long is not None:
                self._cut(too_long)
            if self._utterance.seconds - self._interim_at >= max(INTERIM_SECS, self._job_secs / INTERIM_SHARE):
                self._interim_at = self._utterance.seconds
                self._want(Purpose.INTERIM)
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._begin_utterance(frame.start_secs)
        elif isinstance(frame, SpeechPausedFrame) and self._in_speech and frame.silence >= EARLY_SECS:
            self._in_pause = True
            self._pauses += 1
            self._want(Purpose.EARLY)
        elif isinstance(frame, SpeechResumedFrame):
            self._in_pause = False
            self._pauses += 1
            self._early = None
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._end_utterance()

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._job:
            await self.cancel_task(self._job)
            self._job = None

    def _begin_utterance(self, start_secs: float) -> None:
        self._utterance.start(start_secs)
        self._utterances += 1
        self._pauses += 1
        self._in_speech, self._in_pause = True, False
        self._interim_at = 0.0
        self._early = None
        self._wanted = None

    async def _end_utterance(self) -> None:
        self._in_speech = False
        if self._early is not None:
            await self._push_final(self._early)
            return
        self._owe(Purpose.FINAL, self._utterance.samples())

    def _cut(self, part: NDArray[np.float32]) -> None:
        """Have the first part of an utterance transcribed by itself."""
        self._owe(Purpose.PART, part)
        # What is under way or waits was about the part as well.
        self._pauses += 1
        self._interim_at = 0.0

    def _owe(self, purpose: Purpose, samples: NDArray[np.float32]) -> None:
        self._wanted = None
        self._owed.append(Job(purpose, samples, self._utterances, self._pauses))
        self._start_work()

    def _want(self, purpose: Purpose) -> None:
        self._wanted = Job(purpose, self._utterance.samples(), self._utterances, self._pauses)
        self._start_work()

    def _start_work(self) -> None:
        if self._job is None:
            self._job = self.create_task(self._work(), f"{self}::transcribe")

    async def _work(self) -> None:
        while self._owed or self._wanted:
            # What has been said comes before what is being said. It stays in the queue until its words are known.
            job = self._owed[0] if self._owed else self._wanted
            assert job is not None  # noqa: S101
            if job is self._wanted:
                self._wanted = None
            text = await self._heard(job.samples)
            if self._owed and job.answers(self._owed[0]):
                await self._settle(self._owed.popleft(), text)
            elif job.moment != (self._utterances, self._pauses) or not self._in_speech:
                continue
            elif job.purpose is Purpose.INTERIM:
                await self._push_interim(text)
            else:
                self._early = text
                if text:
                    frame = EagerTranscriptionFrame(text=text, user_id=self._user_id, timestamp=time_now_iso8601())
                    await self.push_frame(frame)
        self._job = None

    async def _settle(self, owed: Job, text: str) -> None:
        """Push the transcript that is owed for a part or for an utterance that has ended."""
        if owed.purpose is Purpose.FINAL and owed.utterance == self._utterances:
            await self._push_final(text)
        elif text:
            await self._push_part(text)

    async def _heard(self, samples: NDArray[np.float32]) -> str:
        begun = self._clock()
        try:
            return await asyncio.to_thread(self._transcribe, samples)
        except Exception as error:
            await self.push_error(f"speech recognition failed: {error}", exception=error)
            return ""
        finally:
            self._job_secs = self._clock() - begun

    async def _push_part(self, text: str) -> None:
        """Words of this turn after which more is being said already."""
        frame = TranscriptionFrame(text=text, user_id=self._user_id, timestamp=time_now_iso8601())
        await self.push_frame(frame)

    async def _push_interim(self, text: str) -> None:
        if text:
            frame = InterimTranscriptionFrame(text=text, user_id=self._user_id, timestamp=time_now_iso8601())
            await self.push_frame(frame)

    async def _push_final(self, text: str) -> None:
        self._utterance.stop()
        self._early = None
        frame = TranscriptionFrame(text=text, user_id=self._user_id, timestamp=time_now_iso8601(), finalized=True)
        await self.push_frame(frame)
        await self.emit_stt_usage_metrics()
