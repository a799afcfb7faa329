"""A scripted stand-in for Ultravox: calls are made over HTTP and held over a websocket, with text for answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from loopback.server import ScriptedServer

LOUD = 1000
"""From which sample value on sound counts as speech."""
ENDPOINT_SECS = 0.4
"""After how much silence a turn is over."""
OVERSIZED = 2 << 20


@dataclass(frozen=True)
class Answers:
    """Answers a turn with these pieces of text; then ends, or breaks the line, holds on or sends what it should not."""

    pieces: Sequence[str]
    heard: str | None = None
    """What the caller has said, told before the first piece; None if that is never told."""
    late: bool = False
    """Tell it behind the last piece."""
    then: str = "end"
    """`end`, `drop` or `close` the line, `hold` on until the caller speaks, or `oversized`, a message of 2 MB."""
    under_way: Sequence[str] = ()
    """Pieces that come when they do."""
    after: float = ENDPOINT_SECS
    """Seconds of silence after which the turn is over for it."""
    whole: bool = False
    """Send all of the text so far each time, and nothing but the whole of it where there is but one piece."""


@dataclass(frozen=True)
class CallsTool:
    """Calls a tool, and answers with its result."""

    tool: str
    parameters: dict[str, Any]
    answer: Sequence[str]
    heard: str | None = None
    after: float = ENDPOINT_SECS


@dataclass(frozen=True)
class Babbles:
    """Sends what is no message of the protocol, before it answers."""

    answer: Answers

    @property
    def after(self) -> float:
        return self.answer.after


@dataclass(frozen=True)
class Refuses:
    """Refuses to make a call, with a status."""

    status: int


Step = Answers | CallsTool | Babbles | Refuses

BABBLE = ("{this is no JSON", '["no object"]', '{"no": "type"}', '{"type": "of_the_future"}', '{"type": "transcript"}')


@dataclass
class Call:
    """A call that was made, and what the client sent over its websocket."""

    headers: dict[str, str]
    body: dict[str, Any]
    joined: bool = False
    """Whether any sound has come."""
    turns: list[float] = field(default_factory=list)
    """Seconds from the first loud sample to the last, of each turn."""
    messages: list[dict[str, Any]] = field(default_factory=list)


class ScriptedUltravox(ScriptedServer[Step]):
    """One step a turn, in order, over as many calls as it takes. A turn is over after a pause, as for Ultravox."""

    def __init__(self, *script: Step) -> None:
        super().__init__(script)
        self.calls: list[Call] = []

    @property
    def base_url(self) -> str:
        """As a client is given it."""
        return self.url

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/calls", self._make), web.get("/calls/{number}", self._hold)]

    async def _make(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(Call({k.lower(): v for k, v in request.headers.items()}, await request.json()))
        self.tell()
        if self._script and isinstance(self._script[0], Refuses):
            refusal = self._script.pop(0)
            assert isinstance(refusal, Refuses)
            return web.json_response({"detail": "refused"}, status=refusal.status)
        where = f"ws://127.0.0.1:{self.port}/calls/{len(self.calls) - 1}"
        return web.json_response({"callId": "call", "joinUrl": where}, status=201)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        call = self.calls[int(request.match_info["number"])]
        line = web.WebSocketResponse()
        await line.prepare(request)
        held = _Held(self, request, line, call)
        await held.send("call_started", callId="call")
        await held.send("state", state="listening")
        async for message in line:
            if message.type is WSMsgType.BINARY:
                call.joined = True
                await held.hear(message.data)
            elif message.type is WSMsgType.TEXT:
                call.messages.append(json.loads(message.data))
                await held.take(call.messages[-1])
            self.tell()
        return line


class _Held:
    """One call at work."""

    def __init__(self, server: ScriptedUltravox, request: web.Request, line: web.WebSocketResponse, call: Call) -> None:
        self._server = server
        self._request = request
        self._line = line
        self._call = call
        self._rate = call.body["medium"]["serverWebSocket"]["inputSampleRate"]
        self._ordinal = -1
        self._loud = 0.0
        self._quiet = 0.0
        self._holding: tuple[int, Answers] | None = None
        self._asked: CallsTool | None = None

    async def send(self, kind: str, **content: Any) -> None:
        await self._line.send_str(json.dumps({"type": kind, **content}))

    async def hear(self, pcm: bytes) -> None:
        seconds = len(pcm) / 2 / self._rate
        if _loudest(pcm) >= LOUD:
            if not self._loud and self._holding is not None:
                await self._let_go()
            self._loud += self._quiet * bool(self._loud) + seconds
            self._quiet = 0.0
        elif self._loud:
            self._quiet += seconds
            if self._quiet >= getattr(self._server.coming(object), "after", ENDPOINT_SECS):
                self._call.turns.append(self._loud)
                self._loud = self._quiet = 0.0
                await self._answer()

    async def take(self, message: dict[str, Any]) -> None:
        if message["type"] != "client_tool_result":
            self._server.fault(f"unknown message {message['type']}")
        elif self._asked is None:
            self._server.fault("the result of a tool that was not called")
        else:
            asked, self._asked = self._asked, None
            await self._write(Answers(asked.answer))

    async def _answer(self) -> None:
        step = self._server.next_step("turn", object)
        if isinstance(step, Babbles):
            for message in BABBLE:
                await self._line.send_str(message)
            step = step.answer
        if isinstance(step, CallsTool):
            await self._heard(step.heard)
            self._asked = step
            await self.send(
                "client_tool_invocation", toolName=step.tool, invocationId="invocation-1", parameters=step.parameters
            )
        elif isinstance(step, Answers):
            await self._heard(None if step.late else step.heard)
            await self._write(step)
            if step.late:
                await self._heard(step.heard)

    async def _heard(self, text: str | None) -> None:
        await self.send("state", state="thinking")
        if text is not None:
            self._ordinal += 1
            await self.send("transcript", role="user", medium="voice", text=text, final=True, ordinal=self._ordinal)

    async def _write(self, answer: Answers) -> None:
        self._ordinal += 1
        await self.send("state", state="speaking")
        if answer.whole:
            for number in range(1, len(answer.pieces)):
                await self._transcript(self._ordinal, text="".join(answer.pieces[:number]))
        else:
            for piece in answer.pieces:
                await self._transcript(self._ordinal, delta=piece)
        match answer.then:
            case "drop":
                assert self._request.transport is not None
                self._request.transport.abort()
            case "close":
                await self._line.close(code=1000, message=b"hung up")
            case "oversized":
                await self._transcript(self._ordinal, delta="x" * OVERSIZED)
            case "hold":
                self._holding = self._ordinal, answer
            case "end":
                text = {"text": "".join(answer.pieces)} if answer.whole else {}
                await self._transcript(self._ordinal, final=True, **text)
                await self.send("state", state="listening")

    async def _let_go(self) -> None:
        assert self._holding is not None
        (ordinal, answer), self._holding = self._holding, None
        for piece in answer.under_way:
            await self._transcript(ordinal, delta=piece)
        await self._transcript(ordinal, final=True)
        await self.send("state", state="listening")

    async def _transcript(self, ordinal: int, *, final: bool = False, **text: str) -> None:
        await self.send("transcript", role="agent", medium="text", final=final, ordinal=ordinal, **text)


def _loudest(pcm: bytes) -> int:
    samples = memoryview(pcm).cast("h")
    return max(map(abs, samples), default=0)
