"""Calls of tools: let through, refused, asked for, handed over, and cleaned."""

from __future__ import annotations

from typing import Any

import pytest

from guardrails import Policy
from guardrails.arguments import LONGEST, check_schema, fits
from guardrails.required import Required
from guardrails.tools import Verdict, call_key, judge

CARD = "4111 1111 1111 1111"


def policy(*rules: dict[str, Any]) -> Policy:
    return Policy.model_validate({"name": "a", "summary": "b", "fallback": "Not that.", "rules": rules})


def tool(name: str, action: str, **keys: Any) -> dict[str, Any]:
    return {
        "id": f"{action}-{name.replace('*', 'all')}",
        "kind": "tool",
        "tool": name,
        "action": action,
        "text": "So.",
        **keys,
    }


@pytest.mark.parametrize(
    ("watched", "called", "acts"),
    [("pay", "pay", True), ("pay", "payout", False), ("pay*", "payout", True), ("*", "x", True), ("pay", "PAY", False)],
)
def test_a_rule_is_for_a_tool(watched: str, called: str, acts: bool) -> None:
    found = judge(policy(tool(watched, "refuse")), called, {})
    assert found == (Verdict({}, "refuse", f"refuse-{watched.replace('*', 'all')}", "So.") if acts else Verdict({}))


def test_what_the_schema_fits_is_let_through() -> None:
    schema = {"properties": {"amount": {"type": "number", "maximum": 20}}, "required": ["amount"]}
    rules = policy(tool("pay", "refuse", arguments=schema))
    assert judge(rules, "pay", {"amount": 20}).action is None
    for arguments in ({"amount": 21}, {"amount": "20"}, {}):
        assert judge(rules, "pay", arguments).action == "refuse"


def test_a_yes_is_for_one_call_only() -> None:
    rules = policy(tool("pay", "confirm", text="Shall I pay {amount} to {to}?"))
    asked = judge(rules, "pay", {"amount": 5, "to": ["no", "text"]})
    assert (asked.action, asked.text) == ("confirm", "Shall I pay 5 to it?")
    yes = {call_key("pay", {"amount": 5})}
    assert judge(rules, "pay", {"amount": 5}, confirmed=yes).action is None
    assert judge(rules, "pay", {"amount": 6}, confirmed=yes).action == "confirm"
    assert judge(policy(tool("*", "confirm")), "other", {"amount": 5}, confirmed=yes).action == "confirm"
    assert call_key("pay", {"a": 1, "b": 2}) == call_key("pay", {"b": 2, "a": 1})


def test_the_strongest_acts_and_of_those_the_first() -> None:
    rules = policy(tool("*", "confirm"), tool("pay", "refuse"), tool("*", "refuse", text="Later."))
    assert judge(rules, "pay", {}).rule == "refuse-pay"
    assert judge(rules, "other", {}).text == "Later."
    assert judge(rules, "pay", {}, confirmed={call_key("pay", {})}).action == "refuse"


def test_a_rule_without_a_text_says_the_fallback() -> None:
    assert judge(policy(tool("pay", "refuse", text="")), "pay", {}).text == "Not that."


@pytest.mark.parametrize(
    ("arguments", "cleaned"),
    [
        ({"note": f"The card is {CARD}, so."}, {"note": "The card is [card], so."}),
        ({"note": int(CARD.replace(" ", ""))}, {"note": "[card]"}),
        ({"a": [{"b": CARD}, True, None, 7]}, {"a": [{"b": "[card]"}, True, None, 7]}),
        ({"digits": CARD.split()}, {"digits": ["[card]"]}),
        ({"digits": [4111, 1111, 1111, 1111]}, {"digits": ["[card]"]}),
        ({"digits": ["4111", "1111", "2222"], "n": 4.5}, {"digits": ["4111", "1111", "2222"], "n": 4.5}),
        ({"a": {CARD: 1}}, {"a": {"[card]": 1}}),
    ],
)
def test_personal_data_is_taken_out(arguments: dict[str, Any], cleaned: dict[str, Any]) -> None:
    rules = policy(
        {
            "id": "card",
            "kind": "personal",
            "direction": "tool_call",
            "action": "redact",
            "text": "[card]",
            "what": "card",
        }
    )
    found = judge(rules, "note", arguments)
    assert (found.action, found.arguments) == (None, cleaned)
    assert found.redacted == (("card",) if cleaned != arguments else ())


