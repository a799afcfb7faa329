"""Holds a scripted conversation with a pipeline and keeps what happened, to the microsecond of its clock."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import (
    AudioRawFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    LLMContextSummaryResultFrame,
    MetricsFrame,
    TextFrame,
    TranscriptionFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.aggregators.llm_context import LLMContext

from guardrails import Policy
from pipelines.assemble import assemble
from pipelines.definition import Architecture
from pipelines.lab.acoustics import first_audible
from pipelines.lab.caller import running
from pipelines.lab.latency import LatencyObserver, TurnMarks
from pipelines.lab.profile import Profile
from pipelines.lab.script import CallerSays, Conversation, Exchange, ScriptError, words
from pipelines.lab.scripted import CallerSpeechFrame
from pipelines.personas import Persona
from pipelines.stacks import Service
from processors.pcm import to_samples
from processors.transports.memory import MemoryTransport

INPUT_RATE = 16000
OUTPUT_RATE = 24000
CHUNK_MS = 40
"""Audio that is played at a time, as WebRTC and Daily do it."""

PATIENCE_SECS = 20.0
"""How long the caller waits for an answer."""

JOINED_SECS = 0.05
"""Sound that goes on after a gap shorter than this is one stretch."""


@dataclass(frozen=True)
class Event:
    """A frame that left a processor.

    Args:
        at: Seconds since the conversation began.
        processor: Whose output it is.
        frame: The frame's kind.
        detail: Its words, or the length and digest of its audio.
    """

    at: float
    processor: str
    frame: str
    detail: str = ""


@dataclass
class Held:
    """One exchange as it went. Times are seconds since the conversation began.

    Args:
        script: What was to happen.
        speech_end: When the caller's last words ended.
        transcript: What was understood.
        said: What the context remembers of the answer, or did until it was summarised.
        marks: Where the time went.
        interrupted_at: When the caller spoke into the answer.
        silent_after: Seconds from then until the answer was no longer heard.
    """

    script: Exchange
    speech_end: float = 0.0
    transcript: str = ""
    said: str = ""
    marks: TurnMarks = field(default_factory=TurnMarks)
    interrupted_at: float | None = None
    silent_after: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from the end of the caller's speech to the first sound of the answer."""
        total = self.marks.total_ms
        return None if total is None else total / 1000

    def failures(self) -> list[str]:
        """What was expected and did not come true, a line each."""
        wrong = []
        name = self.script.answer.text
        if self.latency is None:
            wrong.append(f"{name!r} was never heard")
        for expected in self.script.expects:
            if expected.within is not None and (self.latency is None or self.latency > expected.within + 1e-6):
                took = "no time at all" if self.latency is None else f"{self.latency:.3f} s"
                wrong.append(f"{name!r} was to be heard within {expected.within} s and took {took}")
            if expected.heard is not None and words(self.said) != words(expected.heard):
                wrong.append(f"{name!r} was to be remembered as {expected.heard!r} and is as {self.said!r}")
            if expected.transcript is not None and words(self.transcript) != words(expected.transcript):
                wrong.append(f"{expected.transcript!r} was to be understood and {self.transcript!r} was")
            if expected.interrupted is not None and expected.interrupted != (self.interrupted_at is not None):
                wrong.append(f"{name!r} was {'not ' if expected.interrupted else ''}interrupted")
        return wrong


