"""`antiphon trace`: what lies in a folder of traces, one of them in the terminal, and one as a page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipecat.observers.base_observer import BaseObserver
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.app.reply import timing
from pipelines.lab import cost, projection
from pipelines.lab.trace import Event, Trace, TracedTurn, TraceError, TraceObserver, page, redact

Observers = Callable[[], list[BaseObserver]]
"""Makes what watches a conversation, for each conversation anew."""


def watching(folder: Path, *, personal: bool) -> Observers:
    """What records conversations into a folder.

    Args:
        folder: Where traces are to lie.
        personal: Whether to leave personal data in.

    Raises:
        TraceError: If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TraceError(f"{folder}: no traces can be written here ({error.strerror}): choose another folder") from None
    return lambda: [TraceObserver(folder, redactor=None if personal else redact)]


def summary(trace: Trace) -> dict[str, Any]:
    """What a list says of a trace."""
    return {
        "trace": str(trace.folder),
        "begun": trace.meta.begun,
        "architecture": trace.meta.architecture,
        "persona": trace.meta.persona.get("name", ""),
        "seconds": round(trace.duration, 1),
        "turns": len(trace.turns),
        "redacted": trace.meta.redacted,
        "damage": list(trace.damage),
    }


def listing(traces: list[Trace]) -> Table:
    """Traces for people, the latest last. A trace is named after its begin, in UTC."""
    shown = Table()
    for column in ("trace", "architecture", "persona", "seconds", "turns", "personal data"):
        shown.add_column(column, justify="right" if column in ("seconds", "turns") else "left", overflow="fold")
    for trace in traces:
        says = summary(trace)
        shown.add_row(
            trace.folder.name,
            says["architecture"],
            says["persona"],
            f"{says['seconds']:.1f}",
            str(says["turns"]),
            "taken out" if says["redacted"] else "left in",
        )
    return shown


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace's turns for programs."""
    return {**summary(trace), "cost": trace.cost.as_json(), "each": [_turn(turn) for turn in trace.turns]}


def _turn(turn: TracedTurn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "begin": round(turn.begin, 3),
        "transcript": turn.transcript,
        "planned": turn.planned,
        "answer": turn.answer,
        "interrupts": turn.interrupts,
        **turn.marks.as_json(),
        "errors": turn.errors,
    }


def render(trace: Trace, console: Console) -> RenderableType:
    """A trace's turns for people."""
    services = ", ".join(f"{slot} {name}" for slot, name in trace.meta.services.items())
    rows: list[RenderableType] = [Text(f"{trace.meta.architecture}: {services}", style="dim")]
    rows += [Text(line, style="yellow") for line in trace.damage]
    for turn in trace.turns:
        said = Table.grid(padding=(0, 2))
        said.add_row(Text("caller", style="dim"), turn.transcript or Text("(no words were recognised)", style="yellow"))
        said.add_row(Text("answer", style="dim"), turn.answer or Text("(none was heard)", style="yellow"))
        for error in turn.errors:
            said.add_row(Text("error", style="red"), error)
        head = f"turn {turn.number} at {turn.begin:.1f} s{', interrupts the agent' if turn.interrupts else ''}"
        rows += [Text(f"\n{head}", style="bold"), said]
        rows += timing(turn.marks, "to the first sound", min(console.width, 80))
        if trace.cost.services(turn.number):
            rows.append(Text(f"cost {trace.cost.told(turn.number)}", style="dim"))
    return Group(*rows, *_cost(trace))


def _cost(trace: Trace) -> list[RenderableType]:
    """What the whole call came to and, where somebody is paid, what longer calls like it would."""
    ledger = trace.cost
    if not ledger.charges:
        return []
    rows: list[RenderableType] = [Text(), cost.table(ledger)]
    if not ledger.local():
        with suppress(projection.ProjectionError):  # too short a call
            shape, services = projection.measured(ledger, trace.duration / 60)
            rows.append(projection.table(projection.projections("calls like this one", shape, services)))
    return rows


def stage(events: tuple[Event, ...]) -> Table:
    """What one stage took and gave."""
    shown = Table()
    for column in ("s", "", "frame", "content"):
        shown.add_column(column, justify="right" if column == "s" else "left", overflow="fold")
    for event in events:
        content = event.text or " ".join(f"{key}={value}" for key, value in (event.payload or {}).items())
        shown.add_row(f"{event.at:.3f}", event.way, event.kind.removesuffix("Frame"), Text(content))
    return shown


def write_page(trace: Trace, file: Path) -> None:
    """Write a trace as one self-contained page.

    Raises:
        TraceError: If it cannot be written.
    """
    try:
        file.write_text(page(trace), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{file}: cannot be written ({error.strerror}): choose another with --out") from None
