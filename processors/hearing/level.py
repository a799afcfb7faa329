"""How loud speech is, where it begins and ends, and the same speech at a standard level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processors.hearing.cues import RATE
from processors.pcm import Samples

STANDARD = -23.0
"""Active level that speech is brought to before it is looked at, dBFS."""

SILENCE = -100.0
"""What a level of nothing is given as, dBFS."""

_HOP = RATE // 100
_FAINT = -70.0
_DEPTH = 20.0
_MARGIN = 5
_LIMIT = 20.0


@dataclass(frozen=True)
class Speech:
    """What is spoken in a stretch of audio.

    Args:
        samples: Mono at 16 kHz from just before the first active frame to just after the last, at the standard level.
        level: Active level before that, dBFS (full scale: a square wave of 1).
    """

    samples: Samples
    level: float


def spoken(samples: Samples) -> Speech | None:
    """The speech in a stretch of audio without the silence around it; None where there is nothing to hear.

    A frame of 10 ms is active within 20 dB of the loud ones (their 95th percentile), so that gain makes no difference:
    a short form of the active level of ITU-T P.56.
    """
    frames = len(samples) // _HOP
    if frames == 0:
        return None
    power = np.square(samples[: frames * _HOP], dtype=np.float64).reshape(frames, _HOP).mean(axis=1)
    loud = float(np.percentile(power, 95))
    if loud < 10 ** (_FAINT / 10):
        return None
    active = np.flatnonzero(power >= loud * 10 ** (-_DEPTH / 10))
    level = 10 * float(np.log10(power[active].mean()))
    first, last = max(0, int(active[0]) - _MARGIN), min(frames, int(active[-1]) + 1 + _MARGIN)
    gain = 10 ** ((STANDARD - level) / 20)
    scaled = np.clip(samples[first * _HOP : last * _HOP] * gain, -_LIMIT, _LIMIT)
    return Speech(scaled.astype(np.float32), level)
