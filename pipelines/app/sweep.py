"""`antiphon compare --sweep`: many calls instead of one, in the terminal; and one of them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pipelines.app.compare import Tables, write
from pipelines.lab.compare import Comparison, page
from pipelines.lab.compare.cells import Column
from pipelines.lab.compare.intervals import Spread
from pipelines.lab.compare.sweep import COUNTS, Sweep, Swept, one_call
from pipelines.lab.compare.sweep_page import MS, TURNS, figure, percent, worst
from pipelines.lab.trace import TraceObserver

TITLE_WIDTH, COLUMN_WIDTH = 32, 22
"""Characters that keep titles and figures in one line."""

LEGEND = "median (its 95 % interval), below it p95 · p99; shares of calls with their 95 % intervals"


class _Pace(ProgressColumn):
    """Calls a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} calls/s")


@contextmanager
def progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar with calls a second and the time that is left; gives what is to be told of held calls, and of how many."""
    columns = (TextColumn("holding calls"), BarColumn(), MofNCompleteColumn(), _Pace(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, speed_estimate_period=60) as bar:
        task = bar.add_task("calls", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@dataclass(frozen=True)
class Again:
    """One call of a sweep for people: what the comparison shows of it, and what went wrong.

    Args:
        comparison: The call.
        traces: Where it was recorded, if it was.
    """

    comparison: Comparison
    traces: Sequence[Path]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Tables(self.comparison)
        for row in self.comparison.ran:
            if row.reason:
                yield Text(f"{row.name} went wrong: {row.reason}", style="red")
        for folder in self.traces:
            yield Text(f"antiphon trace show {folder}", overflow="fold")

    def as_json(self) -> dict[str, Any]:
        """The comparison, without what articles claim: they do not claim it of this caller."""
        return {**self.comparison.as_json(), "traces": [str(folder) for folder in self.traces]}

    def write_page(self, file: Path) -> None:
        """Write the comparison's page.

        Raises:
            PageError: If it cannot be written there.
        """
        write(page(self.comparison), file)


def held_again(number: int, traces: Path | None) -> Again:
    """One call of a sweep again.

    Args:
        number: Of the call.
        traces: Where a trace of each architecture is to be written, if anywhere.
    """
    if traces is None:
        return Again(one_call(number), ())
    written: list[Path] = []

    def observers(name: str) -> Sequence[TraceObserver]:
        observer = TraceObserver(traces / f"call-{number}" / name.replace(" · ", "-"), redactor=None)
        written.append(observer.folder)
        return (observer,)

    return Again(one_call(number, observers=observers), written)


@dataclass(frozen=True)
class Shown:
    """A sweep for people: as many architectures beside each other as can be read, and the calls to look at."""

    sweep: Sweep

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        beside = max(1, (options.max_width - TITLE_WIDTH) // COLUMN_WIDTH)
        ran = self.sweep.ran
        for at in range(0, len(ran), beside):
            yield _table(self.sweep, ran[at : at + beside])
        yield Text(LEGEND, style="dim")
        for row in self.sweep.rows:
            if row.reason:
                yield Text(f"{row.name} could not run: {row.reason}")
        yield Text("\nCalls to look at, each with antiphon compare --sweep-call NUMBER", style="bold")
        for row in ran:
            yield Text(row.name)
            for line in worst(row):
                yield Text(f"  {line}")
        if not self.sweep.complete and ran:
            yield Text(f"\nIncomplete: {self.sweep.held:,} of {self.sweep.asked:,} calls were held.", style="bold red")


def _table(sweep: Sweep, rows: Sequence[Swept]) -> Table:
    shown = Table(title=f"{sweep.held:,} calls, profile figures: {sweep.conversation}")
    shown.add_column("", min_width=TITLE_WIDTH - 4)
    for row in rows:
        shown.add_column(f"{row.architecture}\n{row.profile}", justify="right", overflow="fold")
    shown.add_section()
    shown.add_row(Text("every turn of every call", style="bold"))
    for name, title in TURNS:
        shown.add_row(f"  {title}", *(_spread(getattr(row, name), MS) for row in rows))
    shown.add_section()
    shown.add_row(Text("of all calls, so many", style="bold"))
    for count in COUNTS:
        shares = [row.share(count) for row in rows]
        shown.add_row(f"  {count.title}", *("" if share is None else percent(share) for share in shares))
    for group, columns in groupby(sweep.columns, lambda column: column.group):
        shown.add_section()
        shown.add_row(Text(f"each call's figure: {group}", style="bold"))
        for column in columns:
            title = f"  {column.title}{', $/min' if column.unit == '$/min' else ''}"
            shown.add_row(title, *(_spread(row.spreads.get(column.name), column) for row in rows))
    return shown


def _spread(spread: Spread | None, column: Column) -> str:
    if spread is None:
        return ""
    form = partial(figure, column=column)
    median, *tails = spread.quantiles.values()
    return f"{form(median.value)} ({median.bounds(form)})\n{' · '.join(form(tail.value) for tail in tails)}"
