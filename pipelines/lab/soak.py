"""What grows in a long call: memory, what the language model reads, work and latency, by the minute, on virtual time.

The pipeline, its guards and its memory of the conversation are the real ones, its services are scripted. Their waiting
takes no time here; work does, and is counted as processor time of the event loop's thread.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.table import Table
from scipy import stats

from pipelines.lab import virtual
from pipelines.lab.bench_load import COLOURS, Call, from_zero
from pipelines.lab.scripted import CHARACTERS_PER_TOKEN

MINUTES = (30, 180)
EVERY_MINUTES = 5
SHORTEST_EXCHANGE_SECS = 7.0
PIECE_SECS = 0.1
"""Of the microphone: fewer and longer pieces than in a call, so that three hours take minutes."""

MOST_KINDS = 8

OnMinute = Callable[[int, int], None]


@dataclass(frozen=True)
class Sample:
    """The call after so many minutes.

    Args:
        minute: Simulated, since the call began.
        blocks: Of memory that the interpreter has given out, after collecting garbage: more or less one a small object.
        rss_kb: The process's resident set.
        objects: How many the garbage collector knows.
        tokens: Of the context, at four characters a token.
        work_ms: Processor time a turn, of the turns since the sample before.
        latency_ms: From the end of speech to the first sound, the median of these turns.
    """

    minute: int
    blocks: int
    rss_kb: float
    objects: int
    tokens: int
    work_ms: float
    latency_ms: float


@dataclass(frozen=True)
class Trend:
    """How something grows a minute: the least squares' slope, and the ends of its interval of 95 %."""

    slope: float
    low: float
    high: float

    @classmethod
    def of(cls, minutes: Sequence[float], values: Sequence[float]) -> Trend:
        """Through samples.

        Raises:
            ValueError: If there are fewer than three.
        """
        if len(minutes) < 3:
            raise ValueError("a trend needs three samples")
        fit = stats.linregress(minutes, values)
        half = float(stats.t.ppf(0.975, len(minutes) - 2) * fit.stderr) if np.ptp(values) else 0.0
        slope = float(fit.slope)
        return cls(slope, slope - half, slope + half)

    @property
    def flat(self) -> bool:
        """Whether no growth may be as well."""
        return self.low <= 0.0 <= self.high


GROWING = ("blocks", "rss_kb", "objects", "tokens", "work_ms", "latency_ms")


@dataclass(frozen=True)
class Soak:
    """A long call.

    Args:
        minutes: How long it was.
        samples: Every five minutes; the first after five, when everything that a call needs once is there.
        grown: Which kinds of objects have become more between the first sample and the last, by how many a minute.
        turns: How many were held.
    """

    minutes: int
    samples: tuple[Sample, ...]
    grown: dict[str, float]
    turns: int

    def trend(self, name: str) -> Trend:
        """Of one of `GROWING`."""
        return Trend.of([sample.minute for sample in self.samples], [getattr(sample, name) for sample in self.samples])

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        trends = {name: {key: round(value, 4) for key, value in asdict(self.trend(name)).items()} for name in GROWING}
        return {
            "minutes": self.minutes,
            "turns": self.turns,
            "a_minute": {name: trends[name] | {"flat": self.trend(name).flat} for name in GROWING},
            "objects_a_minute": self.grown,
            "samples": [asdict(sample) for sample in self.samples],
        }


def run(minutes: int, on_minute: OnMinute = lambda done, of: None, *, every: int = EVERY_MINUTES) -> Soak:
    """Hold a call on virtual time and sample it.

    Args:
        minutes: How long; at least four times `every`.
        on_minute: Told how many minutes are done, of how many.
        every: Minutes between samples.
    """
    return virtual.run(_hold(minutes, every, on_minute))


