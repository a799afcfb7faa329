"""Work that goes on outside of the event loop, told to a loop that keeps its own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, nullcontext

import httpx2


def outside() -> AbstractContextManager[None]:
    """Another process is at work within this block: virtual time does not jump over it.

    On an ordinary event loop this does nothing.
    """
    loop = asyncio.get_running_loop()
    working: AbstractContextManager[None] = loop.outside() if hasattr(loop, "outside") else nullcontext()
    return working


class OutsideTransport(httpx2.AsyncHTTPTransport):
    """HTTP whose requests count as work outside from when they are sent until their response is closed."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        with ExitStack() as working:
            working.enter_context(outside())
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101
            response.stream = _Stream(response.stream, working.pop_all())
        return response


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, working: ExitStack) -> None:
        self._stream = stream
        self._working = working

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        self._working.close()
        await self._stream.aclose()
