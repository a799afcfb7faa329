"""A scripted stand-in for OpenAI's Realtime API over its websocket, with text or speech for answers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import WSMsgType, web

from loopback.pipeline import PATIENCE_SECS
from loopback.server import ScriptedServer
from processors.pcm import to_pcm
from tests.tones import tone

RATE = 24000
SHORTEST_SECS = 0.1
"""Less sound than that is refused as an empty turn."""

OVERSIZED = 2 << 20


@dataclass(frozen=True)
class Sung:
    """Words said on a note of `hertz`, as long as `seconds`."""

    text: str
    hertz: float
    seconds: float = 0.4


@dataclass(frozen=True)
class Answers:
    """Answers with these pieces of text or of speech; then ends, or breaks the line, holds on or sends what it should
    not."""

    pieces: Sequence[str] | Sequence[Sung]
    heard: str | None = None
    """What the caller has said, told behind the first piece; None if that is never told."""
    late: bool = False
    """Tell it only behind the whole answer."""
    then: str = "end"
    """`end`, `drop` or `close` the line, `hold` on until it is cancelled, `lag`, so that not even the first piece comes
    before that, or `oversized`, a message of 2 MB."""
    under_way: Sequence[str] | Sequence[Sung] = ()
    """Pieces that were sent before a cancellation had come."""
    behind: int = 0
    """By how many pieces words come later than their sound; 0 if they come before it."""
    quietly: int = 0
    """Of how many pieces, the last ones, the words never come."""


@dataclass(frozen=True)
class CallsTool:
    """Calls a tool with arguments that arrive as these pieces of JSON."""

    tool: str
    pieces: Sequence[str]
    heard: str | None = None


@dataclass(frozen=True)
class Fails:
    """Answers with an error event, or with a response that failed."""

    code: str
    response: bool = False


@dataclass(frozen=True)
class Babbles:
    """Sends what is no event, before it answers: no JSON, JSON of another kind, events unknown and incomplete."""

    answer: Answers


@dataclass(frozen=True)
class Refuses:
    """Refuses the websocket with a status."""

    status: int


Step = Answers | CallsTool | Fails | Babbles | Refuses

BABBLE = (
    "{this is no JSON",
    '["no object"]',
    '{"type": "response.of_the_future", "event_id": "f"}',
    '{"type": "response.output_text.delta", "event_id": "d"}',
)


@dataclass
class Connection:
    """What the client sent over one websocket."""

    query: dict[str, str]
    headers: dict[str, str]
    events: list[dict[str, Any]] = field(default_factory=list)
    """All but the sound, in order."""
    session: dict[str, Any] = field(default_factory=dict)
    """As the client has set it."""
    items: list[dict[str, Any]] = field(default_factory=list)
    """What the model remembers, in order; a turn that was heard has its PCM as `audio`."""
    buffer: bytearray = field(default_factory=bytearray)
    response: dict[str, Any] | None = None
    """The one that is running."""
    closing: Sequence[str] | Sequence[Sung] = ()
    lagging: Answers | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of that type."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def turns(self) -> list[float]:
        """Seconds of sound of each turn that was heard."""
        return [len(item["audio"]) / 2 / RATE for item in self.items if "audio" in item]

    @property
    def remembered(self) -> list[tuple[str, str]]:
        """The text of what the model remembers, with who said it; heard turns have none."""
        return [
            (item["role"], "".join(part.get("text") or part.get("transcript") or "" for part in item["content"]))
            for item in self.items
            if item["type"] == "message"
        ]


class ScriptedRealtime(ScriptedServer[Step]):
    """One step a response, in order, over as many connections as it takes."""

    def __init__(self, *script: Step) -> None:
        super().__init__(script)
        self.connections: list[Connection] = []
        self._events = 0

    @property
    def base_url(self) -> str:
        """As a client is given it."""
        return f"{self.url}/v1/realtime"

    async def ready(self, number: int = 1) -> None:
        """Wait until as many connections have been set up.

        Raises:
            TimeoutError: If they are not.
        """
        async with asyncio.timeout(PATIENCE_SECS):
            await self.until(lambda: sum(bool(connection.session) for connection in self.connections) >= number)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/realtime", self._talk)]

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(dict(request.query), {k.lower(): v for k, v in request.headers.items()})
        self.connections.append(connection)
        self.tell()
        if self._script and isinstance(self._script[0], Refuses):
            refusal = self._script.pop(0)
            assert isinstance(refusal, Refuses)
            error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "refused"}
            return web.json_response({"error": error}, status=refusal.status)
        line = web.WebSocketResponse()
        await line.prepare(request)
        talk = _Talk(self, request, line, connection)
        await talk.send("session.created", session={"type": "realtime", "id": "sess_1"})
        async for message in line:
            if message.type is WSMsgType.TEXT:
                await talk.take(json.loads(message.data))
                self.tell()
        return line

    def number(self) -> int:
        """A new one, for the name of something."""
        self._events += 1
        return self._events


class _Talk:
    """One connection at work."""

    def __init__(
        self, server: ScriptedRealtime, request: web.Request, line: web.WebSocketResponse, connection: Connection
    ) -> None:
        self._server = server
        self._request = request
        self._line = line
        self._connection = connection

    async def send(self, kind: str, **content: Any) -> None:
        await self._line.send_str(json.dumps({"type": kind, "event_id": f"event_{self._server.number()}", **content}))

    async def take(self, event: dict[str, Any]) -> None:
        connection = self._connection
        kind = event["type"]
        if kind == "input_audio_buffer.append":
            connection.buffer += base64.b64decode(event["audio"], validate=True)
            return
        connection.events.append(event)
        match kind:
            case "session.update":
                assert event["session"]["type"] == "realtime"
                connection.session = merged(connection.session, event["session"])
                await self.send("session.updated", session={"type": "realtime"})
            case "input_audio_buffer.clear":
                connection.buffer.clear()
                await self.send("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                await self._commit()
            case "response.create":
                await self._respond()
            case "response.cancel":
                await self._cancel()
            case "conversation.item.create":
                await self._remember(event["item"], event.get("previous_item_id"))
            case "conversation.item.delete":
                await self._forget(event["item_id"])
            case "conversation.item.truncate":
                await self._truncate(event["item_id"], event["content_index"], event["audio_end_ms"])
            case _:
                self._server.fault(f"unknown event {kind}")

    async def _commit(self) -> None:
        sound = bytes(self._connection.buffer)
        self._connection.buffer.clear()
        if len(sound) < 2 * RATE * SHORTEST_SECS:
            await self._error("input_audio_buffer_commit_empty")
            return
        item = {"id": f"item_{self._server.number()}", "type": "message", "role": "user"}
        await self.send("input_audio_buffer.committed", item_id=item["id"])
        await self._remember({**item, "content": [{"type": "input_audio"}], "audio": sound})

    async def _remember(self, item: dict[str, Any], after: str | None = None) -> None:
        names = [held["id"] for held in self._connection.items]
        self._connection.items.insert(len(names) if after is None else names.index(after) + 1, item)
        await self.send("conversation.item.added", item=shown(item))
        await self.send("conversation.item.done", item=shown(item))

    async def _forget(self, name: str) -> None:
        kept = [item for item in self._connection.items if item["id"] != name]
        if len(kept) == len(self._connection.items):
            self._server.fault(f"asked to forget {name}, which is not remembered")
        self._connection.items = kept
        await self.send("conversation.item.deleted", item_id=name)

    async def _truncate(self, name: str, part: int, end_ms: int) -> None:
        item = next((item for item in self._connection.items if item["id"] == name), {})
        sound = item.get("sound", b"")
        if part != 0 or not 0 <= end_ms <= 1000 * len(sound) / 2 / RATE:
            self._server.fault(f"asked to cut part {part} of {name} after {end_ms} ms")
            return
        item["sound"] = sound[: 2 * (RATE * end_ms // 1000)]
        # The server knows no times of words.
        item["content"] = [{"type": "output_audio", "transcript": ""}]
        await self.send("conversation.item.truncated", item_id=name, content_index=part, audio_end_ms=end_ms)

    async def _error(self, code: str) -> None:
        cause = self._connection.events[-1]["event_id"]
        error = {"type": "invalid_request_error", "code": code, "message": code, "event_id": cause}
        await self.send("error", error=error)

    async def _respond(self) -> None:
        if self._connection.response is not None:
            await self._error("conversation_already_has_active_response")
            return
        match self._server.next_step("response.create", object):
            case Babbles(answer):
                for message in BABBLE:
                    await self._line.send_str(message)
                await self._answer(answer)
            case Answers() as answer:
                await self._answer(answer)
            case CallsTool(tool, pieces, heard):
                await self._call(tool, pieces, heard)
            case Fails(code, response):
                await self._fail(code, response=response)

    async def _begin(self) -> str:
        name = f"resp_{self._server.number()}"
        self._connection.response = {"id": name, "object": "realtime.response", "status": "in_progress", "output": []}
        await self.send("response.created", response=self._connection.response)
        return name

    async def _end(self, status: str = "completed", **details: Any) -> None:
        usage = {
            "total_tokens": 52,
            "input_tokens": 40,
            "output_tokens": 12,
            "input_token_details": {"audio_tokens": 30, "text_tokens": 10, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 12, "audio_tokens": 0},
        }
        response, self._connection.response = self._connection.response, None
        assert response is not None
        await self.send("response.done", response={**response, "status": status, "usage": usage, **details})

    async def _heard(self, text: str | None) -> None:
        turn = next((item for item in reversed(self._connection.items) if "audio" in item), None)
        if text is not None:
            assert turn is not None
            await self.send(
                "conversation.item.input_audio_transcription.completed",
                item_id=turn["id"],
                content_index=0,
                transcript=text,
                usage={"type": "duration", "seconds": 1},
            )

    async def _answer(self, answer: Answers) -> None:
        if answer.then == "lag":
            self._connection.lagging = answer
            return
        name = await self._begin()
        item: dict[str, Any] = {
            "id": f"item_{self._server.number()}",
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        where = {"response_id": name, "item_id": item["id"], "output_index": 0, "content_index": 0}
        self._connection.items.append(item)
        await self.send("response.output_item.added", response_id=name, output_index=0, item=item)
        await self.send("conversation.item.added", item=item)
        spoken = self._connection.session["output_modalities"] == ["audio"]
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        await self.send("response.content_part.added", **where, part=part)
        await self._pieces(item, where, answer)
        match answer.then:
            case "drop":
                assert self._request.transport is not None
                self._request.transport.abort()
            case "close":
                await self._line.close(code=1001, message=b"session expired")
            case "oversized":
                await self.send("response.output_text.delta", **where, delta="x" * OVERSIZED)
            case "hold":
                self._connection.closing = answer.under_way
                assert self._connection.response is not None
                self._connection.response["where"] = (item, where)
            case "end":
                if spoken:
                    await self.send("response.output_audio.done", **where)
                    transcript = item["content"][0]["transcript"]
                    await self.send("response.output_audio_transcript.done", **where, transcript=transcript)
                else:
                    await self.send("response.output_text.done", **where, text=item["content"][0]["text"])
                await self.send("response.output_item.done", response_id=name, output_index=0, item=shown(item))
                await self.send("conversation.item.done", item=shown(item))
                await self._end(output=[shown(item)])
                if answer.late:
                    await self._heard(answer.heard)

    async def _pieces(self, item: dict[str, Any], where: dict[str, Any], answer: Answers) -> None:
        told = len(answer.pieces) - answer.quietly
        for number, piece in enumerate(answer.pieces):
            if isinstance(piece, str):
                await self._write(item, where, piece)
            else:
                if not answer.behind and number < told:
                    await self._transcribe(item, where, piece.text)
                await self._sing(item, where, piece)
                if answer.behind and 0 <= (of := number - answer.behind + 1) < told:
                    await self._transcribe(item, where, answer.pieces[of].text)  # type: ignore[union-attr]
            if number == 0 and not answer.late:
                await self._heard(answer.heard)
        for piece in answer.pieces[max(0, len(answer.pieces) - answer.behind + 1) : told] if answer.behind else ():
            assert isinstance(piece, Sung)
            await self._transcribe(item, where, piece.text)

    async def _piece(self, item: dict[str, Any], where: dict[str, Any], piece: str | Sung) -> None:
        if isinstance(piece, str):
            await self._write(item, where, piece)
        else:
            await self._transcribe(item, where, piece.text)
            await self._sing(item, where, piece)

    async def _write(self, item: dict[str, Any], where: dict[str, Any], text: str) -> None:
        if not item["content"]:
            item["content"].append({"type": "output_text", "text": ""})
        item["content"][0]["text"] += text
        await self.send("response.output_text.delta", **where, delta=text)

    async def _transcribe(self, item: dict[str, Any], where: dict[str, Any], text: str) -> None:
        if not item["content"]:
            item["content"].append({"type": "output_audio", "transcript": ""})
        item["content"][0]["transcript"] += text
        await self.send("response.output_audio_transcript.delta", **where, delta=text)

    async def _sing(self, item: dict[str, Any], where: dict[str, Any], piece: Sung) -> None:
        sound = to_pcm(tone(piece.hertz, piece.seconds, RATE))
        item["sound"] = item.get("sound", b"") + sound
        await self.send("response.output_audio.delta", **where, delta=base64.b64encode(sound).decode())

    async def _cancel(self) -> None:
        lagging, self._connection.lagging = self._connection.lagging, None
        if lagging is not None:
            await self._answer(replace(lagging, then="hold"))
        response = self._connection.response
        if response is None:
            await self._error("response_cancel_not_active")
            return
        item, where = response.pop("where")
        for piece in self._connection.closing:
            await self._piece(item, where, piece)
        await self._end("cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})

    async def _call(self, tool: str, pieces: Sequence[str], heard: str | None) -> None:
        name = await self._begin()
        number = self._server.number()
        item = {"id": f"item_{number}", "type": "function_call", "name": tool, "call_id": f"call_{number}"}
        where = {"response_id": name, "item_id": item["id"], "output_index": 0, "call_id": item["call_id"]}
        self._connection.items.append(item)
        await self.send("response.output_item.added", response_id=name, output_index=0, item={**item, "arguments": ""})
        await self.send("conversation.item.added", item={**item, "arguments": ""})
        for piece in pieces:
            await self.send("response.function_call_arguments.delta", **where, delta=piece)
        await self._heard(heard)
        item["arguments"] = "".join(pieces)
        await self.send("response.function_call_arguments.done", **where, name=tool, arguments=item["arguments"])
        await self.send("conversation.item.done", item=item)
        await self._end(output=[item])

    async def _fail(self, code: str, *, response: bool) -> None:
        if not response:
            await self._error(code)
            return
        await self._begin()
        error = {"type": "server_error", "code": code, "message": code}
        await self._end("failed", status_details={"type": "failed", "error": error})


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it is told of, without its sound."""
    return {key: value for key, value in item.items() if key not in ("audio", "sound")}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Settings with others over them, however deep."""
    both = {**old, **new}
    return {
        key: merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in both.items()
    }