async def _hold(minutes: int, every: int, on_minute: OnMinute) -> Soak:
    loop = asyncio.get_running_loop()
    call = Call(0, 1, round(60 * minutes / SHORTEST_EXCHANGE_SECS) + 1, piece_secs=PIECE_SECS)
    samples: list[Sample] = []
    kinds: list[Counter[str]] = []
    turns = 0
    async with call.connected():
        begun, used = loop.time(), time.thread_time()
        talking = asyncio.create_task(call.talk(begun))
        for minute in range(1, minutes + 1):
            await asyncio.sleep(begun + 60 * minute - loop.time())
            if minute % every == 0:
                samples.append(_sample(call, minute, time.thread_time() - used))
                kinds.append(_kinds() if minute in (every, minutes) else Counter())
                turns += len(call.latencies)
                # What is kept for the figures is no growth of the call's.
                call.latencies.clear()
                call.pace.late.clear()
                used = time.thread_time()
            on_minute(minute, minutes)
        talking.cancel()
    grown = kinds[-1]
    grown.subtract(kinds[0])
    over = samples[-1].minute - samples[0].minute
    return Soak(
        minutes,
        tuple(samples),
        {kind: round(count / over, 2) for kind, count in grown.most_common(MOST_KINDS) if count > 0},
        turns,
    )


def _sample(call: Call, minute: int, used: float) -> Sample:
    gc.collect()
    written = sum(len(str(message.get("content") or "")) for message in call.messages)
    return Sample(
        minute,
        sys.getallocatedblocks(),
        psutil.Process().memory_info().rss / 1000,
        len(gc.get_objects()),
        written // CHARACTERS_PER_TOKEN,
        1000 * used / max(1, len(call.latencies)),
        1000 * float(np.median([secs for _, secs in call.latencies])) if call.latencies else float("nan"),
    )


def _kinds() -> Counter[str]:
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


def table(soaks: Sequence[Soak]) -> Table:
    """For people."""
    shown = Table(title="A long call on virtual time: growth a minute ± 95 %")
    shown.add_column("")
    for soak in soaks:
        shown.add_column(f"{soak.minutes} min, {soak.turns} turns", justify="right")
    names = {
        "blocks": "blocks of memory",
        "rss_kb": "resident set, kB",
        "objects": "objects",
        "tokens": "tokens of the context",
        "work_ms": "work a turn, ms",
        "latency_ms": "latency, ms",
    }
    for name, shown_as in names.items():
        shown.add_row(shown_as, *(_trend(soak.trend(name)) for soak in soaks))
    shown.add_section()
    shown.add_row(f"at {soaks[0].samples[0].minute} min → at the end:")
    for name, shown_as, digits in (
        ("rss_kb", "resident set, MB", 3),
        ("tokens", "tokens", 0),
        ("work_ms", "work a turn, ms", 0),
    ):
        ends = [(getattr(soak.samples[0], name), getattr(soak.samples[-1], name)) for soak in soaks]
        shown.add_row(shown_as, *(f"{first / 10**digits:.0f} → {last / 10**digits:.0f}" for first, last in ends))
    return shown


def _trend(trend: Trend) -> str:
    return f"{trend.slope:+.3g} ± {(trend.high - trend.low) / 2:.3g}"


def draw(soaks: Sequence[Soak], path: Path) -> None:
    """Write the picture.

    Args:
        soaks: The calls.
        path: Ends in what matplotlib can write.

    Raises:
        OSError: If it can't be written.
    """
    from matplotlib.figure import Figure

    from pipelines.lab.hearing_plot import DPI, FAINT, INK, PAPER, SHADE

    panels = (
        ("Resident set, MB", lambda sample: sample.rss_kb / 1000),
        ("Tokens of the context", lambda sample: sample.tokens),
        ("Work a turn, ms", lambda sample: sample.work_ms),
        ("Latency, ms", lambda sample: sample.latency_ms),
    )
    figure = Figure(figsize=(13.0, 4.0), dpi=DPI, facecolor=PAPER, layout="constrained")
    for axes, (title, value) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        # The longest first, so that it hides no other.
        for soak, colour in sorted(zip(soaks, COLOURS, strict=False), key=lambda each: -each[0].minutes):
            axes.plot(
                [sample.minute for sample in soak.samples], [value(sample) for sample in soak.samples], color=colour,
                marker="o", markersize=3, linewidth=1.4, label=f"a call of {soak.minutes} min",
            )  # fmt: skip
        axes.set_facecolor(SHADE)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, labelsize=8, colors=INK)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.set_xlabel("minutes of the call", fontsize=8, color=INK)
        from_zero(axes, [value(sample) for soak in soaks for sample in soak.samples])
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="upper right", ncols=len(soaks))
    figure.suptitle("A long call", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    figure.supxlabel("on virtual time, with scripted services", fontsize=7.5, color=FAINT, x=0.01, ha="left")
    figure.savefig(path)
