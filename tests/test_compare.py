"""One conversation through every architecture: every cell says what it is, figures add up, two runs are the same."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, needs_chromium
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from rich.console import Console

from pipelines import architectures
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app.compare import Compared, PageError, Tables, as_json, render, write_page
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import (
    AUDIO_GATE,
    DELIVERY,
    OUTPUT_GUARD,
    SENTENCES,
    SPEECH_LLM,
    Architecture,
    Capability,
    DefinitionError,
)
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.hybrid import HYBRID
from pipelines.lab import profile, virtual
from pipelines.lab.compare import COLUMNS, PARCEL, Comparison, Kind, Row, claims, compare, page, plots
from pipelines.lab.compare.cells import PARTS
from pipelines.lab.holding import Recording, hold
from pipelines.lab.projection import seed_models
from pipelines.lab.script import Conversation, agent, caller
from pipelines.sequential_fused import SEQUENTIAL_FUSED
from pipelines.stacks import Service
from pipelines.stacks.profile import profile_stack

ANTIPHON = Path(sys.executable).with_name("antiphon")
DUMB = dataclasses.replace(SPEECH_LLM, needs=frozenset({Capability.PERSONA_VOICE}))
PROFILES = [profile.load(name) for name in profile.names()]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare()


def row(comparison: Comparison, name: str) -> Row:
    (found,) = (each for each in comparison.rows if each.name == name)
    return found


def test_the_conversation_holds_what_decides_between_architectures(comparison: Comparison) -> None:
    says = [said for exchange in PARCEL.exchanges for said in exchange.says]
    answers = [exchange.answer for exchange in PARCEL.exchanges]
    assert sum(said.into is not None for said in says) == 2  # an interruption, and a correction into an answer
    assert sum(said.then is not None for said in says) == 2  # a pause in a dictated number, one in a correction
    assert [said.cue for said in says if said.cue] == ["angry"]
    assert {answer.tool for answer in answers} == {"", "order_status"}
    assert "07700 900418" in answers[4].text


def test_every_architecture_has_a_row_and_every_row_every_cell(comparison: Comparison) -> None:
    known = {architecture.name for architecture in architectures.ARCHITECTURES}
    assert {each.architecture for each in comparison.rows} == known
    for each in comparison.rows:
        assert set(each.cells) == {column.name for column in COLUMNS}
        assert all(cell.source for cell in each.cells.values())


def test_nothing_in_profile_mode_claims_to_be_measured(comparison: Comparison) -> None:
    kinds = {cell.kind for each in comparison.rows for cell in each.cells.values()}
    assert kinds == {Kind.PROFILE, Kind.DEFINITION, Kind.NOT_YET}
    for each in comparison.ran:
        assert {each.cells[column.name].kind for column in COLUMNS if column.unit == "ms"} == {Kind.PROFILE}


def test_what_could_not_run_says_why_in_the_words_of_the_check(comparison: Comparison) -> None:
    described = [profile.load(name) for name in ("seed_full_cascade", "realtime_fused")]
    refused = compare([HYBRID, SEQUENTIAL_FUSED.replace(SPEECH_LLM, DUMB)], described)
    undescribed, dumb = refused.rows
    assert undescribed.reason == "no profile describes it: name it in a profile's architectures"
    assert undescribed.cells["latency_p50"].source == undescribed.reason
    assert dumb.reason.startswith("SPEECH_LLM needs persona_voice, and gpt-realtime offers")
    assert {each.kind for each in refused.refused} == {Kind.CANNOT_RUN}
    assert comparison.refused == ()


def test_a_guard_holds_the_number_back_whatever_the_architecture(comparison: Comparison) -> None:
    for each in comparison.rows:
        has_guard = any(stage.clears for stage in architectures.get(each.architecture).stages)
        assert each.cells["guard_leak"].value == 0
        assert has_guard
        assert each.cells["answered"].value == "6 of 6"
        assert each.cells["heard_truth"].value == 100


def test_the_articles_cascade_takes_what_its_parts_sum_to(comparison: Comparison) -> None:
    cells = row(comparison, "basic_cascade · seed_full_cascade").cells
    parts = {name: cells[column].value for name, column in PARTS.items()}
    assert {name: ms for name, ms in parts.items() if ms} == {"transcript": 300, "first token": 200, "voice": 100}
    assert cells["latency_p50"].value == 600
    assert cells["latency_worst"].value == 800  # the turns with a tool ask the language model twice
    assert cells["interruption"].value == 120  # 100 ms until speech is noticed, and the audio that is on its way


def test_parts_sum_to_the_whole_in_every_turn(comparison: Comparison) -> None:
    for each in comparison.as_json()["rows"]:
        for turn in each["turns"]:
            assert sum(turn["parts_ms"].values()) == pytest.approx(turn["latency_ms"], abs=1)
        if each["kind"] == "profile":
            cells = {name: cell["value"] for name, cell in each["cells"].items()}
            assert sum(cells[column] for column in PARTS.values()) == pytest.approx(cells["latency_p50"], abs=1)
            assert cells["latency_p50"] in [turn["latency_ms"] for turn in each["turns"]]
            assert cells["latency_worst"] == max(turn["latency_ms"] for turn in each["turns"])


def test_what_is_remembered_is_held_to_the_audio_that_was_played(comparison: Comparison) -> None:
    vendor = row(comparison, "basic_cascade · vendor_cascade")
    assert vendor.run is not None
    cut = vendor.run.interrupted
    assert [answer.heard for answer in cut] == ["I am sorry to hear that. I can look", "Order 441709 left our depot in"]
    assert [answer.remembered for answer in cut] == [answer.heard for answer in cut]
    assert vendor.cells["heard_truth"].value == 100
    assert vendor.cells["answered"].value == "6 of 6"
    assert vendor.cells["early"].value == "0 of 6"


def test_a_cache_never_makes_it_dearer_and_a_longer_call_never_cheaper(comparison: Comparison) -> None:
    for each in comparison.ran:
        if each.services is None or not each.services:
            assert {cell.kind for name, cell in each.cells.items() if name.startswith("cost_")} == {Kind.NOT_YET}
            continue
        cost = {name: cell.value for name, cell in each.cells.items() if name.startswith("cost_")}
        assert cost["cost_5_cached"] < cost["cost_5"] < cost["cost_30"]  # type: ignore[operator]
        assert cost["cost_30_cached"] < cost["cost_30"]  # type: ignore[operator]


def test_an_architecture_of_ones_own_is_compared_with_a_profile_of_ones_own() -> None:
    vendor = profile.load("vendor_cascade")
    mine = vendor.model_copy(update={"name": "mine", "architectures": (), "sold": None})
    short = Conversation("short", caller("Hello."), agent("Hello to you."), caller("Goodbye."), agent("Goodbye."))
    (found,) = compare([BASIC_CASCADE], [mine], short).rows
    assert found.stack == "mine"
    assert found.cells["latency_p50"].kind is Kind.PROFILE
    assert found.cells["interruption"].source == "no answer was cut off"
    assert (found.cells["cost_5"].kind, found.cells["cost_5"].value) == (Kind.NOT_YET, None)
    assert "sold" in found.cells["cost_5"].source


def test_a_conversation_that_leaves_its_script_is_no_figure() -> None:
    untimely = Conversation("untimely", caller("On Friday."), caller("At seven.", then=4), agent("Noted."))
    (found,) = compare([BASIC_CASCADE], [profile.load("vendor_cascade")], untimely).rows
    assert found.kind is Kind.CANNOT_RUN
    assert "the script has no answer to 'On Friday.'" in found.reason


def test_an_architecture_that_no_profile_describes_says_so() -> None:
    (found,) = compare([BASIC_CASCADE], [profile.load("seed_half_cascade")]).rows
    assert found.reason == "no profile describes it: name it in a profile's architectures"


def test_what_can_be_read_follows_from_the_ports() -> None:
    unguarded = ADVANCED_CASCADE.without(OUTPUT_GUARD, SENTENCES, unguarded="for the test")
    (found,) = compare([unguarded], [profile.load("vendor_cascade")]).rows
    assert found.cells["inspect"].value == "transcript, context, text, cleared text"
    assert "cleared text of DELIVERY" in found.cells["inspect"].source


def test_who_is_told_how_it_was_said_follows_from_the_stages(comparison: Comparison) -> None:
    basic = row(comparison, "basic_cascade · vendor_cascade").cells["retention"]
    assert (basic.kind, basic.value) == (Kind.DEFINITION, "nobody is told")
    half = row(comparison, "half_cascade · seed_half_cascade").cells["retention"]
    assert (half.kind, half.value) == (Kind.DEFINITION, "the LLM hears it itself")
    for left_out, value in (((), "the LLM and the voice are told"), ((DELIVERY,), "the LLM is told")):
        (found,) = compare([ADVANCED_CASCADE.without(*left_out)], [profile.load("vendor_cascade")]).rows
        assert (found.cells["retention"].kind, found.cells["retention"].value) == (Kind.DEFINITION, value)


def parts(held: Recording) -> list[dict[str, float]]:
    """How long each part of each turn took, in milliseconds."""
    return [{part.name: part.ms for part in exchange.marks.parts()} for exchange in held.exchanges]


TAKEN_BY = {
    "STT": {"transcript"},
    "LLM": {"first token"},
    "AUDIO_LLM": {"first token"},
    "TTS": {"voice"},
}
"""The parts of the latency that a service decides about."""


@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES, ids=lambda a: a.name)
def test_what_can_be_exchanged_alone_is_and_the_conversation_goes_on(
    architecture: Architecture, comparison: Comparison
) -> None:
    (cell, *_) = (each.cells["exchange"] for each in comparison.rows if each.architecture == architecture.name)
    own = next(each for each in PROFILES if architecture.name in each.architectures)
    other = own.model_copy(
        update={
            "stt": own.stt.model_copy(update={"final_ms": profile.Milliseconds(fixed=1234)}),
            "llm": own.llm.model_copy(update={"first_token_ms": profile.Milliseconds(fixed=2345)}),
            "tts": own.tts.model_copy(update={"first_audio_ms": profile.Milliseconds(fixed=456)}),
        }
    )
    others = profile_stack(other, PARCEL)[0].services
    count, _, named = str(cell.value).partition(": ")
    exchanged = named.split(", ") if named else []
    before = parts(virtual.run(hold(PARCEL, architecture, own, policy=PARCEL.policy)))
    for name in exchanged:
        held = virtual.run(hold(PARCEL, architecture, own, policy=PARCEL.policy, services={name: others[name]}))
        held.check()
        now = parts(held)
        changed = {
            part
            for old, new in zip(before, now, strict=True)
            for part in old
            if new[part] != pytest.approx(old[part], abs=0.5)
        }
        assert changed == TAKEN_BY[name]
    alone = 0
    for stage in architecture.services:
        for part in stage.fuses:
            if part not in {each.name for each in architecture.stages}:
                with pytest.raises(DefinitionError, match=f"has no {part} to exchange alone"):
                    architecture.stage(part)
            alone += 1
    assert count == f"{len(exchanged)} of {len(exchanged) + alone}"
    assert (not exchanged) is architecture.name.endswith("fused")


def test_sound_that_stays_makes_a_long_call_longer(comparison: Comparison) -> None:
    prompts: dict[str, Any] = {each.architecture: each.cells["prompt_30"].value for each in comparison.rows}
    assert prompts["duplex_fused"] is None
    assert prompts["sequential_fused"] > 3 * prompts["half_cascade"] > 0


class OpenGate(FrameProcessor):
    """A gate of somebody else's, which lets out everything."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


