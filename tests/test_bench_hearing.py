"""`antiphon bench hearing`: its figures are what they say, and are held to what was aimed at."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread
from rich.console import Console

from pipelines.lab import bench_hearing, hearing_plot
from pipelines.lab.bench_hearing import Aim, BenchError, Cost, Hearing, TimedEar, as_json, by_sound, check, ready, shown
from pipelines.lab.listening import Turn, Words
from processors.hearing.cues import RATE
from processors.hearing.recipe.corpora import HARD, Table
from processors.hearing.recipe.measuring import TURNS, Figure, arousal
from processors.hearing.recipe.training import Settings, fit, widened
from processors.hearing.voice import Heads, Hearer
from tests.speech import needs, needs_heads, say
from tests.test_cli import antiphon, one_line
from tests.test_hear import cue

NAMES = (
    "in order",
    "calibration error, in order",
    *(f"turn {turn}" for turn in TURNS),
    "after ten neutral turns",
    "after ten one mood turns",
    "angry after ten angry turns",
)


def rows(value: float, **others: float) -> list[Figure]:
    values = {name: others.get(name.replace(" ", "_"), value) for name in NAMES}
    return [Figure(name, value, value - 0.03, value + 0.03) for name, value in values.items()]


@pytest.fixture
def result() -> Hearing:
    return Hearing(
        arousal={
            sound: rows(value, angry_after_ten_angry_turns=0.84)
            for sound, value in zip(HARD, (0.88, 0.8, 0.7), strict=True)
        },
        emotions={sound: rows(value) for sound, value in zip(HARD, (0.62, 0.55, 0.4), strict=True)},
        every=rows(0.77),
        hesitation=[Figure("area under the ROC curve", 0.99, 0.98, 1.0), Figure("recall", 0.95, 0.9, 0.97)],
        cost=Cost(10, 60.0, 9.5, 14.0, 0.5, 0.4, 25.0, 95.0, 120.0, 14),
    )


def test_what_was_aimed_at_is_met_or_missed(result: Hearing) -> None:
    verdicts = [aim.met for aim in result.aims()]
    assert verdicts == [True, True, False, False, True, False, False, True]
    assert Aim("error", Figure("error", 0.08, 0, 1), 0.08, at_most=True).met
    assert not Aim("recall", Figure("recall", 0.0799, 0, 1), 0.08).met


def test_programs_and_people_get_all_of_it(result: Hearing) -> None:
    plain = as_json(result)
    assert plain == json.loads(json.dumps(plain))
    assert plain["arousal"]["telephone"]["turn 5"] == {"value": 0.8, "low": 0.77, "high": 0.83}
    assert [aim["met"] for aim in plain["aims"]] == [aim.met for aim in result.aims()]
    with (console := Console(width=120)).capture() as text:
        console.print(shown(result))
    for told in ("0.840 [0.81–0.87]", "9.5 / 14.0", "95 / 120", "missed", "met", "10 dB noise"):
        assert told in text.get()


def test_its_picture_has_a_line_for_each_kind_of_sound(result: Hearing, tmp_path: Path) -> None:
    hearing_plot.draw_figures(result, tmp_path / "out.png")
    image = imread(tmp_path / "out.png")[:, :, :3]
    for colour in ("#00798c", "#d1495b"):
        rgb = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        assert (np.abs(image - rgb).max(axis=2) < 0.02).sum() > 200


def strangers() -> Table:
    """Six speakers whose anger is heard well, save in noise."""
    random = np.random.default_rng(1)
    features, labels, speakers, copies = [], [], [], []
    for speaker, copy, label, _ in product(range(6), HARD, ("neutral", "angry"), range(12)):
        mood = np.array([0.0 if copy == "noise10" else 2.0 if label == "angry" else -2.0, 0.0])
        features.append(mood + random.standard_normal(2))
        labels.append(label)
        speakers.append(f"s{speaker}")
        copies.append(copy)
    return Table(np.array(features, np.float32), np.array(labels), np.array(speakers), np.array(copies))


def test_figures_are_of_each_kind_of_sound() -> None:
    world = strangers()
    head = widened(fit(world.of("clean"), Settings(shrinkage=0.05)), 1.0, 1.0)
    found = by_sound(Heads(head, head), world, arousal, 3)
    values = {sound: next(row.value for row in made if row.name == "turn 5") for sound, made in found.items()}
    assert values["clean"] > 0.95
    assert values["telephone"] > 0.95
    assert 0.3 < values["noise10"] < 0.7


def turn(*ends: float, spoken: float) -> Turn:
    parts = tuple(cue(0, round(end * RATE)) for end in ends)
    return Turn(cue(0, parts[-1].end), parts, (Words(0, round(spoken * RATE), ""),))


def at(end: float, seconds: float) -> tuple[int, float]:
    return round(end * RATE), seconds


def test_a_cue_is_there_when_the_last_part_has_been_heard() -> None:
    waits = ready([turn(2, 3.064, spoken=3)], [at(2, 0.5), at(3.064, 0.02)], joining=0.001)
    assert waits == pytest.approx([0.064 + 0.02 + 0.001])


def test_a_part_waits_for_those_before_it() -> None:
    waits = ready([turn(2, 2.5, spoken=2.4)], [at(2, 0.6), at(2.5, 0.1)])
    assert waits == pytest.approx([2.7 - 2.4])


def test_what_was_heard_in_vain_takes_its_time_too() -> None:
    took = [at(1, 0.1), at(1.95, 0.2), at(2, 0.1), at(5, 0.3)]
    assert ready([turn(2, spoken=1.9), turn(5, spoken=4.9)], took) == pytest.approx([2.25 - 1.9, 0.4])


@needs_heads
def test_the_stopwatch_changes_nothing_and_counts() -> None:
    needs("moonshine-tiny-en")
    samples = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    plain, timed = Hearer(), TimedEar(Hearer())
    heard = timed.hear(samples, 0)
    assert heard == plain.hear(samples, 0)
    assert timed.joined([heard]) == plain.joined([heard])
    assert timed.took[0][0] == RATE
    assert timed.spent > 0


@needs_heads
def test_costs_are_of_recordings_with_speech(tmp_path: Path) -> None:
    needs("moonshine-tiny-en")
    folder = tmp_path / "read_speech"
    folder.mkdir()
    soundfile.write(folder / "one.wav", say("I would like to change my booking for tomorrow, please."), RATE)
    soundfile.write(folder / "tone.wav", 0.3 * np.sin(np.arange(RATE) / 20), RATE)
    steps: list[tuple[int, int]] = []
    found = bench_hearing.cost(tmp_path, lambda what, done, of: steps.append((done, of)))
    assert steps == [(0, 2), (1, 2)]
    assert found.recordings == 1
    assert 1 < found.seconds < 5
    assert 0 < found.median <= found.p99
    assert found.encoder + found.prosody > 0.2
    assert 1 < found.memory_mb < 500
    assert 60 < found.ready_median <= found.ready_p95


def test_data_without_the_recordings_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="lists no emotion_ravdess"):
        check(tmp_path)
    entry = {"path": "emotion_ravdess/gone.flac", "speaker": "one", "emotion": "sad"}
    (tmp_path / "manifest_audio.jsonl").write_text(json.dumps(entry))
    with pytest.raises(BenchError, match=r"gone\.flac: is listed and not there"):
        check(tmp_path)
    assert "--data" in one_line(antiphon("bench", "hearing", "--data", tmp_path))
    assert "lists no emotion_emodb" in one_line(antiphon("train", "hearing", "--data", tmp_path, "--to", tmp_path))
    assert "end in .png" in one_line(antiphon("bench", "hearing", "--plot", "out.doc"))
