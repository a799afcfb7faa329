"""The policies that ship: each does in its test conversations what it should, and leaves alone what it should."""

from __future__ import annotations

from functools import cache

import pytest

from guardrails import StreamGuard, check, conversations, load, names
from guardrails.examine import examine, of_fallback
from guardrails.policy import DIRECTIONS, Policy

CONVERSATIONS = [
    pytest.param(name, talk, id=f"{name}: {talk.name}")
    for name in names()
    for talk in conversations.load_conversations(conversations.beside(name))
]

ORDINARY = """
Hi there, how can I help you today?
One moment please, let me look that up for you.
Your order number is 4821339, and it was shipped on the 3rd of November 2026.
It will be with you between nine and eleven, or a little later if there's traffic.
The total comes to $1,250.00, of which $50 is for delivery.
I'm sorry about that. I'll pass it on to my colleagues, and they will call you back tomorrow.
The card ending in 1111 has expired; could you check the date on it?
Our address is 12 High Street, Oxford, and the postcode is OX1 4AA.
I won't keep you any longer. Is there anything else?
No problem at all! Have a nice day.
Could you spell that for me? I heard four, but it may be for or fore.
The train leaves at 10:45 from platform two, and gets in at a quarter past twelve.
It's about 3.14159 times the diameter, if I remember it right.
I don't know that, but I can find out.
Version 2.10.3 is out since last week, and it fixes the problem that you had.
Pinot noir, Scunthorpe, and a shiitake risotto: noted.
"""


@pytest.mark.parametrize(("name", "talk"), CONVERSATIONS)
def test_conversations_come_out_as_they_should(name: str, talk: conversations.Conversation) -> None:
    assert conversations.run(load(name), talk) == []


@pytest.mark.parametrize("name", names())
def test_every_rule_acts_in_a_conversation(name: str) -> None:
    acted = {
        rule
        for talk in conversations.load_conversations(conversations.beside(name))
        for turn in talk.turns
        for rule in turn.rules
    }
    # These four are the same in all policies, and tested with that for support.
    shared = {"numbers-heard", "numbers-said", "other-orders", "abuse", "confirm-cancelling"}
    missing = {rule.id for rule in load(name).rules} - acted - (shared if name != "support" else {"numbers-heard"})
    assert missing == set()


def test_conversations_can_fail() -> None:
    policy = load("support")
    talk = conversations.Conversation.model_validate(
        {
            "name": "wrong",
            "turns": [
                {"said": "I guarantee it."},
                {"said": "Hello.", "becomes": "Good day.", "rules": "abuse"},
                {"tool": "cancel_order"},
            ],
        }
    )
    assert conversations.run(policy, talk) == [
        "wrong, turn 1: 'I guarantee it.' was to come out, but \"I can't promise that, but I'll do what I can.\" did",
        "wrong, turn 1: no rule was to act, but other-promises did",
        "wrong, turn 2: 'Good day.' was to come out, but 'Hello.' did",
        "wrong, turn 2: abuse was to act, but no rule did",
        "wrong, turn 3: 'passed' was to come out, but 'confirm' did",
        "wrong, turn 3: no rule was to act, but confirm-cancelling did",
    ]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("line", ORDINARY.strip().splitlines())
def test_ordinary_talk_passes(name: str, line: str) -> None:
    for direction in DIRECTIONS[:2]:
        found = check(under_way(name), line, direction=direction)
        assert (found.text, [decision.rule for decision in found.decisions]) == (line, [])


@cache
def under_way(name: str) -> Policy:
    """A policy in a call of which the beginning is over."""
    policy = load(name)
    rules = tuple(rule for rule in policy.rules if not (rule.kind == "disclosure" and rule.at_start))
    return Policy(name=policy.name, summary=policy.summary, fallback=policy.fallback, rules=rules)


@pytest.mark.parametrize("name", names())
def test_nothing_that_ships_is_warned_of(name: str) -> None:
    policy = load(name)
    assert [(one.rule.id, text) for one in examine(policy) for text in one.warnings] == []
    assert of_fallback(policy) == []


def test_support_keeps_no_first_words_waiting() -> None:
    guard = StreamGuard(load("support"))
    assert all(rule.action != "replace_sentence" for rule in load("support").rules)
    assert guard.feed("Hello there, thank you") == "Hello there, thank "


@pytest.mark.parametrize(
    "clause", ["No,", "Oh no,", "Sure,", "Yes,", "Great!", "I see.", "Of course!", "Is it me,", "You're welcome!"]
)
def test_what_answers_begin_with_is_not_held(clause: str) -> None:
    assert StreamGuard(load("support")).feed(clause).startswith(clause[:-1])