@pytest.mark.parametrize("architecture", [SEQUENTIAL_FUSED, DUPLEX_FUSED], ids=lambda a: a.name)
def test_a_gate_of_somebody_elses_is_trusted_with_a_models_speech(architecture: Architecture) -> None:
    mine = dataclasses.replace(AUDIO_GATE, name="MY_GATE", service=True)
    own = next(each for each in PROFILES if architecture.name in each.architectures)
    services = {"MY_GATE": Service("open", lambda session: OpenGate())}
    gated = architecture.replace(AUDIO_GATE, mine)
    held = virtual.run(hold(PARCEL, gated, own, policy=PARCEL.policy, services=services))
    assert held.exchanges[4].said == "His private number is 07700 900418."
    assert held.exchanges[5].said == "Goodbye."


def test_without_a_guard_what_the_script_forbids_is_heard(comparison: Comparison) -> None:
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="for the test")
    (found,) = compare([bare], [profile.load("vendor_cascade")]).rows
    assert found.cells["guard_leak"].value == pytest.approx(100 / 6, abs=0.1)
    assert {row.cells["guard_leak"].value for row in comparison.ran} == {0.0}


def test_profiles_describe_what_there_is_or_will_be_and_name_what_is_sold() -> None:
    known = {architecture.name for architecture in architectures.ARCHITECTURES}
    for each in PROFILES:
        assert each.architectures
        assert set(each.architectures) <= known
        assert not each.sold or not each.sold.claim or each.sold.claim in seed_models().models


