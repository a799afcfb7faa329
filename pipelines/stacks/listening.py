"""Language models that hear the caller's voice themselves, for the slot AUDIO_LLM.

Keys: `OPENAI_API_KEY`, `ULTRAVOX_API_KEY`, `NVIDIA_API_KEY`. To go elsewhere, give `base_url` or set `OPENAI_BASE_URL`,
`OPENAI_REALTIME_BASE_URL`, `ULTRAVOX_BASE_URL`, `NVIDIA_BASE_URL`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pipelines.definition import Capability
from pipelines.stacks.cloud import MAX_ANSWER_TOKENS, address
from pipelines.stacks.stack import IMPORTING, Progress, Service, Session

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.nvidia.omni.llm import NvidiaOmniLLMService
    from pipecat.services.openai.realtime.events import AudioOutput
    from pipecat.services.settings import LLMSettings

    from pipelines.personas import Persona

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_AUDIO_MODEL = "gpt-audio-1.5"
OPENAI_REALTIME_MODEL = "gpt-realtime-2.1"
NVIDIA_URL = "https://integrate.api.nvidia.com/v1"
NVIDIA_OMNI_MODEL = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
ULTRAVOX_URL = "https://api.ultravox.ai"
ULTRAVOX_MODEL = "ultravox-v0.7"
GEMINI_LIVE_MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"

HEARS = frozenset({Capability.AUDIO_IN, Capability.TEXT_OUT, Capability.DELIVERY_TAGS, Capability.CALLER_WORDS})
"""What they have in common."""

CHATS = HEARS | {Capability.TOOLS, Capability.SUMMARIES}
"""What those have that are given the whole conversation with every turn."""


def audio_chat(*, model: str | None = None, base_url: str | None = None) -> Service:
    """Any chat endpoint of OpenAI's kind that takes sound, as vLLM with Voxtral, Qwen-Omni or Ultravox.

    Args:
        model: As the endpoint names it; `AUDIO_CHAT_MODEL` if none is given.
        base_url: Ends in `/v1`; `AUDIO_CHAT_BASE_URL` if none is given. `AUDIO_CHAT_API_KEY` is sent if it is set.
    """
    given = {"AUDIO_CHAT_MODEL": model, "AUDIO_CHAT_BASE_URL": base_url}

    def build(session: Session) -> FrameProcessor:
        return _chat(
            session,
            model or os.environ["AUDIO_CHAT_MODEL"],
            address("AUDIO_CHAT_BASE_URL", base_url, "http://localhost:8000/v1"),
            os.environ.get("AUDIO_CHAT_API_KEY", ""),
        )

    keys = tuple(name for name, value in given.items() if value is None)
    return Service("audio-chat", build, CHATS, _load_chat, keys=keys, settings=_chat_settings)


def openai_audio(*, model: str = OPENAI_AUDIO_MODEL, base_url: str | None = None) -> Service:
    """OpenAI's chat completions with sound in and text out."""

    def build(session: Session) -> FrameProcessor:
        url = address("OPENAI_BASE_URL", base_url, OPENAI_URL)
        return _chat(session, model, url, os.environ["OPENAI_API_KEY"])

    return Service("openai-audio", build, CHATS, _load_chat, keys=("OPENAI_API_KEY",), settings=_chat_settings)


def nvidia_omni(*, model: str = NVIDIA_OMNI_MODEL, base_url: str | None = None) -> Service:
    """NVIDIA's Nemotron Omni."""

    def build(session: Session) -> FrameProcessor:
        from processors.cloud.nvidia import NvidiaOmniLLM

        url = address("NVIDIA_BASE_URL", base_url, NVIDIA_URL)
        return _hearing(NvidiaOmniLLM, session, model, url, os.environ["NVIDIA_API_KEY"])

    return Service("nvidia-omni", build, CHATS, _load_chat, keys=("NVIDIA_API_KEY",), settings=_chat_settings)


def openai_realtime(*, model: str = OPENAI_REALTIME_MODEL, base_url: str | None = None) -> Service:
    """OpenAI's Realtime API with text instead of speech for its answers; the pipeline says when a turn is over."""

    def build(session: Session) -> FrameProcessor:
        return realtime(session, model, base_url, "text", MAX_ANSWER_TOKENS)

    return Service(
        "openai-realtime",
        build,
        HEARS | {Capability.TOOLS},
        importing("processors.cloud.realtime"),
        keys=("OPENAI_API_KEY",),
        settings=realtime_prompt,
    )


