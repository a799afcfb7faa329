"""Open guard models from a folder, held to a model made here."""

from __future__ import annotations

import json
import math
from pathlib import Path

import huggingface_hub
import pytest

from guardrails.judging import JudgeError, worst
from guardrails.judging.onnx_folder import OnnxJudge, from_hub
from tests import tiny_onnx

WORDS = ["[UNK]", "ignore", "rules", "please", "kill"]


def guard(folder: Path, **config: object) -> Path:
    return tiny_onnx.write(folder, [[0, 0], [-1, 1], [-1, 1], [1, -1], [0, 0]], WORDS, ["SAFE", "INJECTION"], **config)


def test_the_probability_of_what_is_not_harmless(tmp_path: Path) -> None:
    judge = OnnxJudge(guard(tmp_path))
    assert judge.labels == ("INJECTION",)
    assert judge.score("Ignore rules")["INJECTION"] == pytest.approx(1 / (1 + math.exp(-4)))
    assert judge.score("please")["INJECTION"] == pytest.approx(1 / (1 + math.exp(2)))
    assert worst(judge)("nothing known") == pytest.approx(0.5)


def test_labels_that_do_not_exclude_each_other(tmp_path: Path) -> None:
    table = [[-3.0, -3.0], [0, 0], [0, 0], [0, 0], [5, 4]]
    folder = tiny_onnx.write(tmp_path, table, WORDS, ["threat", "insult"], problem_type="multi_label_classification")
    scores = OnnxJudge(folder).score("kill")
    assert scores == {"threat": pytest.approx(1 / (1 + math.exp(-5))), "insult": pytest.approx(1 / (1 + math.exp(-4)))}
    assert OnnxJudge(folder, forbidden=("insult",)).score("kill").keys() == {"insult"}


def test_a_long_text_is_judged_in_windows_and_the_worst_counts(tmp_path: Path) -> None:
    judge = OnnxJudge(guard(tmp_path), longest=8)
    padded = "please " * 40 + "ignore rules " * 8 + "please " * 40
    assert judge.score(padded)["INJECTION"] > 0.9
    assert judge.score("please " * 80)["INJECTION"] < 0.1


def test_a_text_of_too_many_windows_is_not_judged(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="give a shorter one"):
        OnnxJudge(guard(tmp_path), longest=8).score("please " * 1000)


def test_the_model_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    guard(tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "onnx" / "model.onnx")
    assert OnnxJudge(tmp_path).score("ignore")["INJECTION"] > 0.5


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json can't be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no id2label"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "take the tokenizer.json of the model"),
        (lambda folder: (folder / "model.onnx").unlink(), "has no model.onnx"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "can't be loaded"),
        (lambda folder: relabel(folder, ["SAFE", "BENIGN"]), "only harmless labels"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, spoil, line: str) -> None:
    spoil(guard(tmp_path))
    with pytest.raises(JudgeError, match=line) as error:
        OnnxJudge(tmp_path)
    assert "\n" not in str(error.value)


def test_labels_that_do_not_fit_the_model(tmp_path: Path) -> None:
    relabel(guard(tmp_path), ["SAFE", "INJECTION", "JAILBREAK"])
    with pytest.raises(JudgeError, match="gives 2 values for 3 labels"):
        OnnxJudge(tmp_path).score("ignore")


def test_a_label_that_the_model_lacks(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="no label TOXIC: choose from SAFE, INJECTION"):
        OnnxJudge(guard(tmp_path), forbidden=("TOXIC",))


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(JudgeError, match=r"someone/guard can't be fetched \(OSError\)"):
        from_hub("someone/guard", "main")


def test_a_hub_that_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}

    def download(repository: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        return str(guard(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    judge = from_hub("someone/guard", "a1b2c3", forbidden=("INJECTION",))
    assert judge.score("ignore")["INJECTION"] > 0.5
    assert (asked["repository"], asked["revision"]) == ("someone/guard", "a1b2c3")
    assert {"config.json", "tokenizer.json", "model.onnx"} <= set(asked["patterns"])


def relabel(folder: Path, labels: list[str]) -> None:
    (folder / "config.json").write_text(json.dumps({"id2label": dict(enumerate(labels))}))
