"""A server on loopback that holds to a script: a request out of turn is an error, and so is one that never came."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from aiohttp import web

Step = TypeVar("Step")
Kind = TypeVar("Kind")


class ScriptError(AssertionError):
    """The client departed from the script."""


class ScriptedServer(Generic[Step]):
    """The part that every scripted server shares. Serves while it is entered; a handler ends when its client hangs up.

    Args:
        script: What to do, in order; a subclass says for what a step is taken.
        tls: Serve TLS with this context.

    Raises:
        ScriptError: On leaving, if a request came that no step was left for, or steps are left.
    """

    def __init__(self, script: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self._script = list(script)
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._faults: list[str] = []
        self._news = asyncio.Event()
        self.port = 0

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def coming(self, kind: type[Kind]) -> Kind | None:
        """The script's next step of that kind, left where it is."""
        return next((step for step in self._script if isinstance(step, kind)), None)

    def next_step(self, what: str, kind: type[Kind]) -> Kind | None:
        """Take the script's next step of that kind, or None (and a fault) if it has none left for `what`."""
        step = self.coming(kind)
        if step is None:
            self.fault(f"unexpected {what}")
        else:
            self._script.remove(step)
        return step

    def fault(self, what: str) -> None:
        """Note something that must not have happened."""
        self._faults.append(what)

    def tell(self) -> None:
        """Say that something came from a client, to whoever waits in `until`."""
        self._news.set()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until something is true of what has come from clients."""
        while not fact():
            self._news.clear()
            await self._news.wait()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._strict])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        if error is None:
            faults = [*self._faults, *(f"never asked for: {step}" for step in self._script)]
            if faults:
                raise ScriptError("; ".join(faults))

    @web.middleware
    async def _strict(self, request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            self.fault(f"{request.method} {request.path} → {refusal.status}")
            raise
