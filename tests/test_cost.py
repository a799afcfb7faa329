"""What a call costs: usage told apart, priced, entered by turn, projected, and held to a budget."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    MetricsFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.metrics.metrics import (
    LLMTokenUsage,
    LLMUsageMetricsData,
    STTUsage,
    STTUsageMetricsData,
    TTFBMetricsData,
    TTSUsageMetricsData,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner
from rich.console import Console
from standin import ScriptedLLM, ToneTTS

from guardrails.data_file import DataError
from pipelines.lab import cost, prices, projection
from pipelines.lab.budget import Budget, BudgetError, BudgetKeeper, BudgetWatch, Event, Notice
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.prices import Cost, Price, Prices
from pipelines.lab.projection import ProjectionError, Shape, project
from pipelines.lab.usage import KINDS, Usage, of_tokens
from pipelines.stacks import cloud
from processors.transports.memory import MemoryTransport

PATIENCE_SECS = 20.0

HAIKU = "claude-haiku-5-5"
REALTIME = "gpt-realtime"
TABLE = prices.load()

amounts = st.floats(0, 1e6)
usages = st.builds(Usage, *(amounts for _ in KINDS))
counts = st.integers(0, 10**6)


def llm(model: str = HAIKU, prompt: int = 0, out: int = 0, *, beside: bool = False, **cached: int) -> MetricsFrame:
    """One request's metrics; `beside` if the vendor counts cached tokens beside the prompt."""
    total = prompt + out + (sum(cached.values()) if beside else 0)
    tokens = LLMTokenUsage(prompt_tokens=prompt, completion_tokens=out, total_tokens=total, **cached)
    return MetricsFrame([LLMUsageMetricsData(processor="SomeLLM#0", model=model, value=tokens)])


def observed(*frames: Frame) -> CostLedger:
    observer = CostObserver(CostLedger(TABLE))
    for frame in frames:
        observer.mark(frame)
    return observer.ledger


def shown(table: object) -> str:
    """A table as people see it; below the last line its caption, unwrapped."""
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table)
    lines = console.export_text().splitlines()
    border = max((n for n, line in enumerate(lines) if line.startswith("└")), default=0)
    return "\n".join([*lines[: border + 1], " ".join(" ".join(lines[border + 1 :]).split())])


# Usage


@given(fresh=counts, read=counts, written=counts, out=counts)
def test_a_vendor_that_counts_cached_tokens_beside_the_prompt_is_told_from_one_that_counts_them_in(
    fresh: int, read: int, written: int, out: int
) -> None:
    known = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    total = fresh + read + written + out
    beside = of_tokens(LLMTokenUsage(prompt_tokens=fresh, completion_tokens=out, total_tokens=total, **known))
    within = of_tokens(
        LLMTokenUsage(prompt_tokens=fresh + read + written, completion_tokens=out, total_tokens=total, **known)
    )
    assert beside == within == Usage(text_in=fresh, text_cached=read, text_written=written, text_out=out)


@given(text=counts, audio=counts, text_read=counts, audio_read=counts, text_out=counts, audio_out=counts)
def test_text_and_sound_are_told_apart_and_no_token_is_counted_twice(
    text: int, audio: int, text_read: int, audio_read: int, text_out: int, audio_out: int
) -> None:
    prompt, out = text + audio + text_read + audio_read, text_out + audio_out
    usage = of_tokens(
        LLMTokenUsage(
            prompt_tokens=prompt,
            completion_tokens=out,
            total_tokens=prompt + out,
            cache_read_input_tokens=text_read + audio_read,
            input_audio_tokens=audio + audio_read,
            cache_read_input_audio_tokens=audio_read,
            output_audio_tokens=audio_out,
        )
    )
    assert usage == Usage(text, text_read, 0, text_out, audio, audio_read, audio_out)
    assert usage.prompt == prompt
    assert usage.out == out


def test_cached_tokens_of_an_unknown_kind_are_text_first() -> None:
    tokens = LLMTokenUsage(
        prompt_tokens=100, completion_tokens=0, total_tokens=100, cache_read_input_tokens=70, input_audio_tokens=50
    )
    assert of_tokens(tokens) == Usage(text_cached=50, audio_in=30, audio_cached=20)


@given(st.builds(LLMTokenUsage, **dict.fromkeys(LLMTokenUsage.model_fields, counts)))
def test_nonsense_from_a_vendor_never_gives_a_negative_amount(tokens: LLMTokenUsage) -> None:
    assert all(getattr(of_tokens(tokens), kind) >= 0 for kind in KINDS)


