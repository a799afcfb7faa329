"""Language models that hear: any chat endpoint of OpenAI's kind that takes sound (gpt-audio; vLLM with Voxtral,
Qwen-Omni or Ultravox).

Pipecat's service for Nemotron Omni does all that such a model needs but speak the common form: it gathers what the
caller says, asks for the words and the answer in one request, and has the context hold the words, never the sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openai import AsyncOpenAI, Timeout
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMAdapter
from pipecat.frames.frames import StartFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.nvidia.omni.llm import NvidiaOmniLLMService
from pipecat.utils.time import time_now_iso8601

CONNECT_SECS = 3.0
STALL_SECS = 10.0
"""How long an answer may take to begin, and to pause."""


class AudioChatAdapter(OpenAILLMAdapter):
    """Sound as `input_audio` with WAV in base64, as OpenAI defined it."""

    def to_provider_content_parts(self, parts: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The parts of a message that are sent outside of the context, as they are."""
        return list(parts)


class AudioChatLLM(NvidiaOmniLLMService):
    """Hears each turn and answers it in text. Before that, what the caller said comes back as a `TranscriptionFrame`,
    upstream; an empty one if nothing was understood.

    A request that fails is reported and not sent again: a vendor's waits are longer than a caller's patience.

    Args: As `NvidiaOmniLLMService`; `base_url` ends in `/v1`. Speech of less than 0.3 s is no turn.
    """

    adapter_class = AudioChatAdapter  # type: ignore[assignment]

    def create_client(self, api_key: Any = None, base_url: Any = None, *args: Any, **kwargs: Any) -> AsyncOpenAI:
        return AsyncOpenAI(
            # The library insists on a key, and a model on one's own machine needs none.
            api_key=api_key or "none",
            base_url=base_url,
            timeout=Timeout(STALL_SECS, connect=CONNECT_SECS),
            max_retries=0,
        )

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        # Pipecat learns of tools from the first context that it is given, which comes behind the first answer here.
        if self._context is not None:
            self._sync_registered_tool_handlers(self._context.tools)

    async def _maybe_push_transcript(self, extractor: Any) -> None:
        await super()._maybe_push_transcript(extractor)
        if extractor.transcript_done and not self._transcript_emitted:
            # That it has understood nothing is to be known as well.
            self._transcript_emitted = True
            await self.push_frame(TranscriptionFrame("", "", time_now_iso8601()), FrameDirection.UPSTREAM)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._client.close()
