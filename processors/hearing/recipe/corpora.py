"""Recordings with labels, and copies of them as they might have come over a line."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from processors.hearing.cues import RATE
from processors.hearing.features import describe
from processors.pcm import Samples

COPIES = ("clean", "telephone", "noise", "lower", "higher")
"""What training hears of each recording; each copy of a speaker is a speaker of its own."""

HARD = ("clean", "telephone", "noise10")
"""What measuring hears: the last is noise of another kind than in training, at 10 dB."""

_SPEED = {"lower": 1 / 0.93, "higher": 1 / 1.08}


@dataclass(frozen=True)
class Clip:
    """A recording: its file, who speaks, and what is known of how."""

    path: Path
    speaker: str
    label: str


@dataclass(frozen=True)
class Table:
    """Recordings in numbers, a row each.

    Args:
        features: Of shape (rows, features).
        labels: Of shape (rows,).
        speakers: Of shape (rows,).
        copies: Of shape (rows,), names of `COPIES` or `HARD`.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.str_]
    speakers: NDArray[np.str_]
    copies: NDArray[np.str_]

    def where(self, rows: NDArray[np.bool_]) -> Table:
        """Some of the rows."""
        return Table(self.features[rows], self.labels[rows], self.speakers[rows], self.copies[rows])

    def of(self, copy: str) -> Table:
        """The rows of one kind of copy."""
        return self.where(self.copies == copy)

    def labelled(self, labels: Sequence[str]) -> Table:
        """The rows with one of these labels."""
        return self.where(np.isin(self.labels, labels))

    @property
    def voices(self) -> NDArray[np.str_]:
        """Speaker and copy of each row: what counts as one speaker in training."""
        return np.char.add(np.char.add(self.speakers, " "), self.copies)


def gather(data: Path, folder: str) -> list[Clip]:
    """The recordings of one folder of the shared data that have an emotion or a score for fluency.

    Raises:
        FileNotFoundError: If the data has no manifest.
        ValueError: If it has none of these recordings.
    """
    clips = []
    with (data / "manifest_audio.jsonl").open(encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            if entry["path"].startswith(f"{folder}/") and (label := entry.get("emotion") or entry.get("fluency")):
                clips.append(Clip(data / entry["path"], entry["speaker"], str(label)))
    if not clips:
        raise ValueError(f"{data}: holds no {folder}: give the folder that does")
    return clips


def noises(data: Path, *, permitted: bool) -> list[Samples]:
    """Noises that may be trained on, or those that may only be measured with."""
    with (data / "manifest_audio.jsonl").open(encoding="utf-8") as lines:
        entries = [e for e in map(json.loads, lines) if e["path"].startswith("noise/")]
    chosen = [e for e in entries if e["noncommercial"] is not permitted]
    return [read(data / entry["path"]) for entry in chosen]


def table(
    clips: Sequence[Clip],
    copies: Sequence[str],
    hums: Mapping[str, Sequence[Samples]],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Table:
    """Recordings and their copies in numbers. Silent ones are left out.

    Args:
        clips: Which.
        copies: Which of `COPIES` and `HARD`.
        hums: Noises for the copies named "noise" and "noise10".
        progress: Told how many of how many recordings are done.

    Raises:
        WeightsError: If the encoder can't be had.
    """
    rows = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        described = pool.map(lambda clip: list(_described(clip, copies, hums)), clips)
        for number, (clip, found) in enumerate(zip(clips, described, strict=True)):
            progress(number, len(clips))
            rows += [(clip, copy, numbers) for copy, numbers in found]
    finally:
        pool.shutdown(cancel_futures=True)  # ctrl-C waits for none that hasn't begun
    return Table(
        np.stack([numbers for _, _, numbers in rows]),
        np.array([clip.label for clip, _, _ in rows]),
        np.array([clip.speaker for clip, _, _ in rows]),
        np.array([copy for _, copy, _ in rows]),
    )


def _described(
    clip: Clip, copies: Sequence[str], hums: Mapping[str, Sequence[Samples]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    samples = read(clip.path)
    for copy in copies:
        random = np.random.default_rng(zlib.crc32(f"{clip.path.name} {copy}".encode()))
        if (described := describe(copied(samples, copy, hums.get(copy, ()), random))) is not None:
            yield copy, described.features


def read(path: Path) -> Samples:
    """A recording as mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    return np.asarray(mono, np.float32)


def copied(samples: Samples, copy: str, hums: Sequence[Samples], random: np.random.Generator) -> Samples:
    """A recording as it would be over the telephone, in noise, or from a bigger or smaller speaker.

    Args:
        samples: Mono at 16 kHz.
        copy: One of `COPIES` or `HARD`.
        hums: What noise is taken from, beside noise that is made.
        random: What chance is taken from.
    """
    if copy == "clean":
        return samples
    if copy in _SPEED:
        changed: Samples = soxr.resample(samples, RATE, RATE * _SPEED[copy])
        return changed.astype(np.float32)
    if copy == "telephone":
        narrow = sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), samples)
        line: Samples = soxr.resample(soxr.resample(narrow, RATE, RATE / 2), RATE / 2, RATE)
        return line.astype(np.float32)
    ratio = 10.0 if copy == "noise10" else random.uniform(8, 20)
    noise = _noise(len(samples), hums, random)
    power = np.square(samples, dtype=np.float64)
    speech = power[power >= np.percentile(power, 60)].mean()
    gain = np.sqrt(speech / max(float(np.square(noise, dtype=np.float64).mean()), 1e-12) / 10 ** (ratio / 10))
    return np.asarray(samples + gain * noise, np.float32)


def _noise(length: int, hums: Sequence[Samples], random: np.random.Generator) -> Samples:
    choice = int(random.integers(len(hums) + 2))
    if choice < len(hums):
        start = int(random.integers(len(hums[choice])))
        return np.resize(np.roll(hums[choice], -start), length)
    colour = np.fft.rfft(random.standard_normal(length)) / np.maximum(1, np.arange(length // 2 + 1)) ** (choice % 2 / 2)
    return np.asarray(np.fft.irfft(colour, length), np.float32)
