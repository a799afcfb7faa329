"""Turns that end before their words come, and what a language model reads of them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from processors.embedded.llm import EmbeddedLLMService
from processors.hearing.cues import RATE, Score
from processors.hearing.phrases import Part, Phrases
from processors.turns.frames import UserTurnSoFarFrame
from tests.harness import on_the_bench

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


class Recording(EmbeddedLLMService):
    """Keeps the prompts that it has read ahead."""

    read: ClassVar[list[list[dict[str, Any]]]] = []

    async def _templated(self, messages: Sequence[Mapping[str, Any]]) -> str:
        self.read.append([dict(message) for message in messages])
        return "".join(str(message["content"]) for message in messages)

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


async def test_what_is_told_of_words_is_their_last_line_as_they_have_been_read_by_then() -> None:
    Recording.read.clear()
    told = {"role": "developer", "content": "frustrated"}
    first, answer = {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}
    live = LLMContext([told, first, answer])
    service = Recording(NoServer(), "Be Ferni.", live)
    async with on_the_bench(service) as bench:
        await service.prepared()
        await bench.give(UserTurnSoFarFrame("I have been waiting"))
        await service.prepared()
    assert [(message["role"], message["content"]) for message in Recording.read[-1]] == [
        ("system", "Be Ferni."),
        ("user", "Hello.\nfrustrated"),
        ("assistant", "Hi."),
        ("user", "I have been"),
    ]
    assert live.messages == [told, first, answer]