# Claims


def test_claims_stand_beside_what_came_out(comparison: Comparison) -> None:
    found = [(claim.row.name, claim.column.name, claim.text, claim.verdict) for claim in claims(comparison)]
    full, vendor = "basic_cascade · seed_full_cascade", "basic_cascade · vendor_cascade"
    assert (full, "latency_p50", "600 ms", "agrees") in found
    assert (full, "latency_p50", "800–1,200 ms", "less here") in found
    assert (vendor, "latency_p50", "1,500–3,000 ms", "agrees") in found
    assert (vendor, "latency_p50", "800–1,200 ms", "more here") in found
    assert ("half_cascade · seed_half_cascade", "latency_p50", "350 ms", "agrees") in found
    assert ("sequential_fused · realtime_fused", "cost_30", "$1.50", "more here") in found
    assert ("duplex_fused · moshi_fused", "latency_p50", "200–250 ms", "more here") in found  # what the gate adds


def test_a_claim_about_cost_is_met_under_its_own_assumptions(comparison: Comparison) -> None:
    about_cost = [claim for claim in claims(comparison) if claim.assumed is not None]
    assert len(about_cost) == 4
    assert all(claim.assumed == pytest.approx(claim.low, rel=0.1) for claim in about_cost)


# What is shown


def test_the_table_tells_kinds_apart_in_every_cell(comparison: Comparison) -> None:
    console = Console(width=260, record=True, file=io.StringIO())
    console.print(render(Compared.of(comparison)))
    text = console.export_text()
    assert re.search(r"median +│ +600 ms p │ +1,991 ms p", text)
    assert re.search(r"call of 30 min, cached, \$/min +│ +\$0\.\d+ p │", text)
    assert re.search(r"forbidden words that are heard +│ +0 % p │", text)
    for each in comparison.refused:
        assert f"{each.name} could not run: {each.reason[:40]}" in text


