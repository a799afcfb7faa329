"""hibari: pitch, melody, tilt, breath, pace and level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.speaking.delivery import Delivery
from processors.speaking.lowering.table import table
from processors.speaking.styles import shipped

if TYPE_CHECKING:
    from processors.embedded.tts import EmbeddedTTSSettings


def lower(delivery: Delivery, base: EmbeddedTTSSettings) -> EmbeddedTTSSettings:
    """What to change in the voice's settings for all text from here; for a plain Delivery, what changes it back.

    Args:
        delivery: How to say it.
        base: The persona's own settings.
    """
    from processors.embedded.tts import EmbeddedTTSSettings

    return EmbeddedTTSSettings(**table("hibari").numbers(shipped().spelled(delivery), base))
