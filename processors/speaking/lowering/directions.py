"""A Delivery in words, for voices that are directed like actors."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from guardrails.data_file import Record, read
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.lowering.table import ScaleName, TableError
from processors.speaking.styles import shipped

NOTICED, CLEAR, STRONG = 0.2, 0.45, 0.85
"""From where on a scale is mentioned, mentioned without "slightly", and with "very"."""


class Directions(Record):
    """The words.

    Args:
        scales: What each scale is towards -1 and towards 1.
        styles: What each style is.
    """

    scales: dict[ScaleName, tuple[str, str]]
    styles: dict[str, str]


@cache
def words() -> Directions:
    """The words that ship.

    Raises:
        TableError: If they are malformed.
    """
    return read(Path(__file__).with_name("directions.yaml"), Directions, TableError)


def directions(delivery: Delivery) -> list[str]:
    """A Delivery in words, the style first, then from the strongest scale to the weakest; empty for a plain one."""
    spelled = shipped().spelled(delivery)
    said = [words().styles[spelled.style]] if spelled.style in words().styles else []
    for scale in sorted(SCALES, key=lambda name: -abs(getattr(spelled, name))):
        value = getattr(spelled, scale)
        if abs(value) >= NOTICED:
            degree = "very " if abs(value) >= STRONG else "" if abs(value) >= CLEAR else "slightly "
            low, high = words().scales[scale]  # type: ignore[index]
            phrase = high if value > 0 else low
            # "in a low voice" takes no degree.
            said.append(phrase if phrase.startswith(("in ", "with ")) else degree + phrase)
    return said
