"""The thread that writes a trace, so that the event loop does not."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from loguru import logger

from pipelines.lab.trace.files import Files
from pipelines.lab.trace.hold import Hold
from pipelines.lab.trace.meta import describe
from pipelines.lab.trace.recorder import Heard, Outlet, Plain, Played, Recorder, Seen
from pipelines.lab.trace.redact import Redactor
from pipelines.stacks import Session

PAUSE_SECS = 0.05
"""The thread looks this often for something to write. To wake it for each frame would cost the event loop more than
everything else: on few cores the one who wakes another is made to wait for it."""


class Writer:
    """Writes what it is given, in order, in a thread of its own.

    A trace that cannot be written is given up with one line in the log; the conversation goes on.

    Args:
        folder: The conversation's folder.
        redactor: Takes personal data out of a text; None to leave it in.
    """

    def __init__(self, folder: Path, redactor: Redactor | None) -> None:
        self._folder = folder
        self._redactor = redactor
        self._items: deque[Heard | Played | Seen | tuple[Session | None, float]] = deque()
        self._closing = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name=f"trace {folder.name}", daemon=True)
        self._thread.start()

    def begin(self, session: Session | None, begun: float) -> None:
        """Have `meta.json` written.

        Args:
            session: Whose conversation it is, if `assemble` built it.
            begun: Seconds since the epoch.
        """
        self._items.append((session, begun))

    def put(self, item: Heard | Played | Seen) -> None:
        """Have something recorded. Returns at once."""
        if not self._failed:
            self._items.append(item)

    def close(self) -> None:
        """Wait until everything is written. Blocks; may be called again."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            files = Files(self._folder)
            try:
                self._write(files)
            finally:
                files.close()
        except Exception as error:
            self._failed = True
            logger.error(f"trace: {self._folder} cannot be written ({error!r}): this conversation has no more of it")

    def _write(self, files: Files) -> None:
        outlet: Outlet = Plain(files) if self._redactor is None else Hold(files, self._redactor)
        recorder = Recorder(outlet)
        closing = False
        while not closing:
            closing = self._closing.wait(PAUSE_SECS)
            while self._items:
                item = self._items.popleft()
                if isinstance(item, tuple):
                    files.describe(describe(*item, redacted=self._redactor is not None))
                else:
                    recorder.take(item)
        recorder.end()
