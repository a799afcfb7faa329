"""Policies made ready once for all conversations of a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrails import Policy


@cache
def prepared(name: str) -> Policy:
    """A policy whose rules are ready to be looked for. Takes some tenths of a second the first time.

    Args:
        name: One that ships, or the path of a YAML file.

    Raises:
        PolicyError: If there is none or it is malformed.
    """
    from guardrails import load
    from guardrails.compiled import compiled

    policy = load(name)
    for direction in ("heard", "said", "tool_call"):
        compiled(policy, direction)
    return policy
