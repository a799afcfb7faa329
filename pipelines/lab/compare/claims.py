"""What articles claim, each beside the figure that the same conversation gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.lab import prices as price_table
from pipelines.lab import profile as profiles_that_ship
from pipelines.lab.compare.cells import COLUMNS, Cell, Column, Kind
from pipelines.lab.compare.comparison import Comparison, Row
from pipelines.lab.prices import Prices
from pipelines.lab.profile import Profile
from pipelines.lab.projection import SeedModel, SeedModels, project, seed_models

TOLERANCE = 0.05
"""By which share a figure may be off one that an article gives and still agree with it."""

_COLUMNS = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class Claim:
    """One figure of an article.

    Args:
        row: What it is held against.
        column: Which of its figures.
        low, high: The range that is claimed, in the column's unit; both are the same for a single figure.
        source: Who says so.
        assumed: What our own reckoning gives for the assumptions that the claim seems to rest on, where it is known.
    """

    row: Row
    column: Column
    low: float
    high: float
    source: str
    assumed: float | None = None

    @property
    def ours(self) -> Cell:
        """What came out here."""
        return self.row.cells[self.column.name]

    @property
    def verdict(self) -> str:
        """`agrees`, `less here`, `more here`, or `open` if nothing could be held against it."""
        value = self.ours.value
        if not isinstance(value, float):
            return "open"
        if value < self.low * (1 - TOLERANCE):
            return "less here"
        return "more here" if value > self.high * (1 + TOLERANCE) else "agrees"

    @property
    def text(self) -> str:
        """The claim as people read it."""
        low, high = (Cell(Kind.PROFILE, "", value).text(self.column) for value in (self.low, self.high))
        return low if low == high else f"{low.removesuffix(' ms')}–{high}"

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "row": self.row.name,
            "column": self.column.name,
            "low": self.low,
            "high": self.high,
            "source": self.source,
            "by_its_own_assumptions": self.assumed,
            "ours": self.ours.as_json(),
            "verdict": self.verdict,
        }


def claims(
    comparison: Comparison,
    profiles: Sequence[Profile] | None = None,
    models: SeedModels | None = None,
    prices: Prices | None = None,
) -> list[Claim]:
    """Every claim about something that was compared, or that could not be.

    Args:
        comparison: What came out here.
        profiles: Whose sources claim something for the whole; those that ship if none are given.
        models: The seeds' costs; those that ship if none are given.
        prices: The table that ships if none is given.
    """
    if profiles is None:
        profiles = [profiles_that_ship.load(name) for name in profiles_that_ship.names()]
    costs, table = (models or seed_models()).models, prices or price_table.load()
    found: list[Claim] = []
    for row in comparison.rows:
        for profile in profiles:
            if profile.name == row.stack:
                found += _latency(row, profile)
                if profile.sold and profile.sold.claim:
                    found += _cost(row, profile.sold.claim, costs, table)
    return found


def _latency(row: Row, profile: Profile) -> Iterator[Claim]:
    for total in profile.totals:
        yield Claim(row, _COLUMNS["latency_p50"], total.low_ms, total.high_ms, total.source)


def _cost(row: Row, model: str, costs: Mapping[str, SeedModel], prices: Prices) -> Iterator[Claim]:
    for cell in costs[model].cells:
        a_minute = round(cell.usd / cell.minutes, 4)
        source = f"seed 003, {model}, {cell.source}: ${cell.usd:.2f} for {cell.minutes:g} minutes"
        assumed = project(costs[model].shape(), costs[model].services, cell.minutes, cached=False, prices=prices)
        yield Claim(
            row,
            _COLUMNS[f"cost_{cell.minutes:.0f}"],
            a_minute,
            a_minute,
            source,
            float(f"{assumed.usd / cell.minutes:.4g}"),
        )
