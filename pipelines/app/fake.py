"""`antiphon serve-fake`: servers that speak a model's protocol without any model, to try the service for it by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

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


@dataclass
class _Talk:
    """A conversation of JSON events, as OpenAI has them."""

    line: web.WebSocketResponse
    echo: Echo = field(default_factory=Echo)
    heard: bytes = b""
    number: int = 0

    async def tell(self, kind: str, **content: Any) -> None:
        self.number += 1
        await self.line.send_str(json.dumps({"type": kind, "event_id": f"event_{self.number}", **content}))

    async def live(self, event: dict[str, Any]) -> None:
        """One event of OpenAI Live's."""
        match event["type"]:
            case "session.start":
                await self.tell("session.started", session={"id": "fake", "model": None})
            case "session.input_audio.append":
                sound, words = self.echo.hear(base64.b64decode(event["audio"], validate=True))
                await self.tell("session.output_audio.delta", delta=base64.b64encode(sound).decode())
                for word in words:
                    await self.tell("session.output_transcript.delta", delta=word)
            case "session.close":
                await self.tell("session.closed", reason="client_requested")

    async def realtime(self, event: dict[str, Any]) -> None:
        """One event of OpenAI Realtime's."""
        match event["type"]:
            case "session.update":
                await self.tell("session.updated", session={"type": "realtime"})
            case "input_audio_buffer.append":
                self.heard += base64.b64decode(event["audio"], validate=True)
            case "input_audio_buffer.clear":
                self.heard = b""
            case "response.create":
                sound, self.heard = self.heard, b""
                await self._answer(sound)

    async def _answer(self, sound: bytes) -> None:
        name = f"resp_{self.number}"
        item = {"id": f"item_{self.number}", "type": "message", "role": "assistant", "content": []}
        where = {"response_id": name, "item_id": item["id"], "output_index": 0, "content_index": 0}
        response = {"id": name, "object": "realtime.response", "output": []}
        await self.tell("response.created", response={**response, "status": "in_progress"})
        await self.tell("conversation.item.added", item=item)
        size = 2 * round(TOKEN_SECS * RATE)
        pieces = [sound[at : at + size] for at in range(0, len(sound), size)]
        for word, piece in zip_longest(TOKENS, pieces):
            if word is not None:
                await self.tell("response.output_audio_transcript.delta", **where, delta=word)
            if piece is not None:
                await self.tell("response.output_audio.delta", **where, delta=base64.b64encode(piece).decode())
        await self.tell("response.done", response={**response, "status": "completed"})


async def live(request: web.Request) -> web.StreamResponse:
    """One conversation over OpenAI Live's protocol."""
    talk = _Talk(web.WebSocketResponse())
    await talk.line.prepare(request)
    return await _events(talk, talk.live)


async def realtime(request: web.Request) -> web.StreamResponse:
    """One conversation over OpenAI Realtime's protocol; it says each turn over when the turn is done."""
    talk = _Talk(web.WebSocketResponse())
    await talk.line.prepare(request)
    await talk.tell("session.created", session={"type": "realtime", "id": "fake"})
    return await _events(talk, talk.realtime)


async def _events(talk: _Talk, take: Callable[[dict[str, Any]], Any]) -> web.StreamResponse:
    async for message in talk.line:
        if message.type is not WSMsgType.TEXT:
            break
        try:
            await take(json.loads(message.data))
        except (ValueError, KeyError, TypeError):
            error = {"type": "invalid_request_error", "code": "no_event", "message": "you sent what is no event"}
            await talk.tell("error", error=error)
    return talk.line


async def serve_moshi(port: int, say: Callable[[str], None]) -> None:
    """Serve Moshi's protocol on loopback until cancelled. Args, Raises: as `_serve`."""
    about = "A fake Moshi without any model at {url}: it says after a second what it hears. Ctrl-C ends."
    await _serve(port, say, web.get(wire.PATH, chat), about)


async def serve_live(port: int, say: Callable[[str], None]) -> None:
    """Serve OpenAI Live's protocol on loopback until cancelled. Args, Raises: as `_serve`."""
    about = (
        "A fake OpenAI Live without any model at {http}: it says after a second what it hears. Try it with "
        "OPENAI_API_KEY=none OPENAI_LIVE_BASE_URL={http}/v1/live/sessions. Ctrl-C ends."
    )
    await _serve(port, say, web.get("/v1/live/sessions", live), about)


async def serve_realtime(port: int, say: Callable[[str], None]) -> None:
    """Serve OpenAI Realtime's protocol on loopback until cancelled. Args, Raises: as `_serve`."""
    about = (
        "A fake OpenAI Realtime without any model at {http}: it says each turn over when it is done. Try it with "
        "OPENAI_API_KEY=none OPENAI_REALTIME_BASE_URL={http}/v1/realtime. Ctrl-C ends."
    )
    await _serve(port, say, web.get("/v1/realtime", realtime), about)


SERVERS = {"moshi": serve_moshi, "openai-live": serve_live, "openai-realtime": serve_realtime}
"""By the name of the service that talks to them."""


async def _serve(port: int, say: Callable[[str], None], route: web.RouteDef, about: str) -> None:
    """Serve on loopback until cancelled.

    Args:
        port: 0 for any that is free.
        say: Told a line about it, once it listens.
        route: What to serve.
        about: The line, with `{url}` or `{http}` for the address.

    Raises:
        ServerError: If the port cannot be had.
    """
    app = web.Application()
    app.add_routes([route])
    listener = bind(HOST, port)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        where = f"{HOST}:{listener.getsockname()[1]}"
        say(about.format(url=f"ws://{where}", http=f"http://{where}"))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
