"""Somebody asks for jazz, and one stage makes a mistake. Real ears and a real voice; the model is a rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Architecture, Capability
from pipelines.lab import virtual
from pipelines.lab.caller import RATE, Caller, calling
from pipelines.lab.trace import Trace, tracing
from pipelines.stacks import Service, Stack
from pipelines.stacks.embedded import EMBEDDED, RECOGNISER, SYNTHESISER
from processors.embedded.hibari import NEUTRAL, Controls, Speech
from processors.embedded.stt import EmbeddedSTTService
from processors.embedded.tts import EmbeddedTTSService
from processors.hearing.tagger import Ear
from processors.pcm import Samples
from processors.turns.rules import TurnRules
from processors.turns.strategy import turn_strategies
from processors.turns.vad import PauseVAD
from tests.speech import say

Rule = Callable[[list[dict[str, Any]]], str]


def last(messages: list[dict[str, Any]], role: str) -> str:
    """The last words of a role."""
    return next((str(m["content"]) for m in reversed(messages) if m.get("role") == role and m.get("content")), "")


def right(messages: list[dict[str, Any]]) -> str:
    """What a good model would say."""
    asked = last(messages, "user").lower()
    if "that one" in asked:
        offered = [word.strip(",.").lower() for word in last(messages, "assistant").split()]
        kinds = [before for before, word in pairwise(offered) if word == "jazz"]
        return f"Fine, I will play {kinds[-1] if kinds else 'some'} jazz."
    if "offer" in asked:
        return "There is modern jazz, there is gentle jazz, and there is also a lot of very old jazz from long ago."
    if "jazz" in asked:
        return "Here is some smooth jazz for you."
    return "What shall I play for you?"


def wrong(messages: list[dict[str, Any]]) -> str:
    """What a bad one would."""
    return "I cannot cook dinner for you."


class RuleLLM(LLMService):
    """Stands in for a language model: answers by a rule, word by word."""

    def __init__(self, rule: Rule) -> None:
        unsupported: dict[str, Any] = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}
        super().__init__(settings=LLMSettings(**{**unsupported, "model": "rule"}))
        self._rule = rule

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for number, word in enumerate(self._rule(_messages(frame.context)).split()):
            await self._push_llm_text(f"{' ' if number else ''}{word}")
        await self.push_frame(LLMFullResponseEndFrame())


def _messages(context: LLMContext) -> list[dict[str, Any]]:
    return [dict(message) for message in context.get_messages() if isinstance(message, dict)]


class OtherWords:
    """A voice that says something else than it is given."""

    def stream(self, text: str, controls: Controls = NEUTRAL) -> Iterator[Speech]:
        yield from SYNTHESISER.get().stream("The weather will be cold tomorrow.", controls)


class LateWords:
    """A voice that says its words when it should, and claims that it says them later.

    Args:
        seconds: By how much.
    """

    def __init__(self, seconds: float) -> None:
        self._late = seconds

    def stream(self, text: str, controls: Controls = NEUTRAL) -> Iterator[Speech]:
        for piece in SYNTHESISER.get().stream(text, controls):
            words = (replace(word, start=word.start + self._late, end=word.end + self._late) for word in piece.words)
            yield Speech(piece.samples, tuple(words))


def _stt(hear: Callable[[str], str]) -> Service:
    return Service(
        "ears", lambda session: EmbeddedSTTService(lambda samples: hear(RECOGNISER.get().transcribe(samples)))
    )


def _llm(rule: Rule) -> Service:
    return Service("rule", lambda session: RuleLLM(rule), frozenset({Capability.TEXT_OUT}))


def _tts(voice: Any) -> Service:
    capabilities = frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE})
    return Service("voice", lambda session: EmbeddedTTSService(voice() if callable(voice) else voice), capabilities)


def stack(
    *,
    hear: Callable[[str], str] = lambda text: text,
    rule: Rule = right,
    voice: Any = SYNTHESISER.get,
    patience: float = 0.0,
) -> Stack:
    """Everything right, but for what is given.

    Args:
        hear: What the recogniser makes of what it heard.
        rule: What the model answers.
        voice: What speaks.
        patience: Seconds of silence after which any turn is over; the usual rules if 0.
    """
    turns = None
    if patience:
        rules = TurnRules(patience, patience, patience, patience, patience)
        turns = lambda: turn_strategies(rules, lambda samples, silence: 1.0)  # noqa: E731
    return replace(
        EMBEDDED, name="jazz", services={"STT": _stt(hear), "LLM": _llm(rule), "TTS": _tts(voice)}, turns=turns
    )


def recorded(
    folder: Path,
    of: Stack,
    talk: Callable[[Caller], Any],
    architecture: Architecture = BASIC_CASCADE,
    ear: Ear | None = None,
) -> Trace:
    """Hold a conversation and open its trace: waiting is free, work takes its time."""

    async def call() -> None:
        async with (
            tracing(folder, redactor=None) as trace,
            calling(
                lambda transport, observers: assemble(
                    architecture, of, transport, observers=[*observers, trace], ear=ear
                )
            ) as caller,
        ):
            await talk(caller)

    virtual.run(call(), measured=True)
    (trace,) = Trace.list(folder)
    return trace


def with_pause(first: str, second: str, seconds: float) -> Samples:
    """Two pieces of an utterance with a pause between them."""
    return np.concatenate([say(first), np.zeros(round(seconds * RATE), np.float32), say(second)])


async def asks(caller: Caller) -> None:
    """One question."""
    await caller.say(say("Please play some jazz."))


async def interrupts(caller: Caller) -> None:
    """A question, and words into its answer when the second kind of jazz has been heard."""
    asked = asyncio.create_task(caller.say(say("What can you offer me?")))
    await caller.sound()
    await asyncio.sleep(2.6)
    await caller.say(say("That one, please."))
    await asked


class LateVAD(PauseVAD):
    """A VAD that notices speech late and takes it to have begun only then.

    Args:
        secs: How much later, in seconds of sound.
    """

    def __init__(self, secs: float) -> None:
        super().__init__()
        self._secs = secs
        self._left = 0.0

    async def broadcast_frame(self, frame_cls: type[Frame], **kwargs: Any) -> None:
        if frame_cls is VADUserStartedSpeakingFrame:
            self._left = self._secs
        else:
            await super().broadcast_frame(frame_cls, **kwargs)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and self._left > 0:
            self._left -= frame.num_frames / frame.sample_rate
            if self._left <= 0:
                await super().broadcast_frame(VADUserStartedSpeakingFrame, start_secs=0.0)
