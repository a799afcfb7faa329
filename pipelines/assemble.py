"""Architecture + stack + transport → a Pipecat worker that holds one conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelines import policies
from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_OUT,
    HEARD_GUARD,
    HEARD_TURN,
    HEARING,
    STT,
    TAGS,
    TTS,
    UNCLEARED,
    VAD,
    Architecture,
    Capability,
    DefinitionError,
    Port,
    Stage,
)
from pipelines.stacks import Service, Session, Stack, StackError

if TYPE_CHECKING:
    from pipecat.observers.base_observer import BaseObserver
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_transport import BaseTransport
    from pipecat.turns.user_turn_strategies import UserTurnStrategies

    from guardrails import Policy
    from pipelines.lab.budget import Budget
    from pipelines.personas import Persona
    from processors.guarding.guards import Guards
    from processors.hearing.cues import Cue
    from processors.hearing.tagger import Ear
    from processors.speaking.director import Director
    from processors.speaking.switchboard import Switchboard

INPUT_RATE = 16000
OUTPUT_RATE = 24000
SUMMARISE_FROM = 8000
"""Tokens of a context, four characters each: about half an hour of conversation."""


@dataclass
class Parts:
    """What the processors that are Antiphon's own are made of."""

    transport: BaseTransport
    turns: LLMContextAggregatorPair
    guards: Guards
    session: Session
    made: Mapping[str, FrameProcessor]
    """Those of all stages, by name; filled as they are made."""
    ear: Ear | None = None
    """What hears how the caller speaks; None for the project's own."""
    eloquent: bool = True
    """Whether the language model is worth a sentence on how something was said."""

    @cached_property
    def director(self) -> Director:
        """Decides how to answer."""
        return _director(self.session.persona)

    def told(self, cue: Cue) -> str:
        """What the language model is told of how something was said, and how to answer it; empty for nothing."""
        from processors.hearing.describe import describe

        direction = self.director.direct(cue)
        if not self.eloquent:
            return direction.rule if direction.hint else ""
        return " ".join(filter(None, (describe(cue), direction.hint)))

    def voice(self) -> Any:
        """The settings of the voice."""
        return getattr(self.made[TTS.name], "_settings", None)


def _director(persona: Persona) -> Director:
    from processors.speaking.director import Director, rules

    return Director(rules(), persona.range.lowest, persona.range.highest)


def _vad(parts: Parts) -> FrameProcessor:
    from processors.turns.vad import PauseVAD

    return PauseVAD()


def _sentences(parts: Parts) -> FrameProcessor:
    from processors.guarding.sentences import Sentences

    return Sentences()


def _hearing(parts: Parts) -> FrameProcessor:
    from processors.hearing.tagger import Tagger
    from processors.hearing.voice import Hearer

    tagger = Tagger(parts.ear or Hearer(), parts.told, parts.session.context)
    if (recogniser := parts.made.get(STT.name)) is not None:
        tagger.overhear(recogniser)
    return tagger


def _tags(parts: Parts) -> FrameProcessor:
    from processors.speaking.tagging import Tagging

    return Tagging()


def _delivery(parts: Parts) -> FrameProcessor:
    from processors.speaking.deliver import Deliver

    return Deliver(parts.director, parts.voice)


PROCESSORS: dict[str, Callable[[Parts], FrameProcessor]] = {
    "AUDIO_IN": lambda parts: parts.transport.input(),
    "VAD": _vad,
    "USER_TURN": lambda parts: parts.turns.user(),
    "SPOKEN_TURN": lambda parts: parts.turns.user(),
    "HEARD_TURN": lambda parts: parts.turns.user(),
    "HEARING": _hearing,
    "INPUT_GUARD": lambda parts: parts.guards.input(),
    "HEARD_GUARD": lambda parts: parts.guards.heard(),
    "TAGS": _tags,
    "OUTPUT_GUARD": lambda parts: parts.guards.output(),
    "SENTENCES": _sentences,
    "DELIVERY": _delivery,
    "AUDIO_GATE": lambda parts: parts.guards.audio(),
    "AUDIO_OUT": lambda parts: parts.transport.output(),
    "ASSISTANT_TURN": lambda parts: parts.turns.assistant(),
}
"""What Antiphon itself puts into a stage that no service fills."""


