"""Pipecat's ElevenLabs services, which also say when their line breaks while it is in use.

Pipecat reconnects in silence: the rest of the sentence, or what the caller was saying, would be lost without a word.
A line that breaks while nobody speaks is reconnected in silence here too.
"""

from __future__ import annotations

from pipecat.frames.frames import ErrorFrame
from pipecat.services.elevenlabs.stt import ElevenLabsRealtimeSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.websocket_service import ReportErrorCallback
from pipecat.utils.errors import ErrorCategory


class ElevenLabsTTS(ElevenLabsTTSService):
    """Pushes an `ErrorFrame` upstream when the line breaks in the middle of a sentence."""

    async def _maybe_try_reconnect(
        self, error_message: str, report_error: ReportErrorCallback, error: Exception | None = None
    ) -> bool:
        if not self._disconnecting and self.get_audio_contexts():
            await report_error(ErrorFrame(error_message, category=ErrorCategory.CONNECTIVITY))
        return await super()._maybe_try_reconnect(error_message, report_error, error)


class ElevenLabsSTT(ElevenLabsRealtimeSTTService):
    """Pushes an `ErrorFrame` upstream when the line breaks before the caller's words have been transcribed."""

    async def _maybe_try_reconnect(
        self, error_message: str, report_error: ReportErrorCallback, error: Exception | None = None
    ) -> bool:
        awaited = self._user_speaking or self._ttfb_timeout_task is not None
        if not self._disconnecting and awaited:
            await report_error(ErrorFrame(error_message, category=ErrorCategory.CONNECTIVITY))
        return await super()._maybe_try_reconnect(error_message, report_error, error)
