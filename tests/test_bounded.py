from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.embedded.bounded import bounded, size


def conversation(turns: int, length: int = 80) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(turns):
        messages += [
            {"role": "user", "content": f"{turn} " + "u" * length},
            {"role": "assistant", "content": f"{turn} " + "a" * length},
        ]
    return messages


@given(st.integers(0, 60), st.integers(200, 5000))
def test_the_system_prompt_and_the_last_turn_stay_and_the_rest_fits(turns: int, limit: int) -> None:
    messages = [*conversation(turns), {"role": "user", "content": "and now?"}]
    kept = bounded(messages, limit)
    assert kept[0] == messages[0]
    assert kept[-1] == messages[-1]
    assert kept[1]["role"] == "user"
    assert len(kept) == 2 or sum(map(size, kept)) <= limit
    assert kept[1:] == messages[len(messages) - len(kept) + 1 :]


def test_the_beginning_changes_rarely_so_that_the_cache_stays_useful() -> None:
    starts = [bounded(conversation(turns), 4000)[1]["content"] for turns in range(1, 100)]
    assert len(set(starts)) < 12


def test_a_tool_result_is_not_kept_without_its_call() -> None:
    messages = conversation(20)
    messages[3:3] = [{"role": "assistant", "tool_calls": [{"id": "1"}]}, {"role": "tool", "content": "x" * 500}]
    for limit in range(300, 6000, 100):
        assert bounded(messages, limit)[1]["role"] == "user"
