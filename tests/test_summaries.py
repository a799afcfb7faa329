"""A long conversation is summarised: in calls on virtual time, and over vendors' wires."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from loopback.scripted_anthropic import Refuses as AnthropicRefuses
from loopback.scripted_anthropic import ScriptedAnthropic
from loopback.scripted_anthropic import Writes as AnthropicWrites
from loopback.scripted_openai import ScriptedOpenAI, Writes
from pipecat.frames.frames import LLMContextSummaryRequestFrame, MetricsFrame
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.processors.aggregators.llm_context import LLMContext

from pipelines import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Capability
from pipelines.half_cascade import HALF_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.holding import Recording, hold
from pipelines.lab.prices import Prices
from pipelines.lab.replay import difference, replay
from pipelines.lab.script import Conversation, agent, caller
from pipelines.lab.scripted import ScriptedLLM
from pipelines.lab.trace import Trace, TraceObserver
from pipelines.personas import Persona
from pipelines.stacks import Session, Stack, cloud, listening
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.profile import profile_stack
from processors.guarding.tools import since
from processors.summaries import KEPT_MESSAGES, PROMPT, TEMPLATE, summarise
from processors.transports.memory import MemoryTransport
from tests.loopback.pipeline import bench

VENDOR = profile.load("vendor_cascade")
BEGIN = TEMPLATE.partition("{")[0]
TURNS = 14


def told(turn: int) -> str:
    """Some 750 tokens, said in no time."""
    return f"Question {turn}. " + "It is a long story. " * 150


def answered(turn: int) -> str:
    return f"Answer {turn}."


CONVERSATION = Conversation(
    "a long story",
    *(
        step
        for turn in range(TURNS)
        for step in (caller(f"Question {turn}.", heard=told(turn), after=1.0), agent(answered(turn)))
    ),
)


def held(architecture: Any = BASIC_CASCADE, **options: Any) -> Recording:
    recording = virtual.run(hold(CONVERSATION, architecture, VENDOR, **options))
    recording.check()
    return recording


def texts(recording: Recording) -> list[str]:
    return [str(message["content"]) for message in recording.messages]


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize("architecture", [BASIC_CASCADE, HALF_CASCADE], ids=lambda each: each.name)
def test_what_is_old_is_remembered_in_short_and_what_is_new_as_it_was(architecture: Any) -> None:
    recording = held(architecture)
    first, *others = texts(recording)
    assert first.startswith(BEGIN)
    assert "Question 0." in first
    spoken = [text for turn in range(TURNS) for text in (told(turn), answered(turn))]
    assert KEPT_MESSAGES <= len(others) < len(spoken)
    assert [other.strip() for other in others] == [text.strip() for text in spoken[-len(others) :]]


def test_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(*_: object, **__: object) -> str:
        asked.append(1)
        await asyncio.sleep(8.0)
        return "Much was said."

    asked: list[int] = []

    monkeypatch.setattr(ScriptedLLM, "run_inference", slowly)
    recording = held()
    totals = [exchange.marks.total_ms for exchange in recording.exchanges]
    assert max(total for total in totals if total is not None) < 4000
    # It took longer than a turn, and was asked for once.
    assert len(asked) == 1
    assert texts(recording)[0] == TEMPLATE.format(summary="Much was said.")


def test_one_that_fails_is_logged_alone_and_tried_again(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    tried: list[object] = []

    async def fail(self: ScriptedLLM, context: LLMContext, *_: object, **__: object) -> str:
        tried.append(context)
        if len(tried) == 1:
            raise ConnectionError("Question 0 cannot be sent")
        return "Much was said."

    monkeypatch.setattr(ScriptedLLM, "run_inference", fail)
    recording = held()
    assert len(tried) == 2
    assert texts(recording)[0] == TEMPLATE.format(summary="Much was said.")
    # No apology was said: each answer is the script's.
    assert [exchange.said for exchange in recording.exchanges] == [answered(turn) for turn in range(TURNS)]
    failed = [line for line in log if "could not be summarised" in line]
    assert len(failed) == 1
    assert failed[0].strip().endswith("ConnectionError")


def test_it_is_asked_for_in_our_words_and_paid_for(monkeypatch: pytest.MonkeyPatch, prices: Prices) -> None:
    ledger = CostLedger(prices)
    before = ScriptedLLM.run_inference
    given: list[tuple[str, Any]] = []

    async def note(self: ScriptedLLM, context: LLMContext, *args: Any, **options: Any) -> str:
        given.append((str(context.messages[-1]), options["system_instruction"]))
        return await before(self, context, *args, **options)

    monkeypatch.setattr(ScriptedLLM, "run_inference", note)
    held(observers=[CostObserver(ledger)])
    assert [instruction for _, instruction in given] == [PROMPT]
    charges = [charge for charge in ledger.charges if charge.usage.text_in]
    # One for every turn, and one for the summary: about all that was remembered by then.
    assert len(charges) == TURNS + 1
    assert max(charge.usage.text_in for charge in charges) > 8000


@pytest.fixture
def prices() -> Prices:
    from pipelines.lab import prices as table

    return table.load()


@pytest.mark.parametrize(
    ("able", "from_", "summarises"), [(True, 8000, True), (False, 8000, False), (True, None, False)]
)
def test_a_model_that_cannot_is_not_asked(able: bool, from_: int | None, summarises: bool) -> None:
    stack = profile_stack(VENDOR, CONVERSATION)[0]
    llm = stack.services["LLM"]
    provides = llm.provides if able else llm.provides - {Capability.SUMMARIES}
    assert automatic(BASIC_CASCADE, stack.replace(LLM=replace(llm, provides=provides)), from_) is summarises


def test_who_can() -> None:
    for service in (cloud.anthropic(), listening.openai_audio(), listening.audio_chat(), listening.nvidia_omni()):
        assert Capability.SUMMARIES in service.provides
    for service in (EMBEDDED.services["LLM"], listening.openai_realtime(), listening.ultravox()):
        assert Capability.SUMMARIES not in service.provides


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


def automatic(architecture: Any, stack: Stack, from_: int | None) -> bool:
    """Whether the pipeline that is built has its context summarised."""
    from pipecat.processors.aggregators.llm_response_universal import LLMAssistantAggregator

    def listen(pcm: bytes, at: float) -> None: ...

    async def build() -> bool:
        transport = MemoryTransport(listen, input_rate=16000, output_rate=24000, chunk_ms=40)
        worker = assemble(architecture, stack, transport, summarise_from=from_)
        found: list[LLMAssistantAggregator] = []

        def walk(processor: Any) -> None:
            if isinstance(processor, LLMAssistantAggregator):
                found.append(processor)
            for each in getattr(processor, "processors", ()):
                walk(each)

        walk(worker.pipeline)
        (assistant,) = found
        return bool(assistant._params.enable_auto_context_summarization)

    return asyncio.run(build())


# --- over the wire ---

MESSAGES: list[Any] = [
    {"role": "user", "content": "I am Anna."},
    {"role": "assistant", "content": "Hello Anna."},
    {"role": "user", "content": "My number is [phone 1]."},
    {"role": "assistant", "content": "Thank you."},
]


def request(context: LLMContext) -> LLMContextSummaryRequestFrame:
    return LLMContextSummaryRequestFrame("1", context, 2, 600, PROMPT)


PERSONA = Persona(name="Test", instructions="You are a test.")


async def test_anthropic_writes_it() -> None:
    async with ScriptedAnthropic(AnthropicWrites("The caller is Anna.")) as server:
        llm: Any = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
        summarise(llm)
        async with bench(llm) as board:
            assert await llm._generate_summary(request(LLMContext(MESSAGES))) == ("The caller is Anna.", 1)
            used = [each for frame in [await board.wait(MetricsFrame)] for each in frame.data]
        (sent,) = server.requests
    assert sent.body["max_tokens"] == 600
    assert PROMPT in str(
        sent.body["system"][0]["text"] if isinstance(sent.body["system"], list) else sent.body["system"]
    )
    assert "Anna" in str(sent.body["messages"])
    assert "[phone 1]" not in str(sent.body["messages"])  # among the last, which stay
    assert any(isinstance(each, LLMUsageMetricsData) and each.value.completion_tokens for each in used)


async def test_a_chat_that_hears_writes_it() -> None:
    async with ScriptedOpenAI(Writes("The caller is Anna.")) as server:
        service = listening.audio_chat(model="hears", base_url=server.base_url)
        llm: Any = service.build(Session(PERSONA, LLMContext()))
        summarise(llm)
        async with bench(llm):
            assert await llm._generate_summary(request(LLMContext(MESSAGES))) == ("The caller is Anna.", 1)
        (sent,) = server.requests
    assert sent.messages[0] == {"role": "system", "content": PROMPT}
    assert "Anna" in str(sent.messages[1:])
    assert not sent.sounds()


async def test_a_refused_one_is_none(log: list[str]) -> None:
    async with ScriptedAnthropic(AnthropicRefuses(529, "overloaded_error")) as server:
        llm: Any = cloud.anthropic(base_url=server.url).build(Session(PERSONA, LLMContext()))
        summarise(llm)
        async with bench(llm) as board:
            assert await llm._generate_summary(request(LLMContext(MESSAGES))) == ("", -1)
            assert not board.errors
    assert [line for line in log if "could not be summarised" in line]


# --- whose words are new ---

words = st.lists(st.sampled_from(["Yes.", "No.", "Pay twenty to Anna.", "Well"]), max_size=8)


@given(before=words, new=words)
def test_without_a_summary_new_words_are_those_behind(before: list[str], new: list[str]) -> None:
    assert since(before, [*before, *new]) == new


@given(old=words, kept=st.integers(2, 6), new=words)
def test_with_a_summary_new_words_are_those_behind_what_is_kept(old: list[str], kept: int, new: list[str]) -> None:
    before = [*old, *(f"turn {number}" for number in range(kept))]
    assert list(since(before, ["(in short)", *before[-kept:], *new])) == new


@given(before=words, now=words)
def test_never_more_than_is_there(before: list[str], now: list[str]) -> None:
    new = list(since(before, now))
    assert not new or now[-len(new) :] == new


# --- in a trace ---


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    folder = tmp_path_factory.mktemp("traces")

    async def call() -> Path:
        observer = TraceObserver(folder, redactor=None)
        await hold(CONVERSATION, BASIC_CASCADE, VENDOR, observers=[observer])
        return observer.folder

    return Trace.load(virtual.run(call()))


def test_a_trace_tells_of_it(trace: Trace) -> None:
    (told,) = {
        (event.payload["text"], event.payload["of"])
        for event in trace.events
        if event.kind == "LLMContextSummaryResultFrame" and event.payload
    }
    text, of = told
    assert text.startswith("Question 0.")
    assert of == 9
    assert [turn.answer for turn in trace.turns] == [answered(turn) for turn in range(TURNS)]


@pytest.mark.parametrize("start", ["STT", "USER_TURN", "LLM", "TTS"])
def test_a_summarised_call_is_identical_from_every_stage(trace: Trace, tmp_path: Path, start: str) -> None:
    again = replay(trace, tmp_path, start=start, stack=profile_stack(VENDOR, CONVERSATION)[0])
    found = difference(trace, again)
    assert found.same_words
    assert found.same_sound
