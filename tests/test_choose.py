"""A recommendation rests on figures: each has kind and source, none is an opinion, and what would change it does."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from guardrails.policy import PolicyError
from pipelines import Needs, architectures, choose
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app.choose import render
from pipelines.app.cli import app
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import DELIVERY, HEARING, INPUT_GUARD, OUTPUT_GUARD, Capability
from pipelines.half_cascade import HALF_CASCADE
from pipelines.hybrid import HYBRID
from pipelines.lab import profile
from pipelines.lab.choose.choice import Candidate, Choice
from pipelines.lab.choose.needs import (
    CRITERIA,
    FOLDER,
    GRADED,
    SCALED,
    NeedsError,
    UseCase,
    overridden,
    use_case,
    use_cases,
    weights,
)
from pipelines.lab.compare import Cell, Comparison, Kind, compare
from pipelines.stacks.catalogue import SERVICES

ANTIPHON = Path(sys.executable).with_name("antiphon")
CELLS = {"latency": "latency_p50", "interruption": "interruption", "memory": "heard_truth", "safety": "guard_leak"}
"""The criteria that are read off one column, whatever is needed."""

SEVEN = (
    "Reasoning complexity",
    "Compliance/Guardrails",
    "Natural prosody",
    "Latency",
    "Debuggability",
    "Component swapping",
    "Production reliability",
)
"""The criteria of article 000."""

TEN = (
    "Architecture",
    "Pipeline latency",
    "LLM flexibility",
    "Prompt engineering",
    "Tool use / function calling",
    "Paralinguistic information",
    "Turn-taking",
    "Production availability",
    "Customization",
    "Current Gradium offering",
)
"""The dimensions of article 001."""

TABLE = weights()
LEVELS = st.sampled_from(["low", "medium", "high"])
NEEDS = st.fixed_dictionaries(
    dict.fromkeys(GRADED, LEVELS),
    optional={"personas": st.integers(1, 6), "length": st.sampled_from([1, 5, 30]), "tools": st.booleans()},
)


@cache
def held() -> Comparison:
    """For tests by Hypothesis, too, which take no fixtures of a module's scope."""
    return compare()


@pytest.fixture
def comparison() -> Comparison:
    return held()


def candidate(choice: Choice, name: str) -> Candidate:
    (found,) = (each for each in choice.ranked if each.architecture == name)
    return found


def altered(comparison: Comparison, architecture: str, column: str, cell: Cell) -> Comparison:
    """With another figure in one column of every row of an architecture."""
    rows = (
        dataclasses.replace(row, cells={**row.cells, column: cell}) if row.architecture == architecture else row
        for row in comparison.rows
    )
    return dataclasses.replace(comparison, rows=tuple(rows))


# The articles


@pytest.mark.parametrize("row", use_cases(), ids=lambda row: row.use_case)
def test_the_articles_use_cases_come_out_as_it_says_or_the_row_says_why_not(
    comparison: Comparison, row: UseCase
) -> None:
    choice = choose(row.needs, comparison)
    assert choice.architecture in ([row.instead.architecture] if row.instead else row.architectures)
    if row.instead:
        assert row.instead.architecture not in row.architectures


def test_the_six_rows_are_the_articles_and_three_of_them_are_contradicted() -> None:
    rows = {row.use_case: row.recommends for row in use_cases()}
    assert rows == {
        "Quick commands (lights, timers)": "Full Cascade (simplest)",
        "Extended conversations": "Half-Cascade",
        "Single-voice assistant": "Native S2S (when mature)",
        "Multi-persona platform": "Half-Cascade (required)",
        "Cost-sensitive applications": "Full Cascade or Half-Cascade",
        "Maximum quality/latency": "Half-Cascade with premium TTS",
    }
    contradicted = [row.use_case for row in use_cases() if row.instead]
    assert contradicted == ["Extended conversations", "Single-voice assistant", "Multi-persona platform"]
    known = {architecture.name for architecture in architectures.ARCHITECTURES}
    assert {name for row in use_cases() for name in row.architectures} <= known


def test_extended_conversations_hang_on_what_a_half_cascade_costs(comparison: Comparison) -> None:
    needs = use_case("extended").needs
    for dollars, best in ((0.05, "half_cascade"), (0.07, "advanced_cascade")):
        known = altered(comparison, "half_cascade", "cost_30", Cell(Kind.PROFILE, "for the test", dollars))
        assert choose(needs, known).architecture == best


