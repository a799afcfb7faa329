from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lab.acoustics import first_audible, speech_end

RATE = 16000
random = np.random.default_rng(1)


def voice(seconds: float, level: float = 0.2) -> np.ndarray:
    return (level * random.standard_normal(round(seconds * RATE))).astype(np.float32)


@given(st.floats(0.2, 3.0), st.floats(0.0, 2.0), st.sampled_from([0.0, 1e-4, 3e-3]))
def test_the_end_of_speech_is_found_whatever_noise_follows_it(speech: float, after: float, noise: float) -> None:
    samples = np.concatenate([voice(0.5, noise), voice(speech), voice(after, noise)])
    assert speech_end(samples, RATE) == pytest.approx(0.5 + speech, abs=0.03)


def test_a_pause_within_speech_is_not_its_end() -> None:
    samples = np.concatenate([voice(1), voice(1, 1e-4), voice(1), voice(1, 1e-4)])
    assert speech_end(samples, RATE) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(RATE, np.float32)])
def test_silence_ends_where_it_begins(samples: np.ndarray) -> None:
    assert speech_end(samples, RATE) == 0.0


def test_the_first_audible_sample_lies_above_minus_50_dbfs() -> None:
    samples = np.zeros(1000, np.float32)
    samples[300] = 0.003
    assert first_audible(samples) is None
    samples[500] = -0.0032
    assert first_audible(samples) == 500
