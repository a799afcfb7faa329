"""Puts what was seen of a conversation on one time axis and hands it on. Synchronous; runs in the writer's thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import soxr

from pipelines.lab.trace.axis import Axis
from pipelines.lab.trace.event import Event, Way
from pipelines.lab.trace.files import Files
from pipelines.lab.trace.flac import Pcm
from pipelines.lab.trace.meta import INPUT_RATE, OUTPUT_RATE

INPUT_SLACK = 0.25
OUTPUT_SLACK = 0.1


@dataclass(frozen=True)
class Heard:
    """A piece of the caller's audio.

    Args:
        at: When it was over, in seconds from the conversation's begin.
        pcm: 16 bit, interleaved.
        rate: Hz.
        channels: How many.
    """

    at: float
    pcm: bytes
    rate: int
    channels: int


@dataclass(frozen=True)
class Played(Heard):
    """A piece of what was played.

    Args:
        speech: Whether it is the agent's voice, and no background.
    """

    speech: bool = True


@dataclass
class Seen:
    """A frame that a stage gave or took.

    Args:
        at: Seconds from the conversation's begin.
        stage: The stage's name.
        way: In or out.
        kind: The frame's type.
        frame: Its identifier in this process.
        up: Whether it went upstream.
        payload: What matters in it.
    """

    at: float
    stage: str
    way: Way
    kind: str
    frame: int
    up: bool = False
    payload: dict[str, Any] = field(default_factory=dict)


class Outlet(Protocol):
    """Takes both voices, gapless and at the rates of the files, and the events between their samples."""

    def hear(self, samples: Pcm) -> None: ...

    def play(self, samples: Pcm, *, speech: bool = False) -> None: ...

    def note(self, event: Event) -> None: ...

    def end(self) -> None: ...


class Recorder:
    """Numbers frames, counts samples and fills silence.

    Args:
        outlet: Where everything goes.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._in = Axis(INPUT_RATE, INPUT_SLACK)
        self._out = Axis(OUTPUT_RATE, OUTPUT_SLACK)
        self._numbers: dict[int, int] = {}
        self._contexts: dict[str, int] = {}
        self._spoken: dict[int | None, int] = {}

    def take(self, item: Heard | Played | Seen) -> None:
        """Record one thing. Things come in the order in which they happened."""
        if isinstance(item, Played):
            samples = _mono(item, OUTPUT_RATE)
            self._outlet.play(_silence(self._out.place(item.at, len(samples))))
            self._outlet.play(samples, speech=item.speech)
            return
        self._outlet.play(_silence(self._out.advance(item.at)))
        if isinstance(item, Heard):
            samples = _mono(item, INPUT_RATE)
            self._outlet.hear(_silence(self._in.place(item.at, len(samples))))
            self._outlet.hear(samples)
        else:
            self._outlet.hear(_silence(self._in.advance(item.at)))
            self._see(item)

    def _see(self, item: Seen) -> None:
        payload = item.payload
        if payload.get("context") is not None:
            payload["context"] = self._contexts.setdefault(payload["context"], len(self._contexts) + 1)
        if "samples" in payload:
            payload |= self._range(payload)
        number = self._numbers.setdefault(item.frame, len(self._numbers) + 1)
        self._outlet.note(
            Event.model_construct(
                at=item.at,
                heard=self._in.length,
                played=self._out.length,
                stage=item.stage,
                way=item.way,
                kind=item.kind,
                frame=number,
                up=item.up,
                payload=payload or None,
            )
        )

    def _range(self, payload: dict[str, Any]) -> dict[str, int]:
        """Which samples of its audio context a piece of synthesised speech is."""
        context = payload.get("context")
        begin = self._spoken.get(context, 0)
        self._spoken[context] = begin + payload["samples"]
        return {"from": begin, "to": begin + payload["samples"]}

    def end(self) -> None:
        """The conversation is over."""
        self._outlet.end()


def _silence(samples: int) -> Pcm:
    return np.zeros(samples, np.int16)


def _mono(piece: Heard, rate: int) -> Pcm:
    samples = np.frombuffer(piece.pcm[: len(piece.pcm) // 2 * 2], "<i2")
    if piece.channels > 1:
        whole = samples[: len(samples) // piece.channels * piece.channels]
        samples = whole.reshape(-1, piece.channels).mean(axis=1).astype(np.int16)
    if piece.rate != rate and len(samples):
        samples = soxr.resample(samples, piece.rate, rate)
    return samples.astype(np.int16, copy=False)


class Plain:
    """The outlet that writes everything as it is.

    Args:
        files: Where to.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def hear(self, samples: Pcm) -> None:
        self._files.hear(samples)

    def play(self, samples: Pcm, *, speech: bool = False) -> None:
        self._files.play(samples)

    def note(self, event: Event) -> None:
        self._files.note(event)

    def end(self) -> None:
        """Nothing is held back."""