# Prices


def test_every_price_that_ships_is_dated_and_sourced_and_names_what_it_is_for() -> None:
    for name, price in TABLE.services.items():
        assert price.source, name
        year_month = date.fromisoformat(price.date if len(price.date) == 10 else f"{price.date}-01")
        assert date(2025, 1, 1) <= year_month <= date(2026, 12, 31), name
        for pattern in price.matches:
            example = pattern.replace("*", "x")
            assert name in (TABLE.find(example), TABLE.find(None, f"{example}#0")), pattern


@pytest.mark.parametrize(
    "model",
    [
        cloud.ANTHROPIC_MODEL,
        cloud.ELEVENLABS_TTS_MODEL,
        cloud.ELEVENLABS_STT_MODEL,
        cloud.DEEPGRAM_MODEL,
        "gpt-realtime-2.1",
        "models/gemini-3.8-live",
        "sonic-3.6",
    ],
)
def test_the_models_that_stacks_use_have_a_price(model: str) -> None:
    assert TABLE.find(model)


@pytest.mark.parametrize("processor", ["EmbeddedSTTService#1", "EmbeddedLLMService#0", "EmbeddedTTSService#12"])
def test_embedded_models_are_free_whatever_their_name(processor: str) -> None:
    name = TABLE.find("local", processor)
    assert name == "embedded"
    assert TABLE.cost(name, Usage(1, 1, 1, 1, 1, 1, 1, 1, 1)) == Cost(0.0)


def test_money_by_unit() -> None:
    assert TABLE.cost("anthropic claude-haiku-5-5", Usage(1e6, 0, 0, 1e6)).usd == pytest.approx(
        2.50 + 0.50, rel=1e-9
    )  # over 100,000 tokens the prompt is dearer
    assert TABLE.cost("anthropic claude-haiku-5-5", Usage(1e5, 0, 0, 1e5)).usd == pytest.approx(0.01 + 0.05)
    assert TABLE.cost("deepgram nova-3", Usage(stt_seconds=90)).usd == pytest.approx(0.0072)
    assert TABLE.cost("elevenlabs flash and turbo", Usage(tts_characters=1500)).usd == pytest.approx(0.075)


@given(usages, usages)
def test_prices_without_steps_add_up(one: Usage, other: Usage) -> None:
    price = Price(
        matches=(), unit="million tokens", usd={"text_in": 3.0, "audio_out": 64.0}, date="2026-01", source="a test"
    )
    together = price.cost("it", one + other)
    apart = price.cost("it", one) + price.cost("it", other)
    assert together.usd == pytest.approx(apart.usd)
    assert together.missing == apart.missing


@given(usages)
def test_what_has_no_price_is_named_and_never_nothing(usage: Usage) -> None:
    assert TABLE.cost("a stranger", usage).missing == {f"a stranger {kind}" for kind in usage.amounts()}
    partly = TABLE.cost("google gemini-3.8-live", usage)
    assert {"google gemini-3.8-live audio_in"} <= partly.missing or not usage.audio_in


GOOD = """
services:
  acme ears:
    matches: [ears-*]
    unit: minute
    usd: {stt_seconds: 0.01}
    date: 2026-01-05
    source: acme.example
"""


