"""Recogniser and language model in one, which hand each other states instead of words; a voice of the persona's own."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_OUT,
    HEARD_GUARD,
    OUTPUT_GUARD,
    SENTENCES,
    SPOKEN_TURN,
    STT_LLM,
    TTS,
    VAD,
    Architecture,
)

HYBRID = Architecture(
    name="hybrid",
    summary="Recogniser and language model in one; answers in words, in the persona's voice.",
    stages=(
        AUDIO_IN,
        VAD,
        SPOKEN_TURN,
        HEARD_GUARD,
        STT_LLM,
        OUTPUT_GUARD,
        SENTENCES,
        TTS,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
