"""Services whose content is a script and whose timing is a profile. They stand in for models, and say so by name."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    FunctionCallFromLLM,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    STTMetadataFrame,
    SystemFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.settings import LLMSettings, TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.text.base_text_aggregator import TextType

from pipelines.lab.profile import ProfileLLM, ProfileSTT, ProfileTTS, ProfileVAD
from pipelines.lab.script import AgentSays, CallerSays, Conversation, agent, words
from pipelines.lab.trace.payload import payload
from processors.summaries import SUMMARY_TOKENS

CHARACTERS_PER_TOKEN = 4
"""Where a text's tokens are estimated."""

NOTE_HERTZ = 220.0
SINGING_RATE = 24000
"""Of models that speak themselves."""

HEARD_TOKENS_PER_SECOND, SPOKEN_TOKENS_PER_SECOND = 10, 20
"""Of sound, which stays in the prompts of all later answers (developers.openai.com/api/docs/guides/realtime-costs)."""

DUPLEX_FRAME_SECS = 0.08
"""Moshi's."""

DUPLEX_GAP_SECS = 0.8
"""Without a word, after which OpenAI Live takes an answer for ended."""
VAD_SECS = 0.5
"""Silence after which any VAD has called the speech ended."""


@dataclass
class CallerSpeechFrame(SystemFrame):
    """The caller begins or ends a stretch of speech: what a script sends in place of audio.

    It goes through the whole pipeline and overtakes data, as audio does. A stage that hears more than words reads
    `said.cue` of it.

    Args:
        said: What is being said, and how.
        begins: Whether it begins now; otherwise it ends now.
    """

    said: CallerSays
    begins: bool


@payload.register
def _(frame: CallerSpeechFrame) -> dict[str, Any]:
    return {"said": asdict(frame.said), "begins": frame.begins}


class ScriptedVAD(FrameProcessor):
    """Reports speech and its end after the voice and the silence that its profile says.

    Attributes:
        last: What the caller said last, or is saying.
    """

    def __init__(self, profile: ProfileVAD) -> None:
        super().__init__(enable_direct_mode=True)
        self.last: CallerSays | None = None
        self._profile = profile
        self._speaking = False
        self._pending: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, CallerSpeechFrame):
            self.last = frame.said
            await self._stop_waiting()
            self._pending = self.create_task(self._started() if frame.begins else self._stopped(), f"{self}::silence")

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_waiting()

    async def _started(self) -> None:
        if self._speaking:
            return
        await asyncio.sleep(self._profile.start_secs)
        self._speaking = True
        await self.broadcast_frame(VADUserStartedSpeakingFrame, start_secs=self._profile.start_secs)

    async def _stopped(self) -> None:
        await asyncio.sleep(self._profile.stop_secs)
        self._speaking = False
        await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=self._profile.stop_secs)

    async def _stop_waiting(self) -> None:
        if self._pending:
            task, self._pending = self._pending, None
            await self.cancel_task(task)


class ScriptedSTT(FrameProcessor):
    """Sends what the script says is heard, as long after the VAD has called the speech ended as its profile says."""

    def __init__(self, profile: ProfileSTT) -> None:
        super().__init__()
        self._profile = profile
        self._said: list[CallerSays] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, CallerSpeechFrame):
            if frame.begins:
                self._said.append(frame.said)
        elif isinstance(frame, StartFrame):
            wait = VAD_SECS + self._profile.final_ms.ceiling / 1000
            await self.broadcast_frame(STTMetadataFrame, service_name=self._profile.service, ttfs_p99_latency=wait)
        elif isinstance(frame, VADUserStoppedSpeakingFrame) and self._said:
            said, self._said = self._said, []
            self.create_task(self._transcribe(said), f"{self}::transcribe")

    async def _transcribe(self, said: list[CallerSays]) -> None:
        await self.push_frame(await _transcript(said, self._profile))


async def _transcript(said: list[CallerSays], profile: ProfileSTT) -> TranscriptionFrame:
    """What is understood of what was said, when it is."""
    own = said[-1].stt_delay
    await asyncio.sleep(profile.final_ms.draw() / 1000 if own is None else own)
    text = " ".join(each.heard for each in said)
    return TranscriptionFrame(text=text, user_id="", timestamp="", finalized=True)


def no_settings(model: str) -> LLMSettings:
    """The settings of a language model that is a script."""
    unsupported: dict[str, Any] = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}
    return LLMSettings(**{**unsupported, "model": model})


