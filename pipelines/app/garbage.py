"""Python's collector of garbage, which stops every call of a process while it goes through what they hold."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 2000
"""New objects after which the youngest are gone through; Python's own 700 has it go through all of them, which takes a
quarter of a second with a hundred calls, every half a minute."""


@contextmanager
def seldom() -> Iterator[None]:
    """Within this block what is there at its beginning, as models and libraries, is passed over, and the rest is gone
    through less often."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
