"""Recordings from files: any format and rate that libsndfile reads, as mono samples at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipelines.lab.acoustics import AUDIBLE_DBFS, levels

RATE = 16000
LONGEST_SECS = 1800.0


class RecordingError(ValueError):
    """A recording that cannot be used. One line: the file, what is wrong, the mend."""


def load(path: Path) -> NDArray[np.float32]:
    """Mono samples at 16 kHz in [-1, 1]; channels are averaged.

    Raises:
        RecordingError: If there is no such file, it is no audio, it is empty or cut off before its first sample, it
            holds values that are not finite or nothing but silence, or it is longer than half an hour.
    """
    samples, rate = _read(path)
    if not len(samples):
        raise RecordingError(f"{path}: holds no audio: record it again, or check that it was copied whole")
    if not np.isfinite(samples).all():
        raise RecordingError(f"{path}: holds values that are not numbers (NaN or infinite): export it again")
    mono = samples.mean(axis=1)
    resampled: NDArray[np.float32] = soxr.resample(mono, rate, RATE) if rate != RATE else mono
    level = levels(np.concatenate([resampled, np.zeros(RATE // 100, np.float32)]), RATE)
    if level.max() < AUDIBLE_DBFS:
        raise RecordingError(
            f"{path}: is silent (nothing above {AUDIBLE_DBFS:.0f} dBFS): check the microphone that recorded it"
        )
    return np.clip(resampled, -1.0, 1.0).astype(np.float32)


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    if not path.exists():
        raise RecordingError(f"{path}: no such file: check the path")
    if not path.is_file():
        raise RecordingError(f"{path}: is not a file: give an audio file")
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > LONGEST_SECS * file.samplerate:
                raise RecordingError(
                    f"{path}: lasts {file.frames / file.samplerate / 60:.0f} minutes, and is spoken in real time: "
                    f"give at most {LONGEST_SECS / 60:.0f}"
                )
            return file.read(dtype="float32", always_2d=True), file.samplerate
    except PermissionError:
        raise RecordingError(f"{path}: may not be read: change its permissions") from None
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        if isinstance(error, RecordingError):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise RecordingError(
            f"{path}: cannot be read as audio ({reason}): give WAV, FLAC, OGG, MP3 or what else libsndfile reads"
        ) from None


def save(path: Path, samples: NDArray[np.float32], rate: int) -> None:
    """Write mono samples in the format that the file's name ends in.

    Raises:
        RecordingError: If that cannot be written.
    """
    try:
        soundfile.write(path, samples, rate)
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RecordingError(f"{path}: cannot be written ({reason}): give a writable path ending in .wav") from None
