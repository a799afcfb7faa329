"""Pipecat's OpenAI service on the local server: prompts prepared ahead, context bounded, tool calls checked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import httpx2
from loguru import logger
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall, ChoiceDeltaToolCallFunction
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMInvocationParams
from pipecat.frames.frames import Frame, LLMContextAssistantTurnFrame, LLMContextFrame, StartFrame
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.base_llm import OpenAILLMSettings
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import ServiceSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven, assert_given, is_given

from processors.embedded import tools as calling
from processors.embedded.bounded import bounded
from processors.outside import OutsideTransport
from processors.turns.frames import SpeechPausedFrame, UserTurnSoFarFrame

MAX_ANSWER_TOKENS = 160
CONTEXT_CHARACTERS = 9000
"""About 2500 tokens of English: two conversations and their answers fit into the server's context."""

READ_SECS = 60.0
"""How long the server may take to read a prompt."""

_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP on loopback: the default reads all authorities' certificates, for 25 ms a client on the event loop."""


def _transport() -> OutsideTransport:
    return OutsideTransport(verify=_TRUSTS_NOBODY, limits=httpx2.Limits(keepalive_expiry=None))


class Server(Protocol):
    """What the service talks to: `processors.embedded.llama.LlamaServer`."""

    url: str
    api_key: str

    @property
    def alive(self) -> bool:
        """Whether it can be talked to."""

    def next_slot(self) -> int:
        """The slot for a new conversation."""

    def revive(self) -> None:
        """Start it again if it has died. Called in threads."""


Examples = Sequence[tuple[str, str]]
"""Turns to learn from, as pairs of what a caller says and the answer."""


@dataclass
class EmbeddedLLMSettings(OpenAILLMSettings):
    """Pipecat's, and what this model is shown besides.

    Args:
        examples: What the model sees before all other turns, and the context does not hold.
    """

    examples: Examples | NotGiven = field(default_factory=lambda: NOT_GIVEN)


class EmbeddedLLMService(OpenAILLMService):
    """Answers from the local model.

    While the caller speaks, and whenever an answer has been said, the prompt as far as it is known is put into the
    server's cache, so that at the end of a turn only its last words are new. With tools in the context a grammar leaves
    the model the choice between words and a well-formed call. Where settings change whom it answers as, the new
    beginning of the prompt is read at once.

    Args:
        server: The local server; started again if it dies.
        instructions: The system prompt.
        context: The live context of the conversation.
        examples: Turns to learn from, as `EmbeddedLLMSettings`.
    """

    Settings = EmbeddedLLMSettings
    _settings: EmbeddedLLMSettings
    supports_developer_role = False

    def __init__(self, server: Server, instructions: str, context: LLMContext, examples: Examples = ()) -> None:
        super().__init__(
            base_url=server.url,
            api_key=server.api_key,
            settings=self.Settings(
                model="local",
                system_instruction=instructions,
                temperature=0.0,
                max_tokens=MAX_ANSWER_TOKENS,
                examples=tuple(examples),
            ),
        )
        self._server = server
        self._slot = server.next_slot()
        self._server_api = httpx2.AsyncClient(
            base_url=server.url.removesuffix("/v1"),
            headers={"Authorization": f"Bearer {server.api_key}"},
            transport=_transport(),
        )
        self._live = context
        self._tool_prompt = _ToolPrompt()
        self._begun = asyncio.Event()
        self._beginning: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None

    def create_client(self, api_key: Any = None, base_url: Any = None, *args: Any, **kwargs: Any) -> AsyncOpenAI:
        http = DefaultAsyncHttpxClient(transport=_transport())
        return AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=http)

    def build_chat_completion_params(self, params_from_context: OpenAILLMInvocationParams) -> dict[str, Any]:
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        offered = _standard_tools(self._live)
        # The server would put tools into the prompt in a form that this model does not keep to.
        params.pop("tools", None)
        params.pop("tool_choice", None)
        # Any other slot would have to read the whole prompt anew.
        params["extra_body"] = {"id_slot": self._slot}
        system, *rest = bounded(params["messages"], CONTEXT_CHARACTERS)
        if offered:
            instructions, grammar = self._tool_prompt.of(offered)
            system = {**system, "content": f"{system['content']}\n{instructions}"}
            params["extra_body"]["grammar"] = grammar
        examples = self._settings.examples
        shown = [
            {"role": role, "content": text}
            for turn in (examples if is_given(examples) else ())
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        messages = [system, *shown, *rest]
        params["messages"] = messages
        return params

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        if not self._server.alive:
            await asyncio.to_thread(self._server.revive)
        stream = await super().get_chat_completions(_told_behind(context))
        offered = _standard_tools(context)
        return cast(AsyncStream[ChatCompletionChunk], _Answer(stream, offered)) if offered else stream

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, UserTurnSoFarFrame):
            # The last word is uncertain, and what was read of it in vain would have to be read again.
            certain = frame.text.rpartition(" ")[0]
            if certain:
                await self._prepare(certain)
        elif isinstance(frame, (SpeechPausedFrame, LLMContextFrame)):
            # The answer's own prompt is next, and the server works on one batch at a time.
            await self._stop_preparing()
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame) and not self._live.messages:
            self._beginning = self.create_task(self._begin(), f"{self}::begin")
        elif isinstance(frame, (StartFrame, LLMContextAssistantTurnFrame)):
            await self._prepare()
        if isinstance(frame, StartFrame):
            self._begun.set()

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        changed: dict[str, Any] = await super()._update_settings(delta)  # type: ignore[arg-type]
        if changed.keys() & {"system_instruction", "examples"}:
            await self._stop_preparing()
            if self._beginning:
                await self.cancel_task(self._beginning)
            self._beginning = self.create_task(self._begin_anew(), f"{self}::begin")
        return changed

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_preparing()
        if self._beginning:
            await self.cancel_task(self._beginning)
        await self._client.close()
        await self._server_api.aclose()

    async def prepared(self) -> None:
        """Wait until the service has started and the server knows what it is being prepared for."""
        await self._begun.wait()
        if self._beginning:
            await asyncio.wait([self._beginning])
        if self._preparing:
            await asyncio.wait([self._preparing])

    async def _prepare(self, user_text: str = "") -> None:
        await self._stop_preparing()
        if self._beginning and not self._beginning.done():
            # A caller who speaks at once would have the longest part of the prompt read again, and never kept.
            return
        messages = [*self._live.messages]
        if user_text:
            messages.append({"role": "user", "content": user_text})
        context = LLMContext(messages=messages, tools=self._live.tools, tool_choice=self._live.tool_choice)
        self._preparing = self.create_task(self._fill_cache(context, user_text), f"{self}::prepare")

    async def _stop_preparing(self) -> None:
        if self._preparing:
            task, self._preparing = self._preparing, None
            await self.cancel_task(task)

    async def _begin(self) -> None:
        """Have the server know the prompt that every conversation begins with, from an earlier run if there was one."""
        try:
            prompt = await self._prompt(LLMContext(tools=self._live.tools))
            file = {"filename": hashlib.sha256(prompt.encode()).hexdigest()}
            known = await self._server_api.post(f"/slots/{self._slot}", params={"action": "restore"}, json=file)
            if known.is_error:
                await self._read(prompt)
                await self._server_api.post(f"/slots/{self._slot}", params={"action": "save"}, json=file)
        except Exception as error:
            self._could_not_prepare(error)

    async def _begin_anew(self) -> None:
        """Have the server know another beginning, and then what has been said."""
        await self._begin()
        self._beginning = None
        await self._prepare()

    async def _fill_cache(self, context: LLMContext, user_text: str) -> None:
        """Have the server read the prompt up to the end of `user_text`, without the marks that end a turn."""
        try:
            prompt = await self._prompt(context)
            if user_text:
                prompt = prompt[: prompt.rindex(user_text) + len(user_text)]
            await self._read(prompt)
        except Exception as error:
            self._could_not_prepare(error)

    async def _prompt(self, context: LLMContext) -> str:
        """The text that the model will be given for a context."""
        invocation = await self.get_llm_adapter().get_llm_invocation_params(
            _told_behind(context),
            system_instruction=assert_given(self._settings.system_instruction),
            convert_developer_to_user=not self.supports_developer_role,
        )
        return await self._templated(self.build_chat_completion_params(invocation)["messages"])

    async def _templated(self, messages: Sequence[Mapping[str, Any]]) -> str:
        response = await self._server_api.post("/apply-template", json={"messages": messages})
        prompt: str = response.raise_for_status().json()["prompt"]
        return prompt

    async def _read(self, prompt: str) -> None:
        request = {"prompt": prompt, "n_predict": 0, "cache_prompt": True, "id_slot": self._slot}
        (await self._server_api.post("/completion", json=request, timeout=READ_SECS)).raise_for_status()

    def _could_not_prepare(self, error: Exception) -> None:
        # The answer itself will meet the same error and report it.
        logger.debug(f"{self}: could not prepare the prompt: {type(error).__name__}")


