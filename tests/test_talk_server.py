"""The server of `antiphon talk`: who may come in, what a call is, and that nothing brings it down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import standin
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from loguru import logger
from pipecat.frames.frames import LLMContextFrame
from serving import serving, until_calls, until_idle
from starlette.datastructures import Headers

from pipelines import personas
from pipelines.app import server, web_calls
from pipelines.app.server import PAGE, ServerError, Talk, bind
from pipelines.app.web_calls import is_for_us
from pipelines.app.web_gate import LARGEST_BODY, Gate
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import HEARD_GUARD, DefinitionError
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.stacks import Service
from pipelines.stacks.catalogue import choose
from pipelines.stacks.stack import Progress, StackError

FERNI = personas.load("ferni")


class Peer:
    """What a browser is to the server: a WebRTC peer that sends silence and keeps what it gets."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.loud = asyncio.Event()
        self.channel = self.pc.createDataChannel("rtvi")
        self.pc.addTrack(AudioStreamTrack())
        self._listening: asyncio.Task[None] | None = None

        @self.pc.on("track")
        def on_track(track: Any) -> None:
            self._listening = asyncio.create_task(self._listen(track))

        @self.channel.on("open")
        def on_open() -> None:
            data = {"version": "2.2.0", "about": {"library": "test"}}
            self.channel.send(json.dumps({"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": data}))

        @self.channel.on("message")
        def on_message(message: str) -> None:
            self.messages.put_nowait(json.loads(message))

    async def _listen(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                if np.abs(frame.to_ndarray().astype(np.int32)).max() > 3000:
                    self.loud.set()
        except MediaStreamError:
            pass

    async def call(self, client: httpx.AsyncClient, persona: str = "") -> httpx.Response:
        """Offer, to a persona by its name if one is given, and take the answer if there is one."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = {"type": "offer", "sdp": self.pc.localDescription.sdp}
        response = await client.post("/api/offer", json=offer | ({"persona": persona} if persona else {}))
        if response.is_success:
            answer = response.json()
            await self.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        return response

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        async with asyncio.timeout(20):
            while True:
                message = await self.messages.get()
                if message["type"] == kind:
                    return message

    async def close(self) -> None:
        await self.pc.close()
        if self._listening is not None:
            await self._listening


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    one = Peer()
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def ready(talk: Talk) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `talk`, once its models are loaded."""
    async with serving(talk) as url, httpx.AsyncClient(base_url=url) as client:
        await talk.loading.wait()
        assert talk.loading.state == "ready", talk.loading.error
        yield client


async def until_done(tasks: Callable[[], set[asyncio.Task[Any]]]) -> None:
    """Wait until no task is left."""
    async with asyncio.timeout(20):
        while left := tasks():
            await asyncio.wait(left)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Messages logged at WARNING and above."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


# --- loading ---


async def test_page_and_status_are_there_while_models_load() -> None:
    go_on, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(progress: Progress) -> None:
        progress("language model", 0.25)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(20)
        progress("language model", 1.0)

    talk = Talk(BASIC_CASCADE, standin.stack(load=load))
    async with serving(talk) as url, httpx.AsyncClient(base_url=url) as client:
        try:
            assert "<title>Antiphon</title>" in (await client.get("/")).text
            async with asyncio.timeout(20):
                await begun.wait()
            status = (await client.get("/api/status")).json()
            refused = await client.post("/api/offer", json={"type": "offer", "sdp": "v=0"})
        finally:
            go_on.set()
        await talk.loading.wait()
        after = (await client.get("/api/status")).json()
    assert status["state"] == "loading"
    assert {"what": "language model", "done": 0.25} in status["progress"]
    assert refused.status_code == 503
    assert "still loading" in refused.json()["detail"]
    assert after["state"] == "ready"
    assert {"what": "language model", "done": 1.0} in after["progress"]
    assert after["architecture"]["name"] == "basic_cascade"
    assert after["stack"] == {
        "name": "standin",
        "services": {"STT": "scripted", "LLM": "scripted", "TTS": "tone"},
        "vendors": [],
    }
    assert after["persona"] == "Ferni"


async def test_a_failed_load_is_told_in_one_line(log: list[str]) -> None:
    def load(progress: Progress) -> None:
        raise StackError("LLM: weights are damaged:\n  remove the cache folder and start again")

    failed: list[str] = []
    talk = Talk(BASIC_CASCADE, standin.stack(load=load))
    async with serving(talk, on_failed=failed.append) as url, httpx.AsyncClient(base_url=url) as client:
        await talk.loading.wait()
        status = (await client.get("/api/status")).json()
        refused = await client.post("/api/offer", json={"type": "offer", "sdp": "v=0"})
    line = "LLM: weights are damaged: remove the cache folder and start again"
    assert (status["state"], status["error"]) == ("failed", line)
    assert (refused.status_code, refused.json()["detail"]) == (503, line)
    assert failed == [line]
    assert [entry for entry in log if line in entry] == [f"the models could not be loaded: {line}"]


def test_a_missing_key_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STANDIN_KEY", raising=False)
    with pytest.raises(StackError, match="STANDIN_KEY"):
        Talk(BASIC_CASCADE, standin.stack(keys=("STANDIN_KEY",)))


# --- the door ---


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", {"host": "localhost:7860"}, None),
        ("127.0.0.1", {"host": "127.0.0.1:7860"}, None),
        ("127.0.0.1", {"host": "[::1]:7860"}, None),
        ("127.0.0.1", {"host": "LOCALHOST.:7860"}, None),
        ("127.0.0.1", {"host": "attacker.example:7860"}, 421),
        ("127.0.0.1", {"host": "localhost.attacker.example"}, 421),
        ("127.0.0.1", {"host": "192.168.1.9:7860"}, 421),
        ("127.0.0.1", {"host": ""}, 421),
        ("127.0.0.1", {}, 421),
        ("127.0.0.1", {"host": "localhost:port"}, 400),
        ("127.0.0.1", {"host": "[::1"}, 400),
        ("0.0.0.0", {"host": "192.168.1.9:7860"}, None),  # noqa: S104
        ("0.0.0.0", {"host": "attacker.example:7860"}, 421),  # noqa: S104
        ("box.example", {"host": "box.example:7860"}, None),
        ("127.0.0.1", {"host": "localhost:7860", "origin": "http://localhost:7860"}, None),
        ("127.0.0.1", {"host": "localhost:7860", "origin": "http://localhost:3000"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "origin": "https://attacker.example"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "origin": "null"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "origin": "http://[broken"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "sec-fetch-site": "same-origin"}, None),
        ("127.0.0.1", {"host": "localhost:7860", "sec-fetch-site": "none"}, None),
        ("127.0.0.1", {"host": "localhost:7860", "sec-fetch-site": "cross-site"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "sec-fetch-site": "same-site"}, 403),
        ("127.0.0.1", {"host": "localhost:7860", "content-length": str(LARGEST_BODY)}, None),
        ("127.0.0.1", {"host": "localhost:7860", "content-length": str(LARGEST_BODY + 1)}, 413),
    ],
)
def test_gate(host: str, headers: dict[str, str], status: int | None) -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    refusal = Gate(nothing, host).refusal(Headers(headers))
    assert (refusal and refusal[0]) == status


