"""Ogg pages (RFC 3533), read and written as they come: no file, no seeking, no second copy of the stream."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from processors.fused.errors import WireError

MAGIC = b"OggS"
HEADER_BYTES = 27
MAX_SEGMENTS = 255
MAX_PAGE_BYTES = HEADER_BYTES + MAX_SEGMENTS + MAX_SEGMENTS * 255
MAX_FAULTS = 8
"""After so many in one go the rest is given up."""

CONTINUED, FIRST = 0x01, 0x02

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(data: bytes) -> int:
    """The CRC of Ogg, whose bits go the other way than zlib's, which starts from ones and inverts its result."""
    crc = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


@dataclass(frozen=True)
class Packet:
    """One packet, and whether it is the first of its logical stream."""

    data: bytes
    serial: int
    first: bool


class OggWriter:
    """One logical stream, a page for each packet.

    Args:
        serial: What tells the stream from others.
    """

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._pages = 0

    def page(self, packet: bytes, position: int) -> bytes:
        """A page with this packet alone.

        Args:
            packet: At most 65,024 bytes.
            position: The granule position after the packet: for Opus, samples at 48 kHz since the beginning.

        Raises:
            ValueError: If the packet does not fit into a page.
        """
        whole, rest = divmod(len(packet), 255)
        if whole >= MAX_SEGMENTS:
            raise ValueError(f"a packet of {len(packet)} bytes does not fit into an Ogg page")
        head = b"".join(
            (
                MAGIC,
                bytes((0, 0 if self._pages else FIRST)),
                position.to_bytes(8, "little"),
                self._serial.to_bytes(4, "little"),
                self._pages.to_bytes(4, "little"),
            )
        )
        tail = bytes((whole + 1, *([255] * whole), rest)) + packet
        self._pages += 1
        return head + checksum(head + bytes(4) + tail).to_bytes(4, "little") + tail


class OggReader:
    """Packets out of bytes that may be cut anywhere. Holds one page and one packet at most."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._begun = b""
        self._open = False

    def read(self, data: bytes) -> Iterator[Packet]:
        """The packets that are whole with these bytes, to be taken to the last.

        Raises:
            WireError: After the last, if some bytes were no page, a page had a wrong checksum, or a packet was longer
                than a page may be. That is left out, and the next call goes on with what follows.
        """
        self._bytes += data
        faults: list[WireError] = []
        while True:
            try:
                if (page := self._page()) is None:
                    break
                yield from self._packets(page)
            except WireError as error:
                faults.append(error)
                # In bytes that are all garbage every fourth could begin a page, and each would be looked into.
                if len(faults) == MAX_FAULTS:
                    self._bytes.clear()
        if faults:
            raise faults[0]

    def _page(self) -> bytes | None:
        """The next whole page."""
        waiting = self._bytes
        if not waiting.startswith(MAGIC[: len(waiting)]):
            self._skip()
            raise WireError("bytes that are no Ogg page")
        if len(waiting) < HEADER_BYTES or len(waiting) < HEADER_BYTES + waiting[26]:
            return None
        end = HEADER_BYTES + waiting[26] + sum(waiting[HEADER_BYTES : HEADER_BYTES + waiting[26]])
        if len(waiting) < end:
            return None
        page = bytes(waiting[:end])
        if checksum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
            self._skip()
            raise WireError("an Ogg page with a wrong checksum")
        del waiting[:end]
        return page

    def _skip(self) -> None:
        """Go on from where another page may begin, which may lie within what was taken for this one."""
        self._begun, self._open = b"", False
        at = self._bytes.find(MAGIC, 1)
        # The beginning of a page may be all that has come of it.
        keep = next((n for n in (3, 2, 1) if self._bytes.endswith(MAGIC[:n]) and len(self._bytes) > n), 0)
        del self._bytes[: at if at > 0 else len(self._bytes) - keep]

    def _packets(self, page: bytes) -> Iterator[Packet]:
        first = bool(page[5] & FIRST)
        serial = int.from_bytes(page[14:18], "little")
        begun = self._begun if page[5] & CONTINUED else b""
        # What goes on from a page that never came is no packet.
        lost = bool(page[5] & CONTINUED) and not self._open
        at = HEADER_BYTES + page[26]
        whole = True
        for length in page[HEADER_BYTES : HEADER_BYTES + page[26]]:
            begun += page[at : at + length]
            at += length
            whole = length < 255
            if whole:
                if not lost:
                    yield Packet(begun, serial, first)
                begun, first, lost = b"", False, False
        self._begun, self._open = (b"", False) if whole or lost else (begun, True)
        if len(self._begun) > MAX_PAGE_BYTES:
            self._begun, self._open = b"", False
            raise WireError(f"an Ogg packet of more than {MAX_PAGE_BYTES:,} bytes")
