"""Policies made ready once for all conversations of a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrails import Policy
    from pipelines.personas import Persona

SAID = ("greeting", "apology", "goodbye")
"""What a persona says that no language model writes."""


@cache
def prepared(name: str) -> Policy:
    """A policy whose rules are ready to be looked for. Takes some tenths of a second the first time.

    Args:
        name: One that ships, or the path of a YAML file.

    Raises:
        PolicyError: If there is none or it is malformed.
        JudgeError: If a classifier that it asks cannot be loaded.
    """
    from guardrails import load

    return ready(load(name))


def ready(policy: Policy) -> Policy:
    """The policy, once its rules can be looked for and its classifiers are loaded: a call has no time for that.

    Raises:
        JudgeError: If a classifier cannot be loaded.
    """
    from guardrails.compiled import compiled
    from guardrails.judging import scorer

    for direction in ("heard", "said", "tool_call"):
        compiled(policy, direction)
    for rule in policy.rules:
        if judge := getattr(rule, "judge", None):
            scorer(judge)("Hello.")
    return policy


def check_persona(persona: Persona, policy: Policy) -> None:
    """Refuse a persona that is to say what its policy forbids. What takes a classifier is judged when it is said.

    Raises:
        PersonaError: Naming the text and the rule.
    """
    from guardrails import StreamGuard
    from pipelines.personas import PersonaError

    for name in SAID:
        guard = StreamGuard(policy)
        if guard.judges:
            return
        guard.feed(getattr(persona, name))
        guard.finish()
        forbidden = [decision for decision in guard.take() if decision.action != "say_first"]
        if forbidden:
            raise PersonaError(
                f"{persona.name}: {name} is forbidden by rule {forbidden[0].rule} of policy {policy.name}: "
                f"change one of the two"
            )


def check_alike(persona: Persona, others: Sequence[Persona]) -> None:
    """Refuse those who keep to another policy: a call that is handed over goes on under the one it began with.

    Raises:
        PersonaError: Naming both and their policies.
    """
    from pipelines.personas import PersonaError

    for other in others:
        if other.policy != persona.policy:
            raise PersonaError(
                f"{other.name} keeps to policy {other.policy} and {persona.name} to {persona.policy}, so that a call "
                f"cannot be handed over: give both one"
            )
