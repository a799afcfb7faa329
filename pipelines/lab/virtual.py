"""Virtual time: an event loop whose clock jumps to the next timer, so that a half-hour call takes seconds.

Nothing in Pipecat is changed. While `run` is at work, `time.time()`, `time.monotonic()` and `time.perf_counter()` (and
their `_ns` forms) follow the loop's clock in the loop's own thread; every other thread keeps the real ones.

Two ways to deal with models: their work is done in the loop's thread and costs what a profile says, which gives the
same result each time; or, with `measured=True`, waiting is free and work takes the time that it takes.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

BEGIN = 1_000_000.0
"""What the loop's clock and the monotonic ones say when a run begins, in seconds."""

BEGIN_WALL = 1_767_225_600.0
"""What `time.time()` says then: 2026-01-01 00:00 UTC."""

_REAL = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")}
_REAL |= {f"{name}_ns": getattr(time, f"{name}_ns") for name in tuple(_REAL)}
_PATCHING = threading.Lock()


class VirtualTimeError(RuntimeError):
    """A run that cannot go on or must not begin. One line."""


class _Selector(selectors.DefaultSelector):
    """Never waits: reports what is ready, or has the clock jump."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        at_work = self.loop.at_work
        if timeout == 0 and not at_work:
            # Something is left to do in the loop itself. Asking the kernel before each such turn is dear.
            return []
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if at_work:
            begun = _REAL["monotonic"]()
            ready = super().select(timeout if self.loop.measured else None)
            if self.loop.measured:
                self.loop.advance(_REAL["monotonic"]() - begun)
            return ready
        if timeout is None:
            raise VirtualTimeError(
                "nothing is left that could happen: every task waits for another, or for a thread or socket that "
                "virtual time knows nothing of"
            )
        self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. Use `run`.

    Work for executors is done at once, in the loop's own thread, and takes the virtual time that `costs` says; or in
    threads as usual, and the clock goes on in real time meanwhile.

    Args:
        costs: Seconds by the last part of the qualified name of what is run in an executor, as
            `{"SmartTurn.probability": 0.05}`; what is not named costs nothing.
        measured: Whether work takes the time that it takes.
    """

    def __init__(self, costs: Mapping[str, float] | None = None, *, measured: bool = False) -> None:
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self.measured = measured
        self._costs = dict(costs or {})
        self._elapsed = 0.0
        self._outside = 0

    @property
    def at_work(self) -> bool:
        """Whether something goes on outside of the loop that has to be waited for in real time."""
        return self._outside > 0

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Work of another thread or process goes on within this block: no jumps."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the run began."""
        return self._elapsed

    def time(self) -> float:
        return BEGIN + self._elapsed

    def advance(self, seconds: float) -> None:
        """Let the clock jump."""
        self._elapsed += max(0.0, seconds)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        if self.measured:
            return self._in_thread(super().run_in_executor(executor, func, *args))
        future: asyncio.Future[Any] = self.create_future()
        try:
            outcome = functools.partial(_settle, future, func(*args), None)
        except Exception as error:
            outcome = functools.partial(_settle, future, None, error)
        self.call_later(self._cost(func), outcome)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        with self.outside():
            await super().shutdown_default_executor(*args, **kwargs)

    def _in_thread(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        working = self.outside()
        working.__enter__()
        future.add_done_callback(lambda _: working.__exit__(None, None, None))
        return future

    def _cost(self, func: Callable[..., Any]) -> float:
        name = _name(func)
        return next((cost for known, cost in self._costs.items() if f".{name}".endswith(f".{known}")), 0.0)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _name(func: Callable[..., Any]) -> str:
    """The qualified name of what is really run: `asyncio.to_thread` wraps it in a partial of `Context.run`."""
    while isinstance(func, functools.partial):
        inner = [func.func, *func.args]
        func = inner[1] if getattr(inner[0], "__name__", "") == "run" and len(inner) > 1 else inner[0]
    return str(getattr(func, "__qualname__", type(func).__qualname__))


def running() -> bool:
    """Whether this code runs on virtual time."""
    try:
        return isinstance(asyncio.get_running_loop(), VirtualLoop)
    except RuntimeError:
        return False


def run(
    main: Coroutine[Any, Any, Result], *, costs: Mapping[str, float] | None = None, measured: bool = False
) -> Result:
    """Run a coroutine to its end on virtual time, as `asyncio.run` does on real time.

    Where an event loop runs already, as in a notebook, the run has a thread of its own and the caller waits for it.
    Afterwards all tasks are cancelled, the loop is closed and the real clocks are back.

    Args:
        main: What to run.
        costs: As for `VirtualLoop`.
        measured: As for `VirtualLoop`.

    Raises:
        VirtualTimeError: If another run is at work in this process, or nothing is left that could happen.
    """
    return wherever(lambda: _run(main, costs, measured))


def wherever(run: Callable[[], Result]) -> Result:
    """Call what runs an event loop of its own: in a thread of its own where one runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(run())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="virtual-time")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _run(main: Coroutine[Any, Any, Result], costs: Mapping[str, float] | None, measured: bool) -> Result:
    if not _PATCHING.acquire(blocking=False):
        main.close()
        raise VirtualTimeError("another run is on virtual time in this process: wait for its end")
    try:
        loop = VirtualLoop(costs, measured=measured)
        with _clocks(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main)
    finally:
        _PATCHING.release()


@contextmanager
def _clocks(loop: VirtualLoop) -> Iterator[None]:
    """The clocks of the `time` module follow the loop in this thread."""
    here, owner = threading.get_ident, threading.get_ident()
    starts = {"time": BEGIN_WALL, "monotonic": BEGIN, "perf_counter": BEGIN}

    def follow(name: str) -> Callable[[], float]:
        real, start = _REAL[name], starts[name.removesuffix("_ns")]
        if name.endswith("_ns"):
            return lambda: round((start + loop._elapsed) * 1e9) if here() == owner else real()
        return lambda: start + loop._elapsed if here() == owner else real()

    try:
        for name in _REAL:
            setattr(time, name, follow(name))
        yield
    finally:
        for name, real in _REAL.items():
            setattr(time, name, real)