async def test_foreign_pages_get_nothing(log: list[str]) -> None:
    async with ready(Talk(BASIC_CASCADE, standin.stack())) as client:
        rebound = await client.get("/api/status", headers={"Host": "attacker.example"})
        forged = await client.post("/api/offer", json={}, headers={"Origin": "http://attacker.example"})
    assert (rebound.status_code, forged.status_code) == (421, 403)
    assert "architecture" not in rebound.text
    assert not [name for name in forged.headers if name.startswith("access-control")]
    assert len(log) == 2


async def test_every_answer_forbids_the_outside() -> None:
    async with ready(Talk(BASIC_CASCADE, standin.stack())) as client:
        answers = [await client.get(path) for path in ("/", "/app.js", "/style.css", "/api/status", "/nothing")]
        answers.append(await client.get("/", headers={"Host": "attacker.example"}))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 404, 421]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_names_no_other_host() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}
    assert {"index.html", "app.js", "style.css"} <= set(texts)
    for name, text in texts.items():
        rest = text.replace("http://www.w3.org/2000/svg", "").replace("http://localhost:$", "")
        assert "://" not in rest, name
        assert "@import" not in text, name
        assert "style=" not in text, name  # the policy refuses inline style


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd"])
async def test_only_the_page_is_served(path: str) -> None:
    async with ready(Talk(BASIC_CASCADE, standin.stack())) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe\x00", 422),
        (b"[]", 422),
        (b'{"type": "offer"}', 422),
        (b'{"type": "answer", "sdp": "v=0"}', 422),
        (b'{"type": "offer", "sdp": 7}', 422),
        (b'{"type": "offer", "sdp": "v=0", "pc_id": "x"}', 422),
        (b'{"type": "offer", "sdp": "v=0", "persona": 7}', 422),
        (b'{"type": "offer", "sdp": "v=0", "persona": "' + b"x" * 201 + b'"}', 422),
        (b'{"type": "offer", "sdp": "v=0", "persona": "Nobody"}', 400),
        (b'{"type": "offer", "sdp": "v=0", "persona": "../ferni"}', 400),
        (b'{"type": "offer", "sdp": ""}', 400),
        (b'{"type": "offer", "sdp": "hello"}', 400),
        (b'{"type": "offer", "sdp": "v=0\\r\\nm=audio x y z\\r\\n"}', 400),
        (b"[" * 40000, 422),
        (b"x" * (LARGEST_BODY + 1), 413),
    ],
)
async def test_garbage_is_refused_in_one_line(body: bytes, status: int, log: list[str]) -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client:
        answer = await client.post("/api/offer", content=body, headers={"Content-Type": "application/json"})
        after = await client.get("/api/status")
        assert not talk.calls.lines_taken
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert after.json()["state"] == "ready"
    assert len(log) == 1
    assert "\n" not in log[0]


