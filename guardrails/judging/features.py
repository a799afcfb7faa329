"""Words and pieces of words of a text, hashed into a fixed number of places."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PLACES = 1 << 16
"""Of each of the two blocks: runs of one to three words, and of two to five letters within a word."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> Counter[int]:
    """How often each run of one to three words or marks occurs, by place."""
    found = _TOKEN.findall(text.lower())
    return _places(" ".join(found[at : at + n]) for n in (1, 2, 3) for at in range(len(found) - n + 1))


def letters(text: str) -> Counter[int]:
    """How often each run of two to five letters within a word occurs, by place. Where words begin and end counts."""
    return _places(
        padded[at : at + n]
        for word in text.lower().split()
        for padded in (f" {word} ",)
        for n in (2, 3, 4, 5)
        for at in range(len(padded) - n + 1)
    )


def _places(grams: Iterator[str]) -> Counter[int]:
    return Counter(zlib.crc32(gram.encode("utf-8", "surrogatepass")) % PLACES for gram in grams)


def weighted(counts: Counter[int], rarity: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Places and their values: 1 + log of the count, times the rarity; as a whole of length 1.

    Places whose rarity is 0 are left out.
    """
    places, times = (np.fromiter(part, dtype=np.int32, count=len(counts)) for part in (counts, counts.values()))
    order = np.argsort(places)
    places = places[order]
    values = (1 + np.log(times[order])).astype(np.float32) * rarity[places]
    kept = values > 0
    places, values = places[kept], values[kept]
    return places, (values / max(float(np.linalg.norm(values)), 1e-9)).astype(np.float32)


def rarity(documents: list[Counter[int]], least: int = 2) -> NDArray[np.float32]:
    """The smoothed inverse document frequency of every place, shape (PLACES,); 0 in fewer than `least` documents."""
    seen = np.zeros(PLACES, dtype=np.int64)
    for counts in documents:
        seen[list(counts)] += 1
    found: NDArray[np.float32] = (np.log((1 + len(documents)) / (1 + seen)) + 1).astype(np.float32)
    found[seen < least] = 0
    return found
