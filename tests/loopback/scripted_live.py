"""A scripted stand-in for OpenAI's Live API over its websocket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from loopback.pipeline import PATIENCE_SECS
from loopback.server import ScriptedServer
from processors.pcm import Samples, to_pcm, to_samples
from tests.tones import RATE, tone

PATH = "/v1/live/sessions"
STEP_SECS = 0.08
"""How much is said at once."""


@dataclass(frozen=True)
class Sends:
    """Sends a message as it is."""

    data: str


@dataclass(frozen=True)
class Plays:
    """Says a tone; at 0 Hz it is silent."""

    hertz: float
    seconds: float


@dataclass(frozen=True)
class Writes:
    """Transcribes what the model says, or with `caller` what it hears."""

    text: str
    caller: bool = False


@dataclass(frozen=True)
class Hears:
    """Waits until so much has been heard since the session began."""

    seconds: float


@dataclass(frozen=True)
class Waits:
    """Waits until the test says so."""

    until: asyncio.Event


@dataclass(frozen=True)
class Ends:
    """Ends the line: `drop`s it, or `close`s it with a reason."""

    how: str


Act = Sends | Plays | Writes | Hears | Waits | Ends


def paced(acts: Sequence[Act]) -> Iterator[Act]:
    """The same, with sound sent as fast as it is heard, beginning with the session, as a model sends it that listens
    while it speaks. What a model hears is its clock."""
    at = 0.0
    for act in acts:
        if isinstance(act, Plays):
            for _ in range(round(act.seconds / STEP_SECS)):
                at += STEP_SECS
                yield Hears(at)
                yield Plays(act.hertz, STEP_SECS)
        else:
            yield act


@dataclass(frozen=True)
class Talks:
    """What to do on one line once the session has begun, in order. After it, it listens until the client hangs up."""

    acts: Sequence[Act] = ()
    closes: bool = True
    """Whether it answers when it is asked to close the session."""


@dataclass(frozen=True)
class Fails:
    """Answers the beginning of a session with an error."""

    code: str


@dataclass(frozen=True)
class Refuses:
    """Refuses the line with a status."""

    status: int


Step = Talks | Fails | Refuses


@dataclass
class Connection:
    """What has come over one line."""

    headers: dict[str, str]
    session: dict[str, Any] = field(default_factory=dict)
    """As the client has begun it."""
    sound: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    events: list[dict[str, Any]] = field(default_factory=list)
    """All but the sound, in order."""

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    @property
    def remembered(self) -> list[tuple[str, str]]:
        """What was said before the session, with who said it."""
        return [(item["role"], item["content"][0]["text"]) for item in self.session.get("input", ())]


class ScriptedLive(ScriptedServer[Step]):
    """One step a line, in order."""

    def __init__(self, *script: Step) -> None:
        super().__init__(script)
        self.connections: list[Connection] = []
        self._events = 0

    @property
    def base_url(self) -> str:
        """As a client is given it."""
        return f"{self.url}{PATH}"

    async def ready(self, number: int = 1) -> None:
        """Wait until as many sessions have begun.

        Raises:
            TimeoutError: If they do not.
        """
        async with asyncio.timeout(PATIENCE_SECS):
            await self.until(lambda: sum(bool(connection.session) for connection in self.connections) >= number)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._talk)]

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        connection = Connection({k.lower(): v for k, v in request.headers.items()})
        self.connections.append(connection)
        step = self._script.pop(0) if self._script else None
        self.tell()
        if not isinstance(step, Talks | Fails):
            if step is None:
                self.fault("a line too many")
            return web.Response(status=step.status if step else 500)
        line = web.WebSocketResponse()
        await line.prepare(request)
        first = await line.receive_json()
        if first["type"] != "session.start":
            self.fault(f"the client began with {first['type']}")
        if isinstance(step, Fails):
            error = {"type": "invalid_request_error", "code": step.code, "message": step.code}
            await self._send(line, "error", error=error)
            await line.receive()
            return line
        connection.session = first["session"]
        await self._send(line, "session.started", session={"id": "sess_1", "model": first["session"]["model"]})
        self.tell()
        reading = asyncio.create_task(self._read(line, connection, step))
        try:
            for act in step.acts:
                await self._act(act, line, request, connection)
            await reading
        except ConnectionResetError:
            self.fault("the client hung up in the midst of the script")
        finally:
            reading.cancel()
        return line

    async def _act(self, act: Act, line: web.WebSocketResponse, request: web.Request, connection: Connection) -> None:
        match act:
            case Sends(data):
                await line.send_str(data)
            case Plays(hertz, seconds):
                sound = to_pcm(tone(hertz, seconds))
                step = 2 * round(STEP_SECS * RATE)
                for at in range(0, len(sound), step):
                    delta = base64.b64encode(sound[at : at + step]).decode()
                    await self._send(line, "session.output_audio.delta", delta=delta)
            case Writes(text, caller):
                kind = "session.input_transcript.delta" if caller else "session.output_transcript.delta"
                await self._send(line, kind, delta=text)
            case Hears(seconds):
                await self.until(lambda: connection.seconds >= seconds)
            case Waits(until):
                await until.wait()
            case Ends("close"):
                await line.close(code=1001, message=b"session expired")
            case Ends():
                assert request.transport is not None
                request.transport.abort()

    async def _send(self, line: web.WebSocketResponse, kind: str, **content: Any) -> None:
        self._events += 1
        await line.send_str(json.dumps({"type": kind, "event_id": f"event_{self._events}", **content}))

    async def _read(self, line: web.WebSocketResponse, connection: Connection, step: Talks) -> None:
        async for message in line:
            if message.type is not WSMsgType.TEXT:
                self.fault(f"the client sent {message.type.name}")
                continue
            event = json.loads(message.data)
            if event["type"] == "session.input_audio.append":
                sound = to_samples(base64.b64decode(event["audio"], validate=True))
                connection.sound = np.concatenate((connection.sound, sound))
            else:
                connection.events.append(event)
                if event["type"] == "session.close" and step.closes:
                    await self._send(line, "session.closed", reason="client_requested")
            self.tell()
        self.tell()