async def test_a_body_without_end_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1024

    async with ready(Talk(BASIC_CASCADE, standin.stack())) as client:
        answer = await client.post("/api/offer", content=endless())
        assert answer.status_code == 413
        assert (await client.get("/api/status")).is_success


async def test_an_offer_without_audio_is_refused() -> None:
    pc = RTCPeerConnection()
    pc.createDataChannel("rtvi")
    await pc.setLocalDescription(await pc.createOffer())
    async with ready(Talk(BASIC_CASCADE, standin.stack())) as client:
        answer = await client.post("/api/offer", json={"type": "offer", "sdp": pc.localDescription.sdp})
    await pc.close()
    assert answer.status_code == 400
    assert "no audio" in answer.json()["detail"]


# --- the port ---


def test_a_port_in_use_names_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} is in use by .* \(process {os.getpid()}\).*--port"):
            bind("127.0.0.1", port)


async def test_a_port_in_use_is_found_before_models_load() -> None:
    loaded = threading.Event()
    talk = Talk(BASIC_CASCADE, standin.stack(load=lambda progress: loaded.set()))
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(ServerError):
        await server.serve(talk, port=holder.getsockname()[1])
    assert not loaded.is_set()


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("no.such.host.invalid", 7860, "no.such.host.invalid"),
        ("192.0.2.250", 7860, "192.0.2.250"),
        ("127.0.0.1", 70000, "70000"),
        ("127.0.0.1", -1, "-1"),
    ],
)
def test_an_address_that_is_not_ours_is_named(host: str, port: int, named: str) -> None:
    with pytest.raises(ServerError, match=named) as raised:
        bind(host, port)
    assert "\n" not in str(raised.value)


def test_listens_on_loopback_unless_told() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


# --- calls ---


async def test_a_caller_is_greeted_and_hears_it() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client, peer() as caller:
        assert (await caller.call(client)).is_success
        candidates = [line for line in caller.pc.remoteDescription.sdp.splitlines() if "candidate:" in line]
        await caller.hear("bot-ready")
        await caller.hear("bot-started-speaking")
        async with asyncio.timeout(20):
            await caller.loud.wait()
        while True:
            heard = (await caller.hear("bot-output"))["data"]
            if heard["spoken_status"] == "completed":
                break
    assert heard["text"] == FERNI.greeting
    assert candidates
    assert all(" 127.0.0.1 " in line for line in candidates)


async def test_a_call_is_with_the_persona_that_was_chosen() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client, peer() as one, peer() as other:
        offered = (await client.get("/api/status")).json()["personas"]
        assert (await one.call(client, "Maya")).is_success
        assert (await other.call(client)).is_success
        greeted = []
        for caller in (one, other):
            await caller.hear("bot-ready")
            while (heard := (await caller.hear("bot-output"))["data"])["spoken_status"] != "completed":
                pass
            greeted.append(heard["text"])
        speakers = [worker.app_resources.persona for worker in talk.calls.workers]
    maya = personas.load("maya")
    assert speakers == [maya, FERNI]
    assert greeted == [maya.greeting, FERNI.greeting]
    assert [each["name"] for each in offered] == ["Alex", "Ferni", "Jordan", "Maya", "Nayan", "Peter"]
    assert {"name": "Maya", "summary": maya.summary} in offered


