"""The judges' part of the guard's benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from guardrails import judging
from guardrails.judging import JudgeError, Scores, use
from guardrails.judging.report import read
from pipelines.lab.bench_latency import BenchError
from pipelines.lab.guard import judges


class Quick:
    labels = ("injection",)

    def __init__(self) -> None:
        self.judged: list[str] = []

    def score(self, text: str) -> Scores:
        self.judged.append(text)
        return {"injection": 0.0}


@pytest.fixture
def quick() -> Iterator[Quick]:
    stand_in = Quick()
    for name in judging.NAMES:
        use(name, stand_in)
    yield stand_in
    for name in judging.NAMES:
        use(name, None)


def test_each_judge_is_timed_and_its_figures_are_shown(quick: Quick) -> None:
    steps: list[tuple[str, int, int]] = []
    results = judges.measure(lambda *step: steps.append(step), sentences=5)
    assert [result.judge for result in results] == list(judging.NAMES)
    assert len(quick.judged) == 2 * (1 + 5)
    assert steps[-1] == ("judge toxicity", 5, 5)
    assert all(0 <= result.p50_ms <= result.p95_ms for result in results)
    console = Console(width=200, record=True)
    console.print(judges.table(results))
    shown = console.export_text()
    assert f"{read('injection').recall:.1%}" in shown
    assert "≥ 88.7%" in shown
    assert "wildguard_benign" in shown
    assert json.loads(json.dumps([result.as_json() for result in results]))[0]["report"]["recall"] > 0


def test_the_shares_that_ship_meet_their_targets() -> None:
    shares = {
        (name, share.source): share.share
        for name in judging.NAMES
        for share in read(name).shares
        if share.held_out == "texts" and not share.wanted
    }
    for (name, figure), (value, least) in judges.TARGETS.items():
        if least:
            assert read(name).recall >= value
        else:
            assert shares[name, figure] <= value


def test_a_judge_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise JudgeError("the judges' model isn't installed: install it")

    monkeypatch.setattr(judging, "get", gone)
    with pytest.raises(BenchError, match="isn't installed"):
        judges.measure(sentences=1)


def test_training_without_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"name the folder of the data sets|isn't installed"):
        judges.train(tmp_path, tmp_path / "heads", lambda line: None)
    assert not (tmp_path / "heads").exists()
