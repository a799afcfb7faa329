"""A scripted stand-in for Daily: the SDK's client and devices with a room behind them instead of a cloud.

As with the SDK, events come from another thread, and audio is taken and given at the pace at which it is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pipecat.transports.daily import transport

Completion = Callable[..., None]


class Room:
    """A room that one bot may join.

    Args:
        present: Who is there before the bot.
        refuses: The SDK's words for not letting the bot in, if it does not.
        ignores: Never answer the bot's knock.
    """

    def __init__(self, *present: str, refuses: str = "", ignores: bool = False) -> None:
        self.people = list(present)
        self.refuses = refuses
        self.ignores = ignores
        self.client: Client | None = None
        self.url = self.token = self.name = ""
        self.knocked, self.joined = asyncio.Event(), asyncio.Event()
        self.left = self.released = False
        self.heard = bytearray()
        """What the bot has said, as 16-bit mono PCM at 24 kHz."""
        self._said = bytearray()
        self._hearing = asyncio.Event()

    def open(self, monkeypatch: pytest.MonkeyPatch) -> Room:
        """Put this room where Pipecat's transport looks for Daily."""
        monkeypatch.setattr(transport, "CallClient", lambda event_handler: Client(self, event_handler))
        monkeypatch.setattr(transport, "CustomAudioSource", lambda rate, channels, silence: Microphone(self, rate))
        monkeypatch.setattr(transport, "CustomAudioTrack", Track)
        monkeypatch.setattr(transport, "Daily", Devices(self))
        # The transport prepares the SDK once a process, and this one is not the SDK.
        monkeypatch.setattr(transport.DailyTransportClient, "_daily_initialized", False)
        return self

    async def arrive(self, who: str) -> None:
        self.people.append(who)
        await self.tell("on_participant_joined", {"id": who})

    async def depart(self, who: str) -> None:
        self.people.remove(who)
        await self.tell("on_participant_left", {"id": who}, "leftCall")

    async def remove_bot(self) -> None:
        """End the call for the bot, as when it is ejected."""
        await self.tell("on_call_state_updated", "left")

    def say(self, pcm: bytes) -> None:
        """Have someone in the room say something, as 16-bit mono PCM at 16 kHz."""
        self._said += pcm

    async def until_heard(self, seconds: float) -> None:
        """Wait until the bot has sounded for so long, which must be within 20 s."""
        async with asyncio.timeout(20):
            while len(self.heard) < seconds * 2 * 24000:
                self._hearing.clear()
                await self._hearing.wait()

    async def tell(self, event: str, *args: Any) -> None:
        """Report an event to the bot, from another thread as the SDK does."""
        assert self.client is not None
        await asyncio.to_thread(getattr(self.client.handler, event), *args)

    def take(self, frames: int) -> bytes:
        """What the bot's loudspeaker plays next: what is being said, otherwise silence."""
        piece = bytes(self._said[: 2 * frames])
        del self._said[: 2 * frames]
        return piece.ljust(2 * frames, b"\0")

    def hear(self, pcm: bytes) -> None:
        """Take what the bot's microphone sends."""
        if pcm.strip(b"\0"):
            self.heard += pcm
            self._hearing.set()


class Client:
    """As `daily.CallClient`, as far as the transport calls it."""

    def __init__(self, room: Room, handler: Any) -> None:
        self.handler = handler
        self._room = room
        self._events: set[asyncio.Task[None]] = set()
        room.client = self

    def set_user_name(self, name: str) -> None:
        self._room.name = name

    def update_subscription_profiles(self, profiles: Any) -> None:
        assert profiles == {"base": {"camera": "unsubscribed", "screenVideo": "unsubscribed"}}

    def join(self, url: str, token: str, completion: Completion, client_settings: dict[str, Any]) -> None:
        room = self._room
        room.url, room.token = url, token
        assert client_settings["inputs"]["microphone"]["settings"]["customTrack"]["id"] == Track.id
        room.knocked.set()
        if room.ignores:
            return
        if room.refuses:
            completion(None, room.refuses)
            return
        completion({"participants": {"local": {"id": "bot"}}, "meetingSession": {"id": "1"}}, None)
        room.joined.set()
        for who in room.people:
            task = asyncio.get_running_loop().create_task(room.tell("on_participant_joined", {"id": who}))
            self._events.add(task)

    def send_app_message(self, message: object, participant: str | None, completion: Completion) -> None:
        # An error would be told to the room in such a message, which would fail as well, and so on.
        completion(None)

    def leave(self, completion: Completion) -> None:
        self._room.left = True
        completion(None)

    def release(self) -> None:
        self._room.released = True


class Microphone:
    """As `daily.CustomAudioSource`."""

    def __init__(self, room: Room, rate: int) -> None:
        assert rate == 24000
        self._room = room

    def write_frames(self, pcm: bytes, completion: Completion) -> None:
        self._room.hear(pcm)
        frames = len(pcm) // 2
        asyncio.get_running_loop().call_later(frames / 24000, completion, frames)


class Track:
    """As `daily.CustomAudioTrack`."""

    id = "track-1"

    def __init__(self, source: Microphone) -> None:
        self.source = source


class Loudspeaker:
    """As `daily.VirtualSpeakerDevice`, non-blocking."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def read_frames(self, frames: int, completion: Completion) -> None:
        asyncio.get_running_loop().call_later(frames / 16000, completion, self._room.take(frames))


class Devices:
    """As `daily.Daily`, as far as the transport calls it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._selected = ""

    def init(self) -> None:
        """Nothing to prepare."""

    def set_log_level(self, level: object) -> None:
        """Nothing is logged."""

    def create_speaker_device(self, name: str, sample_rate: int, channels: int, non_blocking: bool) -> Loudspeaker:
        assert (sample_rate, channels, non_blocking) == (16000, 1, True)
        self._selected = name
        return Loudspeaker(self._room)

    def select_speaker_device(self, name: str) -> None:
        assert name == self._selected
