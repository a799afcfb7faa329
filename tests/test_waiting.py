"""Waiting with a limit: the same whether the thing waited for is a coroutine, a future or a task."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from pipelines import BASIC_CASCADE, assemble
from pipelines.lab import profile
from pipelines.lab.bench_load import PROFILE, script
from pipelines.stacks.profile import profile_stack
from processors.transports.memory import MemoryTransport
from processors.waiting import wait_for
from tests.harness import on_virtual_time

Thing = Callable[[float], Awaitable[str]]


async def _there(after: float) -> str:
    await asyncio.sleep(after)
    return "there"


def _task(after: float) -> Awaitable[str]:
    return asyncio.ensure_future(_there(after))


def _future(after: float) -> Awaitable[str]:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(after, lambda: future.done() or future.set_result("there"))
    return future


things = pytest.mark.parametrize("thing", [_there, _task, _future])


@things
@pytest.mark.parametrize("limit", [2.0, None])
@on_virtual_time()
async def test_what_is_there_in_time_is_given(thing: Thing, limit: float | None) -> None:
    assert await wait_for(thing(1.0), limit) == "there"


@things
@pytest.mark.parametrize("limit", [0.5, 0, -1])
@on_virtual_time()
async def test_what_is_not_is_cancelled_when_the_time_is_over(thing: Thing, limit: float) -> None:
    began = asyncio.get_running_loop().time()
    waited = asyncio.ensure_future(thing(1.0))
    with pytest.raises(TimeoutError):
        await wait_for(waited, limit)
    assert waited.cancelled()
    assert asyncio.get_running_loop().time() - began == pytest.approx(max(0.0, limit))


@on_virtual_time()
async def test_what_is_there_already_is_given_without_any_time() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result("there")
    assert await wait_for(done, 0) == "there"


@things
@on_virtual_time()
async def test_whoever_waits_can_be_cancelled_and_then_so_is_what_they_wait_for(thing: Thing) -> None:
    waited = asyncio.ensure_future(thing(1.0))
    waiting = asyncio.ensure_future(wait_for(waited, 5.0))
    await asyncio.sleep(0.5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waited.cancelled()


@on_virtual_time()
async def test_what_goes_wrong_is_told() -> None:
    async def breaks() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await wait_for(breaks(), 1.0)


@on_virtual_time()
async def test_a_call_waits_without_a_task_for_it() -> None:
    stack, _ = profile_stack(profile.load(PROFILE), script(0))
    assemble(BASIC_CASCADE, stack, MemoryTransport(lambda pcm, at: None), clients=False)
    before = asyncio.all_tasks()

    async def looks() -> set[asyncio.Task[object]]:
        return asyncio.all_tasks()

    assert await asyncio.wait_for(looks(), 1.0) == before
    assert asyncio.wait_for.__module__ == ("processors.waiting" if sys.version_info < (3, 12) else "asyncio.tasks")
