"""Speech to text, text to answer, answer to speech: transparent, guarded, flat."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_OUT,
    INPUT_GUARD,
    LLM,
    OUTPUT_GUARD,
    SENTENCES,
    STT,
    TTS,
    USER_TURN,
    VAD,
    Architecture,
)

BASIC_CASCADE = Architecture(
    name="basic_cascade",
    summary="Hears words, answers in words, reads them out.",
    stages=(
        AUDIO_IN,
        VAD,
        STT,
        USER_TURN,
        INPUT_GUARD,
        LLM,
        OUTPUT_GUARD,
        SENTENCES,
        TTS,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
