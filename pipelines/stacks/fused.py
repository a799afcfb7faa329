"""Models that are several stages in one: for the slots STT_LLM, SPEECH_LLM and DUPLEX_LLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.definition import Capability
from pipelines.stacks.cloud import address
from pipelines.stacks.listening import importing
from pipelines.stacks.stack import Service, Session

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor

MOSHI_URL = "ws://localhost:8998"


def moshi(*, url: str | None = None) -> Service:
    """Moshi on a server of its own (kyutai-labs/moshi). It takes no instructions, has no tools and one voice, tells
    nothing of what it understood, and cannot be told to stop: the gate keeps silent what it may not say.

    Args:
        url: The server's, `ws://…` or `wss://…`; `MOSHI_URL` if none is given.
    """

    def build(session: Session) -> FrameProcessor:
        from processors.fused.moshi import MoshiService

        return MoshiService(url=address("MOSHI_URL", url, MOSHI_URL))

    provides = frozenset({Capability.AUDIO_IN, Capability.SPEECH_OUT, Capability.FULL_DUPLEX})
    return Service("moshi", build, provides, importing("processors.fused.moshi"))
