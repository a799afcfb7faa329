"""The voice is told how to say something right before it, once, and told again where that may have been lost."""

from __future__ import annotations

from collections.abc import Sequence

from pipecat.frames.frames import AggregatedTextFrame, Frame, InterruptionFrame, TTSSpeakFrame, TTSUpdateSettingsFrame

from processors.embedded.hibari import Controls
from processors.embedded.tts import EmbeddedTTSSettings
from processors.hearing.cues import Cue, Score
from processors.hearing.frames import CueFrame
from processors.speaking.deliver import Deliver
from processors.speaking.director import Director, rules
from tests.harness import Bench, on_the_bench, on_virtual_time

OWN = EmbeddedTTSSettings(pitch=2.0, speed=1.1)


def cue(emotion: str, arousal: float) -> CueFrame:
    shares = dict.fromkeys(("neutral", "happy", "sad", "angry"), 0.03) | {emotion: 0.91}
    even = Score(0.5, 0.5, 0.5)
    return CueFrame(Cue(0, 16000, Score(arousal, arousal, arousal), even, shares, 4.0, -20.0))


def told(bench: Bench) -> list[str | EmbeddedTTSSettings]:
    """What went to the voice, in order: texts and settings."""
    found: list[str | EmbeddedTTSSettings] = []
    for frame, _ in bench.pushed:
        if isinstance(frame, TTSUpdateSettingsFrame):
            assert isinstance(frame.delta, EmbeddedTTSSettings)
            found.append(frame.delta)
        elif isinstance(frame, AggregatedTextFrame | TTSSpeakFrame):
            found.append(frame.text)
    bench.pushed.clear()
    return found


async def given(frames: Sequence[Frame]) -> list[str | EmbeddedTTSSettings]:
    async with on_the_bench(Deliver(Director(rules()), lambda: OWN)) as bench:
        await bench.give(*frames)
        return told(bench)


def text(words: str) -> AggregatedTextFrame:
    return AggregatedTextFrame(words, "sentence")


@on_virtual_time()
async def test_an_upset_caller_is_answered_more_slowly_and_softly_and_a_calm_one_in_the_personas_own_way() -> None:
    upset, first, second, back, third = await given(
        [cue("angry", 0.9), text("I'm sorry."), text("Let me see."), cue("neutral", 0.5), text("Here it is.")]
    )
    assert (first, second, third) == ("I'm sorry.", "Let me see.", "Here it is.")
    assert isinstance(upset, EmbeddedTTSSettings)
    assert isinstance(back, EmbeddedTTSSettings)
    assert number(upset.speed) < 1.1
    assert number(upset.breath) > Controls().breath
    assert (back.pitch, back.speed, back.breath) == (2.0, 1.1, Controls().breath)


def number(value: object) -> float:
    assert isinstance(value, float)
    return value


@on_virtual_time()
async def test_who_says_everything_in_the_personas_own_way_is_told_nothing() -> None:
    assert await given([text("Hello."), cue("neutral", 0.5), text("How are you?")]) == ["Hello.", "How are you?"]


@on_virtual_time()
async def test_a_cue_alone_tells_the_voice_nothing() -> None:
    assert await given([cue("angry", 0.9)]) == []


@on_virtual_time()
async def test_after_an_interruption_the_voice_is_told_again() -> None:
    first, _, again, _ = await given([cue("sad", 0.3), text("I see."), InterruptionFrame(), text("Go on.")])
    assert first == again
    assert isinstance(first, EmbeddedTTSSettings)


@on_virtual_time()
async def test_speech_that_no_model_wrote_is_said_in_the_same_way() -> None:
    settings, words = await given([cue("sad", 0.3), TTSSpeakFrame("One moment.")])
    assert isinstance(settings, EmbeddedTTSSettings)
    assert words == "One moment."


@on_virtual_time()
async def test_a_voice_without_a_table_speaks_as_it_always_does() -> None:
    async with on_the_bench(Deliver(Director(rules()), object)) as bench:
        await bench.give(cue("angry", 0.9), text("I'm sorry."))
        assert told(bench) == ["I'm sorry."]
