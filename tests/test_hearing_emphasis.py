"""Words are found in the voice, and those that stand out are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from processors.hearing import prosody
from processors.hearing.alignment import aligned, learnt, length, sounds, syllables
from processors.hearing.emphasis import FEWEST, Stretch, Word, emphasised, prominence, words_of
from processors.hearing.level import spoken
from processors.hearing.prosody import Contours
from processors.hearing.recipe.corpora import read
from processors.pcm import Samples
from tests.speech import DATA, needs, real

RATE = 16000


def contours(samples: Samples) -> Contours:
    speech = spoken(samples)
    assert speech is not None
    return prosody.contours(speech.samples)


def voiced(pitch: float, level: float, secs: float) -> Samples:
    """A vowel-like sound: harmonics under two formants, at a level in dB."""
    time = np.arange(round(secs * RATE)) / RATE
    partials = np.arange(1, 25)[:, None]
    weight = np.exp(-(((partials * pitch - 600) / 400) ** 2)) + 0.4 * np.exp(-(((partials * pitch - 1500) / 500) ** 2))
    sound = (weight * np.sin(2 * np.pi * pitch * partials * time)).sum(axis=0)
    edge = np.clip(np.minimum(time, time[::-1]) / 0.03, 0, 1)
    return (sound / np.sqrt(np.mean(sound**2)) * edge * 0.05 * 10 ** (level / 20)).astype(np.float32)


def made(stressed: int | None) -> tuple[Samples, tuple[Word, ...]]:
    """Seven words of a syllable each; one of them higher, louder and longer."""
    pieces, words, at = [], [], 0.0
    for place, text in enumerate("mole vane rain gull wall line dome".split()):
        own = place == stressed
        sound = voiced(170 if own else 120 - place, 6 if own else 0, 0.4 if own else 0.22)
        gap = np.zeros(round(0.08 * RATE), np.float32)
        words.append(Word(text + ("," if place == 3 else ""), at, at + len(sound) / RATE))
        at += (len(sound) + len(gap)) / RATE
        pieces += [sound, gap]
    return np.concatenate(pieces), tuple(words)


@pytest.mark.parametrize("stressed", [1, 3, 5])
def test_the_word_that_is_louder_higher_and_longer_is_told_without_its_comma(stressed: int) -> None:
    samples, words = made(stressed)
    said = ("mole", "vane", "rain", "gull", "wall", "line", "dome")[stressed]
    assert emphasised(words, [Stretch(0, contours(samples))]) == (said,)


def test_where_all_are_alike_none_is_told() -> None:
    samples, words = made(None)
    assert emphasised(words, [Stretch(0, contours(samples))]) == ()


def test_times_of_the_recogniser_may_count_from_anywhere() -> None:
    samples, words = made(2)
    late = tuple(Word(word.text, (word.start or 0) + 37.5, (word.end or 0) + 37.5) for word in words)
    assert emphasised(late, [Stretch(5 * RATE, contours(samples))]) == ("rain",)


def test_a_turn_in_pieces_is_one_turn() -> None:
    samples, words = made(4)
    cut = round(((words[3].end or 0) + 0.04) * RATE)
    silence = np.zeros(RATE, np.float32)
    pause = len(silence) / RATE
    shifted = tuple(
        Word(word.text, (word.start or 0) + pause * (place > 3), (word.end or 0) + pause * (place > 3))
        for place, word in enumerate(words)
    )
    first, second = prosody.contours(samples[:cut]), prosody.contours(samples[cut:])
    assert emphasised(shifted, [Stretch(0, first), Stretch(cut + len(silence), second)]) == ("wall",)


def test_too_few_words_tell_nothing_of_what_is_usual() -> None:
    samples, words = made(1)
    assert emphasised(words[: FEWEST - 1], [Stretch(0, contours(samples))]) == ()
    assert emphasised(words, []) == ()


def test_a_word_that_is_hardly_ever_stressed_counts_for_more() -> None:
    samples, words = made(None)
    heard = contours(samples)
    places = [(30 * place, 30 * place + 22) for place in range(len(words))]
    plain = prominence(["mole", "vane", "rain", "gull", "wall", "line", "dome"], heard, places)
    function = prominence(["mole", "vane", "rain", "the", "wall", "line", "dome"], heard, places)
    assert function[3] > plain[3] + 0.9


def test_words_of_a_transcript() -> None:
    assert [word.text for word in words_of("No - I said: the blue one!")] == ["No", "I", "said:", "the", "blue", "one!"]
    assert words_of(" … ") == ()


@pytest.mark.parametrize(
    ("word", "count"), [("blue", 1), ("jacket", 2), ("stone", 1), ("table", 2), ("7", 2), ("xyz", 1)]
)
def test_syllables_by_spelling(word: str, count: int) -> None:
    assert syllables(word) == count
    assert length(word) > 0


@pytest.mark.parametrize("words", [["a"], ["one", "two"], ["…", "what?"], ["strengths"] * 40])
def test_any_words_have_places_in_order_within_what_was_heard(words: list[str]) -> None:
    heard = contours(np.random.default_rng(0).standard_normal(RATE).astype(np.float32) / 20)
    places = aligned(words, heard)
    edges = np.array(places)
    assert len(places) == len(words)
    assert (edges[:, 0] <= edges[:, 1]).all()
    assert (np.diff(edges[:, 0]) >= 0).all()
    assert edges.min() >= 0
    assert edges.max() <= len(heard.energy)
    assert aligned([], heard) == []


def test_words_are_found_within_fifty_milliseconds_in_speech_whose_times_are_known() -> None:
    real("turn_vap_phrases/basketball_long_female_en-US-Wavenet-C.flac")
    lines = (DATA / "manifest_audio.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    off = []
    for row in [row for row in rows if row["path"].startswith("turn_vap_phrases/")][::5]:
        samples = read(DATA / row["path"])
        speech = spoken(samples)
        assert speech is not None
        cut = (int(np.abs(samples).argmax()) - int(np.abs(speech.samples).argmax())) / RATE
        places = aligned(row["words"], prosody.contours(speech.samples))
        off += [abs(begin / 100 + cut - start) for (begin, _), start in zip(places, row["starts"], strict=True)][1:]
    assert len(off) > 100
    assert np.mean(off) < 0.05


def test_learning_starts_from_the_table_and_looks_at_what_it_is_given() -> None:
    samples, words = made(None)
    table = sounds()
    heard = contours(samples)
    again = learnt([([word.text for word in words], heard)] * 2, table, 1)
    assert set(again.sounds) == set(table.sounds)
    # These vowels are much alike.
    assert again.sounds["vowel"].deviation[2] < table.sounds["vowel"].deviation[2]
    assert again.sounds["sibilant"] == table.sounds["sibilant"]


def test_a_word_that_hibari_stresses_stands_out_more_than_when_it_does_not() -> None:
    needs("hibari-heart")
    import soxr

    from pipelines.stacks.embedded import SYNTHESISER

    speech = SYNTHESISER.get().speak("I ordered the blue jacket last Tuesday.")
    texts = [word.text for word in speech.words]
    loud = speech.samples.copy()
    word = speech.words[3]
    gain = np.ones(len(loud))
    gain[round(word.start * 24000) : round(word.end * 24000)] = 10 ** (9 / 20)
    loud *= uniform_filter1d(gain, 480).astype(np.float32)

    def score(samples: Samples) -> float:
        heard = contours(soxr.resample(samples, 24000, RATE))
        return float(prominence(texts, heard, aligned(texts, heard))[3])

    assert score(loud) > score(speech.samples) + 0.5
