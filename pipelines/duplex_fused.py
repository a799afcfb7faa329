"""One model from voice to voice that listens while it speaks; a gate lets out what its transcript has been cleared
for."""

from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_GATE,
    AUDIO_IN,
    AUDIO_OUT,
    DUPLEX_LLM,
    HEARD_GUARD,
    HEARD_TURN,
    SPARE_VOICE,
    VAD,
    Architecture,
)

DUPLEX_FUSED = Architecture(
    name="duplex_fused",
    summary="One model from voice to voice that listens while it speaks.",
    stages=(
        AUDIO_IN,
        VAD,
        HEARD_TURN,
        HEARD_GUARD,
        DUPLEX_LLM,
        AUDIO_GATE,
        SPARE_VOICE,
        AUDIO_OUT,
        ASSISTANT_TURN,
    ),
)
