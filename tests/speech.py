"""Recordings for tests: made by the project's own voice, or real ones where the shared data lies beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from processors.embedded.weights import WeightsError, WeightStore
from processors.hearing import heads

RATE = 16000
DATA = Path(__file__).parents[2] / "shared" / "data"
needs_heads = pytest.mark.skipif(
    not (Path(heads.__file__).with_name("heads") / "emotions.npz").exists(), reason="no heads have been trained yet"
)


def real(path: str) -> Path:
    """A recording of the shared data; the test is skipped where there is none."""
    file = DATA / path
    if not file.exists():
        pytest.skip(f"the shared recording {path} is not here")
    return file


def needs(*weights: str) -> None:
    """Skip the test where these weights are not installed."""
    for name in weights:
        try:
            WeightStore().check(name)
        except WeightsError as error:
            pytest.skip(str(error))


def say(text: str) -> NDArray[np.float32]:
    """Somebody who says it: hibari, at 16 kHz, with half a second of silence before."""
    needs("hibari-heart")
    from pipelines.stacks.embedded import SYNTHESISER

    speech = SYNTHESISER.get().speak(text).samples
    spoken: NDArray[np.float32] = soxr.resample(speech, 24000, RATE)
    return np.concatenate([np.zeros(RATE // 2, np.float32), spoken])
