"""Who speaks: personas are data, validated, one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FOLDER = Path(__file__).parent


class PersonaError(ValueError):
    """A persona that cannot be used. One line: the file, what is wrong, the mend."""


class Example(BaseModel):
    """A turn as the persona would take it.

    Args:
        caller: What a caller says.
        answer: What the persona answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    caller: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class Persona(BaseModel):
    """Who speaks.

    Args:
        name: What the persona calls itself.
        instructions: The system prompt.
        examples: Turns for language models that learn more from examples than from instructions, as the embedded one.
        greeting: Said when a caller arrives; empty to wait for the caller.
        apology: Said when something fails in mid-call; empty to say nothing.
        goodbye: Said before a call that has cost as much as it may is ended; empty to end it without a word.
        voices: Per TTS service, its settings for this persona. Numbers are finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    instructions: str = Field(min_length=1)
    examples: tuple[Example, ...] = ()
    greeting: str = ""
    apology: str = "Sorry, something went wrong on my side. Could you say that again?"
    goodbye: str = "I'm sorry, I have to go now. Thank you for the talk, and goodbye."
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
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PersonaError(
            f"{name}: cannot be read ({error.strerror}): choose {', '.join(names())} or another file"
        ) from None
    except UnicodeDecodeError:
        raise PersonaError(f"{path.name}: is not text in UTF-8: save it as such") from None
    except yaml.YAMLError as error:
        raise PersonaError(f"{path.name}: {_malformed(error)}") from None
    if not isinstance(content, dict):
        raise PersonaError(f"{path.name}: holds no keys: write at least name: and instructions:")
    try:
        return Persona.model_validate(content)
    except ValidationError as error:
        raise PersonaError(f"{path.name}: {'; '.join(map(_wrong, error.errors()))}") from None


def _malformed(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = getattr(error, "problem", None) or "a character that YAML does not allow"
    return f"is not YAML{where} ({' '.join(what.split())}): check indentation, colons and quotes there"


def _wrong(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        kind, what = (Example, "an example") if error["loc"][0] == "examples" else (Persona, "a persona")
        return f"{key} is no key of {what}: choose {', '.join(kind.model_fields)}"
    if error["type"] == "missing":
        return f"{key} is missing: add it"
    if error["type"] == "string_too_short":
        return f"{key} is empty: fill it in"
    return f"{key}: {error['msg']}"
