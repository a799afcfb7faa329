"""Reads the lab's YAML: validated, extra keys forbidden, each fault one line with its mend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class DataError(ValueError):
    """A data file that cannot be used. One line: the file, what is wrong, the mend."""

    mendable = True


class Record(BaseModel):
    """What the lab's files hold: fixed once read, no keys but its own, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Record)


def read(path: Path, kind: type[Kind]) -> Kind:
    """A file as what it should hold.

    Raises:
        DataError: If it is not there, is not YAML or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): give another file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: is not text in UTF-8: save it as such") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path.name}: {_malformed(error)}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path.name}: holds no keys: write at least {', '.join(_required(kind))}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path.name}: {'; '.join(map(_wrong, error.errors()))}") from None


def _required(kind: type[Record]) -> list[str]:
    return [f"{name}:" for name, field in kind.model_fields.items() if field.is_required()]


def _malformed(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = getattr(error, "problem", None) or "a character that YAML does not allow"
    return f"is not YAML{where} ({' '.join(what.split())}): check indentation, colons and quotes there"


def _wrong(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key} is no key here: take it out or correct its name"
    if error["type"] == "missing":
        return f"{key} is missing: add it"
    return f"{key}: {' '.join(error['msg'].removeprefix('Value error, ').split())}"
