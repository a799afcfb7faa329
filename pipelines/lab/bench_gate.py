"""`antiphon bench gate`: how much of what a policy forbids is heard through the audio gate, against the delay it adds.

The answers are synthetic: nobody speaks them. Each word has a time that is known, and its samples hold its number, so
that of every sample that is let out it can be told which word it is of and how long it was held. Half of the answers
hold something that the policy forbids. The transcript is the true one, later or with errors as each row says, word by
word; audio comes in real time.

The figures say what the gate makes of a transcript that is so late, or so wrong. They are not any vendor's, nor those
of the embedded recogniser: how late and how wrong a model's own transcript is has to be measured of that model. Errors
are spread evenly here, while a recogniser makes more of them in names and numbers, which is what policies are about.
The delay is what the gate adds, with what its policy needs to hear before it can decide. It is not what a caller waits
for an answer: a model that answers faster than it speaks hides much of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table

from guardrails import StreamGuard
from guardrails.check import check
from pipelines.lab.bench_latency import machine
from pipelines.lab.guard.leaks import POLICY, SECRETS
from processors.guarding.audio_gate import LAG_MS, MARGIN_MS, AudioGate, Released

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATE = 8000
CHUNK = RATE // 50
ANSWERS, QUICK_ANSWERS = 84, 4
DRAWS = 5
"""So often are words made wrong, each time others."""

HEARD_MS = 50.0
"""A word of which more than this is heard, is heard."""

LATE_MS = (0.0, 100.0, 250.0, 500.0, 1000.0, 1500.0)
LAGS_MS = (0.0, 100.0, LAG_MS, 500.0, 1000.0, 1500.0, 2000.0)
ERRORS = (0.02, 0.05, 0.1, 0.2)
OFF_MS = 100.0
MARGINS_MS = (0.0, 40.0, MARGIN_MS, 120.0, 160.0)

SENTENCES = (
    "Of course, I can help you with that.",
    "Let me have a look at your booking right away.",
    "The train leaves at nine in the morning, and it gets there before noon.",
    "I have moved your appointment to Thursday.",
    "There are two rooms left, one of them with a view of the lake.",
    "You will get a message as soon as it is on its way.",
    "If you like, I can ask a colleague to call you back.",
    "It takes about twenty minutes by bus.",
    "Thank you for waiting, and for your patience.",
    "I am afraid that the shop is closed on Sundays.",
    "Your parcel was handed over to a neighbour yesterday.",
    "Is there anything else that I can do for you today?",
)

Times = NDArray[np.int64]
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Word:
    """A word of an answer.

    Args:
        text: With the space behind it.
        begin, end: The samples in which it is spoken.
        forbidden: Whether a rule acts on any of it.
    """

    text: str
    begin: int
    end: int
    forbidden: bool


@dataclass(frozen=True)
class Transcript:
    """How a transcript is.

    Args:
        timed: Whether it says when each word was spoken.
        late_ms: By how much later than the end of a word it comes; than its beginning where it says no times.
        errors: Share of words that are put in, left out or replaced by another.
        off_ms: By up to how much its times are wrong, either way.
        lag_ms: How late the gate takes text without times to be at most.
        margin_ms: The gate's.
    """

    timed: bool = True
    late_ms: float = 0.0
    errors: float = 0.0
    off_ms: float = 0.0
    lag_ms: float = LAG_MS
    margin_ms: float = MARGIN_MS


@dataclass(frozen=True)
class Row:
    """What became of the answers with one kind of transcript.

    Args:
        transcript: Which.
        forbidden: Words that a rule acts on.
        leaked: How many of them were heard, for more than 50 ms.
        harmless: Words that come before any of these.
        lost: How many of them were not heard in full, but for 50 ms.
        p50_ms, p95_ms: Delay that the gate added to what of the words was heard.
    """

    transcript: Transcript
    forbidden: int
    leaked: int
    harmless: int
    lost: int
    p50_ms: float
    p95_ms: float

    @property
    def leak(self) -> float:
        """The share of forbidden words that were heard."""
        return self.leaked / self.forbidden

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        figures = {name: value for name, value in asdict(self).items() if name != "transcript"}
        return {**asdict(self.transcript), **figures, "leak": round(self.leak, 4)}


@dataclass(frozen=True)
class Result:
    """Everything.

    Args:
        late: Exact times, later and later.
        untimed: No times, later and later, for each lag that the gate may be given.
        wrong: Exact times, more and more errors.
        off: Times that are wrong, for each margin.
    """

    machine: str
    date: str
    answers: int
    late: tuple[Row, ...]
    untimed: tuple[Row, ...]
    wrong: tuple[Row, ...]
    off: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All of them."""
        return (*self.late, *self.untimed, *self.wrong, *self.off)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "answers": self.answers,
            "chunk_ms": 1000 * CHUNK / RATE,
            **{
                name: [row.as_json() for row in rows]
                for name, rows in (
                    ("exact_times_late", self.late),
                    ("no_times_late", self.untimed),
                    ("word_errors", self.wrong),
                    ("times_off", self.off),
                )
            },
        }