def test_a_table_of_ones_own(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    table = prices.load(path)
    assert table.find("ears-2") == "acme ears"
    assert table.services["acme ears"].date == "2026-01-05"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("acme.example", "acme.example\n    colour: red", "services.acme ears.colour is no key here: take it out"),
        ("    source: acme.example\n", "", "services.acme ears.source is missing: add it"),
        ("minute", "hour", "services.acme ears.unit: Input should be 'million tokens', 'minute'"),
        ("0.01", "-0.01", "services.acme ears.usd.stt_seconds: Input should be greater than or equal to 0"),
        ("0.01", ".nan", "services.acme ears.usd.stt_seconds: Input should be a finite number"),
        ("stt_seconds", "text_in", "services.acme ears: text_in is not billed by 'minute': choose stt_seconds"),
        ("{stt_seconds: 0.01}", "{}", "services.acme ears: usd names no price: write one for stt_seconds"),
        ("2026-01-05", "yesterday", "services.acme ears.date: String should match pattern"),
        (
            "minute\n    usd: {stt_seconds: 0.01}",
            "free",
            "services.acme ears: note is missing: say what is not counted",
        ),
        ("services:", "services: [", "is not YAML in line"),
        (GOOD, "", "holds no keys: write at least services:"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError) as error:
        prices.load(path)
    found = str(error.value)
    assert message in found
    assert found.startswith("mine.yaml: " if message.startswith(("is not", "holds")) else "mine.yaml: line ")
    assert "\n" not in str(error.value)


def test_a_missing_table_is_one_line(tmp_path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\): give another file"):
        prices.load(tmp_path / "none.yaml")


# The ledger


def test_each_turn_has_what_was_used_from_its_beginning_to_the_next() -> None:
    ledger = observed(
        MetricsFrame([TTSUsageMetricsData(processor="TTS#0", model="eleven_flash_v2_5", value=50)]),  # the greeting
        UserStartedSpeakingFrame(),
        MetricsFrame([STTUsageMetricsData(processor="STT#0", model="nova-3-general", value=STTUsage(audio_seconds=6))]),
        llm(prompt=1000, out=100, beside=True, cache_creation_input_tokens=800),
        MetricsFrame([TTFBMetricsData(processor="TTS#0", model="eleven_flash_v2_5", value=0.1)]),
        UserStartedSpeakingFrame(),
        llm(prompt=50, out=20, beside=True, cache_read_input_tokens=1900),
    )
    assert ledger.turns == 2
    assert ledger.cost(0).usd == pytest.approx(0.0025)
    assert ledger.cost(1).usd == pytest.approx(0.00048 + (1000 * 0.10 + 800 * 0.125 + 100 * 0.50) / 1e6)
    assert ledger.cost(2).usd == pytest.approx((50 * 0.10 + 1900 * 0.01 + 20 * 0.50) / 1e6)
    assert list(ledger.services(1)) == ["deepgram nova-3", "anthropic claude-haiku-5-5"]


@given(st.lists(st.one_of(st.none(), st.tuples(counts, counts)), max_size=30))
def test_turns_and_services_both_sum_to_the_call(steps: list[tuple[int, int] | None]) -> None:
    ledger = observed(*(UserStartedSpeakingFrame() if step is None else llm(REALTIME, *step) for step in steps))
    whole = ledger.cost().usd
    assert sum(ledger.cost(turn).usd for turn in range(ledger.turns + 1)) == pytest.approx(whole)
    assert sum(cost.usd for _, cost in ledger.services().values()) == pytest.approx(whole)


def test_a_service_without_a_price_is_shown_so() -> None:
    ledger = observed(llm(HAIKU, prompt=1000), llm("some-other-model", prompt=10, out=5))
    assert ledger.without_price() == [
        "no price for some-other-model text_in: add it to prices.yaml",
        "no price for some-other-model text_out: add it to prices.yaml",
    ]
    text = shown(cost.table(ledger))
    assert "no price for some-other-model text_in: add it to prices.yaml" in text
    assert "no price" in next(line for line in text.splitlines() if "10 text in" in line)
    assert "$0.0001 + ?" in next(line for line in text.splitlines() if "in all" in line)
    figures = json.loads(json.dumps(ledger.as_json()))
    assert figures["usd"] is None
    assert figures["usd_at_least"] == pytest.approx(0.0001)
    assert figures["services"]["some-other-model"]["usd"] is None
    assert figures["services"]["anthropic claude-haiku-5-5"]["price_date"] == "2026-10-07"


def test_a_processor_without_a_model_goes_by_its_class() -> None:
    ledger = CostLedger(TABLE)
    assert ledger.add(Usage(tts_characters=1), model=None, processor="StrangeTTS#3").service == "StrangeTTS"
    assert ledger.add(Usage(tts_characters=1), model=None, processor="EmbeddedTTSService#0").cost == Cost(0.0)


def test_what_runs_here_is_shown_to_cost_nothing_and_to_be_local() -> None:
    ledger = CostLedger(TABLE)
    ledger.start_turn()
    ledger.add(Usage(text_in=100), model="qwen", processor="EmbeddedLLMService#0")
    assert (ledger.told(), ledger.told(1), ledger.as_json()["local"]) == ("0 (local)", "0 (local)", True)
    assert "0 (local)" in shown(cost.table(ledger))
    ledger.start_turn()
    ledger.add(Usage(stt_seconds=60), model="nova-3")
    assert (ledger.told(1), ledger.told(2), ledger.told()) == ("0 (local)", "$0.0048", "$0.0048")
    assert ledger.as_json()["local"] is False


def test_a_call_that_used_nothing_costs_nothing() -> None:
    ledger = observed(UserStartedSpeakingFrame())
    assert ledger.cost() == Cost(0.0)
    assert ledger.as_json()["each"] == []
    assert "$0.0000" in shown(cost.table(ledger))


# Projection


def cells() -> dict[tuple[str, float], projection.Projected]:
    return {(row.name, row.minutes): row for row in projection.seed_cells()}


@pytest.mark.parametrize(
    ("name", "minutes", "usd", "within"),
    [
        ("full cascade", 5, 0.75, 0.04),
        ("full cascade", 30, 4.50, 0.04),
        ("native speech to speech", 5, 1.50, 0.005),
        ("native speech to speech", 30, 45.00, 0.005),
    ],
)
def test_the_seeds_four_cells_are_met_under_the_assumptions(
    name: str, minutes: float, usd: float, within: float
) -> None:
    row = cells()[name, minutes]
    assert not row.uncached.missing
    assert row.claim
    assert row.claim.usd == usd
    assert row.uncached.usd == pytest.approx(usd, rel=within)
    assert row.cached.usd < row.uncached.usd


def test_the_earlier_models_four_figures_are_met_to_the_cent() -> None:
    rows = [row for (name, _), row in cells().items() if "earlier" in name]
    assert [(f"{row.uncached.usd:.2f}", f"{row.cached.usd:.2f}") for row in rows] == [
        ("1.29", "0.21"),
        ("42.28", "1.67"),
    ]


def test_every_assumption_says_where_it_is_from() -> None:
    text = shown(projection.assumptions_table())
    for name, model in projection.seed_models().models.items():
        assert name in text
        assert set(model.services.values()) <= set(TABLE.services)
    text = shown(projection.table(projection.seed_cells()))
    assert "$45.00" in text
    assert json.loads(json.dumps([row.as_json() for row in projection.seed_cells()]))[1]["claimed_usd"] == 4.50


shapes = st.builds(
    Shape,
    turns_per_minute=st.floats(0.2, 8),
    instructions=st.floats(0, 5000),
    caller_text=st.floats(0, 200),
    caller_audio=st.floats(0, 200),
    answer_text=st.floats(0, 200),
    answer_audio=st.floats(0, 200),
)


@given(shapes, st.floats(1, 60))
def test_a_longer_call_is_dearer_and_a_cache_makes_none_so(shape: Shape, minutes: float) -> None:
    services: dict[projection.Role, str] = {"llm": "openai gpt-realtime"}
    short, long = (
        project(shape, services, length, cached=False, prices=TABLE).usd for length in (minutes, 2 * minutes)
    )
    assert short <= long
    assert project(shape, services, minutes, cached=True, prices=TABLE).usd <= short * (1 + 1e-9)


@given(shapes, st.integers(0, 200))
def test_a_cache_changes_prices_and_no_token(shape: Shape, turn: int) -> None:
    cold, warm = (shape.request(turn, cached=cached) for cached in (False, True))
    assert warm.text_prompt == pytest.approx(cold.text_prompt)
    assert warm.audio_prompt == pytest.approx(cold.audio_prompt)
    assert warm.out == cold.out


def test_a_service_that_sells_no_cache_costs_the_same_with_one() -> None:
    shape = Shape(turns_per_minute=4, instructions=500, caller_audio=60, answer_audio=120)
    services: dict[projection.Role, str] = {"llm": "google gemini-2.5-flash-native-audio"}
    row = projection.projections("Gemini", shape, services, (5.0,), TABLE)[0]
    assert row.cached.usd == pytest.approx(row.uncached.usd)
    assert not row.cached.missing


def test_what_has_no_price_is_missing_from_a_projection_too() -> None:
    shape = Shape(turns_per_minute=4, caller_audio=60, answer_audio=120)
    row = projection.projections("Gemini", shape, {"llm": "google gemini-3.8-live"}, prices=TABLE)[0]
    assert row.as_json()["uncached_usd"] is None
    assert "no price for google gemini-3.8-live audio_in: add it to prices.yaml" in shown(projection.table([row]))


def held(shape: Shape, turns: int) -> CostLedger:
    """The ledger of a call of that shape with the stack of vendors."""
    ledger = CostLedger(TABLE)
    ledger.add(Usage(tts_characters=40), model="eleven_flash_v2_5")
    for turn in range(turns):
        ledger.start_turn()
        ledger.add(Usage(stt_seconds=shape.stt_seconds_per_minute / shape.turns_per_minute), model="nova-3")
        ledger.add(shape.request(turn, cached=True), model=HAIKU)
        ledger.add(Usage(tts_characters=shape.tts_characters_per_turn), model="eleven_flash_v2_5")
    return ledger


@given(
    instructions=st.floats(1, 5000),
    caller=st.floats(1, 200),
    answer=st.floats(1, 200),
    turns=st.integers(2, 40),
)
def test_a_measured_call_has_the_shape_that_it_was_held_in(
    instructions: float, caller: float, answer: float, turns: int
) -> None:
    shape = Shape(
        turns_per_minute=4,
        instructions=instructions,
        caller_text=caller,
        answer_text=answer,
        stt_seconds_per_minute=60,
        tts_characters_per_turn=90,
    )
    found, services = projection.measured(held(shape, turns), turns / 4)
    assert services == {
        "llm": "anthropic claude-haiku-5-5",
        "stt": "deepgram nova-3",
        "tts": "elevenlabs flash and turbo",
    }
    assert found.turns_per_minute == pytest.approx(4)
    assert found.instructions == pytest.approx(instructions, abs=1e-3)
    assert found.caller_text == pytest.approx(caller, abs=1e-3)
    assert found.answer_text == pytest.approx(answer)
    assert found.stt_seconds_per_minute == pytest.approx(60)
    assert found.requests_per_turn == 1


def test_a_call_asked_twice_a_turn_is_projected_so() -> None:
    ledger = held(Shape(turns_per_minute=4, instructions=100, caller_text=10, answer_text=20), 3)
    for charge in list(ledger.charges):
        if charge.usage.prompt:
            ledger.charges.insert(ledger.charges.index(charge), charge)
    shape, _ = projection.measured(ledger, 1)
    assert shape.requests_per_turn == 2


@pytest.mark.parametrize(("turns", "minutes", "what"), [(1, 1, "1 turns were answered"), (3, 0, "a call of 0 minutes")])
def test_too_short_a_call_cannot_be_projected(turns: int, minutes: float, what: str) -> None:
    with pytest.raises(ProjectionError, match=what):
        projection.measured(held(Shape(turns_per_minute=4, caller_text=10, answer_text=20), turns), minutes)


# A budget


def test_it_warns_once_and_is_spent_once() -> None:
    watch = BudgetWatch(Budget(1.0, warn_at=0.5))
    said = [[notice.event for notice in watch.spent(Cost(usd))] for usd in (0.2, 0.5, 0.9, 1.0, 1.2)]
    assert said == [[], [Event.NEAR], [], [Event.SPENT], []]


def test_who_spends_all_at_once_is_told_once() -> None:
    assert [notice.text for notice in BudgetWatch(Budget(1.0)).spent(Cost(1.5))] == [
        "$1.50 of $1.00 are spent: the call ends"
    ]


def test_what_it_cannot_count_is_named_once() -> None:
    watch = BudgetWatch(Budget(1.0))
    unpriced = Cost(0.0, frozenset({"a stranger text_in"}))
    assert watch.spent(unpriced) == [
        Notice(Event.UNPRICED, "the budget can't count a stranger text_in: add its price to prices.yaml")
    ]
    assert watch.spent(unpriced) == []


@given(st.lists(st.floats(0, 1), max_size=40))
def test_it_is_spent_exactly_when_the_money_is(steps: list[float]) -> None:
    watch, total, events = BudgetWatch(Budget(3.0)), 0.0, []
    for step in steps:
        total += step
        events += [notice.event for notice in watch.spent(Cost(total))]
    assert (Event.SPENT in events) == (total >= 3.0)
    assert len(events) == len(set(events))


def test_a_budget_that_only_warns_ends_nothing() -> None:
    watch = BudgetWatch(Budget(1.0, stop=False))
    (notice,) = watch.spent(Cost(1.0))
    assert notice.text == "$1.00 of $1.00 are spent: the call goes on"
    assert watch.farewell(notice) == []


@pytest.mark.parametrize(
    ("usd", "share"), [(0, 0.8), (-1, 0.8), (float("nan"), 0.8), (float("inf"), 0.8), (1, 0), (1, 2)]
)
def test_a_budget_that_makes_no_sense_is_refused(usd: float, share: float) -> None:
    with pytest.raises(BudgetError):
        Budget(usd, warn_at=share)


class BilledLLM(ScriptedLLM):
    """Answers, and is billed a fixed usage for each."""

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self.start_llm_usage_metrics(
                LLMTokenUsage(prompt_tokens=1000, completion_tokens=500, total_tokens=1500)
            )


class BilledTTS(ToneTTS):
    """Sings, and says what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.given.append(text)
        await self.start_tts_usage_metrics(text)
        async for frame in super().run_tts(text, context_id):
            yield frame


PER_ANSWER = (1000 * 1.0 + 500 * 2.0) / 1e6
SCRIPTED = Prices(
    services={
        "scripted mind": Price(
            matches=("scripted",),
            unit="million tokens",
            usd={"text_in": 1.0, "text_out": 2.0},
            date="2026-01",
            source="a test",
        ),
        "tone": Price(matches=("tone",), unit="free", date="2026-01", source="a test", note="it is a tone"),
    }
)


class Held:
    """A real pipeline with a budget, from the LLM to a loudspeaker in memory."""

    def __init__(self, budget: Budget) -> None:
        self.heard = bytearray()
        self.voice = BilledTTS()
        self.notices: list[Notice] = []
        self.news = asyncio.Event()
        self.ledger = CostLedger(SCRIPTED)
        transport = MemoryTransport(lambda pcm, at: self.heard.extend(pcm))
        self.worker = PipelineWorker(
            Pipeline([BilledLLM("Yes."), self.voice, transport.output()]),
            params=PipelineParams(audio_out_sample_rate=24000, enable_usage_metrics=True),
            enable_rtvi=False,
        )
        keeper = BudgetKeeper(budget, self.ledger, self.worker.queue_frame, self._note)
        self.worker.add_observer(CostObserver(self.ledger, self._then_news(keeper)))

    def _note(self, notice: Notice) -> None:
        self.notices.append(notice)

    def _then_news(self, keeper: BudgetKeeper):
        async def charged(charge: cost.Charge) -> None:
            await keeper.charged(charge)
            self.news.set()

        return charged

    async def turn(self) -> None:
        """The caller speaks and is answered; back when all of it is in the ledger."""
        before = len(self.ledger.charges)
        await self.worker.queue_frames([UserStartedSpeakingFrame(), LLMContextFrame(LLMContext())])
        while len(self.ledger.charges) < before + 2:
            self.news.clear()
            await self.news.wait()


async def ends_by_itself(held: Held, turns: int, *, interrupt: bool = False) -> None:
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(held.worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            for _ in range(turns):
                await held.turn()
            if interrupt:
                await held.worker.queue_frame(InterruptionFrame())
            await running
    finally:
        if not running.done():
            await held.worker.cancel()
            await running


@pytest.mark.parametrize("interrupt", [False, True])
async def test_a_call_that_has_spent_its_budget_ends_with_a_spoken_goodbye(interrupt: bool) -> None:
    held = Held(Budget(2 * PER_ANSWER, warn_at=0.5, goodbye="Farewell now."))
    await ends_by_itself(held, 2, interrupt=interrupt)
    assert held.voice.given[:2] == ["Yes.", "Yes."]
    assert held.voice.given[-1] == "Farewell now."
    assert [notice.event for notice in held.notices] == [Event.NEAR, Event.SPENT]
    assert held.ledger.turns == 2
    assert held.ledger.cost().usd == pytest.approx(2 * PER_ANSWER)
    assert held.ledger.services()["tone"][0].tts_characters == len("Yes.Yes.Farewell now.")
    assert len(held.heard) >= 2 * 24000 * 0.25 * 2  # the two words of the goodbye, 16 bits a sample


def test_the_goodbye_is_our_own_and_no_interruption_takes_it_away() -> None:
    watch = BudgetWatch(Budget(1.0, goodbye="Farewell."))
    (notice,) = watch.spent(Cost(1.0))
    goodbye, _ = watch.farewell(notice)
    assert isinstance(goodbye, TTSSpeakFrame)
    assert not goodbye.append_to_context
    assert not goodbye.interruptible
    assert len(BudgetWatch(Budget(1.0)).farewell(notice)) == 1


async def test_the_goodbye_is_of_whoever_speaks_when_all_is_spent() -> None:
    queued: list[Frame] = []
    speaks = "Ferni says goodbye."

    async def queue(frame: Frame) -> None:
        queued.append(frame)

    ledger = CostLedger(SCRIPTED)
    keeper = BudgetKeeper(Budget(1e-9), ledger, queue, lambda notice: None, goodbye=lambda: speaks)
    speaks = "Maya says goodbye."
    await keeper.charged(ledger.add(Usage(text_out=100), model="scripted"))
    assert [type(frame) for frame in queued] == [TTSSpeakFrame, EndFrame]
    assert isinstance(queued[0], TTSSpeakFrame)
    assert queued[0].text == speaks
