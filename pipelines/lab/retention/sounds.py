"""What can be heard of how something is said, whatever the words are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.hearing import prosody
from processors.hearing.cues import RATE
from processors.hearing.level import SILENCE, spoken
from processors.pcm import Samples

STEPS = {"pitch": 0.5, "melody": 1.0, "level": 1.0, "pace": 0.05, "brightness": 1.0}
"""About the least that is noticed of each in speech: semitones, semitones, dB, share, dB. Half a semitone is between
what trained listeners notice and what stands out ('t Hart 1981: 1.5 to 3 semitones), 1 dB is the usual step of level,
5 % of tempo is Quené's (2007)."""


@dataclass(frozen=True)
class Sound:
    """How a stretch of speech sounds.

    Args:
        pitch: Median, semitones above 100 Hz.
        melody: From the tenth to the ninetieth percentile of pitch, semitones.
        level: Active level, dBFS.
        pace: Written syllables a second of speech, pauses apart.
        brightness: Level from 1 to 5 kHz beside that below, dB.
    """

    pitch: float
    melody: float
    level: float
    pace: float
    brightness: float

    @property
    def steps(self) -> NDArray[np.float64]:
        """All of it in steps that can just be noticed; pace by its logarithm."""
        values = [self.pitch, self.melody, self.level, float(np.log(self.pace)), self.brightness]
        steps: NDArray[np.float64] = np.array(values) / np.array(list(STEPS.values()))
        return steps

    def as_json(self) -> dict[str, float]:
        """Rounded figures by name."""
        return {name: round(getattr(self, name), 2) for name in STEPS}


NOTHING = Sound(0.0, 0.0, SILENCE, 1.0, 0.0)
"""What silence sounds like."""


def sound(samples: Samples, words: str) -> Sound:
    """How speech sounds.

    Args:
        samples: Mono at 16 kHz.
        words: What is said in it. Its syllables are counted there, as their number must not hang on how they sound.

    Returns:
        `NOTHING` where nobody speaks.
    """
    speech = spoken(samples)
    if speech is None:
        return NOTHING
    heard = prosody.contours(speech.samples)
    tones = 12 * np.log2(heard.pitch[heard.voiced] / 100)
    if not len(tones):
        return NOTHING
    low, high = np.percentile(tones, [10, 90])
    hertz = np.linspace(0, RATE / 2, heard.power.shape[1])
    voiced = heard.power[heard.voiced].mean(axis=0)
    bright = voiced[(hertz > 1000) & (hertz < 5000)].sum() / voiced[(hertz > 50) & (hertz <= 1000)].sum()
    return Sound(
        pitch=float(np.median(tones)),
        melody=float(high - low),
        level=speech.level,
        pace=max(syllables(words), 1) / max(prosody.speaking_seconds(heard), 0.1),
        brightness=float(10 * np.log10(bright)),
    )


def syllables(words: str) -> int:
    """About how many syllables English words have: groups of vowels, without a last e that is not the only one."""
    count = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        groups = len(re.findall(r"[aeiouy]+", word))
        count += groups - (groups > 1 and word.endswith("e") and not word.endswith("le"))
    return count
