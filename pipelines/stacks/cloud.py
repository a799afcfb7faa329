"""Services from vendors, by key. Nothing of a vendor's is imported before `load` or `build`.

Keys: `ANTHROPIC_API_KEY`, `ELEVENLABS_API_KEY`, `DEEPGRAM_API_KEY`. To go through a proxy or to another region, give
`base_url` or set `ANTHROPIC_BASE_URL`, `ELEVENLABS_BASE_URL`, `DEEPGRAM_BASE_URL`. A persona sets its ElevenLabs voice
under `voices: elevenlabs:` with the keys in `VOICE_SETTINGS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelines.definition import Capability
from pipelines.stacks.stack import IMPORTING, Progress, Service, Session, Stack, StackError

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.settings import LLMSettings, TTSSettings

    from pipelines.personas import Persona

ANTHROPIC_MODEL = "claude-haiku-5-5"
ELEVENLABS_TTS_MODEL = "eleven_flash_v2_5"
ELEVENLABS_STT_MODEL = "scribe_v2_realtime"
DEEPGRAM_MODEL = "nova-3-general"
ELEVENLABS_VOICE = "EXAVITQu4vr4xnSDxMaL"
"""Sarah, one of the voices every ElevenLabs account has; used where a persona names none."""

VOICE_SETTINGS = frozenset({"voice", "stability", "similarity_boost", "style", "speed"})
"""What a persona may set for ElevenLabs: a voice id, and numbers as ElevenLabs defines them."""

MAX_ANSWER_TOKENS = 512
CONNECT_SECS = 3.0
FIRST_TOKEN_SECS = 5.0
"""How long the first attempt may take to start an answer; the one retry may take `STALL_SECS`."""
STALL_SECS = 10.0
"""How long an answer may pause, and a list of voices take, before it is given up."""


def anthropic(*, model: str = ANTHROPIC_MODEL, base_url: str | None = None) -> Service:
    """Anthropic's Messages API, streamed, with prompt caching.

    A refused or overloaded request ends in an `ErrorFrame` at once: the vendor's own retries obey waits that are
    longer than a caller's patience. Only a request that times out is sent again, once.
    """

    def load(progress: Progress) -> None:
        with IMPORTING:
            from anthropic import AsyncAnthropic

            import processors.cloud.anthropic  # noqa: F401

            # Most of the library is imported when a client is made, or asked.
            AsyncAnthropic(api_key="none").messages  # noqa: B018

    def build(session: Session) -> FrameProcessor:
        from anthropic import AsyncAnthropic, Timeout

        from processors.cloud.anthropic import AnthropicLLM

        key = os.environ["ANTHROPIC_API_KEY"]
        client = AsyncAnthropic(
            api_key=key,
            base_url=address("ANTHROPIC_BASE_URL", base_url, "https://api.anthropic.com"),
            timeout=Timeout(STALL_SECS, connect=CONNECT_SECS),
            max_retries=0,
        )
        return AnthropicLLM(
            api_key=key,
            client=client,
            retry_on_timeout=True,
            retry_timeout_secs=FIRST_TOKEN_SECS,
            settings=AnthropicLLM.Settings(
                model=model,
                system_instruction=session.persona.instructions,
                max_tokens=MAX_ANSWER_TOKENS,
                enable_prompt_caching=True,
            ),
        )

    def prompt(persona: Persona) -> LLMSettings:
        from processors.cloud.anthropic import AnthropicLLM

        return AnthropicLLM.Settings(system_instruction=persona.instructions)

    return Service(
        "anthropic",
        build,
        frozenset({Capability.TEXT_OUT, Capability.TOOLS, Capability.DELIVERY_TAGS, Capability.SUMMARIES}),
        load,
        keys=("ANTHROPIC_API_KEY",),
        settings=prompt,
    )


def elevenlabs_tts(*, model: str = ELEVENLABS_TTS_MODEL, base_url: str | None = None) -> Service:
    """ElevenLabs' multi-context websocket, with word timestamps, at the pipeline's output rate.

    `load` lists the voices of the key; `build` refuses a persona whose voice is not among them.
    """
    voices = Voices(base_url)

    def load(progress: Progress) -> None:
        with IMPORTING:
            import processors.cloud.elevenlabs  # noqa: F401

        voices.fetch()

    def build(session: Session) -> FrameProcessor:
        from processors.cloud.elevenlabs import ElevenLabsTTS

        endpoint = address("ELEVENLABS_BASE_URL", base_url, ELEVENLABS_URL)
        return ElevenLabsTTS(
            api_key=os.environ["ELEVENLABS_API_KEY"],
            url="ws" + endpoint.removeprefix("http"),
            settings=ElevenLabsTTS.Settings(model=model, **checked(session.persona)),
        )

    def voice(persona: Persona) -> TTSSettings:
        from processors.cloud.elevenlabs import ElevenLabsTTS

        return ElevenLabsTTS.Settings(**{**dict.fromkeys(VOICE_SETTINGS), **checked(persona)})

    def checked(persona: Persona) -> dict[str, Any]:
        wanted: dict[str, Any] = {"voice": ELEVENLABS_VOICE, **persona.voices.get("elevenlabs", {})}
        for name, value in wanted.items():
            if name not in VOICE_SETTINGS or isinstance(value, str) != (name == "voice"):
                raise StackError(
                    f"TTS: {persona.name}'s elevenlabs voice says {name}: {value}: "
                    f"it may set {', '.join(sorted(VOICE_SETTINGS))}, all numbers but voice"
                )
        voices.check(wanted["voice"], persona.name)
        return wanted

    return Service(
        "elevenlabs",
        build,
        frozenset({Capability.PERSONA_VOICE, Capability.WORD_TIMESTAMPS}),
        load,
        keys=("ELEVENLABS_API_KEY",),
        settings=voice,
    )


def elevenlabs_stt(*, model: str = ELEVENLABS_STT_MODEL, base_url: str | None = None) -> Service:
    """ElevenLabs' realtime websocket, in English; the pipeline's VAD says when to commit. `base_url` must be https."""

    def load(progress: Progress) -> None:
        with IMPORTING:
            import processors.cloud.elevenlabs  # noqa: F401

    def build(session: Session) -> FrameProcessor:
        from pipecat.transcriptions.language import Language

        from processors.cloud.elevenlabs import ElevenLabsSTT

        endpoint = address("ELEVENLABS_BASE_URL", base_url, ELEVENLABS_URL)
        if not endpoint.startswith("https://"):
            raise StackError(f"STT: elevenlabs needs an https address, not {endpoint}: correct ELEVENLABS_BASE_URL")
        return ElevenLabsSTT(
            api_key=os.environ["ELEVENLABS_API_KEY"],
            base_url=endpoint.removeprefix("https://"),
            settings=ElevenLabsSTT.Settings(model=model, language=Language.EN),
        )

    return Service("elevenlabs", build, load=load, keys=("ELEVENLABS_API_KEY",))


def deepgram(*, model: str = DEEPGRAM_MODEL, base_url: str | None = None) -> Service:
    """Deepgram's live websocket, in English; the pipeline's VAD says when to finalize."""

    def load(progress: Progress) -> None:
        with IMPORTING:
            import httpx
            import pipecat.services.deepgram.stt  # noqa: F401

            # Most of the library is imported when a client is made, as Deepgram's does.
            httpx.AsyncClient()

    def build(session: Session) -> FrameProcessor:
        from pipecat.services.deepgram.stt import DeepgramSTTService
        from pipecat.transcriptions.language import Language

        return DeepgramSTTService(
            api_key=os.environ["DEEPGRAM_API_KEY"],
            base_url=address("DEEPGRAM_BASE_URL", base_url, "https://api.deepgram.com"),
            settings=DeepgramSTTService.Settings(model=model, language=Language.EN, interim_results=True),
        )

    return Service("deepgram", build, load=load, keys=("DEEPGRAM_API_KEY",))


ELEVENLABS_URL = "https://api.elevenlabs.io"


@dataclass
class Voices:
    """The voices an ElevenLabs key may use, listed once."""

    base_url: str | None = None
    names: dict[str, str] | None = field(default=None, init=False)
    """Voice id → name; None until listed, or if the key may speak but not list."""

    def fetch(self) -> None:
        """Ask ElevenLabs. Blocks up to `STALL_SECS` a page; a second call is free.

        Raises:
            StackError: If the key is refused or ElevenLabs cannot be reached.
        """
        if self.names is not None:
            return
        import httpx
        from elevenlabs.client import ElevenLabs
        from elevenlabs.core.api_error import ApiError
        from loguru import logger

        endpoint = address("ELEVENLABS_BASE_URL", self.base_url, ELEVENLABS_URL)
        names: dict[str, str] = {}
        try:
            with httpx.Client(timeout=httpx.Timeout(STALL_SECS, connect=CONNECT_SECS)) as http:
                client = ElevenLabs(base_url=endpoint, api_key=os.environ["ELEVENLABS_API_KEY"], httpx_client=http)
                page = client.voices.search(page_size=100)
                names |= {voice.voice_id: voice.name or "" for voice in page.voices}
                while page.has_more and page.next_page_token:
                    page = client.voices.search(page_size=100, next_page_token=page.next_page_token)
                    names |= {voice.voice_id: voice.name or "" for voice in page.voices}
        except httpx.HTTPError as error:
            raise StackError(
                f"TTS: elevenlabs cannot be reached at {endpoint} ({error}): check the network and ELEVENLABS_BASE_URL"
            ) from None
        except ApiError as error:
            if _reason(error.body) == "missing_permissions":
                logger.warning("this ELEVENLABS_API_KEY may not list voices: the persona's voice goes unchecked")
                return
            if error.status_code in (401, 403):
                raise StackError("TTS: elevenlabs refuses ELEVENLABS_API_KEY: set one that is valid") from None
            raise StackError(
                f"TTS: elevenlabs answers {error.status_code} to a list of voices: try again later"
            ) from None
        self.names = names

    def check(self, voice: str, persona: str) -> None:
        """Refuse a voice that was not listed.

        Raises:
            StackError: Naming a few voices that were.
        """
        if self.names is None or voice in self.names:
            return
        few = ", ".join(f"{name} {id_}" for id_, name in list(self.names.items())[:5]) or "none at all"
        raise StackError(
            f"TTS: elevenlabs has no voice {voice} for this key ({persona}): it has {few}; "
            f"set voices.elevenlabs.voice in the persona, or add the voice to the account"
        )


def _reason(body: object) -> str | None:
    detail = body.get("detail") if isinstance(body, dict) else None
    return detail.get("status") if isinstance(detail, dict) else None


def address(variable: str, given: str | None, default: str) -> str:
    """A vendor's address: the one given, the one in an environment variable, or the usual one.

    Raises:
        StackError: If it is no address.
    """
    url = (given or os.environ.get(variable) or default).rstrip("/")
    parts = urlsplit(url)
    kinds = ("ws", "wss") if default.startswith("ws") else ("http", "https")
    if parts.scheme not in kinds or not parts.hostname:
        raise StackError(f"{variable}: {url} is no address: write it as {default}")
    return url


CLOUD = Stack("cloud", {"STT": elevenlabs_stt(), "LLM": anthropic(), "TTS": elevenlabs_tts()})
"""Claude between ElevenLabs' ears and ElevenLabs' voices."""
