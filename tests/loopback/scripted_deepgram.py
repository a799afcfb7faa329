"""A scripted stand-in for Deepgram's live transcription: audio in as bytes, results out as JSON."""

from __future__ import annotations

import json
import math
import ssl
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from loopback.server import ScriptedServer


@dataclass(frozen=True)
class Hears:
    """Transcribes what comes until the client finalizes: interim results by seconds heard, then the whole text."""

    text: str
    interims: dict[float, str] = field(default_factory=dict)
    until: float = math.inf
    """After how many seconds heard to drop the line, if at all."""


@dataclass(frozen=True)
class Refuses:
    """Refuses the websocket with a status."""

    status: int


Step = Hears | Refuses


@dataclass
class Connection:
    """What the client sent over one websocket."""

    query: dict[str, str]
    headers: dict[str, str]
    pcm: bytearray = field(default_factory=bytearray)
    controls: list[str] = field(default_factory=list)
    """The types of the JSON messages, in order."""


class ScriptedDeepgram(ScriptedServer[Step]):
    """One step an utterance, in order, over as many connections as it takes."""

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(script, tls)
        self.connections: list[Connection] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/listen", self._listen)]

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        headers = {k.lower(): v for k, v in request.headers.items()}
        connection = Connection(dict(request.query), headers)
        self.connections.append(connection)
        if self._script and isinstance(self._script[0], Refuses):
            refusal = self._script.pop(0)
            return web.json_response({"err_code": "INVALID_AUTH"}, status=refusal.status)
        line = web.WebSocketResponse()
        await line.prepare(request)
        rate = int(connection.query["sample_rate"])
        seconds, given = 0.0, 0
        async for message in line:
            if message.type is WSMsgType.BINARY:
                connection.pcm += message.data
                seconds += len(message.data) / 2 / rate
                step = self.coming(Hears)
                if step is None:
                    continue
                for at, text in sorted(step.interims.items())[given:]:
                    if seconds >= at:
                        await line.send_json(_results(text, is_final=False))
                        given += 1
                if seconds >= step.until:
                    self.next_step("audio", Hears)
                    assert request.transport is not None
                    request.transport.abort()
                    break
            elif message.type is WSMsgType.TEXT:
                kind = json.loads(message.data)["type"]
                connection.controls.append(kind)
                self.tell()
                if kind == "Finalize":
                    step = self.next_step("Finalize", Hears)
                    await line.send_json(_results(step.text if step else "", is_final=True, from_finalize=True))
                    seconds, given = 0.0, 0
                elif kind == "CloseStream":
                    await line.send_json(_metadata())
                    await line.close()
        return line


def _results(text: str, *, is_final: bool, from_finalize: bool = False) -> dict[str, Any]:
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "duration": 1.0,
        "start": 0.0,
        "is_final": is_final,
        "speech_final": False,
        "from_finalize": from_finalize,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.99, "words": []}]},
        "metadata": {
            "request_id": "1",
            "model_uuid": "1",
            "model_info": {"name": "general", "version": "1", "arch": "nova-3"},
        },
    }


def _metadata() -> dict[str, Any]:
    return {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "1",
        "sha256": "0",
        "created": "2026-01-01T00:00:00Z",
        "duration": 1.0,
        "channels": 1,
    }