def check(architecture: Architecture, stack: Stack, *, ear: bool = False, policy: Policy | str | None = None) -> None:
    """Refuse what could not be assembled. Loads nothing.

    Args:
        architecture: Which stages, in which order.
        stack: Which service fills each slot.
        ear: Whether an ear is given for HEARING to hear with.
        policy: What may be heard, said and done, or its name or file, if that is known.

    Raises:
        DefinitionError: If a stage has no processor yet, a slot is empty, a service lacks a capability, nothing
            would hear with the ear, or a model would hear what the policy has rules for, and nobody would know.
        StackError: If a key is missing.
    """
    filled = PROCESSORS.keys() | stack.services.keys()
    missing = [stage.name for stage in architecture.stages if not stage.service and stage.name not in filled]
    if missing:
        names = ", ".join(missing)
        raise DefinitionError(
            f"{architecture.name}: no processor exists yet for {names}: leave "
            f"{'them' if len(missing) > 1 else 'it'} out with .without(…), or put in a stage with service=True "
            f"that your stack fills"
        )
    stack.check(architecture)
    ours = {stage.name for stage in architecture.stages} - stack.services.keys()
    if ear and HEARING.name not in ours:
        raise DefinitionError(
            f"{architecture.name} has no {HEARING.name}, which would hear with the ear given: choose an architecture "
            f"that has it, as advanced_cascade, or leave the ear out"
        )
    if policy is not None:
        policies.check_ears(architecture, stack.services, policy)


def assemble(
    architecture: Architecture,
    stack: Stack,
    transport: BaseTransport,
    *,
    persona: Persona | None = None,
    policy: Policy | None = None,
    context: LLMContext | None = None,
    observers: Sequence[BaseObserver] = (),
    clients: bool = True,
    tracing: bool = False,
    idle_secs: float | None = 300.0,
    budget: Budget | None = None,
    others: Sequence[Persona] = (),
    ear: Ear | None = None,
    summarise_from: int | None = SUMMARISE_FROM,
) -> PipelineWorker:
    """Build the worker for one conversation. Run it with Pipecat's `WorkerRunner`.

    Args:
        architecture: Which stages, in which order.
        stack: Which service fills each slot. Call `await stack.load(architecture)` first to have the models
            ready; otherwise they load when the conversation starts.
        transport: Where audio comes from and goes to. Its parameters should enable audio in and out.
        persona: Who speaks; `ferni` if none is given.
        policy: What may be heard, said and done, if the architecture has guards; the persona's own if none is given.
        context: What has been said so far and which tools there are; empty if none is given.
        observers: Pipecat observers.
        clients: Whether to tell clients of the transport what happens, by RTVI.
        tracing: Whether to export spans by OpenTelemetry, as Pipecat makes them. They hold what was said.
        idle_secs: Seconds in which nobody speaks after which the conversation ends; None for never.
        budget: What the call may cost. When it is spent, the persona says its goodbye and the call ends.
        others: To whom the call can be handed over, under the same policy. Those for whom a service has no voice are
            left out.
        ear: Hears how this one caller speaks, where the architecture has HEARING, as
            `processors.hearing.wav2vec2.Wav2Vec2Ear` does; the project's own if none is given.
        summarise_from: Tokens of the context, four characters each, at which all but its last messages become a
            summary, where the language model is one that can write it (the embedded one forgets the oldest words
            instead, and what a vendor remembers on its side is the vendor's to forget); None for never.

    Returns:
        The worker; its `app_resources` is the `Session` with the persona, the live context and the switchboard.

    Raises:
        DefinitionError, StackError: As `check`.
        PersonaError: If the policy forbids something that the persona is to say, or if none is given and another
            keeps to another than the persona.
        PolicyError: If the persona's policy cannot be loaded.
    """
    check(architecture, stack, ear=ear is not None)
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
    from pipecat.processors.frameworks.rtvi import RTVIObserverParams

    from pipelines.personas import load as load_persona
    from processors.guarding.guards import Guards
    from processors.guarding.heard import HeardGuard
    from processors.sound import watch
    from processors.speaking.apology import Apology
    from processors.summaries import remembering, summarise
    from processors.waiting import without_tasks

    without_tasks()
    filled = [stage.name for stage in architecture.stages if stage.name in stack.services]
    services = {name: stack.services[name].name for name in filled}
    session = Session(persona or load_persona("ferni"), context or LLMContext(), architecture, services)
    user = LLMUserAggregatorParams(user_turn_strategies=_turns(architecture, stack))
    summarised = summarise_from if _writer_can(architecture, stack, Capability.SUMMARIES) else None
    kept = remembering(summarised) if summarised is not None else None
    pair = LLMContextAggregatorPair(session.context, user_params=user, assistant_params=kept)
    if policy is None:
        policies.check_alike(session.persona, others)
    policy = policy or policies.prepared(session.persona.policy)
    policies.check_ears(architecture, stack.services, policy)
    if any(stage.clears for stage in architecture.stages):
        policies.check_persona(session.persona, policy)
    made: dict[str, FrameProcessor] = {}
    eloquent = _eloquent(architecture, stack)
    parts = Parts(transport, pair, Guards(policy, session.context), session, made, ear, eloquent)
    writer = architecture.writer
    briefed = replace(session, persona=_briefed(session.persona, architecture, stack))
    for stage in architecture.stages:
        service = stack.services.get(stage.name)
        known = briefed if stage == writer else session
        made[stage.name] = service.build(known) if service else PROCESSORS[stage.name](parts)
    if kept is not None and writer is not None:
        summarise(made[writer.name])
    named = list(zip(made.values(), architecture.stages, strict=True))
    session.stages.update((processor.name, stage.name) for processor, stage in named)
    processors = _guarded(architecture, stack, named, parts.guards)
    if writer is not None and isinstance(guard := made.get(HEARD_GUARD.name), HeardGuard):
        guard.overhear(made[writer.name], late=writer.takes is Port.AUDIO)
    _route_sounds(architecture, stack, made, processors)
    if others and writer is not None:
        session.switchboard = _switchboard(session, stack.services[writer.name], stack, others)
        processors.insert(processors.index(made[writer.name]), session.switchboard)
    worker = PipelineWorker(
        Pipeline(processors),
        params=PipelineParams(
            audio_in_sample_rate=INPUT_RATE,
            audio_out_sample_rate=OUTPUT_RATE,
            enable_metrics=True,
            enable_usage_metrics=True,
        ),
        observers=list(observers),
        enable_rtvi=clients,
        enable_tracing=tracing,
        enable_turn_tracking=tracing,
        idle_timeout_secs=idle_secs,
        # What the LLM said before any guard, and the whole context, are not for clients.
        rtvi_observer_params=RTVIObserverParams(bot_llm_enabled=False, user_llm_enabled=False, metrics_enabled=False),
        app_resources=session,
    )
    watch(worker)
    worker.add_observer(Apology(lambda: session.persona.apology, worker.queue_frame))
    if budget is not None:
        _hold_to(budget, worker, session)
    return worker


