"""Melody, energy, voice quality and rhythm of speech in about a hundred numbers, none of which depends on the gain."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.signal import find_peaks

from processors.hearing.cues import RATE
from processors.pcm import Samples

Floats = NDArray[np.float32]

HOP = RATE // 100
"""Samples from frame to frame."""

FRAME = 512
"""Samples of a frame."""

LOWEST, HIGHEST = 60.0, 500.0
"""Pitch that is looked for, Hz."""

SIZE = 108
"""Numbers for a stretch of speech."""

_PITCH_FRAME = 640
_FFT = 1024
_BANDS = 24
_VOICED = 0.45
_OCTAVE = 0.02
_DIP = 2.5
_LEVELS = (5, 20, 50, 80, 95)


@dataclass(frozen=True)
class Contours:
    """Speech by frames of 10 ms.

    Args:
        pitch: Hz; NaN where there is no voice.
        strength: How periodic it is, 0 to 1.
        energy: dB; 0 is the level of a full-scale square wave.
        bands: Of shape (frames, 24), dB, mel-spaced from 50 Hz to 7.6 kHz.
        power: Of shape (frames, 257), the power spectrum.
    """

    pitch: Floats
    strength: Floats
    energy: Floats
    bands: Floats
    power: Floats

    @property
    def active(self) -> NDArray[np.bool_]:
        """Frames within 25 dB of the loud ones."""
        return np.asarray(self.energy > np.percentile(self.energy, 95) - 25)

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """Frames with a pitch."""
        return np.isfinite(self.pitch)


def contours(samples: Samples) -> Contours:
    """Pitch, energy and spectrum of speech over time.

    Args:
        samples: Mono at 16 kHz; less than 60 ms is filled up with silence.
    """
    if len(samples) < _PITCH_FRAME + 2 * HOP:
        samples = np.pad(samples, (0, _PITCH_FRAME + 2 * HOP - len(samples)))
    count = 1 + (len(samples) - _PITCH_FRAME) // HOP
    long = np.lib.stride_tricks.sliding_window_view(samples, _PITCH_FRAME)[::HOP][:count]
    skip = (_PITCH_FRAME - FRAME) // 2
    spectrum = rfft(long[:, skip : skip + FRAME] * _tables().window, axis=1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32)
    energy = 10 * np.log10(np.square(long[:, skip : skip + FRAME]).mean(axis=1) + 1e-9)
    bands = 10 * np.log10(power @ _tables().mel + 1e-6)
    pitch, strength = _pitch(long, energy)
    return Contours(pitch, strength, energy.astype(np.float32), bands.astype(np.float32), power)


def _pitch(long: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """By autocorrelation, divided by that of the window (Boersma 1993); a five-frame median takes jumps out."""
    tables = _tables()
    centred = (long - long.mean(axis=1, keepdims=True)) * tables.pitch_window
    spectrum = rfft(centred, _FFT, axis=1)
    likeness = irfft(np.square(spectrum.real) + np.square(spectrum.imag), _FFT, axis=1)
    shortest, longest = int(RATE / HIGHEST), int(RATE / LOWEST)
    zero = np.maximum(likeness[:, :1], 1e-9)
    curve = likeness[:, : longest + 2] / zero / tables.lag_window[: longest + 2]
    lags = np.arange(shortest, longest + 1)
    scored = curve[:, shortest : longest + 1] - _OCTAVE * np.log2(lags / shortest, dtype=np.float32)
    best = shortest + scored.argmax(axis=1)
    rows = np.arange(len(curve))
    before, at, after = curve[rows, best - 1], curve[rows, best], curve[rows, best + 1]
    bend = before - 2 * at + after
    shift = np.where(bend < -1e-6, 0.5 * (before - after) / np.where(bend < -1e-6, bend, 1), 0)
    pitch = RATE / (best + np.clip(shift, -0.5, 0.5))
    strength = np.clip(at, 0, 1)
    voiced = (strength > _VOICED) & (energy > np.percentile(energy, 95) - 25)
    # A lone voiced frame is no vowel.
    voiced &= uniform_filter1d(voiced.astype(np.float32), 3) > 0.5
    smooth = median_filter(np.where(voiced, pitch, 0.0), 5)
    steady = voiced & (smooth > 0) & (np.abs(np.log2(np.maximum(pitch, 1) / np.maximum(smooth, 1))) < 0.4)
    return np.where(steady, pitch, np.nan).astype(np.float32), strength.astype(np.float32)


def syllables(heard: Contours) -> NDArray[np.intp]:
    """Frames of the syllables' nuclei: peaks of energy with a dip before, voiced (after de Jong and Wempe 2009)."""
    middle = 10 * np.log10(heard.power[:, _tables().vowels].sum(axis=1) + 1e-6)
    smooth = uniform_filter1d(middle, 5)
    peaks, _ = find_peaks(np.concatenate([[-99.0], smooth, [-99.0]]), prominence=_DIP, distance=8)
    peaks = peaks - 1
    near = uniform_filter1d(heard.voiced.astype(np.float32), 5) > 0.3
    loud = smooth > np.percentile(smooth, 95) - 22
    kept: NDArray[np.intp] = peaks[near[peaks] & loud[peaks]]
    return kept


