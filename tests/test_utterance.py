from __future__ import annotations

import numpy as np

from processors.embedded.utterance import LEAD_SECS, LONGEST_SECS, RATE, Utterance


def pcm(seconds: float, level: int = 1000) -> bytes:
    return np.full(round(seconds * RATE), level, np.int16).tobytes()


def test_silence_before_speech_is_forgotten_but_for_a_lead() -> None:
    utterance = Utterance()
    for _ in range(100):
        utterance.add(pcm(0.1, 0))
    assert utterance.seconds < 2
    utterance.start(0.128)
    utterance.add(pcm(0.5))
    assert abs(utterance.seconds - (LEAD_SECS + 0.128 + 0.5)) < 1e-6


def test_all_of_a_long_utterance_is_kept_until_it_is_cut_where_it_is_quietest() -> None:
    utterance = Utterance()
    utterance.start(0.0)
    utterance.add(pcm(LONGEST_SECS - 2))
    assert utterance.split_if_long() is None
    utterance.add(pcm(0.2, 0))
    utterance.add(pcm(1.9))
    first = utterance.split_if_long()
    assert first is not None
    assert abs(len(first) / RATE - (LONGEST_SECS - 1.9)) < 0.2
    assert abs(len(first) / RATE + utterance.seconds - (LONGEST_SECS + 0.1)) < 1e-6
    assert utterance.split_if_long() is None


def test_samples_are_floats_below_one() -> None:
    utterance = Utterance()
    utterance.start(0.0)
    utterance.add(np.array([-32768, 0, 32767], np.int16).tobytes())
    assert utterance.samples().tolist() == [-1.0, 0.0, 32767 / 32768]