def _turns(architecture: Architecture, stack: Stack) -> UserTurnStrategies:
    """What says when the caller's turn is over: the words and the sound, the sound alone, or the model that hears."""
    from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

    from processors.turns.strategy import by_sound, turn_strategies

    if any(stage.name == HEARD_TURN.name for stage in architecture.stages):
        return by_sound(ExternalUserTurnStrategies(enable_interruptions=False))
    turns = (stack.turns or turn_strategies)()
    return by_sound(turns) if any(stage.gives is Port.UTTERANCE for stage in architecture.stages) else turns


def _writer_can(architecture: Architecture | None, stack: Stack, capability: Capability) -> bool:
    """Whether what writes the answers has a capability."""
    writer = architecture.writer if architecture is not None else None
    return writer is not None and capability in stack.services[writer.name].provides


def _eloquent(architecture: Architecture | None, stack: Stack) -> bool:
    """Whether what writes the answers is worth telling much: a small model makes little of it, and every token more to
    read or write is heard as a delay."""
    return _writer_can(architecture, stack, Capability.DELIVERY_TAGS)


def _briefed(persona: Persona, architecture: Architecture | None, stack: Stack) -> Persona:
    """A persona as the language model knows it: told of tags where they are taken out again, if it is worth that, and
    of what it will be told of the caller's voice, if that is no more than a name."""
    from processors.speaking.director import legend, rules
    from processors.speaking.tags import prompt

    stages = {stage.name for stage in architecture.stages} if architecture is not None else set()
    eloquent = _eloquent(architecture, stack)
    told = prompt() if eloquent and TAGS.name in stages else ""
    if not eloquent and HEARING.name in stages:
        told = legend(rules())
    if not told:
        return persona
    return persona.model_copy(update={"instructions": f"{persona.instructions}\n\n{told}"})


def _guarded(
    architecture: Architecture, stack: Stack, named: Sequence[tuple[FrameProcessor, Stage]], guards: Guards
) -> list[FrameProcessor]:
    """The processors, with nothing that could be said without passing the guard, if there is one."""
    guard = next((stage for stage in architecture.stages if stage.clears), None)
    if guard is None:
        _unguarded(named)
        return [processor for processor, _ in named]
    ours = guard.name not in stack.services
    processors: list[FrameProcessor] = []
    for processor, stage in named:
        if stage.clears and not ours:
            guards.trust(processor, speaks=stage.gives is Port.SPEECH)
        elif stage.gives in UNCLEARED.values() and ours and (stage.name != TAGS.name or stage.name in stack.services):
            guards.veil(processor)
        elif stage.service and (stage.takes, stage.gives) == (Port.SPEECH, Port.SPEECH):
            guards.keep_beside(processor)
        elif stage.service and (stage.takes, stage.gives) == (Port.CLEARED_TEXT, Port.SPEECH):
            guards.keep(processor)
        processors.append(processor)
        if stage.name == AUDIO_OUT.name:
            processors.append(guards.ears())
    return processors


