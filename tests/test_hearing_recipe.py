"""The recipe: figures that are right, heads that come out the same, and one that hears a speaker it never met."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from processors.hearing.heads import Head
from processors.hearing.recipe import left_out
from processors.hearing.recipe.corpora import COPIES, Table, copied, gather, read, table
from processors.hearing.recipe.measuring import Judged, area, arousal, calibration_error, figure, figures, recall
from processors.hearing.recipe.training import Settings, fit, folds, judged, spreads, trials, widened
from processors.hearing.voice import Heads, Hearer, shipped
from tests.speech import DATA, needs, needs_heads, real

RATE = 16000


def answers(right: list[str], said: list[str], confidence: list[float], speakers: list[str] | None = None) -> Judged:
    who = speakers or ["one"] * len(right)
    return Judged(np.array(right), np.array(said), np.array(who), np.array(confidence))


@pytest.fixture(scope="module")
def world() -> Table:
    """Ten speakers who differ much in two directions, and two moods that differ in a third."""
    random = np.random.default_rng(0)
    rows, labels, speakers, copies = [], [], [], []
    for speaker, copy in product(range(10), ("clean", "noise")):
        own = random.standard_normal(8) * np.array([3, 3, 1, 0, 0, 0, 0, 0])
        for label, _ in product(("neutral", "angry"), range(12)):
            mood = np.array([0, 0, 2.0 if label == "angry" else -2.0, 0, 0, 0, 0, 0])
            rows.append(own + mood + random.standard_normal(8))
            labels.append(label)
            speakers.append(f"s{speaker}")
            copies.append(copy)
    return Table(np.array(rows, np.float32), np.array(labels), np.array(speakers), np.array(copies))


def test_recall_is_of_every_class_alike():
    found = answers(["a", "a", "a", "b"], ["a", "a", "b", "b"], [1, 1, 1, 1])
    assert recall(found) == pytest.approx((2 / 3 + 1) / 2)


def test_calibration_error_is_what_confidence_is_off_by():
    assert calibration_error(answers(["a"] * 4, ["a", "a", "a", "b"], [0.75] * 4)) == pytest.approx(0)
    assert calibration_error(answers(["a"] * 4, ["b"] * 4, [0.95] * 4)) == pytest.approx(0.95)


def test_area_is_how_often_the_right_one_is_ahead():
    assert area(answers(["a", "b", "a", "b"], ["a"] * 4, [0.9, 0.1, 0.4, 0.6])) == pytest.approx(0.75)


def test_an_interval_is_over_speakers():
    sure = answers(["a", "b"] * 4, ["a", "b"] * 4, [1] * 8, list("wwxxyyzz"))
    assert (figure("f", sure).low, figure("f", sure).high) == (1, 1)
    split = answers(["a", "b"] * 4, ["a", "b", "b", "a"] * 2, [1] * 8, list("wwxxyyzz"))
    assert figure("f", split).low < 0.3 < 0.7 < figure("f", split).high


def test_nobody_is_trained_and_tested_on(world):
    for train, test in [*folds(world), *folds(world, 3)]:
        assert not set(world.speakers[train]) & set(world.speakers[test])
        assert train.sum() + test.sum() == len(world.labels)
    tested = np.sum([test for _, test in folds(world, 3)], axis=0)
    assert (tested == 1).all()


def test_histories_are_of_the_same_voice_and_without_the_turn_itself(world):
    points = np.arange(len(world.labels), dtype=float)[:, np.newaxis]
    for history in ("balanced", "neutral", "one mood"):
        made = trials(points, world, history, 5, np.random.default_rng(0))
        rows = made.points[..., 0].astype(int)
        assert (world.voices[rows] == world.voices[rows[:, -1:]]).all()
        assert (rows[:, :-1] != rows[:, -1:]).all()
        before = world.labels[rows[:, :-1]]
        assert history != "neutral" or (before == "neutral").all()
        assert history != "one mood" or (before == made.labels[:, np.newaxis]).all()


def test_discriminants_keep_clear_of_speakers(world):
    head = fit(world, Settings(shrinkage=0.05, speakers=1.0))
    strength = np.abs(head.projection[:, 0] * world.features.std(axis=0))
    assert strength[2] > 3 * strength[[0, 1, 3, 4]].max()


def test_unseen_speakers_are_heard_better_the_longer_they_are_known(world):
    settings = Settings(shrinkage=0.05, speakers=0.0)
    widths = spreads(world, settings, seed=1, count=5)
    found = {figure.name: figure.value for figure in figures(left_out(world, settings, widths, 5), 1, arousal)}
    assert found["turn 20"] > 0.95
    assert found["turn 20"] >= found["turn 1"]
    assert found["after ten neutral turns"] > 0.9
    assert found["angry after ten angry turns"] > 0.85
    assert found["calibration error, in order"] < 0.08


def test_the_same_data_and_seed_give_the_same_head(world, tmp_path):
    for name in ("one.npz", "other.npz"):
        widened(fit(world, Settings()), *spreads(world, Settings(), seed=3, count=5)).save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


@pytest.mark.parametrize("copy", [*COPIES, "noise10"])
def test_copies_are_heard_as_they_are_meant(copy):
    speech = read(real("read_speech/jfk.flac"))[: 3 * RATE]
    made, again = (copied(speech, copy, (), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(made, again)
    assert made.dtype == np.float32
    spectrum = np.square(np.abs(np.fft.rfft(made)))
    hertz = np.fft.rfftfreq(len(made), 1 / RATE)
    if copy == "telephone":
        assert spectrum[hertz > 4200].sum() < 1e-4 * spectrum.sum()
    if copy in ("lower", "higher"):
        assert len(made) / len(speech) == pytest.approx({"lower": 1 / 0.93, "higher": 1 / 1.08}[copy], rel=0.001)
    if copy.startswith("noise"):
        added = made - speech
        assert 5 < 10 * np.log10(np.square(speech).mean() / np.square(added).mean()) < 21


def test_data_without_the_recordings_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        gather(tmp_path, "emotion_emodb")
    (tmp_path / "manifest_audio.jsonl").write_text("")
    with pytest.raises(ValueError, match="emotion_emodb"):
        gather(tmp_path, "emotion_emodb")


@pytest.fixture(scope="module")
def stranger() -> tuple[Heads, list[tuple[str, str, Path]]]:
    """Heads trained without one speaker of EmoDB, and what that speaker said: sentence, emotion, file."""
    needs("moonshine-tiny-en")
    real("emotion_emodb/03a01Fa.flac")
    clips = gather(DATA, "emotion_emodb")
    kept = [clip for clip in clips if clip.speaker != "emodb03" and clip.label in ("angry", "neutral", "sad", "happy")]
    head = widened(fit(table(kept, ("clean",), {}), Settings()), 3.0, 1.0)
    own = [(clip.path.name[2:5], clip.label, clip.path) for clip in clips if clip.speaker == "emodb03"]
    return Heads(head, shipped().hesitation), own


@needs_heads
def test_anger_and_calm_in_one_sentence_of_an_unseen_speaker(stranger):
    heads, own = stranger
    level: dict[tuple[str, str], float] = {}
    for sentence, label, path in own:
        if label in ("angry", "neutral"):
            level[sentence, label] = Hearer(heads).hear(read(path)).arousal.combined
    pairs = [
        (level[s, "angry"], level[s, "neutral"]) for s, label in level if label == "angry" and (s, "neutral") in level
    ]
    assert len(pairs) >= 3
    assert all(angry > calm for angry, calm in pairs)


@needs_heads
def test_anger_that_lasts_is_heard_to_the_end(stranger):
    heads, own = stranger
    hearer = Hearer(heads)
    cues = []
    for path in [path for _, label, path in own if label == "angry"]:
        hearer.hear(read(path))
        cues.append(hearer.turn_done())
    assert len(cues) >= 8
    assert np.mean([cue.arousal.combined > 0.5 for cue in cues[5:]]) >= 0.8


@needs_heads
@pytest.mark.parametrize("actor", ["03", "08"])
def test_shipped_heads_tell_anger_from_calm_in_the_same_words(actor):
    calm, angry = (real(f"emotion_ravdess/03-01-{n}-02-01-01-{actor}.flac") for n in ("02", "05"))
    one, other = (Hearer().hear(read(path)) for path in (calm, angry))
    assert other.arousal.combined > one.arousal.combined + 0.2


@needs_heads
def test_shipped_heads_are_small_and_whole():
    folder = Path(__file__).parents[1] / "processors" / "hearing" / "heads"
    assert {path.name for path in folder.iterdir()} >= {"emotions.npz", "hesitation.npz", "CARD.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    assert isinstance(shipped().emotions, Head)
    assert judged(shipped().emotions, np.zeros((1, 3, len(shipped().emotions.within)))).sum() == pytest.approx(1)
