"""The page of `antiphon talk` in a real browser with a fake microphone."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standin
from browser import chromium, needs_chromium, record, start_talking
from loguru import logger
from pipecat.frames.frames import OutputTransportMessageUrgentFrame
from playwright.async_api import Browser, Page, expect
from serving import serving, until_calls
from speech import needs

from pipelines import personas
from pipelines.app import server
from pipelines.app.server import Talk
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.stacks import Stack
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.stack import Progress, StackError

pytestmark = needs_chromium

SILENT_FERNI = personas.load("ferni").model_copy(update={"greeting": ""})
PHONE = {"width": 375, "height": 720}
DESKTOP = {"width": 1100, "height": 800}

LISTEN = """() => {
  window.loudest = 0;
  const voice = document.getElementById("voice");
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  const samples = new Float32Array(2048);
  let source;
  setInterval(() => {
    if (voice.srcObject && source?.mediaStream !== voice.srcObject) {
      source = context.createMediaStreamSource(voice.srcObject);
      source.connect(analyser);
    }
    analyser.getFloatTimeDomainData(samples);
    window.loudest = Math.max(window.loudest, ...samples);
  }, 20);
}"""
"""Keeps the loudest sample that the agent's audio has had, in `window.loudest`."""


class Watched:
    """A page, and what it did that it shouldn't."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@asynccontextmanager
async def opened(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """The page, checked afterwards for errors and for requests to elsewhere."""
    watched = Watched(await browser.new_page(**{"viewport": DESKTOP, **options}))
    await watched.page.goto(url)
    yield watched.page
    await watched.page.close()
    assert not watched.complaints
    assert watched.requests
    assert [to for to in watched.requests if not to.startswith(url)] == []


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who asks a question, is answered for a while, and cuts in."""
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    return record(path, 3.0, "Could you tell me something about the moon?", 3.0, "Stop that right now.", 30.0)


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody."""
    return record(tmp_path_factory.mktemp("microphone") / "silence.wav", 60.0)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Messages logged at INFO and above."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture
async def page_without_calls() -> AsyncIterator[Page]:
    """The page, for trying its modules."""
    async with serving(talk()) as url, chromium() as browser, opened(browser, url) as page:
        yield page


def talk(stack: Stack | None = None) -> Talk:
    """A talk that starts in silence."""
    return Talk(BASIC_CASCADE, stack or standin.stack(), persona=SILENT_FERNI)


async def drop(one: Talk) -> None:
    """Break all calls off as a network does, without a word."""
    for connection in list(one.calls._workers):
        await connection.pc.close()


# --- a conversation ---


async def test_a_turn_with_the_embedded_stack_is_held_and_heard(tmp_path: Path, log: list[str]) -> None:
    """The whole of it: a voice into the browser's microphone, an answer out of its loudspeaker."""
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en")
    asked = record(tmp_path / "asked.wav", 3.0, "Hello, can you tell me why the sky is blue?", 40.0)
    real = talk(EMBEDDED)
    async with serving(real) as url, chromium(asked) as browser, opened(browser, url) as page:
        await page.wait_for_selector('body[data-phase="ready"]', timeout=120_000)
        await start_talking(page)
        await page.evaluate(LISTEN)
        await expect(page.locator(".caller .text").first).to_contain_text(re.compile("sky", re.I), timeout=30_000)
        answer = page.locator(".agent .text").first
        await expect(answer).to_contain_text(re.compile(r"\w+ \w+"), timeout=30_000)
        await expect(page.locator(".agent .latency .total").first).to_have_text(
            re.compile(r"^answered after \d+\.\d\d s$")
        )
        await expect(page.locator("#speaking")).to_have_text("Listening", timeout=60_000)
        said = await answer.inner_text()
        loudest = await page.evaluate("window.loudest")
        context = real.calls.workers[0].app_resources.context.get_messages()
    assert loudest > 0.05
    spoken = [message["content"] for message in context if message["role"] == "assistant"]
    assert " ".join(said.split()) == " ".join(spoken[0].split())
    assert "sky" not in " ".join(log)
    assert said not in " ".join(log)


