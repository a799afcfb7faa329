"""The page's server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loguru import logger

from pipelines.app.server import Talk, serve

PATIENCE_SECS = 20.0


@asynccontextmanager
async def serving(
    talk: Talk, port: int = 0, on_failed: Callable[[str], None] = lambda error: None
) -> AsyncIterator[str]:
    """Serve `talk` meanwhile.

    Args:
        talk: Whom the page talks to.
        port: 0 for any that is free.
        on_failed: As `serve`.

    Yields:
        The page's address.
    """
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(talk, port=port, on_listening=url.set_result, on_failed=on_failed))
    await asyncio.wait((server, url), return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    try:
        yield await url
    finally:
        server.cancel()
        await asyncio.wait((server,))


async def until_calls(fact: Callable[[], bool]) -> None:
    """Wait until something is true of the calls that go on. Each call that ends is logged, and looked at then.

    Raises:
        TimeoutError: If it does not become true.
    """
    ended = asyncio.Event()
    sink = logger.add(lambda message: ended.set(), level="INFO", filter="pipelines.app.web_calls")
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            while not fact():
                ended.clear()
                await ended.wait()
    finally:
        logger.remove(sink)


async def until_idle(talk: Talk) -> None:
    """Wait until no call is left."""
    await until_calls(lambda: not talk.calls.lines_taken)
