"""A comparison as one page that needs nothing else: the table, plots, what was said, what articles claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from pipelines.lab.compare import plots
from pipelines.lab.compare.cells import COLUMNS, Cell, Column, Kind
from pipelines.lab.compare.claims import Claim
from pipelines.lab.compare.comparison import Comparison, Row
from pipelines.lab.compare.run import Answer
from pipelines.lab.page import filled, style


def page(comparison: Comparison, claimed: Sequence[Claim] = (), *, first: str = "", tables: str = "") -> str:
    """The page's HTML. It loads nothing and runs no script.

    Args:
        comparison: What was held.
        claimed: What articles say of it, from `claims`.
        first: A section that stands before all others, as HTML.
        tables: Sections that stand before what articles claim, as HTML.
    """
    folder = Path(__file__).parent
    parts = {
        "TITLE": escape(f"Antiphon · {comparison.conversation.name}"),
        "STYLE": style(folder / "report.css"),
        "CONVERSATION": escape(comparison.conversation.name),
        "EXCHANGES": str(len(comparison.conversation.exchanges)),
        "FIRST": first,
        "FIGURES": "".join(_figures(comparison)),
        "LATENCY": str(plots.latency(comparison)),
        "TIMELINE": str(plots.timeline(comparison)),
        "LONG": _long(comparison),
        "COST": str(plots.cost(comparison, claimed)),
        "TABLES": tables,
        "CLAIMS": "".join(_claims(claimed)),
        "SAID": "".join(_said(comparison)),
        "REFUSED": "".join(f"<dt>{escape(row.name)}</dt><dd>{escape(row.reason)}</dd>" for row in comparison.refused),
        "SOURCES": "".join(_sources(comparison)),
    }
    return filled(folder / "report.html", parts)


def _figures(comparison: Comparison) -> Iterator[str]:
    rows = (*comparison.ran, *comparison.refused)
    yield '<table class="figures"><thead><tr><th scope="col"></th>'
    for row in rows:
        yield f'<th scope="col" title="{escape(row.summary)}">{_name(row.architecture)}'
        yield f"<small>{_name(row.stack or 'no profile')}</small></th>"
    yield "</tr></thead><tbody>"
    for number, (group, grouped) in enumerate(groupby(COLUMNS, lambda column: column.group)):
        columns = list(grouped)
        yield f'<tr class="group"><th scope="rowgroup" colspan="{len(rows) + 1}">'
        yield f"<span>{escape(group)}</span></th></tr>"
        for place, column in enumerate(columns):
            yield f'<tr><th scope="row" title="{escape(column.means)}">{escape(column.title)}</th>'
            for row in rows:
                yield from _cells(row, column, columns, place, full=number == 0)
            yield "</tr>"
    yield "</tbody></table>"


def _long(comparison: Comparison) -> str:
    """The section of the long call, if any was held."""
    if not any(row.long_call for row in comparison.ran):
        return ""
    return (
        '  <section aria-labelledby="long-title">\n'
        '    <h2 id="long-title">Errors over a long call</h2>\n'
        '    <p class="hint">Errors a minute: turns unanswered, answered too early, not understood, or remembered '
        "otherwise than they were heard, answers that go on after an interruption, and forbidden words that are heard. "
        "Below, the time to the first sound of each answer. Scripted models make no mistakes of their own: where a row "
        "is a profile, what shows is wiring, guard and turns.</p>\n"
        f'    <div class="scroll">{plots.by_minute(comparison)}</div>\n'
        "  </section>"
    )


def _name(name: str) -> str:
    """May be broken at its underscores."""
    return escape(name).replace("_", "_<wbr>")


def _cells(row: Row, column: Column, columns: Sequence[Column], place: int, *, full: bool) -> Iterator[str]:
    """A row's cell; one for the whole group if none of it could be filled, with the reason if it is to be `full`."""
    if all(row.cells[each.name].kind is Kind.CANNOT_RUN for each in columns):
        if place == 0:
            reason = f"cannot run: {row.reason or row.cells[column.name].source}" if full else "cannot run"
            yield f'<td class="none" rowspan="{len(columns)}">{escape(reason)}</td>'
        return
    words = ' class="words"' if isinstance(row.cells[column.name].value, str) else ""
    yield f'<td{words} title="{escape(row.cells[column.name].source)}">{_cell(row.cells[column.name], column)}</td>'


def _cell(cell: Cell, column: Column) -> str:
    kind = f'<span class="kind {str(cell.kind).replace(" ", "-")}">{escape(str(cell.kind))}</span>'
    return kind if cell.value is None else f"<b>{escape(cell.text(column))}</b>{kind}"


def _claims(claimed: Sequence[Claim]) -> Iterator[str]:
    yield '<table><thead><tr><th scope="col">of</th><th scope="col">figure</th><th scope="col">claimed</th>'
    yield '<th scope="col">here</th><th scope="col"></th><th scope="col">by its own assumptions</th>'
    yield '<th scope="col">who says so</th></tr></thead><tbody>'
    for claim in claimed:
        assumed = "" if claim.assumed is None else Cell(Kind.PROFILE, "", claim.assumed).text(claim.column)
        title = "median latency" if claim.column.unit == "ms" else f"a minute of a {claim.column.title}"
        yield f'<tr><th scope="row">{escape(claim.row.name)}</th><td>{escape(title)}</td>'
        yield f'<td class="number">{escape(claim.text)}</td><td class="number">{_cell(claim.ours, claim.column)}</td>'
        yield f'<td class="verdict">{claim.verdict}</td><td class="number">{assumed}</td>'
        yield f"<td>{escape(claim.source)}</td></tr>"
    yield "</tbody></table>"


def _said(comparison: Comparison) -> Iterator[str]:
    for row in comparison.ran:
        assert row.run is not None  # noqa: S101
        yield f"<h3>{escape(row.name)}</h3>"
        yield f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(row.name)}"><table><thead><tr>'
        yield "".join(f'<th scope="col">{title}</th>' for title in ("said", "understood", "remembered", "heard"))
        yield '<th scope="col">silent after</th></tr></thead><tbody>'
        for answer in row.run.answers:
            yield _turn(answer)
        yield "</tbody></table></div>"


def _turn(answer: Answer) -> str:
    heard = "to its end" if answer.heard is None else answer.heard
    if not answer.parts:
        heard = "no answer"
    silent = "" if answer.silent_ms is None else f"{answer.silent_ms:,.0f} ms"
    texts = (answer.asked, answer.understood, answer.remembered, heard)
    return f'<tr>{"".join(f"<td>{escape(text)}</td>" for text in texts)}<td class="number">{silent}</td></tr>'


def _sources(comparison: Comparison) -> Iterator[str]:
    for row in comparison.ran:
        yield f"<dt>{escape(row.name)}</dt>"
        for text in dict.fromkeys(cell.source for cell in row.cells.values()):
            yield f"<dd>{escape(text)}</dd>"
