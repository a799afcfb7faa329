"""How sure a figure is that comes of many calls: 95 % intervals for shares and for quantiles.

Calls do not depend on one another, so that shares and quantiles of calls have exact intervals, which assume nothing of
how the figures are distributed. Turns of one call do: quantiles of turns have intervals by resampling whole calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 1000
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_OUTSIDE = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Share:
    """How many of so many.

    Args:
        count: How many.
        of: Of how many; at least one.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The exact one of Clopper and Pearson (1934)."""
        low = special.betaincinv(self.count, self.of - self.count + 1, _OUTSIDE) if self.count else 0.0
        missed = self.of - self.count
        high = special.betaincinv(self.count + 1, missed, 1 - _OUTSIDE) if missed else 1.0
        return float(low), float(high)

    def as_json(self) -> dict[str, Any]:
        """Count, share and interval."""
        return {"count": self.count, "of": self.of, "share": _digits(self.value), "interval": _rounded(self.interval)}


@dataclass(frozen=True)
class Quantile:
    """A value that a part of all does not exceed.

    Args:
        value: What was found.
        low, high: Its interval; None where so few calls cannot bound it.
    """

    value: float
    low: float | None
    high: float | None

    def bounds(self, form: Callable[[float], str]) -> str:
        """The interval for people, whose values are written by `form`."""
        return "–".join("…" if bound is None else form(bound) for bound in (self.low, self.high))

    def as_json(self) -> dict[str, Any]:
        """Value and interval."""
        return {"value": _digits(self.value), "interval": _rounded((self.low, self.high))}


@dataclass(frozen=True)
class Spread:
    """How a figure is distributed.

    Args:
        values: All of them, in order.
        quantiles: By the names of `QUANTILES`.
    """

    values: tuple[float, ...]
    quantiles: dict[str, Quantile]

    def as_json(self) -> dict[str, Any]:
        """How many, the least, the quantiles and the most."""
        return {
            "count": len(self.values),
            "least": _digits(self.values[0]),
            **{name: quantile.as_json() for name, quantile in self.quantiles.items()},
            "most": _digits(self.values[-1]),
        }


def spread(values: Sequence[float]) -> Spread | None:
    """Of one figure a call, with exact intervals from the ranks that a quantile may have; None if there is none.

    Args:
        values: One for each call.
    """
    ordered = tuple(sorted(values))
    if not ordered:
        return None
    return Spread(ordered, {name: _by_rank(ordered, share) for name, share in QUANTILES.items()})


def _by_rank(ordered: Sequence[float], share: float) -> Quantile:
    """How many values lie under the true quantile is binomial: its bounds are ranks."""
    count = len(ordered)
    reached = special.bdtr(np.arange(count + 1), count, share)
    low = int(np.searchsorted(reached, _OUTSIDE))
    high = int(np.searchsorted(reached, 1 - _OUTSIDE)) + 1
    return Quantile(
        ordered[_rank(count, share)],
        ordered[low - 1] if low >= 1 else None,
        ordered[high - 1] if high <= count else None,
    )


def spread_of_turns(calls: Sequence[Sequence[float]]) -> Spread | None:
    """Of several figures a call, with intervals from whole calls drawn anew, a thousand times, always the same ones.

    Args:
        calls: The figures of each call; a call may have none.
    """
    values = np.array([value for call in calls for value in call], np.float64)
    if not len(values):
        return None
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    of_call = np.repeat(np.arange(len(calls)), [len(call) for call in calls])[order]
    drawn = _drawn(ordered, of_call, len(calls))
    found = {}
    for place, (name, share) in enumerate(QUANTILES.items()):
        low, high = (float(bound) for bound in np.quantile(drawn[:, place], (_OUTSIDE, 1 - _OUTSIDE)))
        found[name] = Quantile(float(ordered[_rank(len(ordered), share)]), low, high)
    return Spread(tuple(ordered.tolist()), found)


def _drawn(ordered: NDArray[np.float64], of_call: NDArray[np.intp], calls: int) -> NDArray[np.float64]:
    """The quantiles of each resample, a row each."""
    draws = np.random.default_rng(0)
    shares = np.array(list(QUANTILES.values()))
    found = np.empty((RESAMPLES, len(shares)))
    for row in range(RESAMPLES):
        often = np.bincount(draws.integers(calls, size=calls), minlength=calls)
        reached = np.cumsum(often[of_call])
        # Where every call that was drawn has no figure, the smallest stands for all.
        found[row] = ordered[np.searchsorted(reached, np.ceil(shares * reached[-1] - 1e-9))]
    return found


def _rank(count: int, share: float) -> int:
    """The place of the smallest value that so large a share of all does not exceed."""
    return max(0, math.ceil(share * count - 1e-9) - 1)


def _digits(value: float) -> float:
    """As many as matter."""
    return float(f"{value:.6g}")


def _rounded(interval: tuple[float | None, float | None]) -> list[float | None]:
    return [None if bound is None else _digits(bound) for bound in interval]
