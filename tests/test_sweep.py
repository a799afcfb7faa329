"""Many calls instead of one: what varies, how sure the figures are, and that whatever spreads them gives the same."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import random
import re
import signal
import statistics
import xml.etree.ElementTree
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from pipelines.app.sweep import Shown, held_again
from pipelines.lab.compare import sweep_plots
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.intervals import QUANTILES, Share, spread, spread_of_turns
from pipelines.lab.compare.spreading import LOCAL, Goes, SpreadError, over_processes
from pipelines.lab.compare.sweep import (
    COUNTS,
    Call,
    Name,
    Sweep,
    SweepError,
    Swept,
    hold_one,
    one_call,
    shipped,
    sweep,
)
from pipelines.lab.compare.sweep_page import section
from pipelines.lab.compare.variation import LATEST_CUT, WORDINGS, varied
from pipelines.lab.script import SECS_PER_WORD, CallerSays, Conversation, agent, caller, words
from pipelines.lab.trace import Trace

ROWS: tuple[Name, ...] = (("basic_cascade", "vendor_cascade"), ("sequential_fused", "realtime_fused"))
CALLS = 3

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: antiphon[sweep]")


def says(conversation: Conversation) -> list[CallerSays]:
    return [step for step in conversation.steps if isinstance(step, CallerSays)]


@pytest.fixture(scope="module")
def alone() -> Sweep:
    return sweep(CALLS, ROWS, processes=1)


# --- what varies ---


def test_a_call_follows_from_its_number_alone() -> None:
    assert varied(7) == varied(7)
    assert len({tuple(says(varied(number))) for number in range(1, 201)}) == 200


def test_all_that_a_caller_says_has_other_words_and_all_are_used() -> None:
    assert set(WORDINGS) == {said.text for said in says(PARCEL)}
    used = {said.text for number in range(1, 201) for said in says(varied(number))}
    assert used == {text for said, others in WORDINGS.items() for text in (said, *others)}


def test_what_is_answered_and_forbidden_stays() -> None:
    call = varied(3)
    assert [exchange.answer for exchange in call.exchanges] == [exchange.answer for exchange in PARCEL.exchanges]
    assert (call.policy, call.forbidden) == (PARCEL.policy, PARCEL.forbidden)
    assert [said.goes_on for said in says(call)] == [said.goes_on for said in says(PARCEL)]


def test_pauses_and_pace_lie_around_those_of_the_script() -> None:
    calls = [varied(number) for number in range(1, 801)]
    pauses = sorted((says(call)[2].then or 0.0) / (says(PARCEL)[2].then or 1.0) for call in calls)
    pace = [says(call)[0].lasts / (SECS_PER_WORD * len(says(call)[0].text.split())) for call in calls]
    assert statistics.median(pauses) == pytest.approx(1.0, abs=0.06)
    assert pauses[round(0.95 * len(pauses))] == pytest.approx(2.0, rel=0.1)
    assert statistics.median(pace) == pytest.approx(1.0, abs=0.03)


def test_who_interrupts_does_so_before_the_answer_is_over() -> None:
    first = len(PARCEL.exchanges[0].answer.text.split()) * SECS_PER_WORD
    into = [says(varied(number))[1].into or 0.0 for number in range(1, 801)]
    assert 0 < min(into) < 1.5
    assert max(into) <= LATEST_CUT * first + 0.001


def test_a_conversation_of_ones_own_varies_too() -> None:
    own = Conversation("own", caller("Hello.", heard="Hallo."), agent("Good morning."))
    assert says(varied(1, own))[0].heard == "Hallo."
    assert says(varied(1, own, {"Hello.": ("Hello.",)}))[0].text == "Hello."
    said = {(one.text, one.heard) for number in range(20) for one in says(varied(number, own, {"Hello.": ("Hi!",)}))}
    assert said == {("Hello.", "Hallo."), ("Hi!", "Hi!")}


# --- how sure ---


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (0, 1000, 0.0, 0.003682)],
)
def test_shares_have_the_interval_of_clopper_and_pearson(count: int, of: int, low: float, high: float) -> None:
    assert Share(count, of).interval == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0.001, 0.999))
def test_such_an_interval_holds_the_true_share_often_enough(of: int, true: float) -> None:
    inside = [count for count in range(of + 1) if _holds(Share(count, of).interval, true)]
    assert stats.binom.pmf(inside, of, true).sum() >= 0.95 - 1e-9


def _holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


@settings(deadline=None)
@given(st.integers(1, 800), st.sampled_from(sorted(QUANTILES)))
def test_the_ranks_of_a_quantile_hold_it_often_enough(count: int, name: str) -> None:
    found = spread([float(rank) for rank in range(1, count + 1)])
    assert found is not None
    low, high = found.quantiles[name].low, found.quantiles[name].high
    first, behind = (0 if low is None else int(low)), (count + 1 if high is None else int(high))
    # So many values lie under the quantile, with the chances of a binomial distribution.
    assert stats.binom.pmf(np.arange(first, behind), count, QUANTILES[name]).sum() >= 0.95 - 1e-9
    assert (low or 0) <= found.quantiles[name].value <= (high or count)


def test_the_median_of_a_hundred_lies_between_the_ranks_of_the_tables() -> None:
    found = spread([float(rank) for rank in range(1, 101)])
    assert found is not None
    assert {name: (q.low, q.value, q.high) for name, q in found.quantiles.items()} == {
        "p50": (40.0, 50.0, 61.0),
        "p95": (90.0, 95.0, 100.0),
        "p99": (97.0, 99.0, None),  # a hundred values cannot bound it
    }


def test_turns_that_say_the_same_as_their_call_make_nothing_surer() -> None:
    draws = random.Random(1)
    figures = [draws.gauss(1000, 100) for _ in range(60)]
    once, often = spread_of_turns([[each] for each in figures]), spread_of_turns([[each] * 6 for each in figures])
    assert once is not None
    assert often is not None
    assert once.quantiles == often.quantiles
    exact = spread(figures)
    assert exact is not None
    assert once.quantiles["p50"].low == pytest.approx(exact.quantiles["p50"].low, rel=0.02)


def test_of_nothing_there_is_no_distribution() -> None:
    assert spread([]) is None
    assert spread_of_turns([[], []]) is None
    sparse = spread_of_turns([[], [3.0], []])
    assert sparse is not None
    assert sparse.quantiles["p99"].value == 3.0


# --- the calls ---


def test_a_call_is_the_same_whatever_was_held_before() -> None:
    first = hold_one(3, *ROWS[0])
    hold_one(1, *ROWS[1])
    assert hold_one(3, *ROWS[0]) == first
    assert hold_one(4, *ROWS[0]) != first


def test_the_same_callers_meet_every_architecture_of_a_profile() -> None:
    basic, advanced = (hold_one(5, name, "vendor_cascade") for name in ("basic_cascade", "advanced_cascade"))
    assert basic.latencies_ms == advanced.latencies_ms


def test_a_call_can_be_held_again_alone_and_looked_at(alone: Sweep, tmp_path: Path) -> None:
    again = one_call(2, ROWS)
    for row, swept in zip(again.rows, alone.rows, strict=True):
        assert {name: row.cells[name].value for name in swept.calls[1].figures} == swept.calls[1].figures
        assert row.run is not None
        assert [round(each.latency_ms or 0, 1) for each in row.run.answered] == list(swept.calls[1].latencies_ms)
        assert [answer.asked for answer in row.run.answers] == [
            " ".join(said.text for said in exchange.says) for exchange in varied(2).exchanges
        ]
    folders = held_again(2, tmp_path).traces
    assert len(folders) == len(shipped())
    trace = Trace.load(folders[0])
    assert words(trace.turns[0].transcript) == words(says(varied(2))[0].text)


def test_a_call_that_breaks_is_one_of_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the line went dead")

    monkeypatch.setattr("pipelines.lab.compare.sweep.hold", broken)
    call = hold_one(1, *ROWS[0])
    assert (call.turns, call.answered, call.wrong) == (6, 0, ("RuntimeError: the line went dead",))
    row = Swept(*ROWS[0], calls=(call,))
    assert row.worst() == {"not: every turn answered": [call], "went wrong otherwise": [call]}
    assert row.latency is None


# --- spreading ---


def test_two_processes_give_the_bytes_of_one(alone: Sweep) -> None:
    seen: list[tuple[int, int]] = []
    both = sweep(CALLS, ROWS, processes=2, on_call=lambda done, of: seen.append((done, of)))
    assert json.dumps(both.as_json()) == json.dumps(alone.as_json())
    assert both == alone
    assert alone.complete
    assert seen == [(2, 6), (4, 6), (6, 6)]
    assert [call.number for call in alone.rows[0].calls] == [1, 2, 3]
    assert alone.rows[0].calls == tuple(hold_one(number, *ROWS[0]) for number in (1, 2, 3))


@needs_ray
def test_ray_gives_the_same_bytes_listens_nowhere_else_and_leaves_nothing_behind(alone: Sweep) -> None:
    begun: set[psutil.Process] = set()
    listening: set[str] = set()

    def look(*_: int) -> None:
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            begun.add(process)
            listening.update(c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)

    spread_out = sweep(CALLS, ROWS, processes=2, ray=LOCAL, on_call=look)
    assert json.dumps(spread_out.as_json()) == json.dumps(alone.as_json())
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    begun.remove(psutil.Process())
    assert any(process.name() == "raylet" for process in begun if process.is_running()) is False
    _, alive = psutil.wait_procs(begun, timeout=20)
    assert not alive
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_without_ray_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        SpreadError, match=r"^Ray is not installed: pip install 'antiphon\[sweep\]', or leave --ray out$"
    ):
        sweep(1, ROWS, ray=LOCAL)


@needs_ray
def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(SpreadError) as told:
        sweep(1, ROWS, ray=LOCAL)
    assert str(told.value) == "Ray is not installed: pip install 'antiphon[sweep]', or leave --ray out"


def _double(task: int, goes: Goes) -> int:
    return 2 * task


def _die(task: int, goes: Goes) -> int:
    os._exit(3)


def _interrupt_parent(task: int, goes: Goes) -> int | None:
    """The second task ends only when it is told to."""
    if task == 1:
        return task
    os.kill(os.getppid(), signal.SIGINT)
    while goes():
        pass
    return None


def test_a_process_that_dies_is_told_in_a_line() -> None:
    with pytest.raises(SpreadError, match=r"^one of 1 processes died before its calls were held") as told:
        list(over_processes(_die, [1, 2], 1))
    assert "\n" not in str(told.value)


def test_ctrl_c_ends_the_processes_and_gives_what_is_done() -> None:
    given: list[int] = []
    resource_tracker.ensure_running()  # which stays until the end
    before = psutil.Process().children()
    with pytest.raises(KeyboardInterrupt):
        given.extend(_each(over_processes(_interrupt_parent, [1, 2, 3, 4], 1), given))
    assert given == [1]
    assert psutil.Process().children() == before


def _each(results: Any, given: list[int]) -> list[int]:
    for result in results:
        given.append(result)
    return []


def test_ctrl_c_leaves_an_incomplete_sweep() -> None:
    found = sweep(50, ROWS[:1], processes=1, on_call=lambda done, of: signal.raise_signal(signal.SIGINT))
    assert not found.complete
    assert 1 <= found.held < 50
    assert found.as_json()["complete"] is False
    shown = _shown(found, 100)
    assert f"Incomplete: {found.held} of 50 calls were held." in shown


@pytest.mark.parametrize(
    ("hold", "told"),
    [
        (lambda: sweep(0), "a sweep of 0 calls holds none: give 1 or more"),
        (lambda: sweep(2, processes=0), "0 processes hold no call: give 1 or more"),
        (lambda: one_call(0), "there is no call 0: a sweep's are numbered from 1"),
    ],
)
def test_what_cannot_be_held_is_told(hold: Callable[[], object], told: str) -> None:
    with pytest.raises(SweepError, match=f"^{re.escape(told)}$"):
        hold()


def test_what_cannot_run_says_why() -> None:
    found = sweep(1, [("basic_cascade", "")])
    assert found.rows[0].reason == "no profile describes it: name it in a profile's architectures"
    assert "basic_cascade could not run: no profile describes it" in _shown(found, 120)
    assert not found.complete


# --- what is shown ---


def _shown(found: Sweep, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Shown(found))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_says_how_sure_it_is(alone: Sweep, width: int) -> None:
    shown = _shown(alone, width)
    assert max(map(len, shown.splitlines())) <= width
    assert "3 calls, profile figures: a parcel that has not come" in shown
    assert re.search(r"every turn answered\s.*100 % \(29\.2–100\)", shown)
    assert "slowest turn: " in shown


def test_every_count_can_be_told_apart() -> None:
    bad = Call(1, {}, (900.0,), (2500.0,), 6, answered=5, early=1, leaks=1, cut=2, remembered=1, wrong=("broken",))
    good = Call(2, {}, (500.0,), (150.0,), 6, answered=6, cut=2, remembered=2)
    row = Swept(*ROWS[0], calls=(bad, good))
    shares = {count.name: row.share(count) for count in COUNTS}
    assert {name: share and (share.count, share.of) for name, share in shares.items()} == {
        count.name: (1, 2) for count in COUNTS
    }
    worst = row.worst()
    assert worst.pop("slowest turn") == worst.pop("talks on longest") == [bad, good]
    assert list(worst.values()) == [[bad]] * len(COUNTS)


def test_the_section_shows_every_row_and_where_to_look(alone: Sweep) -> None:
    shown = section(alone)
    for row in alone.ran:
        assert f"<dt>{row.name}</dt>" in shown
    assert "antiphon compare --sweep-call NUMBER" in shown
    assert "<script" not in shown
    for plot in (sweep_plots.latency(alone), sweep_plots.silence(alone)):
        root = xml.etree.ElementTree.fromstring(plot.svg)  # noqa: S314
        titles = [each.text or "" for each in root.iter() if each.tag.endswith("title")]
        shares = [float(found[1]) for title in titles if (found := re.search(r": ([\d.e+]+) %$", title))]
        assert sum(shares) == pytest.approx(200, rel=0.03)  # of two rows, whose tips are rounded
