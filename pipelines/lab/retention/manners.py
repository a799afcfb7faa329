"""The same words said in different ways: by actors, and by the embedded voice in the styles that ship."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from pipelines import personas
from pipelines.app import recording
from pipelines.lab.bench_latency import BenchError
from processors.hearing.cues import RATE
from processors.hearing.level import spoken
from processors.pcm import Samples

LEAD_SECS = 0.4
"""Silence before the speech."""

ACTED = {"neutral": "01", "happy": "03", "sad": "04", "angry": "05"}
"""The manners of people, as RAVDESS numbers them."""

ACTORS = 12
INTENSITIES = ("01", "02")
SENTENCES = ("01", "02")
"""Normal and strong; "Kids are talking by the door" and "Dogs are sitting by the door". Which actor gives which was
settled before anything was measured: two by two, so that each is said by a man and a woman."""

STYLES = ("calm", "excited", "gentle", "urgent")
"""The manners of the synthetic callers, as `processors/speaking/styles.yaml` names them."""

CALLERS = ("peter", "maya", "alex", "nayan")
"""Whose voices they have."""

SYNTHETIC = "The children are playing in front of the house."


@dataclass(frozen=True)
class Said:
    """One sentence of one speaker, said in one way.

    Args:
        group: `people` or `styles`.
        speaker: Who says it.
        manner: How.
        samples: Mono at 16 kHz, at one level whoever speaks and however: that of a microphone with automatic gain.
    """

    group: str
    speaker: str
    manner: str
    samples: Samples


def people(data: Path, actors: int = ACTORS) -> list[Said]:
    """Actors who say one sentence each in four ways.

    Args:
        data: The folder with the recordings.
        actors: How many.

    Raises:
        BenchError: If a recording is missing.
    """
    return [
        Said("people", f"actor {actor:02d}", manner, _levelled(recording.load(_file(data, actor, manner))))
        for actor, manner in product(range(1, actors + 1), ACTED)
    ]


def _file(data: Path, actor: int, manner: str) -> Path:
    pair = (actor - 1) // 2
    # Nobody was neutral in a strong way.
    intensity = INTENSITIES[pair % 2] if manner != "neutral" else INTENSITIES[0]
    sentence = SENTENCES[pair // 2 % 2]
    file = data / "emotion_ravdess" / f"03-01-{ACTED[manner]}-{intensity}-{sentence}-01-{actor:02d}.flac"
    if not file.exists():
        raise BenchError(f"{file}: is not there: give the folder that holds emotion_ravdess with --data")
    return file


def styles() -> Iterator[Said]:
    """The embedded voice as several callers, who say one sentence in four styles. Loads it."""
    from pipelines.stacks.embedded import SYNTHESISER
    from processors.embedded.hibari import SAMPLE_RATE, Controls
    from processors.embedded.tts import EmbeddedTTSSettings
    from processors.speaking.lowering.hibari import lower
    from processors.speaking.styles import shipped

    for name, style in product(CALLERS, STYLES):
        voice: dict[str, Any] = personas.load(name).voices.get("embedded", {})
        own = EmbeddedTTSSettings(**asdict(Controls(**voice)))
        controls = {**asdict(Controls(**voice)), **lower(shipped().named(style), own).given_fields()}
        speech = SYNTHESISER.get().speak(SYNTHETIC, Controls(**controls)).samples
        yield Said("styles", name, style, _levelled(soxr.resample(speech, SAMPLE_RATE, RATE)))


def _levelled(samples: Samples) -> Samples:
    speech = spoken(samples)
    silence = np.zeros(round(LEAD_SECS * RATE), np.float32)
    return np.concatenate([silence, speech.samples if speech else samples])
