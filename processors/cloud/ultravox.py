"""Ultravox as a model that hears and writes, in a pipeline that decides whose turn it is.

Ultravox decides that for itself, after a pause of 0.4 s, and can neither be told to wait nor to stop. So its answer is
kept until the caller's turn is over here, too, and what of it was not passed on when they speak on is dropped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ultravox.llm import OneShotInputParams, UltravoxRealtimeLLMService
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

CONNECT_SECS = 5.0
"""How long making a call and joining it may take."""

ROLES = {"user": "MESSAGE_ROLE_USER", "assistant": "MESSAGE_ROLE_AGENT"}


@dataclass
class Answer:
    """One of the model's.

    Args:
        ordinal: Its place among all that was said in the call.
        text: As far as it is written.
        given: How many characters of it have been passed on.
        begun: Whether any have.
        whole: Whether it is all written.
        ended: Whether its end was passed on, too.
    """

    ordinal: int = -1
    text: str = ""
    given: int = 0
    begun: bool = False
    whole: bool = False
    ended: bool = False


class RefusedError(RuntimeError):
    """Ultravox makes no call. The message is one line."""


class UltravoxLLM(UltravoxRealtimeLLMService):
    """Hears what the caller says and answers in text; what they said comes back as a `TranscriptionFrame`, upstream.

    A line that breaks is reported, and replaced by a call that is told the conversation so far; if that fails, again
    when the caller next speaks. A change of the prompt is another call, too, as that of a call stays as it is.

    Args:
        api_key: Ultravox'.
        base_url: Where calls are made, without `/api`.
        model: As Ultravox names it.
        context: What has been said, live, with the tools there are.
        instructions: The prompt.
    """

    _settings: Any

    def __init__(self, *, api_key: str, base_url: str, model: str, context: LLMContext, instructions: str) -> None:
        super().__init__(
            params=OneShotInputParams(api_key=api_key, model=model, output_medium="text"),
            settings=self.Settings(model=model, system_instruction=instructions),
        )
        self._api_key = api_key
        self._base_url = base_url
        self._conversation = context
        self._joining: asyncio.Task[None] | None = None
        self._was_up = False
        self._turn_open = False
        self._passing_on = asyncio.Lock()
        self._answer = Answer()
        self._cut = -1

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        # Without Pipecat's warning that nobody but the pipeline decides whose turn it is.
        return LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=True)

    async def start(self, frame: StartFrame) -> None:
        # Past Pipecat's, for which the whole pipeline waits until there is a call.
        await super(UltravoxRealtimeLLMService, self).start(frame)
        self._sync_registered_tool_handlers(self._conversation.tools)
        messages = [each for each in self._conversation.messages if isinstance(each, dict)]
        self._completed_tool_calls = {str(each.get("tool_call_id")) for each in messages if each["role"] == "tool"}
        self._join_soon()

    async def stop(self, frame: EndFrame) -> None:
        await self._give_up_joining()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._give_up_joining()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._give_up_joining()
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, UserStartedSpeakingFrame):
            self._turn_open = True
            if self._socket is None:
                self._join_soon()
        elif isinstance(frame, VADUserStartedSpeakingFrame) and self._turn_open and not self._answer.begun:
            # What was written in the pause answers half of what they say.
            self._cut = self._answer.ordinal
        elif isinstance(frame, InterruptionFrame) and self._answer.begun:
            self._cut = self._answer.ordinal
        await super().process_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame):
            self._turn_open = False
            if self._joining is not None and not self._joining.done():
                await self.push_error("Ultravox is not connected yet: a turn was not heard")
            await self._pass_on()

    async def _update_settings(self, delta: Any) -> dict[str, Any]:
        changed = await super(UltravoxRealtimeLLMService, self)._update_settings(delta)
        if "system_instruction" in changed:
            await self._leave()
            self._join_soon()
        return changed

    async def forget_turn(self) -> None:
        """Have the model forget what it has just heard, in another call: that of one is never forgotten."""
        if self._socket is not None:
            await self._leave()
            self._join_soon()

    # The call.

    def _join_soon(self) -> None:
        if self._joining is None or self._joining.done():
            self._joining = self.create_task(self._join(), f"{self}::join")

    async def _give_up_joining(self) -> None:
        joining, self._joining = self._joining, None
        if joining is not None and not joining.done():
            await self.cancel_task(joining)

    async def _leave(self) -> None:
        await self._give_up_joining()
        line, self._socket = self._socket, None
        if line is not None:
            await line.close()

    async def _join(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECS):
                self._socket = await connect(await self._make_call())
        except TimeoutError as error:
            await self.push_error(f"Ultravox does not answer within {CONNECT_SECS:.0f} s", error)
        except RefusedError as error:
            await self.push_error(str(error), error)
        except (aiohttp.ClientError, WebSocketException, OSError, ValueError) as error:
            await self.push_error(f"Ultravox cannot be reached ({error})", error)
        else:
            self._was_up, self._answer, self._cut = False, Answer(), -1
            self._receive_task = self.create_task(self._receive_messages(), f"{self}::receive")

    async def _make_call(self) -> str:
        """Make a call in which the caller speaks first.

        Returns:
            The address at which it is joined.

        Raises:
            RefusedError: If Ultravox makes none.
        """
        tools = self._conversation.tools
        body = {
            "systemPrompt": self._settings.system_instruction,
            "model": self._settings.model,
            "initialOutputMedium": "MESSAGE_MEDIUM_TEXT",
            "initialMessages": self._said_so_far(),
            "firstSpeakerSettings": {"user": {}},
            "selectedTools": self._to_selected_tools(tools) if isinstance(tools, ToolsSchema) else [],
            "medium": {"serverWebSocket": {"inputSampleRate": self._sample_rate}},
        }
        url, headers = f"{self._base_url}/api/calls", {"X-Api-Key": self._api_key}
        async with aiohttp.ClientSession() as http, http.post(url, headers=headers, json=body) as response:
            if response.status in (401, 403):
                raise RefusedError("Ultravox refuses ULTRAVOX_API_KEY: set one that is valid")
            call = await response.json() if response.status == 201 else None
        if not isinstance(call, dict) or not isinstance(call.get("joinUrl"), str):
            raise RefusedError(f"Ultravox makes no call (status {response.status}): try again later")
        address: str = call["joinUrl"]
        return address

    def _said_so_far(self) -> list[dict[str, str]]:
        said = []
        for message in self._conversation.messages:
            if isinstance(message, dict) and message["role"] in ROLES and isinstance(message.get("content"), str):
                said.append({"role": ROLES[message["role"]], "text": str(message["content"])})
        return said

    async def _receive_messages(self) -> None:
        line = self._socket
        assert line is not None  # noqa: S101
        with suppress(ConnectionClosed):
            async for message in line:
                self._was_up = True
                if isinstance(message, str):
                    await self._take(message)
        if not self._disconnecting and self._socket is line:
            await self._broken(str(line.protocol.close_exc))

    async def _broken(self, why: str) -> None:
        self._socket = None
        await self.push_error(f"the line to Ultravox has broken: {why}")
        self._answer.whole = True
        await self._pass_on()
        if self._was_up:
            self._join_soon()

    async def _send(self, content: bytes | dict[str, Any]) -> None:
        if self._socket is not None and not self._disconnecting:
            # Whoever receives finds out when the line is closed, and reports it.
            with suppress(ConnectionClosed):
                await self._socket.send(content if isinstance(content, bytes) else json.dumps(content))

    # What comes of it.

    async def _take(self, message: str) -> None:
        try:
            data = json.loads(message)
            kind, role = data["type"], data.get("role")
            ordinal, final = int(data.get("ordinal", 0)), bool(data.get("final"))
            text, delta = str(data.get("text") or ""), str(data.get("delta") or "")
            tool, call, given = data.get("toolName"), data.get("invocationId"), dict(data.get("parameters") or {})
        except (ValueError, TypeError, KeyError, AttributeError):
            await self.push_error("Ultravox sent a message that is none of its protocol")
            return
        if kind == "client_tool_invocation":
            await self._handle_tool_invocation(str(tool), str(call), given)
        elif kind == "transcript" and role == "user" and final:
            await self._handle_user_transcript(text)
        elif kind == "transcript" and role == "agent":
            await self._written(ordinal, text, delta, final=final)
        elif kind == "state" and data.get("state") == "listening":
            self._answer.whole = True
            await self._pass_on()

    async def _written(self, ordinal: int, text: str, delta: str, *, final: bool) -> None:
        """Take more of an answer.

        Args:
            ordinal: Of which.
            text: All of it so far; empty for a `delta`.
            delta: What is new of it; empty for a `text`, or where nothing is.
            final: Whether this is the last.
        """
        if ordinal < self._answer.ordinal:
            return
        if ordinal > self._answer.ordinal:
            # What was begun is said to its end. What nobody has heard of yet makes way.
            self._answer.whole = True
            if self._answer.begun:
                await self._pass_on()
            self._answer = Answer(ordinal)
        answer = self._answer
        answer.text = text or answer.text + delta
        answer.whole = final
        await self._pass_on()

    async def _pass_on(self) -> None:
        async with self._passing_on:
            answer = self._answer
            if self._turn_open or answer.ordinal <= self._cut:
                return
            more, answer.given = answer.text[answer.given :], max(answer.given, len(answer.text))
            if more:
                if not answer.begun or answer.ended:
                    answer.begun, answer.ended = True, False
                    await self.start_processing_metrics()
                    await self.stop_ttfb_metrics()
                    await self.push_frame(LLMFullResponseStartFrame())
                await self.push_frame(LLMTextFrame(more))
            if answer.whole and answer.begun and not answer.ended:
                answer.ended = True
                await self.stop_processing_metrics()
                await self.push_frame(LLMFullResponseEndFrame())

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        # Pipecat has no context of an Ultravox call for its tools.
        await super().run_function_calls([replace(call, context=self._conversation) for call in function_calls])
