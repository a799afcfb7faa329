"""The benchmark of the guard: it sees what designs let out, and how long the guard keeps a first clause."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from pipelines.lab.bench_latency import BenchError
from pipelines.lab.guard import bench, cost, leaks
from pipelines.lab.guard.designs import DESIGNS, debounced, ours, per_piece, with_tail
from pipelines.lab.guard.first_audio import GuardDelay
from processors.guarding.frames import UnclearedTextFrame
from processors.guarding.output import OutputGuard


def test_of_four_designs_only_ours_lets_nothing_out() -> None:
    results = {result.design: result for result in leaks.run(10 * len(leaks.SECRETS), lambda done, of: None)}
    assert results["Antiphon"].leaked == results["Antiphon"].differing == 0
    assert all(result.share > 0.5 for name, result in results.items() if name != "Antiphon")


@pytest.mark.parametrize("secret", leaks.SECRETS, ids=lambda secret: secret.name)
def test_what_tells_a_leak_fits_the_secret_and_nothing_else_in_its_text(secret: leaks.Secret) -> None:
    assert secret.let_out(secret.text)
    assert not secret.let_out(ours(leaks.POLICY, [secret.text]))


def test_the_other_designs_find_what_comes_whole() -> None:
    card = leaks.SECRETS[0]
    assert not card.let_out(per_piece(leaks.POLICY, [card.text]))
    assert not card.let_out(with_tail(leaks.POLICY, ["Well. ", card.text]))
    assert len(debounced(leaks.POLICY, [card.text * 2, "and more"])) == 2 * len(card.text)
    assert len(DESIGNS) == 4


def test_ordinary_speech_passes_a_policy_that_is_measured() -> None:
    assert ours(cost.policy("10"), [" ".join(cost.SPEECH)]) == " ".join(cost.SPEECH)
    measured = cost.measure("card", 1)
    assert measured.p50_us <= measured.p99_us <= measured.worst_us
    assert measured.held <= measured.held_most


def test_a_part_that_there_is_not_is_refused() -> None:
    with pytest.raises(BenchError, match="choose leaks, cost"):
        bench.run(["speed"], Path(), lambda what, done, of: None)


async def test_the_delay_of_a_first_clause_counts_from_when_it_would_have_left_without_the_guard() -> None:
    now = 0.0
    delay = GuardDelay(lambda: now)
    model, after = IdentityFilter(), IdentityFilter()
    guard = OutputGuard.__new__(OutputGuard)

    async def pushed(at: float, source: FrameProcessor, destination: FrameProcessor, frame: Frame) -> None:
        nonlocal now
        now = at
        await delay.on_push_frame(FramePushed(source, destination, frame, FrameDirection.DOWNSTREAM, 0))

    for begin in (0.0, 10.0):
        await pushed(begin, model, guard, LLMFullResponseStartFrame())
        await pushed(begin + 0.9, model, guard, UnclearedTextFrame("Sure"))
        await pushed(begin + 1.0, model, guard, UnclearedTextFrame(","))
        await pushed(begin + 1.1, model, guard, UnclearedTextFrame(" I can"))
        await pushed(begin + 1.25, guard, after, LLMTextFrame("Sure, "))
        await pushed(begin + 1.3, after, after, AggregatedTextFrame("Sure,", "sentence"))
        await pushed(begin + 9.0, after, after, AggregatedTextFrame("I can", "sentence"))
    await pushed(20.0, model, guard, LLMFullResponseStartFrame())
    await pushed(20.1, model, guard, UnclearedTextFrame("Sure"))
    await pushed(20.2, model, guard, LLMFullResponseEndFrame())
    await pushed(20.3, after, after, AggregatedTextFrame("Sure", "sentence"))
    assert delay.added_ms == pytest.approx([300.0, 300.0, 100.0])
