"""A transport without a network: audio goes in by call and comes out to a listener, at real-time pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipecat.frames.frames import CancelFrame, EndFrame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

BUFFER_SECS = 0.1

Listener = Callable[[bytes, float], None]
"""Called with 16-bit mono PCM and the loop time at which its first sample is heard."""


class MemoryInput(BaseInputTransport):
    """Passes on what `MemoryTransport.hear` is given."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.ready = asyncio.Event()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.ready.set()


class MemoryOutput(BaseOutputTransport):
    """Plays to a listener as fast as a loudspeaker would and no faster."""

    def __init__(self, params: TransportParams, listener: Listener) -> None:
        super().__init__(params)
        self._listener = listener
        self._free_at = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)

    def write_audio_frame(self, frame: OutputAudioRawFrame) -> asyncio.Future[bool]:  # type: ignore[override]
        # Pipecat waits for it with a limit. A future needs no task for that, as a coroutine would for every chunk.
        loop = asyncio.get_running_loop()
        # A chunk that is handed over a little late follows the one before without a gap, as from a device's buffer.
        start = self._free_at if 0 <= loop.time() - self._free_at < BUFFER_SECS else max(loop.time(), self._free_at)
        self._listener(frame.audio, start)
        self._free_at = start + frame.num_frames / frame.sample_rate
        played = loop.create_future()
        loop.call_at(self._free_at, _settle, played)
        return played


def _settle(played: asyncio.Future[bool]) -> None:
    if not played.done():
        played.set_result(True)


class MemoryTransport(BaseTransport):
    """Holds a conversation in memory.

    Args:
        listener: Gets every chunk that is played.
        input_rate: Sample rate in Hz of what `hear` is given.
        output_rate: Sample rate in Hz of what the listener gets.
        chunk_ms: Audio that the listener gets at a time, in tens of milliseconds: what is still heard after an
            interruption.
    """

    def __init__(
        self, listener: Listener, *, input_rate: int = 16000, output_rate: int = 24000, chunk_ms: int = 20
    ) -> None:
        super().__init__()
        params = TransportParams(
            audio_in_enabled=True,
            audio_in_sample_rate=input_rate,
            audio_in_passthrough=True,
            audio_out_enabled=True,
            audio_out_sample_rate=output_rate,
            audio_out_10ms_chunks=chunk_ms // 10,
        )
        self._rate = input_rate
        self._input = MemoryInput(params)
        self._output = MemoryOutput(params, listener)

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def ready(self) -> None:
        """Wait until the pipeline takes audio."""
        await self._input.ready.wait()

    async def hear(self, pcm: bytes) -> None:
        """Give the pipeline some of the caller's audio.

        Args:
            pcm: 16-bit mono PCM at the input rate.
        """
        await self._input.push_audio_frame(InputAudioRawFrame(audio=pcm, sample_rate=self._rate, num_channels=1))
