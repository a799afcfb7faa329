"""What is heard while a turn goes on, and turns that end before their words come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
from pipecat.frames.frames import Frame, InputAudioRawFrame, UserStoppedSpeakingFrame, VADUserStartedSpeakingFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from processors.embedded.llm import EmbeddedLLMService
from processors.hearing.cues import RATE, Cue, Score
from processors.hearing.phrases import LEAD_SECS, SHORTEST_SECS, Part, Phrases
from processors.hearing.tagger import Tagger
from processors.pcm import Samples
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame, UserTurnSoFarFrame
from tests.harness import Bench, on_the_bench, on_virtual_time

MIDDLE = Score(0.5, 0.5, 0.5)
SECOND = np.ones(RATE, "<i2").tobytes()


def said(phrases: Phrases, number: int, seconds: int = 1) -> Part:
    """Somebody speaks, up to a frame of that number."""
    phrases.started(0.128)
    phrases.audio(SECOND * seconds, number - 1)
    part = phrases.stopped(number)
    assert part is not None
    return part


@pytest.mark.parametrize("ahead", [False, True], ids=["answered at its end", "answered ahead of its end"])
def test_a_turn_has_its_phrases_whether_it_ends_before_its_words_come_or_after(ahead: bool) -> None:
    phrases = Phrases()
    for begin in (0, 100, 200):
        part = said(phrases, begin + 10)
        words, end = (begin + 30, begin + 20) if ahead else (begin + 20, begin + 30)
        if ahead:
            assert phrases.of(begin + 15) == [part]  # the answer that is begun
            phrases.turn_ended(end)
        assert phrases.of(words) == [part]
        phrases.turn_ended(words)
        phrases.forget(words)
        if not ahead:
            phrases.turn_ended(end)
        assert phrases.of(begin + 40) == []


def test_what_had_no_words_belongs_to_no_later_turn() -> None:
    phrases = Phrases()
    said(phrases, 10)
    phrases.turn_ended(20)  # of which no words came
    part = said(phrases, 30)
    phrases.turn_ended(40)
    assert phrases.of(50) == [part]


def test_a_turn_in_which_nothing_could_be_heard_has_nothing_of_the_one_before() -> None:
    phrases = Phrases()
    said(phrases, 10)
    phrases.turn_ended(20)
    assert len(phrases.of(30)) == 1
    phrases.turn_ended(30)
    phrases.forget(30)
    phrases.turn_ended(40)  # a word too short to be heard
    assert phrases.of(50) == []


def test_what_is_being_said_can_be_heard_before_it_is_complete() -> None:
    phrases = Phrases()
    phrases.audio(SECOND, 1)
    assert phrases.underway(2) is None
    phrases.started(0.1)
    assert phrases.underway(3) is not None  # with the moment before
    phrases.audio(SECOND, 4)
    so_far = phrases.underway(5)
    assert so_far is not None
    assert so_far.end == 2 * RATE
    assert len(so_far.samples) == pytest.approx((1.1 + LEAD_SECS) * RATE, abs=1)
    assert phrases.of(6) == []
    whole = phrases.stopped(7)
    assert whole is not None
    assert (whole.start, whole.end) == (so_far.start, so_far.end)
    assert phrases.underway(8) is None


def test_in_a_pause_nothing_is_under_way() -> None:
    phrases = Phrases()
    phrases.audio(SECOND, 1)
    phrases.started(SHORTEST_SECS)
    assert phrases.paused(2) is not None
    assert phrases.underway(3) is None
    phrases.resumed()
    assert phrases.underway(4) is not None


class SlowEar:
    """Hears the level of what it is given, in a while."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, samples: Samples, start: int) -> Cue:
        self.heard += 1
        level = round(1000 * float(np.abs(samples).max()))
        return Cue(start, start + len(samples), MIDDLE, MIDDLE, {"neutral": 1.0}, None, -20.0, emphasised=(str(level),))

    def joined(self, cues: Sequence[Cue], words: Sequence[Any] = ()) -> Cue:
        return cues[-1]

    def turn_done(self, cues: Sequence[Cue]) -> None:
        pass


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Bench, SlowEar]]:
    """A tagger to which somebody has spoken for a second."""
    ear = SlowEar()
    async with on_the_bench(Tagger(ear, lambda cue: f"loud as {cue.emphasised[0]}", LLMContext())) as bench:
        await bench.give(InputAudioRawFrame(np.full(RATE, 3277, "<i2").tobytes(), RATE, 1))
        await bench.give(VADUserStartedSpeakingFrame(start_secs=0.9))
        yield bench, ear


