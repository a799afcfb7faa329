"""What the guard adds to the time to the first sound: with the embedded models, with it and without, in one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import AggregatedTextFrame, Frame, LLMFullResponseEndFrame, LLMFullResponseStartFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import BaseTransport
from rich.table import Table

from guardrails import Policy
from pipelines.app import recording
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import INPUT_GUARD, OUTPUT_GUARD
from pipelines.lab.bench_latency import TURNS_PER_CALL, Contestant, utterances
from pipelines.lab.caller import calling
from pipelines.policies import prepared, ready
from pipelines.stacks.embedded import EMBEDDED
from processors.guarding.frames import UnclearedTextFrame
from processors.guarding.output import OutputGuard
from processors.speaking.clauses import ClauseSplitter

TURNS, QUICK_TURNS = 48, 6


class GuardDelay(BaseObserver):
    """Measures, in every answer, how much later its first clause left than it would have without the guard.

    What the language model writes is cut as it comes, as if nothing kept it: the first clause would have left then.

    Args:
        clock: Seconds; the event loop's if none is given.

    Attributes:
        added_ms: Of each answer.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        super().__init__(observe_every_push=True)
        self.added_ms: list[float] = []
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._waiting = False
        self._unguarded = ClauseSplitter()
        self._would: float | None = None

    async def on_push_frame(self, data: FramePushed) -> None:
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        comes = isinstance(data.destination, OutputGuard)
        if comes and isinstance(data.frame, LLMFullResponseStartFrame):
            self._waiting, self._would, self._unguarded = True, None, ClauseSplitter()
        elif not self._waiting:
            return
        elif comes and self._would is None and self._ends_clause(data.frame):
            self._would = self._clock()
        elif isinstance(data.frame, AggregatedTextFrame):
            self._waiting = False
            if self._would is not None:
                self.added_ms.append(1e3 * (self._clock() - self._would))

    def _ends_clause(self, frame: Frame) -> bool:
        """Whether a frame from the language model brings the first clause, or what there is of it, to its end."""
        if isinstance(frame, UnclearedTextFrame):
            return bool(self._unguarded.feed(frame.text))
        return isinstance(frame, LLMFullResponseEndFrame)


@dataclass
class Guarded:
    """A pipeline with guards, its turns, and what the guard added to each answer."""

    contestant: Contestant
    delay: GuardDelay

    def added(self, share: float) -> float:
        """Milliseconds by which the first clause left later, over all answers."""
        return float(np.percentile(self.delay.added_ms, share)) if self.delay.added_ms else float("nan")

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        added = {f"p{share}": round(self.added(share), 3) for share in (50, 95, 100)}
        return {"added_ms": added, "answers": len(self.delay.added_ms), "turns": self.contestant.as_json()}


@dataclass
class FirstAudio:
    """The same turns without a guard, with rules that are decided, and with classifiers as well."""

    without: Contestant
    guarded: Sequence[Guarded]

    @property
    def contestants(self) -> list[Contestant]:
        """All three."""
        return [self.without, *(each.contestant for each in self.guarded)]

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            self.without.name: self.without.as_json(),
            **{each.contestant.name: each.as_json() for each in self.guarded},
        }


def _guarded(name: str, policy: Policy) -> Guarded:
    delay = GuardDelay()

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(BASIC_CASCADE, EMBEDDED, transport, policy=policy, observers=[*observers, delay])

    return Guarded(Contestant(name, make), delay)


def with_judges(policy: Policy) -> Policy:
    """A policy in which a classifier is asked as well, by every rule that may."""
    rules = [
        rule.model_copy(update={"judge": rule.kind}) if rule.kind in ("injection", "toxicity") else rule
        for rule in policy.rules
    ]
    return policy.model_copy(update={"rules": tuple(rules)})


async def run(data: Path, turns: int, on_turn: Callable[[int, int], None]) -> FirstAudio:
    """Hold the same turns with and without guards, call by call in alternation.

    Args:
        data: The folder with the recordings.
        turns: How many.
        on_turn: Called before each turn with turns done and turns in all.

    Raises:
        BenchError: If there are too few recordings.
    """
    every = utterances(data)
    paths = every[:: max(1, len(every) // turns)][:turns]
    bare = BASIC_CASCADE.without(INPUT_GUARD, OUTPUT_GUARD, unguarded="measures what the guards cost")
    await EMBEDDED.load(BASIC_CASCADE)
    policy = prepared("support")
    result = FirstAudio(
        Contestant("no guard", lambda t, observers: assemble(bare, EMBEDDED, t, observers=observers)),
        (_guarded("rules", policy), _guarded("rules and judges", ready(with_judges(policy)))),
    )
    of = len(result.contestants) * len(paths)
    for contestant in result.contestants:
        # The first call warms what a process warms once.
        await _call(Contestant("warm-up", contestant.make), paths[:1], on_turn, 0, of)
    for each in result.guarded:
        each.delay.added_ms.clear()
    done = 0
    for at in range(0, len(paths), TURNS_PER_CALL):
        for contestant in result.contestants:
            done = await _call(contestant, paths[at : at + TURNS_PER_CALL], on_turn, done, of)
    on_turn(done, done)
    return result


async def _call(
    contestant: Contestant, paths: Sequence[Path], on_turn: Callable[[int, int], None], done: int, of: int
) -> int:
    async with calling(contestant.make) as caller:
        for path in paths:
            on_turn(done, of)
            contestant.turns.append((path, await caller.say(recording.load(path))))
            done += 1
    return done


def table(result: FirstAudio) -> Table:
    """For people."""
    shown = Table(title=f"From the end of speech to the first sound, {len(result.without.turns)} turns each, ms")
    shown.add_column("")
    for contestant in result.contestants:
        shown.add_column(f"{contestant.name} p50", justify="right")
        shown.add_column("p95", justify="right")
    every = [(contestant, share) for contestant in result.contestants for share in (50, 95)]
    shown.add_row("all", *(f"{one.percentile(share):.0f}" for one, share in every))
    shown.add_row("of these the first clause", *(f"{one.part('first clause', share):.0f}" for one, share in every))
    added = [f"{each.added(share):.1f}" for each in result.guarded for share in (50, 95)]
    shown.add_row("later because of the guard", "", "", *added, style="bold")
    return shown
