"""Speech to text, text to answer, answer to speech: transparent, guardable, flat."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_IN,
    AUDIO_OUT,
    LLM,
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
    stages=(AUDIO_IN, VAD, STT, USER_TURN, LLM, SENTENCES, TTS, AUDIO_OUT, ASSISTANT_TURN),
    unguarded="the output guard has yet to be built; until then nothing forbidden is known to this pipeline",
)
