"""Who speaks: personas are data, validated, one YAML file each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).parent


class PersonaError(ValueError):
    """A persona that cannot be used. One line: the file, what is wrong, the mend."""


class Persona(BaseModel):
    """Who speaks.

    Args:
        name: What the persona calls itself.
        instructions: The system prompt.
        greeting: Said when a caller arrives; empty to wait for the caller.
        voices: Per TTS service, its settings for this persona.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    instructions: str = Field(min_length=1)
    greeting: str = ""
    voices: dict[str, dict[str, str | float]] = Field(default_factory=dict)


def names() -> list[str]:
    """The personas that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def load(name: str) -> Persona:
    """A persona by the name of one that ships, or by the path of a YAML file.

    Raises:
        PersonaError: If there is none or it is malformed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    try:
        return Persona.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PersonaError(f"no persona {name}: choose {', '.join(names())} or give a YAML file") from None
    except (ValidationError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise PersonaError(f"{path.name}: not a persona: {reason}") from None
