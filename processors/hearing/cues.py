"""What is heard besides the words: typed, and counted in samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

RATE = 16_000
"""Samples a second, of all audio and all positions here."""

EMOTIONS = ("neutral", "happy", "sad", "angry")
"""What every classifier of emotions can tell; one trained on richer data may add to it."""


@dataclass(frozen=True)
class Score:
    """How much of something is in a voice, from 0 to 1; at .5 it is as likely more than usual as less.

    Args:
        absolute: Beside other people's voices.
        relative: Beside the caller's own, in the turns before.
        combined: Of both: what to act on.
    """

    absolute: float
    relative: float
    combined: float

    @classmethod
    def beside(cls, absolute: float, combined: float, earlier: Sequence[float]) -> Self:
        """The score of a turn after others of the same caller.

        Args:
            absolute: Beside other people's voices.
            combined: What to act on.
            earlier: `logit` of the absolute scores of the turns before.
        """
        usual = sum(earlier) / len(earlier) if earlier else logit(absolute)
        return cls(absolute, 1 / (1 + math.exp(usual - logit(absolute))), combined)


def logit(share: float) -> float:
    """The logarithm of the odds of a share from 0 to 1; its ends are taken for a millionth from them."""
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


@dataclass(frozen=True)
class Cue:
    """How one stretch of speech, a phrase or a turn, was said.

    Args:
        start: Its first sample since the call began.
        end: One past its last.
        arousal: From calm to excited.
        valence: From unpleasant to pleasant.
        emotions: By name, calibrated; they sum to 1.
        pace: Syllables a second while speaking; None where there is too little speech.
        loudness: Level of the speech, dBFS.
        pace_trend: How the pace changes over the call, in parts of itself a minute; 0 until it can be told.
        loudness_trend: How the level changes over the call, dB a minute; 0 until it can be told.
        emphasised: Words that stand out, in order.
        hesitation: How likely it is that the caller is searching for words.
        laughter: How likely it is that there is some.
        sigh: How likely it is that there is one.
        disagreement: How likely it is that words and voice say different things: a hint of irony, no more.
        turns_heard: Turns of this caller before this one, which `relative` rests on.
    """

    start: int
    end: int
    arousal: Score
    valence: Score
    emotions: Mapping[str, float]
    pace: float | None
    loudness: float
    pace_trend: float = 0.0
    loudness_trend: float = 0.0
    emphasised: tuple[str, ...] = ()
    hesitation: float = 0.0
    laughter: float = 0.0
    sigh: float = 0.0
    disagreement: float = 0.0
    turns_heard: int = 0

    @property
    def emotion(self) -> str:
        """The likeliest."""
        return max(self.emotions, key=lambda name: self.emotions[name])

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) / RATE
