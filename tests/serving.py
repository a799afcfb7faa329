"""The page's server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pipelines.app.server import Talk, serve


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
