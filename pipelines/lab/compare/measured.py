"""The same conversation with real models: a caller who is heard, what is understood of it, and an answer that is timed.

Waiting is free and work takes the time that it takes, so a conversation of a minute is held in less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import soxr
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import Frame, TranscriptionFrame, TTSTextFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams

from pipelines import personas
from pipelines.architectures import ARCHITECTURES
from pipelines.assemble import assemble, check
from pipelines.definition import Architecture, DefinitionError
from pipelines.lab import prices as price_table
from pipelines.lab import virtual
from pipelines.lab.acoustics import first_audible, speech_end
from pipelines.lab.bench_latency import machine
from pipelines.lab.caller import CHUNK_SECS, OUTPUT_RATE, RATE, running
from pipelines.lab.compare import apart, errors
from pipelines.lab.compare.cells import Cell, Kind
from pipelines.lab.compare.comparison import PERSONA, OnStep, Row, by_definition, costs, figures, refused
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.errors import LongCall
from pipelines.lab.compare.half_hour import long_call
from pipelines.lab.compare.run import Answer, Run, Sound, joined
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.latency import LatencyObserver, Part
from pipelines.lab.projection import ProjectionError, Shape, measured
from pipelines.lab.retention.kept import kept
from pipelines.lab.script import CallerSays, Conversation, Exchange
from pipelines.lab.tools import answered_by
from pipelines.stacks import Stack
from pipelines.stacks.embedded import EMBEDDED, SYNTHESISER
from processors.embedded.hibari import SAMPLE_RATE, Controls
from processors.pcm import Samples, to_pcm, to_samples
from processors.transports.memory import MemoryTransport

CALLER = Controls(pitch=-5.0, formant=0.88)
ANGRY = Controls(pitch=-2.0, formant=0.88, range=1.6, tilt=3.0, speed=1.15)
"""The caller is the embedded voice too, lower and larger; a frustrated turn is higher, livelier, harder and faster."""

PATIENCE_SECS = 12.0
"""How long the caller waits for an answer."""

QUIET_SECS = 1.0
"""Silence after which an answer counts as over."""


LONG_MINUTES = 6
"""Of a long call. Half an hour would take each architecture six minutes of work on two cores and more."""


def rows(
    architectures: Sequence[Architecture] = ARCHITECTURES,
    stack: Stack = EMBEDDED,
    *,
    long: int = 0,
    on_step: OnStep = lambda what, done, of: None,
) -> tuple[Row, ...]:
    """The conversation of `antiphon compare` through every architecture that a stack can fill. Load it first.

    Args:
        architectures: What to hold it through.
        stack: Which services.
        long: Minutes of a long call that is held as well; none if 0.
        on_step: Told how far it is.
    """
    found = []
    for number, each in enumerate(architectures):
        on_step(f"{each.name}, {stack.name}", number, len(architectures))
        found.append(_row(each, stack, long))
    on_step("", len(architectures), len(architectures))
    return tuple(found)


def _row(architecture: Architecture, stack: Stack, long: int) -> Row:
    try:
        check(architecture, stack)
    except DefinitionError as error:
        reason = str(error).removeprefix(f"{architecture.name}: ")
        return refused(architecture.name, architecture.summary, stack.name, reason, architecture)
    return measure(architecture, stack, long=long)


def speak(said: CallerSays) -> Samples:
    """The caller says something by the embedded voice. Mono at 16 kHz."""
    speech = SYNTHESISER.get().speak(said.text, ANGRY if said.cue else CALLER)
    return np.asarray(soxr.resample(speech.samples, SAMPLE_RATE, RATE), np.float32)


def measure(
    architecture: Architecture,
    stack: Stack = EMBEDDED,
    conversation: Conversation = PARCEL,
    *,
    voice: Callable[[CallerSays], Samples] = speak,
    long: int = 0,
) -> Row:
    """Hold a conversation with real models, in virtual time that counts their work.

    Args:
        architecture: What to hold it through.
        stack: Which services; none may need a network. Load it first, or loading counts as work.
        conversation: What the caller says. What is answered is up to the language model.
        voice: What the caller says it with, mono at 16 kHz.
        long: Minutes of a long call that is held as well; none if 0.

    Raises:
        DefinitionError, StackError: If the architecture cannot be assembled.
    """
    held = _held(architecture, stack, conversation, voice)
    run, ledger = held.run, held.ledger
    length = held_long(architecture, stack, long_call(long), long, voice=voice) if long else None
    date = datetime.now(UTC).date().isoformat()
    source = f"measured on {machine()}, {date}, with the stack {stack.name} and a caller spoken by its voice"
    roles = {} if run.shape.turns_per_minute == 0 else measured(ledger, run.seconds / 60)[1]
    cells = {
        **figures(run, conversation, Kind.MEASURED, source),
        **costs(
            run, roles, price_table.load(), Kind.MEASURED, f"{source}; usage by the price table, without the machine"
        ),
        "prompt_30": Cell(
            Kind.NOT_YET, "half an hour was not held: what the stack's own bounds leave of it is unknown"
        ),
        **errors.cells(length, Kind.MEASURED, source, f"--long holds {LONG_MINUTES} minutes with these models"),
        **by_definition(architecture),
        "faults_located": Cell(Kind.NOT_YET, "faults are put into scripted services, in the rows of profiles"),
        "retention": _retention(architecture, stack),
        "personas_apart": apart.measured(architecture, stack.name),
    }
    return Row(
        architecture.name,
        architecture.summary,
        stack.name,
        Kind.MEASURED,
        cells,
        run=run,
        services=roles,
        date=date,
        long_call=length,
    )


def held_long(
    architecture: Architecture,
    stack: Stack,
    conversation: Conversation,
    minutes: int,
    *,
    voice: Callable[[CallerSays], Samples] = speak,
) -> LongCall:
    """What goes wrong in a long call by the minute. Arguments as for `measure`.

    Args:
        architecture, stack, voice: As for `measure`.
        conversation: What the caller says, for so long at least.
        minutes: How much of it is looked at. Where answers are short it may be over before.
    """
    held = _held(architecture, stack, conversation, voice)
    whole = max(1, min(minutes, int(held.run.seconds / 60)))
    return errors.of_answers(held.run.answers, held.ends, whole, conversation.forbidden)


@dataclass(frozen=True)
class _Held:
    """A conversation as it went; `ends` are when the caller's words of each exchange had ended, in its seconds."""

    run: Run
    ledger: CostLedger
    ends: tuple[float, ...]


