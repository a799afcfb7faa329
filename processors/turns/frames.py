"""Frames between the VAD and whoever wants to work ahead of the end of a turn."""

from dataclasses import dataclass

from pipecat.frames.frames import SystemFrame


@dataclass
class SpeechPausedFrame(SystemFrame):
    """The caller's voice stopped a moment ago; whether the utterance is over is not known yet.

    Sent for each of the first windows of silence, so that the models that look at the pause can take turns.

    Args:
        silence: Seconds of silence so far, counted in samples.
    """

    silence: float


@dataclass
class SpeechResumedFrame(SystemFrame):
    """A voice is heard again after a `SpeechPausedFrame`. It may be too short to count as speech."""


@dataclass
class UserTurnSoFarFrame(SystemFrame):
    """What the caller has said in a turn that goes on: an LLM may prepare for it, and must not answer it.

    Args:
        text: The words, the last of them uncertain.
    """

    text: str
