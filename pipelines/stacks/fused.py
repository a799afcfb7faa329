"""Models that are several stages in one: for the slots STT_LLM, SPEECH_LLM and DUPLEX_LLM.

Keys: `OPENAI_API_KEY`. To go elsewhere, give `base_url` or set `OPENAI_REALTIME_BASE_URL`, `OPENAI_LIVE_BASE_URL`,
`MOSHI_URL`. A persona sets its voice under `voices:` with the service's name, as in `openai-realtime: {voice: marin}`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.definition import Capability
from pipelines.stacks.cloud import address
from pipelines.stacks.listening import OPENAI_REALTIME_MODEL, OPENAI_URL, importing, realtime, realtime_prompt
from pipelines.stacks.stack import Service, Session, StackError

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor

    from pipelines.personas import Persona

MOSHI_URL = "ws://localhost:8998"
OPENAI_LIVE_MODEL = "gpt-live-1"

MAX_SPOKEN_TOKENS = 4096
"""Of an answer in speech, which takes 20 a second and those of its words; the most that OpenAI allows."""


def openai_realtime(*, model: str = OPENAI_REALTIME_MODEL, base_url: str | None = None) -> Service:
    """OpenAI's Realtime API, which answers in speech; the pipeline says when a turn is over. Its voice stays the same
    for the whole call, whoever the call is handed over to."""

    def build(session: Session) -> FrameProcessor:
        from pipecat.services.openai.realtime.events import AudioOutput

        speaks = AudioOutput(voice=_voice("SPEECH_LLM", "openai-realtime", session.persona))
        return realtime(session, model, base_url, "audio", MAX_SPOKEN_TOKENS, speaks)

    return Service(
        "openai-realtime",
        build,
        frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT, Capability.TOOLS, Capability.CALLER_WORDS}),
        importing("processors.cloud.realtime"),
        keys=("OPENAI_API_KEY",),
        settings=realtime_prompt,
    )


def openai_live(*, model: str = OPENAI_LIVE_MODEL, base_url: str | None = None) -> Service:
    """OpenAI's Live API: hears and speaks at the same time, and decides itself when to do either. It cannot be told to
    stop: the gate keeps silent what it may not say. What it would delegate is declined, so that it has no tools."""

    def build(session: Session) -> FrameProcessor:
        from processors.cloud.live import LiveLLM

        url = address("OPENAI_LIVE_BASE_URL", base_url, f"{OPENAI_URL}/live/sessions")
        return LiveLLM(
            context=session.context,
            api_key=os.environ["OPENAI_API_KEY"],
            base_url="ws" + url.removeprefix("http"),
            settings=LiveLLM.Settings(
                model=model,
                system_instruction=session.persona.instructions,
                voice=_voice("DUPLEX_LLM", "openai-live", session.persona),
            ),
        )

    return Service(
        "openai-live",
        build,
        frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT, Capability.FULL_DUPLEX, Capability.CALLER_WORDS}),
        importing("processors.cloud.live"),
        keys=("OPENAI_API_KEY",),
    )


def moshi(*, url: str | None = None) -> Service:
    """Moshi on a server of its own (kyutai-labs/moshi). It takes no instructions, has no tools and one voice, tells
    nothing of what it understood, and cannot be told to stop: the gate keeps silent what it may not say.

    Args:
        url: The server's, `ws://…` or `wss://…`; `MOSHI_URL` if none is given.
    """

    def build(session: Session) -> FrameProcessor:
        from processors.fused.moshi import MoshiService

        return MoshiService(url=address("MOSHI_URL", url, MOSHI_URL))

    provides = frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT, Capability.FULL_DUPLEX})
    return Service("moshi", build, provides, importing("processors.fused.moshi"), instructed=False)


def _voice(slot: str, service: str, persona: Persona) -> str | None:
    """The voice that a persona has with a service; None for the service's own choice.

    Raises:
        StackError: If the persona sets anything but that.
    """
    wanted = persona.voices.get(service, {})
    for name, value in wanted.items():
        if name != "voice" or not isinstance(value, str):
            raise StackError(f"{slot}: {persona.name}'s {service} voice says {name}: {value}: it may set voice, a name")
    return str(wanted["voice"]) if wanted else None
