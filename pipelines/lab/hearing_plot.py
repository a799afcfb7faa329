"""What was heard as a picture: one time axis, from the sound at the top to the cues at the bottom."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.lab.acoustics import WINDOW_SECS, levels
from pipelines.lab.bench_hearing import SOUNDS
from pipelines.lab.listening import Heard, Turn
from processors.hearing import prosody
from processors.hearing.cues import EMOTIONS, RATE, Cue
from processors.hearing.describe import describe
from processors.hearing.recipe.measuring import TURNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipelines.lab.bench_hearing import Hearing

COLOURS = {
    "neutral": "#9aa3ad",
    "happy": "#e8a838",
    "sad": "#4f81bd",
    "angry": "#cc4b3f",
    "calm": "#6fae8f",
    "fearful": "#8c6bb1",
    "surprised": "#d982b5",
    "disgust": "#8a8f3c",
    "bored": "#a98467",
}
AROUSAL, VALENCE, HESITATION = "#d1495b", "#00798c", "#6c4ab6"
INK, FAINT, SHADE, PAPER = "#22262b", "#8b929a", "#f3f5f7", "#ffffff"
DPI = 120
WIDTH, LEFT, RIGHT, TOP, BOTTOM, GAP = 13.0, 0.75, 0.65, 0.62, 0.45, 0.42
"""Inches: of the picture, its margins, and between two stretches of time."""

WAVE, MELODY, SCORES, SHARES = 0.75, 1.15, 0.85, 0.55
"""Inches: heights of the panels."""

BETWEEN = 0.1
LINE = 0.14
"""Inches: between panels, and of a line of words."""

CHARACTER = 0.063
"""Inches that a character of the words takes."""

SCALES = ((60.0, 15.0), (600.0, 30.0), (float("inf"), 60.0))
"""Up to so many seconds of recording → so many seconds side by side; the rest follows underneath."""

QUIETEST = -70.0


@dataclass
class _Strip:
    """A stretch of a recording that is drawn side by side."""

    heard: Heard
    begin: float
    end: float
    first: bool
    inches: float = 0.0  # a second
    texts: list[tuple[float, list[str]]] = field(default_factory=list)  # the middle, s, and lines

    @property
    def lines(self) -> int:
        return max((len(lines) for _, lines in self.texts), default=1)

    @property
    def height(self) -> float:
        words = LINE * (self.lines + 2.4)
        return words + WAVE + MELODY + SCORES + SHARES + 4 * BETWEEN

    def turns(self) -> Iterator[Turn]:
        for turn in self.heard.turns:
            if self.heard.seconds(turn.cue.start) < self.end and self.heard.seconds(turn.cue.end) > self.begin:
                yield turn

    def parts(self) -> Iterator[tuple[Cue, float, float]]:
        """Parts of turns with their beginning and end, as far as they lie here."""
        for turn in self.turns():
            for part in turn.parts:
                begin = max(self.begin, self.heard.seconds(part.start))
                end = min(self.end, self.heard.seconds(part.end))
                if begin < end:
                    yield part, begin, end


def draw(heard: Sequence[Heard], path: Path) -> None:
    """Write a picture of recordings and of how they were said.

    Args:
        heard: One after the other, from top to bottom.
        path: Ends in what matplotlib can write.

    Raises:
        OSError: If it can't be written.
    """
    from matplotlib.figure import Figure

    strips = [strip for each in heard for strip in _strips(each)]
    longest = max(strip.end - strip.begin for strip in strips)
    inner = WIDTH - LEFT - RIGHT if longest >= 6 else max(6.0, 1.6 * longest)
    for strip in strips:
        strip.inches = inner / longest
        strip.texts = list(_texts(strip, strip.inches))
    above = [_above(strip, number) for number, strip in enumerate(strips)]
    height = TOP + BOTTOM + sum(above) + sum(strip.height for strip in strips)
    figure = Figure(figsize=(inner + LEFT + RIGHT, height), dpi=DPI, facecolor=PAPER)
    _legend(figure, height)
    top = height - TOP
    for strip, space in zip(strips, above, strict=True):
        top -= space
        if strip.first:
            figure.text(
                LEFT / (inner + LEFT + RIGHT),
                (top + 0.12) / height,
                f"{strip.heard.path.name}   {len(strip.heard.samples) / RATE:.1f} s",
                fontsize=11,
                fontweight="bold",
                color=INK,
                va="bottom",
                parse_math=False,
            )
        width = strip.inches * (strip.end - strip.begin)
        _draw_strip(figure, strip, top, width, inner + LEFT + RIGHT, height)
        top -= strip.height
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of file names in scripts that the font has not
        figure.savefig(path)


SOUND_COLOURS = {"clean": "#22262b", "telephone": "#00798c", "noise10": "#d1495b"}


def draw_figures(result: Hearing, path: Path) -> None:
    """Write a picture of how well a caller is heard from turn to turn, with 95 % intervals over speakers.

    Args:
        result: What a benchmark found.
        path: Ends in what matplotlib can write.

    Raises:
        OSError: If it can't be written.
    """
    from matplotlib.figure import Figure

    asked = (
        ("arousal, high or low", result.arousal, 2, 0.87),
        ("four emotions", result.emotions, 4, 0.62),
        ("eight emotions, by the recipe", {"clean": result.every}, 8, 0.78),
    )
    figure = Figure(figsize=(12, 4.2), dpi=DPI, facecolor=PAPER, layout="constrained")
    for axes, (title, by_sound, classes, aim) in zip(figure.subplots(1, 3), asked, strict=True):
        for sound, rows in by_sound.items():
            found = {row.name: row for row in rows}
            line = [found[f"turn {turn}"] for turn in TURNS]
            colour = SOUND_COLOURS[sound]
            axes.plot(TURNS, [row.value for row in line], "o-", color=colour, markersize=4, label=SOUNDS[sound])
            low, high = [row.low for row in line], [row.high for row in line]
            axes.fill_between(TURNS, low, high, color=colour, alpha=0.1, linewidth=0)
        axes.axhline(aim, color=FAINT, linewidth=1, linestyle="--")
        axes.text(TURNS[-1], aim, "aim", fontsize=8, color=FAINT, ha="right", va="bottom")
        axes.axhline(1 / classes, color=FAINT, linewidth=1, linestyle=":")
        axes.text(TURNS[-1], 1 / classes, "chance", fontsize=8, color=FAINT, ha="right", va="bottom")
        axes.set_title(title, fontsize=11, fontweight="bold", color=INK, loc="left")
        axes.set_xscale("log")
        axes.set_xticks(TURNS, [str(turn) for turn in TURNS])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.set_xlabel("turn of the caller", fontsize=9, color=INK)
        axes.tick_params(length=0, labelsize=8, colors=FAINT)
        axes.grid(color="#e7eaed", linewidth=0.6)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
    first = figure.axes[0]
    first.set_ylabel("unweighted average recall", fontsize=9, color=INK)
    first.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path)


def _above(strip: _Strip, number: int) -> float:
    """Inches over a strip: the gap to the one above, and the title."""
    return (GAP if number else 0.0) + (0.1 if strip.first else 0.0) + (0.2 if strip.first and number else 0.0)


def _strips(heard: Heard) -> Iterator[_Strip]:
    whole = len(heard.samples) / RATE
    length = next(seconds for limit, seconds in SCALES if whole <= limit)
    count = max(1, int(np.ceil(whole / length - 0.1)))  # a short rest is drawn with what was before it
    length = whole / count if count == 1 else length
    for number in range(count):
        end = whole if number == count - 1 else (number + 1) * length
        yield _Strip(heard, number * length, end, number == 0)


def _texts(strip: _Strip, inches: float) -> Iterator[tuple[float, list[str]]]:
    """Words under the middle of where they were said, in lines that fit between those before and after."""
    here = []
    for words in (words for turn in strip.turns() for words in turn.words if words.text):
        begin, end = strip.heard.seconds(words.start), strip.heard.seconds(words.end)
        shown = min(end, strip.end) - max(begin, strip.begin)
        if shown > 0 and shown >= (end - begin) / 2:  # where it is cut, it stands where more of it is
            here.append((max(begin, strip.begin), min(end, strip.end), words.text))
    ends = [strip.begin, *(end for _, end, _ in here)]
    begins = [*(begin for begin, _, _ in here), strip.end]
    for number, (begin, end, text) in enumerate(here):
        middle = (begin + end) / 2
        room = min(middle - (ends[number] + begin) / 2, (end + begins[number + 1]) / 2 - middle)
        yield middle, textwrap.wrap(text, max(5, int(2 * room * inches / CHARACTER)), break_long_words=False)


def _draw_strip(figure: Figure, strip: _Strip, top: float, width: float, across: float, height: float) -> None:
    def panel(inches: float) -> Axes:
        nonlocal top
        top -= inches
        axes = figure.add_axes((LEFT / across, top / height, width / across, inches / height))
        top -= BETWEEN
        axes.set_xlim(strip.begin, strip.end)
        axes.tick_params(length=0, labelsize=7, colors=FAINT, labelbottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.grid(axis="x", color="#e7eaed", linewidth=0.6)
        axes.set_axisbelow(True)
        return axes

    _words(panel(LINE * (strip.lines + 2.4)), strip)
    _wave(panel(WAVE), strip)
    _melody(panel(MELODY), strip)
    _scores(panel(SCORES), strip)
    last = panel(SHARES)
    _shares(last, strip)
    last.tick_params(labelbottom=True)
    last.set_xlabel("seconds", fontsize=7, color=FAINT, labelpad=1)


def _shade(axes: Axes, strip: _Strip) -> None:
    """Set the turns off from what is between them."""
    for turn in strip.turns():
        begin, end = strip.heard.seconds(turn.cue.start), strip.heard.seconds(turn.cue.end)
        axes.axvspan(max(strip.begin, begin), min(strip.end, end), color=SHADE, zorder=0, linewidth=0)


def _words(axes: Axes, strip: _Strip) -> None:
    """The turn's bracket with what was heard of it, and the words under it."""
    _shade(axes, strip)
    axes.set_ylim(strip.lines + 2.4, 0)
    axes.set_yticks([])
    axes.grid(visible=False)
    turns = list(strip.turns())
    for turn, after in zip_longest(turns, turns[1:]):
        begin, end = strip.heard.seconds(turn.cue.start), strip.heard.seconds(turn.cue.end)
        here, colour = max(begin, strip.begin), _muted(turn.cue)
        axes.plot([here, min(end, strip.end)], [1.5, 1.5], color=colour, linewidth=3, solid_capstyle="butt")
        until = strip.end if after is None else strip.heard.seconds(after.cue.start)
        room = (until - here) * strip.inches / (1.15 * CHARACTER)  # bold is wider
        label = _label(turn.cue, room, "" if begin >= strip.begin else "… ")
        axes.text(here, 0.7, label, fontsize=7.5, color=INK, va="center", fontweight="bold")
    for middle, texts in strip.texts:
        for number, line in enumerate(texts):
            axes.text(middle, 2.55 + number, line, fontsize=7.5, color=INK, ha="center", parse_math=False)


