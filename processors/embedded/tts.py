"""hibari as a Pipecat service: speech from threads, in time with the words that are heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

import soxr
from pipecat.frames.frames import ErrorFrame, Frame, InterruptionFrame, TTSAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import ServiceSettings, TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.time import nanoseconds_to_seconds, seconds_to_nanoseconds
from pipecat.utils.tracing.service_decorators import traced_tts
from pipecat.utils.types import NOT_GIVEN, NotGiven, is_given

from processors.embedded.hibari import SAMPLE_RATE, Controls, Speech
from processors.pcm import Samples, to_pcm
from processors.speaking.spoken import spoken

CHUNK_SECS = 0.1
"""Audio in one frame: what is still pushed after an interruption at most."""


class Voice(Protocol):
    """What the service speaks with: `processors.embedded.hibari.Synthesiser`."""

    def stream(self, text: str, controls: Controls) -> Iterator[Speech]:
        """Say a text in pieces, each as soon as it is ready. Called in threads."""
        ...


@dataclass
class EmbeddedTTSSettings(TTSSettings):
    """The controls of `processors.embedded.hibari.Controls`, which says what each does and in which range."""

    pitch: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    range: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    formant: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    tilt: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    breath: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    speed: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    volume: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)


class EmbeddedTTSService(TTSService):
    """Speaks each text it is given sentence by sentence, and reports every written word at the time it is heard.

    A synthesis that fails is reported as an ErrorFrame, and the next text is spoken as if nothing had happened. Text
    without anything to say (an emoji, a rule) is left out. Controls come with `settings` and can be changed by
    `TTSUpdateSettingsFrame(delta=EmbeddedTTSService.Settings(...))` for all text after it; a delta with a control out
    of range is refused as a whole with an ErrorFrame.

    Args:
        voice: The synthesiser, shared with other sessions.
        settings: What differs from the neutral voice.

    Raises:
        ValueError: if a control is out of range.
    """

    Settings = EmbeddedTTSSettings
    _settings: EmbeddedTTSSettings

    def __init__(self, voice: Voice, *, settings: EmbeddedTTSSettings | None = None, **kwargs: Any) -> None:
        own = self.Settings(model="hibari", voice="heart", language=Language.EN, **asdict(Controls()))
        if settings is not None:
            own.apply_update(settings)
        self._controls = _controls(own)
        super().__init__(
            settings=own,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            max_consecutive_zero_audio_contexts=0,
            **kwargs,
        )
        self.add_text_transformer(_sayable)
        self._voice = voice
        self._heard_until = 0  # when all audio so far will have been played, in ns of the pipeline's clock
        self._begins: dict[str, int] = {}  # when the first audio of each audio context is heard

    def can_generate_metrics(self) -> bool:
        return True

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        try:
            await self.start_tts_usage_metrics(text)
            pieces = self._pieces(text)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                speech, pcm = piece
                offset = self._schedule(context_id, speech.seconds)
                await self.add_word_timestamps([(word.text, offset + word.start) for word in speech.words], context_id)
                size = 2 * int(CHUNK_SECS * self.sample_rate)
                for start in range(0, len(pcm), size):
                    yield TTSAudioRawFrame(pcm[start : start + size], self.sample_rate, 1, context_id=context_id)
        except Exception as error:
            yield ErrorFrame(error=f"{self} could not speak: {error!r}", exception=error)
        finally:
            await self.stop_ttfb_metrics()

    def _pieces(self, text: str) -> Iterator[tuple[Speech, bytes]]:
        """Each piece of speech and its 16-bit PCM at the service's rate. Runs in threads."""
        rate = self.sample_rate
        for speech in self._voice.stream(text, self._controls):
            yield speech, _pcm(speech.samples, rate)

    # Pipecat counts the words of an audio context from its first audio, and starts a context after the last word of the
    # one before. Playback starts after its last sample, and pauses when the next text is late: both are added here.

    def _schedule(self, context_id: str, seconds: float) -> float:
        """Queue audio behind what is playing; return how long after its context's begin it is heard, in seconds."""
        start = max(self.get_clock().get_time(), self._heard_until)
        self._heard_until = start + seconds_to_nanoseconds(seconds)
        return nanoseconds_to_seconds(start - self._begins.setdefault(context_id, start))

    async def start_word_timestamps(self) -> None:
        begin = self._begins.get(self.get_active_audio_context_id() or "", 0)
        if not self._word_timestamp_tracker.started:
            self._word_timestamp_tracker.last_pts = max(self._word_timestamp_tracker.last_pts, begin)
        await super().start_word_timestamps()

    async def on_audio_context_completed(self, context_id: str) -> None:
        self._begins.pop(context_id, None)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        self._begins.pop(context_id, None)

    async def _handle_interruption(self, frame: InterruptionFrame, direction: FrameDirection) -> None:
        await super()._handle_interruption(frame, direction)
        self._heard_until = self._word_timestamp_tracker.uninterruptible_last_pts

    async def tts_process_generator(self, context_id: str, generator: AsyncGenerator[Frame | None, None]) -> None:
        await super().tts_process_generator(context_id, generator)
        # Also after a failure, so that the turn's context ends with the turn and not by a timeout.
        self._is_yielding_frames_synchronously = True

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        try:
            controls = _controls(self._settings, delta)
        except ValueError as error:
            await self.push_error(str(error), exception=error, category=ErrorCategory.APPLICATION)
            return {}
        changed = await super()._update_settings(delta)  # type: ignore[arg-type]
        self._controls = controls
        unhandled = {"model", "voice", "language"} & changed.keys()
        self._warn_unhandled_updated_settings(unhandled)
        return changed


def _controls(*settings: ServiceSettings) -> Controls:
    """The controls of the first settings, changed by those after them."""
    given: dict[str, Any] = {}
    for each in settings:
        for control in fields(Controls):
            value = getattr(each, control.name, NOT_GIVEN)
            if is_given(value):
                given[control.name] = value
    return Controls(**given)


async def _sayable(text: str, text_type: str) -> str:
    return text if any(word.said for word in spoken(text)) else ""


def _pcm(samples: Samples, rate: int) -> bytes:
    """16-bit PCM at `rate`, from float samples at 24 kHz."""
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, SAMPLE_RATE, rate)
    return to_pcm(samples)