async def test_words_appear_as_they_are_heard_and_spoken(microphone: Path) -> None:
    answer = "The moon always shows us the same face, and nobody on the ground has ever seen the other one from there."
    stack = standin.stack(heard="Tell me about the moon.", answers=(answer, "As you like."))
    one = talk(stack)
    async with serving(one) as url, chromium(microphone) as browser, opened(browser, url) as page:
        await expect(page.get_by_text("basic cascade")).to_be_visible()
        await expect(page.get_by_role("heading", name="Talk with Ferni")).to_be_visible()
        await start_talking(page)
        await page.evaluate(LISTEN)
        await expect(page.locator("#welcome")).to_be_visible()

        # While the caller speaks.
        await expect(page.locator(".caller .interim")).to_have_text("Tell me about the moon.")
        await expect(page.locator("#speaking")).to_have_text("You are speaking")
        await expect(page.locator("#welcome")).to_be_hidden()
        await expect(page.locator("#announcer")).to_be_empty()

        # While the agent answers.
        await expect(page.locator(".agent .text")).to_have_text(re.compile("^The moon always"))
        assert await page.locator(".caller .text").first.inner_text() == "Tell me about the moon."
        assert await page.locator(".interim").count() == 0
        await expect(page.locator("#speaking")).to_have_text("Ferni is speaking")
        await expect(page.locator("#announcer")).to_have_text("You: Tell me about the moon.")
        before = await page.locator(".agent .text").first.inner_text()
        assert len(before) < len(answer)

        # When the caller cuts in.
        cut = page.locator(".agent.interrupted .text")
        await expect(cut).to_be_visible()
        heard = (await cut.inner_text()).removesuffix("interrupted").rstrip(" —\n")
        assert answer.startswith(heard.split("—")[0].strip())
        assert len(before) <= len(heard) < len(answer)

        # And is answered again.
        await expect(page.locator(".agent .text").nth(1)).to_have_text("As you like.")
        await expect(page.locator("#announcer")).to_have_text("Ferni: As you like.")
        context = one.calls.workers[0].app_resources.context.get_messages()
        assert next(message["content"] for message in context if message["role"] == "assistant") == heard
        assert await page.evaluate("window.loudest") == pytest.approx(0.49, abs=0.15)


async def test_whom_one_talks_with_is_chosen_on_the_page(silence: Path) -> None:
    one = Talk(BASIC_CASCADE, standin.stack())
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        choices = page.get_by_role("group", name="Who answers")
        await expect(choices.get_by_role("radio")).to_have_count(6)
        await expect(choices.get_by_role("radio", name="Ferni")).to_be_checked()
        await expect(page.locator("#agent-name")).to_have_text("Ferni")

        await choices.get_by_role("radio", name="Maya").check()
        await expect(page.get_by_role("heading", name="Talk with Maya")).to_be_visible()
        await expect(page.locator("#welcome-text")).to_contain_text(personas.load("maya").summary)
        await expect(page.locator("#agent-name")).to_have_text("Maya")
        await start_talking(page)
        assert one.calls.workers[-1].app_resources.persona == personas.load("maya")
        await expect(page.locator("#turns .agent .who")).to_have_text(["Maya"])

        # A connection that is taken up again is with the same one.
        await drop(one)
        await expect(page.locator(".note")).to_contain_text("Maya doesn't know what was said before.")
        await page.wait_for_selector('body[data-phase="talking"]')
        assert one.calls.workers[-1].app_resources.persona.name == "Maya"

        # The next call is with whom one likes, by keyboard as well, and old turns keep their name.
        await page.keyboard.press("Escape")
        maya = choices.get_by_role("radio", name="Maya")
        await expect(maya).to_be_checked()
        await maya.focus()
        await page.keyboard.press("ArrowRight")
        await expect(choices.get_by_role("radio", name="Nayan")).to_be_checked()
        await start_talking(page)
        assert one.calls.workers[-1].app_resources.persona.name == "Nayan"
        await expect(page.locator("#turns .agent .who").last).to_have_text("Nayan")
        await expect(page.locator("#turns .agent .who").first).to_have_text("Maya")