class ScriptedLLM(LLMService):
    """Answers each turn of the caller with what the script has for it, at the pace of its profile.

    Which turn it is, it takes from the caller's last words in the context, as a model would.

    Args:
        profile: When tokens come.
        conversation: The script.

    Attributes:
        unexpected: What it was asked for that the script has no answer to.
    """

    def __init__(self, profile: ProfileLLM, conversation: Conversation) -> None:
        super().__init__(settings=no_settings(profile.service))
        self._profile = profile
        self._answers = [(words(exchange.heard), exchange.answer) for exchange in conversation.exchanges]
        self._half = agent(conversation.half) if conversation.half else None
        self._asked: set[int] = set()
        self._called: AgentSays | None = None
        self._unanswered_guess: str | None = None
        self.unexpected: list[str] = []
        for _, answer in self._answers:
            if answer.tool:
                self.register_function(answer.tool, self._run_tool)

    @property
    def unspoken(self) -> list[str]:
        """Answers of the script that nobody asked for."""
        return [answer.text for number, (_, answer) in enumerate(self._answers) if number not in self._asked]

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EagerEndOfTurnCancelFrame):
            self._unanswered_guess = None
        elif isinstance(frame, UserStoppedSpeakingFrame) and self._unanswered_guess is not None:
            self.unexpected.append(self._unanswered_guess)
            self._unanswered_guess = None
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self._respond(frame.context, speculative=frame.speculation is not None)

    async def _respond(self, context: LLMContext, *, speculative: bool) -> None:
        try:
            await self.push_frame(LLMFullResponseStartFrame())
            await self._answer(context, speculative=speculative)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _answer(self, context: LLMContext, *, speculative: bool) -> None:
        answer = self._find(context, speculative)
        if answer is None:
            return
        await self.start_ttfb_metrics()
        await asyncio.sleep(self._profile.first_token_ms.draw() / 1000)
        await self.stop_ttfb_metrics()
        if answer.tool and self._called is not answer:
            call = FunctionCallFromLLM(answer.tool, uuid.uuid4().hex, answer.arguments, context)
            if not self._speculation_gate.is_speculating:
                self._called = answer
            await self.run_function_calls([call])
            return
        await self._write(answer.text.split())
        await self.start_llm_usage_metrics(self._used(context, answer))

    def _used(self, context: LLMContext, answer: AgentSays) -> LLMTokenUsage:
        prompt = sum(len(str(message.get("content", ""))) for message in context.messages if isinstance(message, dict))
        said = len(answer.text) // CHARACTERS_PER_TOKEN + 1
        asked = prompt // CHARACTERS_PER_TOKEN + 1
        return LLMTokenUsage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)

    async def _write(self, spoken: Sequence[str]) -> None:
        for number, word in enumerate(spoken):
            if number and self._profile.words_per_second:
                await asyncio.sleep(1 / self._profile.words_per_second)
            await self._push_llm_text(f"{' ' if number else ''}{word}")

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: dict[str, Any] | None = None,
    ) -> str:
        """What stands in for a summary: the beginnings of what it is of, at the pace of the profile."""
        lines = str(context.messages[-1].get("content")).splitlines()[1:]  # type: ignore[union-attr]
        spoken = " ".join(word for line in lines for word in line.split()[1:4]).split()
        while len(" ".join(spoken)) > CHARACTERS_PER_TOKEN * (max_tokens or SUMMARY_TOKENS):
            spoken = spoken[: len(spoken) // 2]
        pace = self._profile.words_per_second
        await asyncio.sleep(self._profile.first_token_ms.draw() / 1000 + (len(spoken) / pace if pace else 0.0))
        return " ".join(spoken)

    def _find(self, context: LLMContext, speculative: bool) -> AgentSays | None:
        """The answer to the caller's last words; to words said before, the next one that the script has for them."""
        asked = [str(m.get("content")) for m in context.messages if isinstance(m, dict) and m.get("role") == "user"]
        last = words(asked[-1]) if asked else ()
        before = sum(words(text) == last for text in asked[:-1])
        matching = [number for number, (heard, _) in enumerate(self._answers) if heard == last]
        if before < len(matching):
            self._asked.add(matching[before])
            return self._answers[matching[before]][1]
        if self._half is not None and (found := self._find_in_parts([words(text) for text in asked])) is not None:
            return found
        if speculative:
            self._unanswered_guess = asked[-1]
        else:
            self.unexpected.append(asked[-1] if asked else "")
        return None

    def _find_in_parts(self, asked: Sequence[tuple[str, ...]]) -> AgentSays | None:
        """The answer to a turn that has come in parts, at its last; to one that may still go on, what halves get."""
        for number, (heard, answer) in enumerate(self._answers):
            if any(heard == sum(asked[begin:], ()) for begin in range(len(asked) - 1)):
                self._asked.add(number)
                return answer
        last = asked[-1] if asked else ()
        return self._half if last and any(heard[: len(last)] == last for heard, _ in self._answers) else None

    async def _run_tool(self, params: FunctionCallParams) -> None:
        await params.result_callback(self._called.result if self._called else None)


class ScriptedAudioLLM(ScriptedLLM):
    """Hears each of the caller's turns itself, takes as long to understand it as the recogniser of its profile, and
    answers it as `ScriptedLLM` does. What it understood it tells upstream, as such models do.

    Args:
        hearing: When it has understood.
        profile: When tokens come.
        conversation: The script.
        context: What the conversation remembers.
    """

    def __init__(
        self, hearing: ProfileSTT, profile: ProfileLLM, conversation: Conversation, context: LLMContext
    ) -> None:
        super().__init__(profile, conversation)
        self._hearing = hearing
        self._remembered = context
        self._said: list[CallerSays] = []
        self._turn: asyncio.Task[None] | None = None
        self._called_last = ""

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        return LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame):
            called = _called(frame.context)
            # Any other tells of what was understood and answered.
            if called is not None and called != self._called_last:
                self._called_last = called
                self._turn = self.create_task(self._respond(frame.context, speculative=False), f"{self}::turn")
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerSpeechFrame) and not frame.begins:
            # What is still being said when a turn is called ended belongs to the next.
            self._said.append(frame.said)
        elif isinstance(frame, InterruptionFrame):
            await self._stop_answering()
        elif isinstance(frame, UserStoppedSpeakingFrame) and self._said:
            await self._stop_answering()
            said, self._said = self._said, []
            self._turn = self.create_task(self._understand(said), f"{self}::turn")

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_answering()

    async def _stop_answering(self) -> None:
        if self._turn:
            turn, self._turn = self._turn, None
            await self.cancel_task(turn)

    async def _understand(self, said: list[CallerSays]) -> None:
        understood = await self._hear(said)
        await self._tell(understood)
        asked = LLMContext(messages=[*self._remembered.messages, {"role": "user", "content": understood.text}])
        await self._respond(asked, speculative=False)

    async def _hear(self, said: list[CallerSays]) -> TranscriptionFrame:
        try:
            return await _transcript(said, self._hearing)
        except asyncio.CancelledError:
            # The caller went on: what was said is heard with what follows.
            self._said[:0] = said
            raise

    async def _tell(self, understood: TranscriptionFrame) -> None:
        await self.push_frame(understood, FrameDirection.UPSTREAM)


