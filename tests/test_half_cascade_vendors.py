"""Vendors' models that hear, over their wire protocols against scripted servers, and through the whole pipeline."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from loopback import scripted_realtime as realtime
from loopback import scripted_ultravox as ultravox
from loopback.clock import run_fast
from loopback.pipeline import PATIENCE_SECS, Bench, bench
from loopback.scripted_openai import CallsTool, Refuses, Says, ScriptedOpenAI
from loopback.scripted_realtime import ScriptedRealtime
from loopback.scripted_ultravox import ScriptedUltravox
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMUpdateSettingsFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams
from pipecat.transports.base_transport import BaseTransport

from guardrails.policy import Policy
from pipelines import HALF_CASCADE, Persona, assemble, personas
from pipelines.lab.caller import Caller, Turn, calling
from pipelines.stacks import Service, Session, Stack, listening
from pipelines.stacks.embedded import EMBEDDED
from tests.guarded import HIDDEN, policy, terms
from tests.speech import needs, say
from tests.test_half_cascade import HEARD, PERSONA, spoken, written
from tests.traced import interrupted

ORDER = "Where is my order?"
LONG = ["It is on its way, ", "and it will be with you on Friday. ", "If you are not at home, ", "it waits next door."]
TALE = "".join(LONG)
SAID: list[dict[str, Any]] = [
    {"role": "assistant", "content": "Hello, this is Test."},
    {"role": "user", "content": ORDER},
    {"role": "assistant", "content": "It is on its way."},
]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("OPENAI", "NVIDIA", "ULTRAVOX"):
        monkeypatch.setenv(f"{vendor}_API_KEY", f"{vendor.lower()}-key")
        monkeypatch.delenv(f"{vendor}_BASE_URL", raising=False)


Server = ScriptedOpenAI | ScriptedRealtime | ScriptedUltravox


def service(server: Server, *, nvidia: bool = False) -> Service:
    """What talks to it."""
    if isinstance(server, ScriptedRealtime):
        return listening.openai_realtime(base_url=server.base_url)
    if isinstance(server, ScriptedUltravox):
        return listening.ultravox(base_url=server.base_url)
    if nvidia:
        return listening.nvidia_omni(base_url=server.base_url)
    return listening.openai_audio(base_url=server.base_url)


def model(server: Server, context: LLMContext | None = None, *, nvidia: bool = False) -> Any:
    return service(server, nvidia=nvidia).build(Session(PERSONA, context or LLMContext()))


def heard(board: Bench) -> list[str]:
    return [frame.text for frame in board.up if isinstance(frame, TranscriptionFrame)]


def errors(board: Bench) -> list[str]:
    return [frame.error for frame in board.errors]


def words(context: LLMContext) -> list[tuple[str, str]]:
    """What a context holds, which must be nothing but words."""
    held = [(m["role"], m.get("content")) for m in context.messages if isinstance(m, dict) and m["role"] != "tool"]
    assert all(content is None or isinstance(content, str) for _, content in held)
    return [(str(role), str(content)) for role, content in held if content is not None]


async def talked(board: Bench, text: str) -> None:
    """Tell the model, as the aggregator behind it does, what was heard of its answer."""
    await board.worker.queue_frame(LLMContextAssistantTurnFrame(text, ""), FrameDirection.UPSTREAM)
    await board.until(lambda: any(isinstance(f, LLMContextAssistantTurnFrame) and f.text == text for f in board.up))


def quiet(seconds: float) -> list[Frame]:
    return [InputAudioRawFrame(bytes(640), 16000, 1) for _ in range(round(seconds * 50))]


def finder(asked: list[dict[str, Any]]) -> ToolsSchema:
    """A tool that finds any order in Bern, and notes what it was asked for."""

    async def find(params: FunctionCallParams) -> None:
        asked.append(dict(params.arguments))
        assert isinstance(params.context, LLMContext)
        await params.result_callback({"city": "Bern"})

    schema = FunctionSchema(
        name="find",
        description="Find an order.",
        properties={"order": {"type": "string"}},
        required=["order"],
        handler=find,
    )
    return ToolsSchema(standard_tools=[schema])


Talk = Callable[[Caller], Awaitable[Any]]


async def call(
    what: Service,
    talk: Talk,
    *,
    context: LLMContext | None = None,
    rules: Policy | None = None,
    persona: Persona = PERSONA,
    others: Sequence[Persona] = (),
) -> Any:
    """A call through the whole pipeline with the embedded voice."""
    needs("hibari-heart")
    stack = Stack("test", {**EMBEDDED.services, "AUDIO_LLM": what})
    await stack.load(HALF_CASCADE)

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(
            HALF_CASCADE,
            stack,
            transport,
            persona=persona,
            policy=rules,
            context=context,
            observers=list(observers),
            others=others,
        )

    async with calling(make) as caller:
        return await talk(caller)


async def barging_in(caller: Caller) -> None:
    await interrupted(caller, say(ORDER), say("Stop, please."))


def sounds(messages: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each sound, as NVIDIA takes it."""
    found = []
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "audio_url":
                kind, _, data = part["audio_url"]["url"].partition(",")
                assert kind == "data:audio/wav;base64"
                with wave.open(io.BytesIO(base64.b64decode(data))) as file:
                    found.append(file.getnframes() / file.getframerate())
    return found