async def test_a_choice_in_mid_call_hands_over(silence: Path) -> None:
    one = Talk(BASIC_CASCADE, standin.stack())
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        await expect(page.locator("#turns .agent .who")).to_have_text(["Ferni"])
        await page.get_by_role("radio", name="Maya").check()
        await expect(page.locator("#agent-name")).to_have_text("Maya")
        await expect(page.locator("#turns .note")).to_have_text(["Maya took over."])
        await expect(page.locator("#turns .agent .who")).to_have_text(["Ferni", "Maya"])
        await expect(page.locator("#turns .agent .text").last).to_have_text(personas.load("maya").greeting)
        (worker,) = one.calls.workers
        assert worker.app_resources.persona.name == "Maya"

        # And by word of mouth, which the server tells of.
        await worker.app_resources.switchboard.choose("Peter")
        await expect(page.get_by_role("radio", name="Peter")).to_be_checked()
        await expect(page.locator("#turns .agent .who").last).to_have_text("Peter")


async def test_a_choice_outlives_the_server(silence: Path) -> None:
    async with chromium(silence) as browser:
        async with serving(talk()) as url:
            page = await browser.new_page()
            await page.goto(url)
            await page.get_by_role("radio", name="Jordan").check()
            await start_talking(page)
        await expect(page.get_by_role("alert")).to_contain_text("The server is gone")
        again = talk()
        async with serving(again, port=int(url.rpartition(":")[2])):
            await expect(page.get_by_role("radio", name="Jordan")).to_be_checked()
            await start_talking(page)
            assert again.calls.workers[0].app_resources.persona.name == "Jordan"


STARTED, STOPPED, CUT = ({"type": f"bot-{what}"} for what in ("started-speaking", "stopped-speaking", "interrupted"))
MAKING, MADE = {"type": "bot-tts-started"}, {"type": "bot-tts-stopped"}


def caller(text: str, *, final: bool = True) -> dict[str, Any]:
    """The caller's words as RTVI tells them."""
    return {"type": "user-input", "data": {"text": text, "final": final}}


def agent(segment: int, heard: str, rest: str = "", *, status: str = "") -> dict[str, Any]:
    """How far the agent is with a segment, as RTVI tells it."""
    data = {
        "text": f"{heard} {rest}".strip(),
        "segment_id": segment,
        "will_be_spoken": True,
        "spoken_status": status or ("in-progress" if rest else "completed"),
        "spoken_progress": {"accumulated_text": heard, "remaining_text": rest},
    }
    return {"type": "bot-output", "data": data}


