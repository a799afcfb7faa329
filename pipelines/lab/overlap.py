"""What the agent does when somebody speaks into its answer: gives way to an interruption, and talks on otherwise.

Each sound falls into one long answer, two seconds after its first word, in a call of its own with the embedded ears and
voice on virtual time that counts their work. What is said is the script's, so that every answer is long enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import Frame, LLMContextFrame, LLMFullResponseEndFrame, LLMFullResponseStartFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.transports.base_transport import BaseTransport
from rich.table import Table

from pipelines.app import recording
from pipelines.assemble import assemble
from pipelines.definition import Architecture, Capability
from pipelines.lab import virtual
from pipelines.lab.acoustics import first_audible
from pipelines.lab.bench_latency import BenchError, machine
from pipelines.lab.caller import OUTPUT_RATE, RATE, Caller, calling
from pipelines.lab.compare.measured import speak
from pipelines.lab.script import caller
from pipelines.lab.scripted import no_settings
from pipelines.stacks import Service, Session
from pipelines.stacks.embedded import EMBEDDED
from processors.pcm import Samples, to_samples

INTO_SECS = 2.0
"""When a sound begins, after the first sound of the answer."""

WATCHED_SECS = 4.0
"""For so long after a sound began the answer is listened to; it would go on for longer."""

YIELD_SECS = 2.0
"""By when an interruption must have silenced it."""

GAP_SECS = 0.6
"""The longest pause in an answer; what is longer is silence."""

FAR_DB = -20.0
"""How much quieter somebody in the room is than the caller."""

QUESTION = "Tell me something about lighthouses, please."
ANSWER = (
    "A lighthouse is a tower with a bright light at the top, which helps ships find their way at night and keeps them "
    "away from rocks. The oldest that still works stands in the north of Spain and was built by the Romans nearly two "
    "thousand years ago. Most are looked after by machines now, and nobody lives in them any more."
)

SPOKEN = {
    "interruption": (
        "Wait, stop.",
        "No, that's not what I meant.",
        "Hold on a second, please.",
        "Can I ask you something else?",
        "Okay, that's enough, thank you.",
        "Sorry, what about the one in Spain?",
        "Excuse me, I have another question.",
        "Stop talking now.",
    ),
    "backchannel": ("Mm-hmm.", "Yeah.", "Right.", "Okay.", "I see.", "Uh-huh.", "Oh, really.", "Yes."),
    "somebody else in the room": (
        "Put it on the table, please.",
        "Dinner is nearly ready.",
        "Have you seen my keys?",
        "I'm going to the shop now.",
    ),
}
COUGHS = "nonverbal_deeply"
YIELDS = "interruption"


@dataclass(frozen=True)
class Sound:
    """Something that is heard while the agent speaks.

    Args:
        kind: A key of `SPOKEN`, or "cough".
        name: What is said, or a recording's name.
        samples: Mono at 16 kHz.
    """

    kind: str
    name: str
    samples: Samples = field(repr=False, compare=False)


@dataclass(frozen=True)
class Reaction:
    """What the agent did.

    Args:
        sound: On what.
        silent_after: Seconds from the sound's beginning until the agent was silent; None if it talked on.
    """

    sound: Sound
    silent_after: float | None

    @property
    def right(self) -> bool:
        """Whether it gave way in time to an interruption, or talked on through anything else."""
        if self.sound.kind == YIELDS:
            return self.silent_after is not None and self.silent_after <= YIELD_SECS
        return self.silent_after is None


@dataclass(frozen=True)
class Result:
    """Reactions of one architecture."""

    architecture: str
    reactions: tuple[Reaction, ...]
    machine: str

    def of(self, kind: str) -> list[Reaction]:
        """Those on sounds of a kind."""
        return [each for each in self.reactions if each.sound.kind == kind]

    @property
    def kinds(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(each.sound.kind for each in self.reactions))

    def right(self, kind: str) -> float:
        """Share that was reacted to rightly, from 0 to 1."""
        found = self.of(kind)
        return sum(each.right for each in found) / len(found)

    def silent_ms(self, kind: str, share: float) -> float | None:
        """Milliseconds from the sound's beginning to silence, at a percentile of those after which there was any."""
        found = [1000 * each.silent_after for each in self.of(kind) if each.silent_after is not None]
        return float(np.percentile(found, share)) if found else None

    def as_json(self) -> dict[str, Any]:
        """All figures, and every sound."""
        return {
            "architecture": self.architecture,
            "machine": self.machine,
            "kinds": {
                kind: {
                    "sounds": len(self.of(kind)),
                    "right": round(self.right(kind), 3),
                    "silent_ms_p50": _rounded(self.silent_ms(kind, 50)),
                    "silent_ms_p95": _rounded(self.silent_ms(kind, 95)),
                    "each": {
                        each.sound.name: _rounded(None if each.silent_after is None else 1000 * each.silent_after)
                        for each in self.of(kind)
                    },
                }
                for kind in self.kinds
            },
        }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


