"""What tags say stays with the text it is for: through the guard, whatever that keeps back and changes, and between
the pieces that are spoken; and no tag is ever seen behind the stage that takes it out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from guardrails import Decision, Policy
from guardrails.stream import STOPS, StreamGuard
from processors.embedded.tts import EmbeddedTTSSettings
from processors.guarding.frames import RefusedFrame, UnclearedTextFrame, is_cleared
from processors.guarding.guards import Guards
from processors.guarding.marks import Marks
from processors.guarding.sentences import Sentences
from processors.speaking.deliver import Deliver
from processors.speaking.delivery import Delivery
from processors.speaking.director import Director, rules
from processors.speaking.frames import DeliveryTagFrame
from processors.speaking.lowering import lower
from processors.speaking.styles import shipped
from processors.speaking.tagging import Tagging
from processors.speaking.tags import Pause
from tests.guarded import HIDDEN, patterns, personal, policy, split, terms
from tests.harness import Bench, on_the_bench, on_virtual_time

FALLBACK = "Let us talk of something else."
OWN = EmbeddedTTSSettings()
CALM, WARM, URGENT = map(shipped().named, ("calm", "warm", "urgent"))
NONE = policy(terms("swordfish"))

# --- the place of marks in a guarded text ---

POLICIES = {
    "redact": policy(terms("five")),
    "cut, too": policy(terms("five", action="cut_sentence"), terms("three")),
    "two words": policy(terms("five six")),
    "card": policy(personal("card")),
    "cut": policy(terms("five", action="cut_sentence")),
    "replace": policy(terms("five", action="replace_sentence")),
    "stop": policy(terms("five", action="stop", text="")),
    "say first": policy(
        {"kind": "disclosure", "action": "say_first", "text": "Prices change.", "before": ["seven nine"]}
    ),
}
WORDS = "zero one two three four five six seven eight nine ten eleven".split()


def marked(rules: Policy, text: str, at: Sequence[int], cuts: Sequence[int]) -> tuple[list[str | int], str]:
    """What a guard lets out of a text with marks, each a place in it, and what it lets out of the same without."""
    guard, marks, out = StreamGuard(rules), Marks[int](), list[str | int]()

    def take(said: str) -> None:
        stop = next((decision for decision in guard.take() if decision.action in STOPS), None)
        out.extend(marks.broken_off(said, stop.text, -1) if stop else marks.placed(said, guard.held))

    begin = 0
    for end in sorted({*at, *cuts, len(text)}):
        if begin < end and not guard.stopped:
            marks.feed(text[begin:end])
            take(guard.feed(text[begin:end]))
        if end in at and not guard.stopped:
            marks.put(end)
            take("")
        begin = end
    take(guard.finish())
    plain = StreamGuard(rules)
    return out, plain.feed(text) + plain.finish()


TEXTS = st.lists(
    st.sampled_from([*WORDS, "4111 1111 1111 1111", "5500 0055 5555 5559", "\n", "-" * 15]), max_size=14, unique=True
).map(lambda words: re.sub(r"(six|nine)", r"\1.", " ".join(words)))


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_marks_leave_the_text_as_it_is_and_come_in_order_and_never_early(name: str, text: str, data: st.DataObject):
    starts = [match.start() for match in re.finditer(r"\S+", text)] or [0]
    at = data.draw(st.lists(st.sampled_from(starts), unique=True, max_size=4))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    out, plain = marked(POLICIES[name], text, at, cuts)
    assert "".join(part for part in out if isinstance(part, str)) == plain
    found = [part for part in out if isinstance(part, int) and part >= 0]
    assert found == sorted(found)
    if -1 not in out:
        assert found == sorted(at)
    for mark in found:
        before = "".join(part for part in out[: out.index(mark)] if isinstance(part, str))
        if plain == text:
            assert before == text[:mark]
        else:
            # Of what was written before a mark, what is said at all is said before it.
            assert words(text[:mark]) & words(plain) <= words(before)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("We have |three of one.", ["We have ", 8, "three of one."]),
        ("|We have five of one.", [0, f"We have {HIDDEN} of one."]),
        ("We have |five of one.", ["We have ", 8, f"{HIDDEN} of one."]),
        ("We have five |of one.", [f"We have {HIDDEN} ", 13, "of one."]),
        ("We have five of |one.", [f"We have {HIDDEN} of ", 16, "one."]),
        ("We |have five |of one.", ["We ", 3, f"have {HIDDEN} ", 13, "of one."]),
    ],
)
def test_a_mark_stands_where_it_stood_next_to_what_was_replaced(text: str, out: list[str | int]) -> None:
    written, at = text.replace("|", ""), []
    for bar in re.finditer(r"\|", text):
        at.append(bar.start() - len(at))
    for cuts in ([], [*range(len(written))], [10], [3, 11, 14]):
        parts, _ = marked(POLICIES["redact"], written, at, cuts)
        joined: list[str | int] = []
        for part in parts:
            if joined and isinstance(part, str) and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part)
        assert joined == out


def test_halves_of_characters_count_once() -> None:
    guard, marks = StreamGuard(policy(patterns("🎉🎉 five"))), Marks[int]()
    text = "\ud83c\udf89\ud83c\udf89 six"
    said: list[str | int] = []
    for at, char in enumerate(text):
        if at == 5:
            marks.put(at)
        marks.feed(char)
        said += marks.placed(guard.feed(char), guard.held)
    said += marks.placed(guard.finish(), 0)
    whole = [part if isinstance(part, int) else "".join(part) for part in said]
    at = whole.index(5)
    assert "".join(map(str, whole[:at])) in ("🎉🎉 ", "🎉🎉 s")


# --- through the stages ---


@dataclass
class Stages:
    """TAGS, OUTPUT_GUARD, SENTENCES and DELIVERY, one behind the other."""

    benches: list[Bench]

    async def give(self, *frames: Frame) -> list[Frame]:
        """What comes out at the end, in order."""
        passing = [*frames]
        for bench in self.benches:
            await bench.give(*passing)
            passing = [frame for frame, direction in bench.pushed if direction is FrameDirection.DOWNSTREAM]
            bench.pushed.clear()
        return passing

    async def answer(self, *tokens: str) -> list[str | Delivery]:
        """What the voice is given of an answer."""
        out = await self.give(LLMFullResponseStartFrame(), *map(UnclearedTextFrame, tokens), LLMFullResponseEndFrame())
        return told(out)


@asynccontextmanager
async def stages(rules_: Policy = NONE, low: Delivery | None = None) -> AsyncIterator[Stages]:
    director = Director(rules(), *(() if low is None else (low,)))
    made = [Tagging(), Guards(rules_, LLMContext()).output(), Sentences(), Deliver(director, lambda: OWN)]
    async with AsyncExitStack() as stack:
        yield Stages([await stack.enter_async_context(on_the_bench(each)) for each in made])


WAYS = {repr(lower(way, OWN)): way for way in (Delivery(), CALM, WARM, URGENT)}


def told(frames: Sequence[Frame]) -> list[str | Delivery]:
    """What a voice is given: texts, and ways as their settings tell them."""
    found: list[str | Delivery] = []
    for frame in frames:
        assert not isinstance(frame, DeliveryTagFrame)
        if isinstance(frame, TTSUpdateSettingsFrame):
            found.append(WAYS[repr(frame.delta)])
        elif isinstance(frame, AggregatedTextFrame | TTSSpeakFrame):
            assert is_cleared(frame) or isinstance(frame, TTSSpeakFrame)
            found.append(frame.text)
    return found


@on_virtual_time()
async def test_each_sentence_is_said_as_its_tag_says() -> None:
    async with stages() as held:
        assert await held.answer("<warm>Of course. <ur", "gent>Please leave now! </>Thank ", "you.") == [
            WARM,
            "Of course.",
            URGENT,
            "Please leave now!",
            Delivery(),
            "Thank you.",
        ]


@on_virtual_time()
async def test_the_voice_is_told_at_the_tag_and_not_when_the_sentence_is_complete() -> None:
    async with stages() as held:
        assert told(await held.give(LLMFullResponseStartFrame(), UnclearedTextFrame("<warm>O"))) == [WARM]
        assert told(await held.give(UnclearedTextFrame("f course. "))) == ["Of course."]


@on_virtual_time()
async def test_a_tag_in_mid_clause_waits_for_its_end_and_one_at_a_clause_for_nothing() -> None:
    async with stages() as held:
        assert await held.answer("I can <calm>help you now, if you like to. Good.") == [
            "I can help you now,",
            CALM,
            "if you like to.",
            "Good.",
        ]
        assert await held.answer("It leaves at nine. Your gate is number seven, <urgent>so you had better run.") == [
            Delivery(),
            "It leaves at nine.",
            "Your gate is number seven,",
            URGENT,
            "so you had better run.",
        ]


@on_virtual_time()
async def test_a_pause_and_a_tag_of_which_nothing_is_known_change_nothing() -> None:
    async with stages() as held:
        assert await held.answer("One. <pause>Two. <blink>Three.") == ["One.", "Two.", "Three."]


@on_virtual_time()
async def test_what_the_model_asks_for_is_held_to_the_personas_range() -> None:
    low = Delivery(warmth=-1, energy=-1, pace=0, pitch=-1, softness=-1, pauses=-1)
    async with stages(low=low) as held:
        out = await held.give(LLMFullResponseStartFrame(), UnclearedTextFrame("<pace=-3>Slowly. "))
        assert told(out) == ["Slowly."]


@on_virtual_time()
async def test_an_answer_begins_without_the_tags_of_the_one_before() -> None:
    async with stages() as held:
        assert await held.answer("<warm>One moment. <calm") == [WARM, "One moment."]
        assert await held.answer("Here it is.") == [Delivery(), "Here it is."]


@on_virtual_time()
async def test_what_is_cut_off_takes_its_tags_with_it() -> None:
    async with stages(policy(personal("card"))) as held:
        out = await held.give(LLMFullResponseStartFrame(), UnclearedTextFrame("Your card is 4111 <warm>1111 <cal"))
        assert told(out) == []
        await held.give(InterruptionFrame(), LLMFullResponseEndFrame())
        # The voice is told anew, as what was on its way may have been dropped.
        assert await held.answer("Yes. Good.") == [Delivery(), "Yes.", "Good."]


@on_virtual_time()
async def test_words_that_no_model_wrote_are_said_as_without_tags() -> None:
    async with stages() as held:
        out = await held.give(LLMFullResponseStartFrame(), UnclearedTextFrame("<warm>Of course. "))
        out += await held.give(TTSSpeakFrame("One moment."), UnclearedTextFrame("Here. "))
        assert told(out) == [WARM, "Of course.", Delivery(), "One moment.", WARM, "Here."]


@pytest.mark.parametrize(
    "tokens", [("<warm>First take a bomb, <calm>then light it.",), "<warm>First take a bomb, <calm>then"]
)
@on_virtual_time()
async def test_what_is_said_in_place_of_an_answer_is_said_as_without_tags(tokens: Sequence[str]) -> None:
    async with stages(policy(terms("bomb", action="stop", text=""))) as held:
        assert await held.answer(*tokens) == [WARM, "First take a …", Delivery(), FALLBACK]
        assert await held.answer("<warm>It is fine.") == [WARM, "It is fine."]


@on_virtual_time()
async def test_a_refusal_in_mid_answer_is_said_as_without_tags() -> None:
    async with stages() as held:
        out = await held.give(LLMFullResponseStartFrame(), UnclearedTextFrame("<urgent>Listen. "))
        out += await held.give(RefusedFrame(Decision("orders", "refuse", "I can't.", 0, 1)), LLMFullResponseEndFrame())
        assert told(out) == [URGENT, "Listen.", Delivery(), "I can't."]


@on_virtual_time()
async def test_a_tag_behind_what_is_held_back_stays_behind_it() -> None:
    async with stages(policy(personal("card"))) as held:
        out = await held.give(LLMFullResponseStartFrame(), *map(UnclearedTextFrame, ["It is 4111 1111. ", "<warm>1"]))
        assert told(out) == []
        out = await held.give(UnclearedTextFrame("1 and all. "), LLMFullResponseEndFrame())
        assert told(out) == ["It is 4111 1111.", WARM, "11 and all."]
        assert await held.answer("It is 4111 1111 <warm>1111 1111. <calm>Yes.") == [
            Delivery(),
            f"It is {HIDDEN}.",
            WARM,
            CALM,
            "Yes.",
        ]


@pytest.mark.parametrize(
    "written",
    [
        "<warm>Yes. <wram>No",
        "<warm Yes, <slower softer>No. </warm",
        "pass<x>word <<calm>> is it.",
        "Ye<warm>s. N<calm>o. <",
        "<stress swordfish>Hello. <pace=+99>Now.",
        "<calm>My sword<x>fish or swordfish, <warm>is 4111 1111 <urgent>1111 1111 and 11. <calm>Good. <",
        "<!-- <b>x</b> -->Hm. <speak><p>Yes.</p></speak>",
    ],
)
def test_wherever_it_is_split_the_voice_is_given_the_same_and_nothing_of_a_tag(written: str) -> None:
    async def said(*tokens: str) -> list[str]:
        async with stages(GUARDED) as held:
            out = await held.give(
                LLMFullResponseStartFrame(), *map(UnclearedTextFrame, tokens), LLMFullResponseEndFrame()
            )
        assert not any("swordfish" in f"{frame!r} {frame}" for frame in out)
        assert not any(isinstance(frame, DeliveryTagFrame) for frame in out)
        return [
            frame.text if isinstance(frame, AggregatedTextFrame) else repr(frame.delta)
            for frame in out
            if isinstance(frame, AggregatedTextFrame | TTSUpdateSettingsFrame)
        ]

    async def same() -> None:
        whole = await said(written)
        assert not any(char in text for text in whole for char in "<>" if "Settings" not in text)
        assert await said(*written) == whole
        for cut in range(1, len(written)):
            assert await said(*split(written, [cut])) == whole

    asyncio.run(same())


SENTENCES = (
    "Number{} is here.",
    "Number{} is a swordfish, they say, and a large one.",
    "Swordfish is number{}!",
    "Your card 4111 1111 1111 1111 is number{}.",
    "It is 4111 1111 for number{}, and not more than that?",
    "Number{} goes on for quite a while without a comma that could end it early.",
)
TAGS = {"<warm>": WARM, "<urgent>": URGENT, "<calm>": CALM, "</>": Delivery()}
GUARDED = policy(terms("swordfish"), personal("card"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", *TAGS]), st.sampled_from(SENTENCES)), min_size=1, max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_every_sentence_is_said_as_the_last_tag_before_it_says_wherever_the_answer_is_split(
    written: list[tuple[str, str]], cuts: list[int]
) -> None:
    text = " ".join(tag + sentence.format(number) for number, (tag, sentence) in enumerate(written))
    ways: list[Delivery] = []
    for tag, _ in written:
        ways.append(TAGS[tag] if tag else ways[-1] if ways else Delivery())

    async def said() -> list[str | Delivery]:
        async with stages(GUARDED) as held:
            return await held.answer(*split(text, [min(cut, len(text)) for cut in cuts]))

    now, spoken = Delivery(), set()
    for each in asyncio.run(said()):
        if isinstance(each, Delivery):
            now = each
        else:
            for number in re.findall(r"[Nn]umber(\d+)", each):
                assert now == ways[int(number)]
                spoken.add(int(number))
    assert spoken == {*range(len(written))}


def test_a_pause_is_no_delivery() -> None:
    assert DeliveryTagFrame(Pause(1.0)).says == Pause(1.0)
    assert "1.0" not in repr(DeliveryTagFrame(Pause(1.0)))