def _called(context: LLMContext) -> str | None:
    """Which call of a tool the last message is the result of."""
    last = context.messages[-1] if context.messages else None
    return str(last.get("tool_call_id")) if isinstance(last, dict) and last.get("role") == "tool" else None


class ScriptedSpeechLLM(ScriptedAudioLLM):
    """Sings its answers itself, all at once, as OpenAI Realtime speaks faster than it is heard. It uses tokens as that
    does, where nobody has it forget the sound.

    Args:
        hearing, profile, conversation, context: As for `ScriptedAudioLLM`; of `profile`, `first_token_ms` is when its
            first sound comes.
        voice: How long a word lasts.
    """

    def __init__(
        self,
        hearing: ProfileSTT,
        profile: ProfileLLM,
        voice: ProfileTTS,
        conversation: Conversation,
        context: LLMContext,
    ) -> None:
        super().__init__(hearing, profile, conversation, context)
        self._word_secs = voice.word_secs
        self._sound = 0.0  # tokens of it that stand before the next answer

    async def _hear(self, said: list[CallerSays]) -> TranscriptionFrame:
        understood = await super()._hear(said)
        self._sound += HEARD_TOKENS_PER_SECOND * sum(each.lasts for each in said)
        return understood

    def _used(self, context: LLMContext, answer: AgentSays) -> LLMTokenUsage:
        asked, said = round(self._sound), round(SPOKEN_TOKENS_PER_SECOND * self._word_secs * len(answer.text.split()))
        self._sound += said
        return LLMTokenUsage(
            prompt_tokens=asked,
            completion_tokens=said,
            total_tokens=asked + said,
            input_audio_tokens=asked,
            output_audio_tokens=said,
        )

    async def _write(self, spoken: Sequence[str]) -> None:
        sung = round(self._word_secs * SINGING_RATE)
        await self.push_frame(TTSStartedFrame())
        try:
            for number, word in enumerate(spoken):
                await self._say(word if number == len(spoken) - 1 else f"{word} ")
                await self.push_frame(TTSAudioRawFrame(_note(sung, SINGING_RATE), SINGING_RATE, 1))
        finally:
            await self.push_frame(TTSStoppedFrame())

    async def _say(self, word: str) -> None:
        text = TTSTextFrame(word, TextType.SENTENCE)
        text.includes_inter_frame_spaces = True
        await self.push_frame(text)


