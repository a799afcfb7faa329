"""Vendors' services over their real wire protocols, against scripted servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy
import pytest
import soundfile
import soxr
from loopback import scripted_deepgram as deep
from loopback import scripted_elevenlabs as eleven
from loopback import tls
from loopback.clock import run_fast
from loopback.pipeline import Bench, bench, event
from loopback.scripted_anthropic import CallsTool, Ignores, Refuses, Says, ScriptedAnthropic
from loopback.scripted_deepgram import ScriptedDeepgram
from loopback.scripted_elevenlabs import ScriptedElevenLabs
from loopback.server import ScriptError
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    Frame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.transports.base_transport import BaseTransport
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.text.base_text_aggregator import TextType

from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab.caller import calling
from pipelines.personas import Persona
from pipelines.stacks import Service, Session, StackError, cloud
from pipelines.stacks.catalogue import choose
from pipelines.stacks.cloud import CLOUD

# Pipecat warns about its own classes when its TTS module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:`AudioContextTTSService` is deprecated:DeprecationWarning")

OLD_WEBSOCKETS = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")
"""Deepgram's SDK is built on the older of the two clients in `websockets`, which warns."""

RECORDING = Path(__file__).parents[2] / "shared/data/agent_turns_tau2/tau2_order_status.wav"

PERSONA = Persona(name="Test", instructions="You are a test.", greeting="Hello.")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("ANTHROPIC", "ELEVENLABS", "DEEPGRAM"):
        monkeypatch.setenv(f"{vendor}_API_KEY", f"{vendor.lower()}-key")
        monkeypatch.delenv(f"{vendor}_BASE_URL", raising=False)


def asked(text: str, **context: Any) -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": text}], **context))


def microphone(seconds: float) -> list[Frame]:
    """Silence at 16 kHz in 20 ms chunks: to a scripted recogniser all audio sounds alike."""
    return [InputAudioRawFrame(bytes(640), 16000, 1) for _ in range(round(seconds * 50))]


def said(frames: list[LLMTextFrame]) -> str:
    return "".join(frame.text for frame in frames)


class TestScript:
    async def test_a_request_too_many_is_an_error(self) -> None:
        with pytest.raises(ScriptError, match="unexpected POST /v1/messages"):
            async with ScriptedAnthropic() as server, httpx.AsyncClient() as client:
                await client.post(f"{server.url}/v1/messages", json={})

    async def test_a_request_too_few_is_an_error(self) -> None:
        with pytest.raises(ScriptError, match="never asked for: Ignores"):
            async with ScriptedAnthropic(Ignores()):
                pass

    async def test_a_request_elsewhere_is_an_error(self) -> None:
        with pytest.raises(ScriptError, match="GET /v1/models → 404"):
            async with ScriptedAnthropic() as server, httpx.AsyncClient() as client:
                await client.get(f"{server.url}/v1/models")


