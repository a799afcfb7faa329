"""`antiphon bench guard`: leaks, cost, personal data and judges, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from pipelines.lab.bench_latency import BenchError, machine
from pipelines.lab.guard import cost, first_audio, judges, leaks, personal_data

PARTS = ("leaks", "cost", "audio", "personal", "judges")
"""What is measured, in this order."""

QUICK_WAYS, QUICK_SENTENCES = 2, 20

OnStep = Callable[[str, int, int], None]
"""Told what is being measured, and how much of it is done, of how much."""


@dataclass
class Results:
    """What was measured; None of what was not.

    Args:
        leaks: By design.
        costs: By policy.
        audio: With guards and without.
        personal: By type, written and said.
        judges: By judge.
    """

    machine: str
    date: str
    leaks: list[leaks.Leaks] = field(default_factory=list)
    costs: list[cost.Cost] = field(default_factory=list)
    audio: first_audio.FirstAudio | None = None
    personal: list[personal_data.Found] = field(default_factory=list)
    judges: list[judges.Judged] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        found: dict[str, Any] = {"measured": self.date, "machine": self.machine}
        if self.leaks:
            found["leaks"] = {result.design: result.as_json() for result in self.leaks}
        if self.costs:
            found["cost"] = [asdict(one) for one in self.costs]
        if self.audio:
            found["first_audio"] = self.audio.as_json()
        if self.personal:
            found["personal_data"] = [
                {**asdict(row), "recall": round(row.recall, 4), "precision": round(row.precision, 4)}
                for row in self.personal
            ]
        if self.judges:
            found["judges"] = [one.as_json() for one in self.judges]
        return found

    def tables(self) -> RenderableType:
        """For people."""
        shown: list[RenderableType] = []
        if self.leaks:
            shown.append(leaks.table(self.leaks))
        if self.costs:
            shown.append(cost.table(self.costs))
        if self.audio:
            shown.append(first_audio.table(self.audio))
        if self.personal:
            shown.append(_personal_table(self.personal))
        if self.judges:
            shown.append(judges.table(self.judges))
        return Group(*shown, f"{self.machine}, {self.date}")


def run(parts: Sequence[str], data: Path, on_step: OnStep, *, quick: bool = False) -> Results:
    """Measure.

    Args:
        parts: Which of `PARTS`; all if none is named.
        data: The folder of recordings and texts.
        on_step: Told how far it is.
        quick: Take few splits and repeats: to see that it works, not for figures.

    Raises:
        BenchError: If a part is unknown, what it needs is not in the folder, or a judge cannot be loaded.
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
    if "audio" in chosen:
        turns = first_audio.QUICK_TURNS if quick else first_audio.TURNS
        results.audio = asyncio.run(first_audio.run(data, turns, lambda done, of: on_step("turns", done, of)))
    if "personal" in chosen:
        on_step("personal data", 0, 1)
        results.personal = _personal(data / "text", QUICK_WAYS if quick else personal_data.SPOKEN)
        on_step("personal data", 1, 1)
    if "judges" in chosen:
        results.judges = judges.measure(on_step, QUICK_SENTENCES if quick else judges.SENTENCES)
    return results


def _personal(folder: Path, ways: int) -> list[personal_data.Found]:
    try:
        return personal_data.personal_data(folder, ways=ways)
    except FileNotFoundError as error:
        raise BenchError(
            f"{error.filename}: is not there: give the folder of recordings and texts with --data"
        ) from None


def _personal_table(rows: Sequence[personal_data.Found]) -> Table:
    shown = Table(title="Personal data found, in a synthetic set's sentences and said as words")
    shown.add_column("")
    for name in ("written: of", "recall", "precision", "said: of", "recall", "precision"):
        shown.add_column(name, justify="right")
    for what in dict.fromkeys(row.what for row in rows):
        of_what = sorted((row for row in rows if row.what == what), key=lambda row: row.spoken)
        shown.add_row(
            what, *(cell for row in of_what for cell in (str(row.present), f"{row.recall:.3f}", f"{row.precision:.3f}"))
        )
    return shown
