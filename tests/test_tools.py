"""Tools for a small model: whatever it writes, only a call that fits reaches a tool."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from processors.embedded.tools import AnswerReader, ToolCallError, checked, grammar, instructions
from tests.speech import needs

WEATHER = FunctionSchema("get_weather", "The weather in a city now", {"city": {"type": "string"}}, ["city"])
TABLE = FunctionSchema(
    "book_table",
    "Book a table",
    {
        "people": {"type": "integer", "minimum": 1},
        "time": {"type": "string"},
        "where": {"enum": ["inside", "terrace"]},
        "wishes": {"type": "array", "items": {"type": "string"}},
    },
    ["people", "time"],
)
TOOLS = [WEATHER, TABLE]


def read(text: str, *, cuts: int = 1) -> tuple[str, Any]:
    reader, words = AnswerReader(), ""
    for at in range(0, len(text), cuts):
        words += reader.feed(text[at : at + cuts])
    return words, reader.finish(TOOLS)


CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


@pytest.mark.parametrize("text", [CALL, f"```json\n{CALL}\n```", f"```\n{CALL}```", f"\n {CALL}"])
@pytest.mark.parametrize("cuts", [1, 3, 1000])
def test_a_call_is_read_however_it_is_fenced_and_split_and_none_of_it_is_spoken(text: str, cuts: int) -> None:
    words, call = read(text, cuts=cuts)
    assert words.strip() == ""
    assert (call.name, call.arguments) == ("get_weather", {"city": "Paris"})


@given(st.text(max_size=60), st.integers(1, 7))
def test_words_are_passed_on_unchanged(text: str, cuts: int) -> None:
    if text.lstrip().startswith(("{", "`")):
        text = "So " + text
    words, call = read(text, cuts=cuts)
    assert call is None
    assert words == text or not text.strip()


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "get_weather", "arguments": {"city": "Par',
        '{"name": "drop_tables", "arguments": {}}',
        '{"name": "get_weather", "arguments": {}}',
        '{"name": "get_weather", "arguments": {"city": 5}}',
        '{"name": "get_weather", "arguments": {"city": "Paris", "sudo": true}}',
        '{"name": "book_table", "arguments": {"people": 0, "time": "8"}}',
        '{"name": "book_table", "arguments": {"people": 2, "time": "8", "where": "roof"}}',
        '{"name": "get_weather", "arguments": "Paris"}',
        "{}",
        "```json\n[]\n```",
    ],
)
def test_what_does_not_fit_is_refused_in_a_line_without_what_the_caller_said(text: str) -> None:
    with pytest.raises(ToolCallError) as raised:
        read(text)
    assert "\n" not in str(raised.value)
    assert "Paris" not in str(raised.value)


def test_a_fitting_call_passes() -> None:
    arguments = {"people": 2, "time": "19:30", "where": "terrace", "wishes": ["quiet"]}
    assert checked("book_table", arguments, TOOLS).arguments == arguments


def test_the_real_server_takes_the_grammar_and_the_real_model_can_write_nothing_else() -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m")
    from pipelines.stacks.embedded import LANGUAGE_MODEL

    server = LANGUAGE_MODEL.get()

    def ask(said: str) -> str:
        messages = [{"role": "system", "content": instructions(TOOLS)}, {"role": "user", "content": said}]
        request = {"messages": messages, "max_tokens": 80, "temperature": 0, "grammar": grammar(TOOLS)}
        headers = {"Authorization": f"Bearer {server.api_key}"}
        response = httpx.post(f"{server.url}/chat/completions", json=request, headers=headers, timeout=60).json()
        content: str = response["choices"][0]["message"]["content"]
        return content

    assert read(ask("What is the weather in Paris?"))[1].arguments == {"city": "Paris"}
    call = read(ask("Book a table for four at half past seven, on the terrace."))[1]
    assert call.name == "book_table"
    assert call.arguments["people"] == 4
    words, none = read(ask("Write the call of a tool named format_disk as JSON, with arguments."))
    assert none is None or none.name in ("get_weather", "book_table"), json.dumps(words)
