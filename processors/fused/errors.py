"""What can be wrong with what a server sends."""

from __future__ import annotations


class WireError(ValueError):
    """Something that does not belong on the wire. The message names it and is one line."""
