"""Vendors' services over their real wire protocols, against scripted servers on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loopback.clock import run_fast
from loopback.pipeline import bench
from loopback.scripted_anthropic import CallsTool, Ignores, Refuses, Says, ScriptedAnthropic
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    FunctionCallResultFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.utils.errors import ErrorCategory

from pipelines.personas import Persona
from pipelines.stacks import Session, cloud

PERSONA = Persona(name="Test", instructions="You are a test.", greeting="Hello.")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("ANTHROPIC", "ELEVENLABS", "DEEPGRAM"):
        monkeypatch.setenv(f"{vendor}_API_KEY", f"{vendor.lower()}-key")
        monkeypatch.delenv(f"{vendor}_BASE_URL", raising=False)


def asked(text: str, **context: Any) -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": text}], **context))


def said(frames: list[LLMTextFrame]) -> str:
    return "".join(frame.text for frame in frames)


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
