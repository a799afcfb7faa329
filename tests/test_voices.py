"""The personas' voices, synthesised: told apart by pitch and resonance as designed, and understood."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import signal

from pipelines import personas
from pipelines.lab import voices
from pipelines.lab.voices import RATE, Voices, embedded, measure, sound, stretch
from processors.pcm import Samples
from tests.speech import needs

NAMES = ("ferni", "peter", "maya", "alex", "jordan", "nayan")
SENTENCE = "Thank you for waiting, we can look at your booking together."


@pytest.fixture(scope="module")
def spoken() -> dict[str, Samples]:
    """The sentence in each voice."""
    needs("hibari-heart")
    speak = embedded(NAMES)
    return {name: speak(name, SENTENCE) for name in NAMES}


def controls(name: str, control: str, otherwise: float) -> float:
    return float(personas.load(name).voices.get("embedded", {}).get(control, otherwise))


# --- the six ---


def test_their_pitches_are_apart_as_designed(spoken: dict[str, Samples]) -> None:
    pitch = {name: sound(samples).pitch for name, samples in spoken.items()}
    designed = {name: controls(name, "pitch", 0.0) for name in NAMES}
    assert sorted(NAMES, key=lambda name: pitch[name]) == sorted(NAMES, key=lambda name: designed[name])
    for one, other in combinations(NAMES, 2):
        assert abs(12 * np.log2(pitch[one] / pitch[other])) > 1.5, (one, other)
    for name in NAMES:
        moved = 12 * np.log2(pitch[name] / pitch["ferni"])
        assert moved == pytest.approx(designed[name], abs=1.0), name


def test_their_resonances_are_apart_as_designed(spoken: dict[str, Samples]) -> None:
    own = sound(spoken["ferni"]).envelope
    found = {name: stretch(sound(samples).envelope, own) for name, samples in spoken.items()}
    for name in NAMES:
        assert found[name] == pytest.approx(controls(name, "formant", 1.0), abs=0.06), name


def test_the_recogniser_hears_each(spoken: dict[str, Samples]) -> None:
    needs("moonshine-tiny-en")
    from pipelines.stacks.embedded import RECOGNISER

    said = voices.words(SENTENCE)
    heard = {name: voices.words(RECOGNISER.get().transcribe(samples)) for name, samples in spoken.items()}
    wrong = {name: voices.errors(said, words) for name, words in heard.items()}
    assert max(wrong.values()) <= 2, heard
    assert sum(wrong.values()) / (len(said) * len(NAMES)) <= 0.05, heard


def test_a_few_sentences_tell_who_speaks() -> None:
    needs("hibari-heart")
    told: list[tuple[str, int, int]] = []
    found = measure(
        NAMES,
        embedded(NAMES),
        lambda samples: "hello there",
        lambda *now: told.append(now),
        learnt=voices.LEARNT[:4],
        asked=voices.ASKED[:2],
    )
    assert found.identified["both"] >= 0.9
    assert [voice.name for voice in found.voices] == list(NAMES)
    assert len(found.pairs) == 15
    assert (told[0], told[-1]) == (("ferni", 0, 36), ("nayan", 35, 36))
    # Nothing of what was said was heard.
    assert all(voice.word_errors == 1.0 for voice in found.voices)


# --- the measures ---


def buzz(hertz: float, formants: tuple[float, ...] = (500.0, 1500.0, 2500.0), secs: float = 0.6) -> Samples:
    """Pulses through resonances: a vowel."""
    at = np.arange(round(secs * RATE))
    samples = sum(np.cos(2 * np.pi * hertz * n * at / RATE) for n in range(1, int(7500 / hertz)))
    for formant in formants:
        radius = np.exp(-np.pi * 90 / RATE)
        samples = signal.lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], samples)
    return np.asarray(0.5 * samples / np.abs(samples).max(), np.float32)


@pytest.mark.parametrize("hertz", [75.0, 100.0, 151.0, 220.0, 330.0, 440.0])
def test_pitch(hertz: float) -> None:
    assert sound(buzz(hertz)).pitch == pytest.approx(hertz, rel=0.01)
    assert sound(buzz(hertz)).melody < 0.5


def test_the_pitch_of_noise_and_of_silence_is_none() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    assert not voices.pitches(noise)[1].any()
    for nothing in (noise, np.zeros(RATE, np.float32), np.zeros(10, np.float32)):
        with pytest.raises(ValueError, match="nothing here is voiced"):
            sound(nothing)


@pytest.mark.parametrize("ratio", [0.8, 0.9, 1.1, 1.2])
def test_resonances_are_told_from_pitch(ratio: float) -> None:
    own = sound(buzz(110.0)).envelope
    larger = sound(buzz(110.0, tuple(ratio * formant for formant in (500.0, 1500.0, 2500.0)))).envelope
    higher = sound(buzz(140.0)).envelope
    assert stretch(larger, own) == pytest.approx(ratio, abs=0.04)
    assert stretch(higher, own) == pytest.approx(1.0, abs=0.04)


def test_loudness_is_no_part_of_the_envelope() -> None:
    loud = sound(buzz(120.0))
    soft = sound(0.05 * buzz(120.0))
    assert soft.envelope == pytest.approx(loud.envelope, abs=0.1)


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("one two three", "one two three", 0),
        ("One, two. Three!", "one two three", 0),
        ("It's half past nine", "its half past nine", 1),
        ("one two three", "one three", 1),
        ("one two", "one and two", 1),
        ("one two", "", 2),
        ("", "one", 1),
        ("one two three", "two three four", 2),
        ("$5 please", "five dollars please", 0),
    ],
)
def test_word_errors(said: str, heard: str, wrong: int) -> None:
    assert voices.errors(voices.words(said), voices.words(heard)) == wrong


def standins(pitch: dict[str, float], formants: dict[str, float]) -> Voices:
    """Voices that buzz, each sentence a little otherwise."""

    def speak(name: str, text: str) -> Samples:
        generator = np.random.default_rng([ord(letter) for letter in text])
        hertz = pitch[name] * 2 ** (generator.normal(0, 0.3) / 12)
        return buzz(hertz, tuple(formants[name] * each for each in generator.normal((500, 1500, 2500), 20)))

    return measure(
        list(pitch), speak, lambda samples: "one", learnt=("a", "b", "c", "d"), asked=("one", "two", "one two", "on")
    )


def test_voices_that_are_the_same_are_told_apart_by_nothing() -> None:
    same = standins({"a": 120.0, "b": 120.0}, {"a": 1.0, "b": 1.0})
    assert same.identified == {"pitch": 0.5, "timbre": 0.5, "both": 0.5}
    (pair,) = same.pairs
    assert (pair.semitones, pair.envelope) == (0.0, 0.0)


def test_what_tells_two_voices_apart_is_told() -> None:
    higher = standins({"a": 120.0, "b": 160.0}, {"a": 1.0, "b": 1.0})
    assert higher.identified["pitch"] == higher.identified["both"] == 1.0
    larger = standins({"a": 120.0, "b": 120.0}, {"a": 1.0, "b": 0.8})
    assert larger.identified == {"pitch": 0.5, "timbre": 1.0, "both": 1.0}
    assert larger.voices[1].formant == pytest.approx(0.8, abs=0.04)
    assert [voice.word_errors for voice in larger.voices] == [3 / 5, 3 / 5]


def test_figures_for_people_and_for_programs_are_the_same() -> None:
    found = standins({"a": 120.0, "b": 160.0}, {"a": 1.0, "b": 0.8})
    given = voices.as_json(found)
    assert [each["name"] for each in given["voices"]] == ["a", "b"]
    assert given["identified"] == {"pitch": 1.0, "timbre": 1.0, "both": 1.0}
    assert given["pairs"][0]["voices"] == ["a", "b"]
    assert given["sentences"] == 4
    shown = voices.table(found)
    assert shown.row_count == 2
    assert "a and b" in str(shown.caption)
    assert next(iter(shown.columns[1].cells)) == f"{given['voices'][0]['pitch_hz']:.0f} Hz"


def test_too_little_to_compare_is_refused() -> None:
    def unused(*given: object) -> Samples:
        raise AssertionError

    for names, learnt, asked in ((["a"], "ab", "c"), (["a", "b"], "a", "c"), (["a", "b"], "ab", "")):
        with pytest.raises(ValueError, match="at least two voices"):
            measure(names, unused, lambda samples: "", learnt=tuple(learnt), asked=tuple(asked))
