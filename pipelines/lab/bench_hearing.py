"""How well the voice is heard, of speakers that nothing was trained on; what that costs, and how soon it is known.

The heads are those that ship. RAVDESS took no part in making them, so all its speakers are strangers. Hesitation, and
what the recipe of the emotions reaches with richer data, are measured by leaving speakers out of a training of their
own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from threadpoolctl import threadpool_limits

from pipelines.app import recording
from pipelines.lab.bench_latency import BenchError, machine
from pipelines.lab.listening import Turn, listen
from processors.hearing import prosody
from processors.hearing.cues import RATE, Cue
from processors.hearing.emphasis import Word
from processors.hearing.encoder import encoder
from processors.hearing.level import spoken
from processors.hearing.recipe import every_class, readers
from processors.hearing.recipe.corpora import COPIES, HARD, Table, gather, noises, table
from processors.hearing.recipe.measuring import Figure, Judge, arousal, figures, named
from processors.hearing.voice import Heads, Hearer, shipped
from processors.pcm import Samples
from processors.turns.rules import TurnRules

STRANGERS, READERS = "emotion_ravdess", "fluency_speechocean762"
TRAINED = ("emotion_emodb", READERS, STRANGERS)
"""What the recipe takes: the last is only measured with."""

SOUNDS = {"clean": "clean", "telephone": "8 kHz", "noise10": "10 dB noise"}
"""What is called how."""

SPOKEN = ("agent_turns_tau2/*", "read_speech/*", "conversation_ami/*", f"{STRANGERS}/*-01-01-1[0-6].flac")
"""Recordings that hearing is timed on: calls, reading, a conversation, and acted sentences."""

SEED = 7
MOST_MS = 15.0
"""Of a core, for a second of speech."""

Step = Callable[[str, int, int], None]
"""Told what is being done, and how many of how many pieces of it are done."""


@dataclass(frozen=True)
class Cost:
    """What hearing takes. Milliseconds for a second of speech are of one core.

    Args:
        recordings: That were heard.
        seconds: Of speech in them.
        median: Of hearing every part, and again what goes on after a pause, over the recordings.
        p99: Likewise.
        encoder: Its share of that, from 0 to 1.
        prosody: Its share.
        memory_mb: That the process grows by, in MB of 10^6 bytes.
        ready_median: Milliseconds from the end of the speech to when the cue of the turn is there, over the turns.
        ready_p95: Likewise.
        turns: Of those recordings.
    """

    recordings: int
    seconds: float
    median: float
    p99: float
    encoder: float
    prosody: float
    memory_mb: float
    ready_median: float
    ready_p95: float
    turns: int

    def as_json(self) -> dict[str, float]:
        """Rounded."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Aim:
    """A figure beside what it should be.

    Args:
        name: Of what.
        figure: As it came out.
        aim: What it should be at least, or at most.
        at_most: Which.
    """

    name: str
    figure: Figure
    aim: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.figure.value <= self.aim if self.at_most else self.figure.value >= self.aim


@dataclass(frozen=True)
class Hearing:
    """All figures.

    Args:
        arousal: High or low, by how the recordings sound: names of `HARD`.
        emotions: Four, likewise.
        every: All emotions of the data, by the recipe.
        hesitation: Of readers.
        cost: What it takes.
    """

    arousal: Mapping[str, Sequence[Figure]]
    emotions: Mapping[str, Sequence[Figure]]
    every: Sequence[Figure]
    hesitation: Sequence[Figure]
    cost: Cost
    machine: str = field(default_factory=machine)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def aims(self) -> list[Aim]:
        """What was aimed at."""
        high, four = _by_name(self.arousal["clean"]), _by_name(self.emotions["clean"])
        every, slow = _by_name(self.every), _by_name(self.hesitation)
        error = "calibration error, in order"
        return [
            Aim("arousal high or low, in order", high["in order"], 0.87),
            Aim("… on the first turn", high["turn 1"], 0.80),
            Aim("… anger after ten angry turns is high", high["angry after ten angry turns"], 0.85),
            Aim("… calibration error", high[error], 0.08, at_most=True),
            Aim("four emotions, in order", four["in order"], 0.62),
            Aim("… calibration error", four[error], 0.08, at_most=True),
            Aim("eight emotions by the recipe, in order", every["in order"], 0.78),
            Aim("hesitation, area under the ROC curve", slow["area under the ROC curve"], 0.96),
        ]


