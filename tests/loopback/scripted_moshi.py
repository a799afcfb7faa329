"""A scripted stand-in for a Moshi server: really decodes what it hears and really encodes what it says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from aiohttp import WSMsgType, web

from loopback.server import ScriptedServer
from processors.fused import moshi_protocol as wire
from processors.fused.opus import RATE, OpusDecoder, OpusEncoder
from processors.pcm import Samples, to_pcm, to_samples

STEP_SECS = 0.08
"""What Moshi says at once."""


@dataclass(frozen=True)
class Sends:
    """Sends a message as it is."""

    data: bytes | str


@dataclass(frozen=True)
class Plays:
    """Says a tone, in messages of 80 ms; at 0 Hz it is silent."""

    hertz: float
    seconds: float


@dataclass(frozen=True)
class Writes:
    """Says the tokens of a text, without their sound."""

    tokens: Sequence[str]


@dataclass(frozen=True)
class Hears:
    """Waits until so much has been heard since the line was open."""

    seconds: float


@dataclass(frozen=True)
class Reads:
    """Reads on, or does not: then it answers no pings either."""

    on: bool


@dataclass(frozen=True)
class Waits:
    """Waits until the test says so."""

    until: asyncio.Event


@dataclass(frozen=True)
class Ends:
    """Ends the line: `drop`s it, or `close`s it with a reason."""

    how: str


Act = Sends | Plays | Writes | Hears | Reads | Waits | Ends

GREETS = Sends(wire.encode(wire.Handshake()))


@dataclass(frozen=True)
class Talks:
    """What to do on one line, in order. After it, it listens until the client hangs up."""

    acts: Sequence[Act]


@dataclass(frozen=True)
class Refuses:
    """Refuses the line with a status."""

    status: int


Step = Talks | Refuses


@dataclass
class Connection:
    """What has come over one line."""

    query: dict[str, str]
    sound: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    closed: bool = False
    """Whether the client has said that it ends it."""

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE


class ScriptedMoshi(ScriptedServer[Step]):
    """One step a line, in order."""

    def __init__(self, *script: Step, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(script, tls)
        self.connections: list[Connection] = []
        self._reading = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.get(wire.PATH, self._chat)]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(dict(request.query))
        self.connections.append(connection)
        step = self._script.pop(0) if self._script else None
        if not isinstance(step, Talks):
            if step is None:
                self.fault("a line too many")
            return web.Response(status=step.status if step else 500)
        line = web.WebSocketResponse()
        await line.prepare(request)
        self._reading.set()
        self.tell()
        reading = asyncio.create_task(self._read(line, connection))
        try:
            encoder = OpusEncoder()
            for act in step.acts:
                await self._act(act, line, request, connection, encoder)
            await reading
        except ConnectionResetError:
            self.fault("the client hung up in the midst of the script")
        finally:
            reading.cancel()
        return line

    async def _act(
        self,
        act: Act,
        line: web.WebSocketResponse,
        request: web.Request,
        connection: Connection,
        encoder: OpusEncoder,
    ) -> None:
        match act:
            case Sends(str(text)):
                await line.send_str(text)
            case Sends(bytes(data)):
                await line.send_bytes(data)
            case Plays(hertz, seconds):
                for ogg in spoken(tone(hertz, seconds), encoder):
                    await line.send_bytes(wire.encode(wire.Audio(ogg)))
            case Writes(tokens):
                for token in tokens:
                    await line.send_bytes(wire.encode(wire.Text(token)))
            case Hears(seconds):
                await self.until(lambda: connection.seconds >= seconds)
            case Reads(on):
                (self._reading.set if on else self._reading.clear)()
            case Waits(until):
                await until.wait()
            case Ends("close"):
                await line.close(code=1011, message=b"out of memory")
            case Ends():
                assert request.transport is not None
                request.transport.abort()

    async def _read(self, line: web.WebSocketResponse, connection: Connection) -> None:
        decoder = OpusDecoder()
        while True:
            await self._reading.wait()
            message = await line.receive()
            if message.type is WSMsgType.BINARY:
                match wire.decode(message.data):
                    case wire.Audio(ogg):
                        connection.sound = np.concatenate((connection.sound, to_samples(decoder.decode(ogg))))
                    case other:
                        self.fault(f"the client sent {other}")
            elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                connection.closed = message.type is WSMsgType.CLOSE
                self.tell()
                return
            else:
                self.fault(f"the client sent {message.type.name}")
            self.tell()


def spoken(samples: Samples, encoder: OpusEncoder) -> list[bytes]:
    """What Moshi would send for this: Ogg/Opus, as much at once as the model says at once."""
    step = round(STEP_SECS * RATE)
    return [encoder.encode(to_pcm(samples[at : at + step])) for at in range(0, len(samples), step)]


def tone(hertz: float, seconds: float, rate: int = RATE) -> Samples:
    """A tone at a tenth of the scale."""
    turns = hertz * np.arange(round(seconds * rate)) / rate
    return (0.1 * np.sin(2 * np.pi * turns)).astype(np.float32)


def pitch(samples: Samples, rate: int = RATE) -> float:
    """The frequency of which there is most, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])
