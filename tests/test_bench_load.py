"""Many calls at a time, and one for long: the arithmetic, and small runs on virtual time, where nothing is late."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
from collections.abc import Callable
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines.app import garbage
from pipelines.app.cli import app
from pipelines.lab import bench_load, soak, virtual
from pipelines.lab.bench_load import EmbeddedStep, Pace, Result, Spread, Step, hold
from pipelines.lab.soak import Sample, Soak, Trend
from tests.harness import on_virtual_time

RATE = 24000
CHUNK = b"\x01\x00" * (RATE // 25)
SILENT = bytes(len(CHUNK))
FLAT = Spread(1.0, 1.0, 1.0, 1.0)


def step(calls: int, p99: float = 1.0, wrong: tuple[str, ...] = (), mb: float = 300.0) -> Step:
    return Step(calls, Spread(0.5, 0.8, p99, p99), 100, Spread(600.0, 610.0, 615.0, 620.0), 10, FLAT, 0.3, mb, wrong)


def embedded(calls: int, p50: float) -> EmbeddedStep:
    return EmbeddedStep(calls, Spread(p50, 2 * p50, 2 * p50, 2 * p50), 6 * calls, 0, 1.5)


class TestPace:
    def test_a_chunk_is_late_by_the_time_since_the_one_before_was_played(self) -> None:
        pace = Pace(RATE)
        pace.chunk(CHUNK, 10.0, 10.0)
        pace.chunk(CHUNK, 10.04, 10.045)
        pace.chunk(CHUNK, 10.08, 10.08)
        assert pace.began == 10.0
        assert [round(late, 6) for _, late in pace.late] == [0.005, 0.0]
        assert [at for at, _ in pace.late] == [10.045, 10.08]

    def test_a_gap_counts_in_full_though_the_transport_begins_anew(self) -> None:
        pace = Pace(RATE)
        pace.chunk(CHUNK, 10.0, 10.0)
        pace.chunk(CHUNK, 10.34, 10.34)
        pace.chunk(CHUNK, 10.38, 10.38)
        assert [round(late, 6) for _, late in pace.late] == [0.3, 0.0]

    def test_an_answer_is_late_by_nothing_after_the_one_before(self) -> None:
        pace = Pace(RATE)
        pace.chunk(CHUNK, 10.0, 10.0)
        pace.answer()
        assert pace.began is None
        pace.chunk(CHUNK, 15.0, 15.0)
        assert pace.late == []
        assert (pace.began, pace.samples) == (15.0, 2 * RATE // 25)

    def test_silence_before_an_answer_is_none_of_it(self) -> None:
        pace = Pace(RATE)
        pace.chunk(SILENT, 9.0, 9.0)
        assert (pace.began, pace.samples) == (None, 0)


def test_a_spread_is_in_milliseconds() -> None:
    spread = Spread.of([0.001 * n for n in range(101)])
    assert (spread.p50, spread.p95, spread.p99, spread.most) == (50.0, 95.0, 99.0, 100.0)
    assert math.isnan(Spread.of([]).p99)


@pytest.mark.parametrize(
    ("steps", "most"),
    [
        ((step(1), step(10), step(25, 21.0)), 10),
        ((step(1, 20.0),), 1),
        ((step(1, 20.1), step(10)), 0),
        ((step(1), step(10, wrong=("call 3: message 2 is not what its script says",))), 1),
    ],
)
def test_the_aim_is_met_up_to_the_first_step_that_does_not_meet_it(steps: tuple[Step, ...], most: int) -> None:
    result = Result("machine", "2026-11-28", steps=steps)
    assert result.most == most
    assert result.as_json()["calls_within_aim"] == most


def test_what_a_call_takes_is_what_each_call_more_takes() -> None:
    steps = (step(1, mb=300.0), step(10, mb=318.0), step(25, mb=340.5))
    assert Result("", "", steps=steps).call_mb == (None, 2.0, 1.5)
    assert [each["call_mb"] for each in Result("", "", steps=steps).as_json()["steps"]] == [None, 2.0, 1.5]
    assert Result("", "").call_mb == ()
    assert Result("", "", steps=(step(1), step(1))).call_mb == (None, None)


def test_the_embedded_median_doubles_where_it_is_twice_that_of_one_call() -> None:
    rows = (embedded(1, 800.0), embedded(2, 1599.0), embedded(3, 1600.0), embedded(4, 4000.0))
    assert Result("", "", embedded=rows).doubled == 3
    assert Result("", "", embedded=rows[:2]).doubled is None


def test_no_two_calls_of_a_run_share_their_words() -> None:
    scripts = [bench_load.script(number) for number in range(30)]
    lines = [each.heard for script in scripts for each in script.exchanges]
    lines += [each.answer.text for script in scripts for each in script.exchanges]
    assert len(set(lines)) == len(lines)


class TestHold:
    def test_two_calls_are_as_one_is_where_work_takes_no_time(self) -> None:
        one, two = (virtual.run(hold(calls, 2)) for calls in (1, 2))
        for held in (one, two):
            assert held.wrong == ()
            assert held.jitter.most == pytest.approx(0.0, abs=0.01)
            assert held.latency.p50 == held.latency.most == pytest.approx(600.0, abs=1.0)
        assert two.chunks > one.chunks
        assert two.turns > one.turns

    def test_muted_microphones_give_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[int] = []

        async def hear(self: object, pcm: bytes) -> None:
            heard.append(len(pcm))

        monkeypatch.setattr("processors.transports.memory.MemoryTransport.hear", hear)
        assert virtual.run(hold(1, 2, muted=True)).wrong == ()
        assert heard == []
        virtual.run(hold(1, 2))
        assert set(heard) == {640}
        assert len(heard) > 50 * 10

    def test_a_call_that_hears_anothers_words_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Crossed(bench_load.Call):
            async def talk(self, begun: float) -> None:
                await super().talk(begun)
                if self.number:
                    self._worker.app_resources.context.messages[0]["content"] = "This is caller 0 with question 0."

        monkeypatch.setattr(bench_load, "Call", Crossed)
        held = virtual.run(hold(2, 2))
        assert held.wrong == ("call 1: message 0 is not what its script says",)

    def test_a_call_that_loses_sound_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chunk = Pace.chunk

        def lossy(self: Pace, pcm: bytes, at: float, now: float) -> None:
            chunk(self, pcm if now % 1.0 < 0.8 else b"", at, now)

        monkeypatch.setattr(Pace, "chunk", lossy)
        (line,) = virtual.run(hold(1, 2)).wrong
        assert line.endswith("s of sound were heard")

    @on_virtual_time()
    async def test_an_answer_that_never_comes_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        call = bench_load.Call(0, 1, 1)
        async with call.connected():
            with monkeypatch.context() as deaf:
                deaf.setattr(call._worker, "queue_frame", nothing)
                await call.talk(asyncio.get_running_loop().time())
        assert "call 0: turn 0: was never heard" in call.wrong()

    def test_it_says_how_far_it_is(self) -> None:
        gone: list[float] = []
        virtual.run(hold(20, 2, gone.append))
        assert gone == sorted(gone)
        assert all(after - before == pytest.approx(1.0, abs=0.05) for before, after in pairwise(gone))
        assert gone[-1] == pytest.approx(bench_load.lasts(2), abs=1.5)

    def test_the_bar_ends_at_its_end_however_long_it_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[tuple[str, int, int]] = []

        async def late(calls: int, *, second: Callable[[float], None], muted: bool) -> Step:
            second(1.0)
            second(1000.0)
            return step(calls)

        monkeypatch.setattr(bench_load, "hold", late)
        result = asyncio.run(bench_load.run(3, lambda *each: done.append(each)))
        assert [each.calls for each in result.steps] == [1, 3]
        of = done[0][2]
        assert done == [("1 call", 1, of), ("1 call", of, of), ("3 calls", 1, of), ("3 calls", of, of)]


async def nothing(*_: object) -> None:
    """As a pipeline that takes frames and does nothing."""


class TestTrend:
    def test_a_line_has_its_slope_and_no_doubt(self) -> None:
        trend = Trend.of([5, 10, 15, 20], [1.0, 2.0, 3.0, 4.0])
        assert (trend.slope, trend.low, trend.high) == pytest.approx((0.2, 0.2, 0.2))
        assert not trend.flat

    def test_what_stays_is_flat(self) -> None:
        trend = Trend.of([5, 10, 15, 20], [7.0, 7.0, 7.0, 7.0])
        assert (trend.slope, trend.low, trend.high) == (0.0, 0.0, 0.0)
        assert trend.flat

    def test_the_interval_holds_the_true_slope_in_most_draws(self) -> None:
        draws = np.random.default_rng(0)
        minutes = np.arange(5, 185, 5)
        held = [Trend.of(minutes, 0.3 * minutes + draws.normal(0, 5, len(minutes))) for _ in range(200)]
        assert 180 <= sum(trend.low <= 0.3 <= trend.high for trend in held) <= 199

    def test_two_samples_are_none(self) -> None:
        with pytest.raises(ValueError, match="needs three samples"):
            Trend.of([5, 10], [1.0, 2.0])


class TestSoak:
    def test_a_long_call_remembers_all_of_its_words_and_answers_as_soon_at_its_end(self) -> None:
        minutes: list[tuple[int, int]] = []
        held = soak.run(4, lambda done, of: minutes.append((done, of)), every=1)
        assert minutes == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert [sample.minute for sample in held.samples] == [1, 2, 3, 4]
        assert {round(sample.latency_ms) for sample in held.samples} == {600}
        # A question and an answer are some 100 characters, and there are seven of each in a minute.
        assert 100 < held.trend("tokens").slope < 300
        assert held.turns == pytest.approx(28, abs=3)
        assert all(sample.work_ms > 0 and sample.rss_kb > 10_000 for sample in held.samples)

    def test_its_figures_are_for_programs_and_people(self, tmp_path: Path) -> None:
        samples = tuple(Sample(5 * n, 1000 + n, 2e5, 4000, 900 * n, 100.0, 600.0) for n in range(1, 7))
        held = Soak(30, samples, {"builtins.dict": 2.0}, 210)
        figures = held.as_json()
        assert figures["a_minute"]["tokens"] == {"slope": 180.0, "low": 180.0, "high": 180.0, "flat": False}
        assert figures["a_minute"]["work_ms"]["flat"]
        console = Console(width=80, record=True, file=StringIO())
        console.print(soak.table([held]))
        shown = console.export_text()
        assert "30 min, 210 turns" in shown
        assert "900 → 5400" in shown
        soak.draw([held], tmp_path / "long.png")
        assert (tmp_path / "long.png").read_bytes()[:4] == b"\x89PNG"


def test_garbage_is_collected_seldom_in_a_block_and_as_before_after_it() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    kept = [object() for _ in range(10)]
    with garbage.seldom():
        assert gc.get_threshold() == (garbage.YOUNG, *before[1:])
        assert gc.get_freeze_count() > 10_000
        assert not any(each is kept for each in gc.get_objects())
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0 == frozen
    assert any(each is kept for each in gc.get_objects())


class TestShown:
    def test_a_table_and_a_picture(self, tmp_path: Path) -> None:
        result = Result("machine", "2026-11-28", steps=(step(1), step(10), step(25, 1240.0)))
        console = Console(width=80, record=True, file=StringIO())
        console.print(bench_load.tables(result))
        shown = console.export_text()
        assert "up to 10 calls" in shown
        assert "microphones open" in shown
        assert "0.5 / 1240 / 1240" in shown
        assert "…" not in shown
        bench_load.draw(result, tmp_path / "load.png")
        assert (tmp_path / "load.png").read_bytes()[:4] == b"\x89PNG"

    def test_the_embedded_ones(self, tmp_path: Path) -> None:
        result = Result("machine", "2026-11-28", embedded=(embedded(1, 800.0), embedded(2, 1700.0)))
        console = Console(width=80, record=True, file=StringIO())
        console.print(bench_load.tables(result))
        assert "the median doubles with 2 calls" in console.export_text()
        bench_load.draw(result, tmp_path / "load.svg")
        assert "<svg" in (tmp_path / "load.svg").read_text()


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--long", "--calls", "2"], "leave --calls, --muted and --embedded out"),
            (["--embedded", "--muted"], "nothing would be heard"),
            (["--plot", "load.bmp"], "is no name for a picture"),
            (["--embedded", "--data", "nowhere"], "give their folder with --data"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, options: list[str], said: str) -> None:
        ended = CliRunner().invoke(app, ["bench", "load", *options])
        assert ended.exit_code == 2
        assert said in " ".join(ended.stderr.split())

    def test_ctrl_c_hangs_up_and_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def interrupt(second: object) -> None:
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(bench_load, "_count", interrupt)
        outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        try:
            ended = CliRunner().invoke(app, ["bench", "load", "--calls", "2"])
        finally:
            signal.signal(signal.SIGINT, outside)
        assert ended.exit_code == 130
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr
