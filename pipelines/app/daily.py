"""`antiphon daily`: the bot in a Daily room. Everybody else in the room is heard as one caller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from loguru import logger
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from pipecat.transports.daily.utils import DailyRESTHelper
from pipecat.workers.runner import WorkerRunner

from pipelines.assemble import assemble, check
from pipelines.definition import Architecture
from pipelines.lab.budget import Budget
from pipelines.personas import Persona, others
from pipelines.stacks import Stack
from processors.hearing.tagger import Ear

DAILY_API_URL = "https://api.daily.co/v1"
"""Where tokens are minted, unless the environment's `DAILY_API_URL` says otherwise."""

API_WAIT_SECS = 10.0
JOIN_WAIT_SECS = 15.0


class DailyError(RuntimeError):
    """A room that cannot be joined, or a call that was cut off. The message is one line: what happened, the mend."""

    mendable = True


async def join(
    room_url: str,
    token: str | None,
    architecture: Architecture,
    stack: Stack,
    persona: Persona,
    observers: Sequence[BaseObserver] = (),
    budget: Budget | None = None,
    tracing: bool = False,
    ear: Ear | None = None,
) -> None:
    """Join a room, greet the first participant and talk until the last one leaves.

    Ends as well, leaving the room, when nobody has said anything for five minutes and when the task is cancelled.

    Args:
        room_url: As `https://your-domain.daily.co/room`.
        token: A meeting token; if there is none, one is minted with the environment's `DAILY_API_KEY`.
        architecture: How to wire it.
        stack: What to fill it with. It is loaded here if it has not been yet.
        persona: Who joins; the participants see its name.
        observers: Watch the conversation.
        budget: What the call may cost; the bot leaves when it is spent.
        tracing: Whether to export spans.
        ear: As `assemble`.

    Raises:
        DailyError: If the address is malformed, the key is missing, Daily cannot be reached or refuses, or the call
            is cut off.
        DefinitionError, StackError: As `assemble`.
    """
    host = _host(room_url)
    check(architecture, stack, ear=ear is not None, policy=persona.policy)
    await _resolve(host)
    token = token or await _mint(room_url)
    await stack.load(architecture)
    transport = DailyTransport(
        room_url,
        token,
        persona.name,
        # One mixed track: with a track for each participant their chunks would alternate in one stream.
        DailyParams(audio_in_enabled=True, audio_out_enabled=True, audio_in_user_tracks=False),
    )
    worker = assemble(
        architecture,
        stack,
        transport,
        persona=persona,
        observers=observers,
        budget=budget,
        tracing=tracing,
        others=others(persona),
        ear=ear,
    )
    await stay(transport, worker, persona.greeting)


async def stay(transport: DailyTransport, worker: PipelineWorker, greeting: str = "") -> None:
    """Run a worker whose transport joins a room, from joining to leaving.

    Args:
        transport: The worker's transport.
        worker: Not started yet.
        greeting: Said to the first participant; empty to wait for the caller.

    Raises:
        DailyError: If the room cannot be joined or the call is cut off.
    """
    runner = WorkerRunner(handle_sigint=False)
    joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cut_off: list[str] = []
    others: set[str] = set()

    @transport.event_handler("on_joined")  # type: ignore[untyped-decorator]
    async def begin(transport: DailyTransport, data: Any) -> None:
        if not joined.done():
            joined.set_result(None)

    @transport.event_handler("on_error")  # type: ignore[untyped-decorator]
    async def fail(transport: DailyTransport, error: str) -> None:
        if not joined.done():
            joined.set_exception(_refusal(error))
        elif error.startswith("Disconnected from"):
            cut_off.append("Daily ended the call: the bot was removed, or the room or its token has expired")
            await runner.cancel("cut off")

    @transport.event_handler("on_participant_joined")  # type: ignore[untyped-decorator]
    async def meet(transport: DailyTransport, participant: Any) -> None:
        others.add(participant["id"])

    @transport.event_handler("on_first_participant_joined")  # type: ignore[untyped-decorator]
    async def greet(transport: DailyTransport, participant: Any) -> None:
        if greeting:
            await worker.queue_frame(TTSSpeakFrame(greeting))

    @transport.event_handler("on_participant_left")  # type: ignore[untyped-decorator]
    async def part(transport: DailyTransport, participant: Any, reason: str) -> None:
        others.discard(participant["id"])
        if not others:
            logger.info("the last participant has left")
            await runner.cancel("the last participant has left")

    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(JOIN_WAIT_SECS):
            await joined
        await asyncio.shield(running)
    except TimeoutError:
        raise DailyError(
            f"Daily has not let the bot in for {JOIN_WAIT_SECS:.0f} s: check the network and the room's address"
        ) from None
    finally:
        await runner.cancel("leaving")
        await running
    if cut_off:
        raise DailyError(cut_off[0])


def _host(room_url: str) -> str:
    parts = urlsplit(room_url)
    name = parts.path.removeprefix("/")
    if parts.scheme != "https" or not parts.hostname or not name or "/" in name:
        raise DailyError(f"{room_url!r} is no Daily room: write it as https://your-domain.daily.co/room")
    return parts.hostname


async def _resolve(host: str) -> None:
    """Find out at once what the SDK takes 20 s to give up, time in which ctrl-C waits for it."""
    try:
        async with asyncio.timeout(API_WAIT_SECS):
            await asyncio.get_running_loop().getaddrinfo(host, 443)
    except OSError:
        raise DailyError(
            f"Daily cannot be reached, {host} is unknown here: check the network and the room's address"
        ) from None


async def _mint(room_url: str) -> str:
    key = os.environ.get("DAILY_API_KEY")
    if not key:
        raise DailyError("a Daily room needs DAILY_API_KEY: set it in the environment, or give --token")
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=API_WAIT_SECS)) as session:
            helper = DailyRESTHelper(
                daily_api_key=key,
                daily_api_url=os.environ.get("DAILY_API_URL") or DAILY_API_URL,
                aiohttp_session=session,
            )
            return await helper.get_token(room_url, owner=False)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DailyError(f"Daily cannot be reached ({_line(error)}): check the network") from None
    except Exception as error:  # the helper raises nothing more specific for a refusal
        raise DailyError(f"Daily: {_line(error)}: check DAILY_API_KEY and the room's address") from None


def _refusal(error: str) -> DailyError:
    if "RoomInfoFetchFailed" in error:
        return DailyError("Daily cannot be reached: check the network")
    return DailyError(f"Daily: {_line(error)}: check the room's address and the token")


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
