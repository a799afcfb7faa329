"""A cascade that carries how things are said from the caller's voice to its own."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_OUT,
    DELIVERY,
    HEARING,
    INPUT_GUARD,
    LLM,
    OUTPUT_GUARD,
    SENTENCES,
    STT,
    TAGS,
    TTS,
    USER_TURN,
    VAD,
    Architecture,
)

ADVANCED_CASCADE = Architecture(
    name="advanced_cascade",
    summary="Hears how it was said, guards what is said, says it accordingly.",
    stages=(
        AUDIO_IN,
        VAD,
        STT,
        USER_TURN,
        HEARING,
        INPUT_GUARD,
        LLM,
        TAGS,
        OUTPUT_GUARD,
        SENTENCES,
        DELIVERY,
        TTS,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
