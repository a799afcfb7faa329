"""One model from voice to voice, turn by turn; a gate lets out what its transcript has been cleared for."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_GATE,
    AUDIO_IN,
    AUDIO_OUT,
    HEARD_GUARD,
    SPARE_VOICE,
    SPEECH_LLM,
    SPOKEN_TURN,
    VAD,
    Architecture,
)

SEQUENTIAL_FUSED = Architecture(
    name="sequential_fused",
    summary="One model from voice to voice, turn by turn, its speech held to its transcript.",
    stages=(
        AUDIO_IN,
        VAD,
        SPOKEN_TURN,
        HEARD_GUARD,
        SPEECH_LLM,
        AUDIO_GATE,
        SPARE_VOICE,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
