"""Rules whose verdict is a classifier's, in the stream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guardrails import Policy, StreamGuard
from guardrails.judging import JudgeError, Scores, use

POLICY = Policy.model_validate(
    {
        "name": "test",
        "summary": "A test.",
        "fallback": "Let us not.",
        "rules": [
            {
                "id": "rude",
                "kind": "toxicity",
                "direction": "said",
                "action": "stop",
                "judge": "toxicity",
                "threshold": 0.5,
            }
        ],
    }
)


class Marked:
    """Finds texts with a word in them, and notes what it was asked."""

    labels = ("bad",)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, text: str) -> Scores:
        self.asked.append(text)
        if "broken" in text:
            raise JudgeError("no answer")
        return {"bad": 0.9 if "horrid" in text else 0.1}


@pytest.fixture
def judge() -> Iterator[Marked]:
    judge = Marked()
    use("toxicity", judge)
    yield judge
    use("toxicity", None)


def said(text: str, size: int) -> str:
    guard = StreamGuard(POLICY)
    return "".join(guard.feed(text[at : at + size]) for at in range(0, len(text), size)) + guard.finish()


@pytest.mark.parametrize("size", [1, 3, 7, 200])
def test_the_clause_that_makes_a_sentence_what_is_forbidden_is_not_said(judge: Marked, size: int) -> None:
    text = "Well, I see. You are, I think, a hоrrid person. Bye."
    assert said(text, size) == "Well, I see. You are, I think, Let us not."


def test_a_sentence_is_judged_clause_by_clause_and_as_it_counts_when_folded(judge: Marked) -> None:
    said("Well, ＮＯ. Yes", 4)
    assert judge.asked == ["well,", "well, no.", "yes"]


def test_a_judge_that_fails_lets_nothing_out(judge: Marked) -> None:
    assert said("Fine. All broken. More.", 5) == "Fine. Let us not."


def test_what_was_said_before_is_not_judged_again(judge: Marked) -> None:
    guard = StreamGuard(POLICY)
    assert guard.judges
    assert guard.feed("Fine.") + guard.finish() == "Fine."
    assert guard.feed("Good.") + guard.finish() == "Good."
    assert judge.asked == ["fine.", "good."]
