"""What the benchmark of early choices counts, and that it counts right."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pipelines.lab import bench_delivery
from pipelines.lab.bench_delivery import Change, Early, Pace, Result, compare, cue_of
from pipelines.lab.listening import Turn


@pytest.fixture(scope="module")
def result() -> Result:
    return bench_delivery.run(Path("nowhere"), limit=0)


def test_the_slower_a_model_writes_the_longer_the_voice_knows_before(result: Result) -> None:
    leads = [(pace.lead_ms(begins=True), pace.lead_ms(begins=False)) for pace in result.paces]
    assert leads == sorted(leads, reverse=True)
    for pace in result.paces:
        # A sentence of three words or more is still to be written when a tag in the midst of an answer is read.
        assert pace.lead_ms(begins=False) >= 3e3 / pace.words


def test_the_first_choice_holds_where_no_tag_says_otherwise(result: Result) -> None:
    for pace in result.paces:
        assert pace.held(begins=False) == 1.0
        assert 0.4 <= pace.held(begins=True) <= 0.8


def test_no_more_is_saved_than_the_voice_takes(result: Result) -> None:
    assert 0.0 < result.embedded_ms < 5.0
    for pace in result.paces:
        assert pace.saved_ms(result.embedded_ms) <= result.embedded_ms
        assert pace.saved_ms(0.0) == 0.0


def test_what_is_saved_is_the_shorter_of_the_lead_and_what_the_voice_takes() -> None:
    pace = Pace(10.0, [Change(True, True, 50.0), Change(False, False, 300.0)])
    assert pace.saved_ms(100.0) == 75.0
    assert (pace.held(begins=True), pace.held(begins=False)) == (1.0, 0.0)
    assert math.isnan(Pace(10.0, []).held(begins=True))


def test_turns_in_parts_are_directed_by_what_was_heard_early_and_by_all() -> None:
    angry, even = cue_of("angry"), cue_of("neutral")
    early = Early()
    turns = [
        Turn(angry, (angry,), ()),
        Turn(angry, (angry, even), ()),
        Turn(angry, (even, angry), ()),
        Turn(even, (even, even), ()),
    ]
    compare(turns, lambda cues: cues[0], early)
    assert early == Early(turns=3, directed=2, same=2, directed_same=1)


def test_the_table_says_what_was_measured(result: Result) -> None:
    shown = bench_delivery.table(result)
    assert shown.row_count == len(bench_delivery.PACES)
    assert f"{result.embedded_ms:.2f} ms" in str(shown.caption)
    figures = bench_delivery.as_json(result)
    assert figures["early_cue"] is None
    assert figures["paces"][0]["changes"] == len(result.paces[0].changes) > 10
