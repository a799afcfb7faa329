"""What tools may be called with: a verdict for each call, before the tool sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import TYPE_CHECKING, Any

from guardrails.arguments import fits
from guardrails.check import check
from guardrails.policy import STRENGTH
from guardrails.stream import GUARD

if TYPE_CHECKING:
    from guardrails.policy import Action, Policy
    from guardrails.required import Required

DEEPEST = 20
"""How deep a tool's arguments may be nested."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a call.

    Args:
        arguments: What the tool is called with, if it is: the arguments, less what rules redact.
        action: What a rule does to the call: `refuse`, `confirm`, `hand_over` or `end_call`; None to let it through.
        rule: The rule's id; "" if none acts.
        text: What the caller hears of it; "" if nothing.
        redacted: The rules that took something out of the arguments, in the order of the policy.
        failure: What went wrong in judging the call, as the name of an error; "" if nothing did.
    """

    arguments: dict[str, Any] = field(repr=False)
    action: Action | None = None
    rule: str = ""
    text: str = ""
    redacted: tuple[str, ...] = ()
    failure: str = ""


def call_key(tool: str, arguments: Mapping[str, Any]) -> str:
    """What makes a call this one and no other: a confirmation holds for it alone."""
    return dumps([tool, arguments], sort_keys=True, default=str)


def judge(
    policy: Policy,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    confirmed: frozenset[str] | set[str] = frozenset(),
    required: Required | None = None,
) -> Verdict:
    """What a policy makes of a call.

    The strongest rule that acts gives the verdict. Whatever goes wrong refuses the call.

    Args:
        policy: The policy.
        tool: The tool's name.
        arguments: What it is to be called with.
        confirmed: The calls, by `call_key` of their arguments as they were asked for, that the caller said yes to.
        required: What has been said in this conversation; None if that is not followed, so that no script is complete.
    """
    try:
        return _judge(policy, tool, arguments, confirmed, required)
    except Exception as error:
        return Verdict(dict(arguments), "refuse", GUARD, policy.fallback, failure=type(error).__name__)


def _judge(
    policy: Policy,
    tool: str,
    arguments: Mapping[str, Any],
    confirmed: frozenset[str] | set[str],
    required: Required | None,
) -> Verdict:
    words = _Words(policy)
    redacted = {name: words.read(value) for name, value in arguments.items()}
    found: list[tuple[int, int, Action, str, str]] = []
    order = {rule.id: number for number, rule in enumerate(policy.rules)}

    def act(rule: str, action: Action, text: str) -> None:
        found.append((STRENGTH.index(action), order.get(rule, -1), action, rule, text or policy.fallback))

    for acted in words.acted:
        act(*acted)
    for rule in policy.rules:
        if rule.kind == "script" and tool in rule.before_tools:
            missing = rule.lines if required is None else required.missing(rule.id)
            if missing:
                act(rule.id, "refuse", " ".join(missing))
        elif (
            rule.kind == "tool"
            and rule.watches(tool)
            and (rule.arguments is None or not fits(rule.arguments, dict(arguments)))
            and not (rule.action == "confirm" and call_key(tool, arguments) in confirmed)
        ):
            act(rule.id, rule.action, _filled(rule.text, arguments))
    cleaned = tuple(sorted(words.redacted, key=lambda name: order.get(name, -1)))
    if not found:
        return Verdict(redacted, redacted=cleaned)
    _, _, action, name, text = min(found)
    return Verdict(redacted, action, name, text, cleaned)


def _filled(text: str, arguments: Mapping[str, Any]) -> str:
    """A text with `{name}` for what the call has under that name; "it" where it has nothing that can be said."""

    def value(match: re.Match[str]) -> str:
        held = arguments.get(match[1])
        return str(held) if isinstance(held, str | int | float) and not isinstance(held, bool) else "it"

    return re.sub(r"\{(\w+)\}", value, text)


class _Words:
    """Holds the texts and numbers among a call's arguments to the rules for words."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._watched = any("tool_call" in rule.direction and rule.kind != "tool" for rule in policy.rules)
        self.acted: list[tuple[str, Action, str]] = []
        self.redacted: set[str] = set()

    def read(self, value: Any, depth: int = 0) -> Any:
        """The value, less what rules redact.

        Raises:
            ValueError: If it is nested too deeply.
        """
        if depth > DEEPEST:
            raise ValueError("the arguments are nested too deeply")
        if not self._watched:
            return value
        if isinstance(value, str):
            return self._check(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value)
            read = self._check(text)
            return value if read == text else read
        if isinstance(value, Mapping):
            return {self._check(str(key)): self.read(held, depth + 1) for key, held in value.items()}
        if isinstance(value, list | tuple):
            return self._read_list(list(value), depth)
        return value

    def _read_list(self, values: list[Any], depth: int) -> list[Any]:
        """A list, in which a number may be split over several items."""
        read = [self.read(value, depth + 1) for value in values]
        if read == values and all(isinstance(value, str | int) for value in values):
            together = " ".join(map(str, values))
            checked = self._check(together)
            if checked != together:
                return [checked]
        return read

    def _check(self, text: str) -> str:
        result = check(self._policy, text, direction="tool_call")
        for decision in result.decisions:
            if decision.action == "redact":
                self.redacted.add(decision.rule)
            else:
                action: Action = "refuse" if decision.action == "stop" else decision.action
                self.acted.append((decision.rule, action, decision.text))
        return result.text
