"""OpenAI: instructions in words, behind the persona's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.speaking.delivery import Delivery
from processors.speaking.lowering.directions import directions
from processors.speaking.lowering.table import given

if TYPE_CHECKING:
    from pipecat.services.openai.tts import OpenAITTSSettings


def lower(delivery: Delivery, base: OpenAITTSSettings) -> OpenAITTSSettings:
    """What to change in the voice's settings for all text from here; for a plain Delivery, what changes it back.

    Speed is left to the instructions: gpt-4o-mini-tts, which alone takes them, is directed in words (Pipecat 1.14,
    pipecat/services/openai/tts.py; platform.openai.com/docs/guides/text-to-speech).

    Args:
        delivery: How to say it.
        base: The persona's own settings.
    """
    from pipecat.services.openai.tts import OpenAITTSSettings

    own = given(base, "instructions") or ""
    how = ", ".join(directions(delivery))
    stressed = " ".join(f'"{word}"' for word in delivery.emphasis)
    parts = [own, f"Say this part so: {how}." if how else "", f"Stress {stressed}." if stressed else ""]
    return OpenAITTSSettings(instructions=" ".join(part for part in parts if part) or None)
