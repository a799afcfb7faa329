"""Spreads work over the processes of this machine, or over Ray's. What comes out is the same whatever spreads it."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import multiprocessing
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Goes = Callable[[], bool]
"""Says whether work is to go on."""

Work = Callable[[Task, Goes], Result | None]
"""Does one task; None if it was to stop before its end. It and what it takes and gives are pickled."""

LOCAL = "local"
"""In place of an address: a Ray of its own, on this machine."""

QUIET = {"LOGURU_AUTOINIT": "0"}
"""In a worker's environment: nobody asked for Pipecat's debug log of thousands of calls."""

RAY_ALONE = {
    **QUIET,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # Read on every system: without clusters, Ray takes the loopback address for its own and listens nowhere else.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

_stopping: Event | None = None


class SpreadError(RuntimeError):
    """Work that cannot be spread, or was lost. One line."""

    mendable = True


def over_processes(work: Work[Task, Result], tasks: Sequence[Task], processes: int) -> Generator[Result, None, None]:
    """Do tasks in processes of this machine, in whatever order they are done.

    Ctrl-C reaches this process alone: it lets the others end, gives what they have done, and goes on as
    `KeyboardInterrupt`.

    Args:
        work: What to do with each.
        tasks: What to do it with.
        processes: How many at a time.

    Raises:
        SpreadError: If a process dies.
    """
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    pool = ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context, initializer=_begin, initargs=(stopping,))
    try:
        # Processes that are begun here know of no ctrl-C, not even while they still import.
        with _on_ctrl_c(signal.SIG_IGN), _environment(QUIET):
            futures: list[Future[Result | None]] = [pool.submit(_do, work, task) for task in tasks]
        with _noted(stopping.set) as interrupted:
            left = set(futures)
            while left and not interrupted():
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from _there(future.result())
            if interrupted():
                pool.shutdown(cancel_futures=True)
                for future in left:
                    if not future.cancelled():
                        yield from _there(future.result())
                raise KeyboardInterrupt
    except BrokenProcessPool:
        raise SpreadError(
            f"one of {processes} processes died before its calls were held (was it killed, or is there too little "
            "memory?): try again, or with fewer --processes"
        ) from None
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)


def _begin(stopping: Event) -> None:
    global _stopping
    _stopping = stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(work: Work[Task, Result], task: Task) -> Result | None:
    result = work(task, _goes_on)
    _settle()
    return result


@functools.cache
def _settle() -> None:
    """By now all is imported: what is there stays, and need not be looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


def _goes_on() -> bool:
    return _stopping is None or not _stopping.is_set()


def _there(result: Result | None) -> Iterator[Result]:
    if result is not None:
        yield result


@contextmanager
def _on_ctrl_c(handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Within this block ctrl-C does something else; in other threads than the main one it does nothing anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _noted(stop: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Within this block ctrl-C interrupts nothing, so that no result is lost on its way: it calls `stop`, and what is
    given here says that it came."""
    came = threading.Event()

    def note(*_: object) -> None:
        came.set()
        stop()

    with _on_ctrl_c(note):
        yield came.is_set


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables for what is begun within this block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def over_ray(
    work: Work[Task, Result], tasks: Sequence[Task], address: str, processes: int
) -> Generator[Result, None, None]:
    """Do tasks on Ray, in whatever order they are done.

    Args:
        work: What to do with each. A cluster's machines need Antiphon too.
        tasks: What to do it with.
        address: Of a cluster, as `ray.init` takes it; or `LOCAL` for one of its own, which listens on the loopback
            interface alone, reports nothing to anybody and is gone afterwards.
        processes: How many at a time on a Ray of its own; a cluster decides for itself.

    Raises:
        SpreadError: If Ray is not installed, cannot be begun or reached, or loses work.
    """
    if importlib.util.find_spec("ray") is None:
        raise SpreadError("Ray is not installed: pip install 'antiphon[sweep]', or leave --ray out")
    with _ray(address, processes) as ray:
        do = ray.remote(num_cpus=1, runtime_env=None if address == LOCAL else {"env_vars": QUIET})(_do)
        waiting = [do.remote(work, task) for task in tasks]
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                for each in done:
                    yield from _there(ray.get(each))
        except KeyboardInterrupt:
            for each in waiting:
                ray.cancel(each, force=True)
            raise
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise SpreadError(f"Ray lost the calls of a worker: {said[-1]}") from None


@contextmanager
def _ray(address: str, processes: int) -> Iterator[Any]:
    """Ray, begun or joined; left again at the end."""
    alone = address == LOCAL
    with contextlib.ExitStack() as stack:
        if alone:
            stack.enter_context(_environment({**RAY_ALONE, "RAY_AUTH_TOKEN": secrets.token_hex(32)}))
            folder = tempfile.mkdtemp(prefix="ray")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            how: dict[str, Any] = {"num_cpus": processes, "include_dashboard": False, "_temp_dir": folder}
        else:
            how = {"address": address}
        import ray

        stack.callback(ray.shutdown)
        try:
            ray.init(**how, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            where = "a Ray of its own could not be begun" if alone else f"no Ray at {address} could be joined"
            raise SpreadError(f"{where}: {said[0]}") from None
        yield ray
