"""OpenAI's Realtime API as a model that hears, and writes or speaks, in a pipeline that decides whose turn it is.

Pipecat's service answers a first turn twice if the pipeline's context reaches it only then, reads no more events after
an error, and says nothing when the line breaks. Its model remembers what it wrote, whoever heard it, and every sound.
When an answer that is spoken is interrupted, it takes for heard what came since the first sound of it came.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMFullResponseEndFrame,
    LLMServiceMetadataFrame,
    StartFrame,
    TranscriptionFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai._constants import OPENAI_SAMPLE_RATE
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from websockets.exceptions import ConnectionClosed

from processors.guarding.frames import EARLIER, UnfinishedAnswerFrame

STALL_SECS = 10.0
"""How long an answer may take to begin, and to pause."""


@dataclass
class _Spoken:
    """Sound of an answer: which part of which item it is, and how much of it has come."""

    item: str
    part: int
    secs: float = 0.0


class RealtimeLLM(OpenAIRealtimeLLMService):
    """Hears each turn and answers it; what the caller said comes back as a `TranscriptionFrame`, upstream.

    Answers are `LLMTextFrame`s, or `TTSAudioRawFrame`s at 24 kHz with `TTSTextFrame`s, as the output modality is.

    The model remembers what the context does: before a turn is sent, the sound of earlier ones makes way for their
    words, and what it wrote for what was heard of it. Of speech that was interrupted it remembers the sound up to where
    it was heard. A line that breaks is reported, and replaced by one that is told the conversation so far; if that
    fails, again when the caller next speaks. An answer that ends so is an `UnfinishedAnswerFrame`.

    What the caller said in an earlier turn than their last is marked as `EARLIER`, as transcripts come when they come.

    An `InterruptionFrame` from behind is a guard's: it ends the answer, and not what the caller is saying.

    Args: As `OpenAIRealtimeLLMService`, whose settings must have `turn_detection=False`, and
        context: What has been said, live, with the tools there are.
    """

    _websocket: Any
    _current_audio_response: Any

    def __init__(self, *, context: LLMContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Pipecat takes the first context that it is given for a question.
        self._context = context
        self._connecting: asyncio.Task[None] | None = None
        self._started = False
        self._asked: dict[str, bool] = {}
        self._answering: str | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._written: dict[str, str] = {}
        self._said: list[str] = []
        self._heard: list[str] = []
        self._known = 0
        self._spoken: list[_Spoken] = []
        self._heard_before = 0.0
        self._heard_since: float | None = None
        self._finished = False
        self._cut: str | None = None
        self._last_turn: str | None = None  # the item that is the caller's last turn, once there is one

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        # Without Pipecat's warning that nobody but the pipeline decides whose turn it is.
        return LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=True)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._started = True
        self._sync_registered_tool_handlers(self._context.tools if self._context else None)
        self._reconnect()

    async def stop(self, frame: EndFrame) -> None:
        await self._let_go()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._let_go()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._let_go()
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, UserStartedSpeakingFrame):
            self._last_turn = None
            if self._websocket is None:
                self._reconnect()
        elif isinstance(frame, LLMContextAssistantTurnFrame) and direction is FrameDirection.UPSTREAM:
            self._said.append(frame.text)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._heard_since = asyncio.get_running_loop().time()
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._heard_out()
        if isinstance(frame, InterruptionFrame) and direction is FrameDirection.UPSTREAM:
            self._spoken = []
            await super(OpenAIRealtimeLLMService, self).process_frame(frame, direction)
            await self.push_frame(frame, direction)
        else:
            await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TranscriptionFrame) and getattr(frame.result, "item_id", None) != self._last_turn:
            frame.metadata[EARLIER] = True
        if type(frame) is LLMFullResponseEndFrame and not self._finished:
            frame = UnfinishedAnswerFrame()
        await super().push_frame(frame, direction)

    # The line.

    def _reconnect(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = self.create_task(self._connect(), f"{self}::connect")

    async def _let_go(self) -> None:
        self._answered()
        connecting, self._connecting = self._connecting, None
        if connecting is not None and not connecting.done():
            await self.cancel_task(connecting)

    async def _connect(self) -> None:
        # Pipecat connects when a pipeline is set up, when nothing can be reported yet.
        if self._started:
            await super()._connect()

    async def _ws_send(self, realtime_message: Any) -> None:
        if self._websocket is not None and not self._disconnecting:
            # Whoever receives finds out when the line is closed, and reports it.
            with suppress(ConnectionClosed):
                await self._websocket.send(json.dumps(realtime_message))

    async def _receive_task_handler(self) -> None:
        line = self._websocket
        assert line is not None  # noqa: S101
        while line.close_code is None:
            try:
                await super()._receive_task_handler()
            except ConnectionClosed:
                break
            except Exception as error:
                # Its text may hold the message, which no guard has read.
                await self.push_error(f"OpenAI Realtime sent what cannot be understood ({type(error).__name__})")
        if not self._disconnecting and self._websocket is line:
            await self._broken(str(line.protocol.close_exc))

    async def _broken(self, why: str) -> None:
        self._websocket = None
        was_up, self._api_session_ready = self._api_session_ready, False
        self._llm_needs_conversation_setup = True
        answering, self._answering, self._asked = self._response_active, None, {}
        self._answered()
        self._response_active = self._response_create_owed = False
        self._completed_tool_calls = set()
        self._open_function_calls = set()
        self._written, self._said, self._heard = {}, [], []
        self._spoken, self._cut = [], None
        await self.push_error(f"the line to OpenAI Realtime has broken: {why}")
        if answering:
            await self.stop_all_metrics()
            await self._break_off()
        if was_up:
            self._reconnect()

    async def _handle_evt_error(self, evt: events.ErrorEvent) -> None:
        refused = evt.error.event_id or next(iter(self._asked), None)
        if refused is not None and self._asked.pop(refused, False):
            self._answered()
        await self.push_error(f"OpenAI Realtime refuses: {evt.error.code or evt.error.type}: {evt.error.message}")

    # What the model remembers.

    async def _handle_evt_session_created(self, evt: events.SessionCreatedEvent) -> None:
        assert self._context is not None  # noqa: S101
        await super()._handle_evt_session_created(evt)
        self._llm_needs_conversation_setup = False
        await self._process_completed_function_calls(send_new_results=False)
        self._known = len(self._callers_words())
        for message in self._context.get_messages():
            if isinstance(message, dict) and (message["role"] == "user" or message["role"] == "assistant"):
                words = message.get("content")
                if isinstance(words, str):
                    await self._remember(message["role"], words)

    def _callers_words(self) -> list[str]:
        assert self._context is not None  # noqa: S101
        said = [each for each in self._context.get_messages() if isinstance(each, dict) and each["role"] == "user"]
        return [str(each["content"]) for each in said if isinstance(each.get("content"), str)]

    async def _remember(self, role: Literal["user", "assistant"], words: str, after: str | None = None) -> None:
        """Have the model know of words.

        Args:
            role: Whose they are.
            words: The words.
            after: Behind which item; None for the last.
        """
        content = events.ItemContent(type="output_text" if role == "assistant" else "input_text", text=words)
        item = events.ConversationItem(type="message", role=role, content=[content])
        self._messages_added_manually[item.id] = True
        await self.send_client_event(events.ConversationItemCreateEvent(item=item, previous_item_id=after))

    async def _forget(self, item: str) -> None:
        await self.send_client_event(events.ConversationItemDeleteEvent(item_id=item))

    async def _put_in_words(self) -> None:
        """Have the model remember of what is past what the context does, which a guard may have changed."""
        callers = self._callers_words()
        new, self._known = callers[self._known :], len(callers)
        if new:
            heard, self._heard = self._heard, []
            for turn, words in zip_longest(heard, new):
                if words is not None:
                    await self._remember("user", words, turn)
            for turn in heard:
                await self._forget(turn)
        written, self._written = self._written, {}
        said, self._said = " ".join(self._said), []
        cut, self._cut = self._cut, None
        if "".join(written.values()).split() == said.split():
            return
        heard = list(written)[: list(written).index(cut) + 1] if cut in written else []
        words = "".join(written[item] for item in heard).split()
        if not said or words[: len(said.split())] != said.split():
            heard = []
        for item in written:
            if item not in heard:
                await self._forget(item)
        if said and not heard:
            await self._remember("assistant", said)

    async def handle_evt_input_audio_transcription_completed(
        self, evt: events.ConversationItemInputAudioTranscriptionCompleted
    ) -> None:
        if evt.transcript.strip():
            self._heard.append(evt.item_id)
        await super().handle_evt_input_audio_transcription_completed(evt)

    # What was heard of its speech.

    def _heard_out(self) -> None:
        """All that has come has been heard."""
        self._heard_since = None
        self._heard_before = sum(each.secs for each in self._spoken)
        if not self._response_active:
            self._spoken, self._heard_before = [], 0.0

    async def _truncate_current_audio_response(self) -> None:
        spoken, self._spoken = self._spoken, []
        heard, self._heard_before = self._heard_before, 0.0
        self._current_audio_response = None
        if self._heard_since is not None:
            heard += asyncio.get_running_loop().time() - self._heard_since
        for each in spoken:
            # Of an answer that is still coming there is more than has come.
            if heard < each.secs or (each is spoken[-1] and self._response_active):
                self._cut = each.item
                end = events.ConversationItemTruncateEvent(
                    item_id=each.item, content_index=each.part, audio_end_ms=int(1000 * min(heard, each.secs))
                )
                await self.send_client_event(end)
                return
            heard -= each.secs

    # Its answers.

    async def _handle_user_stopped_speaking(self, frame: Frame) -> None:
        if self._websocket is None:
            if self._connecting is not None and not self._connecting.done():
                await self.push_error("OpenAI Realtime is not connected yet: a turn was not heard")
            return
        await self._put_in_words()
        await super()._handle_user_stopped_speaking(frame)

    async def send_client_event(self, event: events.ClientEvent) -> None:
        await super().send_client_event(event)
        if isinstance(event, events.ResponseCreateEvent) and self._websocket is not None:
            self._asked[event.event_id] = True
            self._expect_more()

    def _expect_more(self) -> None:
        """Give an answer so long to begin, or to go on."""
        self._answered()
        self._stalling = asyncio.get_running_loop().call_later(
            STALL_SECS, lambda: self.create_task(self._stalled(), f"{self}::stalled")
        )

    def _answered(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    async def _stalled(self) -> None:
        self._forget_answers()
        await self.send_client_event(events.ResponseCancelEvent())
        await self.push_error(f"OpenAI Realtime does not answer, or go on, within {STALL_SECS:.0f} s")
        await self._break_off()

    async def _break_off(self) -> None:
        """End an answer of which no more is said."""
        speaking, self._current_audio_response = self._current_audio_response, None
        if speaking is not None:
            await self.push_frame(TTSStoppedFrame())
        await self.push_frame(LLMFullResponseEndFrame())

    async def _start_interruption(self) -> None:
        await super()._start_interruption()
        self._answered()
        if self._forget_answers():
            # An interruption cancels it by itself; a guard that has stopped an answer does not.
            await self.send_client_event(events.ResponseCancelEvent())

    def _forget_answers(self) -> bool:
        """Listen to none that has been asked for, begun or not. Returns whether one was begun."""
        self._asked = dict.fromkeys(self._asked, False)
        answering, self._answering = self._answering, None
        return answering is not None

    async def _handle_evt_response_created(self, evt: events.ResponseCreated) -> None:
        await super()._handle_evt_response_created(evt)
        # They begin in the order in which they were asked for.
        asked = next(iter(self._asked), None)
        wanted = asked is None or self._asked.pop(asked)
        self._answering = evt.response.id if wanted else None

    async def _handle_evt_response_done(self, evt: events.ResponseDone) -> None:
        self._finished = evt.response.status == "completed"
        await super()._handle_evt_response_done(evt)
        self._finished = False
        self._current_audio_response = None
        if self._answering == evt.response.id:
            self._answering = None
            self._answered()

    async def _handle_evt_conversation_item_added(self, evt: events.ConversationItemAdded) -> None:
        if evt.item.role == "user" and evt.item.id not in self._messages_added_manually:
            self._last_turn = evt.item.id
        if evt.item.role == "assistant" and evt.item.id not in self._messages_added_manually:
            self._written[evt.item.id] = ""
            if self._answering is None:
                return
        await super()._handle_evt_conversation_item_added(evt)

    async def _handle_evt_text_delta(self, evt: events.ResponseTextDelta) -> None:
        self._written[evt.item_id] = self._written.get(evt.item_id, "") + evt.delta
        # What was under way when the answer was cancelled is not said.
        if evt.response_id == self._answering:
            self._expect_more()
            await super()._handle_evt_text_delta(evt)

    async def _handle_evt_audio_transcript_delta(self, evt: events.ResponseAudioTranscriptDelta) -> None:
        self._written[evt.item_id] = self._written.get(evt.item_id, "") + evt.delta
        if evt.response_id == self._answering:
            self._expect_more()
            await super()._handle_evt_audio_transcript_delta(evt)

    async def _handle_evt_audio_delta(self, evt: events.ResponseAudioDelta) -> None:
        if evt.response_id != self._answering:
            return
        self._expect_more()
        if not self._spoken or self._spoken[-1].item != evt.item_id:
            self._spoken.append(_Spoken(evt.item_id, evt.content_index))
        self._spoken[-1].secs += len(base64.b64decode(evt.delta)) / 2 / OPENAI_SAMPLE_RATE
        await super()._handle_evt_audio_delta(evt)

    async def _handle_evt_function_call_arguments_done(self, evt: events.ResponseFunctionCallArgumentsDone) -> None:
        if evt.response_id == self._answering:
            await super()._handle_evt_function_call_arguments_done(evt)
        else:
            await self._forget(evt.item_id)
