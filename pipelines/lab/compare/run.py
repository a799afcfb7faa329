"""One conversation as it was held through one architecture: what a comparison is made from, whoever spoke."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from pipelines.lab.cost import CostLedger
from pipelines.lab.holding import JOINED_SECS, Held, Recording
from pipelines.lab.latency import Part
from pipelines.lab.profile import Profile
from pipelines.lab.projection import Shape, measured
from pipelines.lab.script import words
from pipelines.lab.scripted import CHARACTERS_PER_TOKEN
from pipelines.personas import Persona

Who = Literal["caller", "agent"]


@dataclass(frozen=True)
class Sound:
    """Somebody is heard, from and until so many seconds after the conversation began."""

    who: Who
    begin: float
    end: float


@dataclass(frozen=True)
class Answer:
    """One exchange.

    Args:
        asked: What the caller said.
        understood: What was recognised of it.
        remembered: What the context holds of the answer.
        heard: If it was cut off, its words that had begun to sound when it fell silent.
        parts: Where the time went from the end of the caller's speech to the first sound; empty if there was no answer.
        silent_ms: If it was cut off, from the caller's first sound until it was silent.
        early: Whether an answer was heard before the caller was done, in a pause.
    """

    asked: str
    understood: str
    remembered: str
    parts: tuple[Part, ...]
    heard: str | None = None
    silent_ms: float | None = None
    early: bool = False

    @property
    def latency_ms(self) -> float | None:
        """From the end of the caller's speech to the first sound; None if there was no answer."""
        return sum(part.ms for part in self.parts) if self.parts else None

    def leaks(self, forbidden: Iterable[str]) -> bool:
        """Whether something forbidden was heard in it, however it is written."""
        was_heard = letters(self.remembered if self.heard is None else self.heard)
        return any(letters(text) in was_heard for text in forbidden)

    @property
    def remembered_truly(self) -> bool | None:
        """Whether the context holds exactly the words that were heard; None if the answer was not cut off."""
        return None if self.heard is None else words(self.remembered) == words(self.heard)


@dataclass(frozen=True)
class Run:
    """A conversation that was held.

    Args:
        answers: One for each exchange of the script.
        sounds: Who was heard and when, in the order of their beginnings.
        seconds: How long it was.
        shape: How its cost grows with its length.
    """

    answers: tuple[Answer, ...]
    sounds: tuple[Sound, ...]
    seconds: float
    shape: Shape

    @property
    def answered(self) -> list[Answer]:
        """Those exchanges whose answer was heard."""
        return [answer for answer in self.answers if answer.parts]

    @property
    def interrupted(self) -> list[Answer]:
        """Those whose answer was cut off."""
        return [answer for answer in self.answers if answer.heard is not None]

    @property
    def median(self) -> Answer | None:
        """The turn of median latency, the quicker of two in the middle; None if nothing was answered."""
        ranked = sorted(self.answered, key=lambda answer: answer.latency_ms or 0.0)
        return ranked[(len(ranked) - 1) // 2] if ranked else None

    @property
    def worst_ms(self) -> float | None:
        """The longest latency; None if nothing was answered."""
        return max((answer.latency_ms or 0.0 for answer in self.answered), default=None)


def letters(text: str) -> str:
    """The letters and digits of a text, and nothing between them."""
    return "".join(words(text))


def of_recording(recording: Recording, ledger: CostLedger, profile: Profile, persona: Persona) -> Run:
    """What was held with services that are scripted.

    Args:
        recording: From `pipelines.lab.holding.hold`.
        ledger: What it used.
        profile: How long everything took.
        persona: Whose instructions stand before every prompt.

    Raises:
        ProjectionError: If fewer than two turns were answered.
    """
    caller = _caller(recording)
    pieces = iter(caller)
    answers = tuple(
        Answer(
            asked=" ".join(said.text for said in held.script.says),
            understood=held.transcript,
            remembered=held.said,
            parts=tuple(held.marks.parts()),
            heard=_heard(recording, held, profile.tts.word_secs),
            silent_ms=None if held.silent_after is None else 1000 * held.silent_after,
            early=_early(recording, list(islice(pieces, len(held.script.says)))),
        )
        for held in recording.exchanges
    )
    sounds = sorted([*caller, *joined("agent", recording.heard)], key=lambda sound: sound.begin)
    heard = profile.sold.heard_tokens_per_second if profile.sold else 0.0
    return Run(answers, tuple(sounds), recording.seconds, _shape(recording, ledger, persona, heard))


def _shape(recording: Recording, ledger: CostLedger, persona: Persona, heard_tokens_per_second: float) -> Shape:
    """As it was used, and what scripted services leave out: the instructions, every request, recognition."""
    shape, _ = measured(ledger, recording.seconds / 60)
    requests = Counter(event.frame for event in recording.events)["LLMFullResponseStartFrame"]
    spoken = sum(said.lasts for held in recording.exchanges for said in held.script.says)
    return replace(
        shape,
        instructions=shape.instructions + len(persona.instructions) / CHARACTERS_PER_TOKEN,
        heard_audio=heard_tokens_per_second * spoken / len(recording.exchanges),
        requests_per_turn=requests / len(recording.exchanges),
        stt_seconds_per_minute=60.0,
    )


def _heard(recording: Recording, held: Held, word_secs: float) -> str | None:
    """The words of an answer that had begun when it fell silent, counted by the audio that was played of it."""
    if held.interrupted_at is None or held.silent_after is None or held.latency is None:
        return None
    begin, silent = held.speech_end + held.latency, held.interrupted_at + held.silent_after
    played = sum(max(0.0, min(until, silent) - max(since, begin)) for since, until in recording.heard)
    return " ".join(held.script.answer.text.split()[: math.ceil(played / word_secs - 1e-6)])


def _early(recording: Recording, pieces: Sequence[Sound]) -> bool:
    """Whether the agent began to be heard between the caller's first words of a turn and the end of the last."""
    return any(pieces[0].end <= since < pieces[-1].end for since, _ in recording.heard)


def _caller(recording: Recording) -> list[Sound]:
    """Each stretch of the script."""
    times = [event.at for event in recording.events if event.frame == "CallerSpeechFrame"]
    return [Sound("caller", begin, end) for begin, end in zip(times[::2], times[1::2], strict=True)]


def joined(who: Who, pieces: Iterable[tuple[float, float]]) -> list[Sound]:
    """Stretches of sound, of pieces in the order of time."""
    sounds: list[Sound] = []
    for begin, end in pieces:
        if sounds and begin - sounds[-1].end < JOINED_SECS:
            sounds[-1] = replace(sounds[-1], end=end)
        else:
            sounds.append(Sound(who, begin, end))
    return sounds
