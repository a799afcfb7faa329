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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.definition import Architecture
from pipelines.lab.replay.evidence import Evidence, Hear
from pipelines.lab.replay.replay import architecture_of, stack_of
from pipelines.lab.replay.substitutes import Experiment, Substitutes, holds
from pipelines.lab.script import words
from pipelines.lab.trace import Trace, TracedTurn, TraceError
from pipelines.stacks import Stack

Judgement = tuple[str | None, str, list[Experiment]]
"""The stage at fault, why, and what was tried."""


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
    stack, architecture = stack or stack_of(trace), architecture or architecture_of(trace)
    evidence = Evidence(trace, _turn(trace, turn), hear or _embedded())
    heard = evidence.heard_back(trace, evidence.turn)
    with tempfile.TemporaryDirectory(prefix="antiphon-blame-") as folder:
        substitutes = Substitutes(evidence, expected, said, stack, architecture, Path(folder))
        if holds(heard, expected):
            fault, why, tried = _in_time(evidence)
        elif holds(evidence.turn.planned, expected):
            fault, why, tried = _voice(evidence, substitutes, expected, heard, progress)
        else:
            stages = [stage.name for stage in architecture.stages]
            fault, why, tried = _words(substitutes, stages, progress)
    spoken = evidence.turn
    return Verdict(
        spoken.number, expected, spoken.transcript, spoken.planned, spoken.answer, heard, fault, why, tuple(tried)
    )


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


def _in_time(evidence: Evidence) -> Judgement:
    """What is expected was heard: at most it came late."""
    late = evidence.decided_late()
    if not late:
        return None, "what is expected was heard", []
    why = f"what is expected was heard, but the turn had been over for {late:.0f} ms when that was decided"
    return "USER_TURN", why, []


def _voice(
    evidence: Evidence, substitutes: Substitutes, expected: str, heard: str, progress: Callable[[str], None]
) -> Judgement:
    """The right words were written: the voice is at fault, or who cut it off."""
    trace, turn = evidence.trace, evidence.turn
    after = next((other for other in trace.turns if other.number == turn.number + 1), None)
    if after is not None and after.interrupts:
        progress("VAD")
        whole = evidence.heard_back(substitutes.replay("TTS", trace.events), None)
        tried = Experiment("VAD", f"no interruption at {after.begin:.2f} s", whole, holds(whole, expected))
        if tried.mended and not words(after.transcript):
            return "VAD", "the answer was cut off, and nobody had said a word", [tried]
        if tried.mended:
            why = f"the caller spoke ({after.transcript!r}) before it could be heard"
            return None, why, [replace(tried, mended=False, skipped="the caller spoke")]
    progress("TTS")
    tried = Experiment("TTS", "a voice that is heard as it reads", turn.planned, True)
    return "TTS", f"{turn.planned!r} was written and {heard!r} is heard", [tried]


def _words(substitutes: Substitutes, stages: Sequence[str], progress: Callable[[str], None]) -> Judgement:
    """Other words were written: the first stage that mends them is at fault."""
    tries: dict[str, Callable[[], Experiment]] = {
        "VAD": substitutes.vad,
        "STT": substitutes.stt,
        "USER_TURN": substitutes.user_turn,
        "ASSISTANT_TURN": substitutes.assistant_turn,
        "LLM": substitutes.llm,
    }
    experiments: list[Experiment] = []
    for stage, experiment in tries.items():
        if stage not in stages:
            continue
        progress(stage)
        experiments.append(experiment())
        if experiments[-1].mended:
            why = f"with {experiments[-1].reference} the answer is {experiments[-1].outcome!r}"
            return stage, why, experiments
    return None, "no stage mends it by itself: more than one is at fault", experiments
