"""Reads data files in YAML: validated, extra keys forbidden, each fault one line with where it is and its mend."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.reader import ReaderError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LARGEST = 2_000_000
"""Bytes of a file that is read."""

DEEPEST = 40
"""How deep lists and mappings may be nested."""

Location: TypeAlias = tuple[int | str, ...]


class DataError(ValueError):
    """A data file that cannot be used. One line: the file, what is wrong, the mend."""

    mendable = True


class Record(BaseModel):
    """What a data file holds: fixed once read, no keys but its own, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A file that has been read.

    Args:
        path: Where it is.
        content: What it holds.
        root: The same as YAML's nodes, which know their lines.
    """

    path: Path
    content: dict[str, Any]
    root: yaml.Node

    def line(self, location: Location) -> int:
        """The line, from 1, of what is at a location; of the nearest thing around it if nothing is there."""
        node = self.root
        line = node.start_mark.line
        for step in location:
            found = next((pair for pair in _children(node) if str(pair[0]) == str(step)), None)
            if found is None:
                break
            _, line, node = found
        return int(line) + 1


def _children(node: yaml.Node) -> Iterator[tuple[int | str, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value, key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield number, value.start_mark.line, value


class _Loader(yaml.SafeLoader):
    """YAML without what could make a small file a large one, or hide one value behind another."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, "an alias, *name, is not read", mark, "write the value out")
        self._depth += 1
        if self._depth > DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, f"nested more than {DEEPEST} deep", mark, "nest less")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node: Any = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                twice = f"{key.value} is there twice"
                raise yaml.MarkedYAMLError(None, None, twice, key.start_mark, "take one of them out")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as fault:
            what = f"a number or date that is none, {fault}"
            raise yaml.MarkedYAMLError(None, None, what, node.start_mark, "put it in quotes") from None


def parse(
    path: Path, required: str, error: type[ValueError] = DataError, otherwise: str = "give another file"
) -> Document:
    """A file as YAML.

    Args:
        path: The file.
        required: The keys that it should hold at least, for the message if it holds none.
        error: What to raise.
        otherwise: What to do if it cannot be read.

    Raises:
        ValueError: As `error`, if it is not there, is not YAML or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise error(f"{path.name}: is larger than {LARGEST // 1_000_000} MB: split it")
        text = content.decode("utf-8-sig")
        loader = _Loader(text)
        try:
            root: Any = loader.get_single_node()
            held = loader.construct_document(root) if root is not None else None
        finally:
            loader.dispose()
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror}): {otherwise}") from None
    except UnicodeDecodeError:
        raise error(f"{path.name}: is not text in UTF-8: save it as such") from None
    except ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        what = f"in line {line} (the character U+{fault.character:04X} is not allowed): take it out"
        raise error(f"{path.name}: is not YAML {what}") from None
    except yaml.MarkedYAMLError as fault:
        raise error(f"{path.name}: {_malformed(fault)}") from None
    if not isinstance(held, dict):
        raise error(f"{path.name}: holds no keys: write at least {required}")
    return Document(path, held, root)


def read(
    path: Path,
    kind: type[Kind],
    error: type[ValueError] = DataError,
    wrong: Callable[[ErrorDetails], str] | None = None,
    otherwise: str = "give another file",
) -> Kind:
    """A file as what it should hold.

    Args:
        path: The file.
        kind: What it should hold.
        error: What to raise.
        wrong: What to say of a key at fault, if something better can be said than here.
        otherwise: What to do if it cannot be read.

    Raises:
        ValueError: As `error`, if it is not there, is not YAML or holds something else.
    """
    document = parse(path, required(kind), error, otherwise)
    try:
        return kind.model_validate(document.content)
    except ValidationError as found:
        faults = (f"line {document.line(fault['loc'])}: {(wrong or says)(fault)}" for fault in found.errors())
        raise error(f"{path.name}: {'; '.join(faults)}") from None


def listed(value: Any) -> Any:
    """A single text as a list of one, for keys that take one or several; anything else as it is."""
    return (value,) if isinstance(value, str) else value


def required(kind: type[BaseModel]) -> str:
    """The keys that have to be there, as they are written."""
    names = [f"{name}:" for name, field in kind.model_fields.items() if field.is_required()]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def says(fault: ErrorDetails) -> str:
    """A fault as a line: the key, what is wrong with it, and the mend."""
    key = ".".join(map(str, fault["loc"])) or "the file"
    if fault["type"] in ("extra_forbidden", "invalid_key"):
        return f"{key} is no key here: take it out or correct its name"
    if fault["type"] == "missing":
        return f"{key} is missing: add it"
    if fault["type"] == "string_too_short":
        return f"{key} is empty: fill it in"
    return f"{key}: {' '.join(fault['msg'].removeprefix('Value error, ').split())}"


def _malformed(fault: yaml.MarkedYAMLError) -> str:
    mark = fault.problem_mark
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = " ".join((fault.problem or "").split()).removeprefix("but ")
    return f"is not YAML{where} ({what}): {fault.note or 'check indentation, colons and quotes there'}"
