"""NVIDIA's Nemotron Omni, a model that hears, with a caller's patience."""

from __future__ import annotations

from pipecat.adapters.llm.services.nvidia_omni_adapter import NvidiaOmniLLMAdapter

from processors.cloud.audio_chat import AudioChatLLM


class NvidiaOmniLLM(AudioChatLLM):
    """As `AudioChatLLM`; takes sound as data addresses in `audio_url`."""

    adapter_class = NvidiaOmniLLMAdapter  # type: ignore[assignment]
