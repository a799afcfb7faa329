"""How long answers may take: a bound for tests, on the whole and on its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines.lab.latency import MARKS, TurnMarks


class LatencyBudgetError(ValueError):
    """A bound on a part that does not exist. One line."""

    mendable = True


class TooLateError(AssertionError):
    """A turn that took longer than it may. One line: which turn, which part, how long, who is responsible."""


@dataclass(frozen=True)
class LatencyBudget:
    """What every turn may take, in milliseconds.

    Args:
        total_ms: From the end of speech to the first sound of the answer; unbounded if None.
        parts: Bounds by the name of a part, as `MARKS` has them.

    Raises:
        LatencyBudgetError: If there is no such part.
    """

    total_ms: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in MARKS.values():
                raise LatencyBudgetError(f"no part {name!r}: choose {', '.join(MARKS.values())}")

    def check(self, turns: Iterable[TurnMarks]) -> None:
        """Hold turns to it.

        Args:
            turns: In order. One without an answer took too long.

        Raises:
            TooLateError: At the first turn that is over the budget.
        """
        for number, turn in enumerate(turns, 1):
            total = turn.total_ms
            if total is None:
                raise TooLateError(f"turn {number} was never answered")
            for part in turn.parts():
                bound = self.parts.get(part.name, float("inf"))
                if part.ms > bound:
                    raise TooLateError(f"turn {number}: {part} took {part.ms:.0f} ms of {bound:.0f} ms")
            if self.total_ms is not None and total > self.total_ms:
                raise TooLateError(f"turn {number} took {total:.0f} ms of {self.total_ms:.0f} ms")
