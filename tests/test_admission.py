"""What a long call costs: words that have been held to the policy are not held to it again at every turn."""

from __future__ import annotations

import pytest
from guarded import policy, terms
from pipecat.processors.aggregators.llm_context import LLMContext

from guardrails.check import check
from processors.guarding import admission
from processors.guarding.admission import REMEMBERED, Admission


def test_a_turn_of_a_long_call_reads_no_more_than_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(rules: object, text: str, **given: object) -> object:
        read.append(text)
        return check(rules, text, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(admission, "check", counting)
    context = LLMContext()
    held = Admission(policy(terms("swordfish", direction="heard")), context)
    for turn in range(REMEMBERED + 100):
        context.add_message({"role": "user", "content": f"question {turn}"})
        held.clean()
        context.add_message({"role": "assistant", "content": f"answer {turn}"})
        held.clean(LLMContext(messages=[*context.messages, {"role": "user", "content": f"guess {turn}"}]))
    said = [f"{what} {turn}" for turn in range(REMEMBERED + 100) for what in ("question", "guess")]
    assert read == said


def test_what_is_no_longer_remembered_is_forgotten() -> None:
    context = LLMContext()
    held = Admission(policy(terms("swordfish", direction="heard")), context)
    for turn in range(3 * REMEMBERED):
        held.read(f"guess {turn}")
    assert len(held._known) == REMEMBERED
