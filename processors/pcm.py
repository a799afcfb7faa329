"""16-bit mono PCM to samples and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, in [-1, 1]."""


def to_samples(pcm: bytes | bytearray) -> Samples:
    """Samples of 16-bit little-endian PCM."""
    return np.frombuffer(bytes(pcm), "<i2").astype(np.float32) / np.float32(32768)


def to_pcm(samples: Samples) -> bytes:
    """16-bit little-endian PCM of samples; what exceeds [-1, 1] is clipped."""
    return (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
