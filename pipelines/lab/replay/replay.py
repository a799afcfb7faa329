"""Runs a recorded conversation again from any stage, with all before it as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipecat.frames.frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed

from pipelines import architectures
from pipelines.assemble import OUTPUT_RATE, assemble
from pipelines.definition import Architecture, DefinitionError
from pipelines.lab import virtual
from pipelines.lab.caller import running
from pipelines.lab.replay.playing import CHUNK_SECS, Player
from pipelines.lab.trace import Event, Trace, TraceError, tracing
from pipelines.personas import Persona
from pipelines.stacks import Stack
from pipelines.stacks.catalogue import SERVICES
from processors.transports.memory import MemoryTransport

LAST = "TTS"
"""The last stage that can be run again: behind it there is only what was played."""

AFTER_SECS = 1.0
"""How long the replay goes on after the last sound: the context takes the last words when they have been played."""

LEAD_SECS = 1.5
"""How much of the caller's audio before a turn is played, if only that turn is run again: speech is noticed late."""

PATIENCE_SECS = 30.0
CHUNK_MS = 40
"""Audio that is played at a time, as WebRTC and Daily do it."""

Progress = Callable[[float, float], None]
"""Called with seconds done and seconds in all."""


def services_of(texts: Sequence[str]) -> dict[str, str]:
    """Services by slot, from `STAGE=SERVICE` as on the command line.

    Raises:
        TraceError: If a text is not of that form.
    """
    chosen = {}
    for text in texts:
        slot, equals, name = text.partition("=")
        if not (slot and equals and name):
            raise TraceError(f"--with {text}: is not STAGE=SERVICE: write it as in --with LLM=anthropic")
        chosen[slot.strip()] = name.strip()
    return chosen


def first_of(trace: Trace, instead: Mapping[str, str]) -> str:
    """The first stage that another service was chosen for; the first of all if none was.

    Raises:
        TraceError: If the conversation has no such stage.
    """
    names = [stage.name for stage in trace.meta.stages]
    for slot in instead:
        if slot not in names:
            raise TraceError(f"{trace.folder}: no stage {slot}: choose {', '.join(trace.meta.services)}")
    return next((name for name in names if name in instead), names[0] if names else "")


def stack_of(trace: Trace, instead: Mapping[str, str] | None = None) -> Stack:
    """The services that a trace was recorded with, by their names; others in some slots, as `{"LLM": "anthropic"}`.

    Raises:
        TraceError: If a service is none that ships.
    """
    chosen = {}
    for slot, name in {**trace.meta.services, **(instead or {})}.items():
        known = SERVICES.get(slot, {})
        if name not in known:
            where = "was recorded with" if slot not in (instead or {}) else "is to be run with"
            raise TraceError(
                f"{slot}: {where} {name!r}, which this command cannot build: "
                + (
                    f"choose {' or '.join(known)} with --with {slot}=…"
                    if known
                    else "replay it from Python with a stack"
                )
            )
        chosen[slot] = known[name]
    return Stack("replay", chosen)


def architecture_of(trace: Trace) -> Architecture:
    """The definition that a trace was recorded through.

    Raises:
        TraceError: If this version has none of that name and with those stages.
    """
    name = trace.meta.architecture
    try:
        architecture = architectures.get(name)
    except DefinitionError:
        raise TraceError(
            f"{trace.folder}: was recorded through {name or 'no architecture'!r}, which is none that ships: "
            f"replay it from Python with architecture=…"
        ) from None
    if [stage.name for stage in architecture.stages] != [stage.name for stage in trace.meta.stages]:
        raise TraceError(f"{trace.folder}: {name} had other stages when it was recorded: replay it with that version")
    return architecture


def stages(architecture: Architecture) -> list[str]:
    """The stages from which a conversation can be run again, in order."""
    names = [stage.name for stage in architecture.stages]
    return names[: names.index(LAST) + 1] if LAST in names else names