@pytest.mark.parametrize(
    ("messages", "turns", "announced"),
    [
        pytest.param(
            [caller("one", final=False), caller("one two", final=False), caller("One two."), caller("Three.")],
            ["You|One two. Three."],
            ["You: One two.", "You: Three."],
            id="interim words make way for final ones",
        ),
        pytest.param(
            [caller("One."), caller("hm", final=False), MAKING, STARTED],
            ["You|One."],
            ["You: One."],
            id="interim words that come to nothing go",
        ),
        pytest.param(
            [MAKING, agent(1, "Hi,", "you."), STARTED, agent(1, "", "Hi, you.", status="new"), MADE],
            ["Ferni|Hi,"],
            [],
            id="a word may come before its segment",
        ),
        pytest.param(
            [MAKING, STARTED, agent(1, "One."), agent(2, "Two", "three."), MADE, agent(2, "Two three."), STOPPED],
            ["Ferni|One. Two three."],
            ["Ferni: One. Two three."],
            id="segments make a turn",
        ),
        pytest.param(
            [MAKING, STARTED, agent(1, "One."), MADE, STOPPED, CUT, caller("Fine.")],
            ["Ferni|One.", "You|Fine."],
            ["Ferni: One.", "You: Fine."],
            id="nothing is cut when all is said",
        ),
        pytest.param(
            [MAKING, STARTED, agent(1, "One", "two."), MADE, CUT, STOPPED, agent(1, "One two."), caller("Stop.")],
            ["Ferni|One interrupted", "You|Stop."],
            ["Ferni: One (interrupted)", "You: Stop."],
            id="cut in mid-sentence",
        ),
        pytest.param(
            [
                MAKING,
                STARTED,
                agent(1, "One", "two three."),
                CUT,
                agent(1, "One two", "three."),
                STOPPED,
                caller("Stop."),
            ],
            ["Ferni|One two interrupted", "You|Stop."],
            ["Ferni: One two (interrupted)", "You: Stop."],
            id="a word on its way when the agent was cut off",
        ),
        pytest.param(
            [
                MAKING,
                STARTED,
                agent(1, "", "One.", status="new"),
                CUT,
                agent(1, "One."),
                STOPPED,
                agent(1, "One. Two."),
            ],
            ["Ferni|One. interrupted"],
            ["Ferni: One. (interrupted)"],
            id="the first word on its way when the agent was cut off",
        ),
        pytest.param(
            [caller("I"), MAKING, STARTED, agent(1, "", "One.", status="new"), CUT, STOPPED, caller("want.")],
            ["You|I want."],
            ["You: I", "You: want."],
            id="cut off before the first word",
        ),
        pytest.param(
            [MAKING, STARTED, agent(1, "One."), STOPPED, CUT, caller("Stop.")],
            ["Ferni|One. interrupted", "You|Stop."],
            ["Ferni: One.", "You: Stop."],
            id="cut while more was in the making",
        ),
        pytest.param(
            [caller("I want"), MAKING, agent(1, "", "You want.", status="new"), CUT, caller("a cake.")],
            ["You|I want a cake."],
            ["You: I want", "You: a cake."],
            id="an answer nobody heard leaves no trace",
        ),
        pytest.param(
            [caller("<img src=x onerror=alert(1)>"), agent(1, "<b>bold</b>")],
            ["You|<img src=x onerror=alert(1)>", "Ferni|<b>bold</b>"],
            ["You: <img src=x onerror=alert(1)>"],
            id="words are not markup",
        ),
    ],
)
async def test_transcript(
    page_without_calls: Page, messages: list[Any], turns: list[str], announced: list[str]
) -> None:
    found = await page_without_calls.evaluate(
        """async (messages) => {
          const { Transcript } = await import("./transcript.js");
          const view = document.createElement("div");
          const list = view.appendChild(document.createElement("ol"));
          const announced = [];
          const transcript = new Transcript(list, (text) => announced.push(text));
          transcript.agentName = "Ferni";
          for (const message of messages) transcript.take(message);
          const shown = [...list.children].filter((turn) => !turn.hidden);
          return [shown.map((turn) => [...turn.children].map((part) => part.textContent).join("|")), announced];
        }""",
        messages,
    )
    assert found == [turns, announced]


LATENCY = {
    "type": "latency",
    "turn": 1,
    "total_ms": 940.0,
    "parts": [{"name": "pause", "ms": 200}, {"name": "first word", "ms": 700}, {"name": "voice", "ms": 40}],
}


async def test_latency_is_shown_in_parts(silence: Path) -> None:
    one = Talk(BASIC_CASCADE, standin.stack())
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        await expect(page.locator(".agent .text")).to_be_visible()
        for nonsense in (None, 7, {"type": "latency"}, {"type": "latency", "total_ms": "x", "parts": 3}, {"type": "?"}):
            await one.calls.workers[0].rtvi.send_server_message(nonsense)
        await one.calls.workers[0].rtvi.send_server_message(LATENCY)
        latency = page.locator(".agent .latency")
        await expect(latency.locator(".total")).to_have_text("answered after 0.94 s")
        assert await latency.locator("li").all_inner_texts() == ["pause 200 ms", "first word 700 ms", "voice 40 ms"]
        widths = [(await part.bounding_box() or {})["width"] for part in await latency.locator(".part").all()]
        assert widths[1] / widths[0] == pytest.approx(3.5, rel=0.1)
        await expect(latency).to_have_count(1)


