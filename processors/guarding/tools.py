"""Calls of tools are held to the policy before the tool sees them, and what it returns before the model does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipecat.adapters.llm.schemas.direct_function import DirectFunctionWrapper
from pipecat.frames.frames import FunctionCallFromLLM, FunctionCallResultProperties, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams

from guardrails import Decision
from guardrails.regular import words
from guardrails.tools import Verdict, call_key, judge
from processors.guarding.admission import Admission, Returned
from processors.guarding.guarding import Guarding
from processors.guarding.output import consequence

REMEMBERED = 64
"""Calls whose arguments are kept until they are made."""

NOT_ALLOWED = "it is not allowed"

Handler = Callable[[FunctionCallParams], Awaitable[None]]

YES = frozenset("yes yeah yep yup sure certainly correct right ok okay absolutely definitely proceed please".split())
NO = frozenset("no nope not don dont never wait stop cancel hold wrong later instead".split())


def agrees(text: str) -> bool:
    """Whether a caller says yes to what they were asked."""
    said = set(words(text))
    return bool(said & YES) and not said & NO


def callers(context: LLMContext) -> list[str]:
    """What callers have said in a context."""
    return [
        str(message.get("content"))
        for message in context.messages
        if isinstance(message, dict) and message.get("role") == "user"
    ]


def since(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """What callers have said since, where a summary may have taken the place of what they said first.

    Args:
        before: What they had said.
        now: What they have said, as far as it is remembered.
    """
    if now[: len(before)] == before:
        return now[len(before) :]
    # Behind the longest end of what they had said that is still there.
    for kept in range(len(before) - 1, 0, -1):
        for end in range(len(now), kept - 1, -1):
            if now[end - kept : end] == before[-kept:]:
                return now[end:]
    return ()


class ToolGate:
    """Stands before the tools of one conversation.

    Args:
        guarding: The conversation's.
        admission: Knows what placeholders stand for.
    """

    def __init__(self, guarding: Guarding, admission: Admission) -> None:
        self._guarding = guarding
        self._admission = admission
        self._asked: tuple[str, list[str]] | None = None  # which call, and what callers had said
        self._confirmed: set[str] = set()
        self._arguments: dict[str, Mapping[str, Any]] = {}

    def heard(self, context: LLMContext) -> None:
        """The caller may have answered whether a call may go through. Only what they say next counts."""
        self._confirmed.clear()
        if self._asked is None:
            return
        call, before = self._asked
        said = since(before, callers(context))
        if len(said) > 1:
            self._asked = None
        elif said and agrees(said[0]):
            self._confirmed.add(call)

    def keep(self, writer: FrameProcessor) -> None:
        """Have a language model's calls pass here.

        Args:
            writer: Its service; changed in place.
        """
        service: Any = writer
        if not hasattr(service, "_run_function_call"):
            return
        run_all, run = service.run_function_calls, service._run_function_call

        async def run_function_calls(calls: Sequence[FunctionCallFromLLM]) -> None:
            await run_all([self._shown(call) for call in calls])

        async def run_function_call(item: Any) -> None:
            # Handlers come and go with the tools in the context: whatever is there now is called through the gate.
            name = item.function_name if item.function_name in service._functions else None
            entry = service._functions.get(name)
            if entry is not None and not isinstance(entry.handler, _Guarded):
                service._functions[name] = replace(entry, handler=_Guarded(self, entry.handler))
            await run(item)

        service.run_function_calls = run_function_calls
        service._run_function_call = run_function_call

    def _shown(self, call: FunctionCallFromLLM) -> FunctionCallFromLLM:
        """A call as the context, clients, traces and logs may know it; how it was meant is kept for the tool."""
        shown = self._judge(call.function_name, dict(call.arguments)).arguments
        if shown == call.arguments:
            return call
        if len(self._arguments) >= REMEMBERED:
            self._arguments.clear()
        self._arguments[call.tool_call_id] = call.arguments
        return replace(call, arguments=shown)

    def _judge(self, tool: str, arguments: dict[str, Any]) -> Verdict:
        return judge(
            self._guarding.policy,
            tool,
            arguments,
            confirmed=self._confirmed,
            required=self._guarding.said.required,
        )

    async def call(self, handler: Handler | DirectFunctionWrapper, params: FunctionCallParams) -> None:
        """Let a call through, or say why not."""
        if self._guarding.cleared is not None and not await self._guarding.cleared():
            # What the caller hears of it is said of their words.
            await params.result_callback(
                {"done": False, "reason": NOT_ALLOWED}, properties=FunctionCallResultProperties(run_llm=False)
            )
            return
        arguments = self._admission.restore(dict(self._arguments.pop(params.tool_call_id, params.arguments)))
        verdict = self._judge(params.function_name, arguments)
        await self._report(verdict, params)
        if verdict.action is not None:
            await self._refuse(verdict, arguments, params)
            return
        if call_key(params.function_name, arguments) in self._confirmed:
            # A yes is good for one call.
            self._asked = None
            self._confirmed.clear()
        through = replace(params, arguments=verdict.arguments, result_callback=self._checked(params))
        try:
            if isinstance(handler, DirectFunctionWrapper):
                await handler.invoke(args=through.arguments, params=through)
            else:
                await handler(through)
        except Exception as error:
            # Whatever a tool complains of goes to logs and clients.
            said = str(error)
            if self._admission.returned(said) == Returned(said):
                raise
            raise RuntimeError(f"{type(error).__name__} in {params.function_name}") from None

    def _checked(self, params: FunctionCallParams) -> Any:
        give = params.result_callback

        async def checked(result: Any, *, properties: FunctionCallResultProperties | None = None) -> None:
            returned = await self._admission.judged(result)
            for report in self._guarding.reports(returned.decisions, "heard", returned.failure):
                await params.llm.push_frame(report)
            await give(
                {"error": "the result is withheld"} if returned.withheld else returned.value, properties=properties
            )

        return checked

    async def _refuse(self, verdict: Verdict, arguments: dict[str, Any], params: FunctionCallParams) -> None:
        waits = verdict.action == "confirm"
        if waits:
            self._asked = (call_key(params.function_name, arguments), callers(params.context))
        speech = TTSSpeakFrame(verdict.text)
        await params.result_callback(
            {"done": False, "reason": "the caller has to say yes first" if waits else NOT_ALLOWED},
            properties=FunctionCallResultProperties(run_llm=False),
        )
        await params.llm.push_frame(speech)
        decision = self._decision(verdict)
        after = consequence(decision) if decision is not None else None
        if after is not None:
            await params.llm.push_frame(after)

    async def _report(self, verdict: Verdict, params: FunctionCallParams) -> None:
        decisions = [Decision(rule, "redact", "", 0, 0) for rule in verdict.redacted]
        stopped = self._decision(verdict)
        if stopped is not None:
            decisions.append(stopped)
        for report in self._guarding.reports(decisions, "tool_call", verdict.failure or None):
            await params.llm.push_frame(report)

    @staticmethod
    def _decision(verdict: Verdict) -> Decision | None:
        if verdict.action is None:
            return None
        return Decision(verdict.rule, verdict.action, verdict.text, 0, 0)


class _Guarded:
    """A tool's handler behind the gate."""

    def __init__(self, gate: ToolGate, handler: Handler | DirectFunctionWrapper) -> None:
        self._gate = gate
        self._handler = handler

    async def __call__(self, params: FunctionCallParams) -> None:
        await self._gate.call(self._handler, params)
