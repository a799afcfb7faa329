"""The output guard, sentence pieces and the door to the voice: what goes through, in which frames."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    SpeechOutputAudioRawFrame,
    TextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails import Decision, Policy
from guardrails.judging import Scores, use
from processors.guarding.frames import (
    GenerationStoppedFrame,
    GuardFrame,
    HandOverFrame,
    RefusedFrame,
    UnclearedTextFrame,
    clear,
    is_cleared,
)
from processors.guarding.guards import Guards
from processors.guarding.sentences import Sentences
from tests.guarded import HIDDEN, personal, policy, terms
from tests.harness import Bench, on_the_bench, on_virtual_time

FALLBACK = "Let us talk of something else."
CARD = "4111 1111 1111 1111"


@dataclass
class Answers:
    """An output guard on the bench, and the ears behind the loudspeaker."""

    guard: Bench
    ears: Bench
    guards: Guards
    frames: list[Frame] = field(default_factory=list)

    async def write(self, *tokens: str) -> None:
        """The model writes."""
        await self.guard.give(*map(UnclearedTextFrame, tokens))

    async def answer(self, *tokens: str) -> str:
        """The model writes a whole answer.

        Returns:
            What was let through of it.
        """
        await self.guard.give(LLMFullResponseStartFrame())
        await self.write(*tokens)
        await self.guard.give(LLMFullResponseEndFrame())
        return self.let_out()

    def let_out(self) -> str:
        """What was let through since this was last called."""
        texts = self.guard.take(LLMTextFrame)
        assert all(map(is_cleared, texts))
        return "".join(text.text for text in texts)

    async def hear(self, words: Iterable[str]) -> None:
        """Words leave the loudspeaker."""
        await self.ears.give(*(TTSTextFrame(word, "word") for word in words))


@asynccontextmanager
async def answers(rules: Policy) -> AsyncIterator[Answers]:
    guards = Guards(rules, LLMContext())
    async with on_the_bench(guards.output()) as guard, on_the_bench(guards.ears()) as ears:
        yield Answers(guard, ears, guards)


# --- answers ---


@on_virtual_time()
async def test_tokens_come_as_they_are_cleared_between_the_answers_ends() -> None:
    async with answers(policy(personal("card"))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("Your ", "card ", "is 41")
        assert held.let_out() == "Your card is "
        await held.write("11 1111 ", "1111 1111", ", sir.")
        await held.guard.give(LLMFullResponseEndFrame())
        kinds = [type(frame) for frame, _ in held.guard.pushed]
        assert (kinds[0], kinds[-1]) == (LLMFullResponseStartFrame, LLMFullResponseEndFrame)
        assert held.let_out() == f"{HIDDEN}, sir."


@on_virtual_time()
async def test_cleared_text_is_spoken_shown_and_remembered_like_what_it_comes_from() -> None:
    async with answers(policy(terms("secret"))) as held:
        await held.guard.give(UnclearedTextFrame("Hello there.", skip_tts=True, append_to_context=False))
        await held.guard.give(LLMFullResponseEndFrame())
        first, *_ = held.guard.take(LLMTextFrame)
        assert (first.skip_tts, first.append_to_context, first.includes_inter_frame_spaces) == (True, False, True)


@on_virtual_time()
async def test_nothing_tells_of_the_words_that_a_rule_acted_on() -> None:
    async with answers(policy(terms("swordfish"))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("The word is sword", "fish.")
        await held.guard.give(LLMFullResponseEndFrame())
        (report,) = [frame for frame, _ in held.guard.pushed if isinstance(frame, GuardFrame)]
        assert (report.rule, report.action, report.direction, report.characters) == ("rule-0", "redact", "said", 9)
        assert not any("swordfish" in repr(frame) + str(frame) for frame, _ in held.guard.pushed)
    assert "swordfish" not in f"{UnclearedTextFrame('swordfish')!r} {UnclearedTextFrame('swordfish')}"


@on_virtual_time()
async def test_a_stop_says_something_else_and_has_the_model_stop_but_nobody_else() -> None:
    async with answers(policy(terms("bomb", action="stop", text=""))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("First you take a bomb", ", then")
        up = [frame for frame, direction in held.guard.pushed if direction is FrameDirection.UPSTREAM]
        assert [type(frame) for frame in up] == [GenerationStoppedFrame]
        assert held.let_out() == f"First you take a … {FALLBACK}"
        await held.write(" you light it.")
        await held.guard.give(LLMFullResponseEndFrame())
        assert held.let_out() == ""
        assert len(held.guard.take(GenerationStoppedFrame)) == 1
        assert await held.answer("It is fine.") == "It is fine."


@pytest.mark.parametrize(("action", "kind"), [("hand_over", HandOverFrame), ("end_call", EndWorkerFrame)])
@pytest.mark.parametrize("interrupted", [False, True])
@on_virtual_time()
async def test_what_is_to_happen_comes_behind_the_words_and_also_if_they_are_cut_off(
    action: str, kind: type[HandOverFrame | EndWorkerFrame], interrupted: bool
) -> None:
    async with answers(policy(terms("suicide", action=action, text="Please hold."))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("You mean suicide", ".")
        assert not held.guard.take(kind)
        await held.guard.give(InterruptionFrame() if interrupted else LLMFullResponseEndFrame())
        (last, direction) = held.guard.pushed[-1]
        assert isinstance(last, kind)
        assert direction is FrameDirection.DOWNSTREAM
        assert not last.interruptible
        await held.guard.give(LLMFullResponseEndFrame())
        assert len(held.guard.take(kind)) == 1


@on_virtual_time()
async def test_a_guard_that_breaks_says_the_fallback_and_is_reported_without_words() -> None:
    class Broken:
        labels = ("toxicity",)

        def score(self, text: str) -> Scores:
            raise MemoryError(text)

    rules = policy({"kind": "toxicity", "judge": "toxicity", "action": "stop", "text": "Sorry."})
    use("toxicity", Broken())
    try:
        async with answers(rules) as held:
            said = await held.answer("You are ", "an angel. ", "Truly.")
            assert said == FALLBACK
            reports = held.guard.take(GuardFrame)
            assert [(report.rule, report.failure) for report in reports] == [("guard", "JudgeError")]
    finally:
        use("toxicity", None)


@on_virtual_time()
async def test_a_refusal_is_said_in_place_of_an_answer_and_not_reported_twice() -> None:
    async with answers(policy(terms("secret"))) as held:
        decision = Decision("other-orders", "refuse", "I can't do that.", 0, 5)
        await held.guard.give(LLMFullResponseStartFrame(), RefusedFrame(decision), LLMFullResponseEndFrame())
        assert held.let_out() == "I can't do that."
        assert not held.guard.take(GuardFrame)
        assert not held.guard.take(GenerationStoppedFrame)


# --- interruptions: only what was heard counts ---


@pytest.mark.parametrize(
    ("heard", "then"),
    [
        ("My pin is 4111 1111", f"{HIDDEN} it is."),
        ("My pin", "1111 1111 it is."),
    ],
)
@on_virtual_time()
async def test_a_number_that_goes_on_after_an_interruption_is_known_by_what_was_heard_of_it(
    heard: str, then: str
) -> None:
    async with answers(policy(personal("card"))) as held:
        assert await held.answer("My pin is 4111 1111, and that is all there is of it.")
        await held.hear(heard.split())
        await held.guard.give(InterruptionFrame())
        assert await held.answer("1111 1111 it is.") == then


@on_virtual_time()
async def test_words_that_leave_the_loudspeaker_with_the_interruption_count_as_heard() -> None:
    async with answers(policy(personal("card"))) as held:
        await held.answer("4111 1111, then.")
        await held.hear(["4111"])
        await held.guard.give(InterruptionFrame())
        await held.hear(["1111,"])
        assert await held.answer("1111 1111.") == f"{HIDDEN}."


@on_virtual_time()
async def test_what_is_held_back_at_an_interruption_is_never_said() -> None:
    async with answers(policy(personal("card"))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("It is 4111 1111 1111 1")
        held.let_out()
        await held.guard.give(InterruptionFrame(), LLMFullResponseEndFrame())
        assert held.let_out() == ""
        assert await held.answer("Good morning.") == "Good morning."


@on_virtual_time()
async def test_a_filler_within_an_answer_changes_nothing_about_what_was_heard_before_it() -> None:
    async with answers(policy(personal("card"))) as held:
        await held.guard.give(LLMFullResponseStartFrame())
        await held.write("It begins with 4111 1111. ")
        await held.guard.give(TTSSpeakFrame("One moment."))
        await held.write("And so on.")
        await held.guard.give(LLMFullResponseEndFrame())
        await held.hear("It begins with 4111 1111.".split())
        await held.guard.give(InterruptionFrame())
        held.let_out()
        assert await held.answer("1111 1111.") == f"{HIDDEN}."


@on_virtual_time()
async def test_what_has_to_be_said_is_said_again_where_it_was_cut_off() -> None:
    warned = "Investments can lose value."
    rules = policy({"kind": "disclosure", "action": "say_first", "text": warned, "before": ["stocks"]})
    async with answers(rules) as held:
        assert await held.answer("Stocks are up.") == f"{warned} Stocks are up."
        await held.hear("Investments can".split())
        await held.guard.give(InterruptionFrame())
        assert await held.answer("Stocks it is.") == f"{warned} Stocks it is."
        await held.hear(f"{warned} Stocks".split())
        await held.guard.give(InterruptionFrame())
        assert await held.answer("Stocks are nice.") == "Stocks are nice."


# --- words by themselves ---


@pytest.mark.parametrize(
    "frame",
    [
        TTSSpeakFrame("The word is swordfish.", append_to_context=False),
        AggregatedTextFrame("The word is swordfish.", "sentence", raw_text="The word is *swordfish*."),
    ],
    ids=["speak", "aggregated"],
)
@on_virtual_time()
async def test_words_by_themselves_pass_the_guard_and_stay_what_they_were(
    frame: TTSSpeakFrame | AggregatedTextFrame,
) -> None:
    async with answers(policy(terms("swordfish"))) as held:
        await held.guard.give(frame)
        (said,) = held.guard.take(type(frame))
        assert said.text == f"The word is {HIDDEN}."
        assert getattr(said, "raw_text", said.text) == said.text
        assert said.append_to_context == frame.append_to_context
        assert is_cleared(said)


# --- pieces ---


@on_virtual_time()
async def test_pieces_of_cleared_text_are_cleared_and_no_others() -> None:
    async with on_the_bench(Sentences()) as bench:
        text = LLMTextFrame("This is a sentence. ")
        clear(text)
        passing = AggregatedTextFrame("I come from nowhere.", "sentence")
        await bench.give(LLMFullResponseStartFrame(), text, passing, LLMFullResponseEndFrame())
        pieces = bench.take(AggregatedTextFrame)
        assert {piece.text: is_cleared(piece) for piece in pieces} == {"This is a sentence.": True, passing.text: False}
        await bench.give(LLMFullResponseStartFrame(), LLMTextFrame("Nobody cleared me. "), LLMFullResponseEndFrame())
        assert [is_cleared(piece) for piece in bench.take(AggregatedTextFrame)] == [False]


# --- the door ---


class Voice(FrameProcessor):
    """Keeps what it is given to say."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, (TTSSpeakFrame, TextFrame)):
            self.given.append(frame.text)
        elif isinstance(frame, (TTSAudioRawFrame, SpeechOutputAudioRawFrame)):
            self.given.append("audio")
        await self.push_frame(frame, direction)


