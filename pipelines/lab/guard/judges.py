"""What the judges find and what they stop by mistake, as measured when they were trained, and how long they take now.

The shares are those of the heads' report: on texts, and on whole data sets, that were held out. Asking the heads that
ship about the texts they were trained on would show nothing. `train` measures the shares anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Group, RenderableType
from rich.table import Table

from guardrails import judging
from guardrails.judging import JudgeError
from guardrails.judging.examples import own
from guardrails.judging.recipe import SEED, Trained
from guardrails.judging.report import Report, Share, read
from pipelines.lab.bench_latency import BenchError

SENTENCES = 200
"""How many are timed."""

TARGETS: dict[tuple[str, str], tuple[float, bool]] = {
    ("injection", "recall"): (0.887, True),
    ("injection", "notinject"): (0.13, False),
    ("injection", "xstest"): (0.05, False),
    ("injection", "wildguard_benign"): (0.02, False),
    ("toxicity", "xstest"): (0.05, False),
    ("toxicity", "wildguard_benign"): (0.02, False),
}
"""By judge and figure, what it should reach: at least, if true, or at most."""

OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Judged:
    """One judge.

    Args:
        judge: Its name.
        report: What was measured when it was trained.
        p50_ms, p95_ms: Of one sentence on one core, embedding included.
        load_secs: Of the first one.
        memory_mb: What it added to the process.
    """

    judge: str
    report: Report
    p50_ms: float
    p95_ms: float
    load_secs: float
    memory_mb: float

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {**asdict(self), "report": self.report.model_dump()}


def measure(on_step: OnStep = lambda what, done, of: None, sentences: int = SENTENCES) -> list[Judged]:
    """Load each judge and time it on sentences of callers.

    Args:
        on_step: Told how far it is.
        sentences: How many to judge.

    Raises:
        BenchError: If a judge cannot be loaded.
    """
    texts = [example.text for example in own(1, SEED)][:sentences]
    found = []
    for name in judging.NAMES:
        process = psutil.Process()
        before, began = process.memory_info().rss, time.perf_counter()
        try:
            judge = judging.get(name)
            judge.score("hello")
            loaded, took = time.perf_counter() - began, []
            for n, text in enumerate(texts):
                begin = time.perf_counter()
                judge.score(text)
                took.append(1000 * (time.perf_counter() - begin))
                on_step(f"judge {name}", n + 1, len(texts))
        except JudgeError as error:
            raise BenchError(str(error)) from error
        memory = (process.memory_info().rss - before) / 1e6
        p50, p95 = (float(np.percentile(took, share)) for share in (50, 95))
        found.append(Judged(name, read(name), p50, p95, loaded, memory))
    return found


def train(folder: Path, out: Path, say: Callable[[str], None]) -> dict[str, Trained]:
    """Train both judges anew and measure them on what is held out. Takes some minutes.

    Args:
        folder: Of the data sets, see `guardrails.judging.data_sets`.
        out: Where the heads, `heads.json` and `CARD.md` are written.
        say: Told how far it is.

    Raises:
        BenchError: If the model or a data set cannot be used.
    """
    from guardrails.judging import recipe
    from guardrails.judging.data_sets import DataError
    from guardrails.judging.encoder import Encoder, locate

    try:
        encoder = Encoder(locate())
        trained = {name: recipe.train(folder, name, encoder, say) for name in judging.NAMES}
    except (DataError, JudgeError) as error:
        raise BenchError(str(error)) from error
    recipe.save(trained, out)
    return trained


def table(results: Sequence[Judged]) -> RenderableType:
    """For people."""
    shares = Table(
        title="Judges: a classifier misses some, so no rule of this kind promises zero", title_justify="left"
    )
    for heading in ("judge", "data set", "texts", "what", "texts held out", "set held out", "target"):
        shares.add_column(heading, justify="left" if heading in ("judge", "data set", "what") else "right")
    for result in results:
        shares.add_row(
            result.judge,
            "all to be found",
            str(result.report.found_of),
            "found",
            f"{result.report.recall:.1%}",
            "",
            _target(result.judge, "recall"),
        )
        for (source, wanted), ways in _by_set(result.report.shares).items():
            texts, sets = (f"{ways[way].share:.1%}" if way in ways else "–" for way in ("texts", "set"))
            count = str(next(iter(ways.values())).count)
            what = "found" if wanted else "stopped by mistake"
            target = "" if wanted else _target(result.judge, source)
            shares.add_row(result.judge, source, count, what, texts, sets, target)
    speed = Table(title="Judges: one sentence on one core", title_justify="left")
    for heading in ("judge", "p50", "p95", "target p95", "to load", "memory added"):
        speed.add_column(heading, justify="left" if heading == "judge" else "right")
    for result in results:
        speed.add_row(
            result.judge,
            f"{result.p50_ms:.1f} ms",
            f"{result.p95_ms:.1f} ms",
            "30 ms",
            f"{result.load_secs:.2f} s",
            f"{result.memory_mb:.0f} MB",
        )
    return Group(shares, speed)


def _by_set(shares: Sequence[Share]) -> dict[tuple[str, bool], dict[str, Share]]:
    found: dict[tuple[str, bool], dict[str, Share]] = {}
    for share in shares:
        found.setdefault((share.source, share.wanted), {})[share.held_out] = share
    return found


def _target(judge: str, figure: str) -> str:
    if (judge, figure) not in TARGETS:
        return ""
    value, least = TARGETS[judge, figure]
    return f"{'≥' if least else '≤'} {value:.1%}"
