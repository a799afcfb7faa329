from __future__ import annotations

import pytest

from processors.turns.rules import TurnRules, ends_in_digits, silence_needed, trails_off

RULES = TurnRules()


@pytest.mark.parametrize(
    "text",
    [
        "I'd like to book a cleaning for",
        "I want to fly from",
        "My number is",
        "Tell me about the",
        "I need help with my",
        "We could go, but",
        "and then, um",
        "I'd like a table for two and...",
        "Well",
    ],
)
def test_more_has_to_come(text: str) -> None:
    assert trails_off(text)
    assert silence_needed(0.99, text, RULES) == RULES.trailing


@pytest.mark.parametrize(
    "text", ["Yes.", "Is it on?", "I did.", "What time is it?", "Thank you very much.", "Stop", ""]
)
def test_this_can_be_all(text: str) -> None:
    assert not trails_off(text)


def test_a_number_being_dictated_gets_more_time_unless_the_model_is_sure() -> None:
    assert ends_in_digits("My order is 123.")
    assert silence_needed(0.3, "My order is 123.", RULES) == RULES.unlikely
    assert silence_needed(0.9, "My order is 123.", RULES) == RULES.done


def test_doubt_costs_time_and_certainty_saves_it() -> None:
    waits = [silence_needed(p, "Play some jazz.", RULES) for p in (0.9, 0.3, 0.01)]
    assert waits == [RULES.done, RULES.likely, RULES.unlikely]


def test_a_comma_at_the_end_costs_time_and_the_models_certainty_saves_some_of_it() -> None:
    assert silence_needed(0.3, "First of all,", RULES) == RULES.unfinished
    assert silence_needed(0.9, "First of all,", RULES) == RULES.unlikely


def test_no_end_of_a_sentence_was_heard() -> None:
    assert silence_needed(0.1, "And so my fellow Americans, ask", RULES) == RULES.unfinished
    assert silence_needed(0.9, "Play some jazz", RULES) == RULES.done


def test_a_greeting_needs_no_end_mark() -> None:
    assert silence_needed(0.3, "Hello,", RULES) == RULES.likely


def test_a_recogniser_that_never_punctuates_is_not_held_to_it() -> None:
    assert silence_needed(0.3, "play some jazz", RULES) == RULES.likely


@pytest.mark.parametrize("text", ["Unless a system is established.", "Hello. If you have the time."])
def test_half_a_sentence_waits_although_the_model_is_sure(text: str) -> None:
    assert silence_needed(0.95, text, RULES) == RULES.likely


@pytest.mark.parametrize("text", ["If you have time, call me.", "Call me if you have time.", "What if it rains?"])
def test_a_whole_sentence_with_a_subordinate_clause_does_not_wait(text: str) -> None:
    assert silence_needed(0.95, text, RULES) == RULES.done


def test_without_a_verdict_the_turn_is_treated_as_doubtful() -> None:
    assert silence_needed(None, "Play some jazz.", RULES) == RULES.likely
