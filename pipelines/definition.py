"""An architecture is data: stages in order, with typed ports and the capabilities each asks of its service.

Nothing here loads a model or a vendor's library. A definition is checked the moment it is built, and every
refusal names the stage, what it lacks and the mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar


class Port(StrEnum):
    """What flows between stages."""

    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    UTTERANCE = "utterance"
    CONTEXT = "context"
    TEXT = "text"
    CLEARED_TEXT = "cleared text"
    UNCLEARED_SPEECH = "uncleared speech"
    SPEECH = "speech"


UNCLEARED = {Port.CLEARED_TEXT: Port.TEXT, Port.SPEECH: Port.UNCLEARED_SPEECH}
"""What is said, by what it is before a guard has cleared it."""


class Capability(StrEnum):
    """What a service can do, and what a stage may ask of the service in its slot."""

    AUDIO_IN = "audio_in"
    TEXT_OUT = "text_out"
    SPEECH_OUT = "speech_out"
    PERSONA_VOICE = "persona_voice"
    WORD_TIMESTAMPS = "word_timestamps"
    TOOLS = "tools"
    DELIVERY_TAGS = "delivery_tags"
    FULL_DUPLEX = "full_duplex"
    SUMMARIES = "summaries"
    CALLER_WORDS = "caller_words"


class DefinitionError(ValueError):
    """An architecture that cannot work. The message is one line: the stage, what it lacks, the mend."""


_Member = TypeVar("_Member", Port, Capability)


def _member(kind: type[_Member], value: object, where: str) -> _Member:
    try:
        return kind(str(value))
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise DefinitionError(f"{where}: {value!r} is no {kind.__name__.lower()}: choose {known}") from None


def _one_line(owner: str, what: str, text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise DefinitionError(f"{owner}: {what} is empty: say it in words")
    return " ".join(text.split())


def _names(capabilities: Iterable[Capability]) -> str:
    return ", ".join(sorted(capabilities))


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
        fuses: The names of the stages that it is in one, so that none of them can be exchanged alone.

    Raises:
        DefinitionError: If a name, port or capability is none, or the stage has no port at all.
    """

    name: str
    summary: str
    takes: Port | None
    gives: Port | None
    service: bool = False
    needs: frozenset[Capability] = frozenset()
    consumes: bool = False
    fuses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", str(self.name)):
            raise DefinitionError(f"{self.name!r} is no name for a stage: use capitals, digits and _, as in MY_STT")
        object.__setattr__(self, "summary", _one_line(self.name, "summary", self.summary))
        for side in ("takes", "gives"):
            if getattr(self, side) is not None:
                object.__setattr__(self, side, _member(Port, getattr(self, side), f"{self.name} {side}"))
        needs = frozenset(_member(Capability, need, f"{self.name} needs") for need in self.needs)
        object.__setattr__(self, "needs", needs)
        if self.takes is None and self.gives is None:
            raise DefinitionError(f"{self.name}: takes nothing and gives nothing: say which port it reads or writes")
        if self.needs and not self.service:
            raise DefinitionError(
                f"{self.name}: needs {_names(self.needs)} of a service but has none: say service=True, or drop needs"
            )

    @property
    def clears(self) -> bool:
        """Whether it is an output guard: text or speech goes in, and comes out cleared."""
        return self.gives in UNCLEARED and self.takes is UNCLEARED[self.gives]

    @property
    def parts(self) -> str:
        """What it is in one, in words: "STT, LLM and TTS"."""
        *others, last = self.fuses or ("",)
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def writes(self) -> bool:
        """Whether its service makes the answers."""
        return self.service and self.gives in UNCLEARED.values() and self.takes is not self.gives

    def __str__(self) -> str:
        return self.name


