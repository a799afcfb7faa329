"""Pipecat's evals: what the bot tells the harness, and a voice and a transcriber for its scenarios.

A scenario names the two by factory:

```yaml
user: {modality: audio, speech: {factory: pipelines.app.evals.voice}}
judge: {modality: audio, transcription: {factory: pipelines.app.evals.transcriber}}
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import WebSocket
from loguru import logger
from pipecat.evals.fastapi_transport import EvalFastAPIWebsocketTransport
from pipecat.evals.serializer import EvalSerializer, parse_eval_connect
from pipecat.evals.transport import EvalTransportParams
from pipecat.frames.frames import (
    AggregatedTextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.processors.frameworks.rtvi.models import (
    BotLLMStartedMessage,
    BotLLMStoppedMessage,
    BotLLMTextMessage,
    TextMessageData,
)
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from starlette.websockets import WebSocketDisconnect, WebSocketState

from processors.guarding.door import kept
from processors.guarding.frames import is_cleared, to_be_said

HELLO_WAIT_SECS = 5.0
"""How long a connection may take to say that it is an eval."""

LONGEST_REASON = 123
"""Bytes of words in a WebSocket's closing frame."""


class NoEvalError(ValueError):
    """A WebSocket that no eval harness is behind. The message is one line."""


class WordsForTheVoice(BaseObserver):
    """Reports the words that are given to the voice as the bot's text.

    Pipecat reports what the LLM says. Between the LLM and the voice stands the guard, and what no caller hears is
    nothing to judge the bot by. Greetings and apologies, which no LLM says, are reported as well.

    Args:
        rtvi: The worker's, which the messages go through.
    """

    def __init__(self, rtvi: RTVIProcessor) -> None:
        super().__init__()
        self._rtvi = rtvi

    async def on_push_frame(self, data: FramePushed) -> None:
        if not isinstance(data.destination, TTSService):
            return
        frame = data.frame
        if kept(data.destination) and to_be_said(frame) and not is_cleared(frame):
            return  # it passes the guard at the door first
        if isinstance(frame, LLMFullResponseStartFrame):
            await self._rtvi.push_transport_message(BotLLMStartedMessage())
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self._rtvi.push_transport_message(BotLLMStoppedMessage())
        elif isinstance(frame, AggregatedTextFrame):
            await self._report(frame.text)
        elif isinstance(frame, TTSSpeakFrame):
            await self._rtvi.push_transport_message(BotLLMStartedMessage())
            await self._report(frame.text)
            await self._rtvi.push_transport_message(BotLLMStoppedMessage())

    async def _report(self, text: str) -> None:
        await self._rtvi.push_transport_message(BotLLMTextMessage(data=TextMessageData(text=f"{text} ")))


def params() -> EvalTransportParams:
    """What the harness's connection carries: audio both ways, RTVI messages."""
    return EvalTransportParams(audio_in_enabled=True, audio_out_enabled=True, serializer=EvalSerializer())


async def accept(websocket: WebSocket) -> EvalFastAPIWebsocketTransport:
    """Accept a connection that begins as the harness's do.

    Args:
        websocket: Not accepted yet.

    Raises:
        NoEvalError: If the first message is another, or none comes.
    """
    await websocket.accept()
    try:
        async with asyncio.timeout(HELLO_WAIT_SECS):
            flags = parse_eval_connect(await websocket.receive_json())
    except WebSocketDisconnect:
        raise NoEvalError("hung up before it said that it is an eval") from None
    except (TimeoutError, ValueError, KeyError, RecursionError):
        flags = None
    if flags is None:
        raise NoEvalError("only Pipecat's evals are answered here: pipecat eval run SCENARIO --bot-url ws://…/ws")
    return EvalFastAPIWebsocketTransport(websocket, params(), flags)


async def send_away(websocket: WebSocket, words: str) -> None:
    """Close a WebSocket with words, which the harness prints; its HTTP answers it would not.

    Args:
        websocket: Accepted or not.
        words: One line. What a closing frame cannot hold is cut off.
    """
    logger.warning(f"refused a WebSocket: {words}")
    with suppress(WebSocketDisconnect, RuntimeError):  # it has gone already
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.accept()
        await websocket.close(1008, words.encode()[:LONGEST_REASON].decode(errors="ignore"))


def voice(config: Mapping[str, Any]) -> TTSService:
    """The embedded voice, for callers.

    Args:
        config: A scenario's `user.speech`. It may hold the controls of `processors.embedded.hibari.Controls`.

    Raises:
        ValueError: If a control is out of range.
        WeightsError: If the voice is not installed.
    """
    from dataclasses import fields

    from pipelines.stacks.embedded import SYNTHESISER
    from processors.embedded.hibari import Controls
    from processors.embedded.tts import EmbeddedTTSService

    controls = {control.name: config[control.name] for control in fields(Controls) if control.name in config}
    return EmbeddedTTSService(SYNTHESISER.get(), settings=EmbeddedTTSService.Settings(**controls))


def transcriber(config: Mapping[str, Any]) -> STTService:
    """The embedded recogniser, for what the bot says.

    Args:
        config: A scenario's `judge.transcription`. Nothing in it is for us.

    Raises:
        WeightsError: If the recogniser is not installed.
    """
    from pipelines.lab.baseline import SegmentedMoonshine

    return SegmentedMoonshine()
