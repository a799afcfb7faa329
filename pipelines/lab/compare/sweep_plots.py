"""Plots of a sweep as SVG: how a figure is distributed over thousands of calls, an architecture below the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from pipelines.lab.compare.intervals import Quantile, Spread
from pipelines.lab.compare.plots import HEAD, LEFT, RIGHT, WIDTH, Axis, Plot, _line, _rect, _svg, _text
from pipelines.lab.compare.sweep import Sweep, Swept

STRIP = 46
"""Height of a histogram, in pixels, as all lengths here."""

BELOW = 34
"""Of what stands below it: the quantiles and their intervals."""

BINS = 180
NAMES = {"p50": "median", "p95": "p95", "p99": "p99"}
NARROW = 70
"""Quantiles that are nearer to each other than this have one label."""


def latency(sweep: Sweep) -> Plot:
    """From the end of speech to the first sound, every turn of every call."""
    return _strips("Latency of every turn of every call", "turns", sweep, lambda row: row.latency)


def silence(sweep: Sweep) -> Plot:
    """From the caller's first sound into an answer until the agent is silent, every interruption of every call."""
    return _strips("Silence after every interruption of every call", "interruptions", sweep, lambda row: row.silence)


def _strips(title: str, what: str, sweep: Sweep, of: Callable[[Swept], Spread | None]) -> Plot:
    found = [(row, spread) for row in sweep.ran if (spread := of(row)) is not None]
    axis = Axis(max((spread.values[-1] for _, spread in found), default=0.0), LEFT, WIDTH - RIGHT)
    pieces: list[str] = []
    y = 8.0
    for number, (row, spread) in enumerate(found):
        pieces.append(_name(row, spread, what, y + HEAD / 2))
        y += HEAD
        pieces += _histogram(axis, spread, y, f"agent shade-{number % 6}")
        pieces += _quantiles(axis, spread, y + STRIP)
        y += STRIP + BELOW
    grid = [axis.line(tick, 8 + HEAD - 6, y) + axis.label(tick, y + 16, f"{tick:,.0f} ms") for tick in axis.ticks]
    return _svg(title, y + 30, [*grid, *pieces])


def _name(row: Swept, spread: Spread, what: str, y: float) -> str:
    of = f"{len(spread.values):,} {what} of {len(row.calls):,} calls"
    return _text(12, y, row.architecture, "heading name") + _text(LEFT, y, f"{row.profile}, {of}", "soft")


def _histogram(axis: Axis, spread: Spread, top: float, classes: str) -> Iterator[str]:
    """Bars of one width; the highest fills the strip, and none that is not empty vanishes."""
    width = axis.ticks[-1] / BINS
    counts: dict[int, int] = {}
    for value in spread.values:
        place = min(BINS - 1, int(value / width + 1e-9))
        counts[place] = counts.get(place, 0) + 1
    most = max(counts.values())
    for place, count in sorted(counts.items()):
        height = max(1.5, STRIP * count / most)
        tip = f"{place * width:,.0f} to {(place + 1) * width:,.0f} ms: {100 * count / len(spread.values):.2g} %"
        begin, end = axis.at(place * width), axis.at((place + 1) * width)
        yield _rect(begin, top + STRIP - height, end - begin - 0.5, height, classes, tip)


def _quantiles(axis: Axis, spread: Spread, y: float) -> Iterator[str]:
    """A mark for each, on a bar as wide as its interval, with its figure below."""
    yield _line(LEFT, y, WIDTH - RIGHT, y, "grid")
    for names, quantile in _labels(axis, spread):
        yield _text(axis.at(quantile.value), y + 20, f"{', '.join(names)} {quantile.value:,.0f}", "value middle")
    for name, quantile in spread.quantiles.items():
        low = spread.values[0] if quantile.low is None else quantile.low
        high = spread.values[-1] if quantile.high is None else quantile.high
        tip = f"{NAMES[name]} {quantile.value:,.0f} ms, {quantile.bounds('{:,.0f}'.format)} ms"
        yield _rect(axis.at(low), y + 3, axis.at(high) - axis.at(low), 5, "caller", tip)
        yield _line(axis.at(quantile.value), y - 4, axis.at(quantile.value), y + 12, "cut whole")


def _labels(axis: Axis, spread: Spread) -> list[tuple[list[str], Quantile]]:
    """What is written below: names of quantiles, those in one place together."""
    labels: list[tuple[list[str], Quantile]] = []
    for name, quantile in spread.quantiles.items():
        if labels and math.isclose(labels[-1][1].value, quantile.value, abs_tol=0.5):
            labels[-1][0].append(NAMES[name])
        elif labels and axis.at(quantile.value) - axis.at(labels[-1][1].value) < NARROW:
            continue
        else:
            labels.append(([NAMES[name]], quantile))
    return labels
