"""A scripted stand-in for ElevenLabs: voices over HTTP, speech and transcripts over websockets, on one port."""

from __future__ import annotations

import base64
import json
import math
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from loopback.server import ScriptedServer

CHUNK_SECS = 0.1


@dataclass(frozen=True)
class Speaks:
    """Speaks a text it expects word for word, as a tone in chunks of 0.1 s, each with the letters that fall into it."""

    text: str
    seconds: float
    until: float = math.inf
    """How many seconds of audio to send before `then`, if not all."""
    then: str = "drop"
    """`drop` the line, `close` it with a reason, or `hold` on to the rest."""


@dataclass(frozen=True)
class Hears:
    """Transcribes what comes until the client commits: partial transcripts by seconds heard, then the whole text.

    Without a text the line drops at the commit.
    """

    text: str | None
    partials: dict[float, str] = field(default_factory=dict)
    until: float = math.inf
    """After how many seconds heard to drop the line, if at all."""


@dataclass(frozen=True)
class Lists:
    """One page of voices, id → name."""

    voices: dict[str, str]
    more: bool = False


@dataclass(frozen=True)
class Refuses:
    """Refuses a list of voices, or a websocket, with a status and ElevenLabs' word for the reason."""

    status: int
    reason: str


Step = Speaks | Hears | Lists | Refuses


@dataclass
class Connection:
    """What the client sent over one websocket, or in one request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pcm(self) -> bytes:
        """All audio that was sent for transcription."""
        return b"".join(base64.b64decode(m["audio_base_64"]) for m in self.messages if "audio_base_64" in m)


class ScriptedElevenLabs(ScriptedServer[Step]):
    """Lists, speech and transcripts each take the next step of their own kind."""

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(script, tls)
        self.connections: list[Connection] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/voices", self._voices),
            web.get("/v1/text-to-speech/{voice}/multi-stream-input", self._speak),
            web.get("/v1/speech-to-text/realtime", self._transcribe),
        ]

    def to(self, part: str) -> list[Connection]:
        """The connections whose path has `part` in it."""
        return [connection for connection in self.connections if part in connection.path]

    def _connected(self, request: web.Request) -> Connection:
        headers = {k.lower(): v for k, v in request.headers.items()}
        self.connections.append(Connection(request.path, dict(request.query), headers))
        return self.connections[-1]

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self._script and isinstance(self._script[0], Refuses):
            refusal = self._script.pop(0)
            body = {"detail": {"status": refusal.reason, "message": refusal.reason}}
            return web.json_response(body, status=refusal.status)
        return None

    async def _voices(self, request: web.Request) -> web.StreamResponse:
        self._connected(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        step = self.next_step("GET /v2/voices", Lists)
        if step is None:
            raise web.HTTPInternalServerError
        voices = [{"voice_id": id_, "name": name} for id_, name in step.voices.items()]
        return web.json_response(
            {
                "voices": voices,
                "has_more": step.more,
                "total_count": len(voices),
                "next_page_token": "next" if step.more else None,
            }
        )

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        connection = self._connected(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        rate = int(connection.query["output_format"].removeprefix("pcm_"))
        line = web.WebSocketResponse()
        await line.prepare(request)
        opened: set[str] = set()
        async for message in line:
            if message.type is not WSMsgType.TEXT:
                continue
            data = json.loads(message.data)
            connection.messages.append(data)
            context = data.get("context_id")
            if data.get("close_socket"):
                await line.close()
            elif data.get("close_context"):
                if context in opened:
                    opened.discard(context)
                    await line.send_json({"isFinal": True, "contextId": context})
            elif data.get("flush") or not context:
                pass
            elif not data["text"].strip():
                opened.add(context)
            elif context not in opened:
                self.fault(f"text for a context that is not open: {data['text']}")
            else:
                await self._say(request, line, data["text"], context, rate)
        return line

    async def _say(self, request: web.Request, line: web.WebSocketResponse, text: str, context: str, rate: int) -> None:
        step = self.next_step(f"text to speak: {text}", Speaks)
        if step is None:
            return
        if text.strip() != step.text:
            self.fault(f"asked to speak {text!r}, not {step.text!r}")
        spoken = step.text + " "
        letter = step.seconds / len(spoken)
        for chunk in range(math.ceil(step.seconds / CHUNK_SECS - 1e-9)):
            start, end = chunk * CHUNK_SECS, min((chunk + 1) * CHUNK_SECS, step.seconds)
            if start >= step.until - 1e-9:
                if step.then == "close":
                    await line.close(code=1011, message=b"internal error")
                elif step.then == "drop":
                    _break(request)
                return
            letters = [i for i in range(len(spoken)) if start <= i * letter < end]
            await line.send_json(
                {
                    "contextId": context,
                    "audio": base64.b64encode(tone(end - start, rate)).decode(),
                    "alignment": {
                        "chars": [spoken[i] for i in letters],
                        "charStartTimesMs": [round((i * letter - start) * 1000) for i in letters],
                        "charDurationsMs": [round((min((i + 1) * letter, end) - i * letter) * 1000) for i in letters],
                    },
                }
            )

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        connection = self._connected(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        line = web.WebSocketResponse()
        await line.prepare(request)
        await line.send_json({"message_type": "session_started", "session_id": "1", "config": {}})
        seconds, given = 0.0, 0
        async for message in line:
            if message.type is not WSMsgType.TEXT:
                continue
            data = json.loads(message.data)
            connection.messages.append(data)
            seconds += len(base64.b64decode(data["audio_base_64"])) / 2 / data["sample_rate"]
            step = self.next_step("commit", Hears) if data["commit"] else self.coming(Hears)
            if step is None:
                continue
            for at, text in sorted(step.partials.items())[given:]:
                if seconds >= at:
                    await line.send_json({"message_type": "partial_transcript", "text": text})
                    given += 1
            if data["commit"] and step.text is not None:
                await line.send_json({"message_type": "committed_transcript", "text": step.text})
                seconds, given = 0.0, 0
            elif data["commit"] or seconds >= step.until:
                if not data["commit"]:
                    self.next_step("audio", Hears)
                _break(request)
                break
        return line


def tone(seconds: float, rate: int) -> bytes:
    """A 440 Hz tone as 16-bit mono PCM."""
    count = round(seconds * rate)
    return struct.pack(f"<{count}h", *(round(8000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(count)))


def _break(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
