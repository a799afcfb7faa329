"""Services by slot and name, for the command line. Loads nothing."""

from __future__ import annotations

from pipelines.stacks import cloud
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.stack import Service, Stack, StackError

STACKS: dict[str, Stack] = {"embedded": EMBEDDED, "cloud": cloud.CLOUD}

SERVICES: dict[str, dict[str, Service]] = {
    "STT": {service.name: service for service in (EMBEDDED.services["STT"], cloud.elevenlabs_stt(), cloud.deepgram())},
    "LLM": {service.name: service for service in (EMBEDDED.services["LLM"], cloud.anthropic())},
    "TTS": {service.name: service for service in (EMBEDDED.services["TTS"], cloud.elevenlabs_tts())},
}


def choose(stack: str = "embedded", **slots: str | None) -> Stack:
    """A stack by name, with services by name in some of its slots, e.g. `choose("embedded", LLM="anthropic")`.

    Raises:
        StackError: If there is no stack or service of that name.
    """
    if stack not in STACKS:
        raise StackError(f"no stack {stack!r}: choose {' or '.join(STACKS)}")
    chosen = {}
    for slot, name in slots.items():
        if name is None:
            continue
        if name not in SERVICES[slot]:
            raise StackError(f"no service {name!r} for {slot}: choose {' or '.join(SERVICES[slot])}")
        chosen[slot] = SERVICES[slot][name]
    return STACKS[stack].replace(**chosen)
