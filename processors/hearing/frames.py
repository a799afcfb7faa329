"""Frames of hearing."""

from dataclasses import dataclass

from pipecat.frames.frames import DataFrame

from processors.hearing.cues import Cue


@dataclass
class CueFrame(DataFrame):
    """How the caller said what the answer that follows is to. It comes before the context of the turn.

    Args:
        cue: Of all that was said in the turn.
        speculation: Whether the turn may not be over.
    """

    cue: Cue
    speculation: bool = False