@pytest.mark.parametrize("width", [80, 120])
def test_no_column_of_the_table_is_cut_off(comparison: Comparison, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(Tables(comparison))
    text = console.export_text()
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert rows
    assert all(line.rstrip().endswith("│") for line in rows)
    for architecture in architectures.ARCHITECTURES:
        assert architecture.name in text


def test_the_page_has_everything_in_itself(comparison: Comparison) -> None:
    text = page(comparison, claims(comparison))
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)|url\(|@import|<script""", text)
    assert "default-src 'none'" in text
    assert text.count("<svg") == 3
    for each in comparison.rows:
        assert each.architecture in text


def test_what_breaks_out_of_a_page_is_shown_as_it_is() -> None:
    bad = "</title><script>alert('\"')</script>"
    said = Conversation(bad, caller(bad), agent(bad), caller("And?"), agent("No more."))
    text = page(compare([BASIC_CASCADE], [profile.load("seed_full_cascade")], said))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4


def test_a_page_that_cannot_be_written_is_one_line(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"cannot be written \(No such file or directory\): choose another file"):
        write_page(Compared.of(comparison), tmp_path / "nowhere" / "report.html")


def test_a_comparison_of_nothing_is_a_page_too() -> None:
    nothing = compare([BASIC_CASCADE], [profile.load("seed_half_cascade")])
    assert "no profile describes it" in page(nothing)


@given(st.floats(0, 1e7, allow_subnormal=False))
def test_an_axis_holds_its_values_with_few_round_ticks(most: float) -> None:
    axis = plots.Axis(most, 100, 900)
    assert axis.ticks[0] == 0
    assert axis.ticks[-1] >= most or axis.ticks[-1] == pytest.approx(most, abs=1e-5)
    assert 2 <= len(axis.ticks) <= 8
    assert 100 <= axis.at(most) <= 900.001


def _run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(ANTIPHON), "compare", *arguments], capture_output=True, text=True, cwd=folder, check=True
    )
    return done.stdout


def test_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (_run(tmp_path, "--json", "--html", name) for name in ("one.html", "two.html"))
    assert first == second
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    found: dict[str, Any] = json.loads(first)
    assert found["exchanges"] == 6
    assert found == json.loads(json.dumps(as_json(Compared.of(compare()))))


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_it_fits_a_phone_and_loads_nothing(
    comparison: Comparison, tmp_path: Path, width: int, scheme: Any
) -> None:
    file = tmp_path / "report.html"
    write_page(Compared.of(comparison), file)
    async with chromium() as browser:
        tab = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        problems: list[str] = []
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
        await tab.goto(file.as_uri())
        assert await tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        bars = await tab.locator("svg .part-1").evaluate_all(
            "bars => bars.map(bar => bar.getBoundingClientRect().width)"
        )
        assert len(bars) == 19  # six turns of three rows, and the key
        assert min(bars) > 3
        assert problems == []
