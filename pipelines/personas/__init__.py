"""Who speaks: personas are data, validated, one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from guardrails.data_file import Record, read, says

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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


class Persona(Record):
    """Who speaks.

    Args:
        name: What the persona calls itself.
        instructions: The system prompt.
        examples: Turns for language models that learn more from examples than from instructions, as the embedded one.
        greeting: Said when a caller arrives; empty to wait for the caller.
        apology: Said when something fails in mid-call; empty to say nothing.
        goodbye: Said before a call that has cost as much as it may is ended; empty to end it without a word.
        policy: What it may hear, say and do: the name of a policy that ships, or a YAML file, sought from the folder
            of the persona's own.
        voices: Per TTS service, its settings for this persona. Numbers are finite.
    """

    name: str = Field(min_length=1)
    instructions: str = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    greeting: str = ""
    apology: str = "Sorry, something went wrong on my side. Could you say that again?"
    goodbye: str = "I'm sorry, I have to go now. Thank you for the talk, and goodbye."
    policy: str = Field(default="support", min_length=1)
    voices: dict[str, dict[str, str | float]] = Field(default_factory=dict)


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


def _wrong(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        kind, what = (Example, "an example") if error["loc"][0] == "examples" else (Persona, "a persona")
        return f"{key} is no key of {what}: choose {', '.join(kind.model_fields)}"
    return says(error)
