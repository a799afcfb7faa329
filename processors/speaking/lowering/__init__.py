"""From a Delivery to what a voice understands: one small table per voice, with its source.

A lowering gives all that its table governs, so that a plain Delivery leads back to the persona's own settings. It is
for `TTSUpdateSettingsFrame(delta=…)`, before a whole sentence. Numbers are clipped twice: to what a voice takes, and to
how far from the persona's own it may go and sound natural.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from typing import Any

from processors.speaking.delivery import Delivery

VOICES = {
    "EmbeddedTTSSettings": "hibari",
    "ElevenLabsTTSSettings": "elevenlabs",
    "CartesiaTTSSettings": "cartesia",
    "OpenAITTSSettings": "openai",
    "HumeTTSSettings": "hume",
}
"""The lowering for each Pipecat service, by the name of its settings."""


def lower(delivery: Delivery, base: Any) -> Any:
    """What to change in a voice's settings; None if there is no table for it, and it speaks as it always does.

    Args:
        delivery: How to say it.
        base: The persona's own settings: those of one of the services in `VOICES`, or of a subclass.
    """
    for kind in type(base).__mro__:
        if kind.__name__ in VOICES:
            return import_module(f"{__name__}.{VOICES[kind.__name__]}").lower(delivery, base)
    return None


def fitted(delivery: Delivery, text: str) -> Delivery:
    """A Delivery for one text: only words that are in it are stressed, so that no words but cleared ones reach a voice
    that is directed in words.

    Args:
        delivery: How to say it.
        text: The cleared text.
    """
    held = set(re.findall(r"[^\W\d_]+", text.lower()))
    return replace(delivery, emphasis=tuple(word for word in delivery.emphasis if word.lower() in held))
