"""The scores that `antiphon compare` shows: of the last run of the benchmark that was kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.lab.retention.telling import Score

if TYPE_CHECKING:
    from pipelines.lab.retention.bench import Retention

FILE = Path(__file__).with_name("kept.json")


@dataclass(frozen=True)
class Kept:
    """One architecture's score.

    Args:
        score: From 0 to 1.
        speakers: Whose voices it is of.
        source: Where and when it was measured.
    """

    score: Score
    speakers: int
    source: str


def keep(result: Retention, file: Path = FILE) -> None:
    """Have the scores of a run shown from now on."""
    scores = {
        one.architecture: {**one.score.as_json(), "speakers": len({each.said.speaker for each in one.of("people")})}
        for one in result.carried
    }
    kept = {"measured": result.date, "machine": result.machine, "stack": result.stack, "scores": scores}
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def kept(architecture: str, stack: str, file: Path = FILE) -> Kept | None:
    """An architecture's score with a stack; None if it was not measured."""
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    scores = found.get("scores", {})
    if found.get("stack") != stack or architecture not in scores:
        return None
    of = scores[architecture]
    source = (
        f"antiphon bench retention, measured on {found['machine']}, {found['measured']}, with the stack {stack}: "
        f"{of['speakers']} speakers, 95 % interval {of['low']:.2f} to {of['high']:.2f}"
    )
    return Kept(Score(of["value"], of["low"], of["high"]), of["speakers"], source)
