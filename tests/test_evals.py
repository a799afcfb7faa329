"""Pipecat's evals against the server of `antiphon talk`: the scenarios in `evals/`, and who may come in by `/ws`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import standin
import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.evals.scenario import EvalScenarioFile
from pipecat.evals.serializer import EvalConnectionFlags, eval_connect_message
from pipecat.evals.session import EvalSession, EvalSessionParams
from pipecat.frames.frames import Frame, LLMTextFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import WebSocketRunnerArguments
from serving import serving, until_idle
from speech import needs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipelines import personas
from pipelines.app import evals, server
from pipelines.app.bot import bot
from pipelines.app.server import Talk, bind
from pipelines.app.web_gate import LARGEST_BODY
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import OUTPUT_GUARD
from pipelines.stacks import Service
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.stack import Progress

FOLDER = Path(__file__).parent / "evals"
SCENARIOS = {
    scenario.name: scenario
    for path in (FOLDER / "text.yaml", FOLDER / "audio.yaml")
    for scenario in EvalScenarioFile.load(path)
}
WEIGHTS = ("moonshine-tiny-en", "qwen2.5-coder-1.5b-instruct-q4_k_m", "hibari-heart")


@asynccontextmanager
async def ready(talk: Talk) -> AsyncIterator[str]:
    """Where the harness finds `talk`, once its models are loaded."""
    async with serving(talk) as url:
        await talk.loading.wait()
        assert talk.loading.state == "ready", talk.loading.error
        yield f"{url.replace('http', 'ws', 1)}/ws"


def session(name: str, url: str, patience_ms: int = 30000) -> Any:
    """A scenario, to be played against the bot at `url`."""
    params = EvalSessionParams(use_cache=False, default_timeout_ms=patience_ms)
    return EvalSession.from_scenario(SCENARIOS[name], url, params=params)


async def played(session: Any) -> Any:
    """The result of a session."""
    async with asyncio.timeout(120):
        return await session.run()


# --- the scenarios ---


def test_the_scenarios_are_those() -> None:
    assert list(SCENARIOS) == [
        "text/greeting",
        "text/follow_up",
        "text/interruption",
        "audio/spoken_question",
        "audio/spoken_hello",
        "audio/spoken_number",
    ]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_embedded_stack_passes(name: str) -> None:
    needs(*WEIGHTS)
    talk = Talk(BASIC_CASCADE, EMBEDDED)
    async with ready(talk) as url:
        result = await played(session(name, url))
        await until_idle(talk)
    assert result.passed, "\n".join(result.debug_log)


async def test_after_an_interruption_the_context_holds_what_was_heard() -> None:
    needs(*WEIGHTS)
    talk = Talk(BASIC_CASCADE, EMBEDDED)
    async with ready(talk) as url:
        interruption = session("text/interruption", url)
        messages: list[Any] = []

        @interruption.event_handler("on_progress")
        async def look(session: object, progress: Any) -> None:
            messages[:] = [dict(message) for message in talk.calls.workers[0].app_resources.context.messages]

        result = await played(interruption)
    assert result.passed, "\n".join(result.debug_log)
    events = iter(result.events_seen)
    replies: list[list[str]] = []
    for event in events:
        if event["type"] == "llm_started":
            replies.append([])
        elif event["type"] == "tts_response":
            replies[-1].append(event["text"])
    _, counted, _ = replies
    said = [message["content"].split() for message in messages if message["role"] == "assistant"][1]
    # The last word may have been on its way to the context when everything under way was thrown out.
    assert said in (counted, counted[:-1])
    assert 1 <= len(said) < 20


@pytest.mark.parametrize(
    ("name", "stack", "failed_turn"),
    [
        ("text/follow_up", standin.stack(answers=("Nice to meet you.", "I have no idea.")), 2),
        ("text/interruption", standin.stack(answers=("One, two, three, four, five, six, seven.", "What name?")), 2),
        ("audio/spoken_number", standin.stack(heard="I would like a table for eleven people."), 1),
    ],
)
async def test_a_worse_bot_fails(name: str, stack: Any, failed_turn: int) -> None:
    needs("moonshine-tiny-en", "hibari-heart")
    async with ready(Talk(BASIC_CASCADE, stack)) as url:
        result = await played(session(name, url, patience_ms=5000))
    assert not result.passed
    assert [turn.turn_index for turn in result.turns if turn.status == "failed"] == [failed_turn]


async def test_pipecats_runner_can_run_the_bot() -> None:
    needs(*WEIGHTS)
    app = FastAPI()

    @app.websocket("/ws")
    async def run(websocket: WebSocket) -> None:
        await websocket.accept()
        await bot(WebSocketRunnerArguments(websocket=websocket))

    with bind("127.0.0.1", 0) as listener:
        config = uvicorn.Config(app, lifespan="off", ws="websockets-sansio", log_config=None)
        runner = uvicorn.Server(config)
        serving = asyncio.create_task(runner.serve(sockets=[listener]))
        result = await played(session("text/follow_up", f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"))
        runner.should_exit = True
        await serving
    assert result.passed, "\n".join(result.debug_log)


# --- what the harness is told ---


class Censor(FrameProcessor):
    """A guard that knows one secret."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMTextFrame):
            frame.text = frame.text.replace("hunter2", "nothing")
        await self.push_frame(frame, direction)


