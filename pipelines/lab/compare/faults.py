"""Which faults can be located: each stage makes its mistake once, and `blame` is asked who it was.

Services are scripted at a profile's pace. The voice sings every word on a note of its own and the ears that `blame`
listens with know the notes, so that nothing but the fault is wrong.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    Frame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails.policy import Policy, TermsRule
from pipelines.definition import Architecture
from pipelines.lab import virtual
from pipelines.lab.compare.cells import Cell, Kind
from pipelines.lab.holding import hold
from pipelines.lab.profile import ProfileTTS, load
from pipelines.lab.replay.blame import blame
from pipelines.lab.script import SECS_PER_WORD, AgentSays, Conversation, Step, agent, caller, words
from pipelines.lab.scripted import (
    SINGING_RATE,
    ScriptedAudioLLM,
    ScriptedDuplexLLM,
    ScriptedLLM,
    ScriptedSpeechLLM,
    ScriptedTTS,
    ScriptedVAD,
)
from pipelines.lab.trace import Trace, TraceError, TraceObserver
from pipelines.stacks import Service, Session, Stack
from pipelines.stacks.profile import profile_stack
from processors.pcm import Samples

LOWEST_HZ, STEP_HZ = 300, 60
LEVEL = 16000
HEARING_RATE = 16000
WINDOW_SECS = 0.1
QUIET = 0.01
FORGOTTEN_FROM = 3
"""So many words of an answer are remembered by who forgets."""

ASKS = "Please play some jazz."
OFFER = "There is modern jazz, there is gentle jazz, and there is also very old jazz from long ago."
PLAYS = "Here is some smooth jazz for you."
SINGS_INSTEAD = "The weather will be cold tomorrow."

VOCABULARY = tuple(
    dict.fromkeys(
        words(f"{OFFER} {PLAYS} {SINGS_INSTEAD} What shall I play? Fine, I will play jazz. I cannot cook dinner. Hm.")
    )
)
"""All that is ever sung."""

PROFILE = "seed_full_cascade"
"""All its durations are fixed, and it waits for nobody. Which it is decides about no fault."""

PAUSE_SECS = 0.9
"""In the caller's words; taken for the end of the turn."""

ALARM_SECS = 1.6
"""After the caller's words, in the midst of the answer, when speech is reported that nobody spoke, and for how long."""
ALARM_LASTS_SECS = 0.3
WORK_SECS = 0.001
"""Until something comes of the report, so that it does not come at the same moment, as nothing does outside of here."""

Says = Callable[[str], str]
Rule = Callable[[str, str], str]
"""What is answered to the caller's last words and what is remembered of the answer before."""


def answers(asked: str, before: str) -> str:
    """What a model that makes no mistake would say."""
    said = words(asked)
    if "one" in said:
        kinds = [first for first, second in pairwise(words(before)) if second == "jazz"]
        return f"Fine, I will play {kinds[-1] if kinds else 'some'} jazz."
    if "offer" in said:
        return OFFER
    return PLAYS if "jazz" in said else "What shall I play?"


@dataclass(frozen=True)
class Fault:
    """One mistake of one stage, in a conversation of one or two turns.

    Args:
        name: What goes wrong.
        part: The stage that is at fault, or the part of a larger one.
        steps: The conversation.
        expected: What should have been heard.
        turn: Of which turn.
        said: What the caller really said; empty if that is no question.
        rule: What the model answers.
        says: What the voice makes of a text.
        policy: What the guard keeps to.
        forgets: Whether the last words of an interrupted answer are not remembered.
        alarm: Whether speech is reported that nobody spoke.
    """

    name: str
    part: str
    steps: tuple[Step, ...]
    expected: str = "smooth jazz"
    turn: int = 1
    said: str = ASKS
    rule: Rule = answers
    says: Says = str
    policy: Policy | None = None
    forgets: bool = False
    alarm: bool = False


ASKING = (caller(ASKS, at=1.0), agent("By the rule."))
STRICT = Policy(
    name="Strict",
    summary="Takes a word for another.",
    fallback="Hm.",
    rules=(TermsRule(id="jazz", direction=("said",), action="redact", terms=("smooth",), text="cold"),),
)
FAULTS = (
    Fault("speech reported that nobody spoke", "VAD", ASKING, expected="jazz for you", alarm=True),
    Fault("a word misheard", "STT", (caller(ASKS, at=1.0, heard="Please play some jacks."), agent("By the rule."))),
    Fault(
        "a turn ended in a pause",
        "USER_TURN",
        (
            caller("Could you please play", at=1.0),
            agent("By the rule."),
            caller("some jazz for me?", at=1.0 + 4 * SECS_PER_WORD + PAUSE_SECS),
            agent("By the rule."),
        ),
        said="",
    ),
    Fault("a wrong answer", "LLM", ASKING, rule=lambda asked, before: "I cannot cook dinner."),
    Fault("a word taken out that may be said", "OUTPUT_GUARD", ASKING, policy=STRICT),
    Fault("other words sung than written", "TTS", ASKING, says=lambda text: SINGS_INSTEAD),
    Fault(
        "words that were heard and not remembered",
        "ASSISTANT_TURN",
        (
            caller("What can you offer me?", at=1.0),
            agent("By the rule."),
            caller("That one, please.", into=2.9),
            agent("By the rule."),
        ),
        expected="gentle jazz",
        turn=2,
        said="",
        forgets=True,
    ),
)  # fmt: skip
"""One for each stage of the basic cascade that makes anything of what it is given."""