def realtime(
    session: Session,
    model: str,
    base_url: str | None,
    modality: Literal["text", "audio"],
    most_tokens: int,
    speaks: AudioOutput | None = None,
) -> FrameProcessor:
    """OpenAI's Realtime API in a pipeline that says when a turn is over.

    Args:
        session: Of the conversation.
        model: As OpenAI names it.
        base_url: Begins with `http`; `OPENAI_REALTIME_BASE_URL` or OpenAI's own if none is given.
        modality: Of its answers.
        most_tokens: Of an answer.
        speaks: With which voice, if it speaks.
    """
    from pipecat.services.openai.realtime import events

    from processors.cloud.realtime import RealtimeLLM

    hears = events.AudioInput(transcription=events.InputAudioTranscription(), turn_detection=False)
    url = address("OPENAI_REALTIME_BASE_URL", base_url, f"{OPENAI_URL}/realtime")
    return RealtimeLLM(
        context=session.context,
        api_key=os.environ["OPENAI_API_KEY"],
        base_url="ws" + url.removeprefix("http"),
        settings=RealtimeLLM.Settings(
            model=model,
            system_instruction=session.persona.instructions,
            session_properties=events.SessionProperties(
                output_modalities=[modality],
                audio=events.AudioConfiguration(input=hears, output=speaks),
                max_output_tokens=most_tokens,
            ),
        ),
    )


def realtime_prompt(persona: Persona) -> LLMSettings:
    """What changes with who speaks."""
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

    return OpenAIRealtimeLLMService.Settings(system_instruction=persona.instructions)


def ultravox(*, model: str = ULTRAVOX_MODEL, base_url: str | None = None) -> Service:
    """Ultravox with text instead of speech for its answers. It says itself when a turn is over; its answer is said when
    the pipeline says so, too. Another persona is another call of Ultravox', so that no tool can hand over: its result
    would be given to the call that is left."""

    def build(session: Session) -> FrameProcessor:
        from processors.cloud.ultravox import UltravoxLLM

        return UltravoxLLM(
            api_key=os.environ["ULTRAVOX_API_KEY"],
            base_url=address("ULTRAVOX_BASE_URL", base_url, ULTRAVOX_URL),
            model=model,
            context=session.context,
            instructions=session.persona.instructions,
        )

    def prompt(persona: Persona) -> LLMSettings:
        from processors.cloud.ultravox import UltravoxLLM

        return UltravoxLLM.Settings(system_instruction=persona.instructions)

    return Service(
        "ultravox",
        build,
        HEARS | {Capability.TOOLS},
        importing("processors.cloud.ultravox"),
        keys=("ULTRAVOX_API_KEY",),
        settings=prompt,
        hands_over=False,
    )


def gemini_live(*, model: str = GEMINI_LIVE_MODEL) -> Service:
    """Gemini Live, whose models that are served now answer in speech alone (asked for text they end the call with error
    1007), so that no architecture that needs text can have it."""

    def build(session: Session) -> FrameProcessor:
        from pipecat.services.google.gemini_live.llm import GeminiLiveLLMService

        return GeminiLiveLLMService(
            api_key=os.environ["GOOGLE_API_KEY"],
            settings=GeminiLiveLLMService.Settings(model=model, system_instruction=session.persona.instructions),
        )

    return Service(
        "gemini-live",
        build,
        frozenset({Capability.AUDIO_IN}),
        importing("pipecat.services.google.gemini_live.llm"),
        keys=("GOOGLE_API_KEY",),
    )


def importing(module: str) -> Callable[[Progress], None]:
    """Loads a service of which nothing but its code is on this machine."""

    def load(progress: Progress) -> None:
        with IMPORTING:
            import_module(module)

    return load


def _load_chat(progress: Progress) -> None:
    with IMPORTING:
        from openai import AsyncOpenAI

        import processors.cloud.nvidia  # noqa: F401

        # Most of the library is imported when a client is asked.
        AsyncOpenAI(api_key="none").chat.completions  # noqa: B018


def _chat(session: Session, model: str, url: str, key: str) -> FrameProcessor:
    from processors.cloud.audio_chat import AudioChatLLM

    return _hearing(AudioChatLLM, session, model, url, key)


def _hearing(kind: type[NvidiaOmniLLMService], session: Session, model: str, url: str, key: str) -> FrameProcessor:
    prompt = session.persona.instructions
    settings = kind.Settings(model=model, system_instruction=prompt, max_tokens=MAX_ANSWER_TOKENS)
    return kind(api_key=key, base_url=url, context=session.context, settings=settings)


def _chat_settings(persona: Persona) -> LLMSettings:
    from pipecat.services.nvidia.omni.llm import NvidiaOmniLLMService

    return NvidiaOmniLLMService.Settings(system_instruction=persona.instructions)
