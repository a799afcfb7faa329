"""One connection to a Moshi server, from its handshake to its end. Knows nothing of pipelines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from loguru import logger
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from processors.fused import moshi_protocol as wire
from processors.fused.errors import WireError
from processors.fused.opus import RATE, OpusDecoder, OpusEncoder
from processors.fused.pacing import Backlog

HELLO_SECS = 10.0
"""How long a server may take to greet. The Python one talks to one caller at a time and has the next one wait."""

STALL_SECS = 10.0
"""How long a server may take no audio."""

BACKLOG_SECS = 1.0
"""How much of the caller's audio waits for a server that is slow."""

PING_SECS = 0.5
PINGS_AHEAD = 4
"""A ping follows each half second of audio, and no more audio is sent while five are unanswered: a server answers when
it has taken what came before, whereas the buffers on the way to it hold minutes of Opus."""

PAUSE_SECS = 0.5
SILENCE_SECS = 0.08
"""The model's clock is the audio that it hears. Where none comes for `PAUSE_SECS`, as from a caller who has switched
the microphone off, it hears silence in chunks of `SILENCE_SECS`."""

MAX_FAULTS = 8
"""How many different things that are wrong are told of one line."""

BYTES_A_SEC = RATE * 2


class LineError(ConnectionError):
    """Why the line has ended, to go after "Moshi …". One line."""


@dataclass(frozen=True)
class Sound:
    """What the model says next: 16-bit mono PCM at 24 kHz. It comes all the time, silence included."""

    pcm: bytes

    @property
    def secs(self) -> float:
        return len(self.pcm) / BYTES_A_SEC


@dataclass(frozen=True)
class Words:
    """What the model says next, as text. It comes with the sound of its beginning or shortly before."""

    text: str


@dataclass(frozen=True)
class Fault:
    """Something is wrong and the line goes on."""

    text: str


News = Sound | Words | Fault


class Line:
    """One connection.

    Args:
        connection: Open, and closed by whoever opened it.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._greeted = asyncio.Event()
        self._backlog = Backlog(int(BACKLOG_SECS * BYTES_A_SEC))
        self._decoder = OpusDecoder()
        self._pieces = wire.Pieces()
        self._slow = False
        self._faults: set[str] = set()
        self.spoke = False
        """Whether sound has come over it."""

    def hear(self, pcm: bytes) -> None:
        """Send what the caller says, as soon as the server takes it. What is said before the handshake is lost.

        Args:
            pcm: 16-bit mono PCM at 24 kHz.
        """
        if not self._greeted.is_set():
            return
        if self._backlog.put(pcm) and not self._slow:
            self._slow = True
            logger.warning("The Moshi server is slower than speech: some of what the caller says does not reach it")

    def abort(self) -> None:
        """End at once, without a word to the server."""
        self._connection.transport.abort()

    async def talk(self, tell: Callable[[News], Awaitable[None]]) -> NoReturn:
        """Send and receive until the line ends.

        Args:
            tell: Is told all that comes, in order.

        Raises:
            LineError: When it has ended.
        """
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._send())
                both.create_task(self._receive(tell))
        except ExceptionGroup as group:
            ends, rest = group.split((LineError, ConnectionClosed))
            if rest is not None or ends is None:
                raise
            error = ends.exceptions[0]
            raise LineError(_why(error) if isinstance(error, ConnectionClosed) else str(error)) from group
        raise AssertionError("a line ends with an error")

    async def _send(self) -> NoReturn:
        try:
            async with asyncio.timeout(HELLO_SECS):
                await self._greeted.wait()
        except TimeoutError:
            raise LineError(f"sent no handshake for {HELLO_SECS:g} s: it may be talking to somebody else") from None
        encoder, answers, since = OpusEncoder(), deque[Awaitable[float]](), 0
        pause: float | None = None
        while True:
            try:
                async with asyncio.timeout(pause):
                    pcm = await self._backlog.get()
                pause = PAUSE_SECS
            except TimeoutError:
                assert pause is not None  # noqa: S101
                pcm = bytes(2 * round(pause * RATE))
                pause = SILENCE_SECS
            if not (data := encoder.encode(pcm)):
                continue
            try:
                async with asyncio.timeout(STALL_SECS):
                    await self._connection.send(wire.encode(wire.Audio(data)))
                    since += len(pcm)
                    if since >= PING_SECS * BYTES_A_SEC:
                        since = 0
                        answers.append(await self._connection.ping())
                    if len(answers) > PINGS_AHEAD:
                        await answers.popleft()
            except TimeoutError:
                raise LineError(f"has taken no audio for {STALL_SECS:g} s") from None

    async def _receive(self, tell: Callable[[News], Awaitable[None]]) -> NoReturn:
        while True:
            try:
                news = self._understand(await self._connection.recv())
            except WireError as error:
                news = self._fault(f"sent {error}")
            if news is not None:
                await tell(news)

    def _understand(self, data: bytes | str) -> News | None:
        message = wire.decode(data)
        match message:
            case wire.Handshake():
                self._greeted.set()
            case wire.Audio(ogg):
                # What comes too early may have the head of the stream in it.
                pcm = self._decoder.decode(ogg)
                self._check_greeted("audio")
                if pcm:
                    self.spoke = True
                    return Sound(pcm)
            case wire.Text(piece):
                self._check_greeted("text")
                if text := self._pieces.text(piece):
                    return Words(text)
            case wire.Failure(text):
                return self._fault(f"says: {text[:200]}")
            case wire.Metadata() | wire.Control() | wire.Ping() | wire.Unknown():
                logger.debug(f"Moshi sent {type(message).__name__.lower()}")
        return None

    def _check_greeted(self, what: str) -> None:
        if not self._greeted.is_set():
            raise WireError(f"{what} before its handshake")

    def _fault(self, what: str) -> Fault | None:
        """To be told, unless it has been: a server that sends what does not belong on the line will send more of it."""
        if what in self._faults or len(self._faults) == MAX_FAULTS:
            logger.debug(f"Moshi {what}")
            return None
        self._faults.add(what)
        return Fault(what)


def _why(closed: ConnectionClosed) -> str:
    if closed.sent is not None and closed.sent.code == 1009:
        return f"sent a message of more than {wire.MAX_MESSAGE_BYTES:,} bytes"
    if closed.rcvd is not None:
        return f"closed the line ({closed.rcvd})"
    return "is gone: the line broke"