@dataclass
class Recording:
    """A conversation as it went.

    Args:
        conversation: The script.
        exchanges: How each of its exchanges went.
        events: Every frame that left a processor.
        messages: What the context holds at the end.
        errors: What went wrong, a line each.
        seconds: How long it was.
        heard: From and until when the agent was audible, in seconds since the conversation began.
    """

    conversation: Conversation
    exchanges: list[Held]
    events: list[Event]
    messages: list[dict[str, Any]]
    errors: list[str]
    seconds: float
    heard: list[tuple[float, float]] = field(default_factory=list)

    def check(self) -> None:
        """Hold it to its script.

        Raises:
            ScriptError: If something expected did not come true, something came that was not in the script, or
                something in the script did not come.
        """
        wrong = [line for exchange in self.exchanges for line in exchange.failures()] + self.errors
        if wrong:
            raise ScriptError(f"{self.conversation.name}: {'; '.join(wrong)}")

    @property
    def digest(self) -> str:
        """SHA-256 over every event and its time: the same for the same conversation, in whatever process."""
        lines = (json.dumps([round(e.at, 6), e.processor, e.frame, e.detail], ensure_ascii=False) for e in self.events)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def hold(
    conversation: Conversation,
    architecture: Architecture,
    profile: Profile,
    *,
    persona: Persona | None = None,
    policy: Policy | None = None,
    services: Mapping[str, Service] | None = None,
    observers: Sequence[BaseObserver] = (),
    seed: int = 0,
) -> Recording:
    """Hold a conversation through an architecture whose services are scripted. For `pipelines.lab.virtual.run`.

    Args:
        conversation: The script.
        architecture: What to hold it through.
        profile: How long everything takes.
        persona: Who answers; `ferni` if none is given.
        policy: What may be heard and said; the persona's if none is given.
        services: By the name of the stage: fill stages that the profile does not know, or take a scripted one's
            place. What the caller says reaches them as `CallerSpeechFrame`, with its cue.
        observers: Watch the conversation.
        seed: Of the durations that vary in the profile.

    Raises:
        DefinitionError: If the architecture cannot be assembled.
    """
    line = _Line(conversation)
    async with _connected(
        line, conversation, architecture, profile, persona, policy, services or {}, observers, seed
    ) as result:
        await line.talk()
    return result


class _Watch(BaseObserver):
    """Keeps every frame as it leaves a processor for the first time."""

    def __init__(self, line: _Line) -> None:
        super().__init__(observe_every_push=False)
        self._line = line

    async def on_push_frame(self, data: FramePushed) -> None:
        # One observer for both: Pipecat runs a task and a queue for each.
        await self._line.latency.on_push_frame(data)
        self._line.see(data.frame, data.source.name.split("#")[0])


