"""The thread that writes a trace, so that the event loop does not."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import SimpleQueue

from loguru import logger

from pipelines.lab.trace.files import Files
from pipelines.lab.trace.hold import Hold
from pipelines.lab.trace.meta import describe
from pipelines.lab.trace.recorder import Heard, Outlet, Plain, Played, Recorder, Seen
from pipelines.lab.trace.redact import Redactor
from pipelines.stacks import Session


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
        self._queue: SimpleQueue[Heard | Played | Seen | tuple[Session | None, float] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"trace {folder.name}", daemon=True)
        self._thread.start()

    def begin(self, session: Session | None, begun: float) -> None:
        """Have `meta.json` written.

        Args:
            session: Whose conversation it is, if `assemble` built it.
            begun: Seconds since the epoch.
        """
        self._queue.put((session, begun))

    def put(self, item: Heard | Played | Seen) -> None:
        """Have something recorded. Returns at once."""
        self._queue.put(item)

    def close(self) -> None:
        """Wait until everything is written. Blocks; may be called again."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            files = Files(self._folder)
            try:
                self._write(files)
            finally:
                files.close()
        except Exception as error:
            logger.error(f"trace: {self._folder} cannot be written ({error!r}): this conversation has no more of it")

    def _write(self, files: Files) -> None:
        outlet: Outlet = Plain(files) if self._redactor is None else Hold(files, self._redactor)
        recorder = Recorder(outlet)
        while True:
            item = self._queue.get()
            if item is None:
                recorder.end()
                return
            if isinstance(item, tuple):
                files.describe(describe(*item, redacted=self._redactor is not None))
            else:
                recorder.take(item)
