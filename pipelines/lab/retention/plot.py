"""What is kept, as a picture: how well manners are told at each stage, and how the same words sound after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.lab.hearing_plot import COLOURS, DPI, FAINT, INK, PAPER, SHADE
from pipelines.lab.retention.bench import STAGES, Carried, Retention
from pipelines.lab.retention.sounds import STEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUP = "people"
TITLES = {"prompt": "LLM is told", "delivery": "voice is told", "sound": "same words sound"}
SHOWN = {"pitch": "pitch, semitones", "level": "level, dB", "pace": "pace, %"}
"""What is drawn of a sound, beside the same speaker's first manner."""

BARS = ("#aab2bd", "#2a6f97", "#6fae8f", "#d1495b")


def draw(result: Retention, path: Path) -> None:
    """Write the picture.

    Args:
        result: What came through each architecture.
        path: Ends in what matplotlib can write.

    Raises:
        OSError: If it can't be written.
    """
    from matplotlib.figure import Figure

    count = len(result.carried)
    figure = Figure(figsize=(12.5, 1.6 + 2.6 * count), dpi=DPI, facecolor=PAPER, layout="constrained")
    grid = figure.add_gridspec(count, 1 + len(SHOWN), width_ratios=[1.7, *(1.0 for _ in SHOWN)])
    _scores(figure.add_subplot(grid[:, 0]), result.carried)
    for column, name in enumerate(SHOWN, start=1):
        moved = [_moved(one, name) for one in result.carried]
        most = max([2.2 * _noticed(name), *(1.1 * float(np.abs(each).max()) for one in moved for each in one.values())])
        for row, one in enumerate(result.carried):
            axes = figure.add_subplot(grid[row, column])
            _sounds(axes, moved[row])
            axes.set_ylim(-most, most)
            if row == 0:
                axes.set_title(SHOWN[name], fontsize=9, color=INK, loc="left")
            if column == 1:
                axes.set_ylabel(one.architecture, fontsize=9, color=INK)
    figure.suptitle(
        "The same words said differently: what arrives", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK
    )
    speakers = len({each.said.speaker for each in result.carried[0].of(GROUP)}) if count else 0
    figure.supxlabel(
        f"{speakers} speakers; bars: 0 is chance, 1 is always, 95 % interval over speakers; dots: how one sentence is "
        f"said to each speaker, beside how it is said after their first manner — {result.machine}, {result.date}",
        fontsize=7.5, color=FAINT, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(path)


def _plain(axes: Axes) -> None:
    axes.set_facecolor(SHADE)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=INK)


def _scores(axes: Axes, carried: Sequence[Carried]) -> None:
    _plain(axes)
    names = [*STAGES, "score"]
    width = 0.8 / max(len(carried), 1)
    for number, one in enumerate(carried):
        found = [one.score if name == "score" else one.stage(GROUP, name) for name in names]
        at = np.arange(len(names)) + (number - (len(carried) - 1) / 2) * width
        axes.bar(
            at, [each.value for each in found], 0.9 * width, color=BARS[number % len(BARS)], label=one.architecture
        )
        for x, each in zip(at, found, strict=True):
            axes.plot([x, x], [each.low, each.high], color=INK, linewidth=1)
            axes.text(x, each.high + 0.02, f"{each.value:.2f}", ha="center", fontsize=8, color=INK)
    axes.set_xticks(range(len(names)), ["\n".join(TITLES.get(name, name).rsplit(" ", 1)) for name in names])
    axes.set_ylim(0, 1.12)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _noticed(name: str) -> float:
    return 100 * STEPS[name] if name == "pace" else STEPS[name]


def _moved(one: Carried, name: str) -> dict[str, NDArray[np.float64]]:
    """By manner, how each speaker's same words sound beside how they do after the speaker's first manner."""
    passed = one.of(GROUP)
    manners = list(dict.fromkeys(each.said.manner for each in passed))
    speakers = list(dict.fromkeys(each.said.speaker for each in passed))
    sounds = {(each.said.speaker, each.said.manner): getattr(each.sound, name) for each in passed}
    own = np.array([sounds[who, manners[0]] for who in speakers])
    found = {manner: np.array([sounds[who, manner] for who in speakers]) for manner in manners}
    return {manner: 100 * (now / own - 1) if name == "pace" else now - own for manner, now in found.items()}


def _sounds(axes: Axes, moved: Mapping[str, NDArray[np.float64]]) -> None:
    _plain(axes)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    for x, (manner, values) in enumerate(moved.items()):
        colour = COLOURS.get(manner, BARS[0])
        axes.scatter(x + np.linspace(-0.3, 0.3, len(values)), values, s=16, color=colour, alpha=0.75, linewidths=0)
        axes.plot([x - 0.34, x + 0.34], [values.mean()] * 2, color=colour, linewidth=2)
    axes.set_xticks(range(len(moved)), list(moved))
