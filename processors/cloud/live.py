"""OpenAI's Live API: a model that hears and speaks at the same time, and decides itself when to do either.

Pipecat's service begins a session when an application first sends it the context, has no second line when the first
one breaks, waits for ten seconds at the end for a server that does not say goodbye, and lets a server that takes no
more sound hold up the pipeline.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    StartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai._constants import OPENAI_SAMPLE_RATE
from pipecat.services.openai.live import events
from pipecat.services.openai.live.llm import OpenAILiveLLMService
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from processors.fused.failing import gives_up, words
from processors.fused.pacing import Backlog
from processors.guarding.frames import UnfinishedAnswerFrame

CONNECT_SECS = 5.0
CLOSE_SECS = 1.0
BACK_OFF_SECS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How long to wait before each attempt to have the line back; after the last one it is given up."""

BACKLOG_SECS = 2.0
"""Of the caller's sound that waits for a slow server; more is too late to be answered."""

MAX_MESSAGE_BYTES = 1 << 20


class _RefusedError(Exception):
    """The session is refused by an error event."""


class LiveLLM(OpenAILiveLLMService):
    """Sends all that the caller says and passes on all that the model says, at the same time, for the whole call.

    Frames as Pipecat's service has them. The session begins with the pipeline, and knows what was said before it. A
    line that breaks is an `ErrorFrame`, ends an answer by an `UnfinishedAnswerFrame`, and is replaced by one that is
    told the conversation so far. When that is given up, or the server refuses for good, it is an error for good.

    Args: As `OpenAILiveLLMService`, and
        context: What has been said, live.
    """

    _websocket: Any
    _receive_task: Any

    def __init__(self, *, context: LLMContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._context = context
        self._needs_session_config = False
        self._backlog = self._empty()
        self._broken = False

    @staticmethod
    def _empty() -> Backlog:
        return Backlog(round(2 * BACKLOG_SECS * OPENAI_SAMPLE_RATE))

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._receive_task = self.create_task(self._hold(), "line")

    async def cancel(self, frame: CancelFrame) -> None:
        if self._websocket is not None:
            self._websocket.transport.abort()
        await super().cancel(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.DOWNSTREAM:
            # The model talks on, and what it says from here is another answer to those who record it. A guard, which
            # interrupts from behind, waits for the end of this one.
            await self._close_turn("assistant")
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if self._broken and type(frame) is LLMFullResponseEndFrame:
            frame = UnfinishedAnswerFrame()
        await super().push_frame(frame, direction)

    async def _connect(self) -> None:
        """Not when a pipeline is set up: nothing can be reported then."""

    async def _close_session(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECS):
                await super()._close_session()

    async def _ws_send(self, message: dict[str, Any]) -> None:
        if self._websocket is not None and not self._disconnecting:
            # Whoever receives finds out when the line is closed, and reports it.
            with suppress(ConnectionClosed):
                await self._websocket.send(json.dumps(message))

    async def _send_user_audio(self, frame: InputAudioRawFrame) -> None:
        if self._session_started:
            self._backlog.put(await self._resampler.resample(frame.audio, frame.sample_rate, OPENAI_SAMPLE_RATE))

    async def _hold(self) -> None:
        """Have a line to the server for as long as that can be had."""
        failures = 0
        while True:
            self._session_started = self._session_started_on_connection = False
            failure: Exception | None
            try:
                async with connect(
                    self.base_url,
                    additional_headers={"Authorization": f"Bearer {self.api_key}"},
                    open_timeout=CONNECT_SECS,
                    close_timeout=CLOSE_SECS,
                    max_size=MAX_MESSAGE_BYTES,
                ) as line:
                    await self._talk(line)
                    failure = line.protocol.close_exc
            except (_RefusedError, OSError, WebSocketException) as error:
                failure = error
            finally:
                self._websocket = None
            if self._disconnecting:
                return
            await self._end_turns()
            failures = 1 if self._session_started_on_connection else failures + 1
            if await self._gives_up(failure, failures):
                return
            await asyncio.sleep(BACK_OFF_SECS[failures - 1])

    async def _end_turns(self) -> None:
        self._broken = True
        await self._close_open_turns()
        self._broken = False

    async def _talk(self, line: ClientConnection) -> None:
        """Begin a session and have it until the line ends."""
        self._websocket = line
        self._backlog = self._empty()
        await self._send_session_config()
        sending = self.create_task(self._send_sound(line, self._backlog), "sound")
        try:
            async for message in line:
                try:
                    await self._handle_server_event(events.parse_server_event(message))
                except _RefusedError:
                    raise
                except Exception as error:
                    # Its text may hold the message, which no guard has read.
                    await self.push_error(f"OpenAI Live sent what cannot be understood ({type(error).__name__})")
        finally:
            await self.cancel_task(sending)

    async def _send_sound(self, line: ClientConnection, backlog: Backlog) -> None:
        with suppress(ConnectionClosed):
            while True:
                sound = base64.b64encode(await backlog.get()).decode()
                await line.send(json.dumps(events.InputAudioAppendEvent(audio=sound).to_payload()))

    async def _handle_evt_error(self, evt: events.ErrorEvent) -> None:
        refusal = f"refuses: {evt.error.code or evt.error.type}: {evt.error.message}"
        if not self._session_started_on_connection:
            raise _RefusedError(refusal)
        await self.push_error(f"OpenAI Live {refusal}")

    async def _gives_up(self, failure: Exception | None, failures: int) -> bool:
        what = f"OpenAI Live {_words(failure)}"
        return await gives_up(self, what, failure, failures=failures, attempts=len(BACK_OFF_SECS))


def _words(failure: Exception | None) -> str:
    if isinstance(failure, _RefusedError):
        return str(failure)
    if isinstance(failure, ConnectionClosed) or failure is None:
        return f"has ended the line: {failure}"
    return words(failure, CONNECT_SECS)
