"""Holds a whole text to a policy: what a caller has said, what a tool returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.stream import STOPS, Decision, StreamGuard

if TYPE_CHECKING:
    from guardrails.policy import Direction, Policy


@dataclass(frozen=True)
class Result:
    """What became of a text.

    Args:
        text: What may be read or said.
        decisions: What rules did, in the order of the text. Their numbers are indexes into it.
        blocked: Whether one of them refused it, or stopped within it.
    """

    text: str
    decisions: tuple[Decision, ...]
    blocked: bool


def check(policy: Policy, text: str, *, direction: Direction = "heard") -> Result:
    """Hold a whole text to a policy.

    Args:
        policy: The rules.
        text: Any text, of at most `guardrails.stream.MOST_CHARACTERS`.
        direction: Which of the rules.
    """
    guard = StreamGuard(policy, direction=direction)
    out = guard.feed(text) + guard.finish()
    decisions = tuple(guard.take())
    return Result(out, decisions, any(decision.action in STOPS for decision in decisions))
