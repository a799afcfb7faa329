"""Whether a manner can be told from what comes out: by a listener who has heard everybody but the speaker.

Two listeners, one for words and one for sounds. Each learns from the other speakers what goes with which manner, and
is asked about a speaker whom it has never heard. An answer that fits several manners equally well counts by its share:
where nothing differs, a listener is right one time in as many as there are manners, which is a score of 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Thing = TypeVar("Thing")
Listener: TypeAlias = Callable[[Sequence[Thing], NDArray[np.intp], Sequence[Thing]], Floats]
"""Things heard, the number of the manner of each, and things asked → log-likelihoods, [asked, manners]."""

TIE = 0.05
"""Nats by which two manners have to differ in likelihood for one to be told from the other."""

RESAMPLES = 2000
SEED = 5


@dataclass(frozen=True)
class Score:
    """From 0, not better than chance, to 1, always.

    Args:
        value: The score.
        low: Of its 95 % interval over speakers.
        high: Of the same.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}–{self.high:.2f}]"

    def as_json(self) -> dict[str, float]:
        """Three numbers."""
        return {"value": round(self.value, 3), "low": round(self.low, 3), "high": round(self.high, 3)}


def told_apart(
    things: Sequence[Thing], manners: Sequence[str], speakers: Sequence[str], listener: Listener[Thing]
) -> Floats:
    """How far a listener is right about each thing, having learnt from those of all other speakers.

    Args:
        things: What came out.
        manners: In which manner each was asked for.
        speakers: Who asked.
        listener: `by_words` or `by_sound`.

    Returns:
        1 for right, 0 for wrong, and a share where several manners fit equally well; [things].

    Raises:
        ValueError: If there are fewer than two speakers, or one of them has no thing in some manner.
    """
    names, numbers = np.unique(list(manners), return_inverse=True)
    who = np.array(speakers)
    if len(set(speakers)) < 2 or any(len(set(numbers[who == one])) < len(names) for one in set(speakers)):
        raise ValueError("give at least two speakers, and each of them in every manner")
    right = np.zeros(len(things))
    for speaker in dict.fromkeys(speakers):
        own = [at for at, one in enumerate(speakers) if one == speaker]
        others = [at for at, one in enumerate(speakers) if one != speaker]
        likelihoods = listener([things[at] for at in others], numbers[others], [things[at] for at in own])
        best = likelihoods >= likelihoods.max(axis=1, keepdims=True) - TIE
        right[own] = best[np.arange(len(own)), numbers[own]] / best.sum(axis=1)
    return right


def words_in(text: str) -> frozenset[str]:
    """The words and marks of a text."""
    return frozenset(re.findall(r"[\w']+|[^\w\s]", text.lower()))


def by_words(heard: Sequence[frozenset[str]], manners: NDArray[np.intp], asked: Sequence[frozenset[str]]) -> Floats:
    """Which of all words occur, each by itself (Bernoulli naive Bayes, smoothed by half an occurrence)."""
    words = sorted(frozenset().union(*heard))
    known = np.array([[word in one for word in words] for one in heard], float).reshape(len(heard), len(words))
    wanted = np.array([[word in one for word in words] for one in asked], float).reshape(len(asked), len(words))
    likelihoods = np.zeros((len(asked), int(manners.max()) + 1))
    for number in range(likelihoods.shape[1]):
        of = known[manners == number]
        share = (of.sum(axis=0) + 0.5) / (len(of) + 1)
        likelihoods[:, number] = wanted @ np.log(share) + (1 - wanted) @ np.log(1 - share)
    return likelihoods


def by_sound(heard: Sequence[Floats], manners: NDArray[np.intp], asked: Sequence[Floats]) -> Floats:
    """How near numbers are to the mean of each manner, counted in what they vary by within manners. A difference of
    less than 1, which is the least that can be heard, is none (normal distributions, variances of at least 1)."""
    known, wanted = np.array(heard), np.array(asked)
    count = int(manners.max()) + 1
    means = np.array([known[manners == number].mean(axis=0) for number in range(count)])
    within = np.square(known - means[manners]).mean(axis=0) + 1.0
    apart: Floats = -0.5 * (np.square(wanted[:, None] - means) / within).sum(axis=2)
    return apart


def score(stages: Sequence[Floats], speakers: Sequence[str], manners: int) -> Score:
    """How much better than chance a listener is, over one stage or several.

    Each stage counts as much as the others, and nothing where it is worse than chance. The interval is that of speakers
    drawn anew, all of one's things together (percentile bootstrap).

    Args:
        stages: How far a listener was right at each, [things].
        speakers: Who asked for each thing.
        manners: How many there are.
    """
    order = list(dict.fromkeys(speakers))
    who = np.array(speakers)
    each = np.array([[stage[who == speaker].mean() for speaker in order] for stage in stages])
    chosen = np.random.default_rng(SEED).integers(len(order), size=(RESAMPLES, len(order)))
    drawn = _above_chance(each[:, chosen].mean(axis=2), manners).mean(axis=0)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Score(float(_above_chance(each.mean(axis=1), manners).mean()), float(low), float(high))


def _above_chance(right: Floats, manners: int) -> Floats:
    return np.clip((right - 1 / manners) / (1 - 1 / manners), 0.0, 1.0)


def differs(things: Sequence[Thing], speakers: Sequence[str], apart: Callable[[Thing, Thing], bool]) -> float:
    """The share of pairs, of one speaker's things, that differ."""
    pairs = [
        apart(things[one], things[other])
        for one in range(len(things))
        for other in range(one)
        if speakers[one] == speakers[other]
    ]
    return float(np.mean(pairs)) if pairs else 0.0
