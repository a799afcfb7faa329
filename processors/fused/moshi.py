"""Moshi: a model that hears and speaks at the same time, behind a server of its own (kyutai-labs/moshi)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipecat.audio.utils import create_stream_resampler, is_silence
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, ServiceSettings
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.text.base_text_aggregator import TextType
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from processors.fused.failing import gives_up, words
from processors.fused.moshi_line import Fault, Line, LineError, News, Sound, Words
from processors.fused.moshi_protocol import MAX_MESSAGE_BYTES, chat_url
from processors.fused.opus import RATE
from processors.fused.pacing import Lead
from processors.guarding.frames import UnfinishedAnswerFrame

RESAMPLING = "MQ"
"""Of what the caller says: it is heard 15 ms late, with all up to 7.5 kHz. Pipecat's own setting takes 38 ms."""

CONNECT_SECS = 5.0
CLOSE_SECS = 1.0
BACK_OFF_SECS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""How long to wait before each attempt to have the line back; after the last one it is given up."""

ANSWER_GAP_SECS = 1.0
"""How much of the model's sound without a word ends what it says. The sound of a long word takes that long."""

LATE_SECS = 0.3
"""How far the sound may be ahead of what is being played before its silences are left out."""

MAX_LEAD_SECS = 10.0
"""How far it may be ahead at all."""


