"""llama.cpp's server beside this process: an OpenAI-compatible endpoint on a free loopback port.

A process of its own, because loading a model into this one would hold the interpreter's lock, and so the event loop,
for seconds; and because a server that dies takes nothing with it and can be started again.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil
from loguru import logger

from processors.embedded.weights import cache_folder

CONTEXT_TOKENS = 6144
SLOTS = 2
"""Conversations whose prompts stay cached side by side."""

PROMPTS_KEPT = 8
"""Personas' prompts, of some megabytes each, that are kept on the disk as the model has read them."""

POLL_SECS = 0.1


class LlamaError(RuntimeError):
    """The server could not be started. One line."""

    mendable = True


class LlamaServer:
    """Serves one model. Blocks until it is ready.

    Args:
        model: A GGUF file. It is read into memory.
        progress: Told bytes read and bytes in all while the model is loaded.
        threads: For prompts and tokens; two suit two cores.

    Raises:
        LlamaError: If the server does not start.
    """

    def __init__(
        self, model: Path, progress: Callable[[int, int], None] = lambda done, of: None, *, threads: int = 2
    ) -> None:
        self._model = model
        self._threads = threads
        self._lock = threading.Lock()
        self._slots = itertools.cycle(range(SLOTS))
        self._prompts = _prompt_folder(model)
        self.api_key = secrets.token_urlsafe(24)
        self._process, self.url = self._start(0, progress)
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server is running."""
        return self._process.poll() is None

    def next_slot(self) -> int:
        """The slot for a new conversation: the one whose turn it is."""
        return next(self._slots)

    def revive(self) -> None:
        """Start the server again, at the same address, if it has died. Blocks; for threads.

        Raises:
            LlamaError: If it does not start.
        """
        with self._lock:
            if not self.alive:
                logger.warning(
                    f"the language model's server died (status {self._process.returncode}): starting it again"
                )
                self.close()
                self._process, self.url = self._start(int(self.url.rsplit(":", 1)[1].split("/")[0]))

    def close(self) -> None:
        """Stop the server."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _start(
        self, port: int, progress: Callable[[int, int], None] = lambda done, of: None
    ) -> tuple[subprocess.Popen[str], str]:
        arguments = [str(self._model), str(port), str(self._threads), str(CONTEXT_TOKENS), str(SLOTS)]
        arguments.append(str(self._prompts))
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "processors.embedded.llama_worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Large pages for the weights, which are read whole for every token.
            env={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ, "ANTIPHON_LLAMA_KEY": self.api_key},
            # Ctrl-C in the terminal goes to this process, which then closes the pipe.
            start_new_session=True,
        )
        watching = threading.Thread(target=self._watch, args=(process, progress), daemon=True)
        watching.start()
        assert process.stdout is not None  # noqa: S101
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            raise LlamaError(
                f"language model: its server ended with status {status} while loading {self._model.name}: "
                f"check the memory that is free with antiphon doctor"
            )
        ready = json.loads(line)
        watching.join()
        return process, ready["url"]

    def _watch(self, process: subprocess.Popen[str], progress: Callable[[int, int], None]) -> None:
        """Report the memory that the loading model fills."""
        size = self._model.stat().st_size
        stop = threading.Event()
        with contextlib.suppress(psutil.Error):
            loading = psutil.Process(process.pid)
            while loading.is_running() and loading.status() != psutil.STATUS_ZOMBIE:
                filled = loading.memory_info().rss
                progress(min(filled, size), size)
                if filled >= size or stop.wait(POLL_SECS):
                    return


def _prompt_folder(model: Path) -> Path:
    """Where the server keeps prompts as this model has read them, with the oldest removed."""
    release = version("xllamacpp")
    folder = cache_folder() / "prompts" / f"{model.stem}-{model.stat().st_size}-{release}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-PROMPTS_KEPT]:
        old.unlink(missing_ok=True)
    return folder