class TestAnthropic:
    async def test_streams_an_answer(self) -> None:
        async with ScriptedAnthropic(Says(["It is ", "noon."])) as server:
            llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(llm) as board:
                await board.send(asked("What time is it?"))
                await board.wait(LLMFullResponseEndFrame)
                assert said(board.all(LLMTextFrame)) == "It is noon."
                assert board.errors == []
        [request] = server.requests
        assert request.headers["x-api-key"] == "anthropic-key"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.body["model"] == cloud.ANTHROPIC_MODEL
        assert request.body["max_tokens"] == cloud.MAX_ANSWER_TOKENS
        assert request.body["stream"] is True
        [system] = request.body["system"]
        assert system["text"] == PERSONA.instructions
        assert system["cache_control"] == {"type": "ephemeral"}
        [message] = request.body["messages"]
        assert message["role"] == "user"
        assert message["content"][0]["text"] == "What time is it?"
        assert message["content"][-1]["cache_control"] == {"type": "ephemeral"}
        [usage] = [
            data.value
            for frame in board.all(MetricsFrame)
            for data in frame.data
            if isinstance(data, LLMUsageMetricsData)
        ]
        assert (usage.prompt_tokens, usage.cache_read_input_tokens, usage.completion_tokens) == (25, 100, 12)

    async def test_calls_a_tool(self) -> None:
        schema = FunctionSchema("weather", "Says the weather", {"city": {"type": "string"}}, ["city"])
        got: list[dict[str, Any]] = []

        async def weather(params: Any) -> None:
            got.append(dict(params.arguments))
            await params.result_callback({"sky": "clear"})

        async with ScriptedAnthropic(CallsTool("weather", ['{"city": ', '"Bath"}'])) as server:
            llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
            llm.register_function("weather", weather)  # type: ignore[attr-defined]
            async with bench(llm) as board:
                await board.send(asked("How is Bath?", tools=ToolsSchema([schema])))
                result = await board.wait(FunctionCallResultFrame)
                assert result.result == {"sky": "clear"}
        assert got == [{"city": "Bath"}]
        [tool] = server.requests[0].body["tools"]
        assert tool["name"] == "weather"

    @pytest.mark.parametrize(
        ("refusal", "category"),
        [
            (Refuses(401, "authentication_error"), ErrorCategory.AUTHENTICATION),
            (Refuses(429, "rate_limit_error"), ErrorCategory.RATE_LIMIT),
            (Refuses(529, "overloaded_error"), ErrorCategory.SERVER),
        ],
    )
    async def test_a_refusal_is_one_error_and_the_next_turn_works(
        self, refusal: Refuses, category: ErrorCategory
    ) -> None:
        async with ScriptedAnthropic(refusal, Says(["Here."])) as server:
            llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(llm) as board:
                await board.send(asked("Hello?"))
                await board.wait(LLMFullResponseEndFrame)
                [error] = board.errors
                assert error.category is category
                assert "anthropic-key" not in error.error
                await board.send(asked("Hello?"))
                await board.wait(LLMFullResponseEndFrame, 2)
                assert said(board.all(LLMTextFrame)) == "Here."
                assert len(board.errors) == 1

    @pytest.mark.parametrize("how", ["drop", "error"])
    async def test_a_line_that_breaks_in_mid_answer_is_an_error_and_the_next_turn_works(self, how: str) -> None:
        async with ScriptedAnthropic(Says(["It is ", "no"], then=how), Says(["Noon."])) as server:
            llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(llm) as board:
                await board.send(asked("What time is it?"))
                await board.wait(LLMFullResponseEndFrame)
                assert len(board.errors) == 1
                assert said(board.all(LLMTextFrame)) == "It is no"
                await board.send(asked("Pardon?"))
                await board.wait(LLMFullResponseEndFrame, 2)
                assert said(board.all(LLMTextFrame)) == "It is noNoon."

    def test_a_stalled_answer_is_given_up_with_an_error(self) -> None:
        async def turn() -> None:
            async with ScriptedAnthropic(Says(["It is "], then="stall"), Says(["Noon."])) as server:
                llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
                async with bench(llm) as board:
                    start = asyncio.get_running_loop().time()
                    await board.send(asked("What time is it?"))
                    await board.wait(ErrorFrame)
                    assert asyncio.get_running_loop().time() - start >= cloud.STALL_SECS
                    await board.wait(LLMFullResponseEndFrame)
                    await board.send(asked("Pardon?"))
                    await board.wait(LLMFullResponseEndFrame, 2)
                    assert len(board.errors) == 1

        run_fast(turn())

    def test_a_request_that_is_not_answered_is_sent_once_more(self) -> None:
        async def turn() -> None:
            async with ScriptedAnthropic(Ignores(), Says(["Noon."])) as server:
                llm = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
                async with bench(llm) as board:
                    await board.send(asked("What time is it?"))
                    await board.wait(LLMFullResponseEndFrame)
                    assert said(board.all(LLMTextFrame)) == "Noon."
                    assert board.errors == []
            assert len(server.requests) == 2

        run_fast(turn())

    async def test_an_unreachable_server_is_an_error(self) -> None:
        llm = cloud.anthropic(base_url="http://localhost:9").build(Session(PERSONA, LLMContext()))
        async with bench(llm) as board:
            await board.send(asked("Hello?"))
            await board.wait(LLMFullResponseEndFrame)
            assert len(board.errors) == 1


