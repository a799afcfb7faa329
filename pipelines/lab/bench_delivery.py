"""What it is worth to choose early how an answer is said: how often the choice holds, and the time that it saves.

The voice is told when the answer begins, by the cue, and where a tag stands. A voice that takes a while to change has
this time before its text comes, so that what is saved is the shorter of the two. None of the voices there are tables
for takes long with Pipecat 1.14: settings go along with the next request (OpenAI, Hume, Cartesia) or the opening of the
next context (ElevenLabs), and nothing is waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseStartFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from rich.table import Table

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app import recording
from pipelines.definition import Capability
from pipelines.lab import profile, virtual
from pipelines.lab.bench_latency import machine, utterances
from pipelines.lab.holding import hold
from pipelines.lab.listening import Turn, listen
from pipelines.lab.profile import Profile, ProfileTTS
from pipelines.lab.script import Conversation, Step, agent, caller
from pipelines.lab.scripted import CallerSpeechFrame, ScriptedTTS
from pipelines.stacks import Service
from processors.embedded.hibari import Controls
from processors.embedded.tts import EmbeddedTTSService, EmbeddedTTSSettings
from processors.hearing.cues import Cue, Score
from processors.hearing.frames import CueFrame
from processors.hearing.voice import Hearer
from processors.speaking.deliver import Deliver
from processors.speaking.director import Director, rules
from processors.speaking.lowering import lower
from processors.speaking.styles import shipped

PROFILE = "vendor_cascade"
PACES = (10.0, 20.0, 45.0)
"""Words a second that the language model writes."""

TAKES_MS = (0.0, 20.0, 100.0, 300.0)
"""What a voice might take to change. The embedded one's own time is measured."""

CHANGES = 200
VOICE = frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE})
EMOTIONS = ("neutral", "angry", "sad", "happy")
ANSWERS = (
    "I see what you mean. Let me look at your booking right away.",
    "<warm>Thank you for waiting. It is all done now.",
    "Your train leaves at nine. <slower softer>There is plenty of time, so please do not run.",
    "<urgent>Please leave the room now! </>I will call someone to help you.",
)
"""Half begin with a tag, half do not; half have one further on."""

Progress = Callable[[int, int], None]