AUDIO_IN = Stage("AUDIO_IN", "microphone or call, 16 kHz", None, Port.AUDIO)
VAD = Stage("VAD", "speech, pauses and their length", Port.AUDIO, None)
STT = Stage("STT", "words as they are spoken", Port.AUDIO, Port.TRANSCRIPT, service=True)
USER_TURN = Stage("USER_TURN", "when the caller is done", Port.TRANSCRIPT, Port.CONTEXT, consumes=True)
SPOKEN_TURN = Stage("SPOKEN_TURN", "when the caller is done, by the sound alone", Port.AUDIO, Port.UTTERANCE)
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
AUDIO_LLM = Stage(
    "AUDIO_LLM",
    "hears the voice itself, answers in words",
    Port.UTTERANCE,
    Port.TEXT,
    service=True,
    needs=frozenset({Capability.AUDIO_IN, Capability.TEXT_OUT}),
    consumes=True,
)
STT_LLM = Stage(
    "STT_LLM",
    "recogniser and language model in one",
    Port.UTTERANCE,
    Port.TEXT,
    service=True,
    needs=frozenset({Capability.AUDIO_IN, Capability.TEXT_OUT}),
    consumes=True,
    fuses=("STT", "LLM"),
)
SPEECH_LLM = Stage(
    "SPEECH_LLM",
    "one model from voice to voice",
    Port.UTTERANCE,
    Port.UNCLEARED_SPEECH,
    service=True,
    needs=frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT}),
    consumes=True,
    fuses=("STT", "LLM", "TTS"),
)
HEARD_GUARD = Stage("HEARD_GUARD", "what may be heard, as the model tells it", Port.AUDIO, None)
"""Stands where the model hears the caller itself: it holds the answer until the words are known that it answers, and
where a model never stops, is late."""
HEARD_TURN = Stage("HEARD_TURN", "when the caller is done, and what they said, as the model tells it", Port.AUDIO, None)
DUPLEX_LLM = Stage(
    "DUPLEX_LLM",
    "one model that listens while it speaks",
    Port.AUDIO,
    Port.UNCLEARED_SPEECH,
    service=True,
    needs=frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT, Capability.FULL_DUPLEX}),
    fuses=("STT", "LLM", "TTS"),
)
TAGS = Stage("TAGS", "how the model wants it said", Port.TEXT, Port.TEXT)
OUTPUT_GUARD = Stage("OUTPUT_GUARD", "what may be said", Port.TEXT, Port.CLEARED_TEXT, consumes=True)
SENTENCES = Stage("SENTENCES", "text in speakable pieces", Port.CLEARED_TEXT, Port.CLEARED_TEXT)
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
AUDIO_GATE = Stage("AUDIO_GATE", "what may be heard of it", Port.UNCLEARED_SPEECH, Port.SPEECH, consumes=True)
SPARE_VOICE = replace(TTS, summary="says what the model may not", takes=Port.SPEECH, needs=frozenset(), consumes=False)
"""The voice of an architecture whose model speaks itself: for what the guard says instead, apologies and goodbyes."""
AUDIO_OUT = Stage("AUDIO_OUT", "loudspeaker or call", Port.SPEECH, None)
ASSISTANT_TURN = Stage("ASSISTANT_TURN", "the words that were heard", Port.SPEECH, None)

STAGES = (
    AUDIO_IN,
    VAD,
    STT,
    USER_TURN,
    SPOKEN_TURN,
    HEARING,
    INPUT_GUARD,
    LLM,
    AUDIO_LLM,
    STT_LLM,
    SPEECH_LLM,
    HEARD_TURN,
    HEARD_GUARD,
    DUPLEX_LLM,
    TAGS,
    OUTPUT_GUARD,
    SENTENCES,
    DELIVERY,
    TTS,
    AUDIO_GATE,
    AUDIO_OUT,
    ASSISTANT_TURN,
)
"""Every stage defined here, in the order in which a cascade has them; what takes another's place stands behind it."""


@dataclass(frozen=True)
class Flow:
    """What one stage hands to a later one. `port` is what `giver` gives: text that reaches a stage which takes
    cleared text, as `unguarded` permits, is still called text, and so is what that stage makes of it. Likewise
    speech."""

    giver: Stage
    port: Port
    taker: Stage


