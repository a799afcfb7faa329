"""`antiphon bench load`: many calls in one process in real time, and how exactly each of them still sounds.

Pipelines, guards and aggregators are the real ones; recogniser, language model, voice and voice activity are scripted
at a profile's pace, as services elsewhere are: they cost next to nothing here. Every caller's microphone gives 20 ms of
silence every 20 ms, which goes to every stage that listens. Neither compression, encryption nor a network is in it, as
the transport is in memory; nor is a model for voice activity.

Jitter is how late each chunk of an answer is handed to the transport after the one before it has been played: a
listener whose device has that much in reserve hears no gap. With the embedded stack it is the latency that grows.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from rich.console import Group, RenderableType
from rich.table import Table

from pipelines.app import garbage, recording
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile
from pipelines.lab.bench_latency import machine, utterances
from pipelines.lab.caller import Turn, calling, running
from pipelines.lab.load import Load, measured
from pipelines.lab.script import Conversation, Exchange, agent, caller, words
from pipelines.lab.scripted import CallerSpeechFrame
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.profile import profile_stack
from processors.transports.memory import MemoryTransport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pipecat.pipeline.worker import PipelineWorker

PROFILE = "seed_full_cascade"
"""All its durations are fixed, so that whatever varies comes of the load."""

RAMP = (1, 10, 25, 50, 75, 90, 100, 150)
EMBEDDED_RAMP = (1, 2, 3, 4)
INPUT_RATE, OUTPUT_RATE = 16000, 24000
CHUNK_MS = 40
MICROPHONE_SECS = 0.02
EXCHANGES = 5
PERIOD_SECS = 8.0
"""About the length of an exchange, over which the calls begin."""

PATIENCE_SECS = 20.0
QUIET_SECS = 0.6
"""Silence after which an answer counts as over; by then its words are remembered."""

TICK_SECS = 0.005
AIM_MS = 20.0
"""Of the jitter, p99."""

EMBEDDED_TURNS = 6
EMBEDDED_PATIENCE_SECS = 20.0
BETWEEN_SECS = 2.0
"""Between the beginnings of calls on the embedded models."""

OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Spread:
    """Of many figures, in milliseconds."""

    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of seconds; not a number where there are none."""
        if not values:
            return cls(*[float("nan")] * 4)
        return cls(*(round(1000 * float(np.percentile(values, share)), 2) for share in (50, 95, 99, 100)))


class Pace:
    """How late the chunks of an answer are handed over. Times are seconds on the event loop's clock.

    Attributes:
        late: By how much each chunk but an answer's first was late, with the moment at which it came.
        began: When the answer's first sound was heard; None before.
        end: When what has been handed over has been played.
        samples: How many sounded, of all answers.
    """

    def __init__(self, rate: int) -> None:
        self.late: list[tuple[float, float]] = []
        self.began: float | None = None
        self.end = 0.0
        self.samples = 0
        self._rate = rate

    def answer(self) -> None:
        """Another answer is due: the next chunk is its first."""
        self.began = None

    def chunk(self, pcm: bytes, at: float, now: float) -> None:
        """A chunk is handed over.

        Args:
            pcm: 16-bit mono.
            at: When it is heard.
            now: When it was handed over.
        """
        samples = len(pcm) // 2
        if self.began is None:
            # Silence before an answer is none of it.
            if not any(pcm):
                return
            self.began = at
        else:
            self.late.append((now, now - self.end))
        self.end = at + samples / self._rate
        self.samples += samples


def script(number: int, exchanges: int = EXCHANGES) -> Conversation:
    """A call whose words no other call has.

    Args:
        number: Of the call.
        exchanges: How many.
    """
    steps = [
        step
        for turn in range(exchanges)
        for step in (
            caller(f"This is caller {number} with question {turn}.", after=0.5),
            agent(f"Hello, caller {number}. Here is answer {turn}, which takes about four seconds to say."),
        )
    ]
    return Conversation(f"call {number}", *steps)


