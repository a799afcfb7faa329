"""An architecture is data: stages in order, with typed ports and the capabilities each asks of its service.

Nothing here loads a model or a vendor's library. A definition is checked the moment it is built, and every
refusal names the stage, what it lacks and the mend.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Port(StrEnum):
    """What flows between stages."""

    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    CONTEXT = "context"
    TEXT = "text"
    CLEARED_TEXT = "cleared text"
    SPEECH = "speech"


class Capability(StrEnum):
    """What a service can do, and what a stage may ask of the service in its slot."""

    AUDIO_IN = "audio_in"
    TEXT_OUT = "text_out"
    PERSONA_VOICE = "persona_voice"
    WORD_TIMESTAMPS = "word_timestamps"
    TOOLS = "tools"
    FULL_DUPLEX = "full_duplex"


class DefinitionError(ValueError):
    """An architecture that cannot work. The message is one line: the stage, what it lacks, the mend."""


@dataclass(frozen=True)
class Stage:
    """One slot of an architecture.

    Args:
        name: Upper-case name, unique within an architecture.
        summary: A few words for the diagram.
        takes: The port it reads, or None for a source.
        gives: The port it writes, or None for a stage that only listens.
        service: Whether a stack fills it with a service; otherwise the processor is Antiphon's own.
        needs: Capabilities asked of the service.
        consumes: Whether what it takes ends here, so that no later stage can read it.
    """

    name: str
    summary: str
    takes: Port | None
    gives: Port | None
    service: bool = False
    needs: frozenset[Capability] = frozenset()
    consumes: bool = False

    def __str__(self) -> str:
        return self.name


AUDIO_IN = Stage("AUDIO_IN", "microphone or call, 16 kHz", None, Port.AUDIO)
VAD = Stage("VAD", "speech, pauses and their length", Port.AUDIO, None)
STT = Stage("STT", "words as they are spoken", Port.AUDIO, Port.TRANSCRIPT, service=True)
USER_TURN = Stage("USER_TURN", "when the caller is done", Port.TRANSCRIPT, Port.CONTEXT, consumes=True)
HEARING = Stage("HEARING", "how it was said", Port.CONTEXT, Port.CONTEXT)
INPUT_GUARD = Stage("INPUT_GUARD", "what may be heard", Port.CONTEXT, Port.CONTEXT)
LLM = Stage(
    "LLM",
    "what to answer",
    Port.CONTEXT,
    Port.TEXT,
    service=True,
    needs=frozenset({Capability.TEXT_OUT}),
    consumes=True,
)
SENTENCES = Stage("SENTENCES", "text in speakable pieces", Port.TEXT, Port.TEXT)
OUTPUT_GUARD = Stage("OUTPUT_GUARD", "what may be said", Port.TEXT, Port.CLEARED_TEXT, consumes=True)
DELIVERY = Stage("DELIVERY", "how to say it", Port.CLEARED_TEXT, Port.CLEARED_TEXT)
TTS = Stage(
    "TTS",
    "the voice",
    Port.CLEARED_TEXT,
    Port.SPEECH,
    service=True,
    needs=frozenset({Capability.WORD_TIMESTAMPS}),
    consumes=True,
)
AUDIO_OUT = Stage("AUDIO_OUT", "loudspeaker or call", Port.SPEECH, None)
ASSISTANT_TURN = Stage("ASSISTANT_TURN", "the words that were heard", Port.SPEECH, None)


@dataclass(frozen=True)
class Architecture:
    """A named tuple of stages, checked when it is built. Editing returns a new, checked definition.

    Args:
        name: Lower-case name, as in `antiphon show NAME`.
        summary: One line.
        stages: In the order in which frames meet them.
        unguarded: Why text may reach the voice without an output guard. Without a reason it may not.

    Raises:
        DefinitionError: If a stage's input is produced by no stage before it, a name occurs twice, text that no
            guard has cleared would reach a stage that takes cleared text, or `unguarded` is said of an
            architecture that has a guard.
    """

    name: str
    summary: str
    stages: tuple[Stage, ...]
    unguarded: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        self._check()

    def _check(self) -> None:
        if self.unguarded is not None and not self.unguarded.strip():
            raise DefinitionError(f"{self.name}: unguarded is empty: say in words why no guard is needed")
        if not self.stages:
            raise DefinitionError(f"{self.name}: has no stages: start it with AUDIO_IN and end it with AUDIO_OUT")
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(f"{self.name}: {name} occurs {names.count(name)} times: keep one")
        live: set[Port] = set()
        uncleared_by: Stage | None = None
        for stage in self.stages:
            self._check_input(stage, live, uncleared_by)
            if stage.consumes and stage.takes is not None:
                live.discard(stage.takes)
            if stage.gives is not None:
                live.add(stage.gives)
            if stage.gives is Port.TEXT:
                uncleared_by = stage
            if stage.gives is Port.CLEARED_TEXT and stage.takes is Port.TEXT and self.unguarded is not None:
                raise DefinitionError(
                    f"{self.name}: says unguarded but has {stage}: drop either the reason or the stage"
                )

    def _check_input(self, stage: Stage, live: set[Port], uncleared_by: Stage | None) -> None:
        if stage.takes is None or stage.takes in live:
            return
        if stage.takes is Port.CLEARED_TEXT and Port.TEXT in live:
            if self.unguarded is not None:
                live.discard(Port.TEXT)
                live.add(Port.CLEARED_TEXT)
                return
            raise DefinitionError(
                f"{self.name}: {stage} takes cleared text, but what {uncleared_by} gives has passed no guard: "
                f'put OUTPUT_GUARD before {stage}, or say why none is needed with unguarded="…"'
            )
        raise DefinitionError(
            f"{self.name}: {stage} takes {stage.takes}, which no stage before it gives: "
            f"put a stage that gives {stage.takes} before it, or leave {stage} out"
        )

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            DefinitionError: If there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise DefinitionError(f"{self.name}: has no stage {name}: it has {', '.join(map(str, self.stages))}")

    @property
    def services(self) -> tuple[Stage, ...]:
        """The stages that a stack fills."""
        return tuple(stage for stage in self.stages if stage.service)

    def _index(self, stage: Stage) -> int:
        return self.stages.index(self.stage(stage.name))

    def replace(self, stage: Stage, mine: Stage) -> Architecture:
        """A new definition with `mine` where `stage` was."""
        at = self._index(stage)
        return replace(self, stages=(*self.stages[:at], mine, *self.stages[at + 1 :]))

    def without(self, *stages: Stage, unguarded: str | None = None) -> Architecture:
        """A new definition lacking `stages`. Leaving the guard out takes a reason in `unguarded`."""
        gone = {self.stage(stage.name).name for stage in stages}
        kept = tuple(stage for stage in self.stages if stage.name not in gone)
        return replace(self, stages=kept, unguarded=unguarded or self.unguarded)

    def insert_after(self, stage: Stage, mine: Stage) -> Architecture:
        """A new definition with `mine` right after `stage`."""
        at = self._index(stage) + 1
        return replace(self, stages=(*self.stages[:at], mine, *self.stages[at:]))

    def check_services(self, provided: dict[str, tuple[str, frozenset[Capability]]]) -> None:
        """Refuse services that lack what a stage needs.

        Args:
            provided: Per stage name, the service's name and its capabilities.

        Raises:
            DefinitionError: If a slot is empty or its service lacks a capability.
        """
        for stage in self.services:
            if stage.name not in provided:
                raise DefinitionError(
                    f"{self.name}: nothing fills {stage}: give the stack a service for it, as in "
                    f"stack.replace({stage}=Service(…))"
                )
            service, has = provided[stage.name]
            missing = stage.needs - has
            if missing:
                raise DefinitionError(
                    f"{self.name}: {stage} needs {_names(missing)}, which {service} does not offer "
                    f"(it offers {_names(has) or 'nothing of the kind'}): choose another service for {stage}"
                )


def _names(capabilities: Iterable[Capability]) -> str:
    return ", ".join(sorted(capabilities))