def test_words_refuse_a_call_whatever_was_confirmed() -> None:
    rules = policy(
        {"id": "sql", "kind": "terms", "direction": "tool_call", "action": "refuse", "terms": ["drop table"]},
        {"id": "said", "kind": "terms", "direction": "said", "action": "stop", "terms": ["users"]},
    )
    arguments = {"query": ["x", {"y": "d\u200brop  TABLE users"}]}
    found = judge(rules, "query", arguments, confirmed={call_key("query", arguments)})
    assert (found.action, found.rule, found.text) == ("refuse", "sql", "Not that.")
    assert judge(rules, "query", {"query": "users"}).action is None


def test_a_script_is_said_before_its_tools() -> None:
    rules = policy({"id": "s", "kind": "script", "lines": ["One thing.", "And another."], "before_tools": ["pay"]})
    required = Required(rules.rules)
    assert judge(rules, "pay", {}).text == "One thing. And another."
    required.heard("well, one thing")
    found = judge(rules, "pay", {}, required=required)
    assert (found.action, found.rule, found.text) == ("refuse", "s", "And another.")
    required.heard("And another!")
    assert judge(rules, "pay", {}, required=required).action is None
    assert judge(rules, "other", {}).action is None


def test_what_goes_wrong_refuses() -> None:
    rules = policy(
        {"id": "sql", "kind": "terms", "direction": "tool_call", "action": "refuse", "terms": ["drop table"]}
    )
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    found = judge(rules, "query", {"a": deep})
    assert (found.action, found.rule, found.text, found.failure) == ("refuse", "guard", "Not that.", "ValueError")
    assert "query" not in repr(found)


def test_a_verdict_does_not_show_what_a_tool_was_called_with() -> None:
    assert CARD not in repr(judge(policy(tool("x", "refuse")), "pay", {"card": CARD}))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*b", "a*a*a*b", "(a|b|ab)*c", "([a-z]+,?)+", "(?=(a+)+b)a", "(a{1,50}){1,50}", "(a|aa){1,40}"],
)
def test_a_pattern_that_may_take_long_is_refused(pattern: str) -> None:
    for schema in ({"properties": {"a": {"pattern": pattern}}}, {"patternProperties": {pattern: {}}}):
        with pytest.raises(ValueError, match="may take long: repeat less in it"):
            check_schema(schema)


@pytest.mark.parametrize(
    "pattern", ["^[A-Z]{2}[0-9]{6}$", r"^\d{3,16}$", "^[a-z]+$", "^(en|de|fr)$", "^[a-z]+ [a-z]+$"]
)
def test_an_ordinary_pattern_passes(pattern: str) -> None:
    check_schema({"properties": {"a": {"type": "string", "pattern": pattern}}})


def test_a_long_text_fits_no_pattern() -> None:
    schema = {"properties": {"a": {"pattern": "^a+$"}}}
    assert fits(schema, {"a": "a" * LONGEST})
    assert not fits(schema, {"a": "a" * (LONGEST + 1)})
    assert not fits(schema, {"a": "b"})


def test_a_property_may_be_called_as_a_keyword_is() -> None:
    check_schema({"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}})


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"propertys": {"amount": {"maximum": 20}}}, "propertys, which is no keyword.*write properties"),
        ({"properties": {"amount": {"maxmum": 20}}}, "maxmum.*write maximum"),
        ({"anyOf": [{"not": {"limit": 3}}]}, "limit.*leave it out|limit.*write"),
    ],
)
def test_a_keyword_that_would_hold_back_nothing_is_refused(schema: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_schema(schema)


def test_names_and_values_are_no_keywords() -> None:
    check_schema({"properties": {"limit": {"enum": [{"odd": 1}], "title": "Limit", "default": {"odd": 1}}}})