CUE = {
    "type": "cue",
    "emotion": "upset",
    "probability": 0.82,
    "arousal": 0.86,
    "valence": 0.2,
    "pace": 4.8,
    "signs": ["a sigh"],
    "plain": False,
}
PLAIN_CUE = CUE | {
    "emotion": "neutral",
    "probability": 0.43,
    "arousal": 0.5,
    "valence": 0.5,
    "signs": [],
    "plain": True,
}
DELIVERY = {
    "type": "delivery",
    "style": "reassuring",
    "changes": ["warmer", "slower", "softer", "more pauses", "calmer"],
    "rule": "frustrated",
}
OWN_WAY = {"type": "delivery", "style": "", "changes": [], "rule": ""}
BY_TAG = {"type": "delivery", "style": "", "changes": ["livelier"], "rule": ""}


def told(message: object) -> dict[str, Any]:
    """What the server tells the page."""
    return {"type": "server-message", "data": message}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        pytest.param(
            [caller("No."), told(CUE), told(DELIVERY), agent(1, "I see.")],
            [
                "You|No.|sounds upset 82 % · lively · unpleasant · 4.8 syllables/s · a sigh",
                "Ferni|I see.|reassuring · warmer, slower, softer, more pauses · rule “frustrated”",
            ],
            id="what was heard and how it is answered",
        ),
        pytest.param(
            [told(OWN_WAY), agent(1, "Hi."), CUT, caller("Hm."), told(PLAIN_CUE), told(OWN_WAY), agent(2, "Yes?")],
            [
                "Ferni|Hi.",
                "You|Hm.|may sound neutral 43 % · steady · even · 4.8 syllables/s",
                "Ferni|Yes?|in Ferni’s own way",
            ],
            id="nothing is said of the way of a greeting",
        ),
        pytest.param(
            [
                caller("No."),
                told(CUE),
                told(DELIVERY),
                agent(1, "I see."),
                told(BY_TAG),
                agent(2, "Ha!"),
                told(OWN_WAY),
            ],
            [
                "You|No.|sounds upset 82 % · lively · unpleasant · 4.8 syllables/s · a sigh",
                "Ferni|I see. Ha!|reassuring · warmer, slower, softer, more pauses · rule “frustrated” "
                "then livelier · as the model marked it then as usual",
            ],
            id="a way that changes within an answer",
        ),
        pytest.param(
            [
                caller("I"),
                told(CUE),
                told(DELIVERY),
                CUT,
                caller("see."),
                told(PLAIN_CUE),
                told(OWN_WAY),
                agent(1, "Do."),
            ],
            ["You|I see.|may sound neutral 43 % · steady · even · 4.8 syllables/s", "Ferni|Do.|in Ferni’s own way"],
            id="of an answer that nobody heard nothing is left",
        ),
        pytest.param(
            [
                told(CUE),
                caller("No."),
                *(told(CUE | wrong) for wrong in ({"arousal": 7}, {"emotion": 1}, {"signs": 2})),
            ],
            ["You|No."],
            id="nonsense is not shown",
        ),
    ],
)
async def test_how_it_was_said_is_shown(page_without_calls: Page, messages: list[Any], turns: list[str]) -> None:
    found = await page_without_calls.evaluate(
        """async (messages) => {
          const { Transcript } = await import("./transcript.js");
          const view = document.createElement("div");
          const list = view.appendChild(document.createElement("ol"));
          const transcript = new Transcript(list, () => {});
          transcript.agentName = "Ferni";
          for (const message of messages) {
            transcript.take(message);
            if (message.data?.type === "speaker") transcript.agentName = message.data.name;
          }
          return [...list.children].map((turn) => [...turn.children].map((part) => part.textContent).join("|"));
        }""",
        messages,
    )
    assert found == turns


