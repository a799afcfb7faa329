"""When each word was said, from the words and the voice alone, where the recogniser doesn't tell.

Spelling gives a word's sounds in six broad classes, which is all that is needed to find it: vowels are loud and
periodic, sibilants hiss, stops are gaps. The likeliest way through these classes, with pauses between words as it may
be, is found by dynamic programming (a hidden Markov model; Viterbi 1967). For English.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import uniform_filter1d

from guardrails.data_file import Record, read
from processors.hearing.prosody import Contours

Floats = NDArray[np.float64]
Class = Literal["vowel", "sonorant", "sibilant", "fricative", "stop", "voiced_stop", "pause"]
Numbers = Annotated[list[float], Field(min_length=5, max_length=5)]

_STEP = 2  # frames of a step, 20 ms: finer steps find the words no better
_CAUTION = 0.6  # frames that follow one another say much the same
_PAUSE_COST = 2.0
_SPELLING: tuple[tuple[str, tuple[Class, ...]], ...] = (
    ("tch|sch|sh|ch|ti(?=on)|ci(?=a)|dg", ("sibilant",)),
    ("igh", ("vowel",)),
    ("th|ph", ("fricative",)),
    ("gh", ()),
    ("ck", ("stop",)),
    ("qu", ("stop", "sonorant")),
    ("ng|wh|kn|wr|^y|[mn]+|l+|r+|w", ("sonorant",)),
    ("c(?=[eiy])|g(?=[ei])|s+|z+|[jx]", ("sibilant",)),
    ("f+|v+|h", ("fricative",)),
    ("[ptkcq]+", ("stop",)),
    ("[bdg]+", ("voiced_stop",)),
    ("[aeiouy]+", ("vowel",)),
)
_READER = re.compile("|".join(f"({pattern})" for pattern, _ in _SPELLING))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Sound(Record):
    """How one class of sounds looks.

    Args:
        mean: Of level (dB beside the loud frames), periodicity (0 to 20), high beside low bands (dB), level of the
            middle bands (dB beside loud ones) and change of level over 60 ms (half dB).
        deviation: Their standard deviations.
        stay: Probability that it goes on for another 20 ms.
        least: Steps of 20 ms that it lasts at least.
    """

    mean: Numbers
    deviation: Numbers
    stay: Annotated[float, Field(gt=0, lt=1)]
    least: Annotated[int, Field(ge=1)]


class Sounds(Record):
    """All classes."""

    sounds: dict[Class, Sound]


@functools.cache
def sounds() -> Sounds:
    """The table that comes with the project."""
    return read(Path(__file__).with_name("alignment.yaml"), Sounds, ValueError)


def syllables(word: str) -> int:
    """Of an English word, by its spelling; at least one."""
    letters = _letters(word)
    return max(1, len(re.findall("[aeiouy]+", letters)) - _ends_silent(letters))


def length(word: str) -> float:
    """How long a word takes beside others, by its spelling."""
    return 0.5 * syllables(word) + 0.2 * len(_letters(word))


def aligned(words: Sequence[str], heard: Contours, table: Sounds | None = None) -> list[tuple[int, int]]:
    """The first frame of each word and one past its last, in order.

    Found to within 20 to 50 ms on average in clear speech whose words are all there; wrong words or missing ones move
    their neighbours.

    Args:
        words: What was said, as it is written.
        heard: All of what was said, pauses included.
        table: How sounds look; by default the project's own.
    """
    if not words:
        return []
    table = table or sounds()
    seen = _seen(heard)
    states = _states(words, table)
    if len(seen) < len(states) - len(words) + 1:
        return _in_proportion(words, len(heard.energy))
    path = _likeliest(seen, states, table)
    owner = np.array([word for _, word, _ in states])[path]
    return _spans(owner, len(words), len(heard.energy))


def learnt(speech: Sequence[tuple[Sequence[str], Contours]], start: Sounds, rounds: int) -> Sounds:
    """How sounds look, from speech and its words: each round aligns and then takes means (Viterbi training).

    Args:
        speech: Words and contours of each utterance.
        start: What the first round aligns with.
        rounds: How many.
    """
    table = start
    for _ in range(rounds):
        found: dict[str, list[Floats]] = {name: [] for name in table.sounds}
        for words, heard in speech:
            seen, states = _seen(heard), _states(words, table)
            if len(seen) >= len(states):
                kind = np.array([name for name, _, _ in states])[_likeliest(seen, states, table)]
                for name in found:
                    found[name].append(seen[kind == name])
        table = Sounds(sounds={name: _looks(old, found[name]) for name, old in table.sounds.items()})
    return table


def _looks(sound: Sound, found: Sequence[Floats]) -> Sound:
    rows = np.concatenate([np.empty((0, len(sound.mean))), *found])
    if not len(rows):
        return sound
    return Sound(
        mean=[round(float(value), 1) for value in rows.mean(axis=0)],
        deviation=[round(float(value), 1) for value in np.sqrt(rows.var(axis=0) + 1)],
        stay=sound.stay,
        least=sound.least,
    )


def _letters(word: str) -> str:
    spelt = "".join(_DIGITS[int(sign)] if sign in "0123456789" else sign for sign in word.lower())
    return re.sub("[^a-z]", "", spelt)


def _ends_silent(letters: str) -> bool:
    return letters.endswith("e") and not letters.endswith("le") and re.search("[aeiouy]", letters[:-1]) is not None


def _classes(word: str) -> list[Class]:
    letters = _letters(word)
    if len(letters) > 2 and _ends_silent(letters):
        letters = letters[:-1]
    found: list[Class] = []
    for match in _READER.finditer(letters):
        for name in _SPELLING[(match.lastindex or 1) - 1][1]:
            if name == "vowel" or found[-1:] != [name]:
                found.append(name)
    return found or ["vowel"]


def _states(words: Sequence[str], table: Sounds) -> list[tuple[Class, int, bool]]:
    """Class, word (-1 for a pause) and whether it may last, of all states in order."""
    states: list[tuple[Class, int, bool]] = []
    for place, word in enumerate(words):
        if place:
            states.append(("pause", -1, True))
        for name in _classes(word):
            least = table.sounds[name].least
            states += [(name, place, step == least - 1) for step in range(least)]
    return states


def _seen(heard: Contours) -> Floats:
    """What is looked at, of shape (steps, 5)."""
    middle = heard.bands[:, 4:14].mean(axis=1)
    level = heard.energy - np.percentile(heard.energy, 95)
    padded = np.pad(level, (3, 3), mode="edge")
    rows = np.column_stack(
        [
            level,
            heard.strength * 20,
            heard.bands[:, 16:].mean(axis=1) - heard.bands[:, :8].mean(axis=1),
            middle - np.percentile(middle, 95),
            (padded[6:] - padded[:-6]) / 2,
        ]
    )
    return np.asarray(uniform_filter1d(rows, _STEP, axis=0)[_STEP // 2 :: _STEP], np.float64)


def _likeliest(seen: Floats, states: Sequence[tuple[Class, int, bool]], table: Sounds) -> NDArray[np.intp]:
    """The state of every step on the likeliest way from the first state to the last."""
    names = list(table.sounds)
    means = np.array([table.sounds[name].mean for name in names])
    variances = np.square([table.sounds[name].deviation for name in names])
    chances = -0.5 * _CAUTION * (np.square(seen[:, np.newaxis] - means) / variances + np.log(variances)).sum(axis=2)
    chances = chances[:, [names.index(name) for name, _, _ in states]]
    stays = np.array([np.log(table.sounds[name].stay) if lasts else -np.inf for name, _, lasts in states])
    moves = np.array([np.log(1 - table.sounds[name].stay) if lasts else 0.0 for name, _, lasts in states])
    pause = np.array([word < 0 for _, word, _ in states])
    count = len(states)
    ways = np.full((3, count), -np.inf)
    best = np.full(count, -np.inf)
    best[0] = chances[0, 0]
    came = np.zeros((len(seen), count), np.int8)
    for step in range(1, len(seen)):
        ways[0] = best + stays
        ways[1, 1:] = best[:-1] + moves[:-1] - _PAUSE_COST * pause[1:]
        ways[2, 2:] = np.where(pause[1:-1], best[:-2] + moves[:-2], -np.inf)
        came[step] = ways.argmax(axis=0)
        best = ways.max(axis=0) + chances[step]
    path = np.empty(len(seen), np.intp)
    state = count - 1
    for step in range(len(seen) - 1, -1, -1):
        path[step] = state
        state -= int(came[step, state])
    return path


def _spans(owner: NDArray[np.intp], count: int, frames: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for word in range(count):
        steps = np.flatnonzero(owner == word)
        spans.append((int(steps[0]) * _STEP, min(frames, (int(steps[-1]) + 1) * _STEP)))
    return spans


def _in_proportion(words: Sequence[str], frames: int) -> list[tuple[int, int]]:
    """Of speech too short for its words: each gets its share."""
    ends = np.cumsum([length(word) for word in words])
    edges = np.rint(np.concatenate([[0.0], ends / max(float(ends[-1]), 1e-9)]) * frames).astype(int)
    return [(int(begin), int(end)) for begin, end in itertools.pairwise(edges)]
