"""A cue in words: nothing for a neutral one, and never more than is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.hearing.cues import EMOTIONS, Cue, Score
from processors.hearing.describe import AT_ODDS, CERTAIN, KNOWN_FROM, LIKELY, MOODS, SAD, describe


def cue(arousal: float = 0.5, valence: float = 0.5, **given: Any) -> Cue:
    """A cue that is neutral but for what is given; emotions by name as numbers."""
    emotions = {name: given.pop(name, 0.0) for name in EMOTIONS}
    emotions["neutral"] = 1 - sum(emotions.values())
    scores = {"arousal": Score(0.5, 0.5, arousal), "valence": Score(0.5, 0.5, valence)}
    return Cue(0, 32_000, emotions=emotions, **scores | {"pace": 4.5, "loudness": -23.0, "turns_heard": 6} | given)


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (cue(), ""),
        (cue(pace=None, turns_heard=0), ""),
        (cue(arousal=0.9), "(The caller sounds lively.)"),
        (cue(arousal=0.7), ""),
        (cue(valence=0.1), ""),
        (cue(angry=0.4, sad=0.3), ""),
        (cue(angry=0.8, pace_trend=0.2), "(The caller sounds upset and speaks faster than before.)"),
        (cue(angry=0.6), "(The caller may be upset.)"),
        (cue(sad=0.9), "(The caller sounds sad.)"),
        (cue(happy=0.8, laughter=0.9), "(The caller sounds happy and seems to laugh.)"),
        (cue(arousal=0.8, valence=0.2), "(The caller may be tense.)"),
        (cue(hesitation=0.8), "(The caller seems to be searching for words.)"),
        (cue(disagreement=0.9), "(The caller may mean something else than the words say.)"),
        (
            cue(sad=0.9, sigh=0.9, pace_trend=-0.2, loudness_trend=-4.0),
            "(The caller sounds sad, seems to sigh and speaks more slowly and more quietly than before.)",
        ),
    ],
)
def test_in_words(heard, words):
    assert describe(heard) == words


SCORES = st.floats(0, 1)
CUES = st.builds(
    cue,
    arousal=SCORES,
    valence=SCORES,
    angry=st.floats(0, 1 / 3),
    sad=st.floats(0, 1 / 3),
    happy=st.floats(0, 1 / 3),
    hesitation=SCORES,
    laughter=SCORES,
    sigh=SCORES,
    disagreement=SCORES,
    pace_trend=st.floats(-1, 1),
    loudness_trend=st.floats(-9, 9),
    turns_heard=st.integers(0, 9),
)


@given(CUES, st.sampled_from(["angry", "sad", "happy"]), SCORES)
def test_no_more_is_claimed_than_is_known(heard, name, likely):
    rest = (1 - likely) / 3
    heard = cue(
        **{other: likely if other == name else rest for other in ("angry", "sad", "happy")},
        turns_heard=heard.turns_heard,
        pace_trend=heard.pace_trend,
        disagreement=heard.disagreement,
    )
    words = describe(heard)
    enough = SAD if name == "sad" else LIKELY
    assert (f"sounds {MOODS[name]}" in words) == (likely >= max(enough, CERTAIN))
    assert (f"may be {MOODS[name]}" in words) == (enough <= likely < CERTAIN)
    assert "than before" not in words or heard.turns_heard >= KNOWN_FROM
    assert ("something else" in words) == (heard.disagreement >= AT_ODDS)


@given(CUES)
def test_it_is_one_short_line(heard):
    words = describe(heard)
    assert words == "" or (words.startswith("(The caller ") and words.endswith(".)"))
    assert "\n" not in words
    assert len(words) < 240