async def test_mute_keeps_the_caller_out(microphone: Path) -> None:
    async with serving(talk()) as url, chromium(microphone) as browser, opened(browser, url) as page:
        await start_talking(page)
        await page.get_by_role("button", name="Mute the microphone").click()
        await expect(page.locator("#speaking")).to_have_text("Muted: Ferni can't hear you")
        await expect(page.get_by_role("button", name="Unmute the microphone")).to_be_visible()
        assert await page.evaluate("document.querySelectorAll('#turns li').length") == 0


async def test_keyboard_alone(silence: Path) -> None:
    one = talk()
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await expect(page.get_by_role("button", name="Start talking")).to_be_enabled()
        for _ in range(3):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.id") == "talk":
                break
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_selector('body[data-phase="talking"]')
        await page.keyboard.press("Space")
        await expect(page.locator("#speaking")).to_contain_text("Muted")
        await page.keyboard.press("Space")
        await expect(page.locator("#speaking")).to_have_text("Listening")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.value") == "Ferni"
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "hang-up"
        await page.keyboard.press("Escape")
        await expect(page.locator("body")).to_have_attribute("data-phase", "ready")
        assert await page.evaluate("document.activeElement.id") == "talk"
        assert await page.evaluate("document.getElementById('voice').srcObject") is None


# --- what can go wrong ---


async def test_loading_is_shown_and_then_the_button_works(silence: Path) -> None:
    half, whole = threading.Event(), threading.Event()

    def load(progress: Progress) -> None:
        progress("language model", 0.5)
        half.set()
        whole.wait(30)
        progress("language model", 1.0)

    async with (
        serving(talk(standin.stack(load=load))) as url,
        chromium(silence) as browser,
        opened(browser, url) as page,
    ):
        try:
            bar = page.get_by_role("progressbar", name="Language model")
            await expect(bar).to_have_js_property("value", 0.5)
            await expect(page.get_by_role("heading", name="Getting ready")).to_be_visible()
            await expect(page.locator("#talk")).to_be_disabled()
            await expect(page.get_by_role("status")).to_have_text("Getting ready")
        finally:
            whole.set()
        await expect(page.get_by_role("status")).to_have_text("Press the microphone to start")
        await start_talking(page)


async def test_models_that_fail_to_load_are_named_with_the_mend() -> None:
    def load(progress: Progress) -> None:
        raise StackError("LLM: the disk is full: free 2 GB and start again")

    async with serving(talk(standin.stack(load=load))) as url, chromium() as browser, opened(browser, url) as page:
        await expect(page.get_by_role("alert")).to_contain_text("the disk is full: free 2 GB")
        await expect(page.locator("#talk")).to_be_disabled()


async def test_microphone_refused() -> None:
    async with serving(talk()) as url, chromium(refuse=True) as browser, opened(browser, url) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone was refused")
        await expect(page.get_by_role("button", name="Start talking")).to_be_enabled()


async def test_no_microphone() -> None:
    async with serving(talk()) as url, chromium(absent=True) as browser, opened(browser, url) as page:
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("No microphone was found")


