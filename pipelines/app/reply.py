"""`antiphon reply`: holds a conversation with recordings, at real-time pace, over an in-memory transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pipecat.observers.base_observer import BaseObserver
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.assemble import assemble
from pipelines.definition import Architecture
from pipelines.lab.budget import Budget
from pipelines.lab.caller import OUTPUT_RATE, Turn, calling
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.latency import Part, TurnMarks
from pipelines.lab.prices import Cost
from pipelines.personas import Persona, others
from pipelines.stacks import Stack
from processors.hearing.tagger import Ear

PAUSE_SECS = 0.5
COLOURS = ("cyan", "blue", "magenta", "yellow", "green", "red", "white")


@dataclass
class Reply:
    """A conversation with recordings.

    Args:
        turns: One for each recording.
        costs: What each came to.
        ledger: What all of it used.
        answers: As they were heard, at 24 kHz, with half a second between them.
    """

    turns: list[Turn]
    costs: list[Cost]
    ledger: CostLedger
    answers: NDArray[np.float32]


async def hold(
    architecture: Architecture,
    stack: Stack,
    persona: Persona,
    recordings: Sequence[NDArray[np.float32]],
    on_turn: Callable[[int], None] = lambda number: None,
    observers: Sequence[BaseObserver] = (),
    budget: Budget | None = None,
    tracing: bool = False,
    ear: Ear | None = None,
) -> Reply:
    """Speak the recordings one after the other, each when the answer to the one before has been heard.

    Args:
        architecture: How to wire it.
        stack: What to fill it with; loaded.
        persona: Who answers.
        recordings: Mono at 16 kHz.
        on_turn: Called with the number of each recording, from 0, before it is spoken.
        observers: Watch the conversation.
        budget: What all of it may cost.
        tracing: Whether to export spans.
        ear: As `assemble`.
    """
    turns: list[Turn] = []
    costs: list[Cost] = []
    ledger = CostLedger()
    answers: list[NDArray[np.float32]] = []
    colleagues = others(persona)
    pause = np.zeros(round(PAUSE_SECS * OUTPUT_RATE), np.float32)
    async with calling(
        lambda transport, own: assemble(
            architecture,
            stack,
            transport,
            persona=persona,
            observers=[*own, CostObserver(ledger), *observers],
            budget=budget,
            tracing=tracing,
            others=colleagues,
            ear=ear,
        )
    ) as caller:
        for number, samples in enumerate(recordings):
            on_turn(number)
            before = len(ledger.charges)
            turns.append(await caller.say(samples))
            costs.append(sum((charge.cost for charge in ledger.charges[before:]), Cost()))
            answers += [*([pause] if answers else []), caller.answer_audio()]
    return Reply(turns, costs, ledger, np.concatenate(answers))


def as_json(path: Path, turn: Turn, cost: Cost) -> dict[str, Any]:
    """One turn for programs: words, milliseconds, what went wrong."""
    return {
        "file": str(path),
        "transcript": turn.transcript,
        "answer": turn.answer,
        **turn.marks.as_json(),
        **cost.as_json(),
        "ended_early": turn.ended_early,
        "errors": turn.errors,
    }


def bar(parts: Sequence[Part], width: int) -> Text:
    """Parts as one stacked bar of at most `width` characters, with a legend under it."""
    total = sum(part.ms for part in parts) or 1.0
    line, legend = Text(), Text()
    for part, colour in zip(parts, COLOURS, strict=False):
        line.append("█" * round(width * part.ms / total), style=colour)
        if part.ms >= 1:
            legend.append(f"{'  ' if legend else ''}■ ", style=colour).append(f"{part} {part.ms:.0f}")
    return Text("\n").join([line, legend])


def timing(marks: TurnMarks, of: str, width: int) -> list[RenderableType]:
    """Where a turn's time went: the whole, its parts, and what belongs to none of them. Nothing if none was heard.

    Args:
        marks: The turn's.
        of: What the whole is called.
        width: Characters.
    """
    total = marks.total_ms
    rows: list[RenderableType] = [] if total is None else [Text(f"{total:.0f} ms {of}"), bar(marks.parts(), width)]
    return rows + [Text(line, style="dim") for line in marks.asides()]


def render(path: Path, turn: Turn, cost: str, console: Console) -> RenderableType:
    """One turn for people, with what it cost, in words."""
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("caller", style="dim"), turn.transcript or Text("(no words were recognised)", style="yellow"))
    table.add_row(Text("answer", style="dim"), turn.answer or Text("(none)", style="yellow"))
    for error in turn.errors:
        table.add_row(Text("error", style="red"), error)
    rows: list[RenderableType] = [Text(str(path), style="bold"), table]
    whole = "from the end of speech to the first sound of the answer"
    rows += [Text(), *timing(turn.marks, whole, min(console.width, 80)), Text(f"cost {cost}", style="dim"), Text()]
    return Group(*rows)