def _unguarded(named: Sequence[tuple[FrameProcessor, Stage]]) -> None:
    """Have a voice behind a model that speaks itself say nothing of what the model does."""
    from processors.guarding.beside import beside, let_pass

    for processor, stage in named:
        if stage.writes and stage.gives is Port.UNCLEARED_SPEECH:
            let_pass(processor)
        elif stage.service and (stage.takes, stage.gives) == (Port.SPEECH, Port.SPEECH):
            beside(processor)


def _route_sounds(
    architecture: Architecture, stack: Stack, made: Mapping[str, FrameProcessor], processors: Sequence[FrameProcessor]
) -> None:
    """Hand the microphone's sound on as it comes, in as few pieces as those who listen can do with, and end each sound
    behind the last that does: every further queue costs for every piece.

    The microphone's is listened to by the stages that take audio or an utterance; by what makes a turn of words, as
    pauses and the melody say when it is over; by HEARING; and where a service is said to take audio in. What has been
    played is pushed on by AUDIO_OUT, and behind it a stage that takes speech gets it. ASSISTANT_TURN only notes down
    the words. Where all who listen behind VAD wait for it to say that somebody speaks, silence comes in larger pieces.
    """
    from processors.sound import end, gather, hand_on, note_seldom, turn_away
    from processors.turns.vad import WINDOW_SECS

    def listens(stage: Stage) -> bool:
        service = stack.services.get(stage.name)
        return (
            stage.takes in (Port.AUDIO, Port.UTTERANCE)
            or (stage.takes, stage.gives) == (Port.TRANSCRIPT, Port.CONTEXT)
            or stage.name == HEARING.name
            or (service is not None and Capability.AUDIO_IN in service.provides)
        )

    def patient(stage: Stage) -> bool:
        words = (Port.AUDIO, Port.TRANSCRIPT), (Port.TRANSCRIPT, Port.CONTEXT)
        return (stage.takes, stage.gives) in words or stage.name == HEARING.name

    listening = [stage for stage in architecture.stages if listens(stage)]
    by_vad = bool(listening) and listening[0].name == VAD.name
    if AUDIO_IN.name in made:
        hand_on(made[AUDIO_IN.name], WINDOW_SECS if by_vad else 0.0)
    if by_vad and all(patient(stage) for stage in listening[1:]):
        gather(made[VAD.name])
    if listening:
        end(made[listening[-1].name])
    note_seldom(made[AUDIO_OUT.name])
    out = processors.index(made[AUDIO_OUT.name])
    ours = ASSISTANT_TURN.name not in stack.services
    behind = architecture.stages[architecture.stages.index(architecture.stage(AUDIO_OUT.name)) + 1 :]
    heard = any(stage.takes is Port.SPEECH and not (ours and stage.name == ASSISTANT_TURN.name) for stage in behind)
    if not heard and processors[out + 1 :]:
        turn_away(processors[out + 1])


def _switchboard(session: Session, llm: Service, stack: Stack, others: Sequence[Persona]) -> Switchboard:
    """Hands the call over, by a tool as well where the language model has tools."""
    from loguru import logger
    from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
    from pipecat.services.settings import LLMSettings

    from processors.speaking.switchboard import Speaker, Switchboard

    voice = stack.services.get(TTS.name)

    def speaker(persona: Persona) -> Speaker:
        briefed = _briefed(persona, session.architecture, stack)
        return Speaker(
            persona.name,
            persona.greeting,
            llm.settings(briefed) if llm.settings else LLMSettings(system_instruction=briefed.instructions),
            voice.settings(persona) if voice is not None and voice.settings else None,
            _director(persona),
        )

    people: dict[str, Persona] = {}
    speakers = []
    for persona in (session.persona, *others):
        if persona.name not in people:
            try:
                speakers.append(speaker(persona))
            except StackError as error:
                logger.warning(f"a call cannot be handed over to {persona.name}: {error}")
            else:
                people[persona.name] = persona

    def change(name: str) -> None:
        session.persona = people[name]

    switchboard = Switchboard(speakers, session.persona.name, session.context, change)
    if Capability.TOOLS in llm.provides and llm.hands_over:
        given = session.context.tools
        tools = given.standard_tools if isinstance(given, ToolsSchema) else []
        session.context.set_tools(ToolsSchema(standard_tools=[*tools, switchboard.tool()]))
    return switchboard


def _hold_to(budget: Budget, worker: PipelineWorker, session: Session) -> None:
    """Keep count of what the call costs."""
    from pipelines.lab.budget import BudgetKeeper
    from pipelines.lab.cost import CostLedger, CostObserver

    ledger = CostLedger()
    keeper = BudgetKeeper(budget, ledger, worker.queue_frame, goodbye=lambda: session.persona.goodbye)
    worker.add_observer(CostObserver(ledger, keeper.charged))