def test_that_half_cascade_is_required_for_personas_is_contradicted_by_the_definitions(comparison: Comparison) -> None:
    choice = choose(Needs(personas=6), comparison)
    own = {each.architecture for each in choice.suiting}
    assert own == {"basic_cascade", "advanced_cascade", "half_cascade", "hybrid"}


def test_every_criterion_and_dimension_of_the_articles_has_its_place() -> None:
    named = {seed for criterion in weights().criteria.values() for seed in criterion.seeds}
    assert {f"000: {name}" for name in SEVEN} <= named
    elsewhere = {"001: Tool use / function calling", "001: Current Gradium offering"}  # a must, and left out
    assert {f"001: {name}" for name in TEN} - named == elsewhere
    assert "Tool use" in (Needs.__doc__ or "")
    assert '"Current Gradium offering"' in (FOLDER / "weights.yaml").read_text(encoding="utf-8")
    rows = {f"003: {row.use_case}" for row in use_cases()}
    assert {seed for seed in named if seed.startswith("003: ")} <= rows


# Figures


@pytest.mark.parametrize(("criterion", "column"), CELLS.items())
def test_a_criterion_keeps_figure_kind_and_source_of_its_cell(
    comparison: Comparison, criterion: str, column: str
) -> None:
    for each in choose(Needs(), comparison).ranked:
        cell, fact = each.row.cells[column], each.facts[criterion]
        assert (fact.kind, fact.source) == (str(cell.kind), cell.source)
        assert isinstance(cell.value, float | int)
        half = weights().criteria[criterion].half
        if half is not None:
            assert fact.score == pytest.approx(half / (half + cell.value))
        else:
            assert fact.score == pytest.approx(cell.value / 100 if criterion == "memory" else 1 - cell.value / 100)


@pytest.mark.parametrize(("length", "column"), [(1, "cost_5"), (17, "cost_5"), (18, "cost_30"), (180, "cost_30")])
def test_the_cost_is_that_of_the_length_that_is_nearest(comparison: Comparison, length: int, column: str) -> None:
    each = candidate(choose(Needs(length=length), comparison), "advanced_cascade")
    assert each.facts["cost"].value == each.row.cells[column].value


def test_what_half_scores_is_what_its_source_says() -> None:
    table = weights().criteria
    assert {name for name in CRITERIA if table[name].half is not None} == SCALED
    for name in SCALED:
        half = table[name].half
        assert half is not None
        assert table[name].scored(half) == 0.5
        assert table[name].scored(0) == 1
        assert table[name].scored(2 * half) == pytest.approx(1 / 3)
        assert table[name].figure(table[name].scored(123)) == pytest.approx(123)
        assert table[name].half_source
    assert table["simplicity"].half == len(BASIC_CASCADE.stages)


def test_what_the_definition_tells_is_counted(comparison: Comparison) -> None:
    choice = choose(Needs(), comparison)
    counted = {
        each.architecture: [each.facts[name].text for name in ("reasoning", "emotion", "swapping")]
        + [each.facts["inspection"].text[:6], each.facts["simplicity"].text]
        for each in choice.ranked
    }
    assert counted == {
        "basic_cascade": ["3 of 3", "0 of 2", "3 of 3", "4 of 4", "11"],
        "advanced_cascade": ["3 of 3", "2 of 2", "3 of 3", "4 of 4", "14"],
        "half_cascade": ["2 of 3", "2 of 2", "2 of 3", "2 of 4", "12"],
        "hybrid": ["1 of 3", "1 of 2", "1 of 3", "2 of 4", "10"],
        "sequential_fused": ["0 of 3", "2 of 2", "0 of 3", "0 of 4", "9"],
        "duplex_fused": ["0 of 3", "2 of 2", "0 of 3", "0 of 4", "9"],
    }


def test_what_is_at_hand_is_counted_in_the_catalogue(comparison: Comparison) -> None:
    for each in choose(Needs(), comparison).ranked:
        fact = each.facts["availability"]
        slots = architectures.get(each.architecture).services
        several = [
            stage
            for stage in slots
            if sum(stage.needs <= service.provides for service in SERVICES.get(stage.name, {}).values()) > 1
        ]
        assert (fact.kind, fact.text) == ("catalogue", f"{len(several)} of {len(slots)}")