def test_who_is_chosen_is_held_to_the_policy_of_the_server() -> None:
    careful = Talk(BASIC_CASCADE, standin.stack(), persona=FERNI.model_copy(update={"policy": "finance"}))
    assert {persona.policy for persona in careful.personas.values()} == {"finance"}
    assert careful.chosen("Maya") == personas.load("maya").model_copy(update={"policy": "finance"})
    assert careful.chosen("") is careful.chosen("Ferni") is careful.persona


def test_nobody_is_offered_beside_a_model_that_takes_no_instructions() -> None:
    deaf = DUPLEX_FUSED.without(HEARD_GUARD, unguarded="Moshi tells nothing of what it has heard")
    assert set(Talk(deaf, choose("embedded", LLM="moshi")).personas) == {"Ferni"}


def test_a_model_that_does_not_tell_what_it_has_heard_is_refused_before_a_page_is_there() -> None:
    with pytest.raises(DefinitionError, match=r"HEARD_GUARD needs caller_words of DUPLEX_LLM for the rules of policy"):
        Talk(DUPLEX_FUSED, choose("embedded", LLM="moshi"))


def test_a_persona_of_ones_own_comes_before_one_that_ships() -> None:
    own = personas.Persona(name="Maya", instructions="Be brief.")
    talk = Talk(BASIC_CASCADE, standin.stack(), persona=own)
    assert talk.chosen("Maya") is talk.chosen("") is own
    assert len(talk.personas) == len(personas.names())
    with pytest.raises(server.NobodyError, match="nobody of that name: choose Alex, Ferni, Jordan"):
        talk.chosen("maya")


async def test_clients_get_nothing_from_before_the_guard() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client, peer() as caller:
        await caller.call(client)
        await caller.hear("bot-started-speaking")
        await caller.hear("bot-stopped-speaking")
        talk.calls.workers[0].app_resources.context.add_message({"role": "user", "content": "Sing."})
        await talk.calls.workers[0].queue_frame(LLMContextFrame(talk.calls.workers[0].app_resources.context))
        kinds = set()
        while "bot-stopped-speaking" not in kinds:
            kinds.add((await caller.messages.get())["type"])
    assert "bot-output" in kinds
    assert not kinds & {"bot-llm-text", "bot-llm-started", "bot-transcription", "llm-raw-text", "user-llm-text"}


async def test_two_browsers_have_a_conversation_each() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client, peer() as one, peer() as other:
        assert (await one.call(client)).is_success
        assert (await other.call(client)).is_success
        for caller in (one, other):
            await caller.hear("bot-ready")
            async with asyncio.timeout(20):
                await caller.loud.wait()
        first, second = talk.calls.workers
        assert first is not second
        assert first.app_resources.context is not second.app_resources.context
        await one.close()
        await until_calls(lambda: talk.calls.workers == (second,))
        await second.rtvi.send_server_message({"still": "there"})
        assert (await other.hear("server-message"))["data"] == {"still": "there"}


async def test_one_call_too_many_is_told_so_and_can_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINES", 1)
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client, peer() as one, peer() as other:
        await one.call(client)
        busy = await other.call(client)
        assert busy.status_code == 503
        assert "line" in busy.json()["detail"]
        await one.hear("bot-ready")
        await one.close()
        await until_idle(talk)
        async with peer() as again:
            assert (await again.call(client)).is_success
            await again.hear("bot-ready")


async def test_a_page_that_goes_in_mid_sentence_leaves_nothing_behind() -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    async with ready(talk) as client:
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        async with peer() as caller:
            await caller.call(client)
            await caller.hear("bot-started-speaking")
            worker = talk.calls.workers[0]
        await until_idle(talk)
        assert worker.has_finished()
        await until_done(lambda: asyncio.all_tasks() - before)
        async with peer() as caller:
            await caller.call(client)
            await caller.hear("bot-ready")


async def test_a_page_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_calls, "PATIENCE_SECS", 1)
    talk = Talk(BASIC_CASCADE, standin.stack())
    pc = RTCPeerConnection()
    pc.addTrack(AudioStreamTrack())
    await pc.setLocalDescription(await pc.createOffer())
    offer = {"type": "offer", "sdp": pc.localDescription.sdp}
    await pc.close()
    async with ready(talk) as client:
        assert (await client.post("/api/offer", json=offer)).is_success
        assert talk.calls.lines_taken == 1
        await until_idle(talk)


