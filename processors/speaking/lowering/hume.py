"""Hume: a description in words, speed, and silence behind each sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.speaking.delivery import Delivery
from processors.speaking.lowering.directions import directions
from processors.speaking.lowering.table import given, table
from processors.speaking.styles import shipped

if TYPE_CHECKING:
    from pipecat.services.hume.tts import HumeTTSSettings

LONGEST = 100
"""Characters of a description."""


def lower(delivery: Delivery, base: HumeTTSSettings) -> HumeTTSSettings:
    """What to change in the voice's settings for all text from here; for a plain Delivery, what changes it back.

    Args:
        delivery: How to say it.
        base: The persona's own settings.

    Raises:
        ImportError: If Hume's library is not installed.
    """
    from pipecat.services.hume.tts import HumeTTSSettings

    return HumeTTSSettings(**lowered(delivery, base))


def lowered(delivery: Delivery, base: object) -> dict[str, Any]:
    """The same by name, without Hume's library."""
    description = given(base, "description") or ""
    for words in directions(delivery):
        longer = f"{description}, {words}" if description else words
        if len(longer) <= LONGEST:
            description = longer
    return {"description": description or None, **table("hume").numbers(shipped().spelled(delivery), base)}