async def test_a_page_over_plain_http_is_told_where_the_microphone_works() -> None:
    async with serving(talk()) as url, chromium() as browser:
        # What a browser offers such a page.
        page = await browser.new_page()
        await page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        await page.goto(url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("http://localhost:")


@pytest.mark.parametrize(("online", "words"), [(True, "--host 0.0.0.0"), (False, "Join any")])
async def test_audio_that_gets_no_way_through(silence: Path, online: bool, words: str) -> None:
    one = talk()
    async with serving(one) as url, chromium(silence) as browser:
        page = await browser.new_page()
        await page.add_init_script(
            f"""Object.defineProperty(navigator, "onLine", {{ value: {str(online).lower()} }});
            const Peer = RTCPeerConnection; // through a relay, of which there is none
            RTCPeerConnection = function () {{ return new Peer({{ iceTransportPolicy: "relay" }}); }};"""
        )
        await page.clock.install()
        await page.goto(url)
        await page.clock.run_for(1000)
        await page.get_by_role("button", name="Start talking").click()
        await page.wait_for_selector('body[data-phase="connecting"]')
        await page.clock.run_for(11_000)
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_lost_connection_is_taken_up_again_once(silence: Path) -> None:
    one = talk()
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        first = one.calls.workers[0]
        await drop(one)
        await expect(page.locator(".note")).to_contain_text("Connected again")
        await page.wait_for_selector('body[data-phase="talking"]')
        assert one.calls.workers[-1] is not first
        await drop(one)
        await expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
        await page.get_by_role("button", name="Reconnect").click()
        await page.wait_for_selector('body[data-phase="talking"]')


async def test_server_gone_and_back(silence: Path) -> None:
    async with chromium(silence) as browser:
        async with serving(talk()) as url:
            page = await browser.new_page()
            await page.goto(url)
            await start_talking(page)
        await expect(page.get_by_role("alert")).to_contain_text("The server is gone")
        await expect(page.locator("#talk")).to_be_disabled()
        async with serving(talk(), port=int(url.rpartition(":")[2])):
            await expect(page.get_by_role("alert")).to_be_hidden()
            await start_talking(page)


async def test_a_conversation_that_the_server_ends(silence: Path) -> None:
    one = talk()
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        await one.calls.workers[0].cancel()
        await expect(page.get_by_role("alert")).to_contain_text("ended by the server")
        await page.get_by_role("button", name="Talk again").click()
        await page.wait_for_selector('body[data-phase="talking"]')


async def test_two_tabs_and_one_too_many(silence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINES", 2)
    one = talk()
    async with serving(one) as url, chromium(silence) as browser:
        pages = [await browser.new_page() for _ in range(3)]
        for page in pages:
            await page.goto(url)
        await start_talking(pages[0])
        await start_talking(pages[1])
        assert len(one.calls.workers) == 2
        await pages[2].get_by_role("button", name="Start talking").click()
        await expect(pages[2].get_by_role("alert")).to_contain_text("All 2 lines are taken")
        await pages[0].close()
        await until_calls(lambda: one.calls.lines_taken < 2)
        await pages[2].get_by_role("button", name="Try again").click()
        await pages[2].wait_for_selector('body[data-phase="talking"]')


async def test_an_answer_that_fails_is_told(silence: Path) -> None:
    one = talk()
    async with serving(one) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        await one.calls.workers[0].rtvi.send_error("the voice broke")
        await expect(page.get_by_role("alert")).to_contain_text("The voice broke.")
        await expect(page.locator("body")).to_have_attribute("data-phase", "talking")


# --- how it looks and reads ---

CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colour, over) => {
    canvas.fillStyle = over; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|^transparent$/.test(colour)) return colour;
    }
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".visually-hidden")) continue;
    const back = rgb(behind(element), "#fff");
    const front = rgb(getComputedStyle(element).color, behind(element));
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    found.push([texts.currentNode.data.trim().slice(0, 40), (light + 0.05) / (dark + 0.05)]);
  }
  return found;
}"""
"""Every visible text with the contrast to what is behind it, as WCAG 2 computes it."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_fits_and_is_legible_in_every_state(silence: Path, scheme: Any, size: Any) -> None:
    one = Talk(BASIC_CASCADE, standin.stack())
    async with (
        serving(one) as url,
        chromium(silence) as browser,
        opened(browser, url, viewport=size, color_scheme=scheme) as page,
    ):

        async def look() -> None:
            wide, talk_button = await page.evaluate(
                "[document.documentElement.scrollWidth, document.getElementById('talk').getBoundingClientRect()]"
            )
            assert wide <= size["width"]
            assert talk_button["bottom"] <= size["height"]
            assert min(talk_button["width"], talk_button["height"]) >= 48
            texts = await page.evaluate(CONTRAST)
            assert len(texts) > 5
            assert [(text, ratio) for text, ratio in texts if ratio < 4.5] == []

        await page.wait_for_selector('body[data-phase="ready"]')
        await expect(page.get_by_role("heading", name="Talk with Ferni")).to_be_in_viewport(ratio=1)
        await expect(page.get_by_role("group", name="Who answers")).to_be_in_viewport(ratio=1)
        await look()
        await start_talking(page)
        worker = one.calls.workers[0]
        await expect(page.locator(".agent .text")).to_be_visible()
        await worker.rtvi.send_server_message(LATENCY)
        heard = {"text": "a" * 60, "input_type": "transcription", "timestamp": "", "final": False}
        message = {"label": "rtvi-ai", "type": "user-input", "data": heard}
        await worker.queue_frame(OutputTransportMessageUrgentFrame(message))
        await expect(page.locator(".interim")).to_be_visible()
        await expect(page.locator(".latency")).to_be_visible()
        await worker.rtvi.send_server_message(CUE)
        await worker.rtvi.send_server_message(DELIVERY)
        await expect(page.locator(".caller .manner")).to_be_visible()
        await look()
        await page.get_by_role("button", name="Mute the microphone").click()
        await worker.rtvi.send_error("something that takes a long line to say " * 3)
        await expect(page.get_by_role("alert")).to_be_visible()
        await look()


