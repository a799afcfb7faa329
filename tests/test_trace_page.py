"""The page of a trace: whole in itself, for the eye, the keyboard and a phone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, needs_chromium
from playwright.async_api import Page, expect

from pipelines.lab.caller import Caller
from pipelines.lab.trace import Trace, page, redact
from tests.traced import hold, interrupted, speech

ANSWER = "I can sing one note, and I can sing it for as long as you like."


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """An interruption, an error, and a caller who would break out of the page."""

    def fail() -> str:
        raise RuntimeError("it broke")

    async def talk(caller: Caller) -> None:
        await interrupted(caller, speech(1.5), speech(1.0))
        await caller.say(speech(1.5))
        await caller.say(speech(1.0))

    heard = ["What can you do?", "Stop that now.", "</script><b>Are you there?</b>", "Thank you."]
    return hold(
        tmp_path_factory.mktemp("traces"), heard, [ANSWER, "All right then.", fail, "You are welcome."], talk, redact
    )


def content(text: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    found: dict[str, Any] = json.loads(data)
    return found


def test_the_page_has_everything_in_itself(conversation: Trace) -> None:
    text = page(conversation)
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?:""", text.replace(json.dumps(content(text)), ""))
    assert "default-src 'none'" in text
    assert text.count("</script>") == 2
    data = content(text)
    assert data["turns"][2]["transcript"] == "</script><b>Are you there?</b>"
    assert [turn["interrupts"] for turn in data["turns"]] == [False, True, False, False]
    assert data["answers"][0]["unheard"]
    heard = " ".join(word["text"] for word in data["answers"][0]["words"])
    assert f"{heard} {data['answers'][0]['unheard']}" == ANSWER


def test_bars_say_when_a_stage_was_at_work_and_what_it_saw(conversation: Trace) -> None:
    first = content(page(conversation))["turns"][0]
    bars = {bar["stage"]: bar for bar in first["bars"]}
    llm = bars["LLM"]
    assert first["begin"] < llm["begin"] <= llm["end"] < first["end"]
    assert bars["STT"]["begin"] == first["begin"]
    assert bars["STT"]["end"] < first["end"] - 0.5
    (asked,) = (row for row in llm["rows"] if "messages" in row)
    assert asked["messages"] == [{"role": "user", "text": "What can you do?"}]
    # What the language model wrote is known as the guard let it through.
    assert not [row for row in llm["rows"] if row["kind"] == "LLMText"]
    (said,) = (row for row in bars["OUTPUT_GUARD"]["rows"] if row["kind"] == "LLMText")
    assert said["text"].strip() == ANSWER
    assert 1 < said["count"] <= len(ANSWER.split())


def test_a_conversation_in_which_nothing_was_said_is_a_page_too(tmp_path: Path) -> None:
    async def listen(caller: Caller) -> None:
        await caller.say(speech(0.0), patience=0.5)

    data = content(page(hold(tmp_path, [""], ["Hm."], listen)))
    assert data["turns"] == []


@asynccontextmanager
async def opened(trace: Trace, folder: Path, width: int = 1280, scheme: Any = "light") -> AsyncIterator[Page]:
    """The page in a browser that refuses to fetch anything."""
    file = folder / "trace.html"
    file.write_text(page(trace), encoding="utf-8")
    async with chromium() as browser:
        tab = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
        await tab.goto(file.as_uri())
        yield tab
        assert problems == []


@needs_chromium
async def test_a_click_on_a_bar_shows_what_its_stage_took_and_gave(conversation: Trace, tmp_path: Path) -> None:
    async with opened(conversation, tmp_path) as tab:
        await tab.get_by_role("button", name="LLM, turn 1").click()
        detail = tab.locator("#detail")
        await expect(detail).to_contain_text("LLM, turn 1")
        await expect(detail).to_contain_text("What can you do?")
        await expect(detail).to_contain_text("characters")
        await tab.get_by_role("button", name="OUTPUT_GUARD, turn 1").click()
        await expect(detail).to_contain_text(ANSWER)
        await tab.get_by_role("button", name="STT, turn 3").click()
        await expect(detail).to_contain_text("</script><b>Are you there?</b>")
        assert await tab.locator(".cut").count() == 1
        await expect(tab.locator("#turns")).to_contain_text("it broke")


@needs_chromium
async def test_the_keyboard_goes_from_bar_to_bar(conversation: Trace, tmp_path: Path) -> None:
    async with opened(conversation, tmp_path) as tab:
        await tab.locator("#scroll").focus()
        await tab.keyboard.press("ArrowRight")
        first = await tab.evaluate("document.activeElement.getAttribute('aria-label')")
        await tab.keyboard.press("ArrowRight")
        second = await tab.evaluate("document.activeElement.getAttribute('aria-label')")
        assert first.split(",")[0] == second.split(",")[0]
        assert first != second
        await tab.keyboard.press("ArrowDown")
        below = await tab.evaluate("document.activeElement.getAttribute('aria-label')")
        assert below.split(",")[0] != second.split(",")[0]
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#detail-title")).to_have_text(", ".join(below.split(", ")[:2]))
        before = await tab.evaluate("document.getElementById('lanes').offsetWidth")
        await tab.keyboard.press("+")
        assert await tab.evaluate("document.getElementById('lanes').offsetWidth") > before
        await tab.keyboard.press("0")
        shown = "document.getElementById('scroll')"
        assert await tab.evaluate(f"{shown}.scrollWidth <= {shown}.clientWidth + 1")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_it_fits_a_phone_and_is_drawn(conversation: Trace, tmp_path: Path, width: int, scheme: str) -> None:
    async with opened(conversation, tmp_path, width, scheme) as tab:
        await tab.get_by_role("button", name="LLM, turn 2").click()
        assert await tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        drawn = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
            const [caller] = document.querySelectorAll("canvas");
            const { data } = caller.getContext("2d").getImageData(0, 0, caller.width, caller.height);
            done(data.some((value, at) => at % 4 === 3 && value > 0));
        })))"""
        assert await tab.evaluate(drawn)