def test_an_edited_definition_is_scored_as_it_is() -> None:
    deaf = dataclasses.replace(ADVANCED_CASCADE.without(HEARING), name="deaf")
    mute = dataclasses.replace(ADVANCED_CASCADE.without(DELIVERY), name="mute")
    vendor = profile.load("vendor_cascade").model_copy(update={"architectures": ()})
    only = compare([ADVANCED_CASCADE, deaf, mute], [vendor])
    choice = choose(Needs(emotion="high"), only, architectures=[ADVANCED_CASCADE, deaf, mute])
    assert {each.architecture: each.facts["emotion"].text for each in choice.ranked} == {
        "advanced_cascade": "2 of 2",
        "deaf": "1 of 2",
        "mute": "1 of 2",
    }
    assert choice.architecture == "advanced_cascade"


def test_a_measured_row_stays_measured(comparison: Comparison) -> None:
    (vendor,) = (row for row in comparison.rows if row.architecture == "advanced_cascade")
    cells = {
        name: dataclasses.replace(cell, kind=Kind.MEASURED, source="this machine")
        for name, cell in vendor.cells.items()
    }
    cells |= {"latency_p50": Cell(Kind.MEASURED, "this machine", 554.0)}
    cells |= {"retention": Cell(Kind.MEASURED, "this machine", 0.15)}
    mine = dataclasses.replace(vendor, stack="embedded", kind=Kind.MEASURED, cells=cells)
    choice = choose(Needs(latency="high"), comparison.plus([mine]))
    best = choice.recommended
    assert best is not None
    assert (best.architecture, best.row.stack) == ("advanced_cascade", "embedded")
    assert best.facts["latency"].kind == "measured"
    assert "measured 0.15 of 1" in best.facts["emotion"].source
    assert [each.architecture for each in choice.ranked].count("advanced_cascade") == 1


# What is not known


def test_what_nothing_measures_counts_for_nobody_and_is_said(comparison: Comparison) -> None:
    choice = choose(Needs(voice="high"), comparison)
    assert choice.unknown == ("voice", "long_calls")
    assert (choice.weights["voice"], choice.weights["long_calls"]) == (0, 0)
    assert choice.ranked == tuple(
        dataclasses.replace(each, musts=()) for each in choose(Needs(voice="low"), comparison).ranked
    )
    assert all(each.facts["voice"].source == "nothing here measures it" for each in choice.ranked)


def test_an_unknown_figure_is_neither_good_nor_bad(comparison: Comparison) -> None:
    unknown = altered(comparison, "half_cascade", "latency_p50", Cell(Kind.NOT_YET, "for the test"))
    choice = choose(Needs(), unknown)
    half = candidate(choice, "half_cascade")
    assert half.facts["latency"].text == "not known"
    assert "latency" in half.unknown
    known = {name: fact.score for name, fact in half.facts.items() if fact.score is not None}
    share = {name: choice.weights[name] for name in known}
    assert half.score == pytest.approx(sum(share[name] * known[name] for name in known) / sum(share.values()))
    low, high = half.range
    assert low < half.score < high


def test_what_matters_much_has_to_be_known(comparison: Comparison) -> None:
    unknown = altered(comparison, "advanced_cascade", "latency_p50", Cell(Kind.NOT_YET, "for the test"))
    somewhat, much = choose(Needs(), unknown), choose(Needs(latency="high"), unknown)
    assert not candidate(somewhat, "advanced_cascade").failed
    (failed,) = candidate(much, "advanced_cascade").failed
    assert (failed.need, failed.fact.text) == ("latency is known, as it matters much", "not known")
    assert much.architecture != "advanced_cascade"


# What must be


def test_a_policy_needs_a_guard_before_the_model_and_one_over_text(comparison: Comparison) -> None:
    choice = choose(Needs(reasoning="high", compliance="finance", length=30, personas=6), comparison)
    assert choice.architecture == "advanced_cascade"
    assert [each.architecture for each in choice.suiting] == ["advanced_cascade", "basic_cascade"]
    heard, said, voices = candidate(choice, "duplex_fused").failed
    assert heard.fact.text.startswith("HEARD_GUARD is late: DUPLEX_LLM has heard it, and may have answered")
    assert heard.fact.source == "3 rules on what is heard: numbers-heard, fraud, other-orders"
    assert said.fact.text.startswith("AUDIO_GATE reads the transcript of speech that is made already")
    assert voices.fact.source == "DUPLEX_LLM is STT, LLM and TTS in one"
    (held,) = candidate(choice, "half_cascade").failed
    assert held.need == heard.need
    assert held.fact.text == "HEARD_GUARD holds the answer until AUDIO_LLM has told what it has heard already"
    first = choice.reasons[0]
    assert (first.weight, first.fact.text) == (None, "INPUT_GUARD stands before the model")
    assert set(first.others) == {"half_cascade", "hybrid", "sequential_fused", "duplex_fused"}