def _told_behind(context: LLMContext) -> LLMContext:
    """A context in which what is told of the caller's words is the last line of them: by the time when it is known they
    have been read, and would have to be read again behind anything that stands in front of them."""
    messages: list[LLMContextMessage] = []
    for message in context.messages:
        told = messages[-1] if messages else None
        if (
            isinstance(told, dict)
            and isinstance(message, dict)
            and (told.get("role"), message.get("role")) == ("developer", "user")
            and isinstance(message.get("content"), str)
        ):
            words = f"{message.get('content')}\n{told.get('content')}"
            messages[-1] = {"role": "user", "content": words}
        else:
            messages.append(message)
    return LLMContext(messages=messages, tools=context.tools, tool_choice=context.tool_choice)


class _ToolPrompt:
    """What the model is told of a set of tools, written once: a prompt is prepared twice a second."""

    def __init__(self) -> None:
        self._tools: list[FunctionSchema] = []
        self._written = ("", "")

    def of(self, tools: list[FunctionSchema]) -> tuple[str, str]:
        """Instructions and grammar."""
        if tools != self._tools:
            self._tools, self._written = tools, (calling.instructions(tools), calling.grammar(tools))
        return self._written


class _Answer:
    """A stream of chunks in which a call written as text has become a tool call."""

    def __init__(self, stream: AsyncStream[ChatCompletionChunk], tools: Sequence[FunctionSchema]) -> None:
        self._stream = stream
        self._tools = tools

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        reader = calling.AnswerReader()
        last: ChatCompletionChunk | None = None
        async for chunk in self._stream:
            if chunk.choices:
                last = chunk
                delta = chunk.choices[0].delta
                if delta.content:
                    delta.content = reader.feed(delta.content) or None
            yield chunk
        call = reader.finish(self._tools)
        if call is not None and last is not None:
            function = ChoiceDeltaToolCallFunction(name=call.name, arguments=json.dumps(call.arguments))
            tool_call = ChoiceDeltaToolCall(index=0, id=uuid.uuid4().hex, function=function, type="function")
            last.choices[0].delta.content = None
            last.choices[0].delta.tool_calls = [tool_call]
            yield last

    async def close(self) -> None:
        """End the request."""
        await self._stream.close()


def _standard_tools(context: LLMContext) -> list[FunctionSchema]:
    tools = context.tools
    return list(tools.standard_tools) if isinstance(tools, ToolsSchema) else []