@on_virtual_time({"SlowEar.hear": 0.03})
async def test_the_model_prepares_for_what_it_will_be_told_of_the_voice_as_well() -> None:
    async with listening() as (bench, _):
        await bench.give(UserTurnSoFarFrame("I have been"))
        assert bench.take(UserTurnSoFarFrame) == []
        await asyncio.sleep(0.04)
        (so_far,) = bench.take(UserTurnSoFarFrame)
        assert (so_far.text, so_far.told) == ("I have been", "loud as 100")


@on_virtual_time({"SlowEar.hear": 0.03})
@pytest.mark.parametrize("past", [SpeechPausedFrame(silence=0.032), UserStoppedSpeakingFrame()], ids=["pause", "end"])
async def test_what_comes_after_a_pause_is_not_prepared_for_any_more(past: Frame) -> None:
    async with listening() as (bench, _):
        await bench.give(UserTurnSoFarFrame("I have been"), past)
        await asyncio.sleep(0.1)
        assert bench.take(UserTurnSoFarFrame) == []


@on_virtual_time({"SlowEar.hear": 0.03})
async def test_of_two_only_the_later_is_prepared_for() -> None:
    async with listening() as (bench, ear):
        await bench.give(UserTurnSoFarFrame("I have"), UserTurnSoFarFrame("I have been"))
        await asyncio.sleep(0.1)
        assert [frame.text for frame in bench.take(UserTurnSoFarFrame)] == ["I have been"]
        assert ear.heard == 1


@on_virtual_time({"SlowEar.hear": 0.03})
async def test_little_speech_is_not_heard_before_it_is_complete() -> None:
    ear = SlowEar()
    async with on_the_bench(Tagger(ear, lambda cue: "loud", LLMContext())) as bench:
        await bench.give(InputAudioRawFrame(SECOND, RATE, 1), VADUserStartedSpeakingFrame(start_secs=0.5))
        await bench.give(UserTurnSoFarFrame("I have"))
        await asyncio.sleep(0.1)
        assert [frame.told for frame in bench.take(UserTurnSoFarFrame)] == [""]
    assert ear.heard == 0


@on_virtual_time({"SlowEar.hear": 0.03})
async def test_what_is_under_way_is_not_heard_where_a_part_is_complete() -> None:
    async with listening() as (bench, ear):
        await bench.give(SpeechPausedFrame(silence=0.1), SpeechResumedFrame())
        await bench.give(InputAudioRawFrame(2 * SECOND, RATE, 1))
        await asyncio.sleep(0.1)
        assert ear.heard >= 1
        complete = ear.heard
        await bench.give(InputAudioRawFrame(SECOND, RATE, 1), UserTurnSoFarFrame("I have been"))
        await asyncio.sleep(0.1)
        assert [frame.told for frame in bench.take(UserTurnSoFarFrame)] == ["loud as 100"]
        assert ear.heard == complete


@on_virtual_time()
async def test_before_anything_can_be_heard_the_words_are_prepared_for_alone() -> None:
    async with on_the_bench(Tagger(SlowEar(), lambda cue: "loud", LLMContext())) as bench:
        await bench.give(UserTurnSoFarFrame("I have"))
        await asyncio.sleep(0.1)
        assert [frame.told for frame in bench.take(UserTurnSoFarFrame)] == [""]


class Recording(EmbeddedLLMService):
    """Keeps the prompts that it has read ahead."""

    read: ClassVar[list[list[dict[str, Any]]]] = []

    async def _prompt(self, context: LLMContext) -> str:
        self.read.append([dict(message) for message in context.get_messages() if isinstance(message, dict)])
        return "".join(str(message["content"]) for message in self.read[-1])

    async def _read(self, prompt: str) -> None:
        pass


class NoServer:
    """Is never asked anything."""

    url = "http://127.0.0.1:9/v1"
    api_key = "none"
    alive = True

    def next_slot(self) -> int:
        return 0

    def revive(self) -> None:
        raise AssertionError("nobody died")


async def test_it_is_read_in_front_of_the_words_as_it_will_stand_in_the_context() -> None:
    Recording.read.clear()
    live = LLMContext([{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}])
    service = Recording(NoServer(), "Be Ferni.", live)
    async with on_the_bench(service) as bench:
        await service.prepared()
        await bench.give(UserTurnSoFarFrame("I have been waiting", told="(The caller may be upset.)"))
        await service.prepared()
    assert Recording.read[-1] == [
        *live.messages,
        {"role": "developer", "content": "(The caller may be upset.)"},
        {"role": "user", "content": "I have been"},
    ]
