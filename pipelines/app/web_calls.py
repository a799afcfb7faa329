"""Calls from browsers and from Pipecat's evals: each has a worker of its own, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import aioice.ice
from fastapi import WebSocket
from loguru import logger
from pipecat.evals.fastapi_transport import EvalFastAPIWebsocketTransport
from pipecat.frames.frames import EndFrame, TTSSpeakFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.processors.frameworks.rtvi.models import ClientMessage
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from pipelines.app import evals
from pipelines.app.manner import Manner
from pipelines.app.web_gate import LONGEST_NAME, is_loopback
from pipelines.lab.latency import LatencyObserver, TurnMarks
from pipelines.personas import Persona
from processors.speaking.switchboard import UnavailableError

PATIENCE_SECS = 10
"""How long a page may be out of reach before its call is given up."""

HAND_OVER = "hand-over"
"""The client message by which a page chooses who speaks: its data are a persona's name."""

LARGEST_MESSAGE = 16 * 1024
"""Characters of a data channel message that are worth parsing. The page's own have at most some hundred."""

Build = Callable[[BaseTransport, Persona], PipelineWorker]


class BadOfferError(ValueError):
    """An offer that no call can be made of. The message is one line."""


class BusyError(RuntimeError):
    """All lines are taken. The message is one line."""


@contextmanager
def media_on(host: str) -> Iterator[None]:
    """Have calls listen for audio where the web server listens.

    Without it they would listen on every address of the machine but loopback, and find none at all on a machine
    that is off line.
    """
    anywhere = aioice.ice.get_host_addresses

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1"] if is_loopback(host) else ["127.0.0.1", *anywhere(use_ipv4, use_ipv6)]

    aioice.ice.get_host_addresses = addresses
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = anywhere


def is_for_us(message: object) -> bool:
    """Whether a data channel message is one that the page sends: a keep-alive, RTVI's `client-ready`, or a choice of
    who speaks.

    The rest of RTVI's client messages (texts, files, audio, tool results) would enter the pipeline beside the
    caller's voice.
    """
    if not isinstance(message, str) or len(message) > LARGEST_MESSAGE:
        return False
    if message.startswith("ping"):
        return True
    try:
        parsed = json.loads(message)
    except (ValueError, RecursionError):
        return False
    if not (
        isinstance(parsed, dict)
        and parsed.get("label") == "rtvi-ai"
        and isinstance(parsed.get("id"), str)
        and isinstance(data := parsed.get("data", {}), dict)
    ):
        return False
    if parsed.get("type") == "client-message":
        return data.get("t") == HAND_OVER and isinstance(name := data.get("d"), str) and len(name) <= LONGEST_NAME
    return parsed.get("type") == "client-ready"


class Ending(BaseObserver):
    """Tells the page why the call is about to end, where there is a reason.

    Args:
        rtvi: The worker's, which the message goes through.
    """

    def __init__(self, rtvi: RTVIProcessor) -> None:
        super().__init__(observe_every_push=False)
        self._rtvi = rtvi

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, EndFrame) and data.frame.reason:
            await self._rtvi.send_server_message({"type": "ending", "reason": str(data.frame.reason)})


class VoiceConnection(SmallWebRTCConnection):
    """A connection that has no video, and says so without a warning."""

    def video_input_track(self) -> None:
        return None

    def screen_video_input_track(self) -> None:
        return None


def listen_for_us_only(connection: SmallWebRTCConnection) -> None:
    """Let only messages that `is_for_us` through to Pipecat, which logs others with all they contain."""

    @connection.pc.on("datachannel")
    def narrow(channel: Any) -> None:
        handlers = channel.listeners("message")
        channel.remove_all_listeners("message")
        warned = False

        @channel.on("message")  # type: ignore[untyped-decorator]
        async def pass_on(message: object) -> None:
            nonlocal warned
            if is_for_us(message):
                for handler in handlers:
                    await handler(message)
            elif not warned:
                warned = True
                logger.warning("a page sends messages that make no sense here: ignoring them")