def answers(count: int, seed: int = 0) -> list[list[Word]]:
    """Synthetic answers, of which every second one holds something forbidden.

    Args:
        count: How many.
        seed: Of what they say, and how fast.
    """
    random = Random(seed)
    return [_answer(SECRETS[number // 2 % len(SECRETS)].text if number % 2 else "", random) for number in range(count)]


def _answer(secret: str, random: Random) -> list[Word]:
    sentences = random.sample(SENTENCES, random.randint(2, 4))
    if secret:
        sentences.insert(random.randint(0, len(sentences)), secret)
    text = " ".join(sentences)
    covered = [(one.start, one.end) for one in check(POLICY, text, direction="said").decisions]
    words, at, character = [], 0, 0
    for word in text.split():
        length = random.uniform(0.8, 1.2) * (80 + 50 * len(word))
        end = at + round(RATE * length / 1000)
        over = character + len(word)
        forbidden = any(start < over and character < stop for start, stop in covered)
        words.append(Word(f"{word} ", at, end, forbidden))
        pause = random.uniform(150, 400) if word[-1] in ".,?!:" else random.uniform(0, 60)
        at, character = end + round(RATE * pause / 1000), over + 1
    return words


@dataclass(frozen=True)
class _Piece:
    text: str
    until: int | None
    comes: int


def _written(words: Sequence[Word], transcript: Transcript, random: Random) -> list[_Piece]:
    """The transcript of an answer, in the order in which it comes."""
    late = round(RATE * transcript.late_ms / 1000)
    pieces: list[_Piece] = []
    latest = 0

    def write(text: str, word: Word) -> None:
        nonlocal latest
        off = round(RATE * random.uniform(-transcript.off_ms, transcript.off_ms) / 1000)
        latest = max(latest, word.end + off)
        comes = (word.end if transcript.timed else word.begin) + late
        pieces.append(_Piece(text, latest if transcript.timed else None, comes))

    others = sorted({word for sentence in SENTENCES for word in sentence.split()})
    for word in words:
        if random.random() >= transcript.errors:
            write(word.text, word)
            continue
        match random.choices(("replaced", "left out", "put in"), (6, 2, 2))[0]:
            case "replaced":
                write(f"{random.choice(others)} ", word)
            case "put in":
                write(f"{random.choice(others)} ", word)
                write(word.text, word)
    return pieces


def _let_out(words: Sequence[Word], transcript: Transcript, random: Random) -> Times:
    """When each sample of an answer was let out, in samples; -1 of those that were not."""
    pieces = _written(words, transcript, random)
    last = max([words[-1].end, *(piece.comes for piece in pieces)]) + CHUNK
    audio = np.zeros(-(-last // CHUNK) * CHUNK, np.int16)
    for number, word in enumerate(words):
        audio[word.begin : word.end] = 1000 + number
    times = np.full(len(audio), -1, np.int64)
    gate = AudioGate(margin_ms=transcript.margin_ms, lag_ms=transcript.lag_ms, limit_secs=60.0)
    guard = StreamGuard(POLICY)
    out = 0

    def note(released: Released, now: int) -> None:
        nonlocal out
        over = out + len(released.audio)
        if not np.array_equal(released.audio, audio[out:over]):
            raise AssertionError("the gate let out something else than it was given")
        times[out:over] = now
        out = over

    for now in range(CHUNK, len(audio) + 1, CHUNK):
        # What comes while a chunk does finds the audio before it.
        while pieces and pieces[0].comes < now:
            piece = pieces.pop(0)
            note(gate.read(guard, piece.text, piece.until), piece.comes)
        note(gate.hear(audio[now - CHUNK : now], RATE), now)
    note(gate.finish(guard), len(audio))
    return times


def measure(spoken: Sequence[Sequence[Word]], transcript: Transcript) -> Row:
    """Hold answers to the policy by transcripts of one kind."""
    random = Random(1)
    draws = DRAWS if transcript.errors else 1
    forbidden = leaked = harmless = lost = 0
    heard = RATE * HEARD_MS / 1000
    delays: list[Times] = []
    for words in [*spoken] * draws:
        times = _let_out(words, transcript, random)
        arrived = (np.arange(len(times)) // CHUNK + 1) * CHUNK
        before = True
        for word in words:
            of_word = times[word.begin : word.end]
            out = int((of_word >= 0).sum())
            before = before and not word.forbidden
            if word.forbidden:
                forbidden += 1
                leaked += out > heard
            elif before:
                harmless += 1
                lost += out < len(of_word) - heard
            delays.append((of_word - arrived[word.begin : word.end])[of_word >= 0])
    waited = np.maximum(np.concatenate(delays), 0) * 1000 / RATE
    p50, p95 = np.percentile(waited, (50, 95)) if len(waited) else (float("nan"), float("nan"))
    return Row(transcript, forbidden, leaked, harmless, lost, round(float(p50), 1), round(float(p95), 1))


def run(on_step: OnStep, *, quick: bool = False) -> Result:
    """Measure every kind of transcript.

    Args:
        on_step: Told how many kinds are done, of how many.
        quick: Take few answers: to see that it works, not for figures.
    """
    kinds = (
        [Transcript(late_ms=late) for late in LATE_MS],
        [Transcript(timed=False, late_ms=late, lag_ms=lag) for late in LATE_MS for lag in LAGS_MS],
        [Transcript(errors=errors) for errors in ERRORS],
        [Transcript(off_ms=OFF_MS, margin_ms=margin) for margin in MARGINS_MS],
    )
    count = QUICK_ANSWERS if quick else ANSWERS
    spoken, of = answers(count), sum(map(len, kinds))
    on_step(0, of)

    def rows() -> Iterator[Row]:
        for number, transcript in enumerate((each for kind in kinds for each in kind), start=1):
            row = measure(spoken, transcript)
            on_step(number, of)
            yield row

    each = rows()
    late, untimed, wrong, off = (tuple(next(each) for _ in kind) for kind in kinds)
    return Result(machine(), datetime.now(UTC).date().isoformat(), count, late, untimed, wrong, off)


def tables(result: Result) -> RenderableType:
    """For people."""
    timed = Table(title="Forbidden words heard through the audio gate, and the delay that it adds")
    timed.add_column("word times")
    for name in ("margin", "heard", "harmless lost", "p50, ms", "p95, ms"):
        timed.add_column(name, justify="right")
    for rows in (result.late, result.wrong, result.off):
        for row in rows:
            timed.add_row(
                _name(row.transcript),
                f"{row.transcript.margin_ms:.0f}",
                _share(row.leaked, row.forbidden),
                _share(row.lost, row.harmless),
                f"{row.p50_ms:.0f}",
                f"{row.p95_ms:.0f}",
            )
        timed.add_section()
    untimed = Table(title="Without word times: heard, and delay (p95, ms), by the lag that the gate is given")
    untimed.add_column("late by, ms")
    for lag in LAGS_MS:
        untimed.add_column(f"{lag:.0f}", justify="right")
    for late in LATE_MS:
        rows = tuple(row for row in result.untimed if row.transcript.late_ms == late)
        untimed.add_row(f"{late:.0f}", *(f"{_share(row.leaked, row.forbidden)}\n{row.p95_ms:.0f}" for row in rows))
    about = f"{result.late[0].forbidden} forbidden words in {result.answers} synthetic answers, no vendor's"
    return Group(timed, untimed, f"{about}; {result.machine}, {result.date}")


def _name(transcript: Transcript) -> str:
    if transcript.errors:
        return f"exact, {transcript.errors:.0%} wrong words"
    if transcript.off_ms:
        return f"off by up to {transcript.off_ms:.0f} ms"
    return f"exact, {transcript.late_ms:.0f} ms late" if transcript.late_ms else "exact"


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if count else "0"


def draw(result: Result, path: Path) -> None:
    """Write the picture.

    Args:
        result: What was measured.
        path: Ends in what matplotlib can write.

    Raises:
        OSError: If it can't be written.
    """
    from matplotlib.figure import Figure

    from pipelines.lab.hearing_plot import DPI, FAINT, INK, PAPER

    figure = Figure(figsize=(13.0, 5.2), dpi=DPI, facecolor=PAPER, layout="constrained")
    late, wrong, off = figure.subplots(1, 3, width_ratios=[2.2, 1.0, 1.0])
    _draw_late(late, result)
    _draw_bars(
        wrong, "Exact times, wrong words", "wrong words", [f"{row.transcript.errors:.0%}" for row in result.wrong],
        result.wrong,
    )  # fmt: skip
    _draw_bars(
        off, f"Times off by up to {OFF_MS:.0f} ms", "margin, ms",
        [f"{row.transcript.margin_ms:.0f}" for row in result.off], result.off,
    )  # fmt: skip
    figure.suptitle(
        "What is heard of forbidden words through the audio gate", x=0.01, ha="left", fontsize=12, fontweight="bold",
        color=INK,
    )  # fmt: skip
    figure.supxlabel(
        f"{result.late[0].forbidden} forbidden words in {result.answers} synthetic answers, spoken by nobody and no "
        f"vendor's; heard is what is heard for more than {HEARD_MS:.0f} ms — {result.machine}, {result.date}",
        fontsize=7.5, color=FAINT, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(path)


def _plain(axes: Axes, title: str, below: str) -> None:
    from pipelines.lab.hearing_plot import INK, SHADE

    axes.set_facecolor(SHADE)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel(below, fontsize=8, color=INK)
    axes.set_ylabel("forbidden words heard, %", fontsize=8, color=INK)


def _draw_late(axes: Axes, result: Result) -> None:
    from matplotlib import colormaps

    from pipelines.lab.hearing_plot import INK

    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(LATE_MS)))
    for late, shade in zip(LATE_MS, shades, strict=True):
        rows = [row for row in result.untimed if row.transcript.late_ms == late]
        label = f"no times, {late:.0f} ms late" if late else "no times, with the sound"
        axes.plot(
            [row.p95_ms for row in rows], [100 * row.leak for row in rows], color=shade, marker="o", markersize=4,
            linewidth=1.4, label=label,
        )  # fmt: skip
    axes.scatter(
        [row.p95_ms for row in result.late], [100 * row.leak for row in result.late], color=shades, marker="D", s=46,
        edgecolors=INK, linewidths=0.8, zorder=3, clip_on=False, label="exact times, as late",
    )  # fmt: skip
    _plain(axes, f"Late transcripts; along a line the gate's lag: {', '.join(f'{lag:.0f}' for lag in LAGS_MS)} ms",
           "delay that the gate adds, ms, p95")  # fmt: skip
    axes.set_xlim(0, None)
    axes.set_ylim(-2, None)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _draw_bars(axes: Axes, title: str, below: str, names: Sequence[str], rows: Sequence[Row]) -> None:
    from pipelines.lab.hearing_plot import INK

    leaks = [100 * row.leak for row in rows]
    axes.bar(range(len(rows)), leaks, 0.62, color="#2a6f97")
    for number, (leak, row) in enumerate(zip(leaks, rows, strict=True)):
        axes.annotate(
            f"{leak:.1f}\n{row.p95_ms:.0f} ms", (number, leak), (0, 3), textcoords="offset points", ha="center",
            fontsize=7.5, color=INK,
        )  # fmt: skip
    axes.set_xticks(range(len(rows)), names)
    axes.set_ylim(0, 1.25 * max([*leaks, 4.0]))
    _plain(axes, title, f"{below} (under the share: delay, p95)")
