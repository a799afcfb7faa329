"""The bot in a Daily room: against a scripted room, the real SDK as far as it goes offline, and a real room by key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import soundfile
import soxr
import standin
from aiohttp import web
from loopback.server import ScriptedServer
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from scripted_daily import Room

from pipelines.app import daily
from pipelines.app.daily import DailyError
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.personas import Persona
from pipelines.stacks import StackError
from tests.harness import on_virtual_time

URL = "https://localhost/room"
FERNI = Persona(name="Ferni", instructions="You are Ferni.", greeting="Hello and welcome.")
GREETING_SECS = 3 * standin.WORD_SECS
RECORDING = Path(__file__).parents[2] / "shared/data/agent_turns_tau2/tau2_order_status.wav"


@asynccontextmanager
async def visiting(room: Room) -> AsyncIterator[asyncio.Task[None]]:
    """The bot in a room that it has joined, until it has left."""
    visit = asyncio.create_task(daily.join(URL, "token", BASIC_CASCADE, standin.stack(), FERNI))
    try:
        arrived = asyncio.create_task(room.joined.wait())
        await asyncio.wait({visit, arrived}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        yield visit
        async with asyncio.timeout(20):
            await visit
    finally:
        visit.cancel()


class TestRoom:
    @on_virtual_time(measured=True)
    async def test_greets_the_first_participant_and_leaves_with_the_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room().open(monkeypatch)
        async with visiting(room):
            assert (room.url, room.token, room.name) == (URL, "token", "Ferni")
            assert not room.heard
            await room.arrive("ann")
            await room.arrive("bob")
            await room.until_heard(GREETING_SECS)
            await room.depart("ann")
            assert not room.left
            await room.depart("bob")
        assert room.left
        assert room.released
        # In chunks of 40 ms, of which the first and the last need not be full.
        assert GREETING_SECS <= len(room.heard) / 48000 < GREETING_SECS + 2 * 0.04

    @on_virtual_time(measured=True)
    async def test_greets_who_is_already_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room("ann").open(monkeypatch)
        async with visiting(room):
            await room.until_heard(GREETING_SECS)
            await room.depart("ann")
        assert room.left

    @pytest.mark.skipif(not RECORDING.exists(), reason=f"{RECORDING.name} is not in the shared data")
    @on_virtual_time(measured=True)
    async def test_answers_what_is_said_in_the_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        samples, rate = soundfile.read(RECORDING, dtype="float32")
        samples = soxr.resample(samples, rate, 16000)
        room = Room("ann").open(monkeypatch)
        async with visiting(room):
            await room.until_heard(GREETING_SECS)
            room.say((samples * 32767).astype("<i2").tobytes())
            await room.until_heard(GREETING_SECS + 1.0)
            await room.depart("ann")

    @on_virtual_time(measured=True)
    async def test_a_refusal_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room(refuses="Connection(Api(TokenRejected(\n  expired)))").open(monkeypatch)
        with pytest.raises(DailyError, match=r"TokenRejected.*: check the room's address and the token$") as info:
            async with visiting(room):
                pass
        assert "\n" not in str(info.value)
        assert room.released

    @on_virtual_time(measured=True)
    async def test_an_unreachable_cloud_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room(refuses="Connection(Api(RoomLookup(RoomInfoFetchFailed(Get(Connect)))))").open(monkeypatch)
        with pytest.raises(DailyError, match=r"^Daily cannot be reached: check the network$"):
            async with visiting(room):
                pass

    @on_virtual_time(measured=True)
    async def test_a_cloud_that_never_answers_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room(ignores=True).open(monkeypatch)
        with pytest.raises(DailyError, match="has not let the bot in for 15 s: check the network"):
            await daily.join(URL, "token", BASIC_CASCADE, standin.stack(), FERNI)
        assert room.released

    @on_virtual_time(measured=True)
    async def test_a_removed_bot_ends_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room("ann").open(monkeypatch)
        visit = asyncio.create_task(daily.join(URL, "token", BASIC_CASCADE, standin.stack(), FERNI))
        await room.until_heard(GREETING_SECS)
        await room.remove_bot()
        with pytest.raises(DailyError, match="Daily ended the call: the bot was removed"):
            await visit
        assert room.released

    @pytest.mark.parametrize("phase", ["joining", "greeting"])
    @on_virtual_time(measured=True)
    async def test_cancelled_in_any_phase_it_leaves(self, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room("ann", ignores=phase == "joining").open(monkeypatch)
        visit = asyncio.create_task(daily.join(URL, "token", BASIC_CASCADE, standin.stack(), FERNI))
        if phase == "joining":
            await room.knocked.wait()
        else:
            await room.until_heard(0.1)
        visit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visit
        assert room.left is (phase == "greeting")
        assert room.released


class TestBefore:
    """What is refused before anything is loaded or joined."""

    @pytest.mark.parametrize(
        "url", ["", "room", "http://a.daily.co/room", "https://a.daily.co", "https://a.daily.co/", "https:///room"]
    )
    async def test_a_malformed_address(self, url: str) -> None:
        with pytest.raises(DailyError, match=r"is no Daily room: write it as https://your-domain\.daily\.co/room$"):
            await daily.join(url, "token", BASIC_CASCADE, standin.stack(), FERNI)

    async def test_an_unknown_host(self) -> None:
        with pytest.raises(DailyError, match=r"cannot be reached, room\.invalid is unknown here: check the network"):
            await daily.join("https://room.invalid/room", "token", BASIC_CASCADE, standin.stack(), FERNI)

    async def test_neither_token_nor_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DAILY_API_KEY", raising=False)
        with pytest.raises(DailyError, match="needs DAILY_API_KEY: set it in the environment, or give --token"):
            await daily.join(URL, None, BASIC_CASCADE, standin.stack(), FERNI)

    async def test_a_stack_without_its_key(self) -> None:
        with pytest.raises(StackError, match="needs ANTIPHON_NO_SUCH_KEY"):
            await daily.join(URL, "token", BASIC_CASCADE, standin.stack(keys=("ANTIPHON_NO_SUCH_KEY",)), FERNI)


class ScriptedDailyApi(ScriptedServer[tuple[int, dict[str, str]]]):
    """A scripted stand-in for Daily's REST API: answers each request for a token with a status and a body."""

    def __init__(self, *script: tuple[int, dict[str, str]]) -> None:
        super().__init__(script)
        self.requests: list[tuple[str, dict[str, object]]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/meeting-tokens", self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers["authorization"], await request.json()))
        step = self.next_step("POST /v1/meeting-tokens", tuple)
        status, body = step or (500, {})
        return web.json_response(body, status=status)


class TestToken:
    async def test_one_is_minted_with_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        room = Room("ann").open(monkeypatch)
        async with ScriptedDailyApi((200, {"token": "minted"})) as api:
            monkeypatch.setenv("DAILY_API_KEY", "daily-key")
            monkeypatch.setenv("DAILY_API_URL", f"{api.url}/v1")
            visit = asyncio.create_task(daily.join(URL, None, BASIC_CASCADE, standin.stack(), FERNI))
            await room.until_heard(0.1)
            await room.depart("ann")
            await visit
        assert room.token == "minted"
        [(authorization, body)] = api.requests
        assert authorization == "Bearer daily-key"
        properties = body["properties"]
        assert isinstance(properties, dict)
        assert properties["room_name"] == "room"
        assert properties["is_owner"] is False

    async def test_a_refused_key_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with ScriptedDailyApi((401, {"error": "authentication-error"})) as api:
            monkeypatch.setenv("DAILY_API_KEY", "daily-key")
            monkeypatch.setenv("DAILY_API_URL", f"{api.url}/v1")
            with pytest.raises(DailyError, match=r"status: 401.*: check DAILY_API_KEY and the room's address$") as info:
                await daily.join(URL, None, BASIC_CASCADE, standin.stack(), FERNI)
        assert "daily-key" not in str(info.value)

    async def test_no_network_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DAILY_API_KEY", "daily-key")
        monkeypatch.setenv("DAILY_API_URL", "http://localhost:9/v1")
        with pytest.raises(DailyError, match=r"^Daily cannot be reached \(.*\): check the network$"):
            await daily.join(URL, None, BASIC_CASCADE, standin.stack(), FERNI)


class TestSdk:
    async def test_the_real_client_and_devices_refuse_a_malformed_room_in_one_line(self) -> None:
        transport = DailyTransport(
            "no-room",
            None,
            "Ferni",
            DailyParams(audio_in_enabled=True, audio_out_enabled=True, audio_in_user_tracks=False),
        )
        with pytest.raises(DailyError, match=r"Failed to parse url.*: check the room's address and the token$"):
            await daily.stay(transport, assemble(BASIC_CASCADE, standin.stack(), transport, persona=FERNI))

    @pytest.mark.skipif(
        not (os.environ.get("DAILY_API_KEY") and os.environ.get("ANTIPHON_DAILY_ROOM")),
        reason="joins a real room only with DAILY_API_KEY and ANTIPHON_DAILY_ROOM set",
    )
    async def test_greets_and_leaves_a_real_room(self) -> None:
        url = os.environ["ANTIPHON_DAILY_ROOM"]
        visit = asyncio.create_task(daily.join(url, None, BASIC_CASCADE, standin.stack(), FERNI))
        caller = DailyTransport(
            url, await daily._mint(url), "Caller", DailyParams(audio_in_enabled=True, audio_in_user_tracks=False)
        )
        heard = asyncio.Event()
        async with listening(caller, heard), asyncio.timeout(60):
            await heard.wait()
        async with asyncio.timeout(30):
            await visit


@asynccontextmanager
async def listening(transport: DailyTransport, heard: asyncio.Event) -> AsyncIterator[None]:
    """A participant who listens until the block ends; `heard` is set by the first sound."""
    from loopback.pipeline import bench
    from pipecat.frames.frames import InputAudioRawFrame

    async with bench(transport.input()) as board:

        async def wait() -> None:
            await board.until(lambda: any(frame.audio.strip(b"\0") for frame in board.all(InputAudioRawFrame)))
            heard.set()

        waiting = asyncio.create_task(wait())
        yield
        waiting.cancel()