class Calls:
    """The conversations that are going on.

    Args:
        build: Makes the worker for a transport, and who speaks.
        host: The name or address that the web server listens on.
        limit: How many calls at a time.
    """

    def __init__(self, build: Build, *, host: str, limit: int) -> None:
        self._build = build
        self._media = ExitStack()
        self._media.enter_context(media_on(host))
        self._limit = limit
        self._workers: dict[SmallWebRTCConnection | WebSocket, PipelineWorker | None] = {}
        self._runs: set[asyncio.Task[None]] = set()

    @property
    def workers(self) -> tuple[PipelineWorker, ...]:
        """The workers of the calls that are going on."""
        return tuple(worker for worker in self._workers.values() if worker is not None)

    @property
    def lines_taken(self) -> int:
        """How many calls are going on or being set up."""
        return len(self._workers)

    async def answer(self, sdp: str, persona: Persona) -> dict[str, str]:
        """Take a call.

        Args:
            sdp: A browser's offer, with an audio line.
            persona: Who speaks, and greets.

        Returns:
            The answer for the browser: `sdp`, `type` and `pc_id`.

        Raises:
            BusyError: If all lines are taken.
            BadOfferError: If the offer is not one for a voice call.
        """
        self._check_free()
        connection = VoiceConnection()
        self._workers[connection] = None
        try:
            listen_for_us_only(connection)
            await _initialize(connection, sdp)
            transport = SmallWebRTCTransport(connection, TransportParams(audio_in_enabled=True, audio_out_enabled=True))
            worker = self._build(transport, persona)
        except BaseException:
            del self._workers[connection]
            await connection.disconnect()
            raise
        self._workers[connection] = worker
        run = asyncio.create_task(self._run(connection, transport, worker, persona.greeting))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        answer: dict[str, str] = connection.get_answer()
        return answer

    async def evaluate(self, websocket: WebSocket, persona: Persona) -> None:
        """Take a call from Pipecat's eval harness, and hold it until either hangs up.

        Args:
            websocket: Not accepted yet.
            persona: Who speaks, and greets.

        Raises:
            BusyError: If all lines are taken. The connection has not been accepted then.
            NoEvalError: If something else is behind it.
        """
        self._check_free()
        self._workers[websocket] = None
        try:
            transport = await evals.accept(websocket)
            worker = self._build(transport, persona)
            self._workers[websocket] = worker
            run = asyncio.create_task(converse(WorkerRunner(handle_sigint=False), transport, worker, persona.greeting))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)
            await asyncio.wait((run,))
        finally:
            del self._workers[websocket]
            logger.info(f"an eval ended, {self.lines_taken} calls going on")

    def _check_free(self) -> None:
        if self.lines_taken >= self._limit:
            raise BusyError(
                f"all {self._limit} lines are taken: hang up in another tab or window, or try again in a moment"
            )

    async def _run(
        self,
        connection: SmallWebRTCConnection,
        transport: SmallWebRTCTransport,
        worker: PipelineWorker,
        greeting: str,
    ) -> None:
        runner = WorkerRunner(handle_sigint=False)
        watch = asyncio.create_task(_watch(connection, runner))
        try:
            await converse(runner, transport, worker, greeting)
        except Exception as error:
            logger.error(f"a call broke: {type(error).__name__}: {error}")
        finally:
            watch.cancel()
            del self._workers[connection]
            await connection.disconnect()
            logger.info(f"a call ended, {self.lines_taken} going on")

    async def close(self) -> None:
        """End all calls and wait until they have. None can be taken afterwards."""
        self._limit = 0
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        self._media.close()


async def converse(runner: WorkerRunner, transport: BaseTransport, worker: PipelineWorker, greeting: str = "") -> None:
    """Run a worker from the client's arrival until it goes, or until the runner is cancelled.

    Args:
        runner: Not started yet.
        transport: The worker's, with one client.
        worker: Not started yet.
        greeting: What is said when the client is ready; empty to wait for the caller.
    """

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def hang_up(transport: BaseTransport, client: object) -> None:
        await runner.cancel("the client is gone")

    @worker.rtvi.event_handler("on_client_ready")  # type: ignore[untyped-decorator]
    async def greet(rtvi: object) -> None:
        if greeting:
            await worker.queue_frame(TTSSpeakFrame(greeting))

    @worker.rtvi.event_handler("on_client_message")  # type: ignore[untyped-decorator]
    async def hand_over(rtvi: RTVIProcessor, message: ClientMessage) -> None:
        switchboard = worker.app_resources.switchboard
        if message.type != HAND_OVER or switchboard is None:
            return
        try:
            await switchboard.choose(str(message.data))
        except UnavailableError as error:
            logger.warning(f"a call was not handed over: {error}")

    async def tell_latency(turn: int, marks: TurnMarks) -> None:
        parts = [{"name": part.name, "ms": round(part.ms), "by": part.by} for part in marks.parts()]
        message = {"type": "latency", "turn": turn, "total_ms": round(marks.total_ms or 0), "parts": parts}
        await worker.queue_frame(RTVIServerMessageFrame(data=message))

    worker.add_observer(LatencyObserver(tell_latency))
    worker.add_observer(Ending(worker.rtvi))
    worker.add_observer(Manner(worker.rtvi))
    if isinstance(transport, EvalFastAPIWebsocketTransport):
        worker.add_observer(evals.WordsForTheVoice(worker.rtvi))
    await runner.add_workers(worker)
    await runner.run()


async def _initialize(connection: SmallWebRTCConnection, sdp: str) -> None:
    try:
        await connection.initialize(sdp=sdp, type="offer")
    except Exception as error:
        # What aiortc raises for a malformed offer ranges from ValueError to AssertionError and KeyError.
        raise BadOfferError("that is not an offer for a WebRTC call") from error
    transceivers = connection.pc.getTransceivers()
    if not transceivers or transceivers[0].kind != "audio":
        raise BadOfferError("the offer has no audio line")


async def _watch(connection: SmallWebRTCConnection, runner: WorkerRunner) -> None:
    missed = 0
    while missed < PATIENCE_SECS:
        await asyncio.sleep(1)
        missed = 0 if connection.is_connected() else missed + 1
    await runner.cancel("the page is out of reach")