def saying(*texts: str) -> Callable[[Caller], Awaitable[list[Turn]]]:
    async def talk(caller: Caller) -> list[Turn]:
        return [await caller.say(say(text)) for text in texts]

    return talk


class TestOpenAIRealtime:
    async def test_the_sound_goes_out_and_words_come_back(self) -> None:
        script = (realtime.Answers(["It is ", "here."], ORDER),)
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert heard(board) == [ORDER]
            assert errors(board) == []
        (connection,) = server.connections
        assert connection.headers["authorization"] == "Bearer openai-key"
        assert connection.query == {"model": listening.OPENAI_REALTIME_MODEL}
        assert connection.session["instructions"] == PERSONA.instructions
        assert connection.session["output_modalities"] == ["text"]
        assert connection.session["audio"]["input"]["turn_detection"] is None
        assert connection.session["max_output_tokens"] > 0
        # All of the speech. What came before it is cleared away when an interruption makes room for a turn.
        assert connection.turns[0] == pytest.approx(2.0, abs=0.1)

    async def test_a_turn_is_answered_once_and_remembered_in_the_words_that_were_heard(self) -> None:
        context = LLMContext()
        first = realtime.Answers(["It is on its way, ", "as I said."], ORDER, late=True)
        async with ScriptedRealtime(first, realtime.Answers(["Bye."], "Thanks.")) as server:
            async with bench(model(server, context)) as board:
                await server.ready()
                await board.send(*spoken(1.0))
                await board.wait(TranscriptionFrame)
                # As the aggregators on either side write it.
                context.add_message({"role": "user", "content": ORDER})
                await board.send(LLMContextFrame(context))
                context.add_message({"role": "assistant", "content": "It is on its way,"})
                await talked(board, "It is on its way,")
                await board.send(*spoken(0.5))
                await board.wait(LLMFullResponseEndFrame, 2)
                assert written(board) == "It is on its way, as I said.Bye."
                assert errors(board) == []
            (connection,) = server.connections
            assert connection.remembered == [
                ("user", ORDER),
                ("assistant", "It is on its way,"),
                ("user", ""),
                ("assistant", "Bye."),
            ]
            assert len(connection.of("response.create")) == 2

    async def test_what_was_said_before_the_call_is_known_to_it(self) -> None:
        async with ScriptedRealtime() as server, bench(model(server, LLMContext([*SAID]))):
            await server.until(lambda: bool(server.connections) and len(server.connections[0].items) == len(SAID))
        assert server.connections[0].remembered == [(each["role"], each["content"]) for each in SAID]

    async def test_a_tool_is_known_called_and_its_result_answered(self) -> None:
        asked: list[dict[str, Any]] = []
        context = LLMContext(tools=finder(asked))
        script = (realtime.CallsTool("find", ['{"order": ', '"42"}'], ORDER), realtime.Answers(["It is in Bern."]))
        async with ScriptedRealtime(*script) as server:
            turns = await call(service(server), saying(ORDER), context=context)
        assert asked == [{"order": "42"}]
        assert [turn.answer for turn in turns] == ["It is in Bern."]
        (connection,) = server.connections
        assert [tool["name"] for tool in connection.session["tools"]] == ["find"]
        (output,) = [item for item in connection.items if item["type"] == "function_call_output"]
        assert output["output"] == '{"city": "Bern"}'
        assert words(context)[0] == ("user", ORDER)
        assert words(context)[-1] == ("assistant", "It is in Bern.")

    @pytest.mark.parametrize(
        ("then", "why"), [("drop", "no close frame"), ("close", "session expired"), ("oversized", "1009")]
    )
    async def test_a_line_that_breaks_in_mid_answer_is_reported_and_replaced(self, then: str, why: str) -> None:
        context = LLMContext([*SAID])
        script = (realtime.Answers(["It is "], ORDER, then=then), realtime.Answers(["It is here."], "Hello?"))
        async with ScriptedRealtime(*script) as server, bench(model(server, context)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            await server.until(lambda: len(server.connections) == 2 and len(server.connections[1].items) == len(SAID))
            (error,) = errors(board)
            assert why in error
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert written(board) == "It is It is here."
            assert len(errors(board)) == 1
        assert server.connections[1].remembered[: len(SAID)] == [(each["role"], each["content"]) for each in SAID]
        assert server.connections[1].session["instructions"] == PERSONA.instructions

    async def test_what_is_no_event_is_reported_without_its_words_and_the_rest_is_heard(self) -> None:
        script = realtime.Babbles(realtime.Answers(["It is here."], ORDER))
        async with ScriptedRealtime(script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert set(errors(board)) == {"OpenAI Realtime sent what cannot be understood (Exception)"}
        assert len(server.connections) == 1

    @pytest.mark.parametrize("response", [False, True])
    async def test_an_error_is_reported_once_and_the_next_turn_is_answered(self, response: bool) -> None:
        script = (realtime.Fails("rate_limit_exceeded", response), realtime.Answers(["It is here."], ORDER))
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.until(lambda: bool(board.errors))
            assert "rate_limit_exceeded" in errors(board)[0]
            await board.send(*spoken(1.0))
            await board.until(lambda: "It is here." in written(board))
            assert len(errors(board)) == 1
        assert len(server.connections) == 1

    async def test_a_turn_too_short_to_be_taken_does_not_deafen_it(self) -> None:
        short: list[Frame] = [UserStartedSpeakingFrame(), *quiet(0.04), UserStoppedSpeakingFrame()]
        script = (realtime.Answers(["What?"]), realtime.Answers(["It is here."], ORDER))
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*short)
            await board.wait(LLMFullResponseEndFrame)
            assert "input_audio_buffer_commit_empty" in errors(board)[0]
            await board.send(*spoken(1.0))
            await board.until(lambda: written(board).endswith("It is here."))

    async def test_a_refused_key_is_reported_at_once_and_tried_again_with_the_next_turn(self) -> None:
        async with (
            ScriptedRealtime(realtime.Refuses(401), realtime.Refuses(401)) as server,
            bench(model(server)) as board,
        ):
            await board.until(lambda: len(board.errors) == 1)
            assert "401" in errors(board)[0]
            await board.send(*spoken(1.0))
            await board.until(lambda: sum("401" in error for error in errors(board)) == 2)
            assert len(server.connections) == 2

    @pytest.mark.parametrize("then", ["hold", "lag"])
    async def test_what_was_under_way_when_the_caller_spoke_is_not_said(self, then: str) -> None:
        held = realtime.Answers(["It is ", "on its way."], ORDER, then=then, under_way=["Late ", "words."])
        async with ScriptedRealtime(held, realtime.Answers(["Bye."], "Stop.")) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await server.until(lambda: len(server.connections[0].of("response.create")) == 1)
            before = "It is on its way." if then == "hold" else ""
            await board.until(lambda: written(board) == before)
            start, begun, *rest = [frame for frame in spoken(0.5) if not isinstance(frame, InputAudioRawFrame)]
            sound = [frame for frame in spoken(0.5) if isinstance(frame, InputAudioRawFrame)]
            await board.send(start, begun, InterruptionFrame())
            await board.wait(LLMFullResponseEndFrame)
            await board.send(*sound, *rest)
            await board.until(lambda: written(board).endswith("Bye."))
            assert written(board) == f"{before}Bye."
            assert errors(board) == []

    @pytest.mark.parametrize("then", ["hold", "lag"])
    def test_an_answer_that_does_not_come_or_go_on_is_given_up_and_the_next_turn_answered(self, then: str) -> None:
        async def turns() -> None:
            held = realtime.Answers(["It is "], ORDER, then=then, under_way=["Late words."])
            script = (held, realtime.Answers(["Bye."], "Hello?"))
            async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
                await server.ready()
                await board.send(*spoken(1.0))
                await board.wait(LLMFullResponseEndFrame)
                assert "within 10 s" in errors(board)[0]
                await board.send(*spoken(1.0))
                await board.until(lambda: written(board).endswith("Bye."))
                assert written(board) == ("It is Bye." if then == "hold" else "Bye.")
                assert len(errors(board)) == 1

        run_fast(turns())

    async def test_two_turns_through_the_whole_pipeline(self) -> None:
        context = LLMContext()
        script = (realtime.Answers(["It is on ", "its way."], ORDER), realtime.Answers(["You are welcome."], "Thanks."))
        async with ScriptedRealtime(*script) as server:
            turns = await call(service(server), saying(ORDER, "Thank you."), context=context)
        assert [turn.answer for turn in turns] == ["It is on its way.", "You are welcome."]
        assert all(turn.answered and not turn.errors for turn in turns)
        assert words(context) == [
            ("user", ORDER),
            ("assistant", "It is on its way."),
            ("user", "Thanks."),
            ("assistant", "You are welcome."),
        ]

    async def test_who_interrupts_is_answered_and_both_memories_hold_what_was_heard(self) -> None:
        context = LLMContext()
        script = (
            realtime.Answers(LONG, ORDER, then="hold", under_way=["And then."]),
            realtime.Answers(["As you like."], "Stop."),
        )
        async with ScriptedRealtime(*script) as server:
            await call(service(server), barging_in, context=context)
        (_, said), *rest = words(context)[1:]
        assert 0 < len(said) < len(TALE)
        assert TALE.startswith(said)
        assert rest == [("user", "Stop."), ("assistant", "As you like.")]
        assert server.connections[0].remembered[:2] == [("user", ORDER), ("assistant", said)]

    async def test_the_guard_covers_what_it_writes_and_stops_it(self) -> None:
        context = LLMContext()
        rules = policy(
            terms("refund"),
            terms("secret", action="stop", text="That is all."),
            terms("order", direction="heard", text="[something]"),
        )
        held = realtime.Answers(["You get a refund. ", "The secret is"], ORDER, then="hold", under_way=[" 42."])
        async with ScriptedRealtime(held, realtime.Answers(["Bye."], "Thanks.")) as server:
            turn, _ = await call(service(server), saying(ORDER, "Thank you."), context=context, rules=rules)
        guarded = f"You get a {HIDDEN}. The … That is all."
        assert turn.answer == guarded
        assert words(context)[:2] == [("user", "Where is my [something]?"), ("assistant", guarded)]
        (connection,) = server.connections
        # It does not write on in vain, and knows no more afterwards than the context does.
        assert connection.response is None
        assert connection.remembered[:2] == words(context)[:2]

    async def test_the_call_is_handed_over_by_its_tool(self) -> None:
        ferni, maya = personas.load("ferni"), personas.load("maya")
        script = (realtime.CallsTool("hand_over", ['{"to": "Maya"}'], "I want Maya."), realtime.Answers(["Maya here."]))
        async with ScriptedRealtime(*script) as server:
            (turn,) = await call(service(server), saying("I want Maya."), persona=ferni, others=[maya])
        assert turn.answer == "Maya here."
        (connection,) = server.connections
        first, *_, last = connection.of("session.update")
        assert first["session"]["instructions"].startswith(ferni.instructions)
        assert last["session"]["instructions"].startswith(maya.instructions)
        assert [tool["name"] for tool in connection.session["tools"]] == ["hand_over"]


async def joined(server: ScriptedUltravox, board: Bench, calls: int = 1) -> None:
    """Send silence until it is heard in as many calls."""
    async with asyncio.timeout(PATIENCE_SECS):
        while sum(each.joined for each in server.calls) < calls:
            await board.send(*quiet(0.02))
            await asyncio.sleep(0)


def caller_says(seconds: float) -> list[Frame]:
    """A turn and a pause in which Ultravox, too, notices that it is over."""
    return [*spoken(seconds), *quiet(0.6)]


class TestUltravox:
    async def test_the_call_is_made_the_sound_goes_out_and_words_come_back(self) -> None:
        script = (ultravox.Answers(["It is ", "here."], ORDER),)
        async with ScriptedUltravox(*script) as server, bench(model(server, LLMContext([*SAID]))) as board:
            await joined(server, board)
            await board.send(*caller_says(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert heard(board) == [ORDER]
            assert errors(board) == []
        (made,) = server.calls
        assert made.headers["x-api-key"] == "ultravox-key"
        assert made.body["model"] == listening.ULTRAVOX_MODEL
        assert made.body["systemPrompt"] == PERSONA.instructions
        assert made.body["initialOutputMedium"] == "MESSAGE_MEDIUM_TEXT"
        # The persona greets: the model is not to do it, too.
        assert made.body["firstSpeakerSettings"] == {"user": {}}
        assert made.body["initialMessages"][0] == {"role": "MESSAGE_ROLE_AGENT", "text": "Hello, this is Test."}
        assert made.turns[0] == pytest.approx(1.0, abs=0.15)

    @pytest.mark.parametrize("pieces", [["It is here."], ["It ", "is ", "here."]])
    async def test_text_that_comes_as_the_whole_so_far_is_said_once(self, pieces: list[str]) -> None:
        script = ultravox.Answers(pieces, ORDER, whole=True)
        async with ScriptedUltravox(script) as server, bench(model(server)) as board:
            await joined(server, board)
            await board.send(*caller_says(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."

    async def test_an_answer_that_comes_in_a_pause_is_said_when_the_turn_is_over(self) -> None:
        script = ultravox.Answers(["It is here."], ORDER, late=True)
        async with ScriptedUltravox(script) as server, bench(model(server)) as board:
            await joined(server, board)
            *turn, over = spoken(1.0)
            await board.send(*turn, *quiet(0.6))
            await board.wait(TranscriptionFrame)
            assert written(board) == ""
            await board.send(over)
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."

    async def test_an_answer_to_half_of_a_turn_makes_way_for_that_to_the_whole(self) -> None:
        script = (ultravox.Answers(["Where?"], "In", late=True), ultravox.Answers(["It is here."], "Bern."))
        async with ScriptedUltravox(*script) as server, bench(model(server)) as board:
            await joined(server, board)
            *turn, over = spoken(1.0)
            sound = [frame for frame in spoken(0.5) if isinstance(frame, InputAudioRawFrame)]
            await board.send(*turn, *quiet(0.6))
            await board.wait(TranscriptionFrame)
            await board.send(VADUserStartedSpeakingFrame(start_secs=0.1), *sound)
            await board.send(VADUserStoppedSpeakingFrame(stop_secs=0.2), over, *quiet(0.6))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert heard(board) == ["In", "Bern."]

    async def test_what_was_under_way_when_the_caller_spoke_is_not_said(self) -> None:
        held = ultravox.Answers(["It is ", "on its way."], ORDER, then="hold", under_way=["Late ", "words."])
        async with ScriptedUltravox(held, ultravox.Answers(["Bye."], "Stop.")) as server, bench(model(server)) as board:
            await joined(server, board)
            await board.send(*caller_says(1.0))
            await board.until(lambda: written(board) == "It is on its way.")
            start, begun, *rest = [frame for frame in spoken(0.5) if not isinstance(frame, InputAudioRawFrame)]
            sound = [frame for frame in spoken(0.5) if isinstance(frame, InputAudioRawFrame)]
            await board.send(start, begun, InterruptionFrame(), *sound, *rest, *quiet(0.6))
            await board.until(lambda: written(board).endswith("Bye."))
            assert written(board) == "It is on its way.Bye."
            assert errors(board) == []

    async def test_a_tool_is_known_called_and_its_result_answered(self) -> None:
        asked: list[dict[str, Any]] = []
        context = LLMContext(tools=finder(asked))
        script = ultravox.CallsTool("find", {"order": "42"}, ["It is in Bern."], ORDER)
        async with ScriptedUltravox(script) as server:
            turns = await call(service(server), saying(ORDER), context=context)
        assert asked == [{"order": "42"}]
        assert [turn.answer for turn in turns] == ["It is in Bern."]
        (made,) = server.calls
        (tool,) = made.body["selectedTools"]
        assert tool["temporaryTool"]["modelToolName"] == "find"
        assert [(each["invocationId"], each["result"]) for each in made.messages] == [
            ("invocation-1", '{"city": "Bern"}')
        ]
        assert words(context)[0] == ("user", ORDER)
        assert words(context)[-1] == ("assistant", "It is in Bern.")

    @pytest.mark.parametrize(("then", "why"), [("drop", "no close frame"), ("close", "hung up"), ("oversized", "1009")])
    async def test_a_line_that_breaks_in_mid_answer_is_reported_and_replaced(self, then: str, why: str) -> None:
        script = (ultravox.Answers(["It is "], ORDER, then=then), ultravox.Answers(["It is here."], "Hello?"))
        async with ScriptedUltravox(*script) as server, bench(model(server, LLMContext([*SAID]))) as board:
            await joined(server, board)
            await board.send(*caller_says(1.0))
            await board.wait(LLMFullResponseEndFrame)
            await joined(server, board, 2)
            (error,) = errors(board)
            assert why in error
            await board.send(*caller_says(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert written(board) == "It is It is here."
            assert len(errors(board)) == 1
        assert [message["text"] for message in server.calls[1].body["initialMessages"]] == [
            each["content"] for each in SAID
        ]

    async def test_what_is_no_message_of_the_protocol_is_reported_and_the_rest_is_heard(self) -> None:
        script = ultravox.Babbles(ultravox.Answers(["It is here."], ORDER))
        async with ScriptedUltravox(script) as server, bench(model(server)) as board:
            await joined(server, board)
            await board.send(*caller_says(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert set(errors(board)) == {"Ultravox sent a message that is none of its protocol"}
        assert len(server.calls) == 1

    @pytest.mark.parametrize(("status", "why"), [(401, "refuses ULTRAVOX_API_KEY"), (500, "status 500")])
    async def test_a_call_that_is_refused_is_reported_at_once_and_tried_again_with_the_next_turn(
        self, status: int, why: str
    ) -> None:
        refusal = ultravox.Refuses(status)
        async with ScriptedUltravox(refusal, refusal) as server, bench(model(server)) as board:
            await board.until(lambda: len(board.errors) == 1)
            assert why in errors(board)[0]
            await board.send(*caller_says(1.0))
            await board.until(lambda: sum(why in error for error in errors(board)) == 2)
            assert len(server.calls) == 2

    async def test_two_turns_through_the_whole_pipeline(self) -> None:
        context = LLMContext()
        script = (ultravox.Answers(["It is on ", "its way."], ORDER), ultravox.Answers(["You are welcome."], "Thanks."))
        async with ScriptedUltravox(*script) as server:
            turns = await call(service(server), saying(ORDER, "Thank you."), context=context)
        assert [turn.answer for turn in turns] == ["It is on its way.", "You are welcome."]
        assert all(turn.answered and not turn.errors for turn in turns)
        assert words(context) == [
            ("user", ORDER),
            ("assistant", "It is on its way."),
            ("user", "Thanks."),
            ("assistant", "You are welcome."),
        ]

    async def test_who_interrupts_is_answered_and_the_context_holds_what_was_heard(self) -> None:
        context = LLMContext()
        script = (
            ultravox.Answers(LONG, ORDER, then="hold", under_way=["And then."]),
            ultravox.Answers(["As you like."], "Stop."),
        )
        async with ScriptedUltravox(*script) as server:
            await call(service(server), barging_in, context=context)
        (_, said), *rest = words(context)[1:]
        assert 0 < len(said) < len(TALE)
        assert TALE.startswith(said)
        assert rest == [("user", "Stop."), ("assistant", "As you like.")]

    async def test_the_guard_covers_what_it_writes(self) -> None:
        context = LLMContext()
        async with ScriptedUltravox(ultravox.Answers(["You get a ref", "und."], ORDER)) as server:
            (turn,) = await call(service(server), saying(ORDER), context=context, rules=policy(terms("refund")))
        assert turn.answer == f"You get a {HIDDEN}."
        assert "refund" not in str(context.messages)

    async def test_a_call_is_handed_over_by_word_to_another_call(self) -> None:
        ferni, maya = personas.load("ferni"), personas.load("maya")
        wish = "Can I talk to Maya?"
        script = (ultravox.Answers(["Of course."], wish), ultravox.Answers(["Here I am."], "Hello."))
        async with ScriptedUltravox(*script) as server:
            turns = await call(service(server), saying(wish, "Hello."), persona=ferni, others=[maya])
        assert [turn.answer for turn in turns] == [f"Of course. {maya.greeting}", "Here I am."]
        first, second = server.calls
        assert first.body["systemPrompt"].startswith(ferni.instructions)
        # It cannot be done by a tool, whose result would go to the call that is left.
        assert first.body["selectedTools"] == []
        assert second.body["systemPrompt"].startswith(maya.instructions)
        assert second.body["initialMessages"][0] == {"role": "MESSAGE_ROLE_USER", "text": wish}


class TestNvidiaOmni:
    async def test_two_turns_through_the_whole_pipeline(self) -> None:
        context = LLMContext()
        answers = (
            Says([HEARD, "<response>It is on its way.</response>"]),
            Says(["<transcript>Thanks.</transcript><response>You are welcome.</response>"]),
        )
        async with ScriptedOpenAI(*answers) as server:
            turns = await call(service(server, nvidia=True), saying(ORDER, "Thank you."), context=context)
        assert [turn.answer for turn in turns] == ["It is on its way.", "You are welcome."]
        assert words(context) == [
            ("user", ORDER),
            ("assistant", "It is on its way."),
            ("user", "Thanks."),
            ("assistant", "You are welcome."),
        ]
        first, second = server.requests
        assert first.headers["authorization"] == "Bearer nvidia-key"
        assert first.body["model"] == listening.NVIDIA_OMNI_MODEL
        assert [len(sounds(request.messages)) for request in (first, second)] == [1, 1]
        assert sounds(first.messages)[0] > 0.8

    async def test_who_interrupts_is_answered_and_what_was_heard_is_remembered_and_guarded(self) -> None:
        context = LLMContext()
        tale = Says([HEARD, "<response>A refund is ", *LONG[1:]], then="stall")
        answers = (tale, Says(["<transcript>Stop.</transcript><response>As you like.</response>"]))
        async with ScriptedOpenAI(*answers) as server:
            await call(service(server, nvidia=True), barging_in, context=context, rules=policy(terms("refund")))
        (_, said), *rest = words(context)[1:]
        assert said.startswith(f"A {HIDDEN} is")
        assert "at home" not in said
        assert rest == [("user", "Stop."), ("assistant", "As you like.")]

    async def test_a_tool_is_called_in_the_first_turn_and_its_result_answered(self) -> None:
        asked: list[dict[str, Any]] = []
        context = LLMContext(tools=finder(asked))
        script = (CallsTool("find", ['{"order": "42"}'], first=[HEARD]), Says(["It is in Bern."]))
        async with ScriptedOpenAI(*script) as server:
            (turn,) = await call(service(server, nvidia=True), saying(ORDER), context=context)
        assert asked == [{"order": "42"}]
        assert turn.answer == "It is in Bern."
        assert words(context)[0] == ("user", ORDER)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Refuses(401), id="refused"),
            pytest.param(Says([HEARD, "<response>It is "], then="drop"), id="line breaks"),
            pytest.param(Says([HEARD, "<response>It is "], then="nonsense"), id="no JSON"),
        ],
    )
    async def test_what_goes_wrong_is_reported_once_and_the_next_turn_is_answered(self, answer: Any) -> None:
        good = Says([HEARD, "<response>Here.</response>"])
        async with ScriptedOpenAI(answer, good) as server, bench(model(server, nvidia=True)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert len(errors(board)) == 1
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert written(board).endswith("Here.")
            assert len(errors(board)) == 1

    async def test_a_change_of_persona_is_another_system_message(self) -> None:
        answers = (Says([HEARD, "<response>Here.</response>"]), Says([HEARD, "<response>There.</response>"]))
        async with ScriptedOpenAI(*answers) as server, bench(model(server, nvidia=True)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            changed = service(server, nvidia=True).settings
            assert changed is not None
            other = PERSONA.model_copy(update={"instructions": "You are another."})
            await board.send(LLMUpdateSettingsFrame(delta=changed(other)), TTSSpeakFrame("And now?"))
            await board.wait(TTSSpeakFrame)
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
        assert [request.messages[0]["content"] for request in server.requests] == [
            PERSONA.instructions,
            other.instructions,
        ]


class TestChat:
    async def test_the_call_is_handed_over_by_its_tool(self) -> None:
        ferni, maya = personas.load("ferni"), personas.load("maya")
        asks = CallsTool("hand_over", ['{"to": "Maya"}'], first=["<transcript>I want Maya.</transcript>"])
        async with ScriptedOpenAI(asks, Says(["Maya here."])) as server:
            (turn,) = await call(service(server), saying("I want Maya."), persona=ferni, others=[maya])
        assert turn.answer == "Maya here."
        first, second = server.requests
        assert first.messages[0]["content"].startswith(ferni.instructions)
        assert second.messages[0]["content"].startswith(maya.instructions)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(
            ScriptedRealtime(
                realtime.Answers(["It is "], ORDER, then="drop"), realtime.Answers(["It is here."], ORDER)
            ),
            id="openai-realtime",
        ),
        pytest.param(
            ScriptedUltravox(
                ultravox.Answers(["It is "], ORDER, then="close"), ultravox.Answers(["It is here."], ORDER)
            ),
            id="ultravox",
        ),
    ],
)
async def test_the_caller_hears_of_it_when_the_line_breaks_and_the_call_goes_on(server: Server) -> None:
    persona = PERSONA.model_copy(update={"apology": "I am sorry."})
    async with server:
        turns = await call(service(server), saying(ORDER, ORDER), persona=persona)
    assert turns[0].answer.endswith("I am sorry.")
    assert len(turns[0].errors) == 1
    assert turns[1].answer == "It is here."
