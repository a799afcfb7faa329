"""What the embedded language model is asked: its system prompt, examples, the conversation, tools."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import LLMUpdateSettingsFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from pipelines.stacks.embedded import LANGUAGE_MODEL
from processors.embedded import tools as calling
from processors.embedded.bounded import size
from processors.embedded.llm import CONTEXT_CHARACTERS, EmbeddedLLMService
from tests.harness import on_the_bench
from tests.speech import needs

BOOK = FunctionSchema(
    name="book", description="Books a table.", properties={"people": {"type": "integer"}}, required=["people"]
)
EXAMPLES = [("Do you like tea?", "Well, I'm software."), ("It rains.", "Oh no. Are you wet?")]
SHOWN = [
    {"role": "user", "content": "Do you like tea?"},
    {"role": "assistant", "content": "Well, I'm software."},
    {"role": "user", "content": "It rains."},
    {"role": "assistant", "content": "Oh no. Are you wet?"},
]


class NoServer:
    """Is never asked anything."""

    url = "http://127.0.0.1:9/v1"
    api_key = "none"
    alive = True

    def next_slot(self) -> int:
        return 1

    def revive(self) -> None:
        raise AssertionError("nobody died")


def asked(context: LLMContext, examples: list[tuple[str, str]]) -> dict:
    service = EmbeddedLLMService(NoServer(), "Be Ferni.", context, examples)
    invocation = {"messages": [{"role": "system", "content": "Be Ferni."}, *context.messages]}
    return service.build_chat_completion_params(invocation)


def test_examples_stand_between_the_system_prompt_and_the_conversation():
    context = LLMContext([{"role": "user", "content": "Hello."}])
    assert asked(context, EXAMPLES)["messages"] == [
        {"role": "system", "content": "Be Ferni."},
        *SHOWN,
        {"role": "user", "content": "Hello."},
    ]
    assert context.messages == [{"role": "user", "content": "Hello."}]


def test_a_long_conversation_loses_its_beginning_and_no_example():
    long = [
        {"role": role, "content": f"{number} " + "word " * 200}
        for number in range(40)
        for role in ("user", "assistant")
    ]
    messages = asked(LLMContext(long), EXAMPLES)["messages"]
    assert messages[1 : 1 + len(SHOWN)] == SHOWN
    assert messages[-1] == long[-1]
    assert messages[1 + len(SHOWN)]["role"] == "user"
    assert sum(map(size, messages)) <= CONTEXT_CHARACTERS + sum(map(size, SHOWN))


def test_each_conversation_keeps_to_its_slot():
    assert asked(LLMContext(), [])["extra_body"] == {"id_slot": 1}


def test_tools_go_into_the_prompt_and_a_grammar_and_not_into_the_request():
    context = LLMContext([{"role": "user", "content": "A table."}], tools=ToolsSchema(standard_tools=[BOOK]))
    params = asked(context, [])
    assert "tools" not in params
    assert params["messages"][0]["content"] == f"Be Ferni.\n{calling.instructions([BOOK])}"
    assert params["extra_body"]["grammar"] == calling.grammar([BOOK])


def test_the_words_on_tools_are_written_once_for_each_set(monkeypatch: pytest.MonkeyPatch):
    written: list[int] = []
    grammar = calling.grammar
    monkeypatch.setattr(calling, "grammar", lambda tools: written.append(len(tools)) or grammar(tools))
    context = LLMContext(tools=ToolsSchema(standard_tools=[BOOK]))
    service = EmbeddedLLMService(NoServer(), "Be Ferni.", context)
    invocation = {"messages": [{"role": "system", "content": "Be Ferni."}]}
    for _ in range(3):
        service.build_chat_completion_params(invocation)
    context.set_tools(ToolsSchema(standard_tools=[BOOK, BOOK]))
    service.build_chat_completion_params(invocation)
    assert written == [1, 2]


async def test_a_prompt_that_was_read_once_is_known_to_the_next_conversation():
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m")
    server = await asyncio.to_thread(LANGUAGE_MODEL.get)
    instructions = f"You are a gardener who answers in one word. This is garden {uuid.uuid4().hex}."
    read = []
    for _ in range(3):
        service = EmbeddedLLMService(server, instructions, LLMContext(), EXAMPLES)
        async with on_the_bench(service):
            await service.prepared()
            messages = [{"role": "system", "content": instructions}, {"role": "user", "content": "What is red?"}]
            asked = service.build_chat_completion_params({"messages": messages})
            request = {"messages": asked["messages"], "max_tokens": 1, **asked["extra_body"]}
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.api_key}"}, timeout=60) as client:
                response = await client.post(f"{server.url}/chat/completions", json=request)
        read.append(response.json()["timings"]["prompt_n"])
    # Only the question and the marks around it are new, in either of the server's slots.
    assert max(read) < 25


async def test_who_takes_over_is_asked_with_their_own_prompt_which_has_been_read_by_then():
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m")
    server = await asyncio.to_thread(LANGUAGE_MODEL.get)
    said = [{"role": "user", "content": "My name is Tom."}, {"role": "assistant", "content": "Good to meet you, Tom."}]
    instructions = f"You are a baker. This is bakery {uuid.uuid4().hex}."
    service = EmbeddedLLMService(server, "Be Ferni.", LLMContext([*said]))
    async with on_the_bench(service) as bench:
        await service.prepared()
        taking_over = EmbeddedLLMService.Settings(system_instruction=instructions, examples=EXAMPLES)
        await bench.give(LLMUpdateSettingsFrame(delta=taking_over))
        await service.prepared()
        messages = [{"role": "system", "content": instructions}, *said, {"role": "user", "content": "What is red?"}]
        asked = service.build_chat_completion_params({"messages": messages})
        assert asked["messages"] == [messages[0], *SHOWN, *messages[1:]]
        request = {"messages": asked["messages"], "max_tokens": 1, **asked["extra_body"]}
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.api_key}"}, timeout=60) as client:
            response = await client.post(f"{server.url}/chat/completions", json=request)
    assert response.json()["timings"]["prompt_n"] < 25
