"""Plays a recorded conversation up to a stage into a pipeline whose later stages are alive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMContextFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams

from pipelines.definition import OUTPUT_GUARD, TTS, Architecture, Port, Stage
from pipelines.lab.replay.rebuild import context
from pipelines.lab.replay.rebuild import frame as rebuilt
from pipelines.lab.tools import answered_by
from pipelines.lab.trace import Event, Trace
from pipelines.lab.trace.observer import PIPELINE
from pipelines.lab.trace.payload import TAKEN
from pipelines.stacks import Service, Session, Stack
from processors.guarding.frames import UnclearedTextFrame, clear
from processors.pcm import to_pcm
from processors.transports.memory import MemoryTransport

CHUNK_SECS = 0.02
SETTLING = 64
"""Turns of the event loop in which a frame has gone through every queue on its way."""

FROM_OUTSIDE = {"TTSSpeakFrame", "LLMRunFrame", "CallerSpeechFrame"}
"""What an application or a script may put into a pipeline."""

CONSUMED: dict[Port | None, tuple[type[Frame], ...]] = {
    Port.TRANSCRIPT: TAKEN[Port.TRANSCRIPT],
    Port.CONTEXT: TAKEN[Port.CONTEXT],
    Port.TEXT: (LLMTextFrame, UnclearedTextFrame, TTSSpeakFrame, AggregatedTextFrame),
    Port.CLEARED_TEXT: (LLMTextFrame,),
}
"""What a stage does not pass on, by the port that it reads."""


class Recorded(FrameProcessor):
    """Stands in a stage's place: gives what the stage gave, when it gave it, and passes on what it would have.

    Args:
        stage: The stage.
        kept: What it keeps, because it is handed on when the stage behind took it.
    """

    def __init__(self, stage: Stage, kept: tuple[type[Frame], ...] = ()) -> None:
        super().__init__(name=f"Recorded{stage.name.title().replace('_', '')}")
        passes = stage.takes is stage.gives is Port.CONTEXT
        self._consumed = (() if passes else CONSUMED.get(stage.takes, ())) + kept

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, self._consumed):
            await self.push_frame(frame, direction)


class Player:
    """Puts recorded stages into a stack and plays their part.

    Args:
        trace: The conversation.
        architecture: As it was wired.
        start: The first stage that is alive.
    """

    def __init__(self, trace: Trace, architecture: Architecture, start: str) -> None:
        names = [stage.name for stage in architecture.stages]
        # The microphone has nothing to decide: it is fed what was heard.
        self._fixed = {stage.name: stage for stage in architecture.stages[1 : names.index(start)]}
        self._trace = trace
        self._start = architecture.stages[names.index(start)]
        self._guard = OUTPUT_GUARD.name if OUTPUT_GUARD.name in names else None
        self._cleared = names[names.index(OUTPUT_GUARD.name) :] if self._guard else []
        self._written: dict[int, str] = {}
        self._before = names[names.index(start) - 1]
        self._frames: dict[int, Frame] = {}
        self._recorded: dict[str, Recorded] = {}
        self._sessions: list[Session] = []
        self._voice: FrameProcessor | None = None
        self._results = [event.payload or {} for event in trace.events if event.kind == "FunctionCallResultFrame"]
        self._tools = {str(known["name"]) for known in self._results}

    def _dealt(self, events: Sequence[Event]) -> dict[int, str]:
        """What was written, by the frame in which it comes to the first live stage: known as far as the guard let it
        through."""
        written: dict[int, str] = {}
        pieces: list[Event] = []
        cleared: list[str] = []

        def deal() -> None:
            text = "".join(cleared)
            for piece in pieces:
                count = int((piece.payload or {}).get("characters", 0))
                written[piece.frame], text = text[:count], text[count:]
            if pieces:
                written[pieces[-1].frame] += text
            pieces.clear()
            cleared.clear()

        for event in events:
            if event.way == "out" and event.kind == "LLMFullResponseStartFrame":
                deal()
            elif event.way == "in" and event.stage == self._start.name and event.kind == "UnclearedTextFrame":
                pieces.append(event)
            elif event.way == "out" and event.kind == "LLMTextFrame" and event.stage == self._guard:
                cleared.append(event.text)
        deal()
        return written

    def stack(self, stack: Stack) -> Stack:
        """The stack with recordings in the places of all stages that are not alive."""
        built = {name: self._service(stage) for name, stage in self._fixed.items()}
        live = {
            name: answered_by(
                self._noting(service) if name == TTS.name else service, self._result, (None, *self._tools)
            )
            for name, service in stack.services.items()
            if name not in built
        }
        return replace(stack, services={**live, **built})

    def _noting(self, service: Service) -> Service:
        """A voice that is known by what it was built as."""

        def build(session: Session) -> FrameProcessor:
            self._voice = service.build(session)
            return self._voice

        return replace(service, build=build)

    def _service(self, stage: Stage) -> Service:
        def build(session: Session) -> FrameProcessor:
            taken = TAKEN.get(self._start.takes, ()) if self._start.takes else ()
            self._recorded[stage.name] = Recorded(stage, taken if stage.name == self._before else ())
            self._sessions.append(session)
            return self._recorded[stage.name]

        return Service("recorded", build, frozenset(stage.needs))

    async def _result(self, params: FunctionCallParams) -> None:
        """What the tool gave when it was called in the recorded conversation."""
        same = [known for known in self._results if known["name"] == params.function_name]
        exact = [known for known in same if known["arguments"] == params.arguments]
        known = [*exact, *same, {"result": {"error": "this tool was not called in the recorded conversation"}}]
        await params.result_callback(known[0]["result"])

    def context(self) -> LLMContext:
        """The context in which the conversation goes on: with the tools that it had."""
        given = [event.payload for event in self._trace.events if event.kind == "LLMContextFrame" and event.payload]
        return context({**given[0], "messages": []}) if given else LLMContext()

    async def play(
        self,
        events: Sequence[Event],
        begin: float,
        end: float,
        lead: float,
        transport: MemoryTransport,
        queue: Callable[[Frame], Awaitable[None]],
    ) -> None:
        """Play from one moment to another, in seconds of the recorded conversation.

        Args:
            events: All that happened.
            begin: Where to begin. What is heard is played from `lead` seconds before.
            end: Where to end.
            lead: Seconds.
            transport: Is given what was heard.
            queue: Takes what came from outside of the stages, such as a greeting.
        """
        if self._guard and self._start.takes is Port.TEXT:
            self._written = self._dealt(events)
        loop = asyncio.get_running_loop()
        lead = min(lead, begin)
        started = loop.time() - begin + lead
        rate = self._trace.meta.rates["in"]
        heard = self._trace.heard
        fed = round((begin - lead) * rate)
        chunk = round(CHUNK_SECS * rate)

        async def until(moment: float) -> None:
            await asyncio.sleep(max(0.0, started + moment - loop.time()))

        async def feed(samples: int) -> None:
            nonlocal fed
            while fed < min(samples, len(heard)):
                piece = heard[fed : min(fed + chunk, samples)]
                fed += len(piece)
                await until(fed / rate)
                await transport.hear(to_pcm(np.asarray(piece, np.float32)))

        for event in events:
            if not begin <= event.at <= end:
                continue
            await feed(min(event.heard, round(event.at * rate)))
            await until(event.at)
            if self._plays(event):
                for _ in range(SETTLING):
                    await asyncio.sleep(0)
                await self._give(event, queue)
        await feed(round(end * rate))
        await until(end)

    def _plays(self, event: Event) -> bool:
        if event.up:
            return False
        if event.kind == "TTSSpeakFrame" and self._guard is not None and event.way == "out":
            # What came from outside is known as the guard let it through.
            return event.stage == self._guard and event.text != self._trace.meta.persona.get("apology")
        if event.way == "in":
            return event.stage == self._start.name and event.frame in self._frames
        if event.stage == PIPELINE:
            # An apology comes again by itself if what it was for does.
            return event.kind in FROM_OUTSIDE and event.text != self._trace.meta.persona.get("apology")
        return event.stage in self._fixed

    async def _give(self, event: Event, queue: Callable[[Frame], Awaitable[None]]) -> None:
        if event.way == "in":
            # It came from further up, and goes on when it was let through.
            await self._recorded[self._before].push_frame(self._frames.pop(event.frame))
            return
        frame = self._settings(event) if event.kind == TTSUpdateSettingsFrame.__name__ else rebuilt(event)
        if frame is None:
            return
        if isinstance(frame, UnclearedTextFrame) and event.frame in self._written:
            frame.text = self._written[event.frame]
        if isinstance(frame, LLMContextFrame) and not frame.speculation:
            live = self._sessions[-1].context
            live.set_messages(frame.context.get_messages())
            frame = LLMContextFrame(live)
        if event.stage == PIPELINE or (event.stage == self._guard and self._guard not in self._fixed):
            await queue(frame)
        else:
            if event.stage in self._cleared:
                clear(frame)
            if event.stage != self._before:
                self._frames[event.frame] = frame
            await self._recorded[event.stage].push_frame(frame)

    def _settings(self, event: Event) -> Frame | None:
        """What a voice was told of how to speak, if the one that is alive has the same settings."""
        own, told = getattr(self._voice, "_settings", None), event.payload or {}
        if type(own).__name__ != told.get("of"):
            return None
        return TTSUpdateSettingsFrame(delta=type(own).from_mapping(told["settings"]))  # type: ignore[union-attr]
