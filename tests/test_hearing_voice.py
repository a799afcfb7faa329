"""What one caller's ears make of phrases: the contract, and calm and angry readings of one sentence."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from processors.hearing.cues import EMOTIONS, Cue
from processors.hearing.recipe.corpora import read
from processors.hearing.voice import Hearer, shipped
from tests.speech import needs, needs_heads, real

RATE = 16000
pytestmark = needs_heads


@pytest.fixture(autouse=True)
def _weights():
    needs("moonshine-tiny-en")


def jfk() -> np.ndarray:
    return read(real("read_speech/jfk.flac"))


def wellformed(cue: Cue) -> None:
    assert set(cue.emotions) == set(EMOTIONS)
    assert sum(cue.emotions.values()) == pytest.approx(1)
    for score in (cue.arousal, cue.valence):
        assert all(0 <= value <= 1 for value in (score.absolute, score.relative, score.combined))
    assert 0 <= cue.hesitation <= 1
    assert cue.pace is None or 0 < cue.pace < 15
    numbers = [cue.loudness, cue.pace_trend, cue.loudness_trend]
    assert np.isfinite(numbers).all()
    json.dumps(asdict(cue))


def test_a_phrase_has_a_cue_with_its_place():
    cue = Hearer().hear(jfk()[: 3 * RATE], 1000)
    wellformed(cue)
    assert (cue.start, cue.end) == (1000, 1000 + 3 * RATE)
    assert cue.turns_heard == 0
    assert 1.5 < cue.pace < 6
    assert -40 < cue.loudness < -10


def test_the_same_speech_gives_the_same_cues():
    def cues() -> list[Cue | None]:
        hearer, speech, found = Hearer(), jfk(), []
        for start in range(0, 9 * RATE, 3 * RATE):
            found += [hearer.hear(speech[start : start + 3 * RATE], start), hearer.turn_done()]
        return found

    assert cues() == cues()


@pytest.mark.parametrize("gain", [0.03, 0.25, 2.0])
def test_gain_changes_the_loudness_only(gain):
    speech = jfk()[: 3 * RATE] * np.float32(0.4)
    one, other = Hearer().hear(speech), Hearer().hear(speech * np.float32(gain))
    assert other.loudness == pytest.approx(one.loudness + 20 * np.log10(gain), abs=0.1)
    assert other.arousal.combined == pytest.approx(one.arousal.combined, abs=0.03)
    assert other.emotions == pytest.approx(one.emotions, abs=0.03)
    assert other.pace == pytest.approx(one.pace, rel=0.1)


def test_silence_leans_nowhere_and_is_no_turn():
    hearer = Hearer()
    cue = hearer.hear(np.zeros(RATE, np.float32), 5)
    wellformed(cue)
    assert cue.pace is None
    assert cue.arousal.combined == cue.valence.combined == 0.5
    assert hearer.turn_done() is None
    assert hearer.turns_heard == 0


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (np.zeros(4000, np.float32), "at least"),
        (np.zeros((2, RATE), np.float32), "mono"),
        (np.full(RATE, np.nan, np.float32), "finite"),
        (np.full(RATE, np.inf, np.float32), "finite"),
    ],
)
def test_bad_audio_is_refused_and_changes_nothing(samples, complaint):
    hearer = Hearer()
    with pytest.raises(ValueError, match=complaint):
        hearer.hear(samples)
    assert hearer.turn_done() is None


def test_any_sound_gives_a_wellformed_cue():
    random = np.random.default_rng(0)
    for sound in (random.standard_normal(RATE), np.ones(RATE), np.eye(1, RATE, 99)[0], np.sin(np.arange(RATE) / 9)):
        wellformed(Hearer().hear(sound.astype(np.float32)))


def test_a_long_phrase_is_heard_by_its_end():
    speech = np.tile(jfk(), 4)
    cue = Hearer().hear(speech)
    wellformed(cue)
    assert cue.end == len(speech)
    assert cue.arousal == Hearer().hear(speech[-30 * RATE :]).arousal


def test_a_turn_is_its_phrases_together():
    hearer, speech = Hearer(), jfk()
    first, second = hearer.hear(speech[: 3 * RATE], 0), hearer.hear(speech[3 * RATE : 7 * RATE], 3 * RATE)
    turn = hearer.turn_done()
    wellformed(turn)
    assert (turn.start, turn.end) == (0, 7 * RATE)
    assert min(first.loudness, second.loudness) <= turn.loudness <= max(first.loudness, second.loudness)
    assert hearer.turns_heard == 1
    assert hearer.turn_done() is None


def test_phrases_of_the_next_turn_may_be_heard_before_this_one_is_over():
    speech = jfk()
    hearer, other = Hearer(), Hearer()
    first, second = hearer.hear(speech[: 3 * RATE], 0), hearer.hear(speech[3 * RATE : 7 * RATE], 3 * RATE)
    assert hearer.joined([first]) == first
    assert hearer.turn_done([first]).end == 3 * RATE
    assert hearer.turn_done([first]) is None
    other.hear(speech[: 3 * RATE], 0)
    other.turn_done()
    assert hearer.joined([second]) == other.hear(speech[3 * RATE : 7 * RATE], 3 * RATE)


def test_nothing_heard_joins_to_a_cue_that_leans_nowhere():
    hearer = Hearer()
    silent = [hearer.hear(np.zeros(RATE, np.float32), n * RATE) for n in range(2)]
    joined = hearer.joined(silent)
    assert (joined.start, joined.end, joined.pace) == (0, 2 * RATE, None)
    with pytest.raises(ValueError, match="no cues"):
        hearer.joined([])


def test_phrases_are_heard_beside_the_turns_before_not_beside_one_another():
    hearer, speech = Hearer(), jfk()
    alone = hearer.hear(speech[: 3 * RATE])
    again = hearer.hear(speech[: 3 * RATE])
    assert again == alone
    hearer.turn_done()
    later = hearer.hear(speech[: 3 * RATE])
    assert later.arousal.absolute == alone.arousal.absolute
    assert later.arousal.relative == pytest.approx(0.5)
    assert later.turns_heard == 1


def test_trends_are_told_from_the_third_turn_on():
    hearer, speech = Hearer(), jfk()[: 3 * RATE]
    trends = []
    for turn in range(4):
        cue = hearer.hear(speech * np.float32(0.5**turn), turn * 60 * RATE)
        trends.append(cue.loudness_trend)
        hearer.turn_done()
    assert trends[:3] == [0, 0, 0]
    assert trends[3] == pytest.approx(-6.02, abs=0.05)


def test_heads_are_loaded_once():
    assert Hearer().heads is Hearer().heads is shipped()
    assert set(EMOTIONS) <= set(shipped().emotions.classes)
