"""Keeps the audio of the utterance in progress, counted in samples."""

from __future__ import annotations

import numpy as np

from processors.pcm import Samples, to_samples

RATE = 16000
LEAD_SECS = 0.5
"""Audio kept from before the VAD's first voiced window: soft consonants begin earlier."""

LONGEST_SECS = 24.0
"""An utterance without a pause is cut here, at the quietest place of its last seconds."""

CUT_SEARCH_SECS = 4.0


class Utterance:
    """A growing piece of 16-bit mono audio at 16 kHz with a start that moves with the caller's speech."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._speaking = False

    @property
    def seconds(self) -> float:
        """Length of what is kept."""
        return len(self._pcm) / 2 / RATE

    def add(self, pcm: bytes) -> None:
        """Take 16-bit mono PCM at 16 kHz. While nobody speaks only a lead is kept."""
        self._pcm += pcm
        if not self._speaking:
            self._keep_last(1.0 + LEAD_SECS)

    def start(self, start_secs: float) -> None:
        """Speech began `start_secs` ago."""
        self._keep_last(start_secs + LEAD_SECS)
        self._speaking = True

    def stop(self) -> None:
        """The speech is over. What is kept may serve as the lead of the next utterance."""
        self._speaking = False
        self._keep_last(LEAD_SECS)

    def samples(self) -> Samples:
        """The audio so far in [-1, 1]."""
        return to_samples(self._pcm)

    def split_if_long(self) -> Samples | None:
        """The first part of an utterance that has grown too long; the rest stays. None if it has not."""
        if not self._speaking or self.seconds < LONGEST_SECS:
            return None
        samples = self.samples()
        window = RATE // 10
        tail = samples[-round(CUT_SEARCH_SECS * RATE) :]
        tail = tail[: len(tail) // window * window]
        quietest = int(np.square(tail).reshape(-1, window).mean(axis=1).argmin())
        cut = len(samples) - len(tail) + quietest * window + window // 2
        del self._pcm[: 2 * cut]
        return samples[:cut]

    def _keep_last(self, seconds: float) -> None:
        surplus = len(self._pcm) - 2 * round(seconds * RATE)
        if surplus > 0:
            del self._pcm[:surplus]
