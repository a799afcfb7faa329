"""Level, pitch and pace on sounds whose level, pitch and pace are known."""

from __future__ import annotations

import numpy as np
import pytest

from processors.hearing import prosody
from processors.hearing.level import STANDARD, spoken
from processors.hearing.recipe.corpora import read
from tests.speech import real

RATE = 16000


def voice(hertz: float, seconds: float = 2.0, syllables: float = 4.0) -> np.ndarray:
    """A buzz with ten harmonics that rises and falls so many times a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 11))
    swing = (1 - np.cos(2 * np.pi * syllables * time)) / 2
    return (0.1 * buzz * (0.03 + swing)).astype(np.float32)


def jfk() -> np.ndarray:
    return read(real("read_speech/jfk.flac"))


def test_the_level_is_that_of_the_speech_without_its_silence():
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32) * 0.1
    padded = np.concatenate([np.zeros(RATE, np.float32), tone, np.zeros(2 * RATE, np.float32)])
    assert spoken(tone).level == pytest.approx(-23.01, abs=0.05)
    assert spoken(padded).level == pytest.approx(-23.01, abs=0.05)
    assert len(spoken(padded).samples) == pytest.approx(RATE, abs=0.12 * RATE)


@pytest.mark.parametrize("gain", [0.05, 0.3, 3.0])
def test_what_is_looked_at_does_not_depend_on_the_gain(gain):
    loud, quiet = spoken(voice(150)), spoken(voice(150) * np.float32(gain))
    assert np.allclose(loud.samples, quiet.samples, atol=1e-5)
    assert quiet.level == pytest.approx(loud.level + 20 * np.log10(gain), abs=0.01)
    assert spoken(loud.samples).level == pytest.approx(STANDARD, abs=0.01)


@pytest.mark.parametrize("sound", [np.zeros(RATE, np.float32), np.zeros(0, np.float32), np.full(50, 0.1, np.float32)])
def test_where_there_is_nothing_nothing_is_found(sound):
    assert spoken(sound) is None


@pytest.mark.parametrize("hertz", [90, 140, 220, 330])
def test_pitch(hertz):
    heard = prosody.contours(spoken(voice(hertz)).samples)
    assert np.nanmedian(heard.pitch) == pytest.approx(hertz, rel=0.01)
    assert heard.voiced.mean() > 0.6


def test_noise_has_no_pitch():
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32) * 0.1
    assert prosody.contours(spoken(noise).samples).voiced.mean() < 0.05


@pytest.mark.parametrize("syllables", [3.0, 4.0, 5.0])
def test_pace(syllables):
    heard = prosody.contours(spoken(voice(150, 4.0, syllables)).samples)
    assert prosody.rate(len(prosody.syllables(heard)), prosody.speaking_seconds(heard)) == pytest.approx(
        syllables, rel=0.15
    )


def test_too_little_speech_has_no_pace():
    assert prosody.rate(3, 0.4) is None
    assert prosody.rate(1, 2.0) is None


def test_pace_of_a_speech_whose_syllables_are_known():
    # "And so, my fellow Americans, ask not …": 28 syllables, slow, with long pauses that don't count.
    heard = prosody.contours(spoken(jfk()).samples)
    assert 22 <= len(prosody.syllables(heard)) <= 40
    assert prosody.speaking_seconds(heard) < 10.0


def test_every_sound_gives_finite_numbers():
    random = np.random.default_rng(0)
    sounds = [voice(150), voice(80, 0.3), random.standard_normal(4000).astype(np.float32), np.eye(1, 8000, 4000)[0]]
    for sound in [*sounds, np.ones(300, np.float32), jfk()]:
        numbers = prosody.features(prosody.contours(sound.astype(np.float32)))
        assert numbers.shape == (prosody.SIZE,)
        assert np.isfinite(numbers).all()


def test_features_do_not_depend_on_the_gain():
    one, other = (prosody.features(prosody.contours(spoken(jfk() * np.float32(g)).samples)) for g in (1.0, 0.1))
    assert np.allclose(one, other, atol=0.02, rtol=0.02)