@dataclass(frozen=True)
class Architecture:
    """A named tuple of stages, checked when it is built. Editing returns a new, checked definition.

    A stage reads what flows past it. What it takes flows on to later stages unless it `consumes` it, or gives the
    same port, in which case what it gives stands in for what it took.

    Args:
        name: Lower-case name, as in `antiphon show NAME`.
        summary: One line.
        stages: In the order in which frames meet them.
        unguarded: Why words may reach the voice without an output guard. Without a reason they may not, be it as
            text or inside speech that a stage makes of anything but cleared text.
        unguarded_ears: Why a model may hear the caller itself without HEARD_GUARD. Without a reason no policy is taken
            that has rules for what is heard.

    Raises:
        DefinitionError: If a stage's input is produced by no stage before it, or used up; a name occurs twice;
            words that no guard has cleared would reach the voice; a stage claims to clear what it cannot; what is
            to be said is read by no stage; `AUDIO_OUT` is missing, or speech is made or noted down on its wrong
            side; or `unguarded` is said of an architecture that has a guard.
    """

    name: str
    summary: str
    stages: tuple[Stage, ...]
    unguarded: str | None = field(default=None, kw_only=True)
    unguarded_ears: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", str(self.name)):
            raise DefinitionError(
                f"{self.name!r} is no name for an architecture: use small letters, digits and _, as in my_cascade"
            )
        object.__setattr__(self, "summary", _one_line(self.name, "summary", self.summary))
        if self.unguarded is not None:
            object.__setattr__(self, "unguarded", _one_line(self.name, "unguarded", self.unguarded))
        if self.unguarded_ears is not None:
            object.__setattr__(self, "unguarded_ears", _one_line(self.name, "unguarded_ears", self.unguarded_ears))
        try:
            object.__setattr__(self, "stages", tuple(self.stages))
        except TypeError:
            raise DefinitionError(f"{self.name}: stages is no sequence: write stages=({self.stages},)") from None
        self._check_stages()
        self._check_guard()
        self._check_flow()
        self._check_ends()

    def _refuse(self, stage: Stage, lacks: str, mend: str) -> DefinitionError:
        return DefinitionError(f"{self.name}: {stage} {lacks}: {mend}")

    def _check_stages(self) -> None:
        if not self.stages:
            raise DefinitionError(f"{self.name}: has no stages: start it with AUDIO_IN and end it with AUDIO_OUT")
        strangers = [stage for stage in self.stages if not isinstance(stage, Stage)]
        if strangers:
            raise DefinitionError(f"{self.name}: {strangers[0]!r} is no stage: make one with Stage(…)")
        names = [stage.name for stage in self.stages]
        for stage in self.stages:
            if names.count(stage.name) > 1:
                raise self._refuse(stage, f"occurs {names.count(stage.name)} times", "keep one, or rename the other")

    def _check_guard(self) -> None:
        for stage in self.stages:
            if stage.gives is Port.CLEARED_TEXT and stage.takes not in (Port.TEXT, Port.CLEARED_TEXT):
                raise self._refuse(
                    stage,
                    f"gives cleared text but takes {stage.takes or 'nothing'}, and only a guard clears",
                    f"let {stage} give text and put OUTPUT_GUARD after it",
                )
            if not stage.clears:
                continue
            own = OUTPUT_GUARD if stage.takes is Port.TEXT else AUDIO_GATE
            if not stage.service and stage.name != own.name:
                raise self._refuse(
                    stage,
                    f"says that it clears {own.takes}, but Antiphon's own guard is {own}",
                    "use that, or say service=True and fill it with your guard",
                )
            if not stage.consumes:
                raise self._refuse(
                    stage, f"lets the {stage.takes} that it has not cleared pass on", "say consumes=True"
                )
            if self.unguarded is not None:
                raise self._refuse(
                    stage, "is a guard, but the architecture says unguarded", "leave out the reason or the guard"
                )

        guard = next((stage for stage in self.stages if stage.name == HEARD_GUARD.name), None)
        if guard is None:
            return
        if self.unguarded_ears is not None:
            raise self._refuse(
                guard, "is a guard, but the architecture says unguarded_ears", "leave out the reason or the guard"
            )
        if not self.hears or self.stages.index(guard) > self.stages.index(self.writer):
            raise self._refuse(
                guard,
                "stands before no model that hears the caller itself, whose words it would have",
                "put it before one, or put INPUT_GUARD before a model that reads",
            )

    def _check_flow(self) -> None:
        for stage in self.stages:
            made = stage.gives is Port.SPEECH and stage.takes not in (Port.CLEARED_TEXT, Port.SPEECH)
            if made and not stage.clears and self.unguarded is None:
                raise self._refuse(
                    stage,
                    f"gives speech that it makes of {stage.takes or 'nothing'}, so that no guard can read it first",
                    "let it take cleared text, or give uncleared speech to AUDIO_GATE, or say why no guard is needed "
                    'with unguarded="…"',
                )
        read = {flow.giver for flow in self.flows}
        for stage in self.stages:
            if stage.gives in (Port.CLEARED_TEXT, *UNCLEARED.values()) and stage not in read:
                raise self._refuse(
                    stage,
                    f"gives {stage.gives}, which no stage after it takes, so that it is never said",
                    f"put a stage that takes {stage.gives} after it, or leave {stage} out",
                )

    def _check_ends(self) -> None:
        names = [stage.name for stage in self.stages]
        if AUDIO_OUT.name not in names or self.stage(AUDIO_OUT.name).takes is not Port.SPEECH:
            raise DefinitionError(f"{self.name}: has no AUDIO_OUT that takes speech: put it after the voice")
        out = names.index(AUDIO_OUT.name)
        for stage in self.stages[out:]:
            if stage.gives is Port.SPEECH:
                raise self._refuse(stage, "gives speech after AUDIO_OUT, where nobody hears it", "put it before")
        for stage in self.stages[:out]:
            if stage.name == ASSISTANT_TURN.name:
                raise self._refuse(
                    stage,
                    "stands before AUDIO_OUT, so that the context would hold words that nobody heard",
                    "put it after AUDIO_OUT",
                )

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Who hands what to whom, in the order of the takers.

        Raises:
            DefinitionError: While the definition is being built, if a stage takes what does not reach it.
        """
        flows: list[Flow] = []
        live: dict[Port, list[Stage]] = {}
        used_by: dict[Port, Stage] = {}
        uncleared: set[Stage] = set()
        for stage in self.stages:
            if stage.takes is not None:
                raw = UNCLEARED.get(stage.takes)
                if raw in live and self.unguarded is None:
                    raise self._uncleared(stage, live[raw][-1])
                ports = (stage.takes, raw) if raw else (stage.takes,)
                reaching = [
                    Flow(giver, UNCLEARED[port] if giver in uncleared else port, stage)
                    for port in ports
                    for giver in live.get(port, ())
                ]
                if stage.takes is stage.gives and any(flow.port is raw for flow in reaching):
                    uncleared.add(stage)
                if not reaching:
                    raise self._unfed(stage, stage.takes, used_by)
                flows += reaching
                if stage.consumes or stage.gives is stage.takes:
                    for port in live.keys() & ports:
                        del live[port]
                        used_by[port] = stage
            if stage.gives is not None:
                live.setdefault(stage.gives, []).append(stage)
        return tuple(flows)

    def _uncleared(self, stage: Stage, giver: Stage) -> DefinitionError:
        before = self.stages[: self.stages.index(giver)]
        guards = [other for other in before if other.clears and other.takes is giver.gives]
        own = OUTPUT_GUARD if giver.gives is Port.TEXT else AUDIO_GATE
        mend = f"put {giver} before {guards[0]}" if guards else f"put {own} between {giver} and {stage}"
        return self._refuse(
            stage,
            f"takes {stage.takes}, but what {giver} gives has passed no guard",
            f'{mend}, or say why none is needed with unguarded="…"',
        )

    def _unfed(self, stage: Stage, port: Port, used_by: Mapping[Port, Stage]) -> DefinitionError:
        if port in used_by:
            return self._refuse(
                stage, f"takes {port}, which {used_by[port]} has used up", f"put {stage} before {used_by[port]}"
            )
        later = [other for other in self.stages if other.gives is port and other.takes is not port]
        if later:
            return self._refuse(
                stage, f"takes {port}, which only {later[0]} gives, after it", f"put {later[0]} before {stage}"
            )
        known = next(other for other in STAGES if other.gives is port)
        return self._refuse(
            stage,
            f"takes {port}, which no stage before it gives",
            f"put one that does before it, such as {known}, or leave {stage} out",
        )

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            DefinitionError: If there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        for stage in self.stages:
            if name in stage.fuses:
                raise DefinitionError(
                    f"{self.name}: has no {name} to exchange alone: {stage} is {stage.parts} in one, and "
                    f"what one hands the other is read by no other model: exchange {stage}, or choose a cascade"
                )
        raise DefinitionError(f"{self.name}: has no stage {name}: it has {', '.join(map(str, self.stages))}")

    @property
    def services(self) -> tuple[Stage, ...]:
        """The stages that a stack fills."""
        return tuple(stage for stage in self.stages if stage.service)

    @property
    def writer(self) -> Stage | None:
        """The stage whose service makes the answers; None if there is none."""
        return next((stage for stage in self.services if stage.writes), None)

    @property
    def hears(self) -> bool:
        """Whether what makes the answers hears the caller itself, so that no guard can read their words first."""
        return self.writer is not None and self.writer.takes in (Port.AUDIO, Port.UTTERANCE)

    def _index(self, stage: Stage) -> int:
        return self.stages.index(self.stage(str(stage)))

    def _with(self, stages: tuple[Stage, ...]) -> Architecture:
        guarded = any(stage.clears for stage in stages)
        ears = any(stage.name == HEARD_GUARD.name for stage in stages)
        return replace(
            self,
            stages=stages,
            unguarded=None if guarded else self.unguarded,
            unguarded_ears=None if ears else self.unguarded_ears,
        )

    def replace(self, stage: Stage, mine: Stage) -> Architecture:
        """A new definition with `mine` where `stage` was. Putting in a guard drops the `unguarded` reason.

        Raises:
            DefinitionError: If there is no such stage, or the new definition is refused.
        """
        at = self._index(stage)
        return self._with((*self.stages[:at], mine, *self.stages[at + 1 :]))

    def without(self, *stages: Stage, unguarded: str | None = None) -> Architecture:
        """A new definition lacking `stages`. Leaving a guard out takes a reason in `unguarded`.

        Raises:
            DefinitionError: If there is no such stage, or the new definition is refused.
        """
        gone = {self.stage(str(stage)).name for stage in stages}
        kept = tuple(stage for stage in self.stages if stage.name not in gone)
        if unguarded is None:
            return replace(self, stages=kept)
        ears = HEARD_GUARD.name in gone
        # Whatever else it is said of is for the definition to judge.
        mouth = not ears or any(stage.clears for stage in self.stages if stage.name in gone)
        return replace(
            self,
            stages=kept,
            unguarded=unguarded if mouth else self.unguarded,
            unguarded_ears=unguarded if ears else self.unguarded_ears,
        )

    def insert_after(self, stage: Stage, mine: Stage) -> Architecture:
        """A new definition with `mine` right after `stage`. Putting in a guard drops the `unguarded` reason.

        Raises:
            DefinitionError: If there is no such stage, or the new definition is refused.
        """
        at = self._index(stage) + 1
        return self._with((*self.stages[:at], mine, *self.stages[at:]))

    def check_services(self, provided: Mapping[str, tuple[str, frozenset[Capability]]]) -> None:
        """Refuse services that lack what a stage needs.

        Args:
            provided: Per stage name, the service's name and its capabilities.

        Raises:
            DefinitionError: If a slot is empty or its service lacks a capability.
        """
        for stage in self.services:
            if stage.name not in provided:
                own = {other.name for other in self.stages}
                alone = [name for name in stage.fuses if name in provided and name not in own]
                apart = f", and is {stage.parts} in one, so that {' and '.join(alone)} cannot be given to it alone"
                raise self._refuse(
                    stage,
                    f"is filled by nothing{apart if alone else ''}",
                    f"give the stack a service for it, as in stack.replace({stage}=Service(…))",
                )
            service, has = provided[stage.name]
            missing = stage.needs - has
            if missing:
                raise self._refuse(
                    stage,
                    f"needs {_names(missing)}, and {service} offers {_names(has) or 'nothing of the kind'}",
                    f"choose another service for {stage}",
                )
