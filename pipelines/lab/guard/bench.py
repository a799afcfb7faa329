"""`antiphon bench guard`: leaks, cost, personal data and judges, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from pipelines.lab.bench_latency import BenchError, machine
from pipelines.lab.guard import cost, leaks

PARTS = ("leaks", "cost")
"""What is measured, in this order."""

OnStep = Callable[[str, int, int], None]
"""Told what is being measured, and how much of it is done, of how much."""


@dataclass
class Results:
    """What was measured; None of what was not.

    Args:
        leaks: By design.
        costs: By number of rules.
    """

    machine: str
    date: str
    leaks: list[leaks.Leaks] = field(default_factory=list)
    costs: list[cost.Cost] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        found: dict[str, Any] = {"measured": self.date, "machine": self.machine}
        if self.leaks:
            found["leaks"] = {result.design: result.as_json() for result in self.leaks}
        if self.costs:
            found["cost"] = [asdict(one) for one in self.costs]
        return found

    def tables(self) -> RenderableType:
        """For people."""
        shown: list[RenderableType] = []
        if self.leaks:
            shown.append(leaks.table(self.leaks))
        if self.costs:
            shown.append(cost.table(self.costs))
        return Group(*shown, f"{self.machine}, {self.date}")


def run(parts: Sequence[str], data: Path, on_step: OnStep, *, quick: bool = False) -> Results:
    """Measure.

    Args:
        parts: Which of `PARTS`; all if none is named.
        data: The folder of recordings and texts.
        on_step: Told how far it is.
        quick: Take few splits and repeats: to see that it works, not for figures.

    Raises:
        BenchError: If a part is unknown.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise BenchError(f"--only {unknown[0]}: there is no such part: choose {', '.join(PARTS)}")
    chosen = parts or PARTS
    results = Results(machine(), datetime.now(UTC).date().isoformat())
    if "leaks" in chosen:
        splits = leaks.QUICK_SPLITS if quick else leaks.SPLITS
        results.leaks = leaks.run(splits, lambda done, of: on_step("splits", done, of))
    if "cost" in chosen:
        repeats = cost.QUICK_REPEATS if quick else cost.REPEATS
        results.costs = cost.run(repeats, lambda done, of: on_step("policies", done, of))
    return results
