"""Frames of speaking."""

from dataclasses import dataclass

from pipecat.frames.frames import DataFrame

from processors.speaking.delivery import Delivery


@dataclass
class DeliveryFrame(DataFrame):
    """How the text that follows is said. It comes once an answer, and again where that changes.

    Args:
        delivery: How, within the persona's range; of words that stand out it tells nothing.
        rule: The director's by which it is so; empty if the language model asked for it, or there is nothing to ask.
    """

    delivery: Delivery
    rule: str = ""
