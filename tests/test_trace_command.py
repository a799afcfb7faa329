"""`antiphon trace`, on a conversation that was held on virtual time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.app.cli import app
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.holding import hold
from pipelines.lab.script import Conversation, agent, caller
from pipelines.lab.trace import TraceObserver

CALL = Conversation(
    "a call",
    caller("Where is my order?"),
    agent("It was sent on Monday, and it will be with you tomorrow."),
    caller("Stop, that is enough.", into=1.0),
    agent("All right."),
)


def recorded(place: Path, how: profile.Profile) -> Path:
    async def held() -> Path:
        observer = TraceObserver(place)
        await hold(CALL, BASIC_CASCADE, how, observers=[observer])
        return observer.folder

    return virtual.run(held())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("traces"), profile.load("vendor_cascade"))


def says(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["trace", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_a_folder_is_listed(folder: Path) -> None:
    (listed,) = json.loads(says("list", str(folder.parent), "--json"))
    assert listed["trace"] == str(folder)
    assert (listed["architecture"], listed["turns"], listed["redacted"]) == ("basic_cascade", 2, True)
    assert listed["damage"] == []
    assert "basic_cascade" in says("list", str(folder.parent))


def test_a_conversation_is_shown_turn_by_turn(folder: Path) -> None:
    shown = json.loads(says("show", str(folder), "--json"))
    first, second = shown["each"]
    assert first["transcript"] == "Where is my order?"
    assert first["planned"] == "It was sent on Monday, and it will be with you tomorrow."
    assert first["answer"].startswith("It was sent")
    assert not first["answer"].endswith("tomorrow.")
    assert (first["interrupts"], second["interrupts"]) == (False, True)
    assert sum(second["parts_ms"].values()) == pytest.approx(second["latency_ms"], abs=1)
    assert second["by"]["transcript"] == "STT Deepgram Nova 3"
    assert second["by"]["noticing the end of speech"] == "VAD Silero, stop_secs 0.2"
    text = says("show", str(folder))
    assert "Where is my order?" in text
    assert "transcript (STT Deepgram Nova 3)" in " ".join(text.split())
    assert "interrupts the agent" in text


def test_what_has_no_price_is_named_and_what_has_one_is_shown_by_turn_and_in_all(folder: Path, tmp_path: Path) -> None:
    unpriced = json.loads(says("show", str(folder), "--json"))["cost"]
    assert unpriced["usd"] is None
    assert "no price for LLM text_in: add it to prices.yaml" in unpriced["without_price"]
    vendor = profile.load("vendor_cascade")
    sold = vendor.model_copy(
        update={
            "llm": vendor.llm.model_copy(update={"service": "claude-haiku-5-5"}),
            "tts": vendor.tts.model_copy(update={"service": "eleven_flash_v2_5"}),
        }
    )
    priced = recorded(tmp_path, sold)
    cost = json.loads(says("show", str(priced), "--json"))["cost"]
    assert cost["usd"] > 0
    assert [turn["turn"] for turn in cost["each"]] == [1, 2]
    assert sum(turn["usd"] for turn in cost["each"]) == pytest.approx(cost["usd"], abs=2e-6)
    said = len("It was sent on Monday, and it will be with you tomorrow.") + len("All right.")
    assert cost["services"]["elevenlabs flash and turbo"]["usage"]["tts_characters"] == pytest.approx(said, abs=1)
    text = says("show", str(priced))
    assert text.count("cost $") == 2
    assert "What a call costs by its length" in " ".join(text.split())
    assert "cost $" in says_page(priced)


def says_page(folder: Path) -> str:
    says("html", str(folder))
    return (folder / "trace.html").read_text(encoding="utf-8")


def test_a_stage_is_shown_with_what_it_gave(folder: Path) -> None:
    events = json.loads(says("show", str(folder), "--stage", "STT", "--json"))
    words = [event["payload"]["text"] for event in events if event["kind"] == "TranscriptionFrame"]
    assert words == ["Where is my order?", "Stop, that is enough."]
    assert "Where is my order?" in says("show", str(folder), "--stage", "STT")


def test_a_page_is_written(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "call.html"
    assert str(file) in says("html", str(folder), "--out", str(file)).replace("\n", "")
    page = file.read_text(encoding="utf-8")
    assert "Where is my order?" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "nowhere"], "nowhere: cannot be read"),
        (["show", "nowhere"], "give the folder of one conversation"),
        (["show", "{folder}", "--stage", "NOSE"], "no stage NOSE: choose AUDIO_IN"),
        (["html", "{folder}", "--out", "nowhere/page.html"], "choose another with --out"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(folder: Path, arguments: list[str], message: str) -> None:
    said = says(*(argument.format(folder=folder) for argument in arguments), status=2)
    assert message in said
    assert "Traceback" not in said
