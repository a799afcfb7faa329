"""Each cue is on the turn that it was heard in, whatever is early, late or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    InputAudioRawFrame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from pipelines.lab import virtual
from processors.hearing.cues import RATE, Cue, Score
from processors.hearing.emphasis import Word
from processors.hearing.frames import CueFrame
from processors.hearing.phrases import LEAD_SECS, PART_SECS, Phrases
from processors.hearing.tagger import WAIT_SECS, Tagger
from processors.pcm import Samples
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame
from tests.harness import Bench, on_the_bench, on_virtual_time

CHUNK = RATE // 50
MIDDLE = Score(0.5, 0.5, 0.5)


class LevelEar:
    """Hears which levels there are: each phrase of a test has one of its own."""

    def __init__(self) -> None:
        self.learnt: list[list[tuple[int, int]]] = []
        self.given: list[tuple[Word, ...]] = []

    def hear(self, samples: Samples, start: int) -> Cue:
        levels = {round(1000 * float(level)) for level in np.unique(np.abs(samples)) if level > 0}
        if 999 in levels:
            raise RuntimeError("this can't be heard")
        return Cue(
            start,
            start + len(samples),
            MIDDLE,
            MIDDLE,
            {"neutral": 1.0},
            None,
            -20.0,
            emphasised=tuple(map(str, sorted(levels))),
        )

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        self.given.append(tuple(words))
        levels = dict.fromkeys(word for cue in cues for word in cue.emphasised)
        return replace(cues[0], end=cues[-1].end, emphasised=tuple(levels))

    def turn_done(self, cues: Sequence[Cue]) -> None:
        self.learnt.append([(cue.start, cue.end) for cue in cues])


def described(cue: Cue) -> str:
    return " ".join(cue.emphasised)


@dataclass
class Caller:
    """Speaks to a tagger as a pipeline would, frame by frame."""

    bench: Bench
    context: LLMContext
    ear: LevelEar
    position: int = 0

    async def sound(self, level: int, secs: float) -> None:
        """So much sound at a level, in thousandths; 0 is silence."""
        for _ in range(round(secs * RATE / CHUNK)):
            pcm = np.full(CHUNK, round(level * 32.768), "<i2").tobytes()
            self.position += CHUNK
            await self.bench.give(InputAudioRawFrame(pcm, RATE, 1))
            await asyncio.sleep(0.02)

    async def phrase(self, level: int, secs: float = 1.0) -> None:
        """Speech at a level, up to the moment at which the VAD calls it ended."""
        await self.sound(level, 0.128)
        await self.bench.give(VADUserStartedSpeakingFrame(start_secs=0.128))
        await self.sound(level, secs - 0.128)
        await self.sound(0, 0.06)
        await self.bench.give(SpeechPausedFrame(silence=0.064))
        await self.sound(0, 0.14)
        await self.bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))

    async def turn(self, words: str, *, confirms: bool = False) -> None:
        """The turn ends."""
        self.context.add_message({"role": "user", "content": words})
        ended = [LLMContextUserTurnFrame(text=words, timestamp="")]
        await self.bench.give(*ended, *([] if confirms else [LLMContextFrame(self.context)]))
        await self.bench.give(UserStoppedSpeakingFrame())

    async def guess(self, words: str) -> LLMContext:
        """The turn may be over."""
        copy = LLMContext([*self.context.messages, {"role": "user", "content": words}])
        await self.bench.give(LLMContextFrame(copy, speculation=True))
        return copy

    @property
    def messages(self) -> list[str]:
        return contents(self.context)


def contents(context: LLMContext) -> list[str]:
    return [str(message["content"]) for message in context.messages if isinstance(message, dict)]


async def call(talk: Any, *, ear: LevelEar | None = None) -> None:
    ear = ear or LevelEar()
    context = LLMContext()
    async with on_the_bench(Tagger(ear, described, context)) as bench:
        await talk(Caller(bench, context, ear))


@on_virtual_time({"LevelEar.hear": 0.03})
async def test_a_turns_cue_stands_in_front_of_its_words_in_a_message_of_its_own() -> None:
    async def talk(caller: Caller) -> None:
        await caller.sound(0, 1.0)
        await caller.phrase(100)
        await caller.turn("Hello there.")
        assert caller.context.messages == [
            {"role": "developer", "content": "100"},
            {"role": "user", "content": "Hello there."},
        ]
        (told,) = caller.bench.take(CueFrame)
        assert not told.speculation
        assert told.cue.start == pytest.approx((1.0 - LEAD_SECS) * RATE, abs=CHUNK)
        # The pause by which it was known is part of it, and no more.
        assert told.cue.end == pytest.approx(caller.position - 0.14 * RATE, abs=CHUNK)

    await call(talk)


@on_virtual_time({"LevelEar.hear": 0.03})
async def test_all_phrases_of_a_turn_are_its_cue_and_those_of_others_are_not() -> None:
    async def talk(caller: Caller) -> None:
        await caller.phrase(100)
        await caller.sound(0, 0.4)
        await caller.phrase(200)
        await caller.turn("One. Two.")
        await caller.sound(0, 0.5)
        await caller.phrase(300)
        await caller.turn("Three.")
        assert caller.messages == ["100 200", "One. Two.", "300", "Three."]
        await asyncio.sleep(0.1)
        assert [len(turn) for turn in caller.ear.learnt] == [2, 1]

    await call(talk)


@on_virtual_time({"LevelEar.hear": 0.03})
async def test_what_is_long_is_heard_while_it_is_said() -> None:
    async def talk(caller: Caller) -> None:
        await caller.phrase(100, secs=5.0)
        heard = caller.bench.processor._hearing  # type: ignore[attr-defined]
        lengths = [len(part.samples) / RATE for part in heard]
        assert lengths[:2] == pytest.approx([PART_SECS, PART_SECS], abs=0.02)
        assert sum(lengths) == pytest.approx(5.0 + 0.06 + LEAD_SECS, abs=0.25)
        await caller.turn("A long story.")
        assert caller.messages == ["100", "A long story."]

    await call(talk)


@on_virtual_time({"LevelEar.hear": 0.03})
async def test_a_guess_and_the_turn_it_was_right_about_get_the_same_cue_which_is_heard_once() -> None:
    async def talk(caller: Caller) -> None:
        await caller.sound(100, 0.128)
        await caller.bench.give(VADUserStartedSpeakingFrame(start_secs=0.128))
        await caller.sound(100, 1.0)
        await caller.bench.give(SpeechPausedFrame(silence=0.064))
        copy = await caller.guess("Hello.")
        assert contents(copy) == ["100", "Hello."]
        assert caller.messages == []
        await caller.sound(0, 0.2)
        await caller.bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await caller.turn("Hello.", confirms=True)
        assert caller.messages == ["100", "Hello."]
        assert [told.speculation for told in caller.bench.take(CueFrame)] == [True, False]
        await asyncio.sleep(0.1)
        assert len(caller.ear.learnt) == 1

    await call(talk)


@on_virtual_time({"LevelEar.hear": 0.03})
async def test_a_pause_that_was_none_leaves_no_trace() -> None:
    async def talk(caller: Caller) -> None:
        await caller.sound(100, 0.128)
        await caller.bench.give(VADUserStartedSpeakingFrame(start_secs=0.128))
        await caller.sound(100, 0.6)
        await caller.bench.give(SpeechPausedFrame(silence=0.064))
        await caller.guess("I want")
        await caller.bench.give(SpeechResumedFrame())
        await caller.sound(200, 0.6)
        await caller.bench.give(SpeechPausedFrame(silence=0.064))
        await caller.bench.give(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await caller.turn("I want to go.")
        assert caller.messages == ["100 200", "I want to go."]
        await asyncio.sleep(0.1)
        assert [len(turn) for turn in caller.ear.learnt] == [1]

    await call(talk)


@on_virtual_time({"LevelEar.hear": 3 * WAIT_SECS})
async def test_a_cue_that_comes_too_late_is_left_out_and_nobody_waits_longer_for_it() -> None:
    async def talk(caller: Caller) -> None:
        await caller.phrase(100)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await caller.turn("Hello.")
        assert loop.time() - asked <= WAIT_SECS + 0.01
        assert caller.messages == ["Hello."]
        assert not caller.bench.take(CueFrame)
        await asyncio.sleep(1.0)
        assert [len(turn) for turn in caller.ear.learnt] == [1]

    await call(talk)


@on_virtual_time()
async def test_what_cannot_be_heard_does_not_stop_the_call() -> None:
    async def talk(caller: Caller) -> None:
        await caller.phrase(999)
        await caller.turn("Hello.")
        await caller.phrase(100)
        await caller.turn("Hello again.")
        assert caller.messages == ["Hello.", "100", "Hello again."]

    await call(talk)


@on_virtual_time()
async def test_contexts_without_a_turn_of_the_callers_are_left_alone() -> None:
    async def talk(caller: Caller) -> None:
        await caller.phrase(100)
        caller.context.add_message({"role": "assistant", "content": "Hi!"})
        await caller.bench.give(LLMContextFrame(caller.context))
        assert caller.messages == ["Hi!"]
        assert not caller.bench.take(CueFrame)

    await call(talk)


def test_what_overtakes_does_not_change_whose_speech_it_is() -> None:
    phrases = Phrases()
    second = np.ones(RATE, "<i2").tobytes()
    phrases.audio(second, 1)
    phrases.started(0.128)
    phrases.audio(second, 2)
    first = phrases.stopped(3)
    context_of_first = 4
    phrases.turn_ended(5)
    phrases.started(0.128)
    phrases.audio(second, 7)
    second_part = phrases.stopped(8)
    # Everything above may have overtaken the context frame, which was made between them.
    assert phrases.of(context_of_first) == [first]
    assert phrases.of(9) == [second_part]
    phrases.turn_ended(10)
    # An answer that was begun ahead is let go by the turn's end, and its words come after that.
    assert phrases.of(11) == [second_part]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_timing_each_turn_has_its_own_phrases_and_no_others(seed: int) -> None:
    random = Random(seed)
    delay = random.choice((0.0, 0.01, 0.05, 0.09, 0.15, 0.4))

    async def talk(caller: Caller) -> None:
        expected: list[tuple[str, set[str]]] = []
        level = 10
        for number in range(4):
            own: set[str] = set()
            for _ in range(random.randint(1, 3)):
                level += 10
                own.add(str(level))
                await caller.phrase(level, random.uniform(0.5, 4.5))
                if random.random() < 0.4:
                    copy = await caller.guess(f"turn {number} so far")
                    cue = contents(copy)[-2:-1] if len(copy.messages) > len(caller.context.messages) + 1 else []
                    assert all(set(told.split()) <= own for told in cue)
                await caller.sound(0, random.uniform(0.0, 0.6))
            await caller.turn(f"turn {number}", confirms=random.random() < 0.3)
            expected.append((f"turn {number}", own))
            if random.random() < 0.5:
                caller.context.add_message({"role": "assistant", "content": "Well."})
        told = caller.messages
        for words, own in expected:
            at = told.index(words)
            before = told[at - 1] if at else ""
            if before and not before.startswith(("turn", "Well")):
                assert set(before.split()) <= own, (seed, told)
                if delay < WAIT_SECS / 3:
                    assert set(before.split()) == own, (seed, told)
            else:
                assert delay >= WAIT_SECS / 3, (seed, told)

    virtual.run(call(talk), costs={"LevelEar.hear": delay})