class Call:
    """One call and who makes it.

    Args:
        number: Of the call, from 0.
        of: How many calls there are; the microphones take turns within their 20 ms.
        exchanges: How many.
        piece_secs: How much the microphone gives at a time; 0 for one that is muted and gives nothing.
    """

    def __init__(
        self, number: int, of: int, exchanges: int = EXCHANGES, *, piece_secs: float = MICROPHONE_SECS
    ) -> None:
        self.number = number
        self.script = script(number, exchanges)
        self.pace = Pace(OUTPUT_RATE)
        self.latencies: list[tuple[float, float]] = []
        """When each turn ended, and seconds from then to the first sound; infinite if none came."""
        self._loop = asyncio.get_running_loop()
        self._phase = number / of
        self._piece_secs = piece_secs
        self._heard = asyncio.Event()
        self._transport = MemoryTransport(
            self._listen, input_rate=INPUT_RATE, output_rate=OUTPUT_RATE, chunk_ms=CHUNK_MS
        )
        stack, _ = profile_stack(profile.load(PROFILE), self.script)
        self._worker: PipelineWorker = assemble(BASIC_CASCADE, stack, self._transport, clients=False, idle_secs=None)

    def _listen(self, pcm: bytes, at: float) -> None:
        self.pace.chunk(pcm, at, self._loop.time())
        if self.pace.began is not None:
            self._heard.set()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """The pipeline runs within this block, and the microphone gives silence."""
        async with running(self._worker, self._transport):
            if not self._piece_secs:
                yield
                return
            microphone = asyncio.create_task(self._microphone())
            try:
                yield
            finally:
                microphone.cancel()

    async def _microphone(self) -> None:
        silence = bytes(2 * round(INPUT_RATE * self._piece_secs))
        due = self._loop.time() + self._phase * self._piece_secs
        while True:
            due += self._piece_secs
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._transport.hear(silence)

    async def talk(self, begun: float) -> None:
        """Say everything, and hear every answer out.

        Args:
            begun: When the first calls begin to speak; the others follow within `PERIOD_SECS`.
        """
        end = begun + self._phase * PERIOD_SECS
        for exchange in self.script.exchanges:
            end = await self._turn(exchange, end)
        await self._until(self._loop.time() + QUIET_SECS)

    async def _turn(self, exchange: Exchange, after: float) -> float:
        """When what is heard of the answer has ended."""
        end = after
        for said in exchange.says:
            begin = end + (said.after or 0.0)
            end = begin + said.lasts
            await self._until(begin)
            self.pace.answer()
            self._heard.clear()
            await self._worker.queue_frame(CallerSpeechFrame(said, True))
            await self._until(end)
            await self._worker.queue_frame(CallerSpeechFrame(said, False))
        try:
            async with asyncio.timeout(PATIENCE_SECS):
                await self._heard.wait()
        except TimeoutError:
            self.latencies.append((end, float("inf")))
            return self._loop.time()
        assert self.pace.began is not None  # noqa: S101
        self.latencies.append((end, self.pace.began - end))
        while (over := self.pace.end + QUIET_SECS) > self._loop.time():
            await self._until(over)
        return self.pace.end + QUIET_SECS

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._loop.time()))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the call remembers."""
        return [dict(message) for message in self._worker.app_resources.context.messages]

    def wrong(self) -> list[str]:
        """What is in this call and not in its script, or the other way round; a line each."""
        held = [(str(message.get("role")), words(str(message.get("content")))) for message in self.messages]
        scripted = [
            (role, words(text))
            for exchange in self.script.exchanges
            for role, text in (("user", exchange.heard), ("assistant", exchange.answer.text))
        ]
        lines = [f"call {self.number}: turn {n}: was never heard" for n, (_, s) in enumerate(self.latencies) if s > 1e9]
        if held != scripted:
            at = next((n for n, (a, b) in enumerate(zip(held, scripted, strict=False)) if a != b), len(held))
            lines.append(f"call {self.number}: message {at} is not what its script says")
        spoken = sum(len(exchange.answer.text.split()) for exchange in self.script.exchanges)
        sung = spoken * profile.load(PROFILE).tts.word_secs
        if abs(self.pace.samples / OUTPUT_RATE - sung) > 0.1 * len(self.script.exchanges):
            lines.append(
                f"call {self.number}: {self.pace.samples / OUTPUT_RATE:.2f} of {sung:.2f} s of sound were heard"
            )
        return lines


@dataclass(frozen=True)
class Step:
    """So many calls at a time.

    Args:
        calls: How many.
        jitter: Of all chunks of all answers while all calls were going on.
        chunks: How many these were.
        latency: From the end of speech to the first sound, of all turns that ended meanwhile.
        turns: How many these were.
        lag: How late the event loop was for a timer of 5 ms.
        cores: Processor time per second.
        rss_mb: The process's resident set at their end, in MB of 10^6 bytes.
        wrong: What a call had that its script had not, a line each.
    """

    calls: int
    jitter: Spread
    chunks: int
    latency: Spread
    turns: int
    lag: Spread
    cores: float
    rss_mb: float
    wrong: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the aim is met."""
        return self.jitter.p99 <= AIM_MS and not self.wrong


