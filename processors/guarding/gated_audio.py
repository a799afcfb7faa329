"""The stage AUDIO_GATE: of a model that answers in speech, what the policy allows is heard."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from guardrails import Decision
from guardrails.stream import GUARD
from processors.guarding.audio_gate import LAG_MS, MARGIN_MS, AudioGate, Broken, Counts, Pcm, Released
from processors.guarding.frames import UnclearedTextFrame, UnfinishedAnswerFrame, clear, is_cleared
from processors.guarding.guarding import Guarding
from processors.guarding.output import consequence

STREAM_LIMIT_SECS = 5.0
"""Of speech that comes as it is spoken: the caller waits as long."""

BURST_LIMIT_SECS = 30.0
"""Of an answer that comes faster than it is spoken."""


@dataclass(frozen=True)
class Transcribed:
    """Words that were recognised in what the model says.

    Args:
        text: The words, with the white space between them.
        until: The number of the sample, from `Transcriber.begin` on, up to which they are spoken.
    """

    text: str
    until: int


class Transcriber(Protocol):
    """Says what a model says, where its own text is none to go by. Called in a thread, one call at a time."""

    def begin(self) -> None:
        """Samples are numbered from 0 again."""

    def hear(self, samples: Pcm, rate: int) -> Sequence[Transcribed]:
        """The words that are certain now, in order, none of them twice."""

    def finish(self) -> Sequence[Transcribed]:
        """The words that are left, of an answer that is over."""


class GatedAudio(FrameProcessor):
    """Stands behind a service that answers in speech, and before the voice that says the policy's words.

    The service pushes what OpenAI Realtime, OpenAI Live and others of their kind do: an answer lies between
    `LLMFullResponseStartFrame` and `LLMFullResponseEndFrame`; its speech comes as `TTSAudioRawFrame` within them,
    faster than it is spoken, or as an endless `SpeechOutputAudioRawFrame`; its transcript as `TTSTextFrame`. With each
    of these comes an `LLMTextFrame` of the same words, for clients. A voice behind the gate would read that out, and so
    it is not passed on.

    Of an answer that a rule acts on, what is cleared is heard. Then the model is told by an `InterruptionFrame`,
    upstream alone, and in place of the rest a `TTSSpeakFrame` says the rule's text, or the policy's fallback. What the
    model still says of that answer is not heard, be it cancelled or not. Audio let through is marked as cleared.

    Args:
        guarding: The conversation's.
        transcriber: Whose words the speech is held to. The model's own if there is none.
        margin_ms: As for `AudioGate`.
        lag_ms: As for `AudioGate`.
    """

    def __init__(
        self,
        guarding: Guarding,
        transcriber: Transcriber | None = None,
        *,
        margin_ms: float = MARGIN_MS,
        lag_ms: float = LAG_MS,
    ) -> None:
        super().__init__()
        self._guarding = guarding
        self._transcriber = transcriber
        self._gate = AudioGate(margin_ms=margin_ms, lag_ms=lag_ms, limit_secs=BURST_LIMIT_SECS)
        self._answering = False
        self._fed = False
        self._endless = False
        self._rate = 0
        self._destination: str | None = None
        self._voice_stopped: Frame | None = None
        self._word = ""  # the beginning of one

    @property
    def counts(self) -> Counts:
        """What became of the samples of the call."""
        return self._gate.counts

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._interrupted()
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, LLMFullResponseStartFrame):
            await self._begin()
            await self._pass(frame)
        elif isinstance(frame, OutputAudioRawFrame):
            await self._audio(frame)
        elif isinstance(frame, TTSTextFrame) or (isinstance(frame, UnclearedTextFrame) and frame.spoken):
            await self._text(frame)
        elif isinstance(frame, (LLMTextFrame, UnclearedTextFrame)) and not is_cleared(frame):
            pass
        elif isinstance(frame, TTSStoppedFrame) and self._answering:
            # It ends what is heard, and comes before the end of the answer, which lets out the last of it.
            self._voice_stopped = frame
        elif isinstance(frame, (TTSStartedFrame, TTSStoppedFrame)):
            await self._pass(frame)
        elif isinstance(frame, LLMFullResponseEndFrame):
            await self._end(finished=not isinstance(frame, UnfinishedAnswerFrame))
            await self._pass(frame)
        else:
            await self.push_frame(frame)

    def _interrupted(self) -> None:
        self._guarding.interrupted()
        if self._answering or not self._endless:
            self._gate.abort()
        self._answering, self._voice_stopped, self._word = False, None, ""

    async def _begin(self) -> None:
        """An answer begins. One in several parts says so with each."""
        if self._answering:
            return
        self._answering, self._fed = True, False
        await self._guarding.settle()
        if not self._endless or self._gate.shut:
            self._gate.begin()
            if self._transcriber is not None:
                await asyncio.to_thread(self._transcriber.begin)

    async def _audio(self, frame: OutputAudioRawFrame) -> None:
        self._endless = not isinstance(frame, TTSAudioRawFrame)
        self._gate.limit_secs = STREAM_LIMIT_SECS if self._endless else BURST_LIMIT_SECS
        self._gate.steady = self._endless
        self._rate, self._destination = frame.sample_rate, frame.transport_destination
        if not self._endless and not self._answering:
            self._gate.abort()  # of an answer that was cut off
        try:
            if frame.num_channels != 1:
                raise ValueError(f"{frame.num_channels} channels: give the gate one")
            samples = np.frombuffer(frame.audio, "<i2").astype(np.int16)
            await self._let_out(self._gate.hear(samples, frame.sample_rate))
            if self._transcriber is not None:
                for words in await asyncio.to_thread(self._transcriber.hear, samples, frame.sample_rate):
                    await self._read(words.text, words.until)
        except Exception as error:
            await self._failed(error)

    async def _text(self, frame: TTSTextFrame | UnclearedTextFrame) -> None:
        if self._transcriber is not None:
            return
        if self._answering or (self._endless and not self._gate.shut):
            await self._begin()
            await self._read(frame.text if frame.includes_inter_frame_spaces else f"{frame.text} ", None)

    async def _read(self, text: str, until: int | None) -> None:
        expected = self._gate.expect(text, until)
        said, decisions = "", list[Decision]()
        try:
            if expected:
                self._fed = True
                said = await self._guarding.feed(expected)
                decisions = self._guarding.said.take()
        except Exception as error:
            self._gate.fail(type(error).__name__)
        await self._let_out(self._gate.settle(said, decisions))

    async def _failed(self, error: Exception) -> None:
        self._gate.fail(type(error).__name__)
        await self._let_out(self._gate.settle("", ()))

    async def _end(self, *, finished: bool) -> None:
        if self._answering:
            try:
                if self._transcriber is not None:
                    for words in await asyncio.to_thread(self._transcriber.finish):
                        await self._read(words.text, words.until)
                said = "" if self._gate.stopped else await self._guarding.finish()
                decisions = self._guarding.said.take()
            except Exception as error:
                await self._failed(error)
                said, decisions = "", []
            await self._let_out(self._gate.end(said, decisions, goes_on=self._endless, finished=finished))
            await self._tell("", whole=True)
            self._answering = False
        elif self._endless:
            self._gate.end("", (), goes_on=True)  # of an answer that was interrupted
        stopped, self._voice_stopped = self._voice_stopped, None
        if stopped is not None:
            await self._pass(stopped)

    async def _pass(self, frame: Frame) -> None:
        """Let out what is the model's own, to keep its place among its speech."""
        clear(frame)
        await self.push_frame(frame)

    async def _let_out(self, released: Released) -> None:
        if released.first:
            await self._say(released.first)
        if len(released.audio):
            kind = SpeechOutputAudioRawFrame if self._endless else TTSAudioRawFrame
            audio = kind(released.audio.astype("<i2").tobytes(), self._rate, 1)
            audio.transport_destination = self._destination
            await self._pass(audio)
        await self._tell(released.text, whole=released.broken is not None)
        if released.broken is not None:
            await self._break_off(released.broken)

    async def _tell(self, text: str, *, whole: bool) -> None:
        """Pass words on. Of one that may go on in the next piece, as models write in parts of words, nothing is told
        before the rest of it: whoever shows or remembers words puts white space between what comes.

        Args:
            text: What follows what came before.
            whole: Whether nothing follows.
        """
        words = re.findall(r"\S+\s*", self._word + text)
        open_word = words.pop() if words and not whole and not words[-1][-1].isspace() else ""
        self._word = open_word
        if words:
            told = TTSTextFrame("".join(words).strip(), "sentence")
            told.skip_tts = True
            await self._pass(told)

    async def _break_off(self, broken: Broken) -> None:
        decision = broken.decision
        text = decision.text or self._guarding.policy.fallback
        failure = (broken.failure or self._guarding.said.failure) if decision.rule == GUARD else None
        if self._fed:
            self._guarding.said.abort(f"{broken.before} {text}".strip())
        for report in self._guarding.reports([decision], "said", failure):
            await self.push_frame(report)
        await self.push_frame(InterruptionFrame(), FrameDirection.UPSTREAM)
        await self._say(text)
        after = consequence(decision)
        if after is not None:
            await self.push_frame(after)

    async def _say(self, text: str) -> None:
        """Have the voice behind the gate say words of the policy's own."""
        speak = TTSSpeakFrame(text)
        clear(speak)
        await self.push_frame(speak)
