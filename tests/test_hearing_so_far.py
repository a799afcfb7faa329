"""What is heard while a turn goes on, and turns that end before their words come."""

from __future__ import annotations

import numpy as np
import pytest

from processors.hearing.cues import RATE
from processors.hearing.phrases import LEAD_SECS, SHORTEST_SECS, Part, Phrases

SECOND = np.ones(RATE, "<i2").tobytes()


def said(phrases: Phrases, number: int, seconds: int = 1) -> Part:
    """Somebody speaks, up to a frame of that number."""
    phrases.started(0.128)
    phrases.audio(SECOND * seconds, number - 1)
    part = phrases.stopped(number)
    assert part is not None
    return part


@pytest.mark.parametrize("ahead", [False, True], ids=["answered at its end", "answered ahead of its end"])
def test_a_turn_has_its_phrases_whether_it_ends_before_its_words_come_or_after(ahead: bool) -> None:
    phrases = Phrases()
    for begin in (0, 100, 200):
        part = said(phrases, begin + 10)
        words, end = (begin + 30, begin + 20) if ahead else (begin + 20, begin + 30)
        if ahead:
            assert phrases.of(begin + 15) == [part]  # the answer that is begun
            phrases.turn_ended(end)
        assert phrases.of(words) == [part]
        phrases.turn_ended(words)
        phrases.forget(words)
        if not ahead:
            phrases.turn_ended(end)
        assert phrases.of(begin + 40) == []


def test_what_had_no_words_belongs_to_no_later_turn() -> None:
    phrases = Phrases()
    said(phrases, 10)
    phrases.turn_ended(20)  # of which no words came
    part = said(phrases, 30)
    phrases.turn_ended(40)
    assert phrases.of(50) == [part]


def test_a_turn_in_which_nothing_could_be_heard_has_nothing_of_the_one_before() -> None:
    phrases = Phrases()
    said(phrases, 10)
    phrases.turn_ended(20)
    assert len(phrases.of(30)) == 1
    phrases.turn_ended(30)
    phrases.forget(30)
    phrases.turn_ended(40)  # a word too short to be heard
    assert phrases.of(50) == []


def test_what_is_being_said_can_be_heard_before_it_is_complete() -> None:
    phrases = Phrases()
    phrases.audio(SECOND, 1)
    assert phrases.underway(2) is None
    phrases.started(0.1)
    assert phrases.underway(3) is not None  # with the moment before
    phrases.audio(SECOND, 4)
    so_far = phrases.underway(5)
    assert so_far is not None
    assert so_far.end == 2 * RATE
    assert len(so_far.samples) == pytest.approx((1.1 + LEAD_SECS) * RATE, abs=1)
    assert phrases.of(6) == []
    whole = phrases.stopped(7)
    assert whole is not None
    assert (whole.start, whole.end) == (so_far.start, so_far.end)
    assert phrases.underway(8) is None


def test_in_a_pause_nothing_is_under_way() -> None:
    phrases = Phrases()
    phrases.audio(SECOND, 1)
    phrases.started(SHORTEST_SECS)
    assert phrases.paused(2) is not None
    assert phrases.underway(3) is None
    phrases.resumed()
    assert phrases.underway(4) is not None
