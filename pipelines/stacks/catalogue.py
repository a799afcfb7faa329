"""Services by slot and name, for the command line. Loads nothing."""

from __future__ import annotations

from pipelines.architectures import ARCHITECTURES
from pipelines.definition import Architecture
from pipelines.stacks import cloud, fused, listening
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.stack import Service, Stack, StackError

STACKS: dict[str, Stack] = {"embedded": EMBEDDED, "cloud": cloud.CLOUD}

SERVICES: dict[str, dict[str, Service]] = {
    "STT": {service.name: service for service in (EMBEDDED.services["STT"], cloud.elevenlabs_stt(), cloud.deepgram())},
    "LLM": {service.name: service for service in (EMBEDDED.services["LLM"], cloud.anthropic())},
    "AUDIO_LLM": {
        service.name: service
        for service in (
            listening.openai_audio(),
            listening.openai_realtime(),
            listening.ultravox(),
            listening.nvidia_omni(),
            listening.audio_chat(),
            listening.gemini_live(),
        )
    },
    "STT_LLM": {service.name: service for service in (listening.audio_chat(), listening.ultravox())},
    "SPEECH_LLM": {service.name: service for service in (fused.openai_realtime(),)},
    "DUPLEX_LLM": {service.name: service for service in (fused.openai_live(), fused.moshi())},
    "TTS": {service.name: service for service in (EMBEDDED.services["TTS"], cloud.elevenlabs_tts())},
}

INSTEAD = {"LLM": ("AUDIO_LLM", "STT_LLM", "SPEECH_LLM", "DUPLEX_LLM")}
"""Slots that are filled by the same choice, as an architecture has one of them."""


def choose(stack: str = "embedded", **slots: str | None) -> Stack:
    """A stack by name, with services by name in some of its slots, e.g. `choose("embedded", LLM="anthropic")`.

    Args:
        stack: A name in `STACKS`.
        slots: A name in `SERVICES` for each slot that is to be filled otherwise. `LLM` also takes those that hear, for
            every slot that they can fill.

    Raises:
        StackError: If there is no stack or service of that name.
    """
    if stack not in STACKS:
        raise StackError(f"no stack {stack!r}: choose {' or '.join(STACKS)}")
    chosen: dict[str, Service] = {}
    for slot, name in slots.items():
        if name is None:
            continue
        known = {filled: SERVICES[filled] for filled in (slot, *INSTEAD.get(slot, ())) if filled in SERVICES}
        found = {filled: services[name] for filled, services in known.items() if name in services}
        if not found:
            every = dict.fromkeys(each for services in known.values() for each in services)
            raise StackError(f"no service {name!r} for {slot}: choose {' or '.join(every)}")
        chosen |= found
    return STACKS[stack].replace(**chosen)


def check_filled(architecture: Architecture, stack: Stack) -> None:
    """Refuse an architecture with a slot that a stack leaves empty, and say by which choice it is filled; and a service
    that was chosen for a slot that the architecture has not.

    Raises:
        StackError: Naming the slot and what there is for it.
    """
    slots = {stage.name for stage in architecture.services}
    filled = {stack.services[slot].name for slot in slots if slot in stack.services}
    for other in (other for others in INSTEAD.values() for other in others):
        if other in stack.services and other not in slots and stack.services[other].name not in filled:
            having = [each.name for each in ARCHITECTURES if any(stage.name == other for stage in each.stages)]
            raise StackError(
                f"{architecture.name}: has no {other}, which {stack.services[other].name} would fill: "
                f"choose {' or '.join(having)} with --architecture, or another service"
            )
    for stage in architecture.services:
        if stage.name not in stack.services and stage.name in SERVICES:
            choice = next((slot for slot, others in INSTEAD.items() if stage.name in others), stage.name)
            fitting = [name for name, service in SERVICES[stage.name].items() if stage.needs <= service.provides]
            alone = stack.services[choice].name if choice in stage.fuses and choice in stack.services else ""
            why = f", as {alone} is {choice} alone and it is {stage.parts} in one" if alone else ""
            raise StackError(
                f"{architecture.name}: {stage} is filled by nothing in the stack {stack.name}{why}: "
                f"choose {' or '.join(fitting)} with --{choice.lower()}"
            )
