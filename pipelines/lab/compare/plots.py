"""Plots of a comparison as SVG: where the time goes, who speaks when, what a minute costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipelines.lab import prices as price_table
from pipelines.lab.compare.claims import Claim
from pipelines.lab.compare.comparison import Comparison, Row
from pipelines.lab.compare.errors import LongCall
from pipelines.lab.compare.run import Answer
from pipelines.lab.latency import MARKS
from pipelines.lab.prices import Prices
from pipelines.lab.projection import project

WIDTH = 960
LEFT, RIGHT = 210, 32
BAR, GAP = 18, 8
HEAD = 34
"""Height of a row's name, in pixels, as all lengths here."""

LEAST = 1e-6
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
LINES = 300
"""Height of the plot with lines."""

LETTER = 6.6
"""Width of a letter, about."""

LONGEST_MINUTES = 30

ACROSS = 3
SMALL_WIDTH, SMALL_HEIGHT = 312, 248
"""Small plots, so many beside each other."""

STYLE = (Path(__file__).parent / "plots.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Plot:
    """An SVG that carries its own style; notebooks show it as it is."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.svg


def latency(comparison: Comparison) -> Plot:
    """A bar for every turn of every architecture that ran: from the end of speech to the first sound, in parts."""
    longest = max((row.run.worst_ms or 0.0 for row in comparison.ran if row.run), default=0.0)
    axis = Axis(longest, LEFT, WIDTH - RIGHT - 60)
    pieces: list[str] = []
    y = 8.0
    for row in comparison.ran:
        assert row.run is not None  # noqa: S101
        pieces.append(_heading(row, y))
        y += HEAD
        for number, answer in enumerate(row.run.answers, start=1):
            pieces += _bar(axis, number, answer, y, answer is row.run.median)
            y += BAR + GAP
        y += 10
    grid = [axis.line(value, 8 + HEAD - 6, y) + axis.label(value, y + 16, f"{value:,.0f} ms") for value in axis.ticks]
    return _svg("Latency of every turn, in parts", y + 56, [*grid, *pieces, *_key(y + 44)])


def _bar(axis: Axis, number: int, answer: Answer, y: float, is_median: bool) -> Iterator[str]:
    middle = y + BAR / 2
    yield _text(12, middle, str(number), "soft") + _text(28, middle, _short(answer.asked, 26), "label")
    if answer.latency_ms is None:
        yield _text(LEFT + 8, middle, "no answer", "soft")
        return
    reached = 0.0
    for index, part in enumerate(answer.parts):
        if part.ms >= 0.05:
            tip = f"turn {number}: {part.name} {part.ms:,.0f} ms"
            yield _rect(axis.at(reached), y, axis.at(reached + part.ms) - axis.at(reached), BAR, f"part-{index}", tip)
        reached += part.ms
    mark = " median" if is_median else ""
    yield _text(axis.at(reached) + 8, middle, f"{answer.latency_ms:,.0f}{mark}", "value")


def timeline(comparison: Comparison) -> Plot:
    """Who is heard when, in every architecture that ran; a dashed line where the caller speaks into an answer."""
    longest = max((row.run.seconds for row in comparison.ran if row.run), default=0.0)
    axis = Axis(longest, LEFT, WIDTH - RIGHT)
    pieces: list[str] = []
    y = 8.0
    for row in comparison.ran:
        assert row.run is not None  # noqa: S101
        pieces.append(_heading(row, y))
        y += HEAD
        for lane, who in enumerate(("caller", "agent")):
            top = y + lane * (BAR + 3)
            pieces.append(_text(LEFT - 12, top + BAR / 2, who, f"label end {who}"))
            for sound in row.run.sounds:
                if sound.who == who:
                    tip = f"{who} from {sound.begin:.2f} to {sound.end:.2f} s"
                    width = axis.at(sound.end) - axis.at(sound.begin)
                    pieces.append(_rect(axis.at(sound.begin), top, width, BAR, who, tip))
        for moment in _cuts(row):
            pieces.append(_line(axis.at(moment), y - 5, axis.at(moment), y + 2 * BAR + 8, "cut"))
        y += 2 * BAR + 22
    grid = [axis.line(value, 8 + HEAD - 6, y) + axis.label(value, y + 16, f"{value:g} s") for value in axis.ticks]
    return _svg("Who is heard when", y + 28, [*grid, *pieces])


def _cuts(row: Row) -> Iterator[float]:
    """When the caller began to speak while the agent did."""
    assert row.run is not None  # noqa: S101
    agent = [sound for sound in row.run.sounds if sound.who == "agent"]
    for sound in row.run.sounds:
        if sound.who == "caller" and any(each.begin < sound.begin < each.end for each in agent):
            yield sound.begin


def cost(comparison: Comparison, claimed: Sequence[Claim] = (), prices: Prices | None = None) -> Plot:
    """What a minute costs by the length of the call, with prompts read anew (solid) and from a cache (dashed).

    Args:
        comparison: What was held.
        claimed: Claims about costs, as rings.
        prices: The table that ships if none is given.
    """
    table = prices or price_table.load()
    priced = [row for row in comparison.ran if row.services]
    minutes = range(1, LONGEST_MINUTES + 1)
    curves = [
        (number, cached, [_a_minute(row, length, cached, table) for length in minutes])
        for number, row in enumerate(priced)
        for cached in (False, True)
    ]
    rings = [claim for claim in claimed if claim.column.unit == "$/min" and claim.row in priced]
    highest = max([usd for _, _, curve in curves for usd in curve] + [claim.high for claim in rings], default=0.0)
    across, up = Axis(LONGEST_MINUTES, 64, WIDTH - RIGHT), Axis(highest, LINES, 24)
    bottom = up.at(0)
    pieces = [_line(64, up.at(tick), WIDTH - RIGHT, up.at(tick), "grid") for tick in up.ticks]
    pieces += [_text(56, up.at(tick), f"${tick:.2f}", "axis end") for tick in up.ticks]
    pieces += [across.label(tick, bottom + 18, f"{tick:g} min") for tick in across.ticks if tick]
    for number, cached, curve in curves:
        points = " ".join(f"{across.at(m):.1f},{up.at(usd):.1f}" for m, usd in zip(minutes, curve, strict=True))
        pieces.append(f'<polyline class="curve curve-{number % 6}{" cached" if cached else ""}" points="{points}"/>')
    for claim in rings:
        length = float(claim.column.name.removeprefix("cost_"))
        tip = f"<title>{escape(f'claimed: {claim.text} a minute; {claim.source}')}</title>"
        where = f'cx="{across.at(length):.1f}" cy="{up.at(claim.low):.1f}" r="6"'
        pieces.append(f'<circle class="ring curve-{priced.index(claim.row) % 6}" {where}>{tip}</circle>')
    y = bottom + 48
    for number, row in enumerate(priced):
        pieces.append(_line(64, y, 92, y, f"curve curve-{number % 6}") + _text(102, y, row.name, "label"))
        y += 22
    legend = "solid: prompts read anew   dashed: from a cache   rings: what an article claims"
    return _svg("What a minute costs", y + 18, [*pieces, _text(64, y, legend, "soft")])


def by_minute(comparison: Comparison) -> Plot:
    """Errors a minute over a long call, above the time to the first sound of each answer: one small plot for each row
    that has held one, all to the same scales."""
    held = [(row, row.long_call) for row in comparison.ran if row.long_call is not None]
    most = max([count for _, call in held for count in call.by_minute], default=0)
    slowest = max([ms for _, call in held for _, ms in call.delays], default=0.0)
    pieces = [
        piece
        for place, (row, call) in enumerate(held)
        for piece in _small(
            row,
            call,
            12 + place % ACROSS * SMALL_WIDTH,
            8 + place // ACROSS * SMALL_HEIGHT,
            (max(most, 1), max(slowest, 1.0)),
        )
    ]
    return _svg("Errors by the minute", 12 + math.ceil(len(held) / ACROSS) * SMALL_HEIGHT, pieces)


def _small(row: Row, call: LongCall, x: float, y: float, most: tuple[int, float]) -> Iterator[str]:
    left, right = x + 52, x + SMALL_WIDTH - 20
    across = Axis(call.minutes, left, right)
    errors, delays = Axis(most[0], y + 104, y + 50), Axis(most[1], y + 188, y + 128)
    kind = f"{row.kind}{f', {row.date}' if row.date else ''}"
    yield f'<text class="heading name" x="{x:.1f}" y="{y + 10:.1f}">{escape(row.architecture)}</text>'
    yield _text(x, y + 28, f"{row.stack} ({kind})", "soft")
    for axis, title in ((errors, "errors"), (delays, "ms")):
        for tick in (axis.ticks[0], axis.ticks[-1]):
            yield _line(left, axis.at(tick), right, axis.at(tick), "grid")
            yield _text(left - 6, axis.at(tick), f"{tick:,g}", "axis end")
        yield _text(x, (axis.at(0) + axis.at(axis.ticks[-1])) / 2, title, "axis")
    for minute, count in enumerate(call.by_minute):
        if count:
            tip = f"minute {minute + 1}: {'; '.join(error for at, error in call.errors if int(at) == minute)}"
            width = across.at(1) - across.at(0)
            yield _rect(across.at(minute), errors.at(count), width - 1, errors.at(0) - errors.at(count), "error", tip)
    for at, ms in call.delays:
        yield f'<circle class="delay" cx="{across.at(at):.1f}" cy="{delays.at(ms):.1f}" r="1.5"/>'
    for tick in across.ticks:
        yield across.label(tick, y + 203, f"{tick:g} min" if tick == across.ticks[-1] else f"{tick:g}")
    yield _text(left, y + 222, f"{len(call.errors)} in {call.turns} turns", "label")


def _a_minute(row: Row, minutes: int, cached: bool, prices: Prices) -> float:
    assert row.run is not None  # noqa: S101
    return project(row.run.shape, row.services, minutes, cached=cached, prices=prices).usd / minutes


class Axis:
    """Values from 0 to a round number, along pixels.

    Args:
        most: The largest value.
        begin, end: Where 0 and the largest value lie.
    """

    def __init__(self, most: float, begin: float, end: float) -> None:
        step = _step(most / 6)
        count = max(1, math.ceil(most / step - 1e-9))
        self.ticks = [round(step * n, 6) for n in range(count + 1)]
        self._begin, self._scale = begin, (end - begin) / self.ticks[-1]

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self._begin + value * self._scale

    def line(self, value: float, top: float, bottom: float) -> str:
        """A line of the grid across the plot."""
        return _line(self.at(value), top, self.at(value), bottom, "grid")

    def label(self, value: float, y: float, text: str) -> str:
        """What stands below the plot."""
        return _text(self.at(value), y, text, "axis middle")


def _step(least: float) -> float:
    """The smallest round step of at least so much; 1 for next to nothing."""
    if least < LEAST:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in STEPS if power * step >= least * (1 - 1e-9))


def _key(y: float) -> Iterator[str]:
    """Which colour is which part, in a line."""
    x = 12.0
    for index, name in enumerate(MARKS.values()):
        yield _rect(x, y - 5, 10, 10, f"part-{index}", name) + _text(x + 16, y, name, "soft")
        x += 36 + LETTER * len(name)


def _heading(row: Row, y: float) -> str:
    kind = f"{row.kind}{f', {row.date}' if row.date else ''}"
    name = f'<tspan class="name">{escape(row.architecture)}</tspan>  {escape(row.stack)}'
    return f'<text class="heading" x="12" y="{y + HEAD / 2:.1f}">{name} <tspan class="soft">({kind})</tspan></text>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _text(x: float, y: float, text: str, classes: str) -> str:
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, classes: str) -> str:
    return f'<line class="{classes}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _rect(x: float, y: float, width: float, height: float, classes: str, tip: str) -> str:
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:g}"'
    return f'<rect class="{classes}" {box} rx="2"><title>{escape(tip)}</title></rect>'


def _svg(title: str, height: float, pieces: Sequence[str]) -> Plot:
    return Plot(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect class="paper" width="{WIDTH}" height="{height:g}" rx="10"/>{"".join(pieces)}</svg>'
    )