class _Line:
    """The caller's end of the line."""

    def __init__(self, conversation: Conversation) -> None:
        self._loop = asyncio.get_running_loop()
        self.begun = self._loop.time()
        self.exchanges = [Held(exchange) for exchange in conversation.exchanges]
        self.events: list[Event] = []
        self.errors: list[str] = []
        self.heard: list[tuple[float, float]] = []
        self.latency = LatencyObserver()
        self.transport = MemoryTransport(
            self._listen, input_rate=INPUT_RATE, output_rate=OUTPUT_RATE, chunk_ms=CHUNK_MS
        )
        self.send: Any = None
        self.context = LLMContext()
        self.summarised: list[dict[str, Any]] = []
        self._summary = ""
        self._changed = asyncio.Event()
        self._first_sound: float | None = None
        self._sound_end = self.begun
        self._stopped = True
        self._current: Held | None = None
        self._cuts: list[tuple[Held, float]] = []

    @property
    def now(self) -> float:
        """Seconds since the conversation began."""
        return self._loop.time() - self.begun

    def see(self, frame: Frame, processor: str) -> None:
        """Take note of a frame."""
        if isinstance(frame, MetricsFrame):
            return
        detail = ""
        if isinstance(frame, AudioRawFrame):
            detail = f"{frame.num_frames} {_digest(bytes(frame.audio))}"
        elif isinstance(frame, TextFrame):
            detail = frame.text
        self.events.append(Event(self.now, processor, type(frame).__name__, detail))
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        elif isinstance(frame, TranscriptionFrame) and self._current:
            self._current.transcript = f"{self._current.transcript} {frame.text}".strip()
        elif isinstance(frame, LLMContextSummaryResultFrame) and frame.request_id != self._summary:
            # It goes both ways. What it is of was remembered until now.
            self._summary = frame.request_id
            self.summarised += self.remembered()[: frame.last_summarized_index + 1 - bool(self.summarised)]
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._stopped = True
            self._changed.set()

    def remembered(self) -> list[dict[str, Any]]:
        """What the context holds, but for a summary."""
        messages: list[Any] = self.context.messages
        return [dict(message) for message in messages[bool(self.summarised) :]]

    def _listen(self, pcm: bytes, at: float) -> None:
        index = _first_audible(pcm)
        if index is None:
            return
        if self._first_sound is None:
            self._first_sound = at + index / OUTPUT_RATE
        self._sound_end = at + len(pcm) / 2 / OUTPUT_RATE
        since = at + index / OUTPUT_RATE - self.begun
        if self.heard and since - self.heard[-1][1] < JOINED_SECS:
            since = self.heard.pop()[0]
        self.heard.append((since, self._sound_end - self.begun))
        self._stopped = False
        self._changed.set()

    async def talk(self) -> None:
        """Say everything, and hear every answer."""
        end, before = self.begun, self.exchanges[0]
        for held in self.exchanges:
            for said in held.script.says:
                await self._wait_to_speak(said, end)
                if said.into is not None:
                    before.interrupted_at = self.now
                self._current = held
                await self.send(CallerSpeechFrame(said, True))
                end = self._loop.time() + said.lasts
                await asyncio.sleep(said.lasts)
                if before.interrupted_at is not None and said.into is not None:
                    self._cuts.append((before, self.now))
                await self.send(CallerSpeechFrame(said, False))
            before, held.speech_end = held, end - self.begun
            self._first_sound = None
            if await self._until(lambda: self._first_sound is not None):
                turns = self.latency.turns
                await self._settle()
                held.marks = turns[-1] if turns else TurnMarks()
                held.marks.speech_end, held.marks.at["heard"] = end, self._first_sound or 0.0
        await self._until(lambda: self._stopped)
        for cut, until in self._cuts:
            assert cut.interrupted_at is not None  # noqa: S101
            # Sound that still goes on when the caller has said it counts to its end.
            ends = [end for begin, end in self.heard if begin < until]
            cut.silent_after = max(0.0, max(ends, default=0.0) - cut.interrupted_at)
        # The context takes the last words when the last audio has been played.
        await asyncio.sleep(1.0)

    async def _settle(self) -> None:
        """Observers are told of the first sound a few turns of the loop after it."""
        await asyncio.sleep(0.001)

    async def _wait_to_speak(self, said: CallerSays, own_end: float) -> None:
        if said.at is not None:
            start = self.begun + said.at
        elif said.then is not None:
            start = own_end + said.then
        elif said.into is not None:
            start = (self._first_sound or self._loop.time()) + said.into
        else:
            await self._until(lambda: self._stopped)
            start = max(self._sound_end, own_end) + (said.after or 0.0)
        await asyncio.sleep(max(0.0, start - self._loop.time()))

    async def _until(self, fact: Any) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECS):
                while not fact():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def _connected(
    line: _Line,
    conversation: Conversation,
    architecture: Architecture,
    profile: Profile,
    persona: Persona | None,
    policy: Policy | None,
    services: Mapping[str, Service],
    observers: Sequence[BaseObserver],
    seed: int,
) -> AsyncIterator[Recording]:
    from pipelines.stacks.profile import profile_stack

    stack, scripted = profile_stack(profile, conversation, seed=seed)
    worker = assemble(
        architecture,
        stack.replace(**services),
        line.transport,
        persona=persona,
        policy=policy,
        observers=[_Watch(line), *observers],
        clients=False,
        idle_secs=None,
    )
    line.send, line.context = worker.queue_frame, worker.app_resources.context
    result = Recording(conversation, line.exchanges, line.events, [], line.errors, 0.0, line.heard)
    async with running(worker, line.transport):
        try:
            yield result
        finally:
            result.seconds = line.now
    messages: list[Any] = line.context.messages
    result.messages = [dict(message) for message in messages]
    _remember(result, [*line.summarised, *line.remembered()])
    for llm in scripted:
        line.errors += [f"the script has no answer to {asked!r}" for asked in llm.unexpected]
        line.errors += [f"nobody asked for {text!r}" for text in llm.unspoken]


# A scripted voice sings one note, whose chunks are soon the same again.
@functools.lru_cache(maxsize=64)
def _digest(audio: bytes) -> str:
    return hashlib.sha256(audio).hexdigest()[:16]


@functools.lru_cache(maxsize=64)
def _first_audible(pcm: bytes) -> int | None:
    return first_audible(to_samples(pcm))


def _remember(result: Recording, messages: Sequence[dict[str, Any]]) -> None:
    """Give each exchange what the context holds, or held until it was summarised, of its answer."""
    answers = _answers(messages)
    for held in result.exchanges:
        wanted = words(held.script.heard)
        asked: tuple[str, ...] = ()
        for number, (text, said) in enumerate(answers):
            # A turn may have come in parts.
            asked += words(text)
            if asked[-len(wanted) :] == wanted:
                held.said = said
                del answers[: number + 1]
                break


def _answers(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the user said, and all that the assistant said until the user spoke again."""
    pairs: list[tuple[str, str]] = []
    for message in messages:
        content = message.get("content")
        if message.get("role") == "user":
            pairs.append((str(content), ""))
        elif message.get("role") == "assistant" and pairs and content:
            asked, said = pairs[-1]
            pairs[-1] = (asked, f"{said} {content}".strip())
    return pairs
