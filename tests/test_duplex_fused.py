"""One model that listens while it speaks: OpenAI Live's wire; and Live and Moshi through the whole pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from loopback import scripted_moshi as moshi
from loopback.clock import run_fast
from loopback.pipeline import PATIENCE_SECS, Bench, bench, event
from loopback.scripted_live import (
    STEP_SECS,
    Ends,
    Fails,
    Hears,
    Plays,
    Refuses,
    ScriptedLive,
    Sends,
    Talks,
    Waits,
    Writes,
    paced,
)
from loopback.scripted_moshi import ScriptedMoshi
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    SpeechOutputAudioRawFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import BaseTransport
from pipecat.utils.errors import ErrorCategory
from typer.testing import CliRunner

from guardrails.policy import Policy
from pipelines import DUPLEX_FUSED, Persona, assemble
from pipelines.app import fake
from pipelines.app.cli import app
from pipelines.lab.caller import Caller, calling
from pipelines.stacks import Service, Session, fused
from pipelines.stacks.catalogue import check_filled, choose
from pipelines.stacks.embedded import EMBEDDED
from processors.cloud import live
from processors.guarding.frames import UnfinishedAnswerFrame
from processors.pcm import Samples, to_pcm, to_samples
from tests.guarded import policy, terms
from tests.speech import needs
from tests.test_half_cascade import PERSONA, spoken
from tests.test_half_cascade_vendors import SAID, errors, words
from tests.test_sequential_fused import FALLBACK, is_said
from tests.tones import RATE, tone, tones, windows

REFUND = policy(terms("refund", action="stop", text=""))
APOLOGY = "I am sorry."


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    for name in ("OPENAI_LIVE_BASE_URL", "MOSHI_URL"):
        monkeypatch.delenv(name, raising=False)


def model(server: ScriptedLive, context: LLMContext | None = None, persona: Persona = PERSONA) -> Any:
    return fused.openai_live(base_url=server.base_url).build(Session(persona, context or LLMContext()))


def microphone(hertz: float, seconds: float) -> list[InputAudioRawFrame]:
    """A tone at 16 kHz in chunks of 20 ms."""
    sound = to_pcm(tone(hertz, seconds, 16000))
    return [InputAudioRawFrame(sound[at : at + 640], 16000, 1) for at in range(0, len(sound), 640)]


def sung(board: Bench) -> Samples:
    return to_samples(b"".join(frame.audio for frame in board.all(SpeechOutputAudioRawFrame)))


def told(board: Bench) -> str:
    return "".join(frame.text for frame in board.all(TTSTextFrame))


class TestLive:
    async def test_both_speak_at_the_same_time(self) -> None:
        song = [*paced([Plays(300, 0.4)]), Writes("One "), *(Plays(500, 0.4), Writes("two."))]
        persona = PERSONA.model_copy(update={"voices": {"openai-live": {"voice": "cedar"}}})
        async with (
            ScriptedLive(Talks(song)) as server,
            bench(model(server, LLMContext([*SAID]), persona)) as board,
        ):
            await server.ready()
            (connection,) = server.connections
            await board.send(*microphone(1000, 1.0))
            await board.wait(LLMFullResponseEndFrame)
            await server.until(lambda: connection.seconds > 0.95)
            assert tones(sung(board)) == [300, 500]
            assert tones(connection.sound) == [1000]
            assert told(board) == "One two."
            assert errors(board) == []
        assert connection.headers["authorization"] == "Bearer openai-key"
        assert connection.session["model"] == fused.OPENAI_LIVE_MODEL
        assert connection.session["instructions"] == PERSONA.instructions
        assert connection.session["audio"]["output"]["voice"] == "cedar"
        assert connection.remembered == [(each["role"], each["content"]) for each in SAID]
        assert [event["type"] for event in connection.events] == ["session.close"]

    async def test_what_the_caller_says_comes_upstream_between_turns_that_are_proposed(self) -> None:
        acts = [Writes("Where ", caller=True), Writes("is it?", caller=True)]
        async with ScriptedLive(Talks(acts)) as server, bench(model(server)) as board:
            await board.wait(TranscriptionFrame)
            assert [frame.text for frame in board.up if isinstance(frame, TranscriptionFrame)] == ["Where is it?"]
            await board.wait(ProposedUserStoppedSpeakingFrame, 2)
            assert len(board.all(ProposedUserStartedSpeakingFrame)) == 2

    async def test_an_interruption_ends_the_answer_and_not_the_sound(self) -> None:
        go = asyncio.Event()
        acts = [Writes("One "), Waits(go), Plays(300, 0.4), Writes("two.")]
        async with ScriptedLive(Talks(acts)) as server, bench(model(server)) as board:
            await board.wait(TTSTextFrame)
            await board.send(InterruptionFrame())
            await board.wait(LLMFullResponseEndFrame)
            go.set()
            await board.wait(TTSTextFrame, 2)
            assert len(board.all(LLMFullResponseStartFrame)) == 2
            assert tones(sung(board)) == [300]

    async def test_an_interruption_by_a_guard_leaves_the_answer_as_it_is(self) -> None:
        acts = [Writes("One "), Hears(0.1), Writes("two.")]
        async with ScriptedLive(Talks(acts)) as server, bench(model(server)) as board:
            await board.wait(TTSTextFrame)
            await board.worker.queue_frame(InterruptionFrame(), FrameDirection.UPSTREAM)
            await board.wait(InterruptionFrame)
            await board.send(*microphone(1000, 0.2))
            await board.wait(TTSTextFrame, 2)
            assert len(board.all(LLMFullResponseStartFrame)) == 1

    @pytest.mark.parametrize(
        ("sent", "why"),
        [
            pytest.param("{this is no JSON", "ValueError", id="no JSON"),
            pytest.param('["no object"]', "ValueError", id="no object"),
            pytest.param('{"type": "session.started"}', "ValueError", id="incomplete"),
            pytest.param('{"type": "session.output_audio.delta", "delta": "a"}', "Error", id="no base64"),
        ],
    )
    async def test_what_is_no_event_is_reported_without_its_words_and_the_rest_is_heard(
        self, sent: str, why: str
    ) -> None:
        acts = [Sends(sent), Sends('{"type": "session.of_the_future"}'), Plays(300, 0.4), Writes("Here.")]
        async with ScriptedLive(Talks(acts)) as server, bench(model(server)) as board:
            await board.wait(TTSTextFrame)
            assert tones(sung(board)) == [300]
            (error,) = errors(board)
            assert error.startswith("OpenAI Live sent what cannot be understood (")
            assert why in error

    async def test_an_error_is_reported_and_the_session_goes_on(self) -> None:
        error = '{"type": "error", "error": {"type": "invalid_request_error", "code": "odd", "message": "How odd."}}'
        async with ScriptedLive(Talks([Sends(error), Writes("Here.")])) as server, bench(model(server)) as board:
            await board.wait(TTSTextFrame)
            assert errors(board) == ["OpenAI Live refuses: odd: How odd."]
        assert len(server.connections) == 1

    @pytest.mark.parametrize(
        ("end", "why"),
        [
            pytest.param(Ends("drop"), "no close frame", id="drop"),
            pytest.param(Ends("close"), "session expired", id="close"),
            pytest.param(Sends("x" * (2 << 20)), "1009", id="oversized"),
        ],
    )
    async def test_a_line_that_ends_in_mid_answer_is_reported_and_replaced(self, end: Any, why: str) -> None:
        first = [Plays(300, 0.4), Writes("It is "), end]
        second = [Plays(600, 0.4), Writes("It is here.")]
        async with (
            ScriptedLive(Talks(first), Talks(second)) as server,
            bench(model(server, LLMContext([*SAID]))) as board,
        ):
            await board.wait(UnfinishedAnswerFrame)
            await board.wait(TTSTextFrame, 2)
            assert tones(sung(board)) == [300, 600]
            (error,) = errors(board)
            assert why in error
            assert error.endswith("; trying again")
        assert server.connections[1].remembered == [(each["role"], each["content"]) for each in SAID]

    async def test_a_refused_key_is_an_error_for_good(self) -> None:
        async with ScriptedLive(Refuses(401)) as server, bench(model(server)) as board:
            await board.until(lambda: bool(board.errors))
            assert errors(board) == ["OpenAI Live refuses the line with 401; given up"]
            assert board.errors[0].category is ErrorCategory.AUTHENTICATION

    def test_a_session_that_is_refused_is_tried_again_and_given_up(self) -> None:
        async def tried() -> None:
            script = [Fails("model_overloaded")] * (len(live.BACK_OFF_SECS) + 1)
            async with ScriptedLive(*script) as server, bench(model(server)) as board:
                await board.until(lambda: len(board.errors) == 2)
                refusal = "OpenAI Live refuses: model_overloaded: model_overloaded"
                assert errors(board) == [f"{refusal}; trying again", f"{refusal}; given up"]
                assert len(server.connections) == len(script)

        run_fast(tried())

    async def test_a_server_that_does_not_say_goodbye_is_not_waited_for(self) -> None:
        async with ScriptedLive(Talks(closes=False)) as server:
            async with bench(model(server)) as board:
                await server.ready()
                await board.send(*microphone(1000, 0.2))
                await server.until(lambda: server.connections[0].seconds > 0.1)
                begun = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - begun < 5.0
            assert [event["type"] for event in server.connections[0].events] == ["session.close"]

    async def test_it_ends_while_it_waits_to_try_again(self) -> None:
        async with ScriptedLive(Refuses(503)) as server, bench(model(server)) as board:
            await board.until(lambda: bool(board.errors))
            assert errors(board) == ["OpenAI Live refuses the line with 503; trying again"]


@dataclass(frozen=True)
class Note:
    """A word that the model says on a note; no word for silence."""

    word: str
    hertz: float
    seconds: float = 0.4


PAUSE = Note("", 0, 1.6)

Server = ScriptedLive | ScriptedMoshi


def live_talks(notes: Sequence[Note], *more: Any) -> Talks:
    """A line on which OpenAI Live says this; it writes a little later what it has said."""
    acts: list[Any] = []
    for note in notes:
        acts += [Plays(note.hertz, STEP_SECS), *([Writes(note.word)] if note.word else ())]
        acts += [Plays(note.hertz, note.seconds - STEP_SECS)]
    return Talks([*paced(acts), *more])


def moshi_talks(notes: Sequence[Note], *more: Any) -> moshi.Talks:
    """A line on which Moshi says this; it writes a word before it says it."""
    acts: list[Any] = [moshi.GREETS]
    at = 0.0
    for note in notes:
        acts += [moshi.Writes([note.word])] if note.word else []
        for _ in range(round(note.seconds / moshi.STEP_SECS)):
            at += moshi.STEP_SECS
            acts += [moshi.Hears(at), moshi.Plays(note.hertz, moshi.STEP_SECS)]
    return moshi.Talks([*acts, *more])


async def call(
    what: Service,
    talk: Callable[[Caller], Awaitable[Any]],
    *,
    context: LLMContext | None = None,
    rules: Policy | None = None,
    persona: Persona = PERSONA,
) -> Any:
    """A call through the whole pipeline with the embedded voice behind the gate."""
    needs("hibari-heart")
    stack = EMBEDDED.replace(DUPLEX_LLM=what)
    await stack.load(DUPLEX_FUSED)

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(
            DUPLEX_FUSED,
            stack,
            transport,
            persona=persona,
            policy=rules,
            context=context,
            observers=list(observers),
        )

    async with calling(make) as caller:
        return await talk(caller)


def when(samples: Samples, hertz: int) -> float:
    """When a tone is first heard, in seconds."""
    return windows(samples).index(hertz) * 0.05


async def listens(caller: Caller, until: Callable[[Samples], bool]) -> Samples:
    """What is heard from the beginning of the call until something is true of it."""
    async with asyncio.timeout(PATIENCE_SECS):
        while not until(caller.answer_audio()):
            for _ in range(5):
                caller._played.clear()
                await caller._played.wait()
    return caller.answer_audio()


@pytest.fixture(params=["openai-live", "moshi"])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serving(vendor: str, *lines: tuple[Sequence[Note], Sequence[Any]]) -> Server:
    """A server that says these notes, and does what follows them, on one line after the other."""
    if vendor == "moshi":
        return ScriptedMoshi(*(moshi_talks(notes, *more) for notes, more in lines))
    return ScriptedLive(*(live_talks(notes, *more) for notes, more in lines))


def service(server: Server) -> Service:
    if isinstance(server, ScriptedMoshi):
        return fused.moshi(url=server.url.replace("http", "ws"))
    return fused.openai_live(base_url=server.base_url)


class TestCall:
    async def test_both_speak_at_the_same_time_and_both_are_heard(self, vendor: str) -> None:
        context = LLMContext()
        song = [
            Note("", 0, 0.4),
            Note("One ", 300, 0.48),
            Note("two ", 400, 0.48),
            Note("three.", 500, 0.48),
            PAUSE,
            PAUSE,
        ]
        async with serving(vendor, (song, ())) as server:

            async def talk(caller: Caller) -> None:
                await caller.sound()
                turn = await caller.say(tone(1000, 0.6, 16000), patience=0.1)
                assert turn.spoken_over
                sound = await listens(caller, lambda sound: 500 in windows(sound) and bool(words(context)))
                assert {300, 400, 500} <= set(windows(sound))
                assert not turn.errors

            await call(service(server), talk, context=context, rules=REFUND)
            (connection,) = server.connections
            assert windows(connection.sound).count(1000) >= 10
        assert words(context) == [("assistant", "One two three.")]

    async def test_the_context_holds_both_sides_where_the_model_tells_them(self) -> None:
        context = LLMContext()
        asks = [*paced([Plays(0, 0.4)]), Writes("Where is", caller=True), Writes(" my order?", caller=True)]
        answer = [*paced([Plays(0, 1.6)])][len(asks) - 2 :]
        acts = [*asks, *answer, Writes("It is here."), *(Plays(300, STEP_SECS) for _ in range(5))]
        tail = [act for at in range(60) for act in (Hears(2.0 + at * STEP_SECS), Plays(0, STEP_SECS))]
        async with ScriptedLive(Talks([*acts, *tail])) as server:

            async def talk(caller: Caller) -> None:
                await listens(caller, lambda sound: len(words(context)) == 2)

            await call(service(server), talk, context=context, rules=REFUND)
        assert words(context) == [("user", "Where is my order?"), ("assistant", "It is here.")]

    async def test_what_the_policy_forbids_is_not_heard_and_the_model_goes_on_without_being_late(
        self, vendor: str
    ) -> None:
        context = LLMContext()
        answer = [Note("You ", 300), Note("get ", 400), Note("a ", 500), Note("refund ", 600), Note("today.", 700)]
        song = [Note("", 0, 0.4), *answer, PAUSE, PAUSE, Note("Well?", 800), PAUSE]
        async with serving(vendor, (song, ())) as server:

            async def talk(caller: Caller) -> Samples:
                return await listens(caller, lambda sound: 800 in windows(sound) and len(words(context)) == 2)

            sound = await call(service(server), talk, context=context, rules=REFUND)
        found = set(windows(sound))
        assert {300, 400, 800} <= found
        assert not {600, 700} & found
        assert is_said(FALLBACK, sound[round(when(sound, 400) * RATE) :])
        # The pauses of the model's in which the fallback was said are left out, but for a few tenths of a second.
        assert when(sound, 800) - when(sound, 300) == pytest.approx(5 * 0.4 + 2 * 1.6, abs=0.5)
        (_, said), (_, after) = words(context)
        assert said.startswith("You get")
        assert said.endswith(FALLBACK)
        assert after == "Well?"
        assert "refund" not in str(context.messages)

    async def test_a_line_that_breaks_is_had_back_and_the_caller_hears_of_it(self, vendor: str) -> None:
        persona = PERSONA.model_copy(update={"apology": APOLOGY})
        drop = moshi.Ends("drop") if vendor == "moshi" else Ends("drop")
        first = [Note("", 0, 0.4), Note("One ", 300), Note("two ", 400)]
        second = [PAUSE, PAUSE, Note("Here.", 800), PAUSE]
        async with serving(vendor, (first, [drop]), (second, ())) as server:

            async def talk(caller: Caller) -> Samples:
                return await listens(caller, lambda sound: 800 in windows(sound))

            sound = await call(service(server), talk, persona=persona, rules=REFUND)
            assert len(server.connections) == 2
        assert {300, 800} <= set(windows(sound))
        assert is_said(APOLOGY, sound)


class TestCommand:
    @pytest.mark.parametrize("name", ["openai-live", "moshi"])
    def test_it_is_chosen_by_name(self, name: str) -> None:
        stack = choose("embedded", LLM=name)
        check_filled(DUPLEX_FUSED, stack)
        stack.check(DUPLEX_FUSED)

    def test_an_empty_slot_is_refused_in_one_line(self) -> None:
        refusal = CliRunner().invoke(app, ["talk", "-a", "duplex_fused"])
        assert refusal.exit_code != 0
        assert "choose openai-live or moshi with --llm" in " ".join(refusal.output.split())
        assert "Traceback" not in refusal.output


@asynccontextmanager
async def faking(name: str) -> AsyncIterator[str]:
    """The address of a fake, as its first line tells it."""
    line: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(fake.SERVERS[name](0, line.set_result))
    try:
        said = await line
        assert "without any model at http://127.0.0.1:" in said
        yield said.partition("BASE_URL=")[2].split()[0].rstrip(".")
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


class TestFake:
    async def test_a_caller_of_live_hears_himself_and_is_told_what_he_talks_to(self) -> None:
        async with faking("openai-live") as url:
            llm: Any = fused.openai_live(base_url=url).build(Session(PERSONA, LLMContext()))
            started = event(llm, "on_session_started")
            async with bench(llm) as board:
                await started.wait()
                await board.send(*microphone(1000, 3.0))
                await board.until(lambda: 1000 in windows(sung(board)) and told(board).startswith(" I am a fake"))
                assert errors(board) == []

    async def test_a_turn_of_realtimes_is_said_over(self) -> None:
        async with faking("openai-realtime") as url:
            llm: Any = fused.openai_realtime(base_url=url).build(Session(PERSONA, LLMContext()))
            async with bench(llm) as board:
                await llm._connecting
                await board.send(*spoken(1.0))
                await board.wait(LLMFullResponseEndFrame)
                said = to_samples(b"".join(frame.audio for frame in board.all(TTSAudioRawFrame)))
                # What it is given is loud for a second, after one of silence.
                assert (abs(said) > 0.05).sum() / RATE == pytest.approx(1.0, abs=0.1)
                assert told(board) == "".join(fake.TOKENS)
                assert errors(board) == []

    async def test_who_sends_what_is_no_event_is_told_so(self) -> None:
        async with faking("openai-realtime") as url, ClientSession() as session, session.ws_connect(url) as line:
            assert (await line.receive_json())["type"] == "session.created"
            for sent in ("no event", "[]", '{"type": "input_audio_buffer.append"}'):
                await line.send_str(sent)
                assert (await line.receive_json())["error"]["message"] == "you sent what is no event"