def _held(
    architecture: Architecture, stack: Stack, conversation: Conversation, voice: Callable[[CallerSays], Samples]
) -> _Held:
    spoken = {said: voice(said) for exchange in conversation.exchanges for said in exchange.says}
    return virtual.run(_hold(architecture, stack, conversation, spoken), measured=True)


def _retention(architecture: Architecture, stack: Stack) -> Cell:
    """By a benchmark of its own, which takes minutes: its last run that was kept."""
    found = kept(architecture.name, stack.name)
    if found is None:
        return Cell(Kind.NOT_YET, "antiphon bench retention --keep measures it")
    return Cell(Kind.MEASURED, found.source, found.score.value)


async def _hold(
    architecture: Architecture, stack: Stack, conversation: Conversation, spoken: dict[CallerSays, Samples]
) -> _Held:
    line, ledger = _Line(conversation, spoken), CostLedger()
    tools = _tools(conversation)
    worker = assemble(
        architecture,
        _with_tools(stack, conversation),
        line.transport,
        persona=personas.load(PERSONA),
        policy=conversation.policy,
        context=LLMContext(tools=tools) if tools else None,
        observers=[line.watch, line.latency, CostObserver(ledger)],
        clients=False,
    )
    async with running(worker, line.transport):
        feeding = asyncio.create_task(line.feed())
        try:
            await line.talk()
        finally:
            feeding.cancel()
    seconds = line.now
    try:
        shape, _ = measured(ledger, seconds / 60)
    except ProjectionError:
        shape = Shape(turns_per_minute=0)
    answers = line.answers(worker.app_resources.context.messages)
    return _Held(Run(tuple(answers), tuple(line.sounds()), seconds, shape), ledger, tuple(line.ends()))