@dataclass(frozen=True)
class EmbeddedStep:
    """So many calls at a time on the embedded models.

    Args:
        calls: How many.
        latency: From the end of speech to the first sound, of the turns that were answered.
        turns: How many there were.
        unanswered: How many were not answered in time.
        cores: Processor time per second, of all processes.
    """

    calls: int
    latency: Spread
    turns: int
    unanswered: int
    cores: float


@dataclass(frozen=True)
class Result:
    """Everything. What was not asked for is empty.

    Args:
        muted: Whether the microphones gave nothing.
        steps: With scripted services; the last may be the first that did not meet the aim.
        embedded: With the embedded models.
    """

    machine: str
    date: str
    muted: bool = False
    steps: tuple[Step, ...] = ()
    embedded: tuple[EmbeddedStep, ...] = ()

    @property
    def most(self) -> int:
        """The most calls up to which every step met the aim; 0 if none did."""
        most = 0
        for step in self.steps:
            if not step.holds:
                break
            most = step.calls
        return most

    @property
    def call_mb(self) -> tuple[float | None, ...]:
        """By step, by how much each call more than in the step before has the process grow, in MB of 10^6 bytes. What
        one call tells is what the process itself takes: None."""
        grown = [
            (after.rss_mb - before.rss_mb) / (after.calls - before.calls) if after.calls > before.calls else None
            for before, after in pairwise(self.steps)
        ]
        return (None, *grown)[: len(self.steps)]

    @property
    def doubled(self) -> int | None:
        """The fewest calls on the embedded models whose median latency is twice that of one; None if none is."""
        if not self.embedded:
            return None
        alone = self.embedded[0].latency.p50
        return next((step.calls for step in self.embedded if step.latency.p50 >= 2 * alone), None)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        figures: dict[str, Any] = {"measured": self.date, "machine": self.machine}
        if self.steps:
            figures |= {
                "profile": PROFILE,
                "chunk_ms": CHUNK_MS,
                "microphones": "muted" if self.muted else f"{1000 * MICROPHONE_SECS:.0f} ms at a time",
                "aim_jitter_p99_ms": AIM_MS,
                "calls_within_aim": self.most,
                "steps": [
                    asdict(step) | {"within_aim": step.holds, "call_mb": None if mb is None else round(mb, 2)}
                    for step, mb in zip(self.steps, self.call_mb, strict=True)
                ],
            }
        if self.embedded:
            figures |= {
                "embedded": [asdict(step) for step in self.embedded],
                "embedded_median_doubles_at": self.doubled,
            }
        return figures


@dataclass
class _Ticks:
    """How late the event loop is, tick by tick, with the moment."""

    late: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECS
            await asyncio.sleep(TICK_SECS)
            self.late.append((loop.time(), loop.time() - due))


