"""What emotions are worth on the two axes that every cue has, and which are told apart by name."""

from __future__ import annotations

from collections.abc import Mapping

AROUSAL: Mapping[str, float] = {
    "angry": 1,
    "happy": 1,
    "fearful": 1,
    "surprised": 1,
    "neutral": 0,
    "calm": 0,
    "sad": 0,
    "bored": 0,
}
"""1 for those that are said with excitement, 0 for calm ones. Disgust is said either way."""

VALENCE: Mapping[str, float] = {
    "happy": 1,
    "calm": 0.6,
    "neutral": 0.5,
    "bored": 0.3,
    "angry": 0,
    "fearful": 0,
    "sad": 0,
    "disgust": 0,
}
"""1 for pleasant ones, 0 for unpleasant ones. Surprise is either."""
