"""Pipecat's ElevenLabs services, which also say when their line breaks while it is in use.

Pipecat reconnects in silence: the rest of the sentence, or what the caller was saying, would be lost without a word.
A line that breaks while nobody speaks is reconnected in silence here too.
"""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import ErrorFrame
from pipecat.services.elevenlabs.stt import ElevenLabsRealtimeSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.settings import ServiceSettings
from pipecat.services.websocket_service import ReportErrorCallback
from pipecat.utils.errors import ErrorCategory


class ElevenLabsTTS(ElevenLabsTTSService):
    """Pushes an `ErrorFrame` upstream when the line breaks in the middle of a sentence. What is said after its settings
    have changed in the midst of an answer is said with the new ones."""

    async def _maybe_try_reconnect(
        self, error_message: str, report_error: ReportErrorCallback, error: Exception | None = None
    ) -> bool:
        if not self._disconnecting and self.get_audio_contexts():
            await report_error(ErrorFrame(error_message, category=ErrorCategory.CONNECTIVITY))
        return await super()._maybe_try_reconnect(error_message, report_error, error)

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        # Pipecat 1.14 closes the answer's context so that the next text gets its settings with another, and sends that
        # text to the closed one all the same, where it is lost (pipecat/services/elevenlabs/tts_base.py).
        running = self._turn_context_id
        changed = await super()._update_settings(delta)  # type: ignore[arg-type]
        if running and changed and self.audio_context_available(running):
            self._turn_context_id = None
            self._turn_context_id = self.create_context_id()
        return changed


class ElevenLabsSTT(ElevenLabsRealtimeSTTService):
    """Pushes an `ErrorFrame` upstream when the line breaks before the caller's words have been transcribed."""

    async def _maybe_try_reconnect(
        self, error_message: str, report_error: ReportErrorCallback, error: Exception | None = None
    ) -> bool:
        awaited = self._user_speaking or self._ttfb_timeout_task is not None
        if not self._disconnecting and awaited:
            await report_error(ErrorFrame(error_message, category=ErrorCategory.CONNECTIVITY))
        return await super()._maybe_try_reconnect(error_message, report_error, error)
