"""A call that has spent its budget, at every door: the persona says goodbye, and the line is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import soundfile
from browser import chromium, needs_chromium, record, start_talking
from loguru import logger
from pipecat.frames.frames import Frame
from playwright.async_api import expect
from scripted_daily import Room
from serving import serving
from typer.testing import CliRunner

from pipelines import personas
from pipelines.app import daily
from pipelines.app.cli import app
from pipelines.app.reply import hold
from pipelines.app.server import Talk
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Capability
from pipelines.lab.budget import REASON, Budget
from pipelines.lab.caller import calling
from pipelines.lab.trace import Trace, tracing
from pipelines.personas import Persona
from pipelines.stacks import Service, Stack
from tests import standin, traced
from tests.harness import on_virtual_time

FERNI = Persona(name="Ferni", instructions="Be brief.", greeting="Hello and welcome.", goodbye="Farewell for now.")
GREETING_USD = len(FERNI.greeting) / 1000 * 0.05
"""By the price table, for ElevenLabs' flash."""

ANSWER = "I can sing one note, and I can sing it for as long as you like."


class SoldVoice(standin.ToneTTS):
    """Sings, and is billed as a vendor's voice."""

    def __init__(self) -> None:
        super().__init__()
        self._settings.model = "eleven_flash_v2_5"
        self._sync_model_name_to_metrics()

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.start_tts_usage_metrics(text)
        async for frame in super().run_tts(text, context_id):
            yield frame


VOICE = Service("sold", lambda session: SoldVoice(), frozenset({Capability.WORD_TIMESTAMPS}))


def sold(stack: Stack) -> Stack:
    """The stack with a voice that costs something."""
    return stack.replace(TTS=VOICE)


@on_virtual_time()
async def test_the_answer_is_heard_out_then_the_goodbye_and_then_the_call_ends(tmp_path: Path) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")
    stack = sold(traced.stack(["What can you do?"], [ANSWER]))
    budget = Budget(len(ANSWER) / 1000 * 0.05 * 0.9)
    async with (
        tracing(tmp_path, redactor=None) as trace,
        calling(
            lambda transport, observers: assemble(
                traced.ARCHITECTURE, stack, transport, persona=FERNI, observers=[*observers, trace], budget=budget
            )
        ) as caller,
    ):
        turn = await caller.say(traced.speech(1.5))
    logger.remove(sink)
    words = [event.text for event in Trace.load(trace.folder).of("AUDIO_OUT", "out") if event.kind == "TTSTextFrame"]
    assert " ".join(words) == f"{ANSWER} {FERNI.goodbye}"
    assert turn.marks.total_ms is not None
    heard = len(words) * standin.WORD_SECS
    assert sum(len(pcm) for _, pcm in caller.heard if any(pcm)) / 48000 == pytest.approx(heard, abs=0.2)
    (end,) = (event for event in Trace.load(trace.folder).events if event.kind == "EndFrame")
    assert (end.payload or {})["reason"] == REASON
    assert said[-1] == "$0.0031 of $0.0028 are spent: the call ends"


@on_virtual_time()
async def test_a_conversation_of_recordings_ends_with_its_budget() -> None:
    stack = sold(traced.stack(["What can you do?", "And now?"], [ANSWER]))
    recordings = [traced.speech(1.5), traced.speech(1.0)]
    held = await hold(traced.ARCHITECTURE, stack, FERNI, recordings, budget=Budget(0.0001))
    assert [turn.answered for turn in held.turns] == [True, False]
    assert held.costs[0].usd == pytest.approx((len(ANSWER) + len(FERNI.goodbye)) / 1000 * 0.05, rel=0.03)
    assert held.costs[1].usd == 0


@on_virtual_time(measured=True)
async def test_the_bot_leaves_a_daily_room_after_its_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room("ann").open(monkeypatch)
    budget = Budget(GREETING_USD)
    async with asyncio.timeout(60):
        url = "https://localhost/room"
        await daily.join(url, "token", BASIC_CASCADE, sold(standin.stack()), FERNI, budget=budget)
    assert room.left
    words = len(f"{FERNI.greeting} {FERNI.goodbye}".split())
    assert len(room.heard) / 48000 == pytest.approx(words * standin.WORD_SECS, abs=0.2)


@needs_chromium
async def test_the_page_says_why_the_call_is_over(tmp_path: Path) -> None:
    silence = record(tmp_path / "silence.wav", 30.0)
    one = Talk(BASIC_CASCADE, sold(standin.stack()), persona=FERNI, budget=Budget(GREETING_USD))
    async with serving(one) as url, chromium(silence) as browser:
        page = await browser.new_page()
        await page.goto(url)
        await start_talking(page)
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("The conversation is over", timeout=15_000)
        await expect(alert).to_contain_text("The call has cost as much as it may.")
        await expect(page.locator("#turns")).to_contain_text(FERNI.goodbye)
        assert one.calls.lines_taken == 0


@pytest.mark.parametrize("command", [["reply", "tone.wav"], ["talk"], ["daily", "--room-url", "https://a.daily.co/b"]])
def test_a_budget_of_nothing_is_refused_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "tone.wav", traced.speech(1.0), 16000)
    done = CliRunner().invoke(app, [*command, "--budget", "0"])
    assert done.exit_code == 2
    assert "a budget of 0.0 US dollars allows nothing: give more than 0" in " ".join(done.output.split())


def test_every_persona_that_ships_says_goodbye() -> None:
    assert all(personas.load(name).goodbye for name in personas.names())
