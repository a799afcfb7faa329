"""A sweep as a section of the comparison's page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from html import escape
from itertools import groupby

from pipelines.lab.compare import sweep_plots
from pipelines.lab.compare.cells import Cell, Column, Kind
from pipelines.lab.compare.intervals import Share, Spread
from pipelines.lab.compare.sweep import COUNTS, Sweep, Swept
from pipelines.lab.compare.variation import VARIES

TURNS = (("latency", "first sound, of every turn"), ("silence", "silent after, of every interruption"))
"""Spreads of a row that are not of one figure a call, with their titles."""

MS = Column("", "", "", "ms", "")


def section(sweep: Sweep) -> str:
    """The section's HTML: distributions, counts with their intervals, and the calls to look at."""
    return "".join(_section(sweep))


def figure(value: float, column: Column) -> str:
    """A figure as the comparison writes it, without its unit where the column's title has it."""
    return Cell(Kind.PROFILE, "", value).text(column).removesuffix(" ms")


def percent(share: Share) -> str:
    """A share and its interval."""
    low, high = share.interval
    value, *bounds = (f"{100 * part:.1f}".removesuffix(".0") for part in (share.value, low, high))
    return f"{value} % ({'–'.join(bounds)})"


def _section(sweep: Sweep) -> Iterator[str]:
    yield '<section aria-labelledby="sweep-title"><h2 id="sweep-title">Many calls</h2>'
    yield f'<p class="hint">{sweep.held:,} calls through each architecture with each profile, as so many callers would '
    yield f"hold them. What varies: {escape(VARIES)}; how widely callers differ is assumed. All figures are the "
    yield "profiles'. In brackets, and as bars under the histograms: 95 % intervals, which say what is left open by so "
    yield "many calls, not whether a profile is right."
    if not sweep.complete:
        yield f" <b>It was broken off: {sweep.asked:,} were to be held.</b>"
    yield "</p>"
    if sweep.held:
        yield '<h3>First sound, of every turn</h3><div class="scroll">'
        yield f"{sweep_plots.latency(sweep)}</div>"
        yield '<h3>Silent after an interruption, every one</h3><div class="scroll">'
        yield f"{sweep_plots.silence(sweep)}</div>"
        yield "<h3>Figures</h3>"
        yield '<div class="scroll" tabindex="0" role="group" aria-label="Figures of many calls">'
        yield from _figures(sweep)
        yield "</div><h3>Calls to look at</h3>"
        yield '<p class="hint">Each can be held again alone: <code>antiphon compare --sweep-call NUMBER --html '
        yield "FILE</code> shows its turns, and <code>--trace FOLDER</code> records it.</p><dl>"
        yield from _worst(sweep)
        yield "</dl>"
    yield "</section>"


def _figures(sweep: Sweep) -> Iterator[str]:
    rows = sweep.ran
    yield '<table class="figures spreads"><thead><tr><th scope="col"></th>'
    yield "".join(f'<th scope="col">{escape(r.architecture)}<small>{escape(r.profile)}</small></th>' for r in rows)
    yield "</tr></thead><tbody>"
    yield _group("each turn of each call, in ms: median, p95, p99", len(rows))
    for name, title in TURNS:
        yield _line(title, title, [_spread(getattr(row, name), MS) for row in rows])
    yield _group("of all calls, so many", len(rows))
    for count in COUNTS:
        shares = [row.share(count) for row in rows]
        yield _line(count.title, count.title, ["" if share is None else f"<b>{percent(share)}</b>" for share in shares])
    for group, columns in groupby(sweep.columns, lambda column: column.group):
        yield _group(f"each call's figure, {group}: median, p95, p99", len(rows))
        for column in columns:
            cells = [_spread(row.spreads.get(column.name), column) for row in rows]
            yield _line(column.title, column.means, cells)
    yield "</tbody></table>"


def _group(title: str, rows: int) -> str:
    return f'<tr class="group"><th scope="rowgroup" colspan="{rows + 1}"><span>{escape(title)}</span></th></tr>'


def _line(title: str, means: str, cells: list[str]) -> str:
    filled = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" title="{escape(means)}">{escape(title)}</th>{filled}</tr>'


def _spread(spread: Spread | None, column: Column) -> str:
    if spread is None:
        return ""
    form = partial(figure, column=column)
    return "<br>".join(f"<b>{form(q.value)}</b> ({q.bounds(form)})" for q in spread.quantiles.values())


def _worst(sweep: Sweep) -> Iterator[str]:
    for row in sweep.ran:
        yield f"<dt>{escape(row.name)}</dt>"
        for line in worst(row):
            yield f"<dd>{escape(line)}</dd>"


def worst(row: Swept) -> list[str]:
    """A line for each way in which calls are to be looked at, with their numbers."""
    return [f"{title}: {', '.join(str(call.number) for call in calls)}" for title, calls in row.worst().items()]
