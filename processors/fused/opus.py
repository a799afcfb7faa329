"""Speech as Ogg/Opus (RFC 7845) at 24 kHz mono, chunk by chunk, by the libopus that comes with PyAV.

On one core of a small server a second of speech takes some 8 ms to encode and 4 ms to decode, a chunk of 20 ms a
fiftieth of that: little enough for an event loop.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from processors.fused.errors import WireError
from processors.fused.ogg import OggReader, OggWriter, Packet

RATE = 24000
"""Samples a second, of what is encoded and of what is decoded."""

CHUNK = 480
"""Samples in a packet: 20 ms."""

BIT_RATE = 32_000
MAX_SECS = 10.0
"""How much sound one call to `OpusDecoder.decode` may give. A few hundred bytes can stand for half a minute."""

_INNER = 48_000
"""Opus counts in samples of this rate, and FFmpeg decodes to it."""

_HEAD, _TAGS = b"OpusHead", b"OpusTags"


class OpusEncoder:
    """16-bit PCM to one stream of Ogg/Opus, a page for each 20 ms."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate = RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = BIT_RATE
        codec.time_base = Fraction(1, RATE)
        codec.options = {"application": "voip", "frame_duration": "20", "compression_level": "5"}
        codec.open()
        self._codec = codec
        self._ogg = OggWriter(serial=1)
        self._pcm = bytearray()
        self._samples = 0
        vendor = b"antiphon"
        tags = _TAGS + len(vendor).to_bytes(4, "little") + vendor + bytes(4)
        self._pages = self._ogg.page(codec.extradata or b"", 0) + self._ogg.page(tags, 0)

    def encode(self, pcm: bytes) -> bytes:
        """The pages that these samples complete; empty while fewer than 20 ms are waiting.

        Args:
            pcm: 16-bit little-endian mono at 24 kHz, of any length.
        """
        self._pcm += pcm
        pages, self._pages = ([self._pages], b"") if len(self._pcm) >= CHUNK * 2 else ([], self._pages)
        while len(self._pcm) >= CHUNK * 2:
            frame = av.AudioFrame.from_ndarray(
                np.frombuffer(bytes(self._pcm[: CHUNK * 2]), "<i2")[np.newaxis], format="s16", layout="mono"
            )
            del self._pcm[: CHUNK * 2]
            frame.sample_rate = RATE
            frame.time_base = Fraction(1, RATE)
            frame.pts = self._samples
            for packet in self._codec.encode(frame):
                self._samples += CHUNK
                pages.append(self._ogg.page(bytes(packet), self._samples * _INNER // RATE))
        return b"".join(pages)


class OpusDecoder:
    """Ogg/Opus, mono or stereo, to 16-bit PCM at 24 kHz mono.

    A stream may be followed by another one. Positions and page numbers are not looked at: some Moshi servers count
    them in samples of 24 kHz, and over a WebSocket nothing is lost.
    """

    def __init__(self) -> None:
        self._ogg = OggReader()
        self._serial: int | None = None
        self._codec: av.AudioCodecContext | None = None
        self._resampler: av.AudioResampler | None = None

    def decode(self, data: bytes) -> bytes:
        """The sound that is whole with these bytes, which may be cut anywhere.

        Args:
            data: The next bytes of the stream.

        Returns:
            16-bit little-endian mono PCM at 24 kHz.

        Raises:
            WireError: If something in them is no Ogg page, no Opus, or more than `MAX_SECS` of sound. The sound of the
                other bytes is lost with it; the next call goes on with what follows.
        """
        sound = bytearray()
        faults: list[WireError] = []
        packets = self._ogg.read(data)
        while len(sound) <= MAX_SECS * RATE * 2:
            try:
                if (packet := next(packets, None)) is None:
                    break
                sound += self._packet(packet)
            except WireError as error:
                faults.append(error)
        else:
            self._ogg = OggReader()
            raise WireError(f"more than {MAX_SECS:g} s of sound in {len(data):,} bytes")
        if faults:
            raise faults[0]
        return bytes(sound)

    def _packet(self, packet: Packet) -> bytes:
        if packet.first:
            self._begin(packet)
            return b""
        if self._codec is None or self._resampler is None or packet.serial != self._serial:
            raise WireError("an Ogg stream that does not begin with an OpusHead")
        # FFmpeg takes an empty packet for the end of the stream.
        if not packet.data or packet.data.startswith(_TAGS):
            return b""
        try:
            frames = self._codec.decode(av.Packet(packet.data))
            pieces = [piece for frame in frames for piece in self._resampler.resample(frame)]
        except (av.FFmpegError, ValueError) as error:
            raise WireError(f"an Opus packet that cannot be decoded ({_reason(error)})") from error
        return b"".join(piece.to_ndarray().astype("<i2").tobytes() for piece in pieces)

    def _begin(self, packet: Packet) -> None:
        head = packet.data
        if not head.startswith(_HEAD) or len(head) < 19:
            raise WireError("an Ogg stream that does not begin with an OpusHead")
        if head[8] >> 4:
            raise WireError(f"Opus of version {head[8]}, which is not known")
        if head[18] or head[9] not in (1, 2):
            raise WireError(f"Opus with {head[9]} channels: mono or stereo is understood")
        codec = av.CodecContext.create("libopus", "r")
        codec.extradata = head
        codec.sample_rate = _INNER
        codec.layout = "mono" if head[9] == 1 else "stereo"
        codec.format = "s16"
        self._codec = codec
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        self._serial = packet.serial


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
