"""What a page is told of how things were said holds no words of anybody's, and says what differs."""

from __future__ import annotations

import json

import pytest
from pipecat.frames.frames import AggregatedTextFrame, Frame, InterruptionFrame, LLMFullResponseStartFrame

from pipelines.app.manner import CHANGES, cue_message, delivery_message
from processors.hearing.cues import Cue, Score
from processors.hearing.frames import CueFrame
from processors.speaking.deliver import Deliver
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.director import Director, rules
from processors.speaking.frames import DeliveryFrame
from tests.harness import on_the_bench, on_virtual_time


def cue(emotion: str = "neutral", probability: float = 0.7, arousal: float = 0.5, **others: object) -> Cue:
    rest = (1 - probability) / 3
    emotions = dict.fromkeys(("neutral", "happy", "sad", "angry"), rest) | {emotion: probability}
    score, even = Score(arousal, arousal, arousal), Score(0.5, 0.5, 0.5)
    return Cue(0, 16000, score, even, emotions, 4.25, -20.0, **others)  # type: ignore[arg-type]


def test_a_cue_is_told_with_its_probability_and_without_words() -> None:
    message = cue_message(cue("angry", 0.82, 0.9, emphasised=("never",), hesitation=0.9))
    assert message == {
        "type": "cue",
        "emotion": "upset",
        "probability": 0.82,
        "arousal": 0.9,
        "valence": 0.5,
        "pace": 4.2,
        "signs": ["searching for words"],
        "plain": False,
    }
    assert "never" not in json.dumps(message)


def test_what_the_model_is_told_nothing_of_is_plain() -> None:
    assert cue_message(cue())["plain"]
    assert cue_message(cue("sad", 0.45))["plain"]
    assert not cue_message(cue(laughter=0.9))["plain"]


def test_too_little_speech_has_no_pace() -> None:
    short = Cue(0, 1600, Score(0.5, 0.5, 0.5), Score(0.5, 0.5, 0.5), {"neutral": 1.0}, None, -30.0)
    assert cue_message(short)["pace"] is None


def test_a_delivery_is_told_in_words_the_largest_change_first() -> None:
    delivery = Delivery(style="reassuring", pace=-0.5, warmth=0.7, pauses=0.3, energy=-0.05)
    assert delivery_message(delivery, "frustrated") == {
        "type": "delivery",
        "style": "reassuring",
        "changes": ["warmer", "slower", "more pauses"],
        "rule": "frustrated",
    }
    assert delivery_message(Delivery(), "")["changes"] == []


def test_every_scale_has_its_words() -> None:
    assert tuple(CHANGES) == SCALES


@pytest.mark.parametrize("rule", rules().rules, ids=lambda rule: rule.name)
def test_what_every_rule_does_can_be_told(rule) -> None:
    assert delivery_message(Delivery(**rule.deliver.model_dump()), rule.name)["changes"]


async def noted(*frames: Frame) -> list[tuple[str, str]]:
    """Rule and style of each note, for frames given to Deliver."""
    async with on_the_bench(Deliver(Director(rules()), object)) as bench:
        await bench.give(*frames)
        return [(frame.rule, frame.delivery.style) for frame in bench.take(DeliveryFrame)]


def text(words: str) -> AggregatedTextFrame:
    return AggregatedTextFrame(words, "sentence")


@on_virtual_time()
async def test_how_an_answer_is_said_is_told_once_and_again_in_the_next() -> None:
    upset = CueFrame(cue("angry", 0.85, 0.9))
    answer = (LLMFullResponseStartFrame(), text("I see."), text("I'm on it."))
    assert await noted(upset, *answer) == [("frustrated", "reassuring")]
    assert await noted(upset, *answer, InterruptionFrame(), upset, *answer) == [("frustrated", "reassuring")] * 2
    assert await noted(upset, *answer, InterruptionFrame(), CueFrame(cue()), *answer) == [
        ("frustrated", "reassuring"),
        ("", ""),
    ]
