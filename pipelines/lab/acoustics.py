"""Where speech ends and where sound begins, from the samples alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_SECS = 0.01
AUDIBLE_DBFS = -50.0
"""A sample counts as audible above this level."""

FLOOR_MARGIN_DB = 12.0
PEAK_RANGE_DB = 35.0


def levels(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """RMS level in dBFS of each whole 10 ms.

    Args:
        samples: Mono in [-1, 1].
        rate: Hz.
    """
    window = round(rate * WINDOW_SECS)
    whole = samples[: len(samples) // window * window].astype(np.float64).reshape(-1, window)
    level: NDArray[np.float64] = 10 * np.log10(np.square(whole).mean(axis=1) + 1e-12)
    return level


def speech_end(samples: NDArray[np.float32], rate: int) -> float:
    """Seconds from the beginning to the acoustic end of speech.

    That is the end of the last 10 ms louder than 12 dB above the noise floor (the tenth percentile of levels) and no
    more than 35 dB under the loudest. Silence has its end at 0.
    """
    level = levels(samples, rate)
    if not len(level) or level.max() < AUDIBLE_DBFS:
        return 0.0
    floor = float(np.percentile(level, 10))
    threshold = max(level.max() - PEAK_RANGE_DB, min(floor + FLOOR_MARGIN_DB, level.max() - 10))
    return (int(np.flatnonzero(level > threshold)[-1]) + 1) * WINDOW_SECS


def first_audible(samples: NDArray[np.float32]) -> int | None:
    """Index of the first sample above -50 dBFS, or None."""
    loud = np.flatnonzero(np.abs(samples) > 10 ** (AUDIBLE_DBFS / 20))
    return int(loud[0]) if len(loud) else None