@dataclass(frozen=True)
class Verdict:
    """Whom `blame` named for a fault.

    Args:
        fault: What was wrong.
        named: The stage; empty for none.
        at_fault: The stage that was; empty if the architecture has none that is nothing else.
        why: Its reason, or why it could not be asked.
    """

    fault: Fault
    named: str
    at_fault: str
    why: str

    @property
    def located(self) -> bool:
        """Whether that was right. A stage that is several in one hides which of them it was, and does not count."""
        return bool(self.at_fault) and self.named == self.at_fault

    def __str__(self) -> str:
        who = self.named or "nobody"
        if not self.at_fault:
            return f"{self.fault.name}: {who} named, and {self.fault.part} is part of a larger stage"
        return f"{self.fault.name} ({self.at_fault}): {who} named"


def inject(architecture: Architecture, faults: Sequence[Fault] = FAULTS) -> list[Verdict]:
    """Put faults into an architecture, one at a time, and have each searched for.

    Args:
        architecture: Through which the conversations are held.
        faults: What goes wrong.

    Raises:
        DefinitionError: If the architecture cannot be assembled.
    """
    return [_judged(fault, architecture) for fault in faults]


def cell(verdicts: Sequence[Verdict]) -> Cell:
    """The share that was located.

    Args:
        verdicts: From `inject`.
    """
    located = sum(verdict.located for verdict in verdicts)
    source = (
        f"{located} of {len(verdicts)} faults put in one at a time, each searched for by antiphon blame: "
        f"{'; '.join(map(str, verdicts))}"
    )
    return Cell(Kind.PROFILE, source, round(100 * located / len(verdicts), 1))


ALIKE = {"USER_TURN": ("USER_TURN", "SPOKEN_TURN"), "OUTPUT_GUARD": ("OUTPUT_GUARD", "AUDIO_GATE")}
"""Stages that do the same by other means."""


def _at_fault(part: str, architecture: Architecture) -> str:
    names = {stage.name for stage in architecture.stages}
    if any(part in stage.fuses for stage in architecture.stages):
        return ""
    return next((name for name in ALIKE.get(part, (part,)) if name in names), "")


def _judged(fault: Fault, architecture: Architecture) -> Verdict:
    at_fault = _at_fault(fault.part, architecture)
    with tempfile.TemporaryDirectory(prefix="antiphon-faults-") as folder:
        trace = Trace.load(virtual.run(_held(fault, architecture, Path(folder))))
        try:
            found = blame(
                trace,
                fault.expected,
                turn=fault.turn,
                said=fault.said,
                stack=_stack(fault),
                architecture=architecture,
                hear=hear,
            )
        except TraceError as error:
            return Verdict(fault, "", at_fault, str(error))
    return Verdict(fault, found.fault or "", at_fault, found.why)


async def _held(fault: Fault, architecture: Architecture, folder: Path) -> Path:
    observer = TraceObserver(folder, redactor=None)
    services = dict(_stack(fault).services)
    if fault.forgets or fault.alarm:
        services["VAD"] = Service("scripted", lambda session: _vad(fault, session))
    conversation = Conversation(fault.name, *fault.steps)
    await hold(
        conversation,
        architecture,
        load(PROFILE),
        policy=fault.policy,
        services=services,
        observers=[observer],
    )
    return observer.folder


def _stack(fault: Fault) -> Stack:
    """Services that answer by a rule and sing what they say."""
    profile = load(PROFILE)
    conversation = Conversation(fault.name, *fault.steps)
    known = profile_stack(profile, conversation)[0]
    made: dict[str, Callable[[Session], FrameProcessor]] = {
        "LLM": lambda session: _LLM(profile.llm, conversation).answering(fault),
        "AUDIO_LLM": lambda session: _AudioLLM(profile.stt, profile.llm, conversation, session.context).answering(
            fault
        ),
        "SPEECH_LLM": lambda session: _SpeechLLM(
            profile.stt, profile.llm, profile.tts, conversation, session.context
        ).answering(fault),
        "DUPLEX_LLM": lambda session: _DuplexLLM(
            profile.stt, profile.llm, profile.tts, conversation, session.context
        ).answering(fault),
        "TTS": lambda session: _TTS(profile.tts, fault.says),
    }
    made["STT_LLM"] = made["AUDIO_LLM"]
    return known.replace(**{slot: replace(known.services[slot], build=build) for slot, build in made.items()})


