"""Virtual time: the clock jumps, work for threads costs what it is said to, and nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lab import virtual

CLOCKS = ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")


class Model:
    def predict(self, value: int) -> int:
        return 2 * value


def test_an_hour_of_sleep_is_over_at_once_and_every_clock_agrees() -> None:
    async def main() -> list[float]:
        before = [getattr(time, clock)() for clock in CLOCKS] + [asyncio.get_running_loop().time()]
        await asyncio.sleep(3600)
        after = [getattr(time, clock)() for clock in CLOCKS] + [asyncio.get_running_loop().time()]
        return [b - a for a, b in zip(before, after, strict=True)]

    passed = virtual.run(main())
    assert passed == pytest.approx([3600, 3600, 3600, 3600e9, 3600e9, 3600e9, 3600])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_timers_come_in_the_order_of_their_times_and_not_early(milliseconds: list[int]) -> None:
    delays = [each / 1000 for each in milliseconds]

    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        begun, met = loop.time(), []

        async def wait(delay: float) -> None:
            await asyncio.sleep(delay)
            met.append((delay, loop.time() - begun))

        await asyncio.gather(*map(wait, delays))
        return met

    met = virtual.run(main())
    assert [delay for delay, _ in met] == sorted(delays)
    assert all(passed == pytest.approx(delay, abs=1e-6) for delay, passed in met)


def test_work_for_a_thread_is_done_in_the_loop_and_costs_what_it_is_said_to() -> None:
    async def main() -> tuple[int, float, bool]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        twice = await asyncio.to_thread(Model().predict, 21)
        here = await asyncio.to_thread(threading.get_ident) == threading.get_ident()
        return twice, loop.time() - begun, here

    twice, passed, here = virtual.run(main(), costs={"Model.predict": 0.25})
    assert (twice, here) == (42, True)
    assert passed == pytest.approx(0.25)


def test_an_error_in_a_thread_comes_when_its_work_is_over() -> None:
    def fails() -> None:
        raise OSError("no disk")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(OSError, match="no disk"):
            await asyncio.to_thread(fails)
        return loop.time() - begun

    assert virtual.run(main(), costs={"fails": 1.5}) == pytest.approx(1.5)


def test_a_timeout_interrupts_slow_work() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.to_thread(Model().predict, 1)
        return loop.time() - begun

    assert virtual.run(main(), costs={"Model.predict": 5}) == pytest.approx(0.1)


def test_waiting_for_what_cannot_happen_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual.VirtualTimeError, match="nothing is left that could happen"):
        virtual.run(main())


def test_what_has_arrived_is_read_before_the_clock_jumps() -> None:
    here, there = socket.socketpair()

    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        read: asyncio.Future[tuple[bytes, float]] = loop.create_future()
        loop.add_reader(here, lambda: read.set_result((here.recv(1), loop.time() - begun)))
        there.send(b"!")
        await asyncio.sleep(3600)
        loop.remove_reader(here)
        return await read

    with here, there:
        assert virtual.run(main()) == (b"!", 0.0)


def test_a_thread_is_heard_by_a_loop_that_is_never_idle() -> None:
    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set))
        thread.start()
        while not done.is_set():  # noqa: ASYNC110  (never idle)
            await asyncio.sleep(0)
        thread.join()

    virtual.run(main())


def test_nothing_leaks() -> None:
    clocks = {name: getattr(time, name) for name in CLOCKS}

    async def main() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(1e6))
        raise ValueError("enough")

    for _ in range(3):
        with pytest.raises(ValueError, match="enough"):
            virtual.run(main())
    assert {name: getattr(time, name) for name in CLOCKS} == clocks
    assert not virtual.running()
    assert [thread.name for thread in threading.enumerate() if "virtual" in thread.name] == []


async def test_it_runs_where_a_loop_runs_already() -> None:
    loop = asyncio.get_running_loop()
    real = loop.time()

    async def main() -> bool:
        await asyncio.sleep(1000)
        return virtual.running()

    assert virtual.run(main())
    assert not virtual.running()
    assert loop.time() - real < 100


def test_other_threads_keep_the_real_time() -> None:
    seen: list[float] = []

    async def main() -> float:
        await asyncio.sleep(1e6)
        thread = threading.Thread(target=lambda: seen.append(time.monotonic()))
        thread.start()
        thread.join()
        return time.monotonic()

    before = time.monotonic()
    inside = virtual.run(main())
    assert before <= seen[0] <= time.monotonic()
    assert inside == pytest.approx(virtual.BEGIN + 1e6)


def test_one_run_at_a_time() -> None:
    async def inner() -> None: ...

    async def main() -> None:
        with pytest.raises(virtual.VirtualTimeError, match="another run"):
            virtual.run(inner())

    virtual.run(main())
