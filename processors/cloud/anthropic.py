"""Pipecat's Anthropic service, which also says when it gives up waiting and closes what it opened."""

from __future__ import annotations

from typing import Any

from pipecat.services.anthropic.llm import AnthropicLLMService
from pipecat.utils.errors import ErrorCategory


class AnthropicLLM(AnthropicLLMService):
    """Pushes an `ErrorFrame` upstream when an answer stalls; Pipecat only calls an event handler then.

    Args: As `AnthropicLLMService`. The client is closed with the processor.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_event_handler("on_completion_timeout", self._stalled)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._client.close()

    async def _stalled(self, _: AnthropicLLMService) -> None:
        await self.push_error("Anthropic stopped answering", category=ErrorCategory.CONNECTIVITY)
