"""Smart Turn's probability for a piece of audio, without the state that Pipecat's analyzer keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from threadpoolctl import ThreadpoolController

RATE = 16000
SECONDS = 8.0
EXPECTED_SILENCE = 0.2
"""Smart Turn learned on audio that ends in about this much silence."""


class SmartTurn(LocalSmartTurnAnalyzerV3):
    """One model for all conversations of the process; calls may come from any thread."""

    def __init__(self) -> None:
        super().__init__(sample_rate=RATE)
        self._pools = ThreadpoolController()

    def probability(self, samples: NDArray[np.float32], silence: float) -> float:
        """How probable it is that the speaker is done.

        Args:
            samples: Mono at 16 kHz, in [-1, 1]; of more than eight seconds the last eight count.
            silence: Seconds of silence that the samples end in; what is missing to the silence that the model
                expects is added.
        """
        missing = max(0, round((EXPECTED_SILENCE - silence) * RATE))
        if missing:
            samples = np.concatenate([samples, np.zeros(missing, np.float32)])
        # A second BLAS thread makes the features no faster and takes a core from the recogniser.
        with self._pools.limit(limits=1, user_api="blas"):
            return float(self._predict_endpoint(samples[-round(SECONDS * RATE) :])["probability"])
