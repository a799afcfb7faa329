"""Profiles: those that ship name their sources, draws follow from the seed, bad files are refused in one line."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guardrails.data_file import DataError
from pipelines.lab import profile
from pipelines.lab.profile import Milliseconds

GOOD = (profile.FOLDER / "seed_full_cascade.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", profile.names())
def test_what_ships_names_a_source_for_every_figure(name: str) -> None:
    loaded = profile.load(name)
    assert loaded.name == name
    assert all(part.source for part in (loaded.vad, loaded.turn, loaded.stt, loaded.llm, loaded.tts, *loaded.totals))
    assert loaded.totals


@given(st.integers(), st.floats(1, 1000), st.floats(1, 10))
def test_the_same_seed_draws_the_same(seed: int, p50: float, spread: float) -> None:
    def draws() -> list[float]:
        duration = Milliseconds(p50=p50, p95=p50 * spread)
        duration.seed(str(seed))
        return [duration.draw() for _ in range(5)]

    assert draws() == draws()
    assert min(draws()) > 0


def test_draws_have_the_percentiles_that_they_are_given() -> None:
    duration = Milliseconds(p50=200, p95=500)
    duration.seed("one")
    drawn = [duration.draw() for _ in range(20_000)]
    assert statistics.median(drawn) == pytest.approx(200, rel=0.03)
    assert statistics.quantiles(drawn, n=20)[-1] == pytest.approx(500, rel=0.05)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_a_range_is_kept(low: float, more: float) -> None:
    assert low <= Milliseconds(low=low, high=low + more).draw() <= low + more


def test_a_seeded_copy_leaves_the_profile_alone() -> None:
    vendor = profile.load("vendor_cascade")
    first = [vendor.seeded(1).llm.first_token_ms.draw() for _ in range(3)]
    assert len(set(first)) == 1
    assert vendor.seeded(2).llm.first_token_ms.draw() != first[0]


@pytest.mark.parametrize("given", [{}, {"fixed": 1, "low": 0, "high": 2}, {"p50": 5}, {"low": 3}, {"p50": 5, "p95": 4}])
def test_a_duration_has_one_form(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"give a number|smaller than the other"):
        Milliseconds(**given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("final_ms: 300", "final_ms: soon"), "stt.final_ms"),
        (GOOD.replace("final_ms: 300", "final_ms: -1"), "stt.final_ms.fixed"),
        (GOOD + "colour: red\n", "colour is no key here: take it out or correct its name"),
        ("name: [1\n", "is not YAML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        profile.load(str(path))
    assert message in str(error.value)
    assert str(error.value).startswith("mine.yaml: ")
    assert "\n" not in str(error.value)


def test_a_profile_that_there_is_not() -> None:
    with pytest.raises(DataError, match="no profile 'fast': choose moshi_fused, realtime_fused, seed_full"):
        profile.load("fast")
