"""FLAC that can be read while it is written, and after the writer was killed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""Mono, 16 bit."""

_TOTAL = 21
"""Where a FLAC file's 36 bits of "total samples" end with four bytes; the other four bits end the byte before them."""

SILENCE_SECS = 10
"""How much silence is written at a time."""


class FlacWriter:
    """Writes mono 16-bit FLAC piece by piece.

    The encoder notes the number of samples when it is closed. Until then a reader would find zero of them, so the
    number of those in whole blocks is kept up to date in the header: whatever happens to this process, all but the last
    quarter of a second or so can be read by any program.

    Args:
        path: Where to write; what is there is overwritten.
        rate: Hz.
    """

    def __init__(self, path: Path, rate: int) -> None:
        self._file = soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="FLAC")
        self._header = os.open(path, os.O_RDWR)
        self._rate = rate
        self._block = 0
        self._claimed = 0
        self.length = 0
        """Samples so far."""

    def write(self, samples: Pcm) -> None:
        """Add samples."""
        if not len(samples):
            return
        self._file.write(np.ascontiguousarray(samples, np.int16))
        self.length += len(samples)
        self._claim()

    def silence(self, samples: int) -> None:
        """Add that many zeros."""
        while samples > 0:
            piece = min(samples, SILENCE_SECS * self._rate)
            self.write(np.zeros(piece, np.int16))
            samples -= piece

    def _claim(self) -> None:
        if not self._block:
            start = os.pread(self._header, 12, 0)
            self._block = int.from_bytes(start[10:12], "big") if len(start) == 12 else 0
        # The encoder looks one sample ahead before it lets go of a block.
        whole = (self.length - 1) // self._block * self._block if self._block else 0
        if whole > self._claimed:
            (flags,) = os.pread(self._header, 1, _TOTAL)
            total = bytes([flags & 0xF0 | whole >> 32]) + (whole & 0xFFFFFFFF).to_bytes(4, "big")
            os.pwrite(self._header, total, _TOTAL)
            self._claimed = whole

    def close(self) -> None:
        """Finish the file."""
        if not self._file.closed:
            self._file.close()
            os.close(self._header)


def read(path: Path) -> Pcm:
    """All samples of a mono file, also of one whose writer was killed; none of one that has hardly been begun.

    Raises:
        OSError: If it cannot be read.
        soundfile.LibsndfileError: If it is no audio.
    """
    if path.stat().st_size < _TOTAL + 5:
        return np.zeros(0, np.int16)
    with soundfile.SoundFile(path) as file:
        if file.frames >= 1 << 36:  # an encoder that has not let go of a block
            return np.zeros(0, np.int16)
        samples: Pcm = file.read(dtype="int16")
    return samples