class _Teller(LLMService):
    """Answers everything with the same words, at once."""

    def __init__(self) -> None:
        super().__init__(settings=no_settings("script"))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        for number, word in enumerate(ANSWER.split()):
            await self._push_llm_text(f"{' ' if number else ''}{word}")
        await self.push_frame(LLMFullResponseEndFrame())


def sounds(data: Path | None) -> list[Sound]:
    """What falls into answers: the embedded voice, and coughs of people if there is data.

    Args:
        data: The folder with the recordings; None to do without.

    Raises:
        BenchError: If it holds no coughs.
    """
    found = [
        Sound(kind, text, speak(caller(text)) * (10 ** (FAR_DB / 20) if kind.startswith("somebody") else 1.0))
        for kind, texts in SPOKEN.items()
        for text in texts
    ]
    if data is None:
        return found
    coughs = sorted((data / COUGHS).glob("coughing__*.wav"))
    if not coughs:
        raise BenchError(f"{data / COUGHS}: holds no coughs: give the folder of the recordings with --data")
    return [*found, *(Sound("cough", path.name, recording.load(path)) for path in coughs)]


def measure(
    architecture: Architecture, heard: Sequence[Sound], on_sound: Callable[[int, int], None] = lambda done, of: None
) -> Result:
    """Have every sound fall into an answer. Load the embedded stack first.

    Args:
        architecture: With a stage LLM.
        heard: The sounds.
        on_sound: Told how many of them have been heard, of how many.
    """
    question, reactions = speak(caller(QUESTION)), []
    for number, each in enumerate(heard):
        on_sound(number, len(heard))
        reactions.append(Reaction(each, virtual.run(_call(architecture, question, each.samples), measured=True)))
    on_sound(len(heard), len(heard))
    return Result(architecture.name, tuple(reactions), machine())


async def _call(architecture: Architecture, question: Samples, sound: Samples) -> float | None:
    """After how many seconds of a sound the agent is silent; None if it talks on."""

    def teller(session: Session) -> FrameProcessor:
        return _Teller()

    stack = EMBEDDED.replace(LLM=Service("script", teller, frozenset({Capability.TEXT_OUT})))

    def make(transport: BaseTransport, observers: Sequence[Any]) -> PipelineWorker:
        return assemble(architecture, stack, transport, observers=observers, clients=False)

    async with calling(make) as line:
        begun = await _answered(line, question)
        await asyncio.sleep(max(0.0, begun + INTO_SECS - asyncio.get_running_loop().time()))
        at = line.speak(sound) + (first_audible(sound) or 0) / RATE
        await asyncio.sleep(at + WATCHED_SECS - asyncio.get_running_loop().time())
        return silent_after(line.heard, at)


async def _answered(line: Caller, question: Samples) -> float:
    """When the first sound of the answer to a question is heard, on the event loop's clock."""
    line.heard.clear()
    line.speak(question)
    async with asyncio.timeout(30):
        await line.sound()
    when, pcm = line.heard[-1]
    return when + (first_audible(to_samples(pcm)) or 0) / OUTPUT_RATE


def silent_after(heard: Sequence[tuple[float, bytes]], at: float) -> float | None:
    """Seconds from a moment until an agent is silent.

    Args:
        heard: Pieces of 16 bits at 24 kHz with the times at which they began to be heard.
        at: The moment.

    Returns:
        None if it is heard on for as long as it is watched, pauses apart.
    """
    last = at
    for when, pcm in heard:
        if when > at + WATCHED_SECS or first_audible(to_samples(pcm)) is None:
            continue
        if when > last + GAP_SECS:
            break
        last = max(last, when + len(pcm) / 2 / OUTPUT_RATE)
    return None if last >= at + WATCHED_SECS - GAP_SECS else last - at


def table(results: Sequence[Result]) -> Table:
    """For people."""
    shown = Table(title=f"What falls into an answer — {results[0].machine}")
    for column in ("", "", "sounds", "right", "silent after ms, p50", "p95"):
        shown.add_column(column, justify="left" if not column else "right")
    for result in results:
        shown.add_section()
        for kind in result.kinds:
            ms = [result.silent_ms(kind, share) for share in (50, 95)]
            means = "gives way" if kind == YIELDS else "talks on"
            shown.add_row(
                f"{result.architecture}: {kind}",
                means,
                str(len(result.of(kind))),
                f"{result.right(kind):.0%}",
                *("—" if each is None else f"{each:.0f}" for each in ms),
            )
    return shown