def _by_name(rows: Iterable[Figure]) -> dict[str, Figure]:
    return {row.name: row for row in rows}


def check(data: Path, folders: Sequence[str] = (STRANGERS, READERS)) -> None:
    """Refuse a folder that hasn't the recordings, before anything is heard.

    Raises:
        BenchError: If it has not.
    """
    for folder in folders:
        try:
            clips = gather(data, folder)
        except (OSError, ValueError, KeyError):
            raise BenchError(f"{data}: lists no {folder}: give the folder of recordings with --data") from None
        if missing := [clip.path for clip in clips if not clip.path.is_file()]:
            raise BenchError(f"{missing[0]}: is listed and not there: give a folder with all recordings with --data")


def run(data: Path, on_step: Step, seed: int = SEED) -> Hearing:
    """Measure everything; some minutes.

    Args:
        data: The folder with `manifest_audio.jsonl`.
        on_step: Told how far it is.
        seed: Of orders, histories and copies.

    Raises:
        BenchError: If the recordings are not there.
        HeadError: If the heads that ship can't be read.
        WeightsError: If the encoder can't be had.
    """
    check(data)
    heads = shipped()
    spent = cost(data, on_step)
    with threadpool_limits(limits=1, user_api="blas"):  # small matrices are no faster on several
        hums = {"noise": noises(data, permitted=True), "noise10": noises(data, permitted=False)}
        every = tuple(dict.fromkeys((*COPIES, *HARD)))
        strangers = table(gather(data, STRANGERS), every, hums, lambda n, of: on_step("RAVDESS: listening", n, of))
        high = by_sound(heads, strangers, arousal, seed, lambda n, of: on_step("RAVDESS: arousal", n, of))
        four = by_sound(heads, strangers, named, seed, lambda n, of: on_step("RAVDESS: four emotions", n, of))
        on_step("RAVDESS: the recipe", 0, 1)
        eight = every_class(strangers, seed)
        read = table(gather(data, READERS), COPIES, hums, lambda n, of: on_step("speechocean762: listening", n, of))
        on_step("speechocean762: the recipe", 0, 1)
        _, hesitant = readers(read, seed)
    on_step("done", 1, 1)
    return Hearing(high, four, eight, hesitant, spent)


def by_sound(
    heads: Heads,
    strangers: Table,
    judge: Judge,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Sequence[Figure]]:
    """What heads tell of speakers whom they don't know, for each kind of sound.

    Args:
        heads: Trained on others.
        strangers: Their recordings, in all of `HARD`.
        judge: What is asked.
        seed: Of orders and histories.
        progress: Told how many of how many kinds are done.
    """
    found: dict[str, Sequence[Figure]] = {}
    for number, sound in enumerate(HARD):
        progress(number, len(HARD))
        found[sound] = figures([(heads.emotions, strangers.of(sound))], seed, judge)
    return found


class TimedEar:
    """A caller's ears with a stopwatch: processor time for what it costs, and the clock for when it is done.

    Args:
        hearer: The ears.
    """

    def __init__(self, hearer: Hearer) -> None:
        self._hearer = hearer
        self.spent = 0.0
        """Seconds of this thread's processor time."""
        self.parts: list[Samples] = []
        """What was heard, in order."""
        self.took: list[tuple[int, float]] = []
        """Of each, one past its last sample, and how many seconds it took by the clock."""
        self.joining = 0.0
        """Seconds by the clock that the last joining of a turn took."""

    def hear(self, samples: Samples, start: int) -> Cue:
        """As `Hearer.hear`."""
        self.parts.append(samples)
        begun = time.thread_time()
        cue = self._heard(samples, start)
        self.spent += time.thread_time() - begun
        return cue

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        """As `Hearer.joined`."""
        begun, clock = time.thread_time(), time.perf_counter()
        cue = self._hearer.joined(cues, words)
        self.spent += time.thread_time() - begun
        self.joining = time.perf_counter() - clock
        return cue

    def turn_done(self, cues: Sequence[Cue]) -> object:
        """As `Hearer.turn_done`."""
        begun = time.thread_time()
        cue = self._hearer.turn_done(cues)
        self.spent += time.thread_time() - begun
        return cue

    def _heard(self, samples: Samples, start: int) -> Cue:
        begun = time.perf_counter()
        cue = self._hearer.hear(samples, start)
        self.took.append((start + len(samples), time.perf_counter() - begun))
        return cue


