"""Waiting with a limit as Python does it from 3.12 on, for 3.11.

There Pipecat puts a package's `wait_for` in place of asyncio's, whose faults it avoids, and which makes a task for
every wait: each piece of an answer waits twice on its way out. What Python 3.12 has instead needs nothing but
`asyncio.timeout`, and that is in 3.11 (https://github.com/python/cpython/pull/98518).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def wait_for(fut: Awaitable[Result], timeout: float | None) -> Result:  # noqa: ASYNC109
    """Wait for something, no longer than so many seconds; None for as long as it takes.

    Raises:
        TimeoutError: If it is not there in time. It is cancelled, and has ended.
    """
    if timeout is not None and timeout <= 0:
        fut = asyncio.ensure_future(fut)
        if fut.done():
            return fut.result()
    async with asyncio.timeout(timeout):
        return await fut


def without_tasks() -> None:
    """Have everybody in this process wait without a task for it, as from Python 3.12 on."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]
