"""Simulated services: scripted content at the pace that a profile gives. No figure from here is a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.definition import Capability
from pipelines.stacks.stack import Service, Session, Stack

if TYPE_CHECKING:
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies

    from pipelines.lab.profile import Profile
    from pipelines.lab.script import Conversation
    from pipelines.lab.scripted import ScriptedLLM, ScriptedVAD
    from processors.pcm import Samples


def profile_stack(profile: Profile, conversation: Conversation, *, seed: int = 0) -> tuple[Stack, list[ScriptedLLM]]:
    """A stack that plays one conversation.

    Args:
        profile: How long everything takes.
        conversation: What is heard and answered.
        seed: Of the durations that vary.

    Returns:
        The stack, and the language models that it has built, to ask what they met that is not in the script.
    """
    built: list[ScriptedLLM] = []
    ears: list[ScriptedVAD] = []
    profile = profile.seeded(seed)

    def vad(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedVAD

        ears.append(ScriptedVAD(profile.vad))
        return ears[-1]

    def stt(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedSTT

        return ScriptedSTT(profile.stt)

    def llm(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedLLM

        built.append(ScriptedLLM(profile.llm, conversation))
        return built[-1]

    def audio_llm(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedAudioLLM

        built.append(ScriptedAudioLLM(profile.stt, profile.llm, conversation, session.context))
        return built[-1]

    def speech_llm(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedSpeechLLM

        built.append(ScriptedSpeechLLM(profile.stt, profile.llm, profile.tts, conversation, session.context))
        return built[-1]

    def duplex_llm(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedDuplexLLM

        built.append(ScriptedDuplexLLM(profile.stt, profile.llm, profile.tts, conversation, session.context))
        return built[-1]

    def tts(session: Session) -> FrameProcessor:
        from pipelines.lab.scripted import ScriptedTTS

        return ScriptedTTS(profile.tts)

    def turns() -> UserTurnStrategies:
        from processors.turns.rules import TurnRules
        from processors.turns.strategy import turn_strategies

        done, trailing = profile.turn.done_secs, profile.turn.trailing_secs
        rules = TurnRules(done=done, likely=done, unlikely=trailing, unfinished=trailing, trailing=trailing)
        return turn_strategies(rules, done_judge)

    def done_judge(samples: Samples, silence: float) -> float:
        last = ears[-1].last if ears else None
        return 0.0 if last is not None and last.goes_on else 1.0

    hears = frozenset({Capability.AUDIO_IN, Capability.TOOLS, Capability.CALLER_WORDS})
    writes = frozenset({Capability.TEXT_OUT, Capability.SUMMARIES})
    stack = Stack(
        name=f"profile {profile.name}",
        services={
            "VAD": Service(profile.vad.service, vad),
            "STT": Service(profile.stt.service, stt),
            "LLM": Service(profile.llm.service, llm, writes | {Capability.TOOLS}),
            "AUDIO_LLM": Service(profile.llm.service, audio_llm, hears | writes),
            "STT_LLM": Service(profile.llm.service, audio_llm, hears | writes),
            "SPEECH_LLM": Service(profile.llm.service, speech_llm, hears | {Capability.SPEECH_OUT}),
            "DUPLEX_LLM": Service(
                profile.llm.service, duplex_llm, hears | {Capability.SPEECH_OUT, Capability.FULL_DUPLEX}
            ),
            "TTS": Service(profile.tts.service, tts, frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE})),
        },
        turns=turns,
    )
    return stack, built