@asynccontextmanager
async def door(rules: Policy) -> AsyncIterator[tuple[Bench, list[str]]]:
    voice = Voice()
    Guards(rules, LLMContext()).keep(voice)
    async with on_the_bench(voice) as bench:
        yield bench, voice.given


@pytest.mark.parametrize(
    ("kind", "direction"),
    list(
        itertools.product(
            (TTSSpeakFrame, TextFrame, LLMTextFrame, lambda text: AggregatedTextFrame(text, "sentence")),
            (FrameDirection.DOWNSTREAM, FrameDirection.UPSTREAM),
        )
    ),
)
@on_virtual_time()
async def test_what_nobody_has_cleared_passes_the_guard_at_the_door(
    kind: type[TextFrame], direction: FrameDirection
) -> None:
    async with door(policy(terms("swordfish"))) as (bench, given):
        await bench.give(kind("It is swordfish."), direction=direction)
        assert given == [f"It is {HIDDEN}."]
        assert [report.rule for report in bench.take(GuardFrame)] == ["rule-0"]


@on_virtual_time()
async def test_what_is_changed_after_it_was_cleared_is_cleared_no_more() -> None:
    async with door(policy(terms("swordfish"))) as (bench, given):
        frame = AggregatedTextFrame("It is nothing.", "sentence")
        clear(frame)
        await bench.give(frame)
        frame.text = "It is swordfish."
        await bench.give(frame)
        assert given == ["It is nothing.", f"It is {HIDDEN}."]


@on_virtual_time()
async def test_speech_that_somebody_else_has_made_is_not_let_through_and_words_of_the_caller_are() -> None:
    async with door(policy(terms("swordfish"))) as (bench, given):
        await bench.give(TTSAudioRawFrame(b"\0\0", 24000, 1), SpeechOutputAudioRawFrame(b"\0\0", 24000, 1))
        assert given == []
        await bench.give(TranscriptionFrame("Is it swordfish?", "", ""))
        assert given == ["Is it swordfish?"]


@on_virtual_time()
async def test_a_call_that_is_to_end_ends_also_by_words_at_the_door() -> None:
    async with door(policy(terms("bomb", action="end_call", text="Goodbye."))) as (bench, given):
        await bench.give(TTSSpeakFrame("A bomb."))
        assert given == ["A … Goodbye."]
        assert len(bench.take(EndWorkerFrame)) == 1
