"""The benchmark of what hearing and delivery add to the wait: pairs of the same recording, told and untold apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.definition import DELIVERY, HEARING
from pipelines.lab import hearing_latency
from pipelines.lab.caller import Turn
from pipelines.lab.hearing_latency import Held, Recorded, Result, Way
from pipelines.lab.latency import TurnMarks
from tests.speech import DATA, real

WITHOUT = ADVANCED_CASCADE.without(HEARING, DELIVERY)


def held(name: str, token_ms: float, total_ms: float, told: str = "") -> Held:
    """A turn in which the first token came after so long, and the first sound after so long."""
    marks = TurnMarks(speech_end=10.0, at={"first_token": 10 + token_ms / 1000, "heard": 10 + total_ms / 1000})
    return Held(name, Turn(9.0, 10.0, marks=marks), told)


def unanswered(name: str) -> Held:
    return Held(name, Turn(9.0, 10.0))


@pytest.fixture
def result() -> Result:
    off = [held("a", 200, 400), held("b", 300, 500), held("c", 200, 600), unanswered("d")]
    on = [held("a", 210, 410), held("b", 600, 900, "upset"), held("c", 240, 620, "sad"), held("d", 200, 400)]
    return Result(Way("with", ADVANCED_CASCADE, on), Way("without", WITHOUT, off), "a machine", "2026-11-28")


def test_the_same_recordings_are_compared_where_both_answered(result: Result) -> None:
    everything = result.added()
    assert everything.turns == 3
    assert everything.p50 == pytest.approx(20)
    assert everything.token_p50 == pytest.approx(40)
    assert result.median == pytest.approx((410 + 620) / 2 - 500)


def test_turns_in_which_the_model_was_told_something_are_told_apart(result: Result) -> None:
    assert result.added(told=False).turns == 1
    assert result.added(told=False).p50 == pytest.approx(10)
    assert result.added(told=True).turns == 2
    assert result.added(told=True).token_p50 == pytest.approx((300 + 40) / 2)
    assert result.told == 2


def test_the_figures_go_to_json_and_a_table(result: Result) -> None:
    found = json.loads(json.dumps(result.as_json()))
    assert found["added_ms"]["all"]["turns"] == 3
    assert found["told"] == 2
    assert found["with"]["each"][1]["told"] == "upset"
    assert found["without"]["each"][3]["ms"] is None
    assert hearing_latency.table(result).row_count == 6


def test_what_is_left_out_is_hearing_and_delivery_and_nothing_else() -> None:
    names = {stage.name for stage in ADVANCED_CASCADE.stages} - {stage.name for stage in WITHOUT.stages}
    assert names == {"HEARING", "DELIVERY"}


def test_a_limit_cuts_the_last_call_short() -> None:
    calls = [[Recorded(f"{call}{turn}", np.zeros(0, np.float32)) for turn in range(4)] for call in "abc"]
    assert [len(call) for call in hearing_latency._limited(calls, 6)] == [4, 2]
    assert [len(call) for call in hearing_latency._limited(calls, 99)] == [4, 4, 4]


def test_each_call_has_one_caller() -> None:
    real("emotion_ravdess/03-01-05-02-01-01-04.flac")
    calls = hearing_latency._calls(Path(DATA))
    for call in calls[::2]:
        assert len({each.name.split(",")[0] for each in call}) == 1
        assert len(call) == 4
    assert all("actor" not in each.name for call in calls[1::2] for each in call)
