"""Everything on this machine: no keys, no network. The default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipelines.definition import Capability
from pipelines.stacks.stack import IMPORTING, Progress, Service, Session, Stack

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor

    from pipelines.personas import Persona
    from processors.embedded.hibari import Synthesiser
    from processors.embedded.llama import LlamaServer
    from processors.embedded.llm import EmbeddedLLMSettings
    from processors.embedded.moonshine import Recogniser
    from processors.embedded.tts import EmbeddedTTSSettings

Model = TypeVar("Model")
Bytes = Callable[[int, int], None]


class Once(Generic[Model]):
    """A model that all conversations of the process share, loaded by whoever needs it first.

    Args:
        what: Its name in progress displays.
        load: Loads it, blocking; told whom to call with bytes done and bytes in all.
    """

    def __init__(self, what: str, load: Callable[[Bytes], Model]) -> None:
        self._what = what
        self._load = load
        self._lock = threading.Lock()
        self._model: Model | None = None

    def get(self) -> Model:
        """The model. The first call loads it."""
        return self._get(lambda what, done: None)

    def load(self, progress: Progress) -> None:
        """Have it ready, reporting how far it is."""
        self._get(progress)

    def _get(self, progress: Progress) -> Model:
        with self._lock:
            if self._model is None:
                progress(self._what, 0.0)
                # What follows the bytes, reading them into the model, takes about as long again.
                self._model = self._load(lambda done, of: progress(self._what, 0.5 * done / max(of, 1)))
            progress(self._what, 1.0)
            return self._model


def _load_recogniser(progress: Bytes) -> Recogniser:
    from processors.embedded.moonshine import Recogniser
    from processors.embedded.weights import locate

    recogniser = Recogniser(locate("moonshine-tiny-en", progress=progress))
    recogniser.warm_up()
    return recogniser


def _load_server(progress: Bytes) -> LlamaServer:
    from processors.embedded.llama import LlamaServer
    from processors.embedded.weights import locate

    return LlamaServer(locate("qwen2.5-coder-1.5b-instruct-q4_k_m", progress=progress), progress)


def _load_synthesiser(progress: Bytes) -> Synthesiser:
    from processors.embedded.hibari import Synthesiser
    from processors.embedded.weights import locate

    locate("hibari-g2p")
    synthesiser = Synthesiser(locate("hibari-heart", progress=progress))
    synthesiser.speak("Hello.")
    return synthesiser


RECOGNISER = Once("speech recognition", _load_recogniser)
LANGUAGE_MODEL = Once("language model", _load_server)
SYNTHESISER = Once("voice", _load_synthesiser)


def _load_stt(progress: Progress) -> None:
    with IMPORTING:
        import processors.embedded.stt  # noqa: F401

    RECOGNISER.load(progress)


def _load_llm(progress: Progress) -> None:
    with ThreadPoolExecutor(1) as meanwhile:
        # Another process reads the model.
        imported = meanwhile.submit(_import_llm)
        LANGUAGE_MODEL.load(progress)
        imported.result()


def _import_llm() -> None:
    with IMPORTING:
        import httpx2
        from openai import AsyncOpenAI

        import processors.embedded.llm  # noqa: F401

        # Most of either library is imported when a client is made, or asked.
        httpx2.AsyncClient()
        AsyncOpenAI(api_key="none").chat.completions  # noqa: B018


def _load_tts(progress: Progress) -> None:
    with IMPORTING:
        import processors.embedded.tts  # noqa: F401

    SYNTHESISER.load(progress)


def _stt(session: Session) -> FrameProcessor:
    from processors.embedded.stt import EmbeddedSTTService

    return EmbeddedSTTService(RECOGNISER.get().transcribe)


def _llm(session: Session) -> FrameProcessor:
    from processors.embedded.llm import EmbeddedLLMService

    server = LANGUAGE_MODEL.get()
    examples = [(example.caller, example.answer) for example in session.persona.examples]
    return EmbeddedLLMService(server, session.persona.instructions, session.context, examples)


def _prompt(persona: Persona) -> EmbeddedLLMSettings:
    from processors.embedded.llm import EmbeddedLLMSettings

    examples = tuple((example.caller, example.answer) for example in persona.examples)
    return EmbeddedLLMSettings(system_instruction=persona.instructions, examples=examples)


def _tts(session: Session) -> FrameProcessor:
    from processors.embedded.tts import EmbeddedTTSService

    return EmbeddedTTSService(SYNTHESISER.get(), settings=_voice(session.persona))


def _voice(persona: Persona) -> EmbeddedTTSSettings:
    from processors.embedded.hibari import Controls
    from processors.embedded.tts import EmbeddedTTSSettings

    voice: dict[str, Any] = {**asdict(Controls()), **persona.voices.get("embedded", {})}
    return EmbeddedTTSSettings(**voice)


EMBEDDED = Stack(
    name="embedded",
    services={
        "STT": Service("embedded", _stt, load=_load_stt),
        "LLM": Service(
            "embedded",
            _llm,
            frozenset({Capability.TEXT_OUT, Capability.TOOLS}),
            load=_load_llm,
            settings=_prompt,
            hands_over=False,
        ),
        "TTS": Service(
            "embedded",
            _tts,
            frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE}),
            load=_load_tts,
            settings=_voice,
        ),
    },
)
"""Moonshine, Qwen on llama.cpp, hibari."""