async def hold(
    calls: int,
    exchanges: int = EXCHANGES,
    second: Callable[[float], None] = lambda gone: None,
    *,
    muted: bool = False,
) -> Step:
    """Hold so many calls at a time.

    What is measured is the time in which all are going on.

    Args:
        calls: How many.
        exchanges: Of each call; together longer than `PERIOD_SECS`.
        second: Told how many seconds have gone, every second.
        muted: Whether the microphones give nothing.
    """
    loop = asyncio.get_running_loop()
    process = psutil.Process()
    gc.collect()
    ticks = _Ticks()
    piece = 0.0 if muted else MICROPHONE_SECS
    made = [Call(number, calls, exchanges, piece_secs=piece) for number in range(calls)]
    async with AsyncExitStack() as lines:
        for call in made:
            await lines.enter_async_context(call.connected())
        begun = loop.time() + 1.0
        beside = [asyncio.create_task(ticks.watch()), asyncio.create_task(_count(second))]
        talking = [asyncio.create_task(call.talk(begun)) for call in made]
        try:
            await asyncio.sleep(1.0 + PERIOD_SECS)
            used, since = _used(process), loop.time()
            await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
            over = loop.time()
            cores = (_used(process) - used) / max(over - since, 1e-9)
            rss_mb = process.memory_info().rss / 1e6
            await asyncio.gather(*talking)
        finally:
            for task in (*beside, *talking):
                task.cancel()
    wrong = [line for call in made for line in call.wrong()]

    def meanwhile(timed: Sequence[tuple[float, float]]) -> list[float]:
        return [value for at, value in timed if since <= at <= over]

    late = meanwhile([each for call in made for each in call.pace.late])
    waited = meanwhile([each for call in made for each in call.latencies])
    return Step(
        calls,
        Spread.of(late),
        len(late),
        Spread.of(waited),
        len(waited),
        Spread.of(meanwhile(ticks.late)),
        round(cores, 2),
        round(rss_mb, 1),
        tuple(wrong),
    )


def lasts(exchanges: int) -> float:
    """Seconds from the connection of calls to the end of the last of them, if nothing is late."""
    pace = profile.load(PROFILE)
    waiting = (
        pace.vad.stop_secs
        + pace.turn.done_secs
        + (pace.llm.first_token_ms.ceiling + pace.tts.first_audio_ms.ceiling) / 1000
    )
    spoken = [
        (said.after or 0.0) + said.lasts + waiting + pace.tts.word_secs * len(exchange.answer.text.split()) + QUIET_SECS
        for exchange in script(0, exchanges).exchanges
        for said in exchange.says
    ]
    return 1.0 + PERIOD_SECS + sum(spoken) + QUIET_SECS


