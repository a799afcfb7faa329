"""Who speaks: personas are data, validated, one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from guardrails.data_file import Record, read, says

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from processors.speaking.delivery import Delivery

FOLDER = Path(__file__).parent


class PersonaError(ValueError):
    """A persona that cannot be used. One line: the file, where in it, what is wrong, the mend."""


class Example(Record):
    """A turn as the persona would take it.

    Args:
        caller: What a caller says.
        answer: What the persona answers.
    """

    caller: str = Field(min_length=1)
    answer: str = Field(min_length=1)


Scales = dict[str, Annotated[float, Field(strict=True)]]
"""Some of `processors.speaking.delivery.SCALES`, each with a number."""


class DeliveryRange(Record):
    """How far a persona goes in the way it says something. Its own way, 0 on every scale, always lies within.

    Args:
        low: The least of each scale, -1 to 0; -1 for those that are not named.
        high: The most of each, 0 to 1; 1 for those that are not named.
    """

    low: Scales = Field(default_factory=dict)
    high: Scales = Field(default_factory=dict)

    @field_validator("low")
    @classmethod
    def _below(cls, scales: Scales) -> Scales:
        return _between(scales, -1.0, 0.0)

    @field_validator("high")
    @classmethod
    def _above(cls, scales: Scales) -> Scales:
        return _between(scales, 0.0, 1.0)

    @property
    def lowest(self) -> Delivery:
        """The least of every scale."""
        return _delivery(-1.0, self.low)

    @property
    def highest(self) -> Delivery:
        """The most of every scale."""
        return _delivery(1.0, self.high)


def _delivery(otherwise: float, named: Scales) -> Delivery:
    from processors.speaking.delivery import SCALES, Delivery

    scales: dict[str, Any] = {name: named.get(name, otherwise) for name in SCALES}
    return Delivery(**scales)


def _between(scales: Scales, low: float, high: float) -> Scales:
    from processors.speaking.delivery import SCALES

    for name, value in scales.items():
        if name not in SCALES:
            raise ValueError(f"{name} is no scale: choose {', '.join(SCALES)}")
        if not low <= value <= high:
            raise ValueError(f"{name} is {value:g}: give a number from {low:g} to {high:g}")
    return scales


class Persona(Record):
    """Who speaks.

    Args:
        name: What the persona calls itself.
        summary: What it is like, in a few words, for whoever chooses.
        instructions: The system prompt.
        examples: Turns for language models that learn more from examples than from instructions, as the embedded one.
        greeting: Said when a caller arrives; empty to wait for the caller.
        apology: Said when something fails in mid-call; empty to say nothing.
        goodbye: Said before a call that has cost as much as it may is ended; empty to end it without a word.
        policy: What it may hear, say and do: the name of a policy that ships, or a YAML file, sought from the folder
            of the persona's own.
        voices: Per TTS service, its settings for this persona. Numbers are finite.
        range: How far it goes in the way it says something; as far as can be if none is given.
    """

    name: str = Field(min_length=1)
    summary: str = ""
    instructions: str = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    greeting: str = ""
    apology: str = "Sorry, something went wrong on my side. Could you say that again?"
    goodbye: str = "I'm sorry, I have to go now. Thank you for the talk, and goodbye."
    policy: str = Field(default="support", min_length=1)
    voices: dict[str, dict[str, str | float]] = Field(default_factory=dict)
    range: DeliveryRange = DeliveryRange()


_PARTS: dict[str, tuple[type[Record], str]] = {
    "examples": (Example, "an example"),
    "range": (DeliveryRange, "a range"),
}
"""What a persona's keys hold that have keys of their own, and what to call it."""


def names() -> list[str]:
    """The personas that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Persona:
    """A persona by the name of one that ships, or by the path of a YAML file.

    Raises:
        PersonaError: If there is none or it is malformed.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in names():
            raise PersonaError(f"no persona {name!r}: choose {', '.join(names())} or give a YAML file")
        path = FOLDER / f"{name}.yaml"
    persona = read(path, Persona, PersonaError, _wrong, f"choose {', '.join(names())} or another file")
    if Path(persona.policy).suffix not in (".yaml", ".yml"):
        return persona
    return persona.model_copy(update={"policy": str(path.parent / persona.policy)})


def others(persona: Persona) -> list[Persona]:
    """All that ship but the one of a persona's name, held to its policy: to whom its calls can be handed over.

    Raises:
        PersonaError: If one is malformed.
    """
    held = {"policy": persona.policy}
    shipped = (load(name).model_copy(update=held) for name in names())
    return [other for other in shipped if other.name != persona.name]


def _wrong(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        kind, what = _PARTS.get(str(error["loc"][0]), (Persona, "a persona"))
        return f"{key} is no key of {what}: choose {', '.join(kind.model_fields)}"
    return says(error)
