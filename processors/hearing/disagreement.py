"""Whether words and voice say different things: pleasant words in an unpleasant voice, or the other way round.

A hint, no more. No recordings with labels of irony were to be had that may be used, so nothing is known of how often it
is right, and it never says what was meant: `processors.hearing.describe` calls it by what it is.
"""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path

from guardrails.data_file import Record, read

_REACH = 3  # words that a turning word turns
_DOUBT = 0.5  # of a word: one word says less than three


class Lexicon(Record):
    """Words, in small letters.

    Args:
        pleasant: Those that say that something is liked.
        unpleasant: Those that say that it isn't.
        turning: Those that turn what follows.
    """

    pleasant: frozenset[str]
    unpleasant: frozenset[str]
    turning: frozenset[str]


@functools.cache
def lexicon() -> Lexicon:
    """The words that come with the project."""
    return read(Path(__file__).with_name("disagreement.yaml"), Lexicon, ValueError)


def pleasantness(text: str) -> float:
    """What the words alone say, from -1, unpleasant, to 1, pleasant; 0 where they say neither."""
    known = lexicon()
    liked = disliked = 0
    turned_until = -1
    for place, word in enumerate(re.findall(r"[a-z']+", text.lower().replace("’", "'"))):
        if word in known.turning:
            turned_until = place + _REACH
        good, bad = word in known.pleasant, word in known.unpleasant
        if place <= turned_until:
            good, bad = bad, good
        liked += good
        disliked += bad
    return (liked - disliked) / (liked + disliked + _DOUBT)


def disagreement(text: str, valence: float) -> float:
    """How far words and voice are apart, from 0 to 1; 0 where either says nothing or both say the same.

    Args:
        text: What was said.
        valence: How the voice sounds, from 0, unpleasant, to 1, pleasant.
    """
    return math.sqrt(max(0.0, -pleasantness(text) * (2 * valence - 1)))
