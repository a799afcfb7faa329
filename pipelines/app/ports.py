"""Who holds a port of this machine."""

from __future__ import annotations

import psutil


def holder(port: int) -> str | None:
    """The process that listens on a TCP port, by name and id, as far as this user may know."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return None