def _tools(conversation: Conversation) -> ToolsSchema | None:
    """The tools of the script, as a language model is offered them."""
    offered = {
        each.answer.tool: FunctionSchema(
            each.answer.tool,
            f"Looks up the {each.answer.tool.replace('_', ' ')}",
            {name: {"type": "string"} for name in each.answer.arguments},
            list(each.answer.arguments),
        )
        for each in conversation.exchanges
        if each.answer.tool
    }
    return ToolsSchema(standard_tools=list(offered.values())) if offered else None


def _with_tools(stack: Stack, conversation: Conversation) -> Stack:
    """A stack whose language model can call the script's tools, which return what the script has for the arguments."""
    results = [each.answer for each in conversation.exchanges if each.answer.tool]

    async def call(params: FunctionCallParams) -> None:
        found = [each.result for each in results if dict(each.arguments) == dict(params.arguments)]
        await params.result_callback(found[0] if found else {"error": "there is no such order"})

    return stack.replace(LLM=answered_by(stack.services["LLM"], call, {each.tool for each in results}))


@dataclass
class _Turn:
    """One exchange as it goes. Times are on the event loop's clock."""

    exchange: Exchange
    speech_end: float = 0.0
    understood: str = ""
    parts: tuple[Part, ...] = ()
    words: list[tuple[float, str]] = field(default_factory=list)
    interrupted_at: float | None = None
    silent_at: float | None = None
    answered_early: bool = False


class _Watch(BaseObserver):
    """Notes what is understood, and each word of an answer with the time at which it is to be heard."""

    def __init__(self, line: _Line) -> None:
        super().__init__(observe_every_push=False)
        self._line = line

    async def on_push_frame(self, data: FramePushed) -> None:
        frame: Frame = data.frame
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        if type(frame) is TranscriptionFrame:
            self._line.current.understood = f"{self._line.current.understood} {frame.text}".strip()
        elif isinstance(frame, TTSTextFrame):
            offset = asyncio.get_running_loop().time() - data.source.get_clock().get_time() / 1e9
            at = (frame.pts or data.timestamp) / 1e9 + offset
            self._line.current.words += [(at, word) for word in frame.text.split()]


