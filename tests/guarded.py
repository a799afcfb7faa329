"""Policies made in one line, and texts that are fed to a guard in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from guardrails.policy import Policy
from guardrails.stream import StreamGuard

HIDDEN = "[hidden]"


def policy(*rules: dict[str, Any], fallback: str = "Let us talk of something else.") -> Policy:
    """A policy for what is said, whose rules redact unless they say otherwise."""
    common = {"direction": "said", "action": "redact", "text": HIDDEN}
    numbered = [{"id": f"rule-{number}", **common, **rule} for number, rule in enumerate(rules)]
    return Policy.model_validate({"name": "test", "summary": "A test's.", "fallback": fallback, "rules": numbered})


def terms(*phrases: str, **more: Any) -> dict[str, Any]:
    """A rule of terms."""
    return {"kind": "terms", "terms": list(phrases), **more}


def patterns(*expressions: str, **more: Any) -> dict[str, Any]:
    """A rule of patterns."""
    return {"kind": "patterns", "patterns": list(expressions), **more}


def personal(*what: str, **more: Any) -> dict[str, Any]:
    """A rule of personal data."""
    return {"kind": "personal", "what": list(what), **more}


def claims(*rows: Sequence[Sequence[str]], **more: Any) -> dict[str, Any]:
    """A rule of claims."""
    return {"kind": "claims", "claims": [[list(part) for part in row] for row in rows], **more}


def said(guard: StreamGuard, pieces: Iterable[str]) -> str:
    """What a guard lets out of an answer in pieces. It must not have failed."""
    out = []
    for piece in pieces:
        out.append(guard.feed(piece))
        assert guard.failure is None, guard.failure
    return "".join(out) + guard.finish()


def split(text: str, cuts: Iterable[int]) -> list[str]:
    """A text in pieces, cut before these characters; the same twice gives an empty piece."""
    places = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


def splits(text: str, many: int, seed: int = 0) -> Iterable[list[str]]:
    """Ways to split a text: whole, character by character, in twos at every place, and as many at random."""
    yield [text]
    yield list(text)
    for cut in range(1, len(text)):
        yield split(text, [cut])
    random = Random(f"{seed} {text}")
    for _ in range(many):
        yield split(text, random.choices(range(len(text) + 1), k=random.randint(1, 8)))


def utf16_pieces(text: str) -> list[str]:
    """A text in halves of surrogate pairs, as some clients send them."""
    units = text.encode("utf-16-be", "surrogatepass")
    return [chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2)]