def test_a_policy_of_ones_own_asks_only_for_what_it_has_rules_for(comparison: Comparison, tmp_path: Path) -> None:
    rule = {"id": "x", "kind": "terms", "direction": "said", "action": "stop", "text": "No.", "terms": ["forbidden"]}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"name": "Mine", "summary": "Mine.", "fallback": "No.", "rules": [rule]}), "utf-8")
    choice = choose(Needs(compliance=str(file)), comparison)
    assert {each.architecture for each in choice.ranked if each.failed} == {"sequential_fused", "duplex_fused"}


def test_a_definition_without_its_guards_falls_by_a_policy() -> None:
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, INPUT_GUARD, unguarded="for the test")
    only = compare([bare], [profile.load("vendor_cascade")])
    choice = choose(Needs(compliance="support"), only, architectures=[bare])
    assert choice.recommended is None
    assert [must.fact.text for must in choice.ranked[0].failed] == [
        "no INPUT_GUARD before the model",
        "no stage clears what is said",
    ]
    safe = choose(Needs(), only, architectures=[bare]).ranked[0].facts["safety"]
    assert safe.score == pytest.approx(1 - 1 / 6, abs=0.001)


def test_only_one_listens_while_it_speaks_and_with_voices_of_their_own_none_does(comparison: Comparison) -> None:
    assert choose(Needs(overlap=True), comparison).architecture == "duplex_fused"
    none = choose(Needs(overlap=True, personas=2), comparison)
    assert (none.recommended, none.runner_up, none.reasons, none.changes) == (None, None, (), ())
    assert all(each.failed for each in none.ranked)


def test_tools_are_called_by_services_that_are_at_hand(comparison: Comparison) -> None:
    for each in choose(Needs(tools=True), comparison).ranked:
        (must,) = each.musts
        writer = architectures.get(each.architecture).writer
        assert writer is not None
        able = [
            name
            for name, service in SERVICES.get(writer.name, {}).items()
            if writer.needs | {Capability.TOOLS} <= service.provides
        ]
        assert must.met == bool(able)
        assert all(name in must.fact.source for name in able)


def test_a_latency_that_must_be_kept_is_held_to_the_median(comparison: Comparison) -> None:
    choice = choose(Needs(within_ms=500), comparison)
    assert {each.architecture for each in choice.suiting} == {
        each.architecture for each in choice.ranked if (each.facts["latency"].value or 0) <= 500
    }
    assert choice.architecture == "half_cascade"


def test_a_row_that_fails_makes_way_for_another_of_the_same_architecture(comparison: Comparison) -> None:
    cheap, quick = (choose(needs, comparison) for needs in (Needs(emotion="low"), Needs(within_ms=700)))
    assert candidate(cheap, "basic_cascade").row.stack == "vendor_cascade"
    assert candidate(quick, "basic_cascade").row.stack == "seed_full_cascade"


# Reasons, and what would change it


@settings(max_examples=40, deadline=None)
@given(NEEDS)
def test_reasons_are_few_true_and_sourced(needs: dict[str, Any]) -> None:
    choice = choose(Needs.of(needs), held(), table=TABLE)
    best = choice.recommended
    if best is None:
        return
    assert best.score == max(each.score for each in choice.suiting)
    assert 1 <= len(choice.reasons) <= 5
    assert len(choice.drawbacks) <= 2
    weighed = [reason for reason in choice.reasons if reason.weight is not None]
    assert choice.reasons[len(choice.reasons) - len(weighed) :] == tuple(weighed)  # what must be comes first
    assert sorted(weighed, key=lambda reason: -(reason.points or 0)) == weighed
    for reason in (*choice.reasons, *choice.drawbacks):
        assert reason.fact.kind in ("profile", "measured", "definition", "catalogue")
        assert reason.fact.source
        assert reason.fact.text != "not known"
        assert set(reason.others) <= {each.architecture for each in choice.ranked} - {best.architecture}


