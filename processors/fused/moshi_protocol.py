"""What Moshi's server and its clients say to each other: binary WebSocket messages whose first byte is their kind.

Written down in kyutai-labs/moshi, `rust/protocol.md`; the two servers there, in Python and in Rust, differ in what is
noted below. NVIDIA's PersonaPlex speaks the same.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from processors.fused.errors import WireError

PATH = "/api/chat"
MAX_MESSAGE_BYTES = 128 * 1024
"""Of any message. 80 ms of speech are some 400 bytes, and an Ogg page has 65,307 at most."""

MAX_TEXT_BYTES = 4096
"""Of a message with text in it. A token has a few."""

_HANDSHAKES = (0, 2, 8)
"""Bytes after the kind: none from the Python server, two in the web client's code, eight from the Rust server."""


class Kind(IntEnum):
    """The first byte of a message."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


class Action(IntEnum):
    """What a control message is for. Not used by a model that listens and speaks all the time."""

    START = 0
    END_TURN = 1
    PAUSE = 2
    RESTART = 3


@dataclass(frozen=True)
class Handshake:
    """The server is ready: from now on it takes audio. The Rust server sends its metadata before it."""

    version: int = 0
    model: int = 0


@dataclass(frozen=True)
class Audio:
    """The next bytes of a stream of Ogg/Opus, mono, 24 kHz."""

    data: bytes


@dataclass(frozen=True)
class Text:
    """A token of what the model says, with the space before it if it begins a word."""

    text: str


@dataclass(frozen=True)
class Control:
    """See `Action`."""

    action: Action


@dataclass(frozen=True)
class Metadata:
    """What the server tells of itself: anything that JSON can say."""

    data: Any


@dataclass(frozen=True)
class Failure:
    """The server says that something is wrong."""

    text: str


@dataclass(frozen=True)
class Ping:
    """Not used: a WebSocket has pings of its own."""


@dataclass(frozen=True)
class Unknown:
    """A message of a kind that is not known, which is to be passed over."""

    kind: int


Message = Handshake | Audio | Text | Control | Metadata | Failure | Ping | Unknown


def encode(message: Message) -> bytes:
    """The bytes of a message.

    Raises:
        WireError: If it is longer than a message may be, or of no kind that can be sent.
    """
    data = _encode(message)
    _check_size(data)
    return data


def _encode(message: Message) -> bytes:
    match message:
        case Handshake(version, model):
            return bytes((Kind.HANDSHAKE,)) + version.to_bytes(4, "little") + model.to_bytes(4, "little")
        case Audio(data):
            return bytes((Kind.AUDIO,)) + data
        case Text(text):
            return bytes((Kind.TEXT,)) + text.encode()
        case Control(action):
            return bytes((Kind.CONTROL, action))
        case Metadata(data):
            return bytes((Kind.METADATA,)) + json.dumps(data, ensure_ascii=False).encode()
        case Failure(text):
            return bytes((Kind.ERROR,)) + text.encode()
        case Ping():
            return bytes((Kind.PING,))
        case Unknown(kind):
            raise WireError(f"a message of kind {kind} cannot be sent")


def decode(data: bytes | str) -> Message:
    """The message that these bytes are.

    Raises:
        WireError: If they are none, or longer than a message may be.
    """
    if isinstance(data, str):
        raise WireError("a text message, where all are binary")
    if not data:
        raise WireError("an empty message")
    _check_size(data)
    kind, payload = data[0], data[1:]
    match kind:
        case Kind.HANDSHAKE:
            return _handshake(payload)
        case Kind.AUDIO:
            return Audio(payload)
        case Kind.TEXT:
            return Text(_utf8(payload, "text"))
        case Kind.CONTROL:
            return Control(_action(payload))
        case Kind.METADATA:
            return Metadata(_json(payload))
        case Kind.ERROR:
            return Failure(_utf8(payload, "an error"))
        case Kind.PING:
            return Ping()
        case _:
            return Unknown(kind)


def _check_size(data: bytes) -> None:
    limit = MAX_TEXT_BYTES if data[0] in (Kind.TEXT, Kind.ERROR) else MAX_MESSAGE_BYTES
    if len(data) > limit:
        raise WireError(f"a message of kind {data[0]} with {len(data):,} bytes, where {limit:,} are the most")


def _handshake(payload: bytes) -> Handshake:
    if len(payload) not in _HANDSHAKES:
        raise WireError(f"a handshake of {len(payload)} bytes")
    half = len(payload) // 2
    version = int.from_bytes(payload[:half], "little")
    if version:
        raise WireError(f"version {version} of the protocol, where 0 is the only one known")
    return Handshake(version, int.from_bytes(payload[half:], "little"))


def _utf8(payload: bytes, what: str) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"{what} that is not UTF-8, from byte {error.start}") from error


def _action(payload: bytes) -> Action:
    if len(payload) != 1:
        raise WireError(f"a control message of {len(payload)} bytes, where one says what to do")
    try:
        return Action(payload[0])
    except ValueError:
        raise WireError(f"control {payload[0]}, which is not known") from None


def _json(payload: bytes) -> Any:
    try:
        return json.loads(_utf8(payload, "metadata"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise WireError("metadata that is not JSON") from error


class Pieces:
    """Tokens to text. A character that the vocabulary lacks comes from the Python server as its bytes, a token each,
    written as `<0xE2>`."""

    def __init__(self) -> None:
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, piece: str) -> str:
        """The characters that are whole with this token, if any."""
        if byte := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", piece):
            return self._bytes.decode(bytes.fromhex(byte[1]))
        return self._bytes.decode(b"", final=True) + piece


def chat_url(server: str, query: Mapping[str, str] | None = None) -> str:
    """Where a server takes conversations.

    Args:
        server: Its address, as `ws://localhost:8998`; `http` and `https` are understood as well. A path is kept, and
            is `/api/chat` if there is none.
        query: What to ask of the server: `text_temperature` and the like of the Rust server, `text_prompt` and
            `voice_prompt` of PersonaPlex.

    Raises:
        ValueError: If that is no such address.
    """
    parts = urlsplit(server)
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"{server!r} is no address of a Moshi server: write it as ws://localhost:8998")
    asked = "&".join(filter(None, (parts.query, urlencode(query or {}))))
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or PATH, asked, ""))