class _Line:
    """The caller's end of the line: speaks by the script's times, and hears when the agent does."""

    def __init__(self, conversation: Conversation, spoken: dict[CallerSays, Samples]) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._spoken = spoken
        self._speaking: list[tuple[float, Samples]] = []
        self._heard: list[tuple[float, float]] = []
        self._said: list[tuple[float, float]] = []
        self._news = asyncio.Event()
        self.turns = [_Turn(exchange) for exchange in conversation.exchanges]
        self.current = self.turns[0]
        self.watch = _Watch(self)
        self.latency = LatencyObserver()
        self.transport = MemoryTransport(self._listen, input_rate=RATE, output_rate=OUTPUT_RATE)

    @property
    def now(self) -> float:
        """Seconds since the conversation began."""
        return self._loop.time() - self._begun

    def _listen(self, pcm: bytes, at: float) -> None:
        index = first_audible(to_samples(pcm))
        if index is not None:
            self._heard.append((at + index / OUTPUT_RATE, at + len(pcm) / 2 / OUTPUT_RATE))
            self._news.set()

    async def feed(self) -> None:
        """Send the microphone's audio in time: what is being said, silence otherwise."""
        due = self._loop.time()
        length = round(RATE * CHUNK_SECS)
        while True:
            chunk = np.zeros(length, np.float32)
            for start, samples in self._speaking:
                first = round((due - start) * RATE)
                piece = samples[max(0, first) : max(0, first + length)]
                at = max(0, -first)
                chunk[at : at + len(piece)] += piece[: length - at]
            due += CHUNK_SECS
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self.transport.hear(to_pcm(chunk))

    async def talk(self) -> None:
        """Say everything, and hear every answer."""
        end = self._begun
        for turn, before in zip(self.turns, [None, *self.turns], strict=False):
            for place, said in enumerate(turn.exchange.says):
                start = await self._when(said, before, end)
                self.current = turn
                samples = self._spoken[said]
                begin = start + (first_audible(samples) or 0) / RATE
                end = start + speech_end(samples, RATE)
                self._said.append((begin, end))
                self._speaking.append((start, samples))
                spoken_into = self._sounds_at(begin)
                await asyncio.sleep(max(0.0, end - self._loop.time()))
                if place:
                    turn.answered_early |= spoken_into or any(begin <= since < end for since, _ in self._heard)
                elif before is not None and spoken_into:
                    before.interrupted_at = begin
                    before.silent_at = max(until for since, until in self._heard if since < end)
            turn.speech_end = end
            if await self._first_sound(end) is not None:
                self._mark(turn, end)
        await self._over()

    def _mark(self, turn: _Turn, end: float) -> None:
        heard = next(since for since, _ in self._heard if since >= end)
        marks = self.latency.turns[-1] if self.latency.turns else None
        if marks is not None:
            marks.speech_end, marks.at["heard"] = end, heard
            turn.parts = tuple(marks.parts())

    async def _when(self, said: CallerSays, before: _Turn | None, end: float) -> float:
        """When these words begin; waits until then."""
        if said.at is not None:
            start = self._begun + said.at
        elif said.then is not None:
            start = end + said.then
        elif said.into is not None:
            first = await self._first_sound(end)
            start = (self._loop.time() if first is None else first) + said.into
        else:
            await self._over()
            start = max([end, *(until for _, until in self._heard[-1:])]) + (said.after or 0.0)
        start = max(start, self._loop.time())
        await asyncio.sleep(start - self._loop.time())
        return start

    def _sounds_at(self, moment: float) -> bool:
        return bool(self._heard) and self._heard[-1][1] > moment - CHUNK_SECS

    async def _first_sound(self, after: float) -> float | None:
        try:
            async with asyncio.timeout_at(after + PATIENCE_SECS):
                while True:
                    for since, _ in self._heard:
                        if since >= after:
                            return since
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None

    async def _over(self) -> None:
        """Wait until nothing has been heard for a while."""
        while True:
            self._news.clear()
            try:
                async with asyncio.timeout(QUIET_SECS):
                    await self._news.wait()
            except TimeoutError:
                return

    def sounds(self) -> list[Sound]:
        """Who was heard when, in seconds since the conversation began."""
        found = [*joined("caller", self._said), *joined("agent", self._heard)]
        moved = [replace(each, begin=each.begin - self._begun, end=each.end - self._begun) for each in found]
        return sorted(moved, key=lambda sound: sound.begin)

    def ends(self) -> list[float]:
        """When the caller's words of each exchange had ended, in seconds since the conversation began."""
        return [turn.speech_end - self._begun for turn in self.turns]

    def answers(self, messages: Sequence[Any]) -> list[Answer]:
        """What came of every exchange."""
        remembered = _remembered([dict(message) for message in messages], [turn.understood for turn in self.turns])
        return [_answer(turn, text) for turn, text in zip(self.turns, remembered, strict=True)]


def _answer(turn: _Turn, remembered: str) -> Answer:
    heard, silent = None, None
    if turn.interrupted_at is not None and turn.silent_at is not None:
        heard = " ".join(word for at, word in turn.words if turn.speech_end <= at < turn.silent_at)
        silent = 1000 * max(0.0, turn.silent_at - turn.interrupted_at)
    asked = " ".join(said.text for said in turn.exchange.says)
    return Answer(asked, turn.understood, remembered, turn.parts, heard, silent, turn.answered_early)


def _remembered(messages: Sequence[dict[str, Any]], understood: Sequence[str]) -> list[str]:
    """What the context holds of the answer to each of what was understood; nothing where it holds none.

    Where an answer was begun in the middle of a turn, the one at its end counts.
    """
    found = [""] * len(understood)
    place, rest = -1, ""
    for message in messages:
        content = str(message.get("content") or "")
        if message.get("role") == "user":
            if not rest or content not in rest:
                place = next((n for n in range(place + 1, len(found)) if content in understood[n]), place)
                rest = understood[place] if place >= 0 else ""
            rest = rest.partition(content)[2]
            found[place] = ""
        elif message.get("role") == "assistant" and place >= 0:
            found[place] = f"{found[place]} {content}".strip()
    return found
