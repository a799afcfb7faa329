"""The benchmark of what is kept of a manner of speaking: nothing scores 0, what is always told scores 1."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.lab.bench_latency import BenchError
from pipelines.lab.retention import bench, calls, kept, plot
from pipelines.lab.retention.bench import Carried, Retention
from pipelines.lab.retention.calls import Passed
from pipelines.lab.retention.manners import ACTED, ACTORS, Said, people
from pipelines.lab.retention.sounds import NOTHING, STEPS, Sound, sound, syllables
from pipelines.lab.retention.telling import Floats, by_sound, by_words, differs, score, told_apart, words_in
from processors.hearing.level import STANDARD, spoken
from tests.speech import say
from tests.traced import ARCHITECTURE, speech, stack

MANNERS = ("neutral", "happy", "sad", "angry")
SPEAKERS = ("one", "two", "three", "four", "five")
WHO = [speaker for speaker in SPEAKERS for _ in MANNERS]
HOW = [manner for _ in SPEAKERS for manner in MANNERS]
PLAIN = Sound(pitch=12.0, melody=6.0, level=-24.0, pace=4.0, brightness=-10.0)


def told_by_words(things: list[frozenset[str]]) -> float:
    return score([told_apart(things, HOW, WHO, by_words)], WHO, len(MANNERS)).value


def told_by_sound(things: list[Floats]) -> float:
    return score([told_apart(things, HOW, WHO, by_sound)], WHO, len(MANNERS)).value


# --- the two listeners ---


def test_where_nothing_differs_nothing_is_told() -> None:
    for words in ({"the", "same"}, set[str]()):
        things = [frozenset(words)] * len(WHO)
        assert told_apart(things, HOW, WHO, by_words) == pytest.approx(0.25)
        assert told_by_words(things) == 0.0
    assert told_by_sound([PLAIN.steps] * len(WHO)) == 0.0


def test_what_is_the_same_for_all_speakers_and_another_for_each_manner_is_always_told() -> None:
    assert told_by_words([frozenset({"so", manner}) for manner in HOW]) == 1.0
    pitches = {manner: 12.0 + 2 * number for number, manner in enumerate(MANNERS)}
    assert told_by_sound([replace(PLAIN, pitch=pitches[manner]).steps for manner in HOW]) == 1.0


def test_if_one_of_four_manners_stands_out_a_third_is_told() -> None:
    # One in four is always right; of the others one in three is: a half, which is a third of the way from a quarter.
    things = [frozenset({"upset"} if manner == "angry" else ()) for manner in HOW]
    assert told_by_words(things) == pytest.approx(1 / 3)
    assert told_by_sound([replace(PLAIN, pace=3.2 if m == "angry" else 4.0).steps for m in HOW]) == pytest.approx(1 / 3)


def test_what_is_a_habit_of_one_speaker_tells_nobody_else_anything() -> None:
    assert told_by_words([frozenset({f"{speaker} {manner}"}) for speaker, manner in zip(WHO, HOW, strict=True)]) == 0.0
    habits = {speaker: 5.0 * number for number, speaker in enumerate(SPEAKERS)}
    assert told_by_sound([replace(PLAIN, pitch=habits[speaker]).steps for speaker in WHO]) == 0.0


def test_what_nobody_would_notice_is_no_difference() -> None:
    little = {manner: 0.1 * STEPS["pitch"] * number for number, manner in enumerate(MANNERS)}
    assert told_by_sound([replace(PLAIN, pitch=12.0 + little[manner]).steps for manner in HOW]) == 0.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sets(st.sampled_from("abcde"), max_size=3), min_size=len(WHO), max_size=len(WHO)), st.randoms())
def test_a_score_is_between_none_and_all_and_does_not_hang_on_the_order(words: list[set[str]], random: object) -> None:
    things = [frozenset(each) for each in words]
    found = score([told_apart(things, HOW, WHO, by_words)], WHO, len(MANNERS))
    assert 0.0 <= found.low <= found.high <= 1.0
    order = list(range(len(WHO)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = told_apart([things[at] for at in order], [HOW[at] for at in order], [WHO[at] for at in order], by_words)
    assert mixed == pytest.approx(told_apart(things, HOW, WHO, by_words)[order])


def test_chance_alone_tells_little() -> None:
    random = np.random.default_rng(1)
    speakers = [str(number) for number in range(40) for _ in MANNERS]
    manners = [manner for _ in range(40) for manner in MANNERS]
    words = [frozenset(random.choice(list("abcdefgh"), 3)) for _ in speakers]
    sounds = [PLAIN.steps + random.normal(0, 3, len(STEPS)) for _ in speakers]
    assert score([told_apart(words, manners, speakers, by_words)], speakers, len(MANNERS)).value < 0.15
    assert score([told_apart(sounds, manners, speakers, by_sound)], speakers, len(MANNERS)).value < 0.15


def test_the_mean_over_stages_counts_each_as_much_and_worse_than_chance_as_nothing() -> None:
    all_right, all_wrong, chance = np.ones(len(WHO)), np.zeros(len(WHO)), np.full(len(WHO), 0.25)
    assert score([all_right, all_wrong, chance], WHO, len(MANNERS)).value == pytest.approx(1 / 3)
    known = score([all_right], WHO, len(MANNERS))
    assert (known.value, known.low, known.high) == (1.0, 1.0, 1.0)


def test_an_interval_over_speakers_is_wide_where_they_are_of_two_kinds() -> None:
    halves = np.array([1.0 if speaker in SPEAKERS[:3] else 0.25 for speaker in WHO])
    found = score([halves], WHO, len(MANNERS))
    assert found.value == pytest.approx(0.6)
    assert found.low < 0.3 < 0.9 < found.high


def test_manners_that_not_everybody_has_are_no_question() -> None:
    with pytest.raises(ValueError, match="each of them in every manner"):
        told_apart([frozenset[str]()] * 3, ["sad", "happy", "sad"], ["one", "one", "two"], by_words)
    with pytest.raises(ValueError, match="at least two speakers"):
        told_apart([frozenset[str]()] * 2, ["sad", "happy"], ["one", "one"], by_words)


def test_pairs_differ_within_a_speaker_only() -> None:
    assert differs(["a", "a", "b", "b"], ["one", "one", "two", "two"], lambda one, other: one != other) == 0.0
    assert differs(["a", "b", "b", "b"], ["one", "one", "two", "two"], lambda one, other: one != other) == 0.5


# --- what is said ---


def recordings(folder: Path, actors: int = ACTORS) -> Path:
    """Tones in place of actors, each manner as loud as another."""
    (folder / "emotion_ravdess").mkdir(parents=True)
    for actor in range(1, actors + 1):
        for emotion in ACTED.values():
            for intensity in ("01", "02"):
                for sentence in ("01", "02"):
                    name = f"03-01-{emotion}-{intensity}-{sentence}-01-{actor:02d}.flac"
                    loud = speech(0.6) * (0.05 if intensity == "01" else 0.5)
                    soundfile.write(folder / "emotion_ravdess" / name, loud, 16000)
    return folder


def test_each_actor_says_one_sentence_in_every_manner_at_one_level(tmp_path: Path) -> None:
    said = people(recordings(tmp_path))
    assert Counter(each.manner for each in said) == dict.fromkeys(ACTED, ACTORS)
    assert len({each.speaker for each in said}) == ACTORS
    for each in said:
        heard = spoken(each.samples)
        assert heard is not None
        assert heard.level == pytest.approx(STANDARD, abs=0.5)


def test_a_recording_that_is_missing_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"03-01-01-01-01-01-01\.flac: is not there: .* with --data"):
        people(tmp_path)


# --- how it sounds ---


def test_a_sound_is_measured_by_what_was_done_to_it() -> None:
    words = "Let me see what I can do about that for you."
    samples = say(words)
    plain, quieter = sound(samples, words), sound(samples * np.float32(0.5), words)
    assert quieter.level == pytest.approx(plain.level - 6.02, abs=0.1)
    assert quieter.pitch == pytest.approx(plain.pitch, abs=0.05)
    slow = np.interp(np.arange(0, len(samples), 0.8), np.arange(len(samples)), samples).astype(np.float32)
    slower = sound(slow, words)
    assert slower.pitch == pytest.approx(plain.pitch - 12 * np.log2(1.25), abs=0.3)
    assert slower.pace == pytest.approx(plain.pace / 1.25, rel=0.1)


@pytest.mark.parametrize(
    ("words", "count"), [("One moment, please.", 4), ("I see.", 2), ("Are you able to wait?", 6), ("", 0)]
)
def test_syllables_are_counted_in_what_is_written(words: str, count: int) -> None:
    assert syllables(words) == count


def test_silence_sounds_like_nothing() -> None:
    assert sound(np.zeros(16000, np.float32), "") == NOTHING
    assert np.isfinite(NOTHING.steps).all()


# --- calls and figures ---


def test_a_call_tells_what_was_heard_told_and_answered_and_how_the_same_words_sounded() -> None:
    said = Said("people", "one", "angry", speech(1.0))
    loud = calls.hold(ARCHITECTURE, stack(["It is late."], ["So it is."]), said)
    softly = replace(said, samples=speech(1.0) * np.float32(0.25))
    quiet = calls.hold(ARCHITECTURE, stack(["It is late."], ["Good night."]), softly)
    assert (loud.heard, loud.told, loud.settings) == ("It is late.", "", frozenset())
    assert (loud.answer, quiet.answer) == ("So it is.", "Good night.")
    assert loud.sound.pace > 0
    assert words_in(loud.heard) == {"it", "is", "late", "."}
    assert np.abs(loud.sound.steps - quiet.sound.steps).max() < 0.1


def passed(speaker: str, manner: str, *, kept: bool) -> Passed:
    pitch = 12.0 + (2 * MANNERS.index(manner) if kept else 0)
    return Passed(
        Said("people", speaker, manner, np.zeros(0, np.float32)),
        heard="Kids are talking.",
        told=f"The caller sounds {manner}." if kept else "",
        settings=frozenset({f"pitch {pitch}"}) if kept else frozenset(),
        answer="I see.",
        sound=replace(PLAIN, pitch=pitch),
        own=PLAIN,
    )


@pytest.fixture
def result() -> Retention:
    both = [
        Carried(name, tuple(passed(speaker, manner, kept=kept) for speaker, manner in zip(WHO, HOW, strict=True)))
        for name, kept in (("flat", False), ("faithful", True))
    ]
    return Retention("scripted", "a machine", "2026-11-28", tuple(both))


def test_an_architecture_that_carries_nothing_scores_0_and_one_that_carries_all_1(result: Retention) -> None:
    flat, faithful = result.carried
    assert (flat.score.value, faithful.score.value) == (0.0, 1.0)
    assert flat.differing("people") == {"words": 0.0, "told": 0.0, "settings": 0.0, "sound": 0.0}
    assert faithful.differing("people") == {"words": 0.0, "told": 1.0, "settings": 1.0, "sound": 1.0}
    assert faithful.sounds("people")["angry"].pitch == 18.0


def test_the_figures_go_to_json_and_a_table(result: Retention) -> None:
    found = json.loads(json.dumps(result.as_json()))
    figures = found["architectures"]["faithful"]
    assert figures["score"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert figures["groups"]["people"]["told"]["prompt"]["value"] == 1.0
    assert len(figures["calls"]) == len(WHO)
    assert bench.table(result)


def test_what_is_kept_is_shown_with_its_source_for_that_stack_alone(result: Retention, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    assert kept.kept("faithful", "scripted", file) is None
    kept.keep(result, file)
    found = kept.kept("faithful", "scripted", file)
    assert found is not None
    assert found.score.value == 1.0
    assert "measured on a machine, 2026-11-28, with the stack scripted: 5 speakers" in found.source
    assert kept.kept("faithful", "embedded", file) is None
    assert kept.kept("unknown", "scripted", file) is None


def test_the_scores_that_ship_are_of_a_whole_run() -> None:
    for name in ("basic_cascade", "advanced_cascade"):
        found = kept.kept(name, "embedded")
        assert found is not None
        assert found.speakers == ACTORS
        assert 0.0 <= found.score.low <= found.score.value <= found.score.high <= 1.0


def test_a_picture_is_drawn(result: Retention, tmp_path: Path) -> None:
    plot.draw(result, tmp_path / "retention.png")
    assert (tmp_path / "retention.png").read_bytes().startswith(b"\x89PNG")
