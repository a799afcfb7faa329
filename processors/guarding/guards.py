"""The guards of one conversation, as processors."""

from __future__ import annotations

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor

from guardrails import Policy
from processors.guarding.admission import Admission
from processors.guarding.beside import beside, let_pass
from processors.guarding.door import Ears, keep, trust, veil
from processors.guarding.gated_audio import GatedAudio
from processors.guarding.guarding import Guarding
from processors.guarding.heard import HeardGuard
from processors.guarding.input import InputGuard
from processors.guarding.output import OutputGuard
from processors.guarding.tools import ToolGate


class Guards:
    """Makes the guards of one conversation, which share what was said and heard.

    Args:
        policy: What may be heard, said and done.
        context: What the conversation remembers, live.
    """

    def __init__(self, policy: Policy, context: LLMContext) -> None:
        self._guarding = Guarding(policy)
        self._admission = Admission(policy, context)
        self._gate = ToolGate(self._guarding, self._admission)

    def input(self) -> InputGuard:
        """The stage INPUT_GUARD."""
        return InputGuard(self._guarding, self._admission, self._gate)

    def heard(self) -> HeardGuard:
        """The stage HEARD_GUARD."""
        return HeardGuard(self._guarding, self._admission)

    def output(self) -> OutputGuard:
        """The stage OUTPUT_GUARD."""
        return OutputGuard(self._guarding, self._admission)

    def audio(self) -> GatedAudio:
        """The stage AUDIO_GATE."""
        return GatedAudio(self._guarding)

    def ears(self) -> Ears:
        """Stands behind the loudspeaker."""
        return Ears(self._guarding)

    def veil(self, writer: FrameProcessor) -> None:
        """Let nothing of what a language model writes be read, or done, before a guard has seen it."""
        veil(writer)
        self._gate.keep(writer)

    def trust(self, guard: FrameProcessor, *, speaks: bool = False) -> None:
        """Take what a guard of somebody else's lets through for cleared: text, or a model's own speech."""
        if speaks:
            let_pass(guard)
        else:
            trust(guard)

    def keep(self, voice: FrameProcessor) -> None:
        """Let a voice say cleared text only."""
        keep(voice, self._guarding)

    def keep_beside(self, voice: FrameProcessor) -> None:
        """Let a voice behind a model that speaks itself say cleared text only, and what the model says pass."""
        keep(voice, self._guarding)
        beside(voice)
