"""A scripted stand-in for chat completions of OpenAI's kind with sound in: streams what a test wrote down."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from loopback.server import ScriptedServer


@dataclass(frozen=True)
class Says:
    """Answers with these pieces of text; then ends, or breaks the line, goes silent or sends no JSON instead."""

    pieces: Sequence[str]
    then: str = "end"
    """`end`, `drop`, `stall` (until the client hangs up) or `nonsense`."""


@dataclass(frozen=True)
class CallsTool:
    """Writes what the caller said and calls a tool; its arguments arrive as these pieces of JSON."""

    tool: str
    pieces: Sequence[str]
    first: Sequence[str] = ()


@dataclass(frozen=True)
class Refuses:
    """Answers with an HTTP status and an error body."""

    status: int


@dataclass(frozen=True)
class Writes:
    """Answers in one piece, to a request for no stream."""

    text: str


Answer = Says | CallsTool | Refuses | Writes


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """As they were sent."""
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages

    def sounds(self) -> list[tuple[int, int]]:
        """Sample rate and number of samples of each sound in it, in order."""
        found = []
        for message in self.messages:
            content = message.get("content")
            for part in content if isinstance(content, list) else ():
                if part["type"] == "input_audio":
                    assert part["input_audio"]["format"] == "wav"
                    with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as file:
                        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
                        found.append((file.getframerate(), file.getnframes()))
        return found


class ScriptedOpenAI(ScriptedServer[Answer]):
    """One answer a request, in order."""

    def __init__(self, *script: Answer) -> None:
        super().__init__(script)
        self.requests: list[Request] = []

    @property
    def base_url(self) -> str:
        """As a client is given it."""
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._complete)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Request({k.lower(): v for k, v in request.headers.items()}, await request.json()))
        self.tell()
        match self.next_step("POST /v1/chat/completions", object):
            case Says(pieces, then):
                return await self._stream(request, pieces, then)
            case CallsTool(tool, pieces, first):
                return await self._call(request, tool, pieces, first)
            case Refuses(status):
                return _refusal(status)
            case Writes(text) if not self.requests[-1].body.get("stream"):
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                return web.json_response({"id": "1", "object": "chat.completion", "created": 0, "choices": [choice]})
        return _refusal(500)

    async def _stream(self, request: web.Request, pieces: Sequence[str], then: str) -> web.StreamResponse:
        response = await _open(request)
        for piece in pieces:
            await _send(response, _chunk(content=piece))
        match then:
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case "stall":
                await asyncio.Event().wait()
            case "nonsense":
                await response.write(b"data: {this is no JSON\n\n")
            case "end":
                await _end(response, "stop")
        return response

    async def _call(
        self, request: web.Request, tool: str, pieces: Sequence[str], first: Sequence[str]
    ) -> web.StreamResponse:
        response = await _open(request)
        for piece in first:
            await _send(response, _chunk(content=piece))
        for number, piece in enumerate(["", *pieces]):
            named = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}}
            call = {"index": 0, **(named if number == 0 else {"function": {"arguments": piece}})}
            await _send(response, _chunk(tool_calls=[call]))
        await _end(response, "tool_calls")
        return response


async def _open(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await _send(response, _chunk(role="assistant"))
    return response


async def _end(response: web.StreamResponse, reason: str) -> None:
    await _send(response, _chunk(reason))
    usage = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
    await _send(response, {**_chunk(), "choices": [], "usage": usage})
    await response.write(b"data: [DONE]\n\n")


def _chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
    return {**head, "choices": [choice]}


async def _send(response: web.StreamResponse, chunk: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


def _refusal(status: int) -> web.Response:
    return web.json_response({"error": {"type": "error", "message": f"refused with {status}"}}, status=status)
