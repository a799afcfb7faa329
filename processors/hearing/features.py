"""What heads are given: the encoder's numbers and prosody's, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.hearing import encoder, prosody
from processors.hearing.level import Speech, spoken
from processors.pcm import Samples

SIZE = encoder.SIZE + prosody.SIZE
"""Numbers for a stretch of speech."""


@dataclass(frozen=True)
class Described:
    """A stretch of speech in numbers.

    Args:
        features: Of shape (SIZE,), the same whatever the gain.
        contours: Over time.
        speech: What was looked at.
    """

    features: NDArray[np.float32]
    contours: prosody.Contours
    speech: Speech


def describe(samples: Samples) -> Described | None:
    """Speech in numbers; None where there is nothing to hear.

    Args:
        samples: Mono at 16 kHz, finite.

    Raises:
        WeightsError: If the encoder can't be had.
    """
    speech = spoken(samples)
    if speech is None:
        return None
    contours = prosody.contours(speech.samples)
    numbers = np.concatenate([encoder.encoder().pooled(speech.samples), prosody.features(contours)])
    return Described(numbers, contours, speech)
