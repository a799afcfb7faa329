"""JSON schemas for what tools are called with: only such as take bounded time and fetch nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from json import dumps, loads
from re import _constants as kind  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

LONGEST = 256
"""Characters of a text that is held to a pattern; a longer one does not fit any."""

MOST_WAYS = 100_000
"""In which a pattern may be tried on a text."""

_ALSO = "then else minContains maxContains title description default examples deprecated $comment $schema $id".split()
"""Keywords that constrain nothing by themselves."""
_NAMED = frozenset("properties patternProperties dependentSchemas".split())
_LISTED = frozenset("allOf anyOf oneOf prefixItems".split())
_SINGLE = frozenset(
    "not if then else contains items additionalProperties propertyNames unevaluatedItems unevaluatedProperties".split()
)


def check_schema(schema: dict[str, Any]) -> None:
    """Whether a schema can be used.

    Raises:
        ValueError: If it is malformed, has an unknown keyword, refers to another, or has a pattern that may take
            long. One line with the mend.
    """
    # Takes a while to import, and few policies have schemas.
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "".join(f"{key}: " for key in error.absolute_path)
        raise ValueError(f"is no JSON schema ({where}{error.message}): correct it") from None
    except (re.error, RecursionError) as error:
        raise ValueError(f"is no JSON schema ({error}): correct it") from None
    known = [*Draft202012Validator.VALIDATORS, *_ALSO]
    for keyword in _keywords(schema):
        if keyword not in known:
            close = get_close_matches(keyword, known, 1)
            mend = f"write {close[0]}" if close else "leave it out"
            raise ValueError(f"has {keyword}, which is no keyword and would hold back nothing: {mend}")
    for key, value in _pairs(schema):
        if key in ("$ref", "$dynamicRef"):
            raise ValueError(f"refers to another schema ({value}): write it out in its place")
        for pattern in (value,) if key == "pattern" else value if key == "patternProperties" else ():
            _check_pattern(pattern)
    try:
        dumps(schema)
    except (TypeError, ValueError) as error:
        raise ValueError(f"holds what JSON does not know ({error}): put it in quotes") from None


def fits(schema: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Whether a tool's arguments are as the schema says."""
    return bool(_validator(dumps(schema, sort_keys=True)).is_valid(arguments))


def _keywords(schema: Any) -> Iterator[str]:
    """Every keyword of a schema and of those in it."""
    if not isinstance(schema, dict):
        return
    for key, held in schema.items():
        yield str(key)
        within = held.values() if key in _NAMED and isinstance(held, dict) else held if key in _LISTED else ()
        for each in (held,) if key in _SINGLE else within:
            yield from _keywords(each)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every keyword of a schema with its value, at whatever depth. Names of properties count as keywords only if what
    they hold is of the keyword's kind."""
    if isinstance(value, dict):
        for key, held in value.items():
            if isinstance(held, str) or key == "patternProperties":
                yield str(key), held
            yield from _pairs(held)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(item)


def _check_pattern(pattern: str) -> None:
    try:
        ways = _ways(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"has the malformed pattern {pattern!r} ({error}): correct it") from None
    if ways > MOST_WAYS:
        raise ValueError(f"has the pattern {pattern!r}, which may take long: repeat less in it, as in {{1,20}}")


def _ways(items: Any) -> int:
    """How many ways there are to try a pattern from a character on, at most; more than `MOST_WAYS` is not counted."""
    ways = 1
    for op, value in items:
        ways *= _ways_of(op, value)
        if ways > MOST_WAYS:
            break
    return ways


def _ways_of(op: Any, value: Any) -> int:
    if op is kind.BRANCH:
        return sum(map(_ways, value[1]))
    if op is kind.SUBPATTERN:
        return _ways(value[3])
    if op in (kind.MAX_REPEAT, kind.MIN_REPEAT, kind.POSSESSIVE_REPEAT):
        least, most, part = value
        each = _ways(part)
        most = min(int(most), LONGEST)
        if each == 1:
            return most - min(int(least), most) + 1
        total = 0
        for times in range(int(least), most + 1):
            total += each**times if times * each.bit_length() <= 64 else MOST_WAYS + 1
            if total > MOST_WAYS:
                break
        return total
    if op in (kind.ASSERT, kind.ASSERT_NOT):
        return _ways(value[1])
    if op is kind.ATOMIC_GROUP:
        return _ways(value)
    return 1


def _pattern(validator: Any, pattern: str, text: Any, schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(text, str) and (len(text) > LONGEST or not re.search(pattern, text)):
        yield ValidationError("does not fit the pattern")


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return extend(Draft202012Validator, {"pattern": _pattern})(loads(schema))
