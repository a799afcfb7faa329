"""Test conversations of a policy: what is heard, said and called in them, and what has to become of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from guardrails.check import check
from guardrails.data_file import Record, listed, read
from guardrails.policy import Policy, PolicyError, find
from guardrails.stream import StreamGuard
from guardrails.tools import call_key, judge

PASSED = "passed"


class Turn(Record):
    """Something that is heard, said or called.

    Args:
        heard: What the caller says, or a tool brings.
        said: What the language model writes.
        tool: The tool that it calls.
        arguments: What with.
        confirmed: Whether the caller has said yes to this very call.
        becomes: What is left of the text, word for word; the same if not given. Of a call: the rule's action, or
            the arguments that the tool gets.
        rules: The rules that act, in order; none if not given.
    """

    heard: str | None = None
    said: str | None = None
    tool: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    confirmed: bool = False
    becomes: str | dict[str, Any] | None = None
    rules: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Turn:
        given = [name for name in ("heard", "said", "tool") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("is one of heard:, said: and tool:, and no more: write another turn for the rest")
        if self.tool is None and (self.arguments or self.confirmed or isinstance(self.becomes, dict)):
            raise ValueError("calls no tool, and so has no arguments: write tool:, or take them out")
        return self


class Conversation(Record):
    """A call.

    Args:
        name: What it shows.
        turns: In order.
    """

    name: str = Field(min_length=1)
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]


class Conversations(Record):
    """A file of them.

    Args:
        conversations: Each a call of its own.
    """

    conversations: Annotated[tuple[Conversation, ...], Field(min_length=1)]


def beside(policy: str | Path) -> Path:
    """Where the test conversations of a policy are: a file of the same name in the folder `conversations` beside it."""
    path = find(policy)
    return path.parent / "conversations" / path.name


def load_conversations(path: Path) -> tuple[Conversation, ...]:
    """The conversations of a file.

    Raises:
        PolicyError: If it is not there or malformed.
    """
    return read(path, Conversations, PolicyError).conversations


def run(policy: Policy, conversation: Conversation) -> list[str]:
    """What did not become what it should have, a line for each.

    What is said is fed a character at a time.
    """
    guard = StreamGuard(policy)
    faults = []
    for number, turn in enumerate(conversation.turns, 1):
        became, rules = _became(policy, guard, turn)
        wanted = turn.becomes if turn.becomes is not None else turn.heard or turn.said or PASSED
        if became != wanted:
            faults.append(f"{conversation.name}, turn {number}: {wanted!r} was to come out, but {became!r} did")
        if rules != turn.rules:
            faults.append(
                f"{conversation.name}, turn {number}: {_names(turn.rules)} was to act, but {_names(rules)} did"
            )
    return faults


def _became(policy: Policy, guard: StreamGuard, turn: Turn) -> tuple[str | dict[str, Any], tuple[str, ...]]:
    if turn.heard is not None:
        guard.heard(turn.heard)
        result = check(policy, turn.heard)
        return result.text, tuple(decision.rule for decision in result.decisions)
    if turn.said is not None:
        out = "".join(map(guard.feed, turn.said)) + guard.finish()
        return out, tuple(decision.rule for decision in guard.take())
    tool = turn.tool or ""
    confirmed = {call_key(tool, turn.arguments)} if turn.confirmed else set()
    verdict = judge(policy, tool, turn.arguments, confirmed=confirmed, required=guard.required)
    if verdict.action is not None:
        return verdict.action, (*verdict.redacted, verdict.rule)
    return verdict.arguments if verdict.redacted else PASSED, verdict.redacted


def _names(rules: tuple[str, ...]) -> str:
    return ", ".join(rules) or "no rule"
