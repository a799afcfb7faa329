"""Frames of speaking."""

from dataclasses import dataclass, field
from typing import Any

from pipecat.frames.frames import DataFrame

from processors.speaking.delivery import Delivery
from processors.speaking.director import Director
from processors.speaking.tags import Pause


@dataclass
class DeliveryTagFrame(DataFrame):
    """What a language model's tag says of the text that follows. It keeps its place among the texts.

    Args:
        says: How to say what follows, not yet held to a persona's range; plain for the way without tags. Or a moment of
            silence before it. No guard has read the words that are to stand out.
    """

    says: Delivery | Pause = field(repr=False)


@dataclass
class DeliveryFrame(DataFrame):
    """How the text that follows is said. It comes once an answer, and again where that changes.

    Args:
        delivery: How, within the persona's range; of words that stand out it tells nothing.
        rule: The director's by which it is so; empty if the language model asked for it, or there is nothing to ask.
    """

    delivery: Delivery
    rule: str = ""


@dataclass
class SpeakerFrame(DataFrame):
    """Somebody else speaks from here on.

    Args:
        speaker: Who, by their name.
        director: Decides how they say something.
        voice: Their voice's settings; None for a voice that is everybody's.
    """

    interruptible: bool = field(default=False, init=False)

    speaker: str
    director: Director = field(repr=False)
    voice: Any = field(repr=False)
