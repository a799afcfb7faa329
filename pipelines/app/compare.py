"""`antiphon compare`: one conversation through every architecture, in the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from pipelines.lab.choose import articles_page
from pipelines.lab.choose.articles import Articles, articles
from pipelines.lab.choose.brief import Brief, brief
from pipelines.lab.compare import COLUMNS, Cell, Claim, Column, Comparison, Kind, Row, claims, page, sweep_page
from pipelines.lab.compare.sweep import Sweep
from pipelines.lab.parts import Exchanged, each_exchanged
from pipelines.lab.parts import table as exchanged_table

MARKS = {Kind.PROFILE: "p", Kind.MEASURED: "m", Kind.DEFINITION: "d"}
STYLES = {Kind.PROFILE: "cyan", Kind.MEASURED: "bold green"}
TITLE_WIDTH, COLUMN_WIDTH = 32, 22
"""Characters that keep titles and figures in one line, with their borders."""
LONGEST_TITLE, BORDERS = 34, 4

LEGEND = "p: from a profile's figures   m: measured   d: read off the definition"


class PageError(ValueError):
    """A page that cannot be written. One line."""

    mendable = True


@dataclass(frozen=True)
class Compared:
    """All that `antiphon compare` shows.

    Args:
        comparison: What was held.
        claimed: What articles say of it.
        articles: Their tables, filled.
        services: Single services, each in the place of another.
    """

    comparison: Comparison
    claimed: Sequence[Claim]
    articles: Articles
    services: Sequence[Exchanged]

    @classmethod
    def of(cls, comparison: Comparison) -> Compared:
        """All that is made of a comparison."""
        return cls(comparison, claims(comparison), articles(comparison), list(each_exchanged()))


def as_json(compared: Compared) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        **compared.comparison.as_json(),
        "claims": [claim.as_json() for claim in compared.claimed],
        "articles": compared.articles.as_json(),
        "services": [each.as_json() for each in compared.services],
    }


def write_page(compared: Compared, file: Path, swept: Sweep | None = None) -> None:
    """Write the report, with what came of many calls if they were held.

    Raises:
        PageError: If it cannot be written there.
    """
    tables = articles_page.filled(compared.articles, compared.services)
    text = page(
        compared.comparison,
        compared.claimed,
        first=articles_page.in_short(compared.articles),
        tables=tables if swept is None else sweep_page.section(swept) + tables,
    )
    write(text, file)


def write(text: str, file: Path) -> None:
    """Write a page.

    Raises:
        PageError: If it cannot be written there.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PageError(f"{file}: cannot be written ({error.strerror}): choose another file") from None


def render(compared: Compared) -> RenderableType:
    """For people; what each figure rests on, and the articles' tables, are in the JSON and on the page."""
    return Group(
        Tables(compared.comparison),
        "",
        _claims(compared.claimed),
        "",
        exchanged_table(compared.services),
        "",
        _short(brief(compared.articles)),
    )


def _short(short: Brief) -> Table:
    """Both kinds held against each other."""
    chosen = ", ".join(f"{name} {count}" for name, count in short.use_cases.items())
    shown = Table(
        title="Cascade or speech to speech?",
        caption=f"use cases of an article: {chosen}; it agrees with {short.agree}",
        caption_justify="left",
    )
    for column in ("", "a voice of its own", "voice to voice", "ahead"):
        shown.add_column(column, justify="left" if column in ("", "ahead") else "right", overflow="fold")
    for each in short.lines:
        shown.add_row(each.of, each.cascades, each.fused, each.ahead)
    return shown


@dataclass(frozen=True)
class Tables:
    """A column for each that ran, as many beside each other as can be read, and a line for each that could not."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        beside = max(1, (options.max_width - TITLE_WIDTH) // COLUMN_WIDTH)
        ran = self.comparison.ran
        groups = [ran[at : at + beside] for at in range(0, len(ran), beside)] or [()]
        width = min(LONGEST_TITLE, max(TITLE_WIDTH - BORDERS, options.max_width - COLUMN_WIDTH * beside - BORDERS))
        for group in groups[:-1]:
            yield _table(self.comparison, group, width)
        last = _table(self.comparison, groups[-1], width)
        refused = (f"{row.name} could not run: {row.reason}" for row in self.comparison.refused)
        last.caption = Text("\n".join((LEGEND, *refused)))
        yield last


def _table(comparison: Comparison, rows: Sequence[Row], width: int) -> Table:
    """Titles are as wide as they are to be: what a table is too wide by it takes from columns of figures."""
    shown = Table(title=f"One conversation: {comparison.conversation.name}", caption_justify="left")
    shown.add_column("", width=width)
    for row in rows:
        shown.add_column(f"{row.architecture}\n{row.stack}", justify="right", overflow="fold")
    for group, columns in groupby(COLUMNS, lambda column: column.group):
        shown.add_section()
        shown.add_row(Text(group, style="bold"))
        for column in columns:
            title = f"  {column.title}{', $/min' if column.unit == '$/min' else ''}"
            shown.add_row(title, *(_cell(row.cells[column.name], column) for row in rows))
    return shown


def _cell(cell: Cell, column: Column) -> Text:
    if cell.value is None:
        return Text(str(cell.kind), style="dim")
    return Text.assemble((cell.text(column), STYLES.get(cell.kind, "")), (f" {MARKS[cell.kind]}", "dim"))


def _claims(claimed: Sequence[Claim]) -> Table:
    """Under each that was held, or that could not be, what is claimed of it."""
    shown = Table(title="What articles claim")
    for column in ("", "claimed", "here", "", "who says so"):
        shown.add_column(column, justify="right" if column in ("claimed", "here") else "left", overflow="fold")
    for name, grouped in groupby(claimed, lambda claim: claim.row.name):
        shown.add_section()
        shown.add_row(Text(name, style="bold"))
        for claim in grouped:
            title = "median" if claim.column.unit == "ms" else f"{claim.column.unit}, {claim.column.title}"
            cells = (claim.text, _cell(claim.ours, claim.column), claim.verdict, Text(claim.source))
            shown.add_row(f"  {title}", *cells)
    return shown