async def test_a_failing_service_refuses_the_call_in_words(log: list[str]) -> None:
    def broken(session: object) -> Any:
        raise RuntimeError("the voice is out of order")

    stack = standin.stack()
    stack = stack.replace(TTS=Service("tone", broken, stack.services["TTS"].provides))
    talk = Talk(BASIC_CASCADE, stack)
    async with ready(talk) as client, peer() as caller:
        answer = await caller.call(client)
        assert not talk.calls.lines_taken
        assert (await client.get("/api/status")).is_success
    assert answer.status_code == 500
    assert "the voice is out of order" in answer.json()["detail"]
    assert len(log) == 1


READY = '{"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "2.2.0"}}'


CHOICE = '{"label": "rtvi-ai", "type": "client-message", "id": "1", "data": {"t": "hand-over", "d": "Maya"}}'


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        ("ping: 1", True),
        (READY, True),
        (CHOICE, True),
        (CHOICE.replace("hand-over", "anything"), False),
        (CHOICE.replace('"Maya"', "7"), False),
        (CHOICE.replace("Maya", "M" * 300), False),
        (CHOICE.replace(', "d": "Maya"', ""), False),
        (READY.replace("client-ready", "send-text"), False),
        (READY.replace("client-ready", "llm-function-call-result"), False),
        (READY.replace("rtvi-ai", "other"), False),
        (READY.replace('"1"', "1"), False),
        (READY.replace('{"version": "2.2.0"}', "[]"), False),
        ("", False),
        ("null", False),
        ("[" * 16000, False),
        ("x" * 20000, False),
        ("ping" * 20000, False),
        (b"\x00\xff", False),
    ],
)
def test_what_a_page_may_say(message: object, ours: bool) -> None:
    assert is_for_us(message) is ours


async def test_garbage_over_the_data_channel_costs_one_log_line(log: list[str]) -> None:
    talk = Talk(BASIC_CASCADE, standin.stack())
    secret = "what the caller typed"
    async with ready(talk) as client, peer() as caller:
        await caller.call(client)
        await caller.hear("bot-ready")
        before = len(log)
        for garbage in (
            secret,
            b"\x00\xff",
            "{",
            "[]",
            f'{{"type": "{secret}"}}',
            READY.replace("client-ready", secret),
        ):
            caller.channel.send(garbage)
        caller.channel.send(READY)
        await caller.hear("bot-ready")
        assert len(log) == before + 1
        assert secret not in "".join(log)


# --- leaving ---

SCRIPT = """
import sys, threading
sys.path.insert(0, {tests!r})
import standin
from loguru import logger
from pipelines.app.server import leave, run
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import HEARD_GUARD, DefinitionError
logger.remove()
logger.add(sys.stderr, level="INFO")

def load(progress):
    progress("model", 0.5)
    if {hang}:
        threading.Event().wait()

leave(run(BASIC_CASCADE, standin.stack(load=load), port=0,
          on_listening=lambda url: print(url, flush=True), on_ready=lambda: print("ready", flush=True)))
"""


@asynccontextmanager
async def process(*, hang: bool) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process that serves, and its address."""
    script = SCRIPT.format(tests=str(Path(__file__).parent), hang=hang)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert running.stdout is not None
        async with asyncio.timeout(30):
            yield running, (await running.stdout.readline()).decode().strip()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def leave(running: asyncio.subprocess.Process, number: int = signal.SIGINT) -> str:
    """Send ctrl-C, and what was written to stderr until the process ended, which must be soon."""
    running.send_signal(number)
    async with asyncio.timeout(3):
        _, errors = await running.communicate()
    return errors.decode()


async def test_ctrl_c_while_models_load() -> None:
    async with process(hang=True) as (running, url):
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/api/status")).json()["state"] == "loading"
        errors = await leave(running)
    assert running.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_ctrl_c_when_ready(number: int, status: int) -> None:
    async with process(hang=False) as (running, _):
        assert running.stdout is not None
        assert await running.stdout.readline() == b"ready\n"
        errors = await leave(running, number)
    assert running.returncode == status
    assert "Traceback" not in errors


async def test_ctrl_c_in_mid_call() -> None:
    async with process(hang=False) as (running, url), httpx.AsyncClient(base_url=url) as client, peer() as caller:
        assert running.stdout is not None
        await running.stdout.readline()
        await caller.call(client)
        await caller.hear("bot-started-speaking")
        errors = await leave(running)
        assert (await caller.hear("signalling"))["message"]["type"] == "peerLeft"
    assert running.returncode == 130
    assert "Traceback" not in errors
