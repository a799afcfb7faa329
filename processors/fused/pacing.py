"""Two queues that must not grow without bound: what waits to be sent, and what has been passed on to be played."""

from __future__ import annotations

import asyncio
from collections import deque


class Backlog:
    """PCM that waits to be sent. When there is too much of it the oldest is given up: to hear late is worse than to
    miss something.

    Args:
        limit: The most that waits, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """How many bytes wait."""
        return self._size

    def put(self, pcm: bytes) -> int:
        """Add to the end.

        Returns:
            How many bytes were given up for it.
        """
        self._chunks.append(pcm)
        self._size += len(pcm)
        lost = 0
        while self._size > self._limit:
            oldest = self._chunks.popleft()
            self._size -= len(oldest)
            lost += len(oldest)
        if self._chunks:
            self._news.set()
        return lost

    async def get(self) -> bytes:
        """Take from the front, once there is something."""
        while not self._chunks:
            self._news.clear()
            await self._news.wait()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        return chunk


class Lead:
    """How far sound that was passed on is ahead of what has been played of it.

    A model that speaks all the time sends its silences too. What comes late, after a line stood still, is then played
    late, and so is all that follows for the rest of the call, unless a silence is left out.
    """

    def __init__(self) -> None:
        self._played_at = 0.0

    def secs(self, now: float) -> float:
        """How long what has been passed on will yet be playing, in seconds."""
        return max(0.0, self._played_at - now)

    def add(self, secs: float, now: float) -> None:
        """So much sound was passed on."""
        self._played_at = max(self._played_at, now) + secs
