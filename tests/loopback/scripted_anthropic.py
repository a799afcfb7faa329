"""A scripted stand-in for Anthropic's Messages API: streams over server-sent events what a test wrote down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from loopback.server import ScriptedServer


@dataclass(frozen=True)
class Says:
    """Answers with these pieces of text; then ends, or breaks the line, goes silent or reports an error instead."""

    pieces: Sequence[str]
    then: str = "end"
    """`end`, `drop`, `stall` (until the client hangs up) or `error`, as the API names an overload in mid-stream."""


@dataclass(frozen=True)
class CallsTool:
    """Answers with a call of a tool; its arguments arrive as these pieces of JSON."""

    tool: str
    pieces: Sequence[str]


@dataclass(frozen=True)
class Refuses:
    """Answers with an HTTP status and the API's error body."""

    status: int
    kind: str


@dataclass(frozen=True)
class Ignores:
    """Says nothing at all until the client hangs up."""


@dataclass(frozen=True)
class Writes:
    """Answers in one piece, to a request for no stream."""

    text: str


Answer = Says | CallsTool | Refuses | Ignores | Writes


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    headers: dict[str, str]
    body: dict[str, Any]


class ScriptedAnthropic(ScriptedServer[Answer]):
    """One answer a request, in order."""

    def __init__(self, *script: Answer) -> None:
        super().__init__(script)
        self.requests: list[Request] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/messages", self._messages)]

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Request({k.lower(): v for k, v in request.headers.items()}, await request.json()))
        match self.next_step("POST /v1/messages", object):
            case Says(pieces, then):
                return await self._stream(request, pieces, then)
            case CallsTool(tool, pieces):
                return await self._stream_tool(request, tool, pieces)
            case Refuses(status, kind):
                return _refusal(status, kind)
            case Ignores():
                await asyncio.Event().wait()
            case Writes(text) if not self.requests[-1].body.get("stream"):
                return web.json_response(
                    {
                        "id": "msg_1",
                        "type": "message",
                        "role": "assistant",
                        "model": self.requests[-1].body.get("model"),
                        "content": [{"type": "text", "text": text}],
                        "stop_reason": "end_turn",
                        "stop_sequence": None,
                        "usage": {"input_tokens": 25, "output_tokens": 5},
                    }
                )
        return _refusal(500, "api_error")

    async def _stream(self, request: web.Request, pieces: Sequence[str], then: str) -> web.StreamResponse:
        response = await self._open(request)
        await _send(response, "content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in pieces:
            await _send(response, "content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        match then:
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case "stall":
                await asyncio.Event().wait()
            case "error":
                await _send(response, "error", error={"type": "overloaded_error", "message": "Overloaded"})
            case "end":
                await _close(response, "end_turn")
        return response

    async def _stream_tool(self, request: web.Request, tool: str, pieces: Sequence[str]) -> web.StreamResponse:
        response = await self._open(request)
        block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
        await _send(response, "content_block_start", index=0, content_block=block)
        for piece in pieces:
            delta = {"type": "input_json_delta", "partial_json": piece}
            await _send(response, "content_block_delta", index=0, delta=delta)
        await _close(response, "tool_use")
        return response

    async def _open(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "request-id": "req_1"})
        await response.prepare(request)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.requests[-1].body.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 25,
                "output_tokens": 1,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 100,
            },
        }
        await _send(response, "message_start", message=message)
        await _send(response, "ping")
        return response


async def _close(response: web.StreamResponse, reason: str) -> None:
    await _send(response, "content_block_stop", index=0)
    delta = {"stop_reason": reason, "stop_sequence": None}
    await _send(response, "message_delta", delta=delta, usage={"output_tokens": 12})
    await _send(response, "message_stop")


async def _send(response: web.StreamResponse, kind: str, **data: Any) -> None:
    await response.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())


def _refusal(status: int, kind: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"type": kind, "message": kind}}, status=status)