def cost(data: Path, on_step: Step = lambda what, done, of: None) -> Cost:
    """Hear recordings as a call does, and measure what that takes.

    Raises:
        BenchError: If there are none.
        WeightsError: If the encoder can't be had.
    """
    files = [path for pattern in SPOKEN for path in sorted(data.glob(pattern))]
    if not files:
        raise BenchError(f"{data}: holds no recordings of speech: give their folder with --data")
    Hearer().hear(np.zeros(RATE, np.float32))  # what is loaded and built once is none of it
    rates: list[float] = []
    waits: list[float] = []
    spent, seconds, shares = 0.0, 0.0, np.zeros(2)
    with threadpool_limits(limits=1, user_api="blas"):
        for number, path in enumerate(files):
            on_step("what it costs", number, len(files))
            ear = TimedEar(Hearer())
            # Words and the end of a turn are other models' work: without them every pause ends a turn.
            samples = recording.load(path)
            turns = listen(samples, ear, lambda samples: "", lambda samples, silence: 1.0)
            speech = sum(part.seconds for turn in turns for part in turn.parts)
            if speech:
                rates.append(1000 * ear.spent / speech)
                spent, seconds = spent + ear.spent, seconds + speech
                shares += _shares(ear.parts)
                waits += [1000 * wait for wait in ready(turns, ear.took, ear.joining)]
    by_encoder, by_prosody = shares / spent
    median, p99 = np.percentile(rates, [50, 99])
    early, late = np.percentile(waits, [50, 95])
    return Cost(
        recordings=len(rates),
        seconds=seconds,
        median=float(median),
        p99=float(p99),
        encoder=float(by_encoder),
        prosody=float(by_prosody),
        memory_mb=memory(),
        ready_median=float(early),
        ready_p95=float(late),
        turns=len(waits),
    )


def _shares(parts: Sequence[Samples]) -> Any:
    """Seconds of processor time that the encoder and prosody take for parts, of shape (2,)."""
    took = np.zeros(2)
    for samples in parts:
        if (speech := spoken(samples)) is None:
            continue
        begun = time.thread_time()
        encoder().pooled(speech.samples)
        between = time.thread_time()
        prosody.features(prosody.contours(speech.samples))
        took += between - begun, time.thread_time() - between
    return took


def ready(turns: Sequence[Turn], took: Sequence[tuple[int, float]], joining: float = 0.0) -> list[float]:
    """Seconds from the end of each turn's speech until its cue is there.

    Parts are heard one after the other, each from when it is complete, also those that were heard at a pause and again
    when the speech went on.

    Args:
        turns: In order.
        took: Of each part that was heard, in order, one past its last sample, and how many seconds it took.
        joining: Seconds that it takes to join a turn's parts.
    """
    waits = []
    heard = iter(took)
    free = 0.0
    for turn in turns:
        for end, seconds in heard:
            free = max(free, end / RATE) + seconds
            if end == turn.parts[-1].end:
                break
        waits.append(free + joining - turn.words[-1].end / RATE)
    return waits


def memory() -> float:
    """MB of 10^6 bytes by which a process grows that has what a call has anyway, once it hears."""
    quiet = {**os.environ, "LOGURU_LEVEL": "WARNING"}
    program = [sys.executable, "-m", "pipelines.lab.bench_hearing"]
    done = subprocess.run(program, stdout=subprocess.PIPE, check=True, env=quiet)  # noqa: S603
    return float(json.loads(done.stdout))


def _memory_here() -> float:
    from processors.turns.vad import silero

    silero()
    process = psutil.Process()
    before = process.memory_info().rss
    Hearer().hear(np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32) * np.float32(0.1))
    return (process.memory_info().rss - before) / 1e6