def rate(nuclei: float, seconds: float) -> float | None:
    """Syllables a second of speech; None with less than half a second or two syllables of it."""
    return None if seconds < 0.5 or nuclei < 2 else nuclei / seconds


def speaking_seconds(heard: Contours) -> float:
    """Seconds of speech without its pauses of 200 ms and more."""
    return float(_speaking(heard).sum()) * HOP / RATE


def _speaking(heard: Contours) -> NDArray[np.bool_]:
    """Frames that are active or in a gap of less than 200 ms."""
    talk = heard.active.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[1], talk.astype(np.int8), [1]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < 20 and start > 0 and end < len(talk):
            talk[start:end] = True
    return talk


def features(heard: Contours) -> Floats:
    """The numbers, of shape (SIZE,); all finite."""
    numbers = [*_melody(heard), *_energy(heard), *_quality(heard), *_rhythm(heard)]
    return np.nan_to_num(np.array(numbers, np.float32), posinf=0.0, neginf=0.0)


def _melody(heard: Contours) -> list[float]:
    voiced = np.flatnonzero(heard.voiced)
    count = len(heard.pitch)
    if len(voiced) < 5:
        return [0.0] * 24
    tone = 12 * np.log2(heard.pitch[voiced] / 100)
    time = voiced * HOP / RATE
    steps = np.diff(tone)[np.diff(voiced) == 1]
    up, down = steps[steps > 0], steps[steps < 0]
    third = max(1, len(tone) // 3)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], heard.voiced.astype(np.int8), [0]]))))[::2]
    return [
        *np.percentile(tone, _LEVELS),
        tone.mean(),
        tone.std(),
        np.percentile(tone, 80) - np.percentile(tone, 20),
        _slope(time, tone),
        *((np.abs(steps).mean(), steps.std()) if len(steps) else (0.0, 0.0)),
        up.mean() if len(up) else 0.0,
        down.mean() if len(down) else 0.0,
        len(up) / max(1, len(steps)),
        tone[-third:].mean() - tone[:third].mean(),
        tone[len(tone) // 2 - third // 2 : len(tone) // 2 + third // 2 + 1].mean() - tone.mean(),
        _skew(tone),
        heard.strength[voiced].mean(),
        heard.strength[voiced].std(),
        float(np.percentile(heard.strength[voiced], 20)),
        len(voiced) / count,
        len(runs) / (count * HOP / RATE),
        runs.mean() * HOP / RATE,
        runs.std() * HOP / RATE,
    ]


def _energy(heard: Contours) -> list[float]:
    level = heard.energy[heard.active]
    if len(level) < 5:
        return [0.0] * 18
    level = level - 10 * np.log10(np.mean(10 ** (level / 10)))
    smooth = uniform_filter1d(heard.energy, 3)
    steps = np.diff(smooth)[heard.active[1:]]
    up, down = steps[steps > 0], steps[steps < 0]
    third = max(1, len(level) // 3)
    envelope = np.sqrt(10 ** (heard.energy / 10))
    swing = np.square(np.abs(np.fft.rfft((envelope - envelope.mean()) / (envelope.mean() + 1e-9), 512)))
    hertz = np.fft.rfftfreq(512, HOP / RATE)
    edges = ((0.5, 2), (2, 4), (4, 8), (8, 16), (16, 32))
    return [
        *np.percentile(level, _LEVELS),
        level.std(),
        _slope(np.arange(len(level)) * HOP / RATE, level),
        np.abs(steps).mean() if len(steps) else 0.0,
        up.mean() if len(up) else 0.0,
        down.mean() if len(down) else 0.0,
        len(up) / max(1, len(steps)),
        level[-third:].mean() - level[:third].mean(),
        _skew(level),
        *(float(np.log(swing[(hertz >= low) & (hertz < high)].mean() / len(envelope) + 1e-6)) for low, high in edges),
    ]


def _quality(heard: Contours) -> list[float]:
    used = heard.active & heard.voiced
    if used.sum() < 5:
        used = heard.active
    power, bands = heard.power[used].astype(np.float64) + 1e-9, heard.bands[used]
    tables = _tables()
    hertz = tables.hertz
    total = power.sum(axis=1)
    alpha = 10 * np.log10(
        power[:, (hertz > 50) & (hertz <= 1000)].sum(1) / power[:, (hertz > 1000) & (hertz < 5000)].sum(1)
    )
    peaks = 10 * np.log10(
        power[:, (hertz > 50) & (hertz <= 2000)].max(1) / power[:, (hertz > 2000) & (hertz < 5000)].max(1)
    )
    centre = (power @ hertz) / total / 1000
    spread = np.sqrt(np.maximum((power @ np.square(hertz / 1000)) / total - np.square(centre), 0))
    low = 10 * np.log10(power[:, (hertz > 50) & (hertz <= 500)].sum(1) / total)
    high = 10 * np.log10(power[:, hertz > 4000].sum(1) / total)
    share = power / total[:, None]
    entropy = -(share * np.log(share)).sum(1)
    shape = bands - bands.mean(axis=1, keepdims=True)
    cepstrum = shape @ tables.cosines
    flux = np.abs(np.diff(shape, axis=0)).mean(axis=1) if len(shape) > 1 else np.zeros(1)
    two = [alpha, peaks, centre, spread, low, high, entropy, flux]
    return [
        *(float(v) for x in two for v in (x.mean(), x.std(), np.percentile(x, 20), np.percentile(x, 80))),
        *cepstrum.mean(axis=0),
        *cepstrum.std(axis=0),
    ]


def _rhythm(heard: Contours) -> list[float]:
    talk = _speaking(heard)
    nuclei = syllables(heard)
    seconds = len(talk) * HOP / RATE
    gaps = np.diff(nuclei) * HOP / RATE
    edges = np.flatnonzero(np.diff(np.concatenate([[1], talk.astype(np.int8), [1]])))
    pauses = (edges[1::2] - edges[::2]) * HOP / RATE
    speaking = max(0.1, float(talk.sum()) * HOP / RATE)
    heights = heard.energy[nuclei] if len(nuclei) else np.zeros(1)
    return [
        len(nuclei) / speaking,
        len(nuclei) / seconds,
        *((gaps.mean(), gaps.std(), gaps.max()) if len(gaps) else (0.0, 0.0, 0.0)),
        len(pauses) / seconds,
        pauses.sum() / seconds,
        pauses.max() if len(pauses) else 0.0,
        heights.std(),
        float(heard.active.mean()),
    ]


def _slope(time: NDArray[np.floating], values: NDArray[np.floating]) -> float:
    centred = time - time.mean()
    return float((centred * values).sum() / max(float(np.square(centred).sum()), 1e-6))


def _skew(values: NDArray[np.floating]) -> float:
    off = values - values.mean()
    return float(np.mean(off**3) / max(float(np.mean(off**2)) ** 1.5, 1e-6))


@dataclass(frozen=True)
class _Tables:
    window: Floats
    pitch_window: Floats
    lag_window: Floats
    mel: Floats
    cosines: Floats
    hertz: NDArray[np.floating]
    vowels: slice


@functools.cache
def _tables() -> _Tables:
    pitch_window = np.hanning(_PITCH_FRAME).astype(np.float32)
    lag = np.correlate(pitch_window, pitch_window, "full")[_PITCH_FRAME - 1 :]
    hertz = np.fft.rfftfreq(FRAME, 1 / RATE)
    edges = np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 7600 / 700), _BANDS + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)
    rise = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    turns = np.outer(np.arange(_BANDS) + 0.5, np.arange(1, 13)) * np.pi / _BANDS
    return _Tables(
        window=np.hanning(FRAME).astype(np.float32),
        pitch_window=pitch_window,
        lag_window=(lag / lag[0]).astype(np.float32),
        mel=np.maximum(0, np.minimum(rise, fall)).astype(np.float32),
        cosines=(np.cos(turns) * np.sqrt(2 / _BANDS)).astype(np.float32),
        hertz=hertz,
        vowels=slice(int(300 / RATE * FRAME), int(2500 / RATE * FRAME)),
    )
