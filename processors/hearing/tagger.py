"""The stage HEARING: each turn's cue reaches the language model with the turn's words, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.hearing.cues import RATE, Cue
from processors.hearing.emphasis import Word, words_of
from processors.hearing.frames import CueFrame
from processors.hearing.phrases import Part, Phrases
from processors.hearing.vendors import Told, onto, reader, together
from processors.pcm import Samples
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame

WAIT_SECS = 0.1
"""How long a context waits for its cue at most. What was heard while the caller spoke is ready by then; a transcript
takes longer than the rest."""

PAUSE_SECS = 0.06
"""Silence at which what was said so far is heard: most gaps within words are shorter."""


class Ear(Protocol):
    """What hears one caller: `processors.hearing.voice.Hearer`. Called in a thread, one call at a time."""

    def hear(self, samples: Samples, start: int) -> Cue:
        """How a piece of speech was said: mono at 16 kHz in [-1, 1], from a sample since the call began."""
        ...

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        """Of a turn's pieces and its words, how the turn was said."""
        ...

    def turn_done(self, cues: Sequence[Cue]) -> object:
        """Take a turn into what is known of the caller."""
        ...


class Tagger(FrameProcessor):
    """Listens while the caller speaks, and puts how it was said into the context, in front of the caller's words.

    The words themselves stay as they are: transcripts, clients and traces see none of it. A cue that fails or comes too
    late is left out, and the conversation goes on.

    Args:
        ear: Hears this caller.
        describe: A cue in words for the language model; empty if there is nothing to say of it.
        context: What the conversation remembers.
    """

    def __init__(self, ear: Ear, describe: Callable[[Cue], str], context: LLMContext) -> None:
        super().__init__()
        self._ear = ear
        self._describe = describe
        self._remembered = context
        self._phrases = Phrases()
        self._hearing: dict[Part, asyncio.Task[Cue | None]] = {}
        self._told: deque[tuple[int, Told]] = deque(maxlen=64)  # by transcripts, with their frames' numbers
        self._learning: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def overhear(self, recogniser: FrameProcessor) -> None:
        """Take up what a recogniser tells beside the words, if it tells anything (`vendors`).

        Transcripts end in the user's aggregator and never come here, so they are read where they are pushed.
        """
        read = reader(recogniser)
        if read is None:
            return

        async def note(_: FrameProcessor, frame: Frame) -> None:
            if isinstance(frame, TranscriptionFrame):
                self._told.append((frame.id, read(frame)))

        recogniser.add_event_handler("on_before_push_frame", note)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            self._follow(frame)
            if isinstance(frame, LLMContextFrame) and frame.speculation:
                await self._tag(frame.context, frame, None)
            elif isinstance(frame, LLMContextUserTurnFrame):
                # Also where the answer was begun before the turn was over, so that no context follows.
                await self._tag(self._remembered, frame, frame.text)
                self._turn_done(frame.id)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        for task in (*self._hearing.values(), *self._learning):
            await self.cancel_task(task)

    def _follow(self, frame: Frame) -> None:
        """Keep account of what is said, and begin to hear what is complete."""
        part = None
        if isinstance(frame, InputAudioRawFrame) and frame.sample_rate == RATE:
            part = self._phrases.audio(frame.audio, frame.id)
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            self._phrases.started(frame.start_secs)
        elif isinstance(frame, SpeechPausedFrame) and frame.silence >= PAUSE_SECS:
            part = self._phrases.paused(frame.id)
        elif isinstance(frame, SpeechResumedFrame):
            self._phrases.resumed()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            part = self._phrases.stopped(frame.id)
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._phrases.turn_ended(frame.id)
        if part is not None:
            self._hearing[part] = self.create_task(self._hear(part), f"{self}::hear")

    async def _hear(self, part: Part) -> Cue | None:
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(self._ear.hear, part.samples, part.start)
            except Exception as error:
                logger.error(f"{self}: what was said could not be heard: {error!r}")
                return None

    async def _tag(self, context: LLMContext, frame: Frame, words: str | None) -> None:
        """Put how a turn was said in front of its words, if that is known in time and worth telling.

        Args:
            context: Where the words are the caller's last.
            frame: By which they came here.
            words: The words; None for the last there are.
        """
        cues = await self._cues(self._phrases.of(frame.id))
        if not cues:
            return
        told = together([each for number, each in self._told if number < frame.id])
        said = told.words or words_of(_last_words(context) if words is None else words)
        cue = onto(await asyncio.to_thread(self._ear.joined, cues, said), told)
        await self.push_frame(CueFrame(cue, speculation=isinstance(frame, LLMContextFrame)))
        described = self._describe(cue)
        messages = context.get_messages()
        callers = [at for at, message in enumerate(messages) if _is_callers(message, words)]
        if described and callers:
            messages.insert(callers[-1], {"role": "developer", "content": described})
            context.set_messages(messages)

    async def _cues(self, parts: Sequence[Part]) -> list[Cue]:
        tasks = [self._hearing[part] for part in parts]
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT_SECS)
        return [cue for task in tasks if task.done() and (cue := task.result()) is not None]

    def _turn_done(self, number: int) -> None:
        """What was said in the turn is part of what is known of the caller from now on."""
        tasks = [self._hearing[part] for part in self._phrases.of(number)]
        self._phrases.turn_ended(number)
        self._phrases.forget(number)
        while self._told and self._told[0][0] < number:
            self._told.popleft()
        self._hearing = {part: task for part, task in self._hearing.items() if part.made > number}
        learning = self.create_task(self._learn(tasks), f"{self}::learn")
        self._learning.add(learning)
        learning.add_done_callback(self._learning.discard)

    async def _learn(self, tasks: Sequence[asyncio.Task[Cue | None]]) -> None:
        cues = [cue for task in tasks if (cue := await task) is not None]
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(self._ear.turn_done, cues)
            except Exception as error:
                logger.error(f"{self}: a turn could not be taken into account: {error!r}")


def _last_words(context: LLMContext) -> str:
    """What the caller said last, as far as it is text."""
    said = [
        message.get("content")
        for message in context.get_messages()
        if isinstance(message, dict) and _is_callers(message, None)
    ]
    return said[-1] if said and isinstance(said[-1], str) else ""


def _is_callers(message: LLMContextMessage, words: str | None) -> bool:
    """Whether a message is the caller's, and of these words if there are any."""
    return (
        isinstance(message, dict)
        and message.get("role") == "user"
        and (words is None or message.get("content") == words)
    )