class ScriptedDuplexLLM(ScriptedSpeechLLM):
    """Listens while it sings, and falls silent itself when the VAD before it notices that the caller speaks. It tells
    when the caller begins and is done, as OpenAI Live does, and what it gives never ends: where it sings nothing it
    gives silence. With the frame in which a word begins comes the word; an answer ends some time after its last word.

    Args: As `ScriptedSpeechLLM`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._to_sing: deque[tuple[str, bytes]] = deque()  # frames, with the words that begin in each
        self._singing: asyncio.Task[None] | None = None

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        return LLMServiceMetadataFrame(
            service_name=self.name, user_turn_strategies=ExternalUserTurnStrategies(enable_interruptions=False)
        )

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._singing = self.create_task(self._sing_on(), f"{self}::singing")
        elif isinstance(frame, VADUserStartedSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            await self._stop_answering()
            await self.broadcast_frame(ProposedUserStartedSpeakingFrame)
        elif isinstance(frame, CallerSpeechFrame) and not frame.begins and not frame.said.goes_on:
            said, self._said = self._said, []
            self._turn = self.create_task(self._understand(said), f"{self}::turn")

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._singing:
            await self.cancel_task(self._singing)

    async def _stop_answering(self) -> None:
        await super()._stop_answering()
        self._to_sing.clear()

    async def _respond(self, context: LLMContext, *, speculative: bool) -> None:
        await self._answer(context, speculative=speculative)

    async def _tell(self, understood: TranscriptionFrame) -> None:
        await super()._tell(understood)
        await self.broadcast_frame(ProposedUserStoppedSpeakingFrame)

    async def _write(self, spoken: Sequence[str]) -> None:
        word = round(self._word_secs * SINGING_RATE)
        size = round(DUPLEX_FRAME_SECS * SINGING_RATE)
        sung = _note(word * len(spoken), SINGING_RATE)
        sung += bytes(-len(sung) % (2 * size))
        for begin in range(0, len(sung) // 2, size):
            begins = [each for number, each in enumerate(spoken) if begin <= number * word < begin + size]
            self._to_sing.append(("".join(f"{each} " for each in begins), sung[2 * begin : 2 * (begin + size)]))

    async def _sing_on(self) -> None:
        since_word: float | None = None  # in an answer
        silence = bytes(2 * round(DUPLEX_FRAME_SECS * SINGING_RATE))
        while True:
            word, sound = self._to_sing.popleft() if self._to_sing else ("", silence)
            if word and since_word is None:
                await self.push_frame(LLMFullResponseStartFrame())
                await self.push_frame(TTSStartedFrame())
            if word:
                since_word = 0.0
                await self._say(word)
            await self.push_frame(SpeechOutputAudioRawFrame(sound, SINGING_RATE, 1))
            if since_word is not None:
                since_word += DUPLEX_FRAME_SECS
                if since_word > DUPLEX_GAP_SECS:
                    since_word = None
                    await self.push_frame(TTSStoppedFrame())
                    await self.push_frame(LLMFullResponseEndFrame())
            await asyncio.sleep(DUPLEX_FRAME_SECS)


class ScriptedTTS(TTSService):
    """Sings every word on one note, as soon after it is given the text as its profile says."""

    def __init__(self, profile: ProfileTTS) -> None:
        super().__init__(
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model=profile.service, voice="tone", language=None),
        )
        self._profile = profile
        self._sung: dict[str, int] = {}

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.start_tts_usage_metrics(text)
        spoken = text.split()
        before = self._sung.get(context_id, 0)
        self._sung[context_id] = before + len(spoken)
        await asyncio.sleep(self._profile.first_audio_ms.draw() / 1000)
        await self.stop_ttfb_metrics()
        word = self._profile.word_secs
        await self.start_word_timestamps()
        await self.add_word_timestamps([(each, (before + n) * word) for n, each in enumerate(spoken)], context_id)
        sung = _note(round(word * self.sample_rate * len(spoken)), self.sample_rate)
        yield TTSAudioRawFrame(sung, self.sample_rate, 1, context_id=context_id)


@functools.lru_cache(maxsize=64)
def _note(samples: int, rate: int) -> bytes:
    at = np.arange(samples) / rate
    return (16000 * np.cos(2 * np.pi * NOTE_HERTZ * at)).astype("<i2").tobytes()