@settings(max_examples=40, deadline=None)
@given(NEEDS)
def test_a_weight_that_is_said_to_change_the_choice_does_and_a_step_less_does_not(needs: dict[str, Any]) -> None:
    wanted = Needs.of(needs)
    choice = choose(wanted, held(), table=TABLE)
    for change in choice.changes:
        found = re.fullmatch(r"weight of (\w+): at (least|most) ([\d.]+) \(now ([\d.]+)\)", change)
        if found is None:
            continue
        name, way, weight, now = found[1], found[2], float(found[3]), float(found[4])
        assert choice.weights[name] == pytest.approx(now, abs=0.01)
        assert choice.runner_up is not None
        assert (
            choose(wanted, held(), table=TABLE, override={name: weight}).architecture == choice.runner_up.architecture
        )
        less = weight - 0.1 if way == "least" else weight + 0.1
        if (less - now) * (weight - now) > 0:
            # A third may be ahead there.
            still = choose(wanted, held(), table=TABLE, override={name: less}).architecture
            assert still != choice.runner_up.architecture


@settings(max_examples=40, deadline=None)
@given(NEEDS)
def test_a_figure_that_is_said_to_change_the_choice_does(needs: dict[str, Any]) -> None:
    wanted = Needs.of(needs)
    choice = choose(wanted, held(), table=TABLE)
    columns = {"median latency": "latency_p50", "silence after an interruption": "interruption"}
    for change in choice.changes:
        found = re.fullmatch(
            r"(?!weight)(.+) of (\w+): (at most|more than) \$?([\d.,]+)(?: ms)? \((not known|now .+)\)", change
        )
        if found is None:
            continue
        column = columns.get(found[1]) or ("cost_30" if wanted.length == 30 else "cost_5")
        figure = float(found[4].replace(",", "")) + (1e-6 if found[3] == "more than" else 0)
        (row,) = (each.row for each in choice.suiting[:2] if each.architecture == found[2])
        rows = tuple(
            dataclasses.replace(each, cells={**each.cells, column: Cell(Kind.PROFILE, "for the test", figure)})
            if each.name == row.name
            else each
            for each in held().rows
        )
        other = choose(wanted, dataclasses.replace(held(), rows=rows), table=TABLE)
        assert other.architecture == choice.runner_up.architecture  # type: ignore[union-attr]


@settings(max_examples=40, deadline=None)
@given(NEEDS, st.sampled_from(CRITERIA), st.floats(1, 20))
def test_more_weight_on_what_it_is_best_at_never_dethrones_it(needs: dict[str, Any], name: str, more: float) -> None:
    wanted = Needs.of(needs)
    choice = choose(wanted, held(), table=TABLE)
    best = choice.recommended
    if best is None:
        return
    scores = [each.facts[name].score for each in choice.suiting]
    if None in scores or len(choice.suiting[0].unknown) > 0 or any(each.unknown for each in choice.suiting):
        return
    if best.facts[name].score == max(score for score in scores if score is not None):
        weight = choice.weights[name] + more
        assert choose(wanted, held(), table=TABLE, override={name: weight}).architecture == choice.architecture


def test_a_choice_of_one_says_what_it_is_good_at() -> None:
    only = compare([HYBRID], [profile.load("ultravox_hybrid")])
    choice = choose(Needs(), only, architectures=[HYBRID])
    assert choice.architecture == "hybrid"
    assert choice.runner_up is None
    assert choice.changes == ()
    assert all(reason.others == {} for reason in choice.reasons)


# What cannot be used


def test_a_comparison_of_strangers_or_of_nothing_is_refused(comparison: Comparison) -> None:
    with pytest.raises(NeedsError, match="advanced_cascade was compared, but its definition is not given"):
        choose(Needs(), comparison, architectures=[BASIC_CASCADE])
    nothing = compare([HALF_CASCADE], [profile.load("seed_full_cascade")])
    with pytest.raises(NeedsError, match="nothing that was compared could run"):
        choose(Needs(), nothing)
    with pytest.raises(NeedsError, match="no criterion 'price' to weigh: choose reasoning, "):
        choose(Needs(), comparison, override={"price": 1})
    with pytest.raises(PolicyError, match="no policy 'health'"):
        choose(Needs(compliance="health"), comparison)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"personas": 0}, "personas: Input should be greater than or equal to 1"),
        ({"length": -1}, "length: Input should be greater than 0"),
        ({"length": float("nan")}, "length: Input should be a finite number"),
        ({"reasoning": "very"}, "reasoning: Input should be 'low', 'medium' or 'high'"),
        ({"beauty": "high"}, "beauty is no key here: take it out or correct its name"),
    ],
)
def test_needs_that_are_none_are_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(NeedsError) as found:
        Needs.of(given)
    assert str(found.value) == message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("price=2", "no criterion 'price' to weigh in 'price=2': choose reasoning, "),
        ("cost", "'cost' gives cost no weight: write a number from 0 on, as in cost=2"),
        ("cost=-1", "'cost=-1' gives cost no weight"),
        ("cost=nan", "'cost=nan' gives cost no weight"),
        ("cost=inf", "'cost=inf' gives cost no weight"),
    ],
)
def test_weights_that_are_none_are_one_line(written: str, message: str) -> None:
    with pytest.raises(NeedsError, match=re.escape(message)):
        overridden(written)
    assert overridden("long-calls=2.5") == ("long_calls", 2.5)


