"""Laughter is one burst again and again; speech isn't."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from processors.hearing import prosody
from processors.hearing.describe import AUDIBLE
from processors.hearing.level import spoken
from processors.hearing.nonverbal import laughter
from processors.hearing.recipe.corpora import read
from processors.hearing.voice import Hearer
from processors.pcm import Samples
from tests.speech import DATA, needs, needs_heads, real

RATE = 16000


def resonant(sound: np.ndarray, formants: tuple[float, float]) -> np.ndarray:
    for hertz in formants:
        radius = np.exp(-np.pi * 130 / RATE)
        sound = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], sound)
    return sound


def bursts(vowels: list[tuple[float, float]], every: float = 0.2, breath: float = 0.05, pitch: float = 240) -> Samples:
    """Pulses through formants, one burst a vowel, with breath in the other half of the time."""
    random = np.random.default_rng(0)
    pieces = []
    for place, formants in enumerate(vowels):
        half = round(every * RATE / 2)
        phase = np.cumsum(np.full(half, pitch * 0.97**place / RATE))
        pulses = lfilter([1], [1, -0.95], (np.diff(np.floor(phase), prepend=0) > 0).astype(float)) * np.hanning(half)
        pieces += [resonant(np.concatenate([pulses / pulses.std(), breath * random.standard_normal(half)]), formants)]
    sound = np.concatenate(pieces)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def judged(samples: Samples) -> float:
    speech = spoken(samples)
    return 0.0 if speech is None else laughter(prosody.contours(speech.samples))


OPEN, FRONT, MIDDLE = (750.0, 1250.0), (320.0, 2300.0), (550.0, 1800.0)
SPOKEN = [OPEN, FRONT] * 4


@pytest.mark.parametrize("vowel", [OPEN, MIDDLE])
@pytest.mark.parametrize("every", [0.17, 0.21, 0.26])
def test_a_burst_again_and_again_is_laughter(vowel: tuple[float, float], every: float) -> None:
    assert judged(bursts([vowel] * 7, every)) >= AUDIBLE


def test_bursts_with_other_vowels_are_not() -> None:
    assert judged(bursts(SPOKEN)) < 0.5


def test_three_bursts_are_too_few() -> None:
    assert judged(bursts([OPEN] * 3)) == 0


@pytest.mark.parametrize("every", [0.08, 0.5])
def test_bursts_faster_or_slower_than_anybody_laughs_are_not(every: float) -> None:
    assert judged(bursts([OPEN] * 8, every)) < 0.5


def test_noise_silence_and_a_tone_are_not() -> None:
    random = np.random.default_rng(1)
    assert judged(random.standard_normal(2 * RATE).astype(np.float32) / 20) < 0.5
    assert judged(np.sin(np.arange(2 * RATE) / 9).astype(np.float32) / 9) == 0
    assert judged(np.zeros(2 * RATE, np.float32)) == 0


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_gain_makes_no_difference(gain: float) -> None:
    laugh = bursts([OPEN] * 7)
    assert judged(laugh * np.float32(gain)) == pytest.approx(judged(laugh), abs=0.02)


def test_hardly_any_speech_is_called_laughter() -> None:
    real("read_speech/jfk.flac")
    lines = (DATA / "manifest_audio.jsonl").read_text(encoding="utf-8").splitlines()
    paths = [json.loads(line)["path"] for line in lines]
    parts = [
        samples[begin : begin + 2 * RATE]
        for path in [path for path in paths if path.startswith(("read_speech/", "fluency_", "emotion_emodb/"))][::6]
        for samples in [read(DATA / path)]
        for begin in range(0, len(samples) - RATE, 2 * RATE)
    ]
    assert len(parts) > 200
    assert sum(judged(part) >= AUDIBLE for part in parts) <= len(parts) / 100


@needs_heads
def test_a_laugh_in_a_turn_is_in_its_cue() -> None:
    needs("moonshine-tiny-en")
    hearer = Hearer()
    said = hearer.hear(bursts(SPOKEN), 0)
    laughed = hearer.hear(bursts([OPEN] * 7), 2 * RATE)
    assert said.laughter < 0.5 < AUDIBLE <= laughed.laughter
    assert hearer.joined([said, laughed]).laughter == laughed.laughter
    assert said.sigh == laughed.sigh == 0
