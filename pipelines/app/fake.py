"""`antiphon serve-fake`: servers that speak a model's protocol without any model, to try the service for it by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
from aiohttp import WSMsgType, web

from pipelines.app.server import bind
from processors.fused import moshi_protocol as wire
from processors.fused.errors import WireError
from processors.fused.opus import RATE, OpusDecoder, OpusEncoder
from processors.pcm import to_samples

HOST = "127.0.0.1"
DELAY_SECS = 1.0
TOKEN_SECS = 0.24
LOUD = 0.02
"""Mean amplitude of what counts as speech, of full scale."""

TOKENS = (" I", " am", " a", " fake", " without", " a", " model", ".", " This", " is", " your", " own", " voice", ".")


class Echo:
    """Says what it hears, a second later, and says in words that it does. Its clock is what it hears, as Moshi's is."""

    def __init__(self) -> None:
        self._late = bytearray(int(DELAY_SECS * RATE) * 2)
        self._tokens: Iterator[str] = iter(())
        self._until_token = 0.0
        self._quiet = DELAY_SECS

    def hear(self, pcm: bytes) -> tuple[bytes, list[str]]:
        """What to say to this.

        Args:
            pcm: 16-bit mono PCM at 24 kHz.

        Returns:
            As much sound, and the tokens that go with it.
        """
        self._late += pcm
        sound = bytes(self._late[: len(pcm)])
        del self._late[: len(pcm)]
        return sound, self._words(sound)

    def _words(self, sound: bytes) -> list[str]:
        secs = len(sound) / 2 / RATE
        if not secs or np.abs(to_samples(sound)).mean() < LOUD:
            self._quiet += secs
        else:
            if self._quiet >= DELAY_SECS:
                self._tokens = iter(TOKENS)
            self._quiet = 0.0
        self._until_token -= secs
        if self._until_token > 0 or (token := next(self._tokens, None)) is None:
            return []
        self._until_token = TOKEN_SECS
        return [token]


async def chat(request: web.Request) -> web.StreamResponse:
    """One conversation over Moshi's protocol."""
    line = web.WebSocketResponse(max_msg_size=wire.MAX_MESSAGE_BYTES)
    await line.prepare(request)
    echo, decoder, encoder = Echo(), OpusDecoder(), OpusEncoder()
    about = {"fake": True, "model": None, "about": "echoes the caller after a second"}
    await line.send_bytes(wire.encode(wire.Metadata(about)))
    await line.send_bytes(wire.encode(wire.Handshake()))
    async for message in line:
        if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            break
        try:
            understood = wire.decode(message.data)
            if not isinstance(understood, wire.Audio):
                continue
            sound, words = echo.hear(decoder.decode(understood.data))
        except WireError as error:
            await line.send_bytes(wire.encode(wire.Failure(f"you sent {error}")))
            continue
        if ogg := encoder.encode(sound):
            await line.send_bytes(wire.encode(wire.Audio(ogg)))
        for word in words:
            await line.send_bytes(wire.encode(wire.Text(word)))
    return line


async def serve_moshi(port: int, say: Callable[[str], None]) -> None:
    """Serve on loopback until cancelled.

    Args:
        port: 0 for any that is free.
        say: Told a line about it, once it listens.

    Raises:
        ServerError: If the port cannot be had.
    """
    app = web.Application()
    app.add_routes([web.get(wire.PATH, chat)])
    listener = bind(HOST, port)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        url = f"ws://{HOST}:{listener.getsockname()[1]}"
        say(f"A fake Moshi without any model at {url}: it says after a second what it hears. Ctrl-C ends.")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
