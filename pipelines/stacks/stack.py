"""A stack says which service fills each slot of an architecture."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipelines.definition import Architecture, Capability, Stage

if TYPE_CHECKING:
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies

    from pipelines.personas import Persona
    from processors.speaking.switchboard import Switchboard

Progress = Callable[[str, float], None]
"""Called from any thread while something loads: what, and how much of it is done (0 to 1)."""

ASSEMBLY = (
    "pipecat.pipeline.worker",
    "pipecat.processors.aggregators.llm_response_universal",
    "pipecat.processors.aggregators.llm_text_processor",
    "pipelines.policies",
    "processors.guarding.guards",
    "processors.guarding.heard",
    "processors.guarding.sentences",
    "processors.hearing.describe",
    "processors.hearing.tagger",
    "processors.hearing.voice",
    "processors.sound",
    "processors.speaking.apology",
    "processors.speaking.deliver",
    "processors.speaking.delivery",
    "processors.speaking.director",
    "processors.speaking.switchboard",
    "processors.speaking.tagging",
    "processors.summaries",
    "processors.turns.strategy",
    "processors.turns.vad",
    "processors.waiting",
)
"""What `pipelines.assemble.assemble` imports when it is called."""


IMPORTING = threading.RLock()
"""Held by whoever imports something of Pipecat's while models load in threads. Its modules import each other in
circles: two threads that enter a circle from two sides would wait for each other."""


class StackError(RuntimeError):
    """A stack that cannot be used here. The message is one line: the service, what it lacks, the mend."""


@dataclass
class Session:
    """What a service may know of the conversation it is built for.

    Args:
        persona: Who speaks; somebody else after the call was handed over.
        context: What has been said so far, live.
        architecture: How the conversation is wired.
        services: The name of the service in each slot.
        stages: The name of the stage by the name of its processor; complete once everything is built.
        switchboard: Hands the call over; None where there is nobody else.
    """

    persona: Persona
    context: LLMContext
    architecture: Architecture | None = None
    services: Mapping[str, str] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    switchboard: Switchboard | None = None


@dataclass(frozen=True)
class Service:
    """What fills a slot.

    Args:
        name: As on the command line, e.g. `anthropic`.
        build: Makes the processor for one conversation. Imports the vendor's library when called, not before.
        provides: What it can do.
        load: Loads what all conversations of the process share, and imports what `build` would import on the event
            loop, holding `IMPORTING`. Blocks; it is called in a thread, and again calls must be cheap.
        keys: Environment variables that must be set.
        settings: A persona's settings of it, to change to in mid-call; None for one that is the same for all.
        hands_over: Whether a language model that has tools is given the one that hands a call over.
        instructed: Whether a language model takes a persona's instructions; one that does not is who it is.
    """

    name: str
    build: Callable[[Session], FrameProcessor]
    provides: frozenset[Capability] = frozenset()
    load: Callable[[Progress], None] | None = None
    keys: tuple[str, ...] = ()
    settings: Callable[[Persona], Any] | None = None
    hands_over: bool = True
    instructed: bool = True

    def check(self, stage: Stage) -> None:
        """Refuse to go on without a key.

        Raises:
            StackError: Naming the key and the mend.
        """
        missing = [key for key in self.keys if not os.environ.get(key)]
        if missing:
            raise StackError(
                f"{stage}: {self.name} needs {' and '.join(missing)}: set it in the environment, "
                f"or choose another service for {stage}"
            )


@dataclass(frozen=True)
class Stack:
    """Services by the name of the stage that they fill.

    Args:
        name: As in a report.
        services: A stage that Antiphon fills itself, such as `VAD`, may be named here too.
        turns: Makes what decides when a caller's turn is over; Antiphon's own if none is given.
    """

    name: str
    services: Mapping[str, Service] = field(default_factory=dict)
    turns: Callable[[], UserTurnStrategies] | None = None

    def replace(self, **services: Service) -> Stack:
        """A new stack with these services in the named slots, e.g. `stack.replace(TTS=mine)`."""
        return replace(self, services={**self.services, **services})

    def check(self, architecture: Architecture) -> None:
        """Refuse an architecture whose slots this stack cannot fill. Loads nothing.

        Raises:
            DefinitionError: If a slot is empty or a capability is missing.
            StackError: If a key is missing.
        """
        architecture.check_services({slot: (s.name, s.provides) for slot, s in self.services.items()})
        for stage in architecture.services:
            self.services[stage.name].check(stage)

    async def load(self, architecture: Architecture, progress: Progress = lambda what, done: None) -> None:
        """Load what the architecture's services share, in parallel and off the event loop.

        Raises:
            DefinitionError, StackError: As `check`.
        """
        self.check(architecture)
        loads = [
            _prepare_assembly,
            _prepare_policy,
            *(self.services[stage.name].load for stage in architecture.services),
        ]
        if self.turns is None and any(stage.name in ("USER_TURN", "SPOKEN_TURN") for stage in architecture.stages):
            loads.append(_load_turn_model)
        if any(stage.name == "HEARING" and stage.name not in self.services for stage in architecture.stages):
            loads.append(_load_hearing)
        await asyncio.gather(*(asyncio.to_thread(load, progress) for load in loads if load is not None))


def _prepare_assembly(progress: Progress) -> None:
    with IMPORTING:
        for name in ASSEMBLY:
            import_module(name)
        from processors.turns.vad import silero

        silero()


def _prepare_policy(progress: Progress) -> None:
    from pipelines.personas import Persona
    from pipelines.policies import prepared

    prepared(Persona.model_fields["policy"].default)


def _load_turn_model(progress: Progress) -> None:
    progress("turn taking", 0.0)
    with IMPORTING:
        from processors.turns.strategy import smart_turn

        smart_turn()
    progress("turn taking", 1.0)


def _load_hearing(progress: Progress) -> None:
    progress("hearing", 0.0)
    with IMPORTING:
        from processors.hearing.encoder import encoder
        from processors.hearing.voice import shipped

    encoder()
    shipped()
    progress("hearing", 1.0)
