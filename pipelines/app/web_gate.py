"""What may reach the local web server: only this machine's own page, and only small requests.

A server on loopback is still within reach of every page that the user's browser opens. So the Host header must
name this server (or an attacker's domain could be pointed at it), and a request that a browser says comes from
another origin is refused.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

LARGEST_BODY = 64 * 1024
"""Bytes. A browser's offer for one audio line is 2 to 6 kB."""

LONGEST_NAME = 200
"""Characters of a persona's name that are worth looking for."""

TOO_LARGE = f"the request is larger than {LARGEST_BODY // 1024} kB"

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address of this server is reachable from this machine alone."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(authority: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{authority}")
    return (parts.hostname or "").rstrip("."), parts.port


class Gate:
    """ASGI middleware that refuses foreign and oversized requests, and sends `HEADERS` with every answer.

    Args:
        app: What is behind it.
        host: The name or address that the server listens on. On loopback the Host header must be a loopback
            name. Otherwise it must be `host` or an address: a domain name that points here may be anybody's.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        """The status and the words to refuse a request with, or None if it may pass."""
        authority = headers.get("host", "")
        try:
            name, port = _split(authority)
        except ValueError:
            return 400, "the Host header is malformed"
        if not self._knows(name):
            return 421, "this server does not go by that name: open it as localhost"
        origin = headers.get("origin")
        if origin is not None:
            try:
                parts = urlsplit(origin)
                same = ((parts.hostname or "").rstrip("."), parts.port) == (name, port)
            except ValueError:
                same = False
            if not same:
                return 403, "requests from other pages are refused"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "requests from other pages are refused"
        if int(headers.get("content-length") or 0) > LARGEST_BODY:
            return 413, TOO_LARGE
        return None

    def _knows(self, name: str) -> bool:
        if is_loopback(name) or name == self._host:
            return True
        if is_loopback(self._host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            refused = self.refusal(Headers(scope=scope))
            if refused:
                logger.warning(f"refused a WebSocket: {refused[1]}")
                await WebSocket(scope, receive, send).close()
            else:
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        async def refuse(status: int, words: str) -> None:
            logger.warning(f"refused a request with {status}: {words}")
            await JSONResponse({"detail": words}, status)(scope, receive, send_with_headers)

        refused = self.refusal(Headers(scope=scope))
        if refused:
            await refuse(*refused)
            return

        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST_BODY:
                await refuse(413, TOO_LARGE)
                return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send_with_headers)
