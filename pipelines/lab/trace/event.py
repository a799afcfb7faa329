"""One line of `events.jsonl`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Way = Literal["in", "out"]


class Event(BaseModel):
    """A frame that a stage gave or took.

    Args:
        at: Seconds from the conversation's begin.
        heard: Samples of `in.flac` up to then, at 16 kHz.
        played: Samples of `out.flac` up to then, at 24 kHz.
        stage: The stage's name, or that of a processor which is none.
        way: Whether the stage took it ("in") or gave it ("out").
        kind: The frame's type.
        frame: The frame's number within the trace; a frame that is passed on keeps it.
        up: Whether it went against the stream, towards the microphone.
        payload: What was in it. In the file it is left out where it is as in the frame's last event, and of a
            context's messages those are counted by `kept` that the context before it began with.
    """

    model_config = ConfigDict(extra="forbid")

    at: float
    heard: int
    played: int
    stage: str
    way: Way
    kind: str
    frame: int
    up: bool = False
    payload: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """Its words, if it has any."""
        text = (self.payload or {}).get("text", "")
        return text if isinstance(text, str) else ""