async def test_reads_well_to_a_screen_reader(silence: Path) -> None:
    async with serving(talk()) as url, chromium(silence) as browser, opened(browser, url) as page:
        await start_talking(page)
        found = await page.evaluate(
            """() => {
              const all = (selector) => [...document.querySelectorAll(selector)];
              const ids = all("[id]").map((element) => element.id);
              const references = ["aria-describedby", "aria-labelledby", "for"].flatMap((name) =>
                all(`[${name}]`).flatMap((element) => element.getAttribute(name).split(" ")));
              return {
                lang: document.documentElement.lang,
                title: document.title,
                h1: all("h1").length,
                landmarks: ["header", "main", "footer"].map((name) => all(name).length),
                live: all("[aria-live], [role=status], [role=alert]").map((element) => element.id),
                twice: ids.filter((id, n) => ids.indexOf(id) !== n),
                dangling: references.filter((id) => id && !document.getElementById(id)),
                noAlt: all("img:not([alt])").length,
                bareSvg: all("svg:not([aria-hidden]):not([hidden])").length,
                zoomBlocked: /user-scalable|maximum-scale/.test(document.querySelector("meta[name=viewport]").content),
              };
            }"""
        )
        tree = await page.locator("body").aria_snapshot()
    assert found == {
        "lang": "en",
        "title": "Antiphon",
        "h1": 1,
        "landmarks": [1, 1, 1],
        "live": ["problem", "phase", "announcer"],
        "twice": [],
        "dangling": [],
        "noAlt": 0,
        "bareSvg": 0,
        "zoomBlocked": False,
    }
    for line in ('button "Mute the microphone"', 'button "Hang up"', "status: Connected. Ferni is listening.", "main "):
        assert line in tree
    assert not re.search(r"- button$", tree, re.M)


async def test_nothing_moves_for_those_who_ask(silence: Path) -> None:
    go_on = threading.Event()
    slow = standin.stack(load=lambda progress: progress("model", 0.5) or go_on.wait(30))  # type: ignore[func-returns-value]
    async with (
        serving(talk(slow)) as url,
        chromium(silence) as browser,
        opened(browser, url, reduced_motion="reduce") as page,
    ):
        try:
            await expect(page.get_by_role("progressbar", name="Model")).to_be_visible()
            assert await page.evaluate("document.getAnimations().length") == 0
        finally:
            go_on.set()
        await page.wait_for_selector('body[data-phase="ready"]')
        await page.evaluate("document.body.classList.add('waiting')")
        assert await page.evaluate("document.getAnimations().length") == 0


async def test_vendors_are_named(silence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_KEY", "x")
    stack = standin.stack(keys=("STANDIN_KEY",))
    vendor = replace(stack.services["LLM"], name="somebody")
    async with (
        serving(talk(stack.replace(LLM=vendor))) as url,
        chromium(silence) as browser,
        opened(browser, url) as page,
    ):
        await expect(page.locator("#privacy")).to_have_text("What is said goes to somebody.")
    async with serving(talk()) as url, chromium(silence) as browser, opened(browser, url) as page:
        await expect(page.locator("#privacy")).to_contain_text("Everything runs on this machine")