class MoshiService(LLMService):
    """Sends all that the caller says and passes on all that the model says, at the same time, for the whole call.

    Frames, as Pipecat's `OpenAILiveLLMService` has them: `SpeechOutputAudioRawFrame` at 24 kHz without a break; each
    token as an `LLMTextFrame` that is not for the context and a `TTSTextFrame` that is, between
    `LLMFullResponseStartFrame` with `TTSStartedFrame` and `TTSStoppedFrame` with `LLMFullResponseEndFrame`. It proposes
    `ExternalUserTurnStrategies(enable_interruptions=False)`: nothing interrupts the model but the model. Moshi itself
    tells no turns of the caller, so those that a VAD before it finds are proposed. What the caller says is not
    transcribed, the model takes no instructions, and there are no tools.

    The model goes on only as it hears: where no audio comes from the caller it is sent silence. It is sent nothing
    before the first audio, so that it does not greet an empty room.

    A line that breaks is an `ErrorFrame` (`CONNECTIVITY`), and it is tried to have it back, with a model that has
    forgotten the call. When that is given up, or the server refuses for good, it is an error for good.

    Args:
        url: The server, as `ws://localhost:8998`.
        query: See `moshi_protocol.chat_url`.
        tls: For a server with `wss` whose certificate is its own.

    Raises:
        ValueError: If the URL is none, or one without TLS for `tls`.
    """

    def __init__(
        self, *, url: str, query: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None, **kwargs: Any
    ) -> None:
        settings = LLMSettings(
            model="moshi",
            system_instruction=None,
            temperature=None,
            max_tokens=None,
            top_p=None,
            top_k=None,
            frequency_penalty=None,
            presence_penalty=None,
            seed=None,
            filter_incomplete_user_turns=False,
            user_turn_completion_config=None,
        )
        super().__init__(settings=settings, **kwargs)
        self._url = chat_url(url, query)
        secure = self._url.startswith("wss:")
        if tls is not None and not secure:
            raise ValueError(f"{url!r} has no TLS: write it as wss://…, or leave tls out")
        self._tls = tls or secure or None
        self._resampler = create_stream_resampler(quality=RESAMPLING)
        self._line: Line | None = None
        self._call: asyncio.Task[None] | None = None
        self._lead = Lead()
        self._flooded = False
        self._speaking = False
        self._since_word = 0.0

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        # Unlike OpenAI's, a realtime service to the aggregators: no turn waits for a transcript. None comes from here,
        # and late ones from a recogniser beside it.
        return LLMServiceMetadataFrame(
            service_name=self.name,
            user_turn_strategies=ExternalUserTurnStrategies(enable_interruptions=False),
            is_realtime_service=True,
        )

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._call = self.create_task(self._hold(), "line")

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._hang_up()
        await self._end_answer()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._hang_up(at_once=True)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._hang_up(at_once=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self._hear(frame)
        elif isinstance(frame, InterruptionFrame) and direction is FrameDirection.DOWNSTREAM:
            # The model talks on, and what it says from here is another answer to those who record it. A guard, which
            # interrupts from behind, waits for the end of this one.
            await self._end_answer()
        await self.push_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, VADUserStartedSpeakingFrame):
                await self.broadcast_frame(ProposedUserStartedSpeakingFrame)
            elif isinstance(frame, VADUserStoppedSpeakingFrame):
                await self.broadcast_frame(ProposedUserStoppedSpeakingFrame)

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        changed = await super()._update_settings(delta)  # type: ignore[arg-type]
        self._warn_unhandled_updated_settings(changed)
        return changed

    async def _hear(self, frame: InputAudioRawFrame) -> None:
        if self._line is not None:
            self._line.hear(await self._resampler.resample(frame.audio, frame.sample_rate, RATE))

    async def _hold(self) -> None:
        """Have a line to the server for as long as that can be had."""
        failures = 0
        while True:
            line: Line | None = None
            try:
                async with connect(
                    self._url,
                    ssl=self._tls,
                    compression=None,
                    open_timeout=CONNECT_SECS,
                    close_timeout=CLOSE_SECS,
                    ping_interval=None,
                    max_size=MAX_MESSAGE_BYTES,
                ) as connection:
                    self._line = line = Line(connection)
                    await line.talk(self._take)
            except (OSError, WebSocketException) as error:
                failure = error
            except Exception as error:
                await self.push_error(f"Moshi: {error!r}", error, force_treat_as_permanent=True)
                raise
            finally:
                self._line = None
            await self._end_answer(finished=False)
            failures = 1 if line is not None and line.spoke else failures + 1
            if await self._gives_up(failure, failures):
                return
            await asyncio.sleep(BACK_OFF_SECS[failures - 1])

    async def _gives_up(self, failure: Exception, failures: int) -> bool:
        what = str(failure) if isinstance(failure, LineError) else words(failure, CONNECT_SECS)
        where = "{0.scheme}://{0.netloc}{0.path}".format(urlsplit(self._url))
        return await gives_up(self, f"Moshi {what} ({where})", failure, failures=failures, attempts=len(BACK_OFF_SECS))

    async def _hang_up(self, *, at_once: bool = False) -> None:
        if at_once and self._line is not None:
            self._line.abort()
        if self._call is not None:
            call, self._call = self._call, None
            await self.cancel_task(call)

    async def _take(self, news: News) -> None:
        match news:
            case Sound():
                await self._speak(news)
            case Words(text):
                await self._say(text)
            case Fault(text):
                await self.push_error(f"Moshi {text}", category=ErrorCategory.SERVER)

    async def _speak(self, sound: Sound) -> None:
        now = asyncio.get_running_loop().time()
        lead = self._lead.secs(now)
        if lead > MAX_LEAD_SECS:
            if not self._flooded:
                self._flooded = True
                await self.push_error("Moshi sends more sound than can be played", category=ErrorCategory.SERVER)
        elif lead <= LATE_SECS or not is_silence(sound.pcm):
            self._lead.add(sound.secs, now)
            await self.push_frame(SpeechOutputAudioRawFrame(audio=sound.pcm, sample_rate=RATE, num_channels=1))
        self._since_word += sound.secs
        if self._since_word >= ANSWER_GAP_SECS:
            await self._end_answer()

    async def _say(self, text: str) -> None:
        self._since_word = 0.0
        if not self._speaking:
            self._speaking = True
            await self.push_frame(LLMFullResponseStartFrame())
            await self.push_frame(TTSStartedFrame())
        written = LLMTextFrame(text)
        written.append_to_context = False
        await self.push_frame(written)
        spoken = TTSTextFrame(text, text_type=TextType.SENTENCE)
        spoken.includes_inter_frame_spaces = True
        await self.push_frame(spoken)

    async def _end_answer(self, *, finished: bool = True) -> None:
        if self._speaking:
            self._speaking = False
            await self.push_frame(TTSStoppedFrame())
            await self.push_frame(LLMFullResponseEndFrame() if finished else UnfinishedAnswerFrame())
