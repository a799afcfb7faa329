"""A model that hears the caller itself: over the wire that such models speak, and through the whole pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from loopback.pipeline import Bench, bench
from loopback.scripted_openai import CallsTool, Refuses, Says, ScriptedOpenAI
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.transports.base_transport import BaseTransport
from typer.testing import CliRunner

from guardrails.policy import Policy
from pipelines import ADVANCED_CASCADE, HALF_CASCADE, DefinitionError, Persona, assemble
from pipelines.app.cli import app
from pipelines.lab.caller import Turn, calling
from pipelines.stacks import Session, Stack, StackError, listening
from pipelines.stacks.catalogue import SERVICES, check_filled, choose
from pipelines.stacks.embedded import EMBEDDED
from processors.pcm import Samples
from tests.guarded import HIDDEN, policy, terms
from tests.speech import needs, say

PERSONA = Persona(name="Test", instructions="You are a test.")
HEARD = "<transcript>Where is my order?</transcript>"


def spoken(seconds: float) -> list[Frame]:
    """A turn of speech at 16 kHz, as the stages before the model tell of it."""
    loud = np.full(320, 3277, "<i2").tobytes()
    return [
        *(InputAudioRawFrame(bytes(640), 16000, 1) for _ in range(50)),
        VADUserStartedSpeakingFrame(start_secs=0.1),
        UserStartedSpeakingFrame(),
        *(InputAudioRawFrame(loud, 16000, 1) for _ in range(round(seconds * 50))),
        VADUserStoppedSpeakingFrame(stop_secs=0.2),
        UserStoppedSpeakingFrame(),
    ]


def model(server: ScriptedOpenAI, context: LLMContext | None = None) -> Any:
    service = listening.audio_chat(model="hears", base_url=server.base_url)
    return service.build(Session(PERSONA, context or LLMContext()))


def written(board: Bench) -> str:
    return "".join(frame.text for frame in board.all(LLMTextFrame))


class TestWire:
    async def test_the_sound_goes_out_and_words_come_back(self) -> None:
        answer = Says(["<tran", "script>Where is my", " order?</transcript>\n<resp", "onse>It is ", "here.</response>"])
        async with ScriptedOpenAI(answer) as server, bench(model(server)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."
            assert [frame.text for frame in board.up if isinstance(frame, TranscriptionFrame)] == ["Where is my order?"]
            assert board.errors == []
        (request,) = server.requests
        assert request.body["model"] == "hears"
        assert request.body["stream"] is True
        assert request.messages[0] == {"role": "system", "content": PERSONA.instructions}
        ((rate, samples),) = request.sounds()
        assert rate == 16000
        # The speech, and the moment before it in which soft consonants are.
        assert samples / rate == pytest.approx(1.2, abs=0.03)

    async def test_the_words_stand_in_the_context_and_the_sound_does_not(self) -> None:
        context = LLMContext()
        first = Says([HEARD, "<response>It is here.</response>"])
        second = Says(["<transcript>Thanks.</transcript><response>Bye.</response>"])
        async with ScriptedOpenAI(first, second) as server, bench(model(server, context)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            # As the aggregators write it, which stand on either side.
            context.add_message({"role": "user", "content": "Where is my order?"})
            context.add_message({"role": "assistant", "content": "It is here."})
            await board.send(LLMContextFrame(context), *spoken(0.5))
            await board.wait(LLMFullResponseEndFrame, 2)
        assert len(server.requests) == 2
        again = server.requests[1]
        assert len(again.sounds()) == 1
        assert [message["content"] for message in again.messages[1:3]] == ["Where is my order?", "It is here."]

    async def test_an_answer_without_marks_is_said_all_the_same(self) -> None:
        async with ScriptedOpenAI(Says(["It is ", "here."])) as server, bench(model(server)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert written(board) == "It is here."

    async def test_a_sound_too_short_for_speech_is_not_sent(self) -> None:
        async with ScriptedOpenAI() as server, bench(model(server)) as board:
            await board.send(*spoken(0.05))
        assert server.requests == []

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Refuses(401), id="refused"),
            pytest.param(Refuses(429), id="overloaded"),
            pytest.param(Refuses(500), id="broken"),
            pytest.param(Says([HEARD, "<response>It is "], then="drop"), id="line breaks"),
            pytest.param(Says([HEARD, "<response>It is "], then="nonsense"), id="no JSON"),
        ],
    )
    async def test_what_goes_wrong_is_reported_once_and_the_next_turn_is_answered(self, answer: Any) -> None:
        good = Says([HEARD, "<response>Here.</response>"])
        async with ScriptedOpenAI(answer, good) as server, bench(model(server)) as board:
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert len(board.errors) == 1
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert written(board).endswith("Here.")
            assert len(board.errors) == 1

    async def test_who_is_interrupted_before_they_were_understood_is_heard_with_what_they_say_next(self) -> None:
        both = Says(["<transcript>Where is my order? The blue one.</transcript><response>Here.</response>"])
        async with ScriptedOpenAI(Says([], then="stall"), both) as server, bench(model(server)) as board:
            *first, stopped = spoken(1.0)
            await board.send(*first, stopped)
            await server.until(lambda: len(server.requests) == 1)
            start, *rest = (frame for frame in spoken(0.5) if not isinstance(frame, InputAudioRawFrame))
            sound = [frame for frame in spoken(0.5) if isinstance(frame, InputAudioRawFrame)]
            await board.send(start, InterruptionFrame(), rest[0], *sound, *rest[1:])
            await board.wait(LLMFullResponseEndFrame, 2)
            assert written(board) == "Here."
        ((_, alone),) = server.requests[0].sounds()
        ((_, together),) = server.requests[1].sounds()
        assert together > alone

    async def test_a_tool_is_called_and_its_result_answered(self) -> None:
        asked: list[dict[str, Any]] = []

        async def find(params: FunctionCallParams) -> None:
            asked.append(dict(params.arguments))
            await params.result_callback({"city": "Bern"})

        schema = FunctionSchema(
            name="find", description="Find an order.", properties={"order": {"type": "string"}}, required=["order"]
        )
        context = LLMContext(tools=ToolsSchema(standard_tools=[schema]))
        calls = CallsTool("find", ['{"order": ', '"42"}'], first=[HEARD])
        async with ScriptedOpenAI(calls) as server:
            llm = model(server, context)
            llm.register_function("find", find)
            async with bench(llm) as board:
                await board.send(*spoken(1.0))
                result = await board.wait(FunctionCallResultFrame)
                assert result.result == {"city": "Bern"}
        assert asked == [{"order": "42"}]
        assert server.requests[0].body["tools"][0]["function"]["name"] == "find"


class TestBuild:
    def test_a_model_that_only_speaks_is_refused_by_name(self) -> None:
        stack = EMBEDDED.replace(AUDIO_LLM=SERVICES["AUDIO_LLM"]["gemini-live"])
        with pytest.raises(DefinitionError, match="half_cascade: AUDIO_LLM needs text_out, and gemini-live offers"):
            stack.check(HALF_CASCADE)

    def test_an_empty_slot_is_refused_with_what_there_is_for_it(self) -> None:
        with pytest.raises(StackError, match="AUDIO_LLM is filled by nothing in the stack embedded: choose openai-aud"):
            check_filled(HALF_CASCADE, EMBEDDED)
        check_filled(HALF_CASCADE, choose("embedded", LLM="ultravox"))

    def test_a_model_that_hears_is_refused_where_it_would_hear_nothing(self) -> None:
        with pytest.raises(StackError, match="advanced_cascade: has no AUDIO_LLM, which ultravox would fill: choose h"):
            check_filled(ADVANCED_CASCADE, choose("embedded", LLM="ultravox"))

    def test_on_the_command_line(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        recording = tmp_path / "tone.wav"
        soundfile.write(recording, 0.3 * np.sin(np.arange(16000) / 20), 16000)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        for service, says in (
            (None, "with --llm"),
            ("gemini-live", "needs text_out, and gemini-live"),
            ("openai-audio", "KEY"),
        ):
            chosen = [] if service is None else ["--llm", service]
            done = CliRunner().invoke(app, ["reply", str(recording), "-a", "half_cascade", *chosen])
            assert done.exit_code == 2
            assert says in " ".join(done.output.split())

    @pytest.mark.parametrize("name", [name for name in SERVICES["AUDIO_LLM"] if name != "gemini-live"])
    def test_every_service_that_hears_is_built(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        service = SERVICES["AUDIO_LLM"][name]
        for key in service.keys:
            monkeypatch.setenv(key, "http://127.0.0.1:9/v1" if key.endswith("URL") else "a key")
        built = service.build(Session(PERSONA, LLMContext()))
        assert built.service_metadata_frame().is_realtime_service  # type: ignore[attr-defined]


async def held(server: ScriptedOpenAI, context: LLMContext, *said: Samples, rules: Policy | None = None) -> list[Turn]:
    """A call through the whole pipeline with the embedded voice and what the server writes."""
    chat = listening.audio_chat(model="hears", base_url=server.base_url)
    stack = Stack("test", {**EMBEDDED.services, "AUDIO_LLM": chat})
    await stack.load(HALF_CASCADE)

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(
            HALF_CASCADE, stack, transport, persona=PERSONA, policy=rules, context=context, observers=list(observers)
        )

    async with calling(make) as caller:
        return [await caller.say(samples) for samples in said]


class TestCall:
    async def test_two_turns_are_heard_answered_and_remembered_in_words(self) -> None:
        needs("hibari-heart")
        context = LLMContext()
        answers = (
            Says([HEARD, "<response>It is on its way.</response>"]),
            Says(["<transcript>Thank you.</transcript><response>You are welcome.</response>"]),
        )
        async with ScriptedOpenAI(*answers) as server:
            turns = await held(server, context, say("Where is my order?"), say("Thank you."))
        assert [turn.answer for turn in turns] == ["It is on its way.", "You are welcome."]
        assert all(turn.answered and not turn.errors for turn in turns)
        assert [(m["role"], m["content"]) for m in context.messages if isinstance(m, dict)] == [
            ("user", "Where is my order?"),
            ("assistant", "It is on its way."),
            ("user", "Thank you."),
            ("assistant", "You are welcome."),
        ]
        assert [len(request.sounds()) for request in server.requests] == [1, 1]

    async def test_what_it_writes_passes_the_guard(self) -> None:
        needs("hibari-heart")
        context = LLMContext()
        async with ScriptedOpenAI(Says([HEARD, "<response>You get a refund.</response>"])) as server:
            (turn,) = await held(server, context, say("Where is my order?"), rules=policy(terms("refund")))
        assert turn.answer == f"You get a {HIDDEN}."
        assert "refund" not in str(context.messages)