def _label(cue: Cue, room: float, before: str) -> str:
    """The most that can be said of a turn in so many characters."""
    likeliest = f"{before}{cue.emotion} {cue.emotions[cue.emotion]:.0%}"
    told = describe(cue).strip("().").removeprefix("The caller ")
    stressed = f"stress on {', '.join(cue.emphasised)}" if cue.emphasised else ""
    options = [" · ".join(filter(None, (likeliest, *others))) for others in ((told, stressed), (told,), ())]
    return next((option for option in options if len(option) <= room), "")


def _wave(axes: Axes, strip: _Strip) -> None:
    _shade(axes, strip)
    samples = strip.heard.samples
    peak = max(float(np.abs(samples).max()), 1e-4)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([])
    first, last = round(strip.begin * RATE), round(strip.end * RATE)
    step = max(1, (last - first) // 2400)
    whole = samples[first:last]
    whole = whole[: len(whole) // step * step].reshape(-1, step)
    time = strip.begin + (np.arange(len(whole)) + 0.5) * step / RATE
    low, high = whole.min(axis=1), whole.max(axis=1)
    axes.fill_between(time, low, high, color="#cfd4da", linewidth=0.3)
    for part, begin, end in strip.parts():
        at = (time >= begin) & (time <= end)
        axes.fill_between(time[at], low[at], high[at], color=_muted(part), linewidth=0.3)


def _melody(axes: Axes, strip: _Strip) -> None:
    first, last = round(strip.begin * RATE), round(strip.end * RATE)
    beside = axes.twinx()
    _shade(beside, strip)
    level = np.maximum(levels(strip.heard.samples[first:last], RATE), QUIETEST)
    level = np.convolve(np.pad(level, 2, mode="edge"), np.ones(5) / 5, "valid")
    time = strip.begin + (np.arange(len(level)) + 0.5) * WINDOW_SECS
    beside.fill_between(time, QUIETEST, level, color="#d3deea", linewidth=0)
    beside.set_ylim(QUIETEST, 0)
    beside.set_yticks([-60, -40, -20])
    beside.tick_params(length=0, labelsize=7, colors=FAINT)
    beside.set_ylabel("level, dBFS", fontsize=7, color=FAINT)
    for spine in beside.spines.values():
        spine.set_visible(False)
    axes.set_zorder(beside.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set_yscale("log")
    axes.set_ylim(60, 520)
    axes.set_yticks([75, 150, 300], ["75", "150", "300"])
    axes.minorticks_off()
    axes.set_ylabel("pitch, Hz", fontsize=7, color=INK)
    for part, begin, end in strip.parts():
        start, stop = part.start - strip.heard.start, part.end - strip.heard.start
        heard = prosody.contours(strip.heard.samples[start:stop])
        at = (start + np.arange(len(heard.pitch)) * prosody.HOP + prosody.FRAME / 2) / RATE
        here = (at >= begin) & (at <= end)
        axes.plot(at[here], heard.pitch[here], ".", color=INK, markersize=2.2)


def _scores(axes: Axes, strip: _Strip) -> None:
    _shade(axes, strip)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.axhline(0.5, color="#d5d9de", linewidth=0.8)
    axes.set_ylabel("cues", fontsize=7, color=INK)
    lines = (
        (HESITATION, 1.4, lambda cue: cue.hesitation),
        (VALENCE, 2.4, lambda cue: cue.valence.combined),
        (AROUSAL, 2.4, lambda cue: cue.arousal.combined),
    )
    parts = list(strip.parts())
    begins, ends = [begin for _, begin, _ in parts], [end for _, _, end in parts]
    for colour, thick, value in lines:
        values = [value(part) for part, _, _ in parts]
        axes.hlines(values, begins, ends, color=colour, linewidth=thick)
        steps = [n for n in range(1, len(parts)) if begins[n] - ends[n - 1] < 0.02]  # the same turn goes on
        low, high = [values[n - 1] for n in steps], [values[n] for n in steps]
        axes.vlines([begins[n] for n in steps], low, high, color=colour, linewidth=0.7, alpha=0.7)


def _shares(axes: Axes, strip: _Strip) -> None:
    _shade(axes, strip)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("emotion", fontsize=7, color=INK)
    parts = list(strip.parts())
    begins, widths = [begin for _, begin, _ in parts], [end - begin for _, begin, end in parts]
    under = np.zeros(len(parts))
    for name in dict.fromkeys(name for part, _, _ in parts for name in part.emotions):
        shares = np.array([part.emotions.get(name, 0.0) for part, _, _ in parts])
        axes.bar(begins, shares, widths, under, align="edge", color=_colour(name), edgecolor=PAPER, linewidth=0.6)
        under += shares


def _legend(figure: Figure, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = (("arousal", AROUSAL, 2.4), ("valence", VALENCE, 2.4), ("hesitation", HESITATION, 1.4))
    handles = [
        *(Patch(color=_colour(name), label=name) for name in EMOTIONS),
        *(Line2D([], [], color=colour, linewidth=thick, label=name) for name, colour, thick in lines),
    ]
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1 - RIGHT / figure.get_figwidth(), 1 - 0.12 / height),
        ncols=len(handles),
        fontsize=7.5,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0,
    )


def _colour(emotion: str) -> str:
    return COLOURS.get(emotion, FAINT)


def _muted(cue: Cue) -> tuple[float, float, float]:
    """The colour of the likeliest emotion, the greyer the less likely it is."""
    from matplotlib.colors import to_rgb

    sure = min(1.0, max(0.0, (cue.emotions[cue.emotion] - 0.25) / 0.5))
    red, green, blue = (
        sure * full + (1 - sure) * grey
        for full, grey in zip(to_rgb(_colour(cue.emotion)), to_rgb(COLOURS["neutral"]), strict=True)
    )
    return red, green, blue