class ScriptedHearing(FrameProcessor):
    """Hears in what the caller says the emotion that the script's `cue` names."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerSpeechFrame) and frame.begins:
            self._heard = frame.said.cue
        elif isinstance(frame, LLMContextFrame) and self._heard and direction is FrameDirection.DOWNSTREAM:
            await self.push_frame(CueFrame(cue_of(self._heard), speculation=bool(frame.speculation)))
        await self.push_frame(frame, direction)


def cue_of(emotion: str) -> Cue:
    """A cue that leaves no doubt."""
    even, loud = Score(0.5, 0.5, 0.5), Score(0.9, 0.9, 0.9)
    shares = dict.fromkeys(EMOTIONS, 0.05) | {emotion: 0.85}
    arousal = loud if emotion in ("angry", "happy") else Score(0.3, 0.3, 0.3) if emotion == "sad" else even
    return Cue(0, recording.RATE, arousal, even, shares, 4.0, -20.0)


class Singer(ScriptedTTS):
    """A scripted voice that can be told how to speak as the embedded one can."""

    def __init__(self, timing: ProfileTTS) -> None:
        super().__init__(timing)
        self._settings: Any = EmbeddedTTSSettings(model="tone", voice="tone", language=None, **asdict(Controls()))


@dataclass(frozen=True)
class Change:
    """A piece of text that is said in another way than the one before.

    Args:
        begins: Whether an answer begins with it.
        held: Whether what the voice was told first was what the piece was said with.
        lead_ms: From when the voice was told the last time until it was given the piece.
    """

    begins: bool
    held: bool
    lead_ms: float


class Watch(BaseObserver):
    """Notes what DELIVERY tells the voice, and when.

    Attributes:
        changes: In order.
    """

    def __init__(self) -> None:
        super().__init__(observe_every_push=True)
        self.changes: list[Change] = []
        self._before: Any = None
        self._told: list[tuple[float, Any]] = []
        self._begins = False

    async def on_push_frame(self, data: FramePushed) -> None:
        if not isinstance(data.source, Deliver) or data.direction is not FrameDirection.DOWNSTREAM:
            return
        now = asyncio.get_running_loop().time()
        if isinstance(data.frame, LLMFullResponseStartFrame):
            self._begins = True
        elif isinstance(data.frame, TTSUpdateSettingsFrame):
            self._told.append((now, data.frame.delta))
        elif isinstance(data.frame, AggregatedTextFrame):
            if self._told and self._told[-1][1] != self._before:
                at, self._before = self._told[-1]
                self.changes.append(Change(self._begins, len(self._told) == 1, 1e3 * (now - at)))
            self._told, self._begins = [], False


@dataclass
class Pace:
    """The same answers at one pace.

    Args:
        words: A second.
        changes: What was said in another way than what was before it.
    """

    words: float
    changes: list[Change]

    def held(self, *, begins: bool) -> float:
        """Share of changes at the beginning of answers, or further on, in which the first choice was the last."""
        found = [change.held for change in self.changes if change.begins is begins]
        return sum(found) / len(found) if found else float("nan")

    def lead_ms(self, *, begins: bool) -> float:
        """Median time that the voice had."""
        return median(change.lead_ms for change in self.changes if change.begins is begins)

    def saved_ms(self, takes_ms: float) -> float:
        """Mean time saved a change with a voice that takes so long."""
        return sum(min(change.lead_ms, takes_ms) for change in self.changes) / len(self.changes)


@dataclass
class Early:
    """How often what the cue of a turn's beginning asks for is what the whole turn's does.

    Args:
        turns: How many had more than one part.
        directed: In how many of them a rule held, early or at last.
        same: In how many of all of them the direction was the same from the parts before the last.
        directed_same: Of those in which a rule held.
    """

    turns: int = 0
    directed: int = 0
    same: int = 0
    directed_same: int = 0

    def add(self, early: str, final: str) -> None:
        """A turn, by the names of the rules."""
        self.turns += 1
        self.same += early == final
        if early or final:
            self.directed += 1
            self.directed_same += early == final


@dataclass
class Result:
    """All of it."""

    paces: list[Pace] = field(default_factory=list)
    embedded_ms: float = 0.0
    early: Early | None = None


def run(data: Path, limit: int, on_step: Progress = lambda done, of: None) -> Result:
    """Hold the calls, measure the embedded voice, and hear recordings where there are any.

    Args:
        data: The folder of recordings.
        limit: So many are heard, evenly chosen; 0 for none.
        on_step: Told how far it is.

    Raises:
        BenchError: If there are too few recordings.
    """
    found = utterances(data) if limit else []
    files = found[:: max(1, len(found) // max(limit, 1))][:limit]
    steps = len(PACES) + 1 + len(files)
    result = Result()
    for words in PACES:
        result.paces.append(Pace(words, virtual.run(_held(words))))
        on_step(len(result.paces), steps)
    result.embedded_ms = asyncio.run(_embedded_ms())
    on_step(len(PACES) + 1, steps)
    if files:
        result.early = _early(files, lambda done: on_step(len(PACES) + 1 + done, steps))
    return result


async def _held(words: float) -> list[Change]:
    watch = Watch()
    timing = profile.load(PROFILE)
    timing = timing.model_copy(update={"llm": timing.llm.model_copy(update={"words_per_second": words})})
    recorded = await hold(conversation(), ADVANCED_CASCADE, timing, services=services(timing), observers=[watch])
    recorded.check()
    return watch.changes


def conversation() -> Conversation:
    """Every answer to every emotion."""
    steps: list[Step] = []
    for number, (emotion, answer) in enumerate((emotion, answer) for answer in ANSWERS for emotion in EMOTIONS):
        steps += [caller(f"This is question number {number}.", after=1.0, cue=emotion), agent(answer)]
    return Conversation("deliveries", *steps)


def services(timing: Profile) -> dict[str, Service]:
    """What hears and speaks in these calls."""
    return {
        "HEARING": Service("scripted", lambda session: ScriptedHearing()),
        "TTS": Service(timing.tts.service, lambda session: Singer(timing.tts), VOICE),
    }


async def _embedded_ms() -> float:
    """What the embedded voice takes to change: median, in real time, with nothing of it to synthesise."""
    service = EmbeddedTTSService(voice=None)  # type: ignore[arg-type]
    ways = [lower(shipped().named(style), EmbeddedTTSSettings()) for style in ("warm", "urgent", "calm")]
    took = []
    for number in range(CHANGES):
        begun = time.perf_counter()
        await service._update_settings(ways[number % len(ways)])
        took.append(1e3 * (time.perf_counter() - begun))
    return median(took)


def _early(files: Sequence[Path], on_file: Callable[[int], None]) -> Early:
    from pipelines.stacks.embedded import RECOGNISER
    from processors.turns.strategy import smart_turn

    recogniser, judge = RECOGNISER.get(), smart_turn()
    early = Early()
    for number, path in enumerate(files, 1):
        ear = Hearer()
        compare(listen(recording.load(path), ear, recogniser.transcribe, judge.probability), ear.joined, early)
        on_file(number)
    return early


def compare(turns: Iterable[Turn], joined: Callable[[Sequence[Cue]], Cue], early: Early) -> None:
    """Add what becomes of turns that have more than one part.

    Args:
        turns: As they were heard.
        joined: Of a turn's parts, its cue.
        early: Is added to.
    """
    director = Director(rules())
    for turn in turns:
        if len(turn.parts) > 1:
            early.add(director.direct(joined(turn.parts[:-1])).rule, director.direct(turn.cue).rule)


def as_json(result: Result) -> dict[str, Any]:
    """All figures."""
    return {
        "paces": [
            {
                "words_per_second": pace.words,
                "changes": len(pace.changes),
                "held": {"begin": pace.held(begins=True), "further_on": pace.held(begins=False)},
                "lead_ms": {"begin": pace.lead_ms(begins=True), "further_on": pace.lead_ms(begins=False)},
                "saved_ms": {f"{takes:g}": pace.saved_ms(takes) for takes in TAKES_MS},
                "saved_ms_embedded": pace.saved_ms(result.embedded_ms),
            }
            for pace in result.paces
        ],
        "embedded_takes_ms": result.embedded_ms,
        "early_cue": vars(result.early) if result.early else None,
        "machine": machine(),
    }


def table(result: Result) -> Table:
    """The same, to read."""
    title = "How early a voice knows how to say what comes (virtual time, scripted answers)"
    shown = Table(title=title, caption=_caption(result), caption_justify="left")
    shown.add_column("words a second")
    for heading in ("first choice holds: begin", "further on", "told before the text, ms: begin", "further on"):
        shown.add_column(heading, justify="right")
    for takes in TAKES_MS[1:]:
        shown.add_column(f"saved of {takes:g} ms", justify="right")
    for pace in result.paces:
        shown.add_row(
            f"{pace.words:g}",
            *(f"{pace.held(begins=begins):.0%}" for begins in (True, False)),
            *(f"{pace.lead_ms(begins=begins):.0f}" for begins in (True, False)),
            *(f"{pace.saved_ms(takes):.0f}" for takes in TAKES_MS[1:]),
        )
    return shown


def _caption(result: Result) -> str:
    lines = [
        "The scripted answers begin with a tag as often as not: where none does, the choice by the cue always holds.",
        f"The embedded voice takes {result.embedded_ms:.2f} ms to change, so that no more can be saved there.",
    ]
    if (early := result.early) is not None:
        lines.append(
            f"Of {early.turns} recorded turns in several parts, {early.same} are directed alike by the cue without the "
            f"last part and by the whole turn's: {early.directed_same} of the {early.directed} in which a rule holds. "
            "An answer that was begun before the caller went on is dropped anyway."
        )
    return "\n".join(lines)
