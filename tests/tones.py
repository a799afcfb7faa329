"""Tones for speech, and which of them are heard."""

from __future__ import annotations

import numpy as np

from processors.pcm import Samples

RATE = 24000
WINDOW_SECS = 0.1
PURE = 0.8
"""The share of a window's energy that is the tone's."""


def tone(hertz: float, seconds: float, rate: int = RATE) -> Samples:
    """A tone at a tenth of the scale; at 0 Hz, silence."""
    turns = hertz * np.arange(round(seconds * rate)) / rate
    return (0.1 * np.sin(2 * np.pi * turns)).astype(np.float32)


def windows(samples: Samples, rate: int = RATE) -> list[int]:
    """For each 50 ms, the tone that is heard for 100 ms from there, in Hz to the nearest ten; 0 for any other sound, or
    none."""
    size = round(WINDOW_SECS * rate)
    found = []
    for at in range(0, len(samples) - size + 1, size // 2):
        window = samples[at : at + size]
        energy = np.abs(np.fft.rfft(window * np.hanning(size))) ** 2
        peak = int(energy.argmax())
        pure = energy[max(0, peak - 2) : peak + 3].sum() > PURE * energy.sum()
        found.append(round(peak * rate / size, -1) if pure and np.abs(window).max() > 0.01 else 0)
    return [int(hertz) for hertz in found]


def tones(samples: Samples, rate: int = RATE) -> list[int]:
    """Those that are heard, in Hz, one after the other."""
    found = [hertz for hertz in windows(samples, rate) if hertz]
    return [hertz for number, hertz in enumerate(found) if number == 0 or found[number - 1] != hertz]
