"""Tools that do not act: what a language model calls is answered by whoever holds the conversation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams, LLMService

from pipelines.stacks import Service, Session

Handler = Callable[[FunctionCallParams], Awaitable[None]]


def answered_by(service: Service, handler: Handler, names: Iterable[str | None]) -> Service:
    """A service whose language model, if it is one, has its calls of these tools answered by a handler.

    Args:
        service: The service; one that is no language model stays as it is.
        handler: Gives the results.
        names: The tools; None for all that nothing else was registered for.
    """
    names = tuple(names)

    def build(session: Session) -> FrameProcessor:
        processor = service.build(session)
        if isinstance(processor, LLMService):
            for name in names:
                processor.register_function(name, handler)
        return processor

    return replace(service, build=build)
