"""Pipecat's OpenAI service on the local server: prompts prepared ahead, context bounded, tool calls checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Protocol

import jsonschema
from loguru import logger
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMInvocationParams
from pipecat.frames.frames import Frame, LLMContextAssistantTurnFrame, LLMContextFrame, StartFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallFromLLM
from pipecat.services.openai.llm import OpenAILLMService

from processors.embedded.bounded import bounded
from processors.turns.frames import SpeechPausedFrame, UserTurnSoFarFrame

MAX_ANSWER_TOKENS = 160
CONTEXT_CHARACTERS = 9000
"""About 2500 tokens of English: two conversations and their answers fit into the server's context."""


class Server(Protocol):
    """What the service talks to: `processors.embedded.llama.LlamaServer`."""

    url: str
    api_key: str

    @property
    def alive(self) -> bool: ...

    def revive(self) -> None:
        """Start it again if it has died. Called in threads."""


class EmbeddedLLMService(OpenAILLMService):
    """Answers from the local model.

    While the caller speaks, and whenever an answer has been said, the prompt as far as it is known is put into the
    server's cache, so that at the end of a turn only its last words are new.

    Args:
        server: The local server; started again if it dies.
        instructions: The system prompt.
        context: The live context of the conversation.
    """

    def __init__(self, server: Server, instructions: str, context: LLMContext) -> None:
        super().__init__(
            base_url=server.url,
            api_key=server.api_key,
            settings=OpenAILLMService.Settings(
                model="local",
                system_instruction=instructions,
                temperature=0.0,
                max_tokens=MAX_ANSWER_TOKENS,
                extra={"extra_body": {"cache_prompt": True}},
            ),
        )
        self._server = server
        self._live = context
        self._preparing: asyncio.Task[None] | None = None

    @property
    def supports_developer_role(self) -> bool:
        return False

    def build_chat_completion_params(self, params_from_context: OpenAILLMInvocationParams) -> dict[str, Any]:
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        params["messages"] = bounded(params["messages"], CONTEXT_CHARACTERS)
        return params

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        if not self._server.alive:
            await asyncio.to_thread(self._server.revive)
        return await super().get_chat_completions(context)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, UserTurnSoFarFrame):
            await self._prepare(frame.text)
        elif isinstance(frame, (SpeechPausedFrame, LLMContextFrame)):
            # The answer's own prompt is next, and the server works on one batch at a time.
            await self._stop_preparing()
        await super().process_frame(frame, direction)
        if isinstance(frame, (StartFrame, LLMContextAssistantTurnFrame)):
            await self._prepare()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_preparing()

    async def _prepare(self, user_text: str = "") -> None:
        await self._stop_preparing()
        messages = [*self._live.messages]
        if user_text:
            messages.append({"role": "user", "content": user_text})
        context = LLMContext(messages=messages, tools=self._live.tools, tool_choice=self._live.tool_choice)
        self._preparing = self.create_task(self._fill_cache(context), f"{self}::prepare")

    async def _stop_preparing(self) -> None:
        if self._preparing:
            task, self._preparing = self._preparing, None
            await self.cancel_task(task)

    async def _fill_cache(self, context: LLMContext) -> None:
        try:
            await self.run_inference(context, max_tokens=0)
        except Exception as error:
            # The answer itself will meet the same error and report it.
            logger.debug(f"{self}: could not prepare the prompt: {type(error).__name__}")

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        """Run the calls that name a tool of the context with arguments that its schema admits; refuse the rest."""
        sound = [call for call in function_calls if self._admissible(call)]
        refused = len(function_calls) - len(sound)
        if refused:
            await self.push_error(f"{refused} malformed tool call(s) refused")
        await super().run_function_calls(sound)

    def _admissible(self, call: FunctionCallFromLLM) -> bool:
        schemas = {tool.name: tool for tool in _standard_tools(call.context)}
        tool = schemas.get(call.function_name)
        if tool is None:
            logger.warning(f"{self}: tool call refused: there is no tool of that name")
            return False
        schema = {
            "type": "object",
            "properties": tool.properties,
            "required": tool.required,
            "additionalProperties": False,
        }
        try:
            jsonschema.validate(json.loads(json.dumps(call.arguments)), schema)
        except jsonschema.ValidationError as error:
            logger.warning(f"{self}: call of {tool.name} refused: argument {'.'.join(map(str, error.path)) or '?'}")
            return False
        return True


def _standard_tools(context: LLMContext) -> list[Any]:
    tools = context.tools
    return list(getattr(tools, "standard_tools", []) or [])