def as_json(result: Hearing) -> dict[str, Any]:
    """All figures."""

    def plain(rows: Sequence[Figure]) -> dict[str, dict[str, float]]:
        return {
            row.name: {"value": round(row.value, 4), "low": round(row.low, 4), "high": round(row.high, 4)}
            for row in rows
        }

    return {
        "measured": result.date,
        "machine": result.machine,
        "seed": SEED,
        "aims": [
            {
                "name": aim.name,
                "value": round(aim.figure.value, 4),
                "at_most" if aim.at_most else "at_least": aim.aim,
                "met": aim.met,
            }
            for aim in result.aims()
        ],
        "arousal": {sound: plain(rows) for sound, rows in result.arousal.items()},
        "four_emotions": {sound: plain(rows) for sound, rows in result.emotions.items()},
        "eight_emotions_by_the_recipe": plain(result.every),
        "hesitation": plain(result.hesitation),
        "cost": result.cost.as_json(),
    }


def shown(result: Hearing) -> RenderableType:
    """The figures for people."""
    return Group(
        _aims(result),
        _by_sounds("Arousal, high or low: the heads that ship, on RAVDESS", result.arousal),
        _by_sounds("Four emotions: the heads that ship, on RAVDESS", result.emotions),
        _recipe(result),
        _cost(result),
    )


def _aims(result: Hearing) -> RichTable:
    rows = RichTable(
        title=f"Hearing speakers that nothing was trained on — {result.machine}, {result.date}",
        caption="Unweighted average recall, unless said, with 95 % intervals over speakers.",
    )
    rows.add_column("")
    for column in ("reached", "aim", ""):
        rows.add_column(column, justify="right")
    for aim in result.aims():
        sign = "≤" if aim.at_most else "≥"
        rows.add_row(aim.name, str(aim.figure), f"{sign} {aim.aim:.2f}", _verdict(aim.met))
    for name, value, most in (
        ("one core's ms for a second of speech", result.cost.median, MOST_MS),
        ("ms from the end of speech to the turn's cue, p95", result.cost.ready_p95, 1000 * TurnRules().done),
    ):
        rows.add_row(name, f"{value:.1f}", f"≤ {most:.0f}", _verdict(value <= most))
    return rows


def _verdict(met: bool) -> str:
    return "[green]met[/]" if met else "[yellow]missed[/]"


def _by_sounds(title: str, by_sound: Mapping[str, Sequence[Figure]]) -> RichTable:
    rows = RichTable(title=f"\n{title}")
    rows.add_column("")
    for sound in by_sound:
        rows.add_column(SOUNDS.get(sound, sound), justify="right", no_wrap=True)
    for line in zip(*by_sound.values(), strict=True):
        rows.add_row(line[0].name, *map(str, line))
    return rows


def _recipe(result: Hearing) -> RichTable:
    rows = RichTable(title="\nThe recipe, speakers left out of its training")
    rows.add_column("")
    rows.add_column("clean", justify="right", no_wrap=True)
    for figure in result.every:
        rows.add_row(f"RAVDESS, eight emotions: {figure.name}", str(figure))
    rows.add_section()
    for figure in result.hesitation:
        rows.add_row(f"speechocean762, hesitation: {figure.name}", str(figure))
    return rows


def _cost(result: Hearing) -> RichTable:
    spent = result.cost
    rest = 1 - spent.encoder - spent.prosody
    title = f"\nWhat it costs: {spent.recordings} recordings, {spent.seconds / 60:.0f} minutes of speech"
    rows = RichTable(title=title, show_header=False)
    rows.add_row("one core's ms for a second of speech, median / p99", f"{spent.median:.1f} / {spent.p99:.1f}")
    parts = f"encoder {spent.encoder:.0%}, prosody {spent.prosody:.0%}, the rest {rest:.0%}"
    rows.add_row("of that", parts)
    rows.add_row("memory", f"{spent.memory_mb:.0f} MB")
    rows.add_row(
        f"ms from the end of speech to the turn's cue, p50 / p95 of {spent.turns}",
        f"{spent.ready_median:.0f} / {spent.ready_p95:.0f}",
    )
    rows.add_row("ms of silence before a turn can end", f"{1000 * TurnRules().done:.0f}")
    return rows


if __name__ == "__main__":
    json.dump(_memory_here(), sys.stdout)
