"""Cartesia: an emotion, speed and volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.speaking.delivery import Delivery
from processors.speaking.lowering.table import given, table
from processors.speaking.styles import shipped

if TYPE_CHECKING:
    from pipecat.services.cartesia.tts import CartesiaTTSSettings


def lower(delivery: Delivery, base: CartesiaTTSSettings) -> CartesiaTTSSettings:
    """What to change in the voice's settings for all text from here; for a plain Delivery, what changes it back.

    Args:
        delivery: How to say it.
        base: The persona's own settings.
    """
    from pipecat.services.cartesia.tts import CartesiaTTSSettings, GenerationConfig

    spelled, own = shipped().spelled(delivery), given(base, "generation_config")
    emotion = table("cartesia").styles.get(spelled.style) or given(own, "emotion")
    return CartesiaTTSSettings(
        generation_config=GenerationConfig(emotion=emotion, **table("cartesia").numbers(spelled, own))
    )
