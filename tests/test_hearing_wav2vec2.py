"""An emotion model from a folder takes the place of our own heads.

The model is a stand-in of four nodes: the mean of what it is given, without sign, times a row of weights. What it tells
of a voice means nothing; what becomes of it is what is tested.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from processors.hearing.cues import EMOTIONS
from processors.hearing.emphasis import words_of
from processors.hearing.recipe.corpora import read
from processors.hearing.tagger import Ear
from processors.hearing.voice import Hearer
from processors.hearing.wav2vec2 import EmotionModel, EmotionModelError, Wav2Vec2Ear, load
from tests.speech import needs, needs_heads, real

RATE = 16000
PLAIN = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False, "sampling_rate": RATE}


def stand_in(
    folder: Path,
    labels: Sequence[str],
    slopes: Sequence[float],
    offsets: Sequence[float],
    preparation: object = PLAIN,
    mask: bool = False,
) -> Path:
    """A folder with a model whose logits are offsets + slopes · mean(|values|)."""
    given = [helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, "samples"])]
    if mask:
        given.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [1, "samples"]))
    graph = helper.make_graph(
        [
            helper.make_node("Abs", ["input_values"], ["size"]),
            helper.make_node("ReduceMean", ["size"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "slopes"], ["sloped"]),
            helper.make_node("Add", ["sloped", "offsets"], ["logits"]),
        ],
        "stand_in",
        given,
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(slopes)]),
        ],
        [
            helper.make_tensor("slopes", TensorProto.FLOAT, [1, len(slopes)], slopes),
            helper.make_tensor("offsets", TensorProto.FLOAT, [1, len(offsets)], offsets),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    names = {str(place): label for place, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps({"id2label": names}))
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    return folder


def tone(level: float, secs: float = 1.0) -> np.ndarray:
    return (level * np.sign(np.sin(np.arange(round(secs * RATE)) / 20))).astype(np.float32)


@pytest.mark.parametrize(
    "labels",
    [("neu", "hap", "ang", "sad"), ("Neutral", "happiness", "Anger", "SAD"), ("calm", "joy", "angry", "sadness")],
)
def test_labels_by_any_usual_name_are_our_emotions(tmp_path: Path, labels: Sequence[str]) -> None:
    model = EmotionModel(stand_in(tmp_path, labels, [0, 0, 20, 0], [2, 0, -4, 0]))
    calm, angry = model.judge(tone(0.1)), model.judge(tone(0.9))
    assert set(calm.emotions) == set(EMOTIONS)
    assert sum(calm.emotions.values()) == pytest.approx(1)
    assert calm.emotions["neutral"] > 0.7
    assert angry.emotions["angry"] > 0.9
    assert angry.arousal > 0.9 > 0.3 > calm.arousal
    assert angry.valence < 0.1 < calm.valence


def test_emotions_that_a_cue_has_no_place_for_count_for_its_axes_only(tmp_path: Path) -> None:
    model = EmotionModel(stand_in(tmp_path, ("fear", "neutral", "happy"), [0, 0, 0], [5, 0, 0]))
    judged = model.judge(tone(0.5))
    assert judged.emotions["neutral"] == pytest.approx(0.5, abs=0.01)
    assert judged.emotions["angry"] < 0.01
    assert judged.arousal > 0.9
    assert judged.valence < 0.1


def test_a_model_of_dimensions(tmp_path: Path) -> None:
    model = EmotionModel(stand_in(tmp_path, ("arousal", "dominance", "valence"), [1, 0, -1], [0, 0.5, 1.2]))
    loud, quiet = model.judge(tone(0.9)), model.judge(tone(0.1))
    assert (loud.arousal, loud.valence) == pytest.approx((0.9, 0.3), abs=1e-3)
    assert quiet.valence == 1  # 1.1, cut
    assert max(loud.emotions, key=lambda name: loud.emotions[name]) == "angry"
    assert max(quiet.emotions, key=lambda name: quiet.emotions[name]) == "neutral"
    assert sum(loud.emotions.values()) == pytest.approx(1)


def test_samples_are_normalised_where_the_folder_says_so(tmp_path: Path) -> None:
    plain = {**PLAIN, "do_normalize": True}
    model = EmotionModel(stand_in(tmp_path, ("arousal", "valence"), [0.5, 0.5], [0, 0], plain, mask=True))
    assert model.judge(tone(0.01)).arousal == pytest.approx(0.5, abs=0.01)
    assert model.judge(tone(0.8) + np.float32(0.1)).arousal == pytest.approx(0.5, abs=0.01)


def test_the_model_is_known_by_its_hash(tmp_path: Path) -> None:
    folder = stand_in(tmp_path, ("happy", "sad"), [0, 0], [0, 0])
    expected = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert EmotionModel(folder).sha256 == expected
    (folder / "model.onnx_data").write_bytes(b"weights")
    assert EmotionModel(folder).sha256 != expected


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    folder = stand_in(tmp_path, ("happy", "sad"), [0, 0], [0, 0])
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    EmotionModel(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(EmotionModelError, match=r"has no model\.onnx"):
        EmotionModel(folder)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("config.json", None, "can't be read"),
        ("config.json", "no", "is no JSON"),
        ("config.json", "[]", "is no JSON object"),
        ("config.json", "{}", "no id2label"),
        ("config.json", '{"id2label": {"0": "cat", "1": "dog"}}', "tells cat, dog"),
        ("preprocessor_config.json", None, "can't be read"),
        ("preprocessor_config.json", '{"sampling_rate": 8000}', "8000 Hz"),
        ("model.onnx", "no", "is no ONNX model"),
    ],
)
def test_a_folder_that_is_none_is_refused_in_one_line(
    tmp_path: Path, file: str, content: str | None, complaint: str
) -> None:
    folder = stand_in(tmp_path, ("happy", "sad"), [0, 0], [0, 0])
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(EmotionModelError, match=complaint) as refused:
        EmotionModel(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is not None, reason="transformers is here")
def test_where_transformers_is_needed_and_missing_it_says_how_to_get_it(tmp_path: Path) -> None:
    other = {"feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": RATE}
    folder = stand_in(tmp_path, ("happy", "sad"), [0, 0], [0, 0], other)
    with pytest.raises(EmotionModelError, match="pip install transformers"):
        EmotionModel(folder)


def test_a_model_that_does_not_fit_its_config_fails_in_one_line(tmp_path: Path) -> None:
    folder = stand_in(tmp_path, ("happy", "sad"), [0, 0], [0, 0])
    (folder / "config.json").write_text('{"id2label": {"0": "happy", "1": "sad", "2": "angry"}}')
    with pytest.raises(EmotionModelError, match="gives 2 values, not 3"):
        EmotionModel(folder).judge(tone(0.1))
    with pytest.raises(EmotionModelError, match="gives 2 values, not 3"):
        load(str(folder))


@pytest.mark.parametrize(
    ("name", "fetched"),
    [("owner/model", ("owner/model", "main")), ("owner/a-model.v2@0a1b2c", ("owner/a-model.v2", "0a1b2c"))],
)
def test_a_model_is_loaded_from_a_folder_or_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fetched: tuple[str, str]
) -> None:
    folder = stand_in(tmp_path / "owner" / "here", ("happy", "sad"), [0, 0], [0, 0])
    asked: list[tuple[str, str]] = []

    def snapshot_download(repository: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in allow_patterns)
        asked.append((repository, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    assert load("owner/here").labels == ("happy", "sad")
    assert asked == []
    assert load(name).labels == ("happy", "sad")
    assert asked == [fetched]


@pytest.mark.parametrize("name", ["", "model", "/owner/model", "../model", "a/b/c", "owner/model@"])
def test_what_is_neither_a_folder_nor_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmotionModelError, match=r"there is no folder|can't be read"):
        load(name)


@needs_heads
def test_it_takes_the_place_of_the_ears(tmp_path: Path) -> None:
    needs("moonshine-tiny-en")
    model = EmotionModel(stand_in(tmp_path, ("arousal", "dominance", "valence"), [5, 0, -5], [0, 0, 1]))
    speech = read(real("read_speech/jfk.flac"))
    ear, own = Wav2Vec2Ear(model), Hearer()
    taken: Ear = ear
    first, second = speech[: 3 * RATE], speech[3 * RATE : 7 * RATE]
    cues = [taken.hear(first, 0), taken.hear(second, 3 * RATE)]
    theirs = [own.hear(first, 0), own.hear(second, 3 * RATE)]
    for cue, other in zip(cues, theirs, strict=True):
        assert (cue.pace, cue.loudness, cue.hesitation) == (other.pace, other.loudness, other.hesitation)
    assert cues[0].arousal.absolute == pytest.approx(5 * float(np.abs(first).mean()), abs=0.01)
    assert cues[0].arousal.combined == cues[0].arousal.absolute
    turn = taken.joined(cues, words_of("And so my fellow Americans ask not"))
    low, high = sorted(cue.arousal.absolute for cue in cues)
    assert low <= turn.arousal.absolute <= high
    assert taken.turn_done(cues) is not None
    again = taken.hear(speech[: 3 * RATE] * np.float32(0.5), 8 * RATE)
    assert again.turns_heard == 1
    assert again.arousal.absolute < cues[0].arousal.absolute
    assert again.arousal.relative < 0.5
    silence = taken.hear(np.zeros(RATE, np.float32), 12 * RATE)
    assert silence.arousal.combined == 0.5
    assert taken.turn_done([silence]) is None