async def _count(second: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        second(loop.time() - begun)
        await asyncio.sleep(1.0)


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def hold_embedded(calls: int, paths: Sequence[Path], on_turn: Callable[[], None]) -> EmbeddedStep:
    """Hold so many calls at a time on the embedded models, which are loaded.

    Args:
        calls: How many.
        paths: What each caller says, every one beginning with another.
        on_turn: Called after each turn of each call.
    """
    load = Load()

    async def hold_one(number: int) -> list[Turn]:
        turns = []
        async with calling(lambda t, observers: assemble(BASIC_CASCADE, EMBEDDED, t, observers=observers)) as someone:
            await asyncio.sleep(number * BETWEEN_SECS)
            for at in range(len(paths)):
                path = paths[(at + number) % len(paths)]
                turns.append(await someone.say(recording.load(path), patience=EMBEDDED_PATIENCE_SECS))
                on_turn()
        return turns

    async with measured(load), asyncio.TaskGroup() as group:
        tasks = [group.create_task(hold_one(number)) for number in range(calls)]
    turns = [turn for task in tasks for turn in task.result()]
    waited = [turn.marks.total_ms / 1000 for turn in turns if turn.marks.total_ms is not None]
    return EmbeddedStep(calls, Spread.of(waited), len(turns), len(turns) - len(waited), round(load.cpu_cores, 2))


async def run(calls: int | None, on_step: OnStep, *, muted: bool = False) -> Result:
    """Hold more and more calls at a time, until the aim is met no longer.

    Args:
        calls: Hold one call, and so many, instead.
        on_step: Told what is done, and how many seconds of how many.
        muted: Whether the microphones give nothing.
    """
    steps = []
    for count in RAMP if calls is None else dict.fromkeys((1, calls)):
        of = math.ceil(lasts(EXCHANGES))

        def second(gone: float, count: int = count, of: int = of) -> None:
            # Under too much load it takes longer.
            on_step(f"{count} {'call' if count == 1 else 'calls'}", min(round(gone), of), of)

        with garbage.seldom():
            steps.append(await hold(count, second=second, muted=muted))
        if calls is None and count > 1 and not steps[-1].holds:
            break
    return Result(machine(), _today(), muted, tuple(steps))


async def run_embedded(calls: int | None, data: Path, on_step: OnStep) -> Result:
    """Hold more and more calls at a time on the embedded models.

    Args:
        calls: Hold one call, and so many, instead of one to four.
        data: The folder with the recordings, as for `bench_latency`.
        on_step: Told what is done, and how many turns of how many.

    Raises:
        BenchError: As `bench_latency.utterances`.
        StackError, WeightsError: If the models cannot be loaded.
    """
    paths = utterances(data)
    paths = paths[:: len(paths) // EMBEDDED_TURNS][:EMBEDDED_TURNS]
    on_step("loading", 0, 1)
    await EMBEDDED.load(BASIC_CASCADE)
    # The first call warms what a process warms once.
    await hold_embedded(1, paths[:1], lambda: None)
    steps = []
    for count in EMBEDDED_RAMP if calls is None else dict.fromkeys((1, calls)):
        done = _counting(f"{count} on the embedded models", count * len(paths), on_step)
        steps.append(await hold_embedded(count, paths, lambda done=done: next(done)))  # type: ignore[misc]
    return Result(machine(), _today(), embedded=tuple(steps))


def _counting(what: str, of: int, on_step: OnStep) -> Iterator[None]:
    for done in range(1, of + 1):
        on_step(what, done, of)
        yield


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def tables(result: Result) -> RenderableType:
    """For people."""
    shown: list[RenderableType] = []
    if result.steps:
        microphones = "microphones muted" if result.muted else "microphones open"
        of_steps = Table(title=f"Calls in one process, {microphones}; ms")
        for name in (
            "calls",
            "jitter\np50 / p99 / most",
            "latency\np50 / p95",
            "loop\nlate\np99",
            "cores",
            "MB a\ncall\nmore",
            "off\nits\nscript",
        ):
            of_steps.add_column(name, justify="right")
        for step, mb in zip(result.steps, result.call_mb, strict=True):
            jitter, latency = step.jitter, step.latency
            of_steps.add_row(
                str(step.calls),
                f"{_ms(jitter.p50)} / {_ms(jitter.p99)} / {_ms(jitter.most)}",
                f"{latency.p50:.0f} / {latency.p95:.0f}",
                _ms(step.lag.p99),
                f"{step.cores:.2f}",
                "–" if mb is None else f"{mb:.1f}",
                str(len(step.wrong)),
                style="" if step.holds else "red",
            )
        shown.append(of_steps)
        shown.append(f"jitter p99 up to {AIM_MS:.0f} ms, and every call on its script: up to {result.most} calls")
    if result.embedded:
        of_embedded = Table(title="Calls on the embedded models; ms")
        for name in ("calls", "latency p50", "p95", "turns", "unanswered", "cores"):
            of_embedded.add_column(name, justify="right")
        for each in result.embedded:
            of_embedded.add_row(
                str(each.calls),
                f"{each.latency.p50:.0f}",
                f"{each.latency.p95:.0f}",
                str(each.turns),
                str(each.unanswered),
                f"{each.cores:.2f}",
            )
        shown.append(of_embedded)
        doubled = f"with {result.doubled} calls" if result.doubled else "with none of these"
        shown.append(f"the median doubles {doubled}")
    paced = [f"services at the pace of {PROFILE}, transport in memory"] if result.steps else []
    return Group(*shown, *paced, f"{result.machine}, {result.date}")


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


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

    figure = Figure(figsize=(13.0, 4.4), dpi=DPI, facecolor=PAPER, layout="constrained")
    if result.steps:
        jitter, latency, cores = figure.subplots(1, 3)
        calls = [step.calls for step in result.steps]
        _lines(jitter, calls, {
            "most": [step.jitter.most for step in result.steps],
            "p99": [step.jitter.p99 for step in result.steps],
            "p50": [step.jitter.p50 for step in result.steps],
        })  # fmt: skip
        jitter.axhline(AIM_MS, color=FAINT, linewidth=1.0, linestyle="--")
        jitter.annotate(f"aim for p99: {AIM_MS:.0f} ms", (0.0, AIM_MS), (4, 3), xycoords=("axes fraction", "data"),
                        textcoords="offset points", fontsize=8, color=INK)  # fmt: skip
        jitter.set_yscale("symlog", linthresh=1.0)
        jitter.yaxis.set_major_formatter("{x:g}")
        _plain(jitter, "Jitter, ms")
        from_zero(jitter, [AIM_MS, *(step.jitter.most for step in result.steps)])
        _lines(latency, calls, {
            "p95": [step.latency.p95 for step in result.steps], "p50": [step.latency.p50 for step in result.steps],
        })  # fmt: skip
        _plain(latency, "Latency, ms")
        from_zero(latency, [step.latency.p95 for step in result.steps])
        _lines(cores, calls, {"cores": [step.cores for step in result.steps]})
        _plain(cores, "Processor time, cores (Python uses one)")
        from_zero(cores, [1.0, *(step.cores for step in result.steps)])
        what = f"Calls in one process, microphones {'muted' if result.muted else 'open'}"
        below = f"services at the pace of {PROFILE}, transport in memory"
    else:
        axes = figure.subplots()
        steps = result.embedded
        _lines(axes, [step.calls for step in steps], {
            "p95": [step.latency.p95 for step in steps], "p50": [step.latency.p50 for step in steps],
        })  # fmt: skip
        axes.set_xticks([step.calls for step in steps])
        _plain(axes, "Latency, ms")
        from_zero(axes, [step.latency.p95 for step in steps])
        what, below = "Calls on the embedded models", "the same recordings for every caller"
    figure.suptitle(what, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    figure.supxlabel(f"{TOLD}; {below} — {result.machine}, {result.date}", fontsize=7.5, color=FAINT, x=0.01, ha="left")
    figure.savefig(path)


TOLD = "jitter: how late chunks of answers are; latency: from the end of speech to the first sound"

COLOURS = ("#d1495b", "#2a6f97", "#8b929a")


def _lines(axes: Axes, calls: Sequence[int], named: dict[str, list[float]]) -> None:
    for (name, values), colour in zip(named.items(), COLOURS, strict=False):
        axes.plot(calls, values, color=colour, marker="o", markersize=4, linewidth=1.6, label=name)
    if len(named) > 1:
        # Beside the title, where no line can run.
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(named),
                    borderaxespad=0.2)  # fmt: skip


def from_zero(axes: Axes, values: Sequence[float]) -> None:
    """Have an axis begin at nothing and end well above the values that are numbers."""
    axes.set_ylim(0, 1.15 * max((value for value in values if math.isfinite(value)), default=1.0))


def _plain(axes: Axes, title: str) -> None:
    from pipelines.lab.hearing_plot import INK, SHADE

    axes.set_facecolor(SHADE)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("calls at a time", fontsize=8, color=INK)
