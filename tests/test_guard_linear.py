"""Twice the text is twice the work, on the worst texts that we know, for every kind of rule: counted, not timed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import guardrails
from guardrails.fold import folded
from guardrails.policy import Policy
from guardrails.stream import StreamGuard
from tests.guarded import claims, patterns, personal, policy, terms

FOLDER = str(Path(guardrails.__file__).parent)
SHORT = 400
"""Characters."""

AT_MOST = 2.5
"""Times the work for twice the text: a little more than two, as it takes a while until most is under way at once."""

TOKEN = 4

POLICIES = {
    kind: policy(*rules)
    for kind, rules in {
        "terms": [terms("password", "launch code", "a a a b", "guarante*")],
        "patterns": [
            patterns(r"sk_[a-z0-9]{16,}", r"(a|aa){1,10}b", r"\b[a-z]{1,20} x", r"a.{0,20}b", r"[0-9a-f]{8,20}z")
        ],
        "claims": [claims((("guaranteed", "a"), ("returns", "b")), within=5)],
        "personal data": [personal("card", "ssn", "email", "phone", "iban")],
        "personal data, strictly": [personal("card", "ssn", "email", "phone", "iban", strict=True)],
        "cut sentences": [terms("password", "a b", action="cut_sentence", text="No.")],
        "replaced sentences": [terms("password", "a b", action="replace_sentence", text="No.")],
        "disclosures": [
            {"kind": "disclosure", "before": ["a", "loan"], "action": "say_first", "text": "Calls are recorded."},
            {
                "kind": "script",
                "lines": ["One.", "Two."],
                "before": ["one", "password"],
                "action": "say_first",
                "text": "",
            },
        ],
    }.items()
}

TEXTS = {
    "ordinary speech": "Sure, I can help you with that. ",
    "the beginnings of terms": "pass passwor launch launch co p a s s w o r guarante ",
    "a": "a ",
    "as": "a",
    "ab": "ab",
    "words for a claim": "guaranteed a guaranteed b ",
    "spelled": "p a s s w o r d ",
    "found": "password ",
    "digits": "1",
    "digits apart": "1 ",
    "digits as words": "one ",
    "nearly a card": "4111 1111 1111 111 ",
    "cards": "4111111111111111",
    "fours": "4",
    "tens": "twenty ",
    "doubles": "double ",
    "nearly an SSN": "123-45-678 ",
    "nearly an IBAN": "GB29 NWBK 6016 1331 9268 1 ",
    "nearly an address": "a.a.a@a.",
    "at and dot": "a at a dot ",
    "ats": "@",
    "stops": ".",
    "nothing": " ",
    "nothing to be seen": "\u200b",
    "pictures": "😀",
    "sentences": "A. ",
    "topics": "loan one ",
    "a key without end": "sk_0123456789abcdef",
}


class _Quadratic(StreamGuard):
    """Looks at all of an answer again with every token, as a guard must not."""

    def __init__(self, rules: Policy) -> None:
        super().__init__(rules)
        self.read = ""

    def feed(self, text: str) -> str:
        self.read += text
        folded(self.read)
        return super().feed(text)


def _work(guarding: Policy, text: str, kind: type[StreamGuard] = StreamGuard) -> int:
    """Lines of the guard's code that run while it is fed a text in tokens."""
    guard = kind(guarding)
    guard.feed(text)
    guard.finish()  # what is made when it is first met has been made now
    lines = 0

    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if frame.f_code.co_filename.startswith(FOLDER) else None

    guard = kind(guarding)
    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        for at in range(0, len(text), TOKEN):
            guard.feed(text[at : at + TOKEN])
        guard.finish()
    finally:
        sys.settrace(before)
    assert guard.failure is None
    return lines


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("guarding", POLICIES.values(), ids=POLICIES)
def test_twice_the_text_is_twice_the_work(guarding: Policy, text: str) -> None:
    short, long = (text * length for length in (SHORT // len(text), 2 * (SHORT // len(text))))
    assert _work(guarding, long) <= AT_MOST * _work(guarding, short)


def test_work_that_is_quadratic_would_be_seen() -> None:
    short, long = (_work(POLICIES["terms"], "the " * count, _Quadratic) for count in (150, 300))
    assert long > 1.2 * AT_MOST * short