VOICES = eleven.Lists({cloud.ELEVENLABS_VOICE: "Sarah", "voice-2": "Otto"})
OTTO = Persona(
    name="Otto",
    instructions="You are Otto.",
    voices={"elevenlabs": {"voice": "voice-2", "stability": 0.4, "speed": 1.1}},
)


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    context, certificate = tls.loopback(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


def quiet(what: str, done: float) -> None:
    """A progress display for nobody."""


async def loaded(service: Service) -> Service:
    assert service.load is not None
    await asyncio.to_thread(service.load, quiet)
    return service


def answer(*sentences: str) -> list[Frame]:
    pieces = [AggregatedTextFrame(sentence, TextType.SENTENCE) for sentence in sentences]
    return [LLMFullResponseStartFrame(), *pieces, LLMFullResponseEndFrame()]


def heard(board: Bench) -> str:
    return " ".join(frame.text for frame in board.all(TTSTextFrame))


class TestElevenLabsSpeech:
    async def test_speaks_an_answer_in_the_personas_voice_with_word_times(self, certified: ssl.SSLContext) -> None:
        script = [VOICES, eleven.Speaks("It is noon.", 0.8), eleven.Speaks("Lunch is ready.", 1.05)]
        async with ScriptedElevenLabs(*script, tls=certified) as server:
            service = await loaded(cloud.elevenlabs_tts(base_url=server.url))
            async with bench(service.build(Session(OTTO, LLMContext()))) as board:
                await board.send(*answer("It is noon.", "Lunch is ready."))
                await board.wait(TTSStoppedFrame)
                assert board.seconds_of_audio() == pytest.approx(1.85)
                assert {frame.sample_rate for frame in board.all(OutputAudioRawFrame)} == {24000}
                assert heard(board) == "It is noon. Lunch is ready."
                start = board.all(TTSTextFrame)[0].pts
                lunch = next(frame for frame in board.all(TTSTextFrame) if frame.text == "Lunch")
                assert start is not None
                assert lunch.pts is not None
                assert (lunch.pts - start) / 1e9 == pytest.approx(0.8, abs=0.1)
                assert board.errors == []
        [listing] = server.to("voices")
        assert listing.headers["xi-api-key"] == "elevenlabs-key"
        [line] = server.to("text-to-speech")
        assert line.path == "/v1/text-to-speech/voice-2/multi-stream-input"
        assert line.headers["xi-api-key"] == "elevenlabs-key"
        assert line.query["model_id"] == cloud.ELEVENLABS_TTS_MODEL
        assert line.query["output_format"] == "pcm_24000"
        opening, first, second, flush, close, goodbye = line.messages
        assert opening["voice_settings"] == {"stability": 0.4, "speed": 1.1}
        assert (first["text"].strip(), second["text"].strip()) == ("It is noon.", "Lunch is ready.")
        assert flush["flush"]
        assert close["close_context"]
        assert len({message["context_id"] for message in line.messages[:-1]}) == 1
        assert goodbye == {"close_socket": True}

    async def test_another_way_of_speaking_begins_with_its_text_in_the_midst_of_an_answer(
        self, certified: ssl.SSLContext
    ) -> None:
        from pipecat.services.elevenlabs.tts import ElevenLabsTTSSettings

        script = [VOICES, eleven.Speaks("It is noon.", 0.8), eleven.Speaks("Lunch is ready.", 1.05)]
        async with ScriptedElevenLabs(*script, tls=certified) as server:
            service = await loaded(cloud.elevenlabs_tts(base_url=server.url))
            async with bench(service.build(Session(OTTO, LLMContext()))) as board:
                begin, first, second, end = answer("It is noon.", "Lunch is ready.")
                softer = TTSUpdateSettingsFrame(delta=ElevenLabsTTSSettings(stability=0.9))
                await board.send(begin, first, softer, second, end)
                await board.wait(TTSStoppedFrame, 2)
                assert board.seconds_of_audio() == pytest.approx(1.85)
                assert heard(board) == "It is noon. Lunch is ready."
                noon, lunch = (
                    next(f for f in board.all(TTSTextFrame) if f.text == word) for word in ("noon.", "Lunch")
                )
                assert noon.pts is not None
                assert lunch.pts is not None
                assert 0 < (lunch.pts - noon.pts) / 1e9 < 0.8
                assert board.errors == []
        [line] = server.to("text-to-speech")
        openings = [message for message in line.messages if "voice_settings" in message]
        assert [opening["voice_settings"]["stability"] for opening in openings] == [0.4, 0.9]
        texts = [message for message in line.messages if message.get("text", "").strip()]
        assert [text["context_id"] for text in texts] == [opening["context_id"] for opening in openings]

    async def test_an_interruption_closes_the_context_and_the_next_answer_is_spoken(
        self, certified: ssl.SSLContext
    ) -> None:
        script = [eleven.Speaks("It is a long story.", 3.0, until=0.5, then="hold"), eleven.Speaks("Sorry.", 0.4)]
        async with ScriptedElevenLabs(*script, tls=certified) as server:
            service = cloud.elevenlabs_tts(base_url=server.url)
            async with bench(service.build(Session(OTTO, LLMContext()))) as board:
                await board.send(*answer("It is a long story.")[:-1])
                await board.until(lambda: board.seconds_of_audio() >= 0.49)
                await board.send(InterruptionFrame())
                await board.wait(InterruptionFrame)
                await board.send(*answer("Sorry."))
                await board.wait(TTSStoppedFrame)
                assert heard(board).endswith("Sorry.")
                assert "story" not in heard(board)
                assert board.errors == []
        [line] = server.to("text-to-speech")
        closed = [message["context_id"] for message in line.messages if message.get("close_context")]
        assert len(set(closed)) == 2

    @pytest.mark.parametrize("then", ["drop", "close"])
    async def test_a_line_that_breaks_in_mid_sentence_is_an_error_and_the_next_answer_is_spoken(
        self, certified: ssl.SSLContext, then: str
    ) -> None:
        script = [eleven.Speaks("It is a long story.", 3.0, until=0.5, then=then), eleven.Speaks("Sorry.", 0.4)]
        async with ScriptedElevenLabs(*script, tls=certified) as server:
            tts = cloud.elevenlabs_tts(base_url=server.url).build(Session(OTTO, LLMContext()))
            async with bench(tts) as board:
                reconnected = event(tts, "on_connected")
                await board.send(*answer("It is a long story."))
                error = await board.wait(ErrorFrame)
                assert error.category is ErrorCategory.CONNECTIVITY
                assert "elevenlabs-key" not in error.error
                await reconnected.wait()
                await board.send(*answer("Sorry."))
                await board.wait(TTSStoppedFrame)
                assert heard(board).endswith("Sorry.")
                assert len(board.errors) == 1

    async def test_a_refused_key_is_an_error_not_a_crash(self, certified: ssl.SSLContext) -> None:
        async with ScriptedElevenLabs(eleven.Refuses(401, "invalid_api_key"), tls=certified) as server:
            service = cloud.elevenlabs_tts(base_url=server.url)
            async with bench(service.build(Session(OTTO, LLMContext()))) as board:
                error = await board.wait(ErrorFrame)
                assert error.category is ErrorCategory.AUTHENTICATION
                await board.send(*answer("Hello."))
                await board.wait(LLMFullResponseEndFrame)


class TestElevenLabsVoices:
    async def test_all_pages_are_listed_once(self) -> None:
        pages = [eleven.Lists({"a": "Ann"}, more=True), eleven.Lists({"b": "Bob"})]
        async with ScriptedElevenLabs(*pages) as server:
            voices = cloud.Voices(server.url)
            await asyncio.to_thread(voices.fetch)
            await asyncio.to_thread(voices.fetch)
            assert voices.names == {"a": "Ann", "b": "Bob"}
        first, second = server.to("voices")
        assert first.query == {"page_size": "100"}
        assert second.query == {"page_size": "100", "next_page_token": "next"}

    async def test_a_persona_whose_voice_is_missing_is_refused_in_one_line(self) -> None:
        async with ScriptedElevenLabs(eleven.Lists({"a": "Ann", "b": "Bob"})) as server:
            service = await loaded(cloud.elevenlabs_tts(base_url=server.url))
            with pytest.raises(
                StackError, match=r"no voice voice-2 .*\(Otto\).* Ann a, Bob b; set voices.elev"
            ) as info:
                service.build(Session(OTTO, LLMContext()))
            assert "\n" not in str(info.value)

    async def test_a_refused_key_stops_the_load_in_one_line(self) -> None:
        async with ScriptedElevenLabs(eleven.Refuses(401, "invalid_api_key")) as server:
            with pytest.raises(StackError, match="refuses ELEVENLABS_API_KEY: set one") as info:
                await loaded(cloud.elevenlabs_tts(base_url=server.url))
            assert "elevenlabs-key" not in str(info.value)

    async def test_a_key_that_may_speak_but_not_list_goes_on_unchecked(self) -> None:
        async with ScriptedElevenLabs(eleven.Refuses(401, "missing_permissions")) as server:
            service = await loaded(cloud.elevenlabs_tts(base_url=server.url))
            service.build(Session(OTTO, LLMContext()))

    async def test_a_server_that_fails_stops_the_load_in_one_line(self) -> None:
        failing = [eleven.Refuses(400, "broken")]
        async with ScriptedElevenLabs(*failing) as server:
            with pytest.raises(StackError, match="answers 400"):
                await loaded(cloud.elevenlabs_tts(base_url=server.url))

    async def test_no_network_stops_the_load_in_one_line(self) -> None:
        with pytest.raises(StackError, match=r"cannot be reached at http://localhost:9 .* check the network"):
            await loaded(cloud.elevenlabs_tts(base_url="http://localhost:9"))

    @pytest.mark.parametrize("voice", [{"pitch": 3.0}, {"voice": 3.0}, {"stability": "high"}])
    def test_a_persona_that_sets_what_elevenlabs_lacks_is_refused(self, voice: dict[str, str | float]) -> None:
        persona = Persona(name="Odd", instructions="You are odd.", voices={"elevenlabs": voice})
        with pytest.raises(StackError, match=f"Odd's elevenlabs voice says {next(iter(voice))}"):
            cloud.elevenlabs_tts().build(Session(persona, LLMContext()))


def elevenlabs_was_told(line: eleven.Connection) -> None:
    assert line.headers["xi-api-key"] == "elevenlabs-key"
    assert line.query["model_id"] == cloud.ELEVENLABS_STT_MODEL
    assert line.query["audio_format"] == "pcm_16000"
    assert line.query["commit_strategy"] == "manual"
    assert line.query["language_code"] == "eng"
    assert {message["sample_rate"] for message in line.messages} == {16000}
    assert [message["commit"] for message in line.messages].count(True) == 2


def deepgram_was_told(line: deep.Connection) -> None:
    assert line.headers["authorization"] == "Token deepgram-key"
    assert line.query["model"] == cloud.DEEPGRAM_MODEL
    assert line.query["language"] == "en"
    assert line.query["encoding"] == "linear16"
    assert line.query["sample_rate"] == "16000"
    assert line.query["channels"] == "1"
    assert line.query["interim_results"] == "true"
    assert line.controls == ["Finalize", "Finalize", "CloseStream"]


class TestTranscripts:
    @pytest.mark.parametrize(
        ("vendor", "scripted", "hears", "was_told"),
        [
            pytest.param(cloud.elevenlabs_stt, ScriptedElevenLabs, eleven.Hears, elevenlabs_was_told, id="elevenlabs"),
            pytest.param(
                cloud.deepgram, ScriptedDeepgram, deep.Hears, deepgram_was_told, id="deepgram", marks=OLD_WEBSOCKETS
            ),
        ],
    )
    async def test_interims_come_while_the_caller_speaks_and_the_whole_when_speech_ends(
        self,
        certified: ssl.SSLContext,
        vendor: Callable[..., Service],
        scripted: type[ScriptedElevenLabs | ScriptedDeepgram],
        hears: Callable[..., Any],
        was_told: Callable[[Any], None],
    ) -> None:
        script = [hears("What time is it?", {0.2: "What", 0.5: "What time"}), hears("Thanks.")]
        async with scripted(*script, tls=certified) as server:
            stt = vendor(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(stt) as board:
                await board.send(VADUserStartedSpeakingFrame(), *microphone(0.6))
                await board.wait(InterimTranscriptionFrame, 2)
                assert board.all(TranscriptionFrame) == []
                await board.send(VADUserStoppedSpeakingFrame(stop_secs=0.2))
                whole = await board.wait(TranscriptionFrame)
                assert whole.finalized
                await board.send(VADUserStartedSpeakingFrame(), *microphone(0.4), VADUserStoppedSpeakingFrame())
                await board.wait(TranscriptionFrame, 2)
                assert [frame.text for frame in board.all(InterimTranscriptionFrame)] == ["What", "What time"]
                assert [frame.text for frame in board.all(TranscriptionFrame)] == ["What time is it?", "Thanks."]
                assert board.errors == []
        [line] = server.connections
        assert len(line.pcm) == 2 * 16000
        was_told(line)


class TestElevenLabsTranscripts:
    @pytest.mark.parametrize("broken", [eleven.Hears("Lost.", until=0.3), eleven.Hears(None)])
    async def test_a_line_that_breaks_before_the_transcript_is_an_error_and_the_next_words_are_heard(
        self, certified: ssl.SSLContext, broken: eleven.Hears
    ) -> None:
        script = [broken, eleven.Hears("Once more.")]
        async with ScriptedElevenLabs(*script, tls=certified) as server:
            stt = cloud.elevenlabs_stt(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(stt) as board:
                reconnected = event(stt, "on_connected")
                await board.send(VADUserStartedSpeakingFrame(), *microphone(0.3))
                if broken.text is None:
                    await board.send(VADUserStoppedSpeakingFrame(stop_secs=0.2))
                error = await board.wait(ErrorFrame)
                assert error.category is ErrorCategory.CONNECTIVITY
                await reconnected.wait()
                await board.send(VADUserStartedSpeakingFrame(), *microphone(0.3), VADUserStoppedSpeakingFrame())
                await board.wait(TranscriptionFrame)
                assert [frame.text for frame in board.all(TranscriptionFrame)] == ["Once more."]
                assert len(board.errors) == 1

    async def test_a_refused_key_is_an_error(self, certified: ssl.SSLContext) -> None:
        async with ScriptedElevenLabs(eleven.Refuses(401, "invalid_api_key"), tls=certified) as server:
            stt = cloud.elevenlabs_stt(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(stt) as board:
                error = await board.wait(ErrorFrame)
                assert error.category is ErrorCategory.AUTHENTICATION
                await board.send(*microphone(0.1))

    def test_an_address_without_tls_is_refused_in_one_line(self) -> None:
        with pytest.raises(StackError, match="elevenlabs needs an https address, not http://"):
            cloud.elevenlabs_stt(base_url="http://localhost").build(Session(PERSONA, LLMContext()))


@OLD_WEBSOCKETS
class TestDeepgram:
    def test_a_silent_line_is_kept_alive(self) -> None:
        async def call() -> None:
            async with ScriptedDeepgram() as server:
                stt = cloud.deepgram(base_url=server.url).build(Session(PERSONA, LLMContext()))
                async with bench(stt):
                    [line] = server.connections
                    await server.until(lambda: line.controls == ["KeepAlive"])

        run_fast(asyncio.wait_for(call(), 60))

    def test_a_line_that_breaks_while_the_caller_speaks_is_an_error_and_the_next_words_are_heard(self) -> None:
        async def call() -> None:
            async with ScriptedDeepgram(deep.Hears("Lost.", until=0.3), deep.Hears("Once more.")) as server:
                stt = cloud.deepgram(base_url=server.url).build(Session(PERSONA, LLMContext()))
                async with bench(stt) as board:
                    await board.send(VADUserStartedSpeakingFrame(), *microphone(0.3))
                    error = await board.wait(ErrorFrame)
                    assert "deepgram-key" not in error.error
                    await server.until(lambda: [line.controls for line in server.connections[1:]] == [["KeepAlive"]])
                    await board.send(VADUserStartedSpeakingFrame(), *microphone(0.3), VADUserStoppedSpeakingFrame())
                    await board.wait(TranscriptionFrame)
                    assert [frame.text for frame in board.all(TranscriptionFrame)] == ["Once more."]
                    assert len(board.errors) == 1

        run_fast(asyncio.wait_for(call(), 60))

    async def test_a_refused_key_is_an_error_and_not_tried_again(self) -> None:
        async with ScriptedDeepgram(deep.Refuses(401)) as server:
            stt = cloud.deepgram(base_url=server.url).build(Session(PERSONA, LLMContext()))
            async with bench(stt) as board:
                error = await board.wait(ErrorFrame)
                assert error.category is ErrorCategory.AUTHENTICATION
                await board.send(*microphone(0.1))
        assert len(server.connections) == 1


class TestStack:
    def test_importing_it_imports_no_vendor(self) -> None:
        code = (
            "import sys, pipelines.stacks.catalogue\n"
            "assert not {'pipecat', 'anthropic', 'elevenlabs', 'deepgram', 'httpx'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    @pytest.mark.parametrize("key", ["ANTHROPIC_API_KEY", "ELEVENLABS_API_KEY"])
    def test_without_a_key_it_stops_in_one_line(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        CLOUD.check(BASIC_CASCADE)
        monkeypatch.delenv(key)
        with pytest.raises(StackError, match=f"needs {key}: set it") as info:
            CLOUD.check(BASIC_CASCADE)
        assert "\n" not in str(info.value)

    def test_a_slot_is_overridden_by_name(self) -> None:
        stack = choose("embedded", LLM="anthropic", STT="deepgram", TTS=None)
        assert {slot: service.name for slot, service in stack.services.items()} == {
            "STT": "deepgram",
            "LLM": "anthropic",
            "TTS": "embedded",
        }
        stack.check(BASIC_CASCADE)

    @pytest.mark.parametrize(
        ("stack", "services", "message"),
        [
            ("clowd", {}, "no stack 'clowd': choose embedded or cloud"),
            (
                "cloud",
                {"LLM": "gpt"},
                "no service 'gpt' for LLM: choose embedded or anthropic or openai-audio or "
                "openai-realtime or ultravox or nvidia-omni or audio-chat or gemini-live or openai-live or moshi",
            ),
        ],
    )
    def test_an_unknown_name_is_refused_with_those_there_are(
        self, stack: str, services: dict[str, str], message: str
    ) -> None:
        with pytest.raises(StackError, match=f"^{message}$"):
            choose(stack, **services)

    async def test_the_address_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with ScriptedAnthropic(Says(["Yes."])) as server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{server.url}/")
            async with bench(CLOUD.services["LLM"].build(Session(PERSONA, LLMContext()))) as board:
                await board.send(asked("Here?"))
                await board.wait(LLMFullResponseEndFrame)
                assert said(board.all(LLMTextFrame)) == "Yes."

    def test_a_malformed_address_is_refused_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "localhost:1234")
        with pytest.raises(StackError, match="ANTHROPIC_BASE_URL: localhost:1234 is no address: write it as https://"):
            CLOUD.services["LLM"].build(Session(PERSONA, LLMContext()))

    @pytest.mark.skipif(not RECORDING.exists(), reason=f"{RECORDING.name} is not in the shared data")
    async def test_holds_a_turn_from_speech_to_speech(
        self, certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        samples, rate = soundfile.read(RECORDING, dtype="float32")
        samples = soxr.resample(samples, rate, 16000)
        voices = [VOICES, eleven.Speaks("It ships today.", 0.9)]
        ears = [eleven.Hears("Where is my order?", {0.5: "Where is"})]
        async with (
            ScriptedElevenLabs(*voices, *ears, tls=certified) as elevenlabs,
            ScriptedAnthropic(Says(["It ships ", "today."])) as claude,
        ):
            monkeypatch.setenv("ELEVENLABS_BASE_URL", elevenlabs.url)
            monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
            stack = CLOUD.replace(TTS=cloud.elevenlabs_tts())
            await stack.load(BASIC_CASCADE)

            def worker(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
                return assemble(BASIC_CASCADE, stack, transport, persona=OTTO, observers=observers)

            async with calling(worker) as caller:
                turn = await caller.say(samples)
                assert turn.errors == []
                assert turn.answered
                assert turn.transcript == "Where is my order?"
                assert turn.answer == "It ships today."
                spoken = numpy.abs(caller.answer_audio()) > 0.01
                assert spoken.sum() / 24000 == pytest.approx(0.9, abs=0.05)
        [request] = claude.requests
        assert request.body["system"][0]["text"] == OTTO.instructions
        assert request.body["messages"][0]["content"][0]["text"] == "Where is my order?"
        [ears_line] = elevenlabs.to("speech-to-text")
        assert len(ears_line.pcm) >= 2 * len(samples)
        [voice_line] = elevenlabs.to("text-to-speech")
        assert "/voice-2/" in voice_line.path
