"""Each stage given what it should have given, with the rest run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.definition import Architecture
from pipelines.lab.replay.evidence import PAUSE_SECS, RATE, Evidence, contexts, heard_of, last_of
from pipelines.lab.replay.replay import replay as run_again
from pipelines.lab.script import words
from pipelines.lab.trace import Event, Trace
from pipelines.stacks import Stack


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


def holds(text: str, expected: str) -> bool:
    """Whether the expected words occur in a text in their order; others may stand between them."""
    rest = iter(words(text))
    return all(word in rest for word in words(expected))


class Substitutes:
    """Puts one stage of a turn right at a time.

    Args:
        evidence: The turn.
        expected: Words that should have been heard in the answer.
        said: What the caller really said; empty if nobody knows.
        stack: The services that run again.
        architecture: How they are wired.
        folder: Where replays may be written.
    """

    def __init__(
        self, evidence: Evidence, expected: str, said: str, stack: Stack, architecture: Architecture, folder: Path
    ) -> None:
        self._evidence = evidence
        self._expected = expected
        self._said = said
        self._stack = stack
        self._architecture = architecture
        self._folder = folder

    def vad(self) -> Experiment:
        """All of the caller's speech noticed, and the recogniser and all behind it run again."""
        stretches = self._evidence.speech()
        if not stretches:
            return Experiment("VAD", skipped="the caller's audio has no sound in this turn")
        seen = [
            event for event in self._evidence.turn.events if event.kind.startswith("VADUser") and event.way == "out"
        ]
        if not seen:
            return Experiment("VAD", skipped="no stage told where there is speech")
        begins = [event.at - (event.payload or {}).get("start_secs", 0.0) for event in seen if "Started" in event.kind]
        if begins and begins[0] < stretches[0][0] + PAUSE_SECS and len(begins) <= len(stretches):
            return Experiment("VAD", skipped="it noticed all of the speech")
        events = _without(self._evidence.trace.events, seen)
        template = seen[0]
        for begin, end in stretches:
            # The turn is played from its own begin on: what came before is told as having begun then.
            told = max(begin, self._evidence.turn.begin)
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
        again = self.replay("STT", events)
        understood = " ".join(turn.transcript for turn in again.turns).strip()
        outcome = _written(again)
        return Experiment(
            "VAD",
            f"all of the speech, from {stretches[0][0]:.2f} s on ({understood!r})",
            outcome,
            words(understood) not in ((), words(self._evidence.turn.transcript)) and holds(outcome, self._expected),
        )

    def stt(self) -> Experiment:
        """The words that were said understood, and the language model and all behind it run again."""
        alone = len(self._evidence.group()) == 1
        said = self._said if self._said and alone else self._evidence.heard_caller(self._evidence.turn)
        if not words(said):
            return Experiment("STT", skipped="the recogniser hears nothing: say what the caller said with --said")
        if words(said) == words(self._evidence.turn.transcript):
            return Experiment("STT", skipped=f"it understood what was said: {self._evidence.turn.transcript!r}")
        return self._answer_to("STT", f"the words {said!r}", lambda messages: _asking(messages, said))

    def user_turn(self) -> Experiment:
        """The caller let finish."""
        group = self._evidence.group()
        if len(group) == 1:
            return Experiment("USER_TURN", skipped="the caller did not go on after it")
        said = " ".join(turn.transcript for turn in group)
        return self._answer_to(
            "USER_TURN",
            f"the turn ended only after {said!r}",
            lambda messages: [*self._evidence.before(group[0]), {"role": "user", "content": said}],
        )

    def assistant_turn(self) -> Experiment:
        """The words that were heard of interrupted answers remembered."""
        truth: dict[str, str] = {}
        for before, after in zip(self._evidence.trace.turns, self._evidence.trace.turns[1:], strict=False):
            if not after.interrupts or after.begin > self._evidence.turn.begin or not before.planned:
                continue
            remembered = self._evidence.remembered(before)
            heard = heard_of(before.planned, self._evidence.heard_back(self._evidence.trace, before))
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

    def llm(self) -> Experiment:
        """The expected answer written, and the voice run again."""
        texts = [
            event
            for event in self._evidence.turn.events
            if event.kind == "LLMTextFrame" and event.stage in ("LLM", "OUTPUT_GUARD") and event.way == "out"
        ]
        if not texts:
            return Experiment("LLM", skipped="it was never asked")
        first, *others = texts
        events = [
            event.model_copy(update={"payload": {"text": self._expected}}) if event.frame == first.frame else event
            for event in _without(self._evidence.trace.events, others)
        ]
        again = self.replay("SENTENCES", events)
        outcome = self._evidence.heard_back(again, None)
        return Experiment("LLM", f"the answer {self._expected!r}", outcome, holds(outcome, self._expected))

    def replay(self, start: str, events: Sequence[Event]) -> Trace:
        """The turn run again from a stage, with other events before it."""
        return run_again(
            self._evidence.trace,
            self._folder,
            start=start,
            stack=self._stack,
            architecture=self._architecture,
            turn=self._evidence.turn.number,
            events=events,
        )

    def _answer_to(
        self, stage: str, reference: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> Experiment:
        """What the language model and all behind it make of another context."""
        own = {event.frame for event in contexts(self._evidence.turn)}
        events = []
        for event in self._evidence.trace.events:
            if event.frame in own and event.payload:
                messages = change([dict(message) for message in event.payload["messages"]])
                event = event.model_copy(update={"payload": {**event.payload, "messages": messages}})
            events.append(event)
        again = self.replay("LLM", events)
        outcome = _written(again)
        return Experiment(stage, reference, outcome, holds(outcome, self._expected))


def _written(trace: Trace) -> str:
    """All that the language model wrote."""
    return " ".join(turn.planned for turn in trace.turns).strip()


def _without(events: Iterable[Event], some: Iterable[Event]) -> list[Event]:
    gone = {event.frame for event in some}
    return [event for event in events if event.frame not in gone]


def _asking(messages: list[dict[str, Any]], said: str) -> list[dict[str, Any]]:
    """A context in which the caller's last words are others."""
    last = last_of("user", messages)
    return [*messages[:last], {"role": "user", "content": said}, *messages[last + 1 :]]
