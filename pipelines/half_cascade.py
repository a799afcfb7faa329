"""A model that hears the caller's voice itself and answers in words, which a voice of the persona's own says."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_LLM,
    AUDIO_OUT,
    DELIVERY,
    HEARD_GUARD,
    OUTPUT_GUARD,
    SENTENCES,
    SPOKEN_TURN,
    TAGS,
    TTS,
    VAD,
    Architecture,
)

HALF_CASCADE = Architecture(
    name="half_cascade",
    summary="Hears the voice itself, answers in words, says them in the persona's voice.",
    stages=(
        AUDIO_IN,
        VAD,
        SPOKEN_TURN,
        HEARD_GUARD,
        AUDIO_LLM,
        TAGS,
        OUTPUT_GUARD,
        SENTENCES,
        DELIVERY,
        TTS,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
