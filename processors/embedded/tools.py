"""Tools for a small model: a grammar that leaves it no malformed call to write, and the reading of what it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

FENCE = "```"


class ToolCallError(ValueError):
    """A call that must not reach a tool. One line, without the caller's data."""


@dataclass(frozen=True)
class ToolCall:
    """A call that one of the tools admits."""

    name: str
    arguments: dict[str, Any]


def schema(tool: FunctionSchema) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; what it does not name is not admitted."""
    return {
        "type": "object",
        "properties": tool.properties,
        "required": tool.required,
        "additionalProperties": False,
    }


def instructions(tools: Sequence[FunctionSchema]) -> str:
    """What the system prompt says of the tools."""
    described = "\n".join(
        json.dumps({"name": tool.name, "description": tool.description, "parameters": schema(tool)}, ensure_ascii=False)
        for tool in tools
    )
    return (
        "You can use these tools, one at a time, when the caller asks for what one does and has said what it "
        "needs. Greetings and small talk need no tool. The tools:\n"
        f"{described}\n"
        'To use a tool, answer with nothing but {"name": "…", "arguments": {…}}. Otherwise answer in words. '
        "When a tool's result is given to you, tell it to the caller in words."
    )


def grammar(tools: Sequence[FunctionSchema]) -> str:
    """A GBNF grammar: words without braces or backticks, or one call of one of the tools, fenced or not."""
    rules = [
        "root ::= words | call | fenced",
        'fenced ::= "```json\\n" call "\\n```"',
        "words ::= [^`{\\n] [^`{]*",
        "call ::= " + " | ".join(f"call-{number}" for number in range(len(tools))),
    ]
    for number, tool in enumerate(tools):
        name = _literal(json.dumps(tool.name))
        rules.append(
            f'call-{number} ::= "{{" ws "\\"name\\"" ws ":" ws {name} ws "," ws "\\"arguments\\"" ws ":" ws '
            f'{_object(schema(tool))} ws "}}"'
        )
    return "\n".join([*rules, *_JSON])


_JSON = [
    "ws ::= [ \\n]?",
    'string ::= "\\"" ([^"\\\\\\x00-\\x1f] | "\\\\" ["\\\\/bfnrt])* "\\""',
    'integer ::= "-"? ("0" | [1-9] [0-9]*)',
    'number ::= integer ("." [0-9]+)?',
    'boolean ::= "true" | "false"',
    'array ::= "[" ws (value (ws "," ws value)*)? ws "]"',
    'object ::= "{" ws (string ws ":" ws value (ws "," ws string ws ":" ws value)*)? ws "}"',
    'value ::= string | number | boolean | "null" | array | object',
]


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _object(described: dict[str, Any]) -> str:
    """Required properties in order, then any of the others in order."""
    properties: dict[str, Any] = described.get("properties", {})
    required = [name for name in properties if name in described.get("required", [])]
    optional = [name for name in properties if name not in required]

    def member(name: str) -> str:
        return f'{_literal(json.dumps(name))} ws ":" ws {_value(properties[name])}'

    if required:
        tail = "".join(f' (ws "," ws {member(name)})?' for name in optional)
        body = ' ws "," ws '.join(map(member, required)) + tail
    elif optional:
        # Each could be the first one.
        starts = [
            member(name) + "".join(f' (ws "," ws {member(later)})?' for later in optional[at + 1 :])
            for at, name in enumerate(optional)
        ]
        body = f"({' | '.join(starts)})?"
    else:
        body = ""
    return f'"{{" ws {body} ws "}}"'


def _value(described: dict[str, Any]) -> str:
    """The rule for one value; what this subset of JSON schema does not cover is any JSON, checked afterwards."""
    if "enum" in described:
        return "(" + " | ".join(_literal(json.dumps(choice, ensure_ascii=False)) for choice in described["enum"]) + ")"
    kind = described.get("type")
    if kind == "object" and described.get("properties"):
        return _object(described)
    if kind == "array" and "items" in described:
        item = _value(described["items"])
        return f'"[" ws ({item} (ws "," ws {item})*)? ws "]"'
    return kind if kind in ("string", "integer", "number", "boolean", "array", "object") else "value"


class AnswerReader:
    """Tells words, which can be spoken as they come, from a call, which is read when it is whole."""

    def __init__(self) -> None:
        self._start = ""
        self._call: str | None = None
        self._words = False

    def feed(self, text: str) -> str:
        """The part of the text that is words for the caller."""
        if self._words:
            return text
        if self._call is not None:
            self._call += text
            return ""
        self._start += text
        seen = self._start.lstrip()
        if not seen or FENCE.startswith(seen):
            return ""
        if seen.startswith(("{", FENCE)):
            self._call = seen
            return ""
        self._words = True
        return self._start

    def finish(self, tools: Sequence[FunctionSchema]) -> ToolCall | None:
        """The call, if the answer was one.

        Raises:
            ToolCallError: If it is cut off, names no tool, or has arguments that the tool does not admit.
        """
        if self._call is None:
            return None
        body = self._call.removeprefix(FENCE).removeprefix("json").strip().removesuffix(FENCE).strip()
        try:
            call = json.loads(body)
        except json.JSONDecodeError:
            raise ToolCallError("the model's tool call is not whole") from None
        if not isinstance(call, dict) or not isinstance(call.get("arguments"), dict):
            raise ToolCallError("the model's tool call has no arguments")
        return checked(str(call.get("name")), call["arguments"], tools)


def checked(name: str, arguments: dict[str, Any], tools: Sequence[FunctionSchema]) -> ToolCall:
    """The call, if it names one of the tools and its arguments fit.

    Raises:
        ToolCallError: If not.
    """
    by_name = {tool.name: tool for tool in tools}
    if name not in by_name:
        raise ToolCallError("the model called a tool that there is not")
    try:
        jsonschema.validate(arguments, schema(by_name[name]))
    except jsonschema.ValidationError as error:
        where = ".".join(map(str, error.absolute_path)) or "its arguments"
        raise ToolCallError(
            f"the model's call of {name} was refused: {where} does not fit ({error.validator})"
        ) from None
    return ToolCall(name, arguments)
