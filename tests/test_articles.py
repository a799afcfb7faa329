"""The articles' tables, filled with what came out here, and the whole in short."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab.choose import articles_page
from pipelines.lab.choose.articles import Articles, articles, opinions
from pipelines.lab.choose.brief import Held, brief
from pipelines.lab.choose.needs import CRITERIA
from pipelines.lab.compare import Comparison, Kind, compare
from pipelines.lab.parts import each_exchanged


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare()


@pytest.fixture(scope="module")
def filled(comparison: Comparison) -> Articles:
    return articles(comparison)


def test_every_row_of_the_articles_is_there() -> None:
    criteria, dimensions = opinions()
    assert len(criteria.rows) == 7
    assert len(dimensions.rows) == 10
    for line in (*criteria.rows, *dimensions.rows):
        assert set(line.by) <= {*CRITERIA, "tools", "overlap"}
    # What one vendor sells is the one that no figure of ours can settle.
    assert [line.of for line in dimensions.rows if not line.by] == ["What one vendor offers"]


def test_every_cell_has_a_figure_its_kind_and_its_source(filled: Articles, comparison: Comparison) -> None:
    for table in filled.tables:
        assert [each.row for each in table.known] == list(comparison.ran)
        for line in table.opinions.rows:
            for each in table.known:
                for name in line.by:
                    fact = each.facts[name]
                    assert fact.text
                    assert fact.kind
                    assert fact.source
                    assert table.titles[name]


def test_a_figure_is_that_of_the_comparison(filled: Articles) -> None:
    for each in filled.known:
        assert each.facts["latency"].value == each.row.cells["latency_p50"].value
        assert each.facts["overlap"].text == ("yes" if each.row.architecture == "duplex_fused" else "no")


def test_the_use_cases_are_those_of_choose(filled: Articles) -> None:
    assert len(filled.use_cases) == 6
    for answer in filled.use_cases:
        # Whatever comes out otherwise is explained.
        assert answer.agrees or answer.because


def test_the_kinds_are_held_against_each_other_by_their_figures(filled: Articles, comparison: Comparison) -> None:
    short = brief(filled)
    held = {line.of: line for line in short.lines}
    fused = {"sequential_fused", "duplex_fused"}
    for kind, is_fused in (("cascades", False), ("fused", True)):
        values = [row.cells["latency_p50"].value for row in comparison.ran if (row.architecture in fused) is is_fused]
        numbers = [value for value in values if isinstance(value, float)]
        shown = getattr(held["first sound of an answer, median"], kind)
        assert [float(each.replace(",", "")) for each in re.findall(r"[\d,]+", shown)] == [
            round(min(numbers)),
            round(max(numbers)),
        ]
    assert held["parts that can be exchanged alone"] == Held(
        "parts that can be exchanged alone", "1 to 3 of 3", "0 of 3", "cascades"
    )
    assert sum(short.use_cases.values()) == 6


def test_who_is_ahead_follows_from_the_figures(filled: Articles, comparison: Comparison) -> None:
    rows = []
    for row in comparison.rows:
        quick = row.architecture in ("sequential_fused", "duplex_fused")
        cell = replace(row.cells["latency_p50"], kind=Kind.PROFILE, value=100.0 if quick else 900.0)
        rows.append(replace(row, cells={**row.cells, "latency_p50": cell}))
    changed = brief(articles(replace(comparison, rows=tuple(rows))))
    assert changed.lines[0] == Held("first sound of an answer, median", "900 ms", "100 ms", "fused")


def test_of_one_kind_alone_nothing_is_held_against_another() -> None:
    alone = articles(compare([BASIC_CASCADE]))
    assert brief(alone).lines == ()
    assert articles_page.in_short(alone) == ""


def test_the_page_has_all_of_it(filled: Articles) -> None:
    text = articles_page.filled(filled, list(each_exchanged()))
    for table in filled.tables:
        for line in table.opinions.rows:
            assert f">{line.of}</th>" in text
    for answer in filled.use_cases:
        assert answer.use_case.use_case in text.replace("&amp;", "&")
    assert "ElevenLabs Scribe v2" in text
    assert text.count("<section") == text.count("</section>") == 1
