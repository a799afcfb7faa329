"""The `antiphon` command, also as `python -m antiphon`.

It stands beside the packages, because importing any of theirs takes a while in which ctrl-C has to be answered.
"""

from __future__ import annotations

import os


def main() -> None:
    """Entry point of the console script.

    Ctrl-C ends the process on the spot with status 130, except where a command has something to end in order:
    `KeyboardInterrupt` in the middle of an import would be printed, or be taken for another error, or be lost.
    """
    try:
        import signal

        # A shell has what it starts in the background ignore ctrl-C.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        _leave()
    from pipelines.app.cli import app

    app()


def _leave(*_: object) -> None:
    os._exit(130)


if __name__ == "__main__":
    main()
