"""A plain Pipecat pipeline with the embedded models, as one would write it from the documentation: the yardstick.

Segmented speech recognition, default turn strategies, whole sentences, the voice as the model gives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import Any

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import ErrorFrame, Frame, TranscriptionFrame, TTSAudioRawFrame
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.utils.time import time_now_iso8601

from pipelines import personas
from pipelines.stacks import embedded
from processors.embedded.weights import locate
from processors.pcm import to_pcm, to_samples

INPUT_RATE = 16000
VOICE_RATE = 24000


class SegmentedMoonshine(SegmentedSTTService):
    """Transcribes a segment when the VAD has closed it."""

    def __init__(self) -> None:
        settings = STTSettings(model="moonshine-tiny-en", language=None)
        super().__init__(sample_rate=INPUT_RATE, ttfs_p99_latency=0.5, settings=settings)

    @property
    def wants_wav_segments(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        samples = to_samples(audio)
        recogniser = embedded.RECOGNISER.get()
        text = await asyncio.to_thread(recogniser.transcribe, samples[-30 * INPUT_RATE :])
        if text:
            yield TranscriptionFrame(text=text, user_id="", timestamp=time_now_iso8601(), finalized=True)


@cache
def _hibari() -> Any:
    from hibari import Hibari

    return Hibari(model=str(locate("hibari-heart")))


class WholeHibari(TTSService):
    """Says each sentence with the model's own silences around it."""

    def __init__(self) -> None:
        settings = TTSSettings(model="hibari", voice="heart", language=None)
        super().__init__(sample_rate=VOICE_RATE, push_start_frame=True, push_stop_frames=True, settings=settings)

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        try:
            samples = await asyncio.to_thread(lambda: _hibari()(text))
        except Exception as error:
            yield ErrorFrame(error=f"hibari: {error}")
            return
        yield TTSAudioRawFrame(audio=to_pcm(samples), sample_rate=VOICE_RATE, num_channels=1, context_id=context_id)


def plain_worker(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
    """The yardstick's worker. The embedded stack's models have to be loaded."""
    server = embedded.LANGUAGE_MODEL.get()
    persona = personas.load("ferni")
    llm = OpenAILLMService(
        base_url=server.url,
        api_key=server.api_key,
        settings=OpenAILLMService.Settings(
            model="local", system_instruction=persona.instructions, temperature=0.0, max_tokens=160
        ),
    )
    examples: list[LLMContextMessage] = []
    for example in persona.examples:
        examples += [{"role": "user", "content": example.caller}, {"role": "assistant", "content": example.answer}]
    pair = LLMContextAggregatorPair(
        LLMContext(examples), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    processors = [
        transport.input(),
        SegmentedMoonshine(),
        pair.user(),
        llm,
        WholeHibari(),
        transport.output(),
        pair.assistant(),
    ]
    return PipelineWorker(
        Pipeline(processors),
        params=PipelineParams(audio_in_sample_rate=INPUT_RATE, audio_out_sample_rate=VOICE_RATE),
        observers=list(observers),
    )
