"""What of a caller's words, and of what tools return, a language model may read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

from guardrails import Decision, Policy, check
from guardrails.check import Result
from guardrails.judging import scorer
from guardrails.policy import InjectionRule, PersonalRule, ToxicityRule
from guardrails.stream import GUARD, STOPS
from processors.guarding.guarding import JUDGE_SECS, Verdict

WITHHELD = "[withheld]"
"""Stands in the context for what the language model may not read."""

REMEMBERED = 512
"""Texts whose verdict is kept: a context is looked at again with every turn."""

DEEPEST = 20


@dataclass(frozen=True)
class Admitted:
    """What may be read of a text.

    Args:
        text: That.
        said: The text itself.
        decisions: What rules did.
        decision: The one by which it is not to be answered; None if it is.
        failure: What went wrong in the guard, as the name of an error.
    """

    text: str = ""
    said: str = ""
    decisions: tuple[Decision, ...] = ()
    decision: Decision | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Returned:
    """What may be read of what a tool returns.

    Args:
        value: That.
        withheld: Whether nothing may be.
        decisions: What rules did.
        failure: What went wrong in the guard, as the name of an error.
    """

    value: Any
    withheld: bool = False
    decisions: tuple[Decision, ...] = ()
    failure: str | None = None


class Admission:
    """Holds texts to a policy's rules for what is heard, and keeps what callers should find in tools again.

    Args:
        policy: The policy.
        live: What the conversation remembers.

    Attributes:
        live: The same.
        watches: Whether there are such rules.
    """

    def __init__(self, policy: Policy, live: LLMContext) -> None:
        self._policy = policy
        self.live = live
        heard = [rule for rule in policy.rules if "heard" in rule.direction]
        self.watches = bool(heard)
        self._keeping = {rule.id: rule for rule in heard if isinstance(rule, PersonalRule) and rule.keep}
        self._judged = [rule for rule in heard if isinstance(rule, InjectionRule | ToxicityRule) and rule.judge]
        self._known: dict[str, Admitted] = {}
        self._kept: dict[str, str] = {}
        self._verdicts: dict[str, asyncio.Future[Verdict]] = {}

    @property
    def judges(self) -> bool:
        """Whether there are rules that take a classifier."""
        return bool(self._judged)

    def silent(self, text: str) -> bool:
        """Whether no rule acts on a text."""
        return not check(self._policy, text, direction="heard").decisions

    def stops(self, text: str) -> Decision | None:
        """By what a text is not to be answered, if it goes on like this; None if it may be."""
        decisions = check(self._policy, text, direction="heard").decisions
        return next((decision for decision in decisions if decision.action in STOPS), None)

    def stands_for(self, written: str, text: str) -> None:
        """Have a text that the conversation may come to hold make way for another, the next time that it is cleaned."""
        self._known[written] = Admitted(text, written)

    def read(self, text: str) -> Admitted:
        """What may be read of a text."""
        admitted = self._known.pop(text, None) or self._read(text)
        self._known[text] = admitted
        # All that the conversation remembers is read at every turn: none of it may be forgotten in between.
        while len(self._known) > REMEMBERED + len(self.live.messages):
            del self._known[next(iter(self._known))]
        return admitted

    def _read(self, text: str) -> Admitted:
        result = check(self._policy, text, direction="heard")
        stopped = next((decision for decision in result.decisions if decision.action in STOPS), None)
        if stopped is not None:
            failure = "Error" if stopped.rule == GUARD else None
            return Admitted(WITHHELD, text, result.decisions, stopped, failure)
        return Admitted(self._placed(text, result), text, result.decisions)

    def _placed(self, text: str, result: Result) -> str:
        """The text with placeholders for what is kept."""
        if not any(decision.rule in self._keeping for decision in result.decisions):
            return result.text
        parts, end = [], 0
        for decision in result.decisions:
            instead = decision.text
            if decision.rule in self._keeping:
                instead = self._placeholder(self._keeping[decision.rule], text[decision.start : decision.end])
            parts += [text[end : decision.start], instead]
            end = decision.end
        return "".join([*parts, text[end:]])

    def _placeholder(self, rule: PersonalRule, words: str) -> str:
        for placeholder, kept in self._kept.items():
            if kept == words:
                return placeholder
        what = rule.what[0] if len(rule.what) == 1 else rule.id
        placeholder = f"[{what} {len(self._kept) + 1}]"
        self._kept[placeholder] = words
        return placeholder

    def restore(self, value: Any, depth: int = 0) -> Any:
        """What a tool is called with, with what callers said in the place of placeholders."""
        if not self._kept or depth > DEEPEST:
            return value
        if isinstance(value, str):
            for placeholder, kept in self._kept.items():
                value = value.replace(placeholder, kept)
            return value
        return mapped(value, lambda held: self.restore(held, depth + 1))

    def returned(self, value: Any) -> Returned:
        """What may be read of what a tool returns, by the rules that can be decided at once."""
        decisions: list[Decision] = []
        withheld = False

        def read(held: Any, depth: int = 0) -> Any:
            nonlocal withheld
            if depth > DEEPEST:
                withheld = True
                return WITHHELD
            number = isinstance(held, int | float) and not isinstance(held, bool)
            if not number and not isinstance(held, str):
                return mapped(held, lambda inner: read(inner, depth + 1))
            admitted = self.read(str(held))
            decisions.extend(admitted.decisions)
            withheld = withheld or admitted.decision is not None
            return held if admitted.text == str(held) else admitted.text

        found = read(value)
        return Returned(WITHHELD if withheld else found, withheld, tuple(decisions))

    async def judged(self, value: Any) -> Returned:
        """As `returned`, with what classifiers make of it."""
        returned = self.returned(value)
        if self.judges and not returned.withheld:
            for text in texts(returned.value):
                verdict = await asyncio.shield(self.judge(Admitted(text, text)))
                if verdict.decision is not None:
                    decisions = (*returned.decisions, verdict.decision)
                    return Returned(WITHHELD, True, decisions, verdict.failure)
        return returned

    def clean(self, context: LLMContext | None = None) -> Admitted:
        """Take out of a context what may not be read.

        Args:
            context: Any; what the conversation remembers if none is given.

        Returns:
            What became of the caller's last words.
        """
        last = Admitted()
        for message in (self.live if context is None else context).messages:
            if not isinstance(message, dict) or message.get("role") in ("system", "assistant"):
                continue
            held: dict[str, Any] = message  # type: ignore[assignment]
            admitted = self._clean(held)
            if held.get("role") == "user":
                last = admitted
        return last

    def _clean(self, message: dict[str, Any]) -> Admitted:
        content = message.get("content")
        if isinstance(content, str):
            admitted = self.read(content)
            message["content"] = admitted.text
            return admitted
        whole = Admitted()
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                admitted = self.read(part["text"])
                part["text"] = admitted.text
                whole = replace(
                    admitted,
                    said=f"{whole.said} {admitted.said}".strip(),
                    decisions=whole.decisions + admitted.decisions,
                    decision=whole.decision or admitted.decision,
                    failure=whole.failure or admitted.failure,
                )
        return whole

    def judge(self, admitted: Admitted) -> asyncio.Future[Verdict]:
        """What classifiers make of words. They are asked in a thread, once; it does no harm to stop waiting for them.

        What they find is withheld from then on. One that raises or takes too long has found something.
        """
        if admitted.said not in self._verdicts:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[admitted.said] = asyncio.ensure_future(self._judged_by_all(admitted))
        return self._verdicts[admitted.said]

    async def _judged_by_all(self, admitted: Admitted) -> Verdict:
        text = admitted.said
        try:
            async with asyncio.timeout(JUDGE_SECS):
                verdict = Verdict(await asyncio.to_thread(self._judge, text))
        except Exception as error:
            verdict = Verdict(Decision(GUARD, "refuse", self._policy.fallback, 0, len(text)), type(error).__name__)
        decision = verdict.decision
        if decision is not None:
            for form in (text, admitted.text):
                self._known[form] = Admitted(WITHHELD, form, (decision,), decision, verdict.failure)
        return verdict

    def _judge(self, text: str) -> Decision | None:
        for rule in self._judged:
            assert rule.judge is not None  # noqa: S101
            if scorer(rule.judge)(text) >= rule.threshold:
                return Decision(rule.id, rule.action, rule.text or self._policy.fallback, 0, len(text))
        return None


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A mapping or list with its keys and values changed; anything else as it is."""
    if isinstance(value, Mapping):
        return {change(key): change(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [change(held) for held in value]
    return value


def texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in a value, however deep, that say something."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif depth < DEEPEST and isinstance(value, Mapping | list | tuple):
        for held in value.values() if isinstance(value, Mapping) else value:
            yield from texts(held, depth + 1)