class _ByRule(ScriptedLLM):
    """Answers by a rule."""

    fault: Fault

    def answering(self, fault: Fault) -> _ByRule:
        self.fault = fault
        return self

    def _find(self, context: LLMContext, speculative: bool) -> AgentSays | None:
        messages = [dict(message) for message in context.messages if isinstance(message, dict)]
        said = {str(each["role"]): str(each["content"]) for each in messages if each.get("content")}
        return agent(self.fault.rule(said.get("user", ""), said.get("assistant", "")))


class _LLM(_ByRule):
    pass


class _AudioLLM(_ByRule, ScriptedAudioLLM):
    pass


class _SpeechLLM(_ByRule, ScriptedSpeechLLM):
    async def _write(self, spoken: Sequence[str]) -> None:
        self._songs = iter(words(self.fault.says(" ".join(spoken))))
        await super()._write(spoken)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            frame.audio = sung([next(self._songs, "")], self._word_secs, SINGING_RATE)
        await super().push_frame(frame, direction)


class _DuplexLLM(_ByRule, ScriptedDuplexLLM):
    async def _write(self, spoken: Sequence[str]) -> None:
        before = len(self._to_sing)
        await super()._write(spoken)
        sound = sung(words(self.fault.says(" ".join(spoken))), self._word_secs, SINGING_RATE)
        for place in range(before, len(self._to_sing)):
            word, frame = self._to_sing[place]
            piece, sound = sound[: len(frame)], sound[len(frame) :]
            self._to_sing[place] = (word, piece.ljust(len(frame), bytes(1)))


class _TTS(ScriptedTTS):
    """Sings each word on its note."""

    def __init__(self, profile: ProfileTTS, says: Says) -> None:
        super().__init__(profile)
        self._says = says

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        async for frame in super().run_tts(text, context_id):
            if isinstance(frame, TTSAudioRawFrame):
                frame.audio = sung(words(self._says(text)), self._profile.word_secs, self.sample_rate)
            yield frame


def _vad(fault: Fault, session: Session) -> FrameProcessor:
    """The scripted one, and the mistakes of those that are no services, who meet everything that it does."""
    if fault.forgets:
        remember = session.context.add_message

        def forgetful(message: Any) -> None:
            content = message.get("content")
            if message.get("role") == "assistant" and content:
                message = {**message, "content": " ".join(str(content).split()[:FORGOTTEN_FROM])}
            remember(message)

        session.context.add_message = forgetful  # type: ignore[method-assign]
    return _AlarmedVAD(load(PROFILE).vad) if fault.alarm else ScriptedVAD(load(PROFILE).vad)


class _AlarmedVAD(ScriptedVAD):
    """Takes something in the midst of the answer for speech, once."""

    async def _stopped(self) -> None:
        await super()._stopped()
        await asyncio.sleep(ALARM_SECS)
        await self.broadcast_frame(VADUserStartedSpeakingFrame, start_secs=0.0)
        loop = asyncio.get_running_loop()
        if isinstance(loop, virtual.VirtualLoop):
            loop.advance(WORK_SECS)
        await asyncio.sleep(ALARM_LASTS_SECS)
        await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=0.0)


def sung(text: Sequence[str], word_secs: float, rate: int) -> bytes:
    """Words, each on its note. 16 bits, mono; what is not in `VOCABULARY` is silence."""
    at = np.arange(round(word_secs * rate)) / rate
    hertz = [LOWEST_HZ + STEP_HZ * VOCABULARY.index(word) if word in VOCABULARY else 0 for word in text]
    notes = [LEVEL * np.sin(2 * np.pi * each * at) for each in hertz]
    return np.concatenate([np.zeros(0), *notes]).astype("<i2").tobytes()


def hear(samples: Samples) -> str:
    """The words that are sung. Mono at 16 kHz."""
    size = round(WINDOW_SECS * HEARING_RATE)
    found: list[str] = []
    last = None
    for begin in range(0, len(samples) - size + 1, size // 2):
        window = samples[begin : begin + size]
        note = None
        if np.abs(window).max() > QUIET:
            hertz = np.abs(np.fft.rfft(window * np.hanning(size))).argmax() * HEARING_RATE / size
            note = round((hertz - LOWEST_HZ) / STEP_HZ)
        if note is not None and note == last and 0 <= note < len(VOCABULARY):
            found += [VOCABULARY[note]] if not found or found[-1] != VOCABULARY[note] else []
        last = note
    return " ".join(found)
