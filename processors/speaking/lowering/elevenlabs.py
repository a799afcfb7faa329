"""ElevenLabs: numbers for its fast models, tags in the text for Eleven v3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.speaking.delivery import Delivery
from processors.speaking.lowering.table import table
from processors.speaking.styles import shipped

if TYPE_CHECKING:
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSSettings


def lower(delivery: Delivery, base: ElevenLabsTTSSettings) -> ElevenLabsTTSSettings:
    """What to change in the voice's settings for all text from here; for a plain Delivery, what changes it back.

    Args:
        delivery: How to say it.
        base: The persona's own settings.
    """
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSSettings

    return ElevenLabsTTSSettings(**table("elevenlabs").numbers(shipped().spelled(delivery), base))


def tag(delivery: Delivery) -> str:
    """What Eleven v3 is to read before a sentence, as "[whispers] "; empty without a style. It is no part of what is
    said: it may be added only to what goes to the voice, behind the guard, and comes from the table alone."""
    found = table("elevenlabs").styles.get(shipped().spelled(delivery).style, "")
    return f"{found} " if found else ""
