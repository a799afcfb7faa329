"""Keeps a conversation within a size without changing the beginning of the prompt at every turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def size(message: Any) -> int:
    """Characters of a message as it goes over the wire."""
    return len(json.dumps(message, default=str, ensure_ascii=False))


def bounded(messages: Sequence[Any], limit: int) -> list[Any]:
    """The system prompt and the latest of the other messages, within about `limit` characters.

    The oldest are left out in steps of half the limit, so that the beginning, and with it the server's cache, stays
    the same for many turns. The first message kept is always the user's, so that no tool result or answer stands
    without what it belongs to.

    Args:
        messages: OpenAI messages; those with role system at the start are always kept.
        limit: Characters.
    """
    head = 0
    while head < len(messages) and messages[head].get("role") in ("system", "developer"):
        head += 1
    rest = list(messages[head:])
    room = limit - sum(map(size, messages[:head]))
    total = sum(map(size, rest))
    if total <= room:
        return list(messages)
    step = max(1, room // 2)
    drop = -(-(total - room) // step) * step
    gone = 0
    while rest and (gone < drop or rest[0].get("role") != "user"):
        if len(rest) == 1 or not any(m.get("role") == "user" for m in rest[1:]):
            break
        gone += size(rest.pop(0))
    return [*messages[:head], *rest]
