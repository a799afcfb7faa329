"""Policies made ready once for all conversations of a process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrails import Policy
    from pipelines.definition import Architecture
    from pipelines.personas import Persona
    from pipelines.stacks import Service

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


def check_ears(architecture: Architecture, services: Mapping[str, Service], policy: Policy | str) -> None:
    """Refuse a policy with rules for what is heard where a model hears the caller itself and nothing holds it to them.

    Args:
        architecture: With the model, if it has one that hears.
        services: By the name of the slot.
        policy: The rules, the name of a policy that ships, or the path of a YAML file.

    Raises:
        DefinitionError: Naming the model, the rules and the mend.
        PolicyError: If there is no such policy or it is malformed.
    """
    from guardrails import load
    from pipelines.definition import HEARD_GUARD, Capability, DefinitionError

    writer = architecture.writer
    if writer is None or not architecture.hears or architecture.unguarded_ears is not None:
        return
    policy = load(policy) if isinstance(policy, str) else policy
    rules = [rule.id for rule in policy.rules if "heard" in rule.direction]
    if not rules:
        return
    out = f'leave {HEARD_GUARD} out with .without({HEARD_GUARD}, unguarded="…") or --unguarded "…", which says why'
    of = f"the rules of policy {policy.name} for what is heard ({', '.join(rules)})"
    if all(stage.name != HEARD_GUARD.name for stage in architecture.stages):
        raise DefinitionError(
            f"{architecture.name}: {writer} hears the caller itself, and nothing holds it to {of}: "
            f"put {HEARD_GUARD} before it, or {out}"
        )
    service = services[writer.name]
    if HEARD_GUARD.name not in services and Capability.CALLER_WORDS not in service.provides:
        raise DefinitionError(
            f"{architecture.name}: {HEARD_GUARD} needs {Capability.CALLER_WORDS} of {writer} for {of}, and "
            f"{service.name} does not tell what it has heard: choose another service for {writer}, or {out}"
        )


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
