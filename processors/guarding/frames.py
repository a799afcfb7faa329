"""Frames of the guards."""

from dataclasses import dataclass, field
from typing import TypeGuard

from pipecat.frames.frames import (
    DataFrame,
    EagerTranscriptionFrame,
    Frame,
    InterimTranscriptionFrame,
    LLMFullResponseEndFrame,
    SystemFrame,
    TextFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    TTSTextFrame,
)

from guardrails import Decision

UNSPOKEN = (TranscriptionFrame, InterimTranscriptionFrame, EagerTranscriptionFrame, TTSTextFrame)
"""Text that a voice does not read out, or has."""

CLEARED = "cleared"
"""The key under which a frame's metadata hold those of its words that have passed the output guard."""


EARLIER = "earlier"
"""The key under which a `TranscriptionFrame`'s metadata say that it is of an earlier turn than the caller's last."""


def to_be_said(frame: Frame) -> TypeGuard[TTSSpeakFrame | TextFrame]:
    """Whether a voice reads a frame out."""
    return isinstance(frame, (TTSSpeakFrame, TextFrame)) and not isinstance(frame, UNSPOKEN)


def clear(frame: Frame) -> None:
    """Note that a frame's text has passed the output guard."""
    frame.metadata[CLEARED] = _words(frame)


def is_cleared(frame: Frame) -> bool:
    """Whether a frame's text has passed the output guard, and is what it was then."""
    return CLEARED in frame.metadata and frame.metadata[CLEARED] == _words(frame)


def _words(frame: Frame) -> tuple[object, object]:
    return getattr(frame, "text", None), getattr(frame, "raw_text", None)


@dataclass
class UnclearedTextFrame(DataFrame):
    """What a language model has written and no guard has read. To all but the guard it is so many characters: it is no
    text frame, so that nothing can speak it, send it to a client or write it down.

    Args:
        text: The words.
        skip_tts: As in Pipecat's text frames.
        append_to_context: As in Pipecat's text frames.
        spoken: Whether the model says it itself, as a `TTSTextFrame` tells.
        includes_inter_frame_spaces: As in Pipecat's text frames.
    """

    text: str = field(repr=False)
    skip_tts: bool | None = None
    append_to_context: bool = True
    spoken: bool = False
    includes_inter_frame_spaces: bool = False

    def __str__(self) -> str:
        return f"{self.name}({len(self.text)} characters)"


@dataclass
class RefusedFrame(DataFrame):
    """Stands for an answer to what the caller may not say: the output guard says the decision's text.

    Args:
        decision: By which the language model is not asked.
    """

    decision: Decision = field(repr=False)


@dataclass
class GenerationStoppedFrame(SystemFrame):
    """Goes up to the language model, and no further: it writes on in vain. What was cleared is spoken on."""


@dataclass
class GuardFrame(SystemFrame):
    """A rule has acted. Holds none of the words that it acted on.

    Args:
        rule: Its id.
        action: What it did.
        direction: On what: `heard`, `said` or `tool_call`.
        characters: How many it covered.
        failure: What went wrong in the guard itself, as the name of an error; "" if nothing did.
    """

    rule: str
    action: str
    direction: str
    characters: int = 0
    failure: str = ""


@dataclass
class HandOverFrame(DataFrame):
    """A person is to take over the call. Comes behind what the caller is told of it.

    Args:
        rule: The id of the rule that says so.
    """

    interruptible: bool = field(default=False, init=False)

    rule: str


@dataclass
class UnfinishedAnswerFrame(LLMFullResponseEndFrame):
    """Ends an answer that has been broken off, so that there may be speech whose words have not come."""