@asynccontextmanager
async def harness(url: str, *, skip_tts: bool = True) -> AsyncIterator[ClientConnection]:
    """A connection that has said what the harness says first."""
    async with connect(url) as connection:
        await connection.send(eval_connect_message(EvalConnectionFlags(skip_tts=skip_tts)))
        await send(connection, "client-ready", {"version": "2.2.0", "about": {"library": "test"}})
        yield connection


async def send(connection: ClientConnection, kind: str, data: dict[str, Any]) -> None:
    await connection.send(json.dumps({"label": "rtvi-ai", "type": kind, "id": "1", "data": data}))


async def hear(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All messages until one of a kind."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not messages or messages[-1]["type"] != kind:
            messages.append(json.loads(await connection.recv()))
    return messages


def text(messages: list[dict[str, Any]]) -> str:
    """What the messages say that the bot said."""
    return "".join(message["data"]["text"] for message in messages if message["type"] == "bot-llm-text").strip()


@pytest.mark.parametrize("skip_tts", [True, False])
async def test_the_harness_is_told_what_passed_the_guard(skip_tts: bool) -> None:
    guarded = BASIC_CASCADE.replace(OUTPUT_GUARD, replace(OUTPUT_GUARD, service=True))
    stack = standin.stack(answers=("The password is hunter2.",))
    stack = stack.replace(OUTPUT_GUARD=Service("censor", lambda session: Censor()))
    async with ready(Talk(guarded, stack)) as url, harness(url, skip_tts=skip_tts) as connection:
        greeting = await hear(connection, "bot-llm-stopped")
        await send(connection, "send-text", {"content": "What is the password?"})
        answer = await hear(connection, "bot-llm-stopped")
        if not skip_tts:
            answer += await hear(connection, "bot-stopped-speaking")
    assert text(greeting) == personas.load("ferni").greeting
    assert text(answer) == "The password is nothing."
    assert "hunter2" not in json.dumps(answer)


# --- who may come in ---


async def refused(url: str, **how: Any) -> int:
    """The HTTP status that a connection is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, **how)
    return refused.value.response.status_code


async def sent_away(url: str, first: str | bytes | None = None) -> str:
    """The words that a connection is closed with."""
    async with connect(url) as connection, asyncio.timeout(10):
        if first is not None:
            await connection.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            await hear(connection, "never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    return closed.value.rcvd.reason


async def test_other_pages_names_and_paths_are_refused() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as url:
        assert await refused(url, origin="https://attacker.example") == 403
        assert await refused(url, additional_headers={"Sec-Fetch-Site": "cross-site"}) == 403
        assert await refused(url.removesuffix("/ws") + "/somewhere") == 403
        port = url.split(":")[2].removesuffix("/ws")
        assert await refused(f"ws://attacker.example:{port}/ws", host="127.0.0.1") == 403
        assert not talk.calls.lines_taken


async def test_a_network_is_sent_away() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack(), host="0.0.0.0")  # noqa: S104
    async with ready(talk) as url:
        assert "--host" in await sent_away(url)


async def test_evals_wait_until_models_are_loaded() -> None:
    go_on = threading.Event()

    def load(progress: Progress) -> None:
        go_on.wait(20)

    talk = Talk(BASIC_CASCADE, standin.stack(load=load))
    async with serving(talk) as url:
        try:
            words = await sent_away(f"{url.replace('http', 'ws', 1)}/ws")
        finally:
            go_on.set()
    assert "still loading" in words


async def test_the_harness_passes_the_words_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINES", 0)
    async with ready(Talk(BASIC_CASCADE, standin.stack())) as url:
        result = await played(session("text/greeting", url))
    assert [failure.kind for failure in result.failures] == ["closed_before_ready"]
    assert "all 0 lines are taken" in result.failures[0].reason


async def test_evals_take_a_line_each_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINES", 1)
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as url:
        async with harness(url) as connection:
            await hear(connection, "bot-started-speaking")
            worker = talk.calls.workers[0]
            words = await sent_away(url)
        await until_idle(talk)
        assert worker.has_finished()
        async with harness(url) as connection:
            await hear(connection, "bot-ready")
    assert "all 1 lines are taken" in words


@pytest.mark.parametrize(
    "first",
    [
        "",
        "{",
        "[]",
        "[" * 40000,
        b"\xff",
        '{"event": "start"}',
        '{"label": "rtvi-ai", "type": "client-ready", "id": "1"}',
    ],
)
async def test_what_is_no_eval_is_sent_away(first: str | bytes) -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as url:
        assert "pipecat eval run" in await sent_away(url, first)
        assert not talk.calls.lines_taken


async def test_who_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evals, "HELLO_WAIT_SECS", 0.05)
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as url:
        assert "pipecat eval run" in await sent_away(url)
        assert not talk.calls.lines_taken


async def test_garbage_in_a_call_leaves_the_server_usable() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as url:
        async with harness(url) as connection:
            await hear(connection, "bot-ready")
            for garbage in ("{", "[]", "null", b"\x00\xff", '{"label": "rtvi-ai"}'):
                await connection.send(garbage)
            await send(connection, "send-text", {"content": "Sing."})
            await hear(connection, "bot-llm-stopped")
            await connection.send("x" * (LARGEST_BODY + 1))
            with pytest.raises(ConnectionClosed):
                await hear(connection, "never")
        await until_idle(talk)
        async with harness(url) as connection:
            await hear(connection, "bot-ready")


async def test_a_failing_service_is_told_in_words() -> None:
    def broken(session: object) -> Any:
        raise RuntimeError("the voice is out of order")

    stack = standin.stack()
    stack = stack.replace(TTS=Service("tone", broken, stack.services["TTS"].provides))
    talk = Talk(BASIC_CASCADE, stack)
    async with ready(talk) as url:
        assert "out of order" in await sent_away(url, eval_connect_message(EvalConnectionFlags()))
        assert not talk.calls.lines_taken


async def test_the_server_can_leave_in_mid_call() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with asyncio.timeout(10):
        async with ready(talk) as url, connect(url) as connection:
            await connection.send(eval_connect_message(EvalConnectionFlags()))
            await send(connection, "client-ready", {"version": "2.2.0", "about": {"library": "test"}})
            await hear(connection, "bot-started-speaking")
            worker = talk.calls.workers[0]
            leaving = asyncio.create_task(talk.close())
            with pytest.raises(ConnectionClosed):
                await hear(connection, "never")
            await leaving
        assert worker.has_finished()
        assert not talk.calls.lines_taken


# --- the caller's voice ---


def test_a_voice_out_of_range_is_named() -> None:
    needs("hibari-heart")
    with pytest.raises(ValueError, match="pitch is 40"):
        evals.voice({"factory": "pipelines.app.evals.voice", "pitch": 40})
