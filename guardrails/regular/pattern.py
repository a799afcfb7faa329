"""Reads regular expressions: Python's syntax, less what cannot be decided while a text is still coming."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from re import _constants as kind  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from guardrails.fold import fold
from guardrails.regular.tree import NOTHING, Boundary, Chars, Choice, Node, Repeat, Row, choice

LONGEST_RANGE = 0x500


class PatternError(ValueError):
    """A pattern that cannot be used. One line: what in it, and the mend."""


def parse(pattern: str) -> Node:
    """The tree of a pattern. What it says is folded as the text is, so case, width and accents make no difference.

    Raises:
        PatternError: If it is malformed, or has look-around, a backreference, an anchor, a flag, or an atomic or
            possessive part.
    """
    try:
        parsed = parser.parse(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise PatternError(f"{error.msg}{where}: correct the pattern") from None
    except (RecursionError, OverflowError):
        raise PatternError("is nested too deeply or repeats too often: make it shorter") from None
    if parsed.state.flags & ~(re.IGNORECASE | re.UNICODE):
        raise PatternError("sets a flag: leave (?…) out, as case and lines make no difference here")
    return _row(parsed)


def _row(items: Any) -> Node:
    parts: list[Node] = []
    for item in items:
        part = _item(*item)
        if part == NOTHING:
            continue
        if _is_space(part) and parts and _is_space(parts[-1]):
            continue  # white space counts once, however much there is
        parts.append(part)
    return parts[0] if len(parts) == 1 else Row(tuple(parts))


def _is_space(part: Node) -> bool:
    return isinstance(part, Chars) and part.is_space


def _item(op: Any, value: Any) -> Node:
    read = _READERS.get(op)
    if read is None:
        raise PatternError(f"{_REFUSED.get(op, f'has {op}, which is not known here')}")
    return read(value)


def _literal(code: int) -> Node:
    """One character: one or several base characters, or none at all if it is not heard."""
    bases = fold(chr(code)).bases
    if not bases:
        return NOTHING
    parts = [Chars(frozenset(char)) for char in bases[0]]
    return parts[0] if len(parts) == 1 else Row(tuple(parts))


def _set(items: Any) -> Node:
    found = Chars()
    longer: list[Node] = []
    negated = False
    for op, value in items:
        codes = range(0)
        if op is kind.NEGATE:
            negated = True
        elif op is kind.LITERAL:
            codes = range(value, value + 1)
        elif op is kind.RANGE:
            low, high = value
            if high - low > LONGEST_RANGE:
                raise PatternError(f"has a range of more than {LONGEST_RANGE} characters: name fewer, or use \\w")
            codes = range(low, high + 1)
        else:
            found |= _CATEGORIES[value]
        for code in codes:
            bases = fold(chr(code)).bases
            if bases and len(bases[0]) > 1:
                longer.append(_literal(code))
            elif bases:
                found |= Chars(frozenset(bases[0]))
    if negated:
        return replace(found, others=True)
    return choice([found, *longer]) if longer else found


_DIGITS = frozenset("0123456789")
_CATEGORIES = {
    kind.CATEGORY_DIGIT: Chars(_DIGITS),
    kind.CATEGORY_NOT_DIGIT: Chars(words=True, gaps=True, less=_DIGITS),
    kind.CATEGORY_WORD: Chars(words=True),
    kind.CATEGORY_NOT_WORD: Chars(gaps=True),
    kind.CATEGORY_SPACE: Chars(frozenset(" ")),
    kind.CATEGORY_NOT_SPACE: Chars(words=True, gaps=True, less=frozenset(" ")),
}


def _not_literal(code: int) -> Node:
    bases = fold(chr(code)).bases
    return Chars(frozenset(bases[0][:1]) if bases else frozenset(), others=True)


def _repeat(value: Any) -> Node:
    least, most, items = value
    part = _row(items)
    if part == NOTHING:
        return NOTHING
    if _is_space(part):
        return part if least else Repeat(part, 0, 1)
    return Repeat(part, int(least), None if most is kind.MAXREPEAT else int(most))


def _at(value: Any) -> Node:
    if value is kind.AT_BOUNDARY:
        return Boundary()
    if value is kind.AT_NON_BOUNDARY:
        return Boundary(inside=True)
    raise PatternError("has an anchor (^, $, \\A, \\Z): leave it out, as a text has no beginning while it is coming")


_READERS: dict[Any, Callable[[Any], Node]] = {
    kind.LITERAL: _literal,
    kind.NOT_LITERAL: _not_literal,
    kind.ANY: lambda value: Chars(others=True),
    kind.IN: _set,
    kind.BRANCH: lambda value: Choice(tuple(_row(branch) for branch in value[1])),
    kind.SUBPATTERN: lambda value: _row(value[3]),
    kind.MAX_REPEAT: _repeat,
    kind.MIN_REPEAT: _repeat,
    kind.AT: _at,
}
_REFUSED = {
    kind.ASSERT: "looks ahead or behind: leave (?=…) and (?<=…) out, or use \\b",
    kind.ASSERT_NOT: "looks ahead or behind: leave (?!…) and (?<!…) out, or use \\b",
    kind.GROUPREF: "refers back to a group: write out what may stand there",
    kind.GROUPREF_EXISTS: "asks whether a group matched: write out both cases",
    kind.ATOMIC_GROUP: "has an atomic group: leave out (?>…), as nothing is tried twice here",
    kind.POSSESSIVE_REPEAT: "repeats possessively: leave out the +, as nothing is tried twice here",
}