def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((FOLDER / "weights.yaml").read_text(encoding="utf-8"))
    return table


def test_a_table_of_ones_own_is_read_and_weighs(comparison: Comparison, tmp_path: Path) -> None:
    table = _table()
    table["levels"]["high"] = 30
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(table), encoding="utf-8")
    choice = choose(Needs(latency="high"), comparison, table=weights(file))
    assert choice.weights["latency"] == 30
    assert choice.architecture == "half_cascade"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table["criteria"].pop("cost"), "criteria.cost is missing: add it, with weight: 0 if"),
        (
            lambda table: table["criteria"].update(beauty=dict(table["criteria"]["voice"], seeds=["x"])),
            "criteria.beauty is none: choose",
        ),
        (lambda table: table["criteria"]["cost"].pop("half"), "criteria.cost needs half:"),
        (lambda table: table["criteria"]["voice"].update(half=1), "criteria.voice has no figure for half:"),
        (lambda table: table["levels"].pop("low"), "levels has no low: add it"),
        (lambda table: table["levels"].update(low=-1), "levels.low is less than 0"),
        (lambda table: table["criteria"]["cost"].update(weight=-1), "criteria.cost.weight: Input should be greater"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(tmp_path: Path, change: Any, message: str) -> None:
    table = _table()
    change(table)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(table), encoding="utf-8")
    with pytest.raises(NeedsError, match=rf"mine\.yaml: line \d+: .*{re.escape(message)}") as found:
        weights(file)
    assert "\n" not in str(found.value)


def test_a_use_case_is_found_by_how_it_begins() -> None:
    assert use_case("quick").use_case == "Quick commands (lights, timers)"
    assert use_case(" MULTI").needs.personas == 6
    with pytest.raises(NeedsError, match="no use case 'slow': choose Quick commands"):
        use_case("slow")
    with pytest.raises(NeedsError, match="more than one use case ''"):
        use_case("")


# The command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compliance", "health"], "no policy 'health': choose finance, healthcare, sales or support or give a YAML"),
        (["--weight", "price=2"], "no criterion 'price' to weigh in 'price=2'"),
        (["--weights", "nowhere.yaml"], "nowhere.yaml: cannot be read (No such file or directory)"),
        (["--use-case", "slow"], "no use case 'slow'"),
        (["--personas", "0"], "personas: Input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_ends_with_2(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["choose", *arguments])
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("antiphon: ")
    assert message in line


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ANTIPHON), "choose", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


def test_the_command_gives_what_python_gives(comparison: Comparison, tmp_path: Path) -> None:
    wanted = ("--reasoning", "high", "--compliance", "finance", "--length", "30", "--personas", "6")
    done = _run(tmp_path, *wanted, "--weight", "cost=2", "--json")
    assert done.returncode == 0
    needs = Needs(reasoning="high", compliance="finance", length=30, personas=6)
    mine = choose(needs, comparison, override={"cost": 2}).as_json()
    assert json.loads(done.stdout) == json.loads(json.dumps(mine))
    assert mine["recommended"] == "advanced_cascade"


def test_it_ends_with_1_if_none_is_what_it_must_be(tmp_path: Path) -> None:
    done = _run(tmp_path, "--overlap", "--personas", "3")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("No architecture is all that it must be.")
    assert "duplex_fused, not so: 3 personas with voices of their own" in done.stdout


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("row", [None, *use_cases()], ids=lambda row: row.use_case if row else "none")
def test_it_fits_into_a_terminal(comparison: Comparison, width: int, row: UseCase | None) -> None:
    choice = choose(row.needs if row else Needs(), comparison)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(choice, row))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text  # nothing is cut off
    assert f"Recommended: {choice.architecture}" in text
    assert f"Runner-up: {choice.runner_up.architecture}" in text  # type: ignore[union-attr]
    for name in CRITERIA:
        assert re.search(rf"^{name} ", text, re.MULTILINE)
    if row:
        assert ("It is otherwise here." in text) == bool(row.instead)
