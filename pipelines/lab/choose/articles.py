"""The articles' own tables, filled with the figures of a comparison: seven criteria, ten dimensions, six use cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from guardrails.data_file import Record, read
from pipelines.architectures import ARCHITECTURES
from pipelines.definition import Architecture, Port
from pipelines.lab.choose.choice import Choice, chosen
from pipelines.lab.choose.facts import Fact, facts, musts
from pipelines.lab.choose.needs import FOLDER, Needs, NeedsError, UseCase, Weights, use_cases, weights
from pipelines.lab.compare import Comparison, Row

ASKED = Needs(overlap=True, tools=True)
"""Asks, beside the criteria, for all that the tables name."""

MUSTS = {"overlap": "listens while it speaks", "tools": "calls tools"}
"""What is asked for, in order."""


class Line(Record):
    """A row of an article's table.

    Args:
        of: What it is about.
        says: What the article says of the two kinds.
        by: Which of our figures settle it; none if nothing here can.
    """

    of: str = Field(min_length=1)
    says: tuple[str, str]
    by: tuple[str, ...]


class Opinions(Record):
    """An article's table.

    Args:
        title: Which, and whose.
        kinds: What it holds against each other.
        rows: Its rows.
    """

    title: str = Field(min_length=1)
    kinds: tuple[str, str]
    rows: tuple[Line, ...] = Field(min_length=1)


class _Articles(Record):
    tables: tuple[Opinions, ...]


def opinions() -> tuple[Opinions, ...]:
    """The tables of articles 000 and 001.

    Raises:
        NeedsError: If the file is malformed.
    """
    return read(FOLDER / "articles.yaml", _Articles, NeedsError).tables


@dataclass(frozen=True)
class Known:
    """What is known of one row of a comparison.

    Args:
        row: That.
        fused: Whether its model speaks itself.
        facts: By what `Line.by` may name.
    """

    row: Row
    fused: bool
    facts: Mapping[str, Fact]


@dataclass(frozen=True)
class Filled:
    """An article's table with our figures.

    Args:
        opinions: What the article says.
        known: What is known, a row of the comparison each.
        titles: What each figure is of.
    """

    opinions: Opinions
    known: tuple[Known, ...]
    titles: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "title": self.opinions.title,
            "rows": [
                {
                    "of": line.of,
                    "says": dict(zip(self.opinions.kinds, line.says, strict=True)),
                    "here": {
                        each.row.name: {name: each.facts[name].as_json() for name in line.by} for each in self.known
                    },
                }
                for line in self.opinions.rows
            ],
        }


@dataclass(frozen=True)
class Answered:
    """A use case of article 003, and what our figures recommend for it."""

    use_case: UseCase
    choice: Choice

    @property
    def agrees(self) -> bool:
        """Whether it is as the article says."""
        return self.choice.architecture in self.use_case.architectures

    @property
    def because(self) -> str:
        """Why not, where that is known; empty if it is as the article says."""
        instead = self.use_case.instead
        known = instead is not None and instead.architecture == self.choice.architecture and not self.agrees
        return instead.because if instead is not None and known else ""

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "use_case": self.use_case.use_case,
            "article": self.use_case.recommends,
            "needs": self.use_case.needs.model_dump(),
            "reading": self.use_case.reading,
            "recommended": self.choice.architecture,
            "agrees": self.agrees,
            "because": self.because,
        }


@dataclass(frozen=True)
class Articles:
    """All of the articles' tables.

    Args:
        tables: Criteria and dimensions.
        use_cases: And for what each architecture is recommended.
    """

    tables: tuple[Filled, ...]
    use_cases: tuple[Answered, ...]

    @property
    def known(self) -> tuple[Known, ...]:
        """What is known, a row of the comparison each."""
        return self.tables[0].known if self.tables else ()

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        from pipelines.lab.choose.brief import brief

        return {
            "in_short": brief(self).as_json(),
            "tables": [table.as_json() for table in self.tables],
            "use_cases": [answer.as_json() for answer in self.use_cases],
        }


def articles(
    comparison: Comparison, architectures: Sequence[Architecture] | None = None, table: Weights | None = None
) -> Articles:
    """Fill the articles' tables.

    Args:
        comparison: The figures.
        architectures: The definitions of what was compared; those that ship if none are given.
        table: What weighs how much; `weights()` if none is given.

    Raises:
        NeedsError: If the comparison holds an architecture that is not among the definitions, or nothing could run.
    """
    counts = table or weights()
    answers = tuple(Answered(each, chosen(each.needs, comparison, architectures, counts, {})) for each in use_cases())
    definitions = {each.name: each for each in (ARCHITECTURES if architectures is None else architectures)}
    known = tuple(_known(row, definitions[row.architecture], counts) for row in comparison.ran)
    titles = {name: each.title for name, each in counts.criteria.items()} | MUSTS
    return Articles(tuple(Filled(each, known, titles) for each in opinions()), answers)


def _known(row: Row, architecture: Architecture, counts: Weights) -> Known:
    asked = dict(zip(MUSTS, musts(row, architecture, ASKED, None), strict=True))
    given = {name: Fact("yes" if must.met else "no", must.fact.kind, must.fact.source) for name, must in asked.items()}
    fused = architecture.writer is not None and architecture.writer.gives is Port.UNCLEARED_SPEECH
    return Known(row, fused, {**facts(row, architecture, ASKED, counts), **given})
