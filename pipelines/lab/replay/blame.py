"""Names the stage that is at fault for a turn: one at a time gives what it should have given, and the rest runs again.

The first stage, in the order of the pipeline, that mends the outcome by itself is the one at fault. What a stage should
have given:

- VAD: speech where the caller's audio has sound, from its first to its last;
- STT: the words that the caller said, as told, or as a recogniser hears them in all of the turn's audio at once;
- USER_TURN: one turn for what the caller said with short pauses, instead of an answer in the middle;
- ASSISTANT_TURN: of answers that were interrupted, the words that can be heard in what was played;
- LLM: the expected answer;
- TTS: a voice that is heard as it reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from pipelines.definition import Architecture
from pipelines.lab.acoustics import levels, speech_end
from pipelines.lab.replay.replay import LEAD_SECS, architecture_of, stack_of
from pipelines.lab.replay.replay import replay as run_again
from pipelines.lab.script import words
from pipelines.lab.trace import Event, Trace, TracedTurn, TraceError
from pipelines.stacks import Stack
from processors.pcm import Samples

Hear = Callable[[Samples], str]
"""A recogniser: mono at 16 kHz in [-1, 1] → words."""

GOES_ON_SECS = 2.5
"""A caller who speaks again within so long of the end of their own words was not done."""

LATE_MS = 2500.0
"""A turn that is over for so long before that is noticed ended untimely, too."""

PAUSE_SECS = 0.3
"""Silence that a VAD should notice."""

LOUD_DB = 35.0
"""Below the loudest 10 ms of a turn; what is less loud is no speech."""

RATE = 16000
HEARD_SECS = 29.0
"""The recogniser takes no more at once."""


@dataclass(frozen=True)
class Experiment:
    """One stage given what it should have given.

    Args:
        stage: Which.
        reference: What that was, in words.
        outcome: What the agent then says.
        mended: Whether what is expected is in it.
        skipped: Why there was nothing to try; empty if it was tried.
    """

    stage: str
    reference: str = ""
    outcome: str = ""
    mended: bool = False
    skipped: str = ""


@dataclass(frozen=True)
class Verdict:
    """Who is at fault.

    Args:
        turn: The turn's number.
        expected: What was to be heard.
        understood: What the caller was understood to say.
        planned: What the language model wrote.
        said: The words that went to the caller, as the pipeline has it.
        heard: The words that a recogniser hears in what was played.
        fault: The stage; None if all is well, or no single stage mends it.
        why: One line.
        experiments: All that was tried, in order.
    """

    turn: int
    expected: str
    understood: str
    planned: str
    said: str
    heard: str
    fault: str | None
    why: str
    experiments: tuple[Experiment, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        fields = ("turn", "expected", "understood", "planned", "said", "heard", "fault", "why")
        return {name: getattr(self, name) for name in fields} | {"experiments": [vars(e) for e in self.experiments]}


def holds(text: str, expected: str) -> bool:
    """Whether the expected words occur in a text in their order; others may stand between them."""
    rest = iter(words(text))
    return all(word in rest for word in words(expected))


def blame(
    trace: Trace,
    expected: str,
    *,
    turn: int | None = None,
    said: str = "",
    stack: Stack | None = None,
    architecture: Architecture | None = None,
    hear: Hear | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Verdict:
    """Find the stage that is at fault for an answer.

    Args:
        trace: The conversation.
        expected: Words that should have been heard in the answer, in this order.
        turn: The number of the turn; the last one that was answered if none is given.
        said: What the caller really said in it. Without it, a recogniser hears the turn's audio as a whole.
        stack: The services that run again; those it was recorded with if none are given.
        architecture: How they are wired; as recorded if none is given.
        hear: The recogniser; the embedded one if none is given.
        progress: Told which stage is being tried.

    Raises:
        TraceError: If there is no such turn, no expected word, or the trace cannot be run again here.
    """
    if not words(expected):
        raise TraceError("expected: has no words: give some that should have been heard")
    with tempfile.TemporaryDirectory(prefix="antiphon-blame-") as folder:
        court = _Court(
            trace,
            expected,
            _turn(trace, turn),
            said,
            stack or stack_of(trace),
            architecture or architecture_of(trace),
            hear or _embedded(),
            Path(folder),
        )
        return court.judge(progress)


def _turn(trace: Trace, number: int | None) -> TracedTurn:
    turns = [turn for turn in trace.turns if number in (None, turn.number)]
    answered = [turn for turn in turns if turn.planned or turn.answer] or turns
    if not answered:
        which = "no turns" if number is None else f"no turn {number}: there are {len(trace.turns)}"
        raise TraceError(f"{trace.folder}: {which}")
    return answered[-1]


def _embedded() -> Hear:
    from pipelines.stacks.embedded import RECOGNISER

    return RECOGNISER.get().transcribe


class _Court:
    def __init__(
        self,
        trace: Trace,
        expected: str,
        turn: TracedTurn,
        said: str,
        stack: Stack,
        architecture: Architecture,
        hear: Hear,
        folder: Path,
    ) -> None:
        self._trace = trace
        self._expected = expected
        self._turn = turn
        self._said = said
        self._stack = stack
        self._architecture = architecture
        self._hear = hear
        self._folder = folder
        self._tries: dict[str, Callable[[], Experiment]] = {
            "VAD": self._vad,
            "STT": self._stt,
            "USER_TURN": self._user_turn,
            "ASSISTANT_TURN": self._assistant_turn,
            "LLM": self._llm,
        }

    def judge(self, progress: Callable[[str], None]) -> Verdict:
        turn = self._turn
        heard = self._heard_back(self._trace, turn)
        if holds(heard, self._expected):
            late = self._decided_late()
            why = "what is expected was heard"
            if late:
                why += f", but the turn had been over for {self._decided_late():.0f} ms when that was decided"
            return self._verdict(heard, "USER_TURN" if late else None, why, [])
        if holds(turn.planned, self._expected):
            return self._after_the_words(heard, progress)
        experiments: list[Experiment] = []
        present = {stage.name for stage in self._architecture.stages}
        for stage, experiment in self._tries.items():
            if stage not in present:
                continue
            progress(stage)
            experiments.append(experiment())
            if experiments[-1].mended:
                why = f"with {experiments[-1].reference} the answer is {experiments[-1].outcome!r}"
                return self._verdict(heard, stage, why, experiments)
        return self._verdict(heard, None, "no stage mends it by itself: more than one is at fault", experiments)

    def _after_the_words(self, heard: str, progress: Callable[[str], None]) -> Verdict:
        """The right words were written: the voice is at fault, or who cut it off."""
        after = next((other for other in self._trace.turns if other.number == self._turn.number + 1), None)
        if after is not None and after.interrupts:
            progress("VAD")
            whole = self._heard_back(self._replay("TTS", self._trace.events), None)
            spoken = words(after.transcript)
            tried = Experiment("VAD", f"no interruption at {after.begin:.2f} s", whole, holds(whole, self._expected))
            if tried.mended and not spoken:
                return self._verdict(heard, "VAD", "the answer was cut off, and nobody had said a word", [tried])
            if tried.mended:
                why = f"the caller spoke ({after.transcript!r}) before it could be heard"
                return self._verdict(heard, None, why, [replace(tried, mended=False, skipped="the caller spoke")])
        progress("TTS")
        tried = self._tts()
        return self._verdict(heard, "TTS", f"{self._turn.planned!r} was written and {heard!r} is heard", [tried])

    def _decided_late(self) -> float:
        """Milliseconds between the end of the caller's speech and the decision that the turn was over."""
        marks = self._turn.marks
        decided = marks.at.get("turn_decided")
        if decided is None or marks.speech_end is None:
            return 0.0
        late = 1000 * (decided - marks.speech_end)
        return late if late > LATE_MS else 0.0

    def _verdict(self, heard: str, fault: str | None, why: str, experiments: list[Experiment]) -> Verdict:
        turn = self._turn
        return Verdict(
            turn.number,
            self._expected,
            turn.transcript,
            turn.planned,
            turn.answer,
            heard,
            fault,
            why,
            tuple(experiments),
        )

    # What each stage should have given

    def _vad(self) -> Experiment:
        stretches = self._speech()
        if not stretches:
            return Experiment("VAD", skipped="the caller's audio has no sound in this turn")
        seen = [event for event in self._turn.events if event.kind.startswith("VADUser") and event.way == "out"]
        if not seen:
            return Experiment("VAD", skipped="no stage told where there is speech")
        begins = [event.at - (event.payload or {}).get("start_secs", 0.0) for event in seen if "Started" in event.kind]
        if begins and begins[0] < stretches[0][0] + PAUSE_SECS and len(begins) <= len(stretches):
            return Experiment("VAD", skipped="it noticed all of the speech")
        events = _without(self._trace.events, seen)
        template = seen[0]
        for begin, end in stretches:
            # The turn is played from its own begin on: what came before is told as having begun then.
            told = max(begin, self._turn.begin)
            for at, kind, payload in (
                (told, "VADUserStartedSpeakingFrame", {"start_secs": told - begin}),
                (end + 0.2, "VADUserStoppedSpeakingFrame", {"stop_secs": 0.2}),
            ):
                events.append(
                    template.model_copy(
                        update={"at": at, "heard": round(at * RATE), "kind": kind, "payload": payload, "frame": -1}
                    )
                )
        events.sort(key=lambda event: event.at)
        again = self._replay("STT", events)
        understood = " ".join(turn.transcript for turn in again.turns).strip()
        outcome = " ".join(turn.planned for turn in again.turns).strip()
        return Experiment(
            "VAD",
            f"all of the speech, from {stretches[0][0]:.2f} s on ({understood!r})",
            outcome,
            words(understood) not in ((), words(self._turn.transcript)) and holds(outcome, self._expected),
        )

    def _stt(self) -> Experiment:
        alone = len(self._group()) == 1
        said = self._said if self._said and alone else self._heard_caller(self._turn)
        if not words(said):
            return Experiment("STT", skipped="the recogniser hears nothing: say what the caller said with --said")
        if words(said) == words(self._turn.transcript):
            return Experiment("STT", skipped=f"it understood what was said: {self._turn.transcript!r}")
        return self._answer_to("STT", f"the words {said!r}", lambda messages: _asking(messages, said))

    def _user_turn(self) -> Experiment:
        group = self._group()
        if len(group) == 1:
            return Experiment("USER_TURN", skipped="the caller did not go on after it")
        said = " ".join(turn.transcript for turn in group)
        first = group[0].number
        return self._answer_to(
            "USER_TURN",
            f"the turn ended only after {said!r}",
            lambda messages: [*self._before(first), {"role": "user", "content": said}],
        )

    def _assistant_turn(self) -> Experiment:
        truth: dict[str, str] = {}
        for before, after in zip(self._trace.turns, self._trace.turns[1:], strict=False):
            if not after.interrupts or after.begin > self._turn.begin or not before.planned:
                continue
            remembered = self._remembered(before)
            heard = _heard_of(before.planned, self._heard_back(self._trace, before))
            if remembered and words(heard)[: len(words(remembered))] == words(remembered) != words(heard):
                truth[remembered] = heard
        if not truth:
            return Experiment("ASSISTANT_TURN", skipped="what it remembers of interrupted answers is what was heard")
        (remembered, heard), *_ = truth.items()
        return self._answer_to(
            "ASSISTANT_TURN",
            f"{heard!r} remembered instead of {remembered!r}",
            lambda messages: [
                {**message, "content": truth.get(str(message.get("content")), message.get("content"))}
                if message.get("role") == "assistant" and message.get("content")
                else message
                for message in messages
            ],
        )

    def _llm(self) -> Experiment:
        out = [event for event in self._turn.events if event.stage == "LLM" and event.way == "out" and not event.up]
        texts = [event for event in out if event.kind == "LLMTextFrame"]
        if not texts:
            return Experiment("LLM", skipped="it was never asked")
        events = []
        for event in self._trace.events:
            if event.frame == texts[0].frame:
                events.append(event.model_copy(update={"payload": {"text": self._expected}}))
            elif not any(event.frame == text.frame for text in texts):
                events.append(event)
        again = self._replay("SENTENCES", events)
        outcome = self._heard_back(again, None)
        return Experiment("LLM", f"the answer {self._expected!r}", outcome, holds(outcome, self._expected))

    def _tts(self) -> Experiment:
        spoken = self._turn.planned
        return Experiment("TTS", "a voice that is heard as it reads", spoken, holds(spoken, self._expected))

    # What was said and heard

    def _speech(self) -> list[tuple[float, float]]:
        """From when to when the caller's audio has sound, in seconds of the conversation; real pauses lie between."""
        begin = max(0.0, self._turn.begin - LEAD_SECS)
        samples = self._trace.heard[round(begin * RATE) : round(self._decided(self._turn) * RATE)]
        level = levels(samples, RATE)
        if not len(level) or level.max() < -50:
            return []
        loud = np.flatnonzero(level > level.max() - LOUD_DB)
        stretches = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_SECS / 0.01) + 1)
        return [(begin + int(part[0]) * 0.01, begin + (int(part[-1]) + 1) * 0.01) for part in stretches]

    def _decided(self, turn: TracedTurn) -> float:
        return turn.marks.at.get("turn_decided", turn.end)

    def _group(self) -> list[TracedTurn]:
        """The turn and those around it that belong to it, because the caller went on soon."""
        turns = list(self._trace.turns)
        here = next(n for n, turn in enumerate(turns) if turn.number == self._turn.number)
        first = last = here
        while first and self._went_on(turns[first - 1], turns[first]):
            first -= 1
        while last + 1 < len(turns) and self._went_on(turns[last], turns[last + 1]):
            last += 1
        return turns[first : last + 1]

    def _went_on(self, turn: TracedTurn, after: TracedTurn) -> bool:
        end = self._speech_end(turn)
        return end is not None and after.begin - end < GOES_ON_SECS

    def _speech_end(self, turn: TracedTurn) -> float | None:
        """When the caller's last words in a turn ended, in seconds of the conversation."""
        stops = [event for event in turn.events if event.kind == "VADUserStoppedSpeakingFrame" and event.way == "out"]
        return stops[-1].at - float((stops[-1].payload or {}).get("stop_secs", 0.0)) if stops else None

    def _before(self, number: int) -> list[dict[str, Any]]:
        """The context before a turn's own words."""
        for turn in self._trace.turns:
            if turn.number == number:
                for event in turn.events:
                    if event.kind == "LLMContextFrame" and event.stage == "USER_TURN":
                        messages = [dict(message) for message in (event.payload or {})["messages"]]
                        return messages[: _last_of("user", messages)]
        return []

    def _remembered(self, turn: TracedTurn) -> str:
        """What the context of a later turn holds of this turn's answer."""
        number = turn.number
        asked = self._before(number)
        for event in self._turn.events:
            if event.kind == "LLMContextFrame" and event.stage == "USER_TURN":
                messages = (event.payload or {})["messages"]
                own = [m for m in messages[len(asked) + 1 :] if m.get("role") == "assistant" and m.get("content")]
                return str(own[0]["content"]) if own else ""
        return ""

    def _heard_caller(self, turn: TracedTurn) -> str:
        samples = self._trace.heard[round(max(0.0, turn.begin - LEAD_SECS) * RATE) : round(self._decided(turn) * RATE)]
        return self._recognised(samples)

    def _heard_back(self, trace: Trace, turn: TracedTurn | None) -> str:
        """The words that can be heard in the answer to a turn, or in all that was played."""
        rate = trace.meta.rates["out"]
        if turn is None:
            begin, end = 0.0, trace.duration
        else:
            begin, end = turn.marks.at.get("heard", self._decided(turn)), turn.end
            after = [other for other in trace.turns if other.number == turn.number + 1 and other.interrupts]
            end += 0.5 * bool(after)
        played = trace.played[round(begin * rate) : round(end * rate)]
        return self._recognised(soxr.resample(played, rate, RATE).astype(np.float32))

    def _recognised(self, samples: Samples) -> str:
        end = round(speech_end(samples, RATE) * RATE)
        if not end:
            return ""
        samples = samples[: end + RATE // 2]
        piece = round(HEARD_SECS * RATE)
        return " ".join(self._hear(samples[at : at + piece]) for at in range(0, len(samples), piece)).strip()

    # Running again

    def _answer_to(
        self, stage: str, reference: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> Experiment:
        """What the language model and all behind it make of another context."""
        own = {
            event.frame for event in self._turn.events if event.kind == "LLMContextFrame" and event.stage == "USER_TURN"
        }
        events = []
        for event in self._trace.events:
            if event.frame in own and event.payload:
                messages = change([dict(message) for message in event.payload["messages"]])
                event = event.model_copy(update={"payload": {**event.payload, "messages": messages}})
            events.append(event)
        again = self._replay("LLM", events)
        outcome = " ".join(turn.planned for turn in again.turns).strip()
        return Experiment(stage, reference, outcome, holds(outcome, self._expected))

    def _replay(self, start: str, events: Sequence[Event]) -> Trace:
        return run_again(
            self._trace,
            self._folder,
            start=start,
            stack=self._stack,
            architecture=self._architecture,
            turn=self._turn.number,
            events=events,
        )


def _without(events: Iterable[Event], some: Iterable[Event]) -> list[Event]:
    gone = {event.frame for event in some}
    return [event for event in events if event.frame not in gone]


def _last_of(role: str, messages: Sequence[dict[str, Any]]) -> int:
    """The index of the last message of a role; how many there are if none is."""
    return max((n for n, message in enumerate(messages) if message.get("role") == role), default=len(messages))


def _asking(messages: list[dict[str, Any]], said: str) -> list[dict[str, Any]]:
    """A context in which the caller's last words are others."""
    last = _last_of("user", messages)
    return [*messages[:last], {"role": "user", "content": said}, *messages[last + 1 :]]


def _heard_of(planned: str, heard: str) -> str:
    """The beginning of an answer up to the last word of it that was heard."""
    spoken = planned.split()
    plain = [" ".join(words(word)) for word in spoken]
    blocks = SequenceMatcher(None, plain, list(words(heard)), autojunk=False).get_matching_blocks()
    return " ".join(spoken[: max(block.a + block.size for block in blocks if block.size)]) if len(blocks) > 1 else ""