def replay(
    trace: Trace,
    folder: Path | str,
    *,
    start: str = "",
    stack: Stack | None = None,
    architecture: Architecture | None = None,
    instead: Mapping[str, str] | None = None,
    turn: int | None = None,
    events: Sequence[Event] | None = None,
    progress: Progress = lambda done, of: None,
) -> Trace:
    """Run a recorded conversation again. What comes of it is a trace of its own.

    Stages before `start` give what they gave when they gave it; tools give what they gave and do not act. Waiting is
    free and work takes its time, so a call of ten minutes takes as long as its models work; where a vendor's service
    takes part, everything happens in real time.

    Args:
        trace: The conversation.
        folder: Where the new trace's folder is to lie. It holds what the recorded one held: nothing more is taken out.
        start: The first stage that is run again; everything is if none is given.
        stack: The services; those it was recorded with if none are given.
        architecture: How they are wired; as recorded if none is given.
        instead: Names of services that take the place of others in their slots.
        turn: The number of the only turn that is run again; all of them if none is given.
        events: What happened, if it is to be other than recorded.
        progress: Told how far it is.

    Raises:
        TraceError: If there is no such stage or turn, or the trace cannot be run again here.
        StackError: If a key is missing.
    """
    architecture = architecture or architecture_of(trace)
    stack = stack or stack_of(trace, instead)
    start = start or architecture.stages[1].name
    known = stages(architecture)
    if start not in known:
        raise TraceError(f"no stage {start} to replay from: choose {', '.join(known)}")
    begin, end = span(trace, turn)
    if start == architecture.stages[0].name:
        start = architecture.stages[1].name
    player = Player(trace, architecture, start)
    stack = player.stack(stack)
    work = _Work(player, architecture, stack, trace, tuple(events or trace.events), begin, end, Path(folder), progress)
    asyncs = work.run()
    if any(service.keys for service in stack.services.values()):
        return virtual.wherever(lambda: asyncio.run(asyncs))
    return virtual.run(asyncs, measured=True)


def span(trace: Trace, turn: int | None) -> tuple[float, float]:
    """From when to when a turn, or the whole conversation, took place, in seconds.

    Raises:
        TraceError: If there is no such turn.
    """
    if turn is None:
        return 0.0, trace.duration
    for known in trace.turns:
        if known.number == turn:
            return known.begin, known.end
    raise TraceError(f"{trace.folder}: no turn {turn}: there are {len(trace.turns)}")


class _Quiet(BaseObserver):
    """Knows whether the agent speaks."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.speaking = False

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, BotStartedSpeakingFrame):
            self.speaking = True
        elif isinstance(data.frame, BotStoppedSpeakingFrame):
            self.speaking = False


class _Work:
    """One replay."""

    def __init__(
        self,
        player: Player,
        architecture: Architecture,
        stack: Stack,
        trace: Trace,
        events: tuple[Event, ...],
        begin: float,
        end: float,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._player = player
        self._architecture = architecture
        self._stack = stack
        self._trace = trace
        self._events = events
        self._begin = begin
        self._end = end
        self._folder = folder
        self._progress = progress

    async def run(self) -> Trace:
        await self._stack.load(self._architecture)
        transport = MemoryTransport(
            lambda pcm, at: None, input_rate=self._trace.meta.rates["in"], output_rate=OUTPUT_RATE, chunk_ms=CHUNK_MS
        )
        quiet = _Quiet()
        persona = Persona.model_validate(self._trace.meta.persona) if self._trace.meta.persona else None
        async with tracing(self._folder, redactor=None) as observer:
            worker = assemble(
                self._architecture,
                self._stack,
                transport,
                persona=persona,
                context=self._player.context(),
                observers=[quiet, observer],
                clients=False,
                idle_secs=None,
            )
            async with running(worker, transport):
                reporting = asyncio.create_task(self._report())
                await self._player.play(self._events, self._begin, self._end, LEAD_SECS, transport, worker.queue_frame)
                reporting.cancel()
                await self._hear_out(transport, quiet)
        return Trace.load(observer.folder)

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        begun, whole = loop.time(), self._end - self._begin
        while True:
            self._progress(min(loop.time() - begun, whole), whole)
            await asyncio.sleep(0.5)

    async def _hear_out(self, transport: MemoryTransport, quiet: _Quiet) -> None:
        """The microphone stays open until the agent has been silent for a while."""
        silence = bytes(2 * round(CHUNK_SECS * self._trace.meta.rates["in"]))
        loop = asyncio.get_running_loop()
        latest, silent = loop.time() + PATIENCE_SECS, loop.time()
        while loop.time() < min(latest, silent + AFTER_SECS):
            await transport.hear(silence)
            await asyncio.sleep(CHUNK_SECS)
            silent = loop.time() if quiet.speaking else silent
