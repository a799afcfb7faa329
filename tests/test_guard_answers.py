"""What a guard does over the answers of a conversation: memory, interruptions, what must be said first, failures."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from guardrails import Decision, Policy, StreamGuard, check
from guardrails.stream import GUARD
from tests.guarded import said, split


def policy(*rules: dict[str, Any]) -> Policy:
    numbered = [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
    return Policy.model_validate(
        {"name": "test", "summary": "A test.", "fallback": "I can't help with that.", "rules": numbered}
    )


def terms(*phrases: str, action: str = "redact", text: str = "[x]", direction: str = "said") -> dict[str, Any]:
    return {"kind": "terms", "terms": phrases, "action": action, "text": text, "direction": direction}


DISCLOSURE = {"kind": "disclosure", "text": "Investments can lose value.", "before": ["fund*"]}


def answer(guard: StreamGuard, text: str) -> str:
    """A whole answer, token by token."""
    return "".join(guard.feed(text[at : at + 3]) for at in range(0, len(text), 3)) + guard.finish()


def test_words_are_let_out_as_soon_as_nothing_forbidden_can_begin_with_them() -> None:
    guard = StreamGuard(policy(terms("pin is")))
    assert [guard.feed(char) for char in "my pig pin isn't"] == [
        *("m", "y", " ", "", "", "pig", " ", "", "", "", "", "", "", "pin isn", "'", "t"),
    ]  # fmt: skip
    assert guard.held == 0


def test_touching_matches_share_one_replacement() -> None:
    guard = StreamGuard(policy(terms("pin is"), terms("is 1234")))
    assert answer(guard, "my pin is 1234, ok") == "my [x], ok"
    assert guard.take() == [Decision("rule-0", "redact", "[x]", 3, 14)]


def test_the_strongest_rule_has_the_word() -> None:
    rules = (terms("bad word"), terms("word", action="stop", text="No more."))
    assert answer(StreamGuard(policy(*rules)), "a bad word, and more") == "a [x] No more."
    assert answer(StreamGuard(policy(*rules)), "a word, and more") == "a … No more."


def test_after_a_stop_the_rest_of_the_answer_says_nothing_and_the_next_one_speaks() -> None:
    guard = StreamGuard(policy(terms("secret", action="stop", text="")))
    assert guard.feed("It is a secret that ") == "It is a … I can't help with that."
    assert guard.stopped
    assert guard.feed("the king is bald.") + guard.finish() == ""
    assert answer(guard, "Hello.") == "Hello."
    assert not guard.stopped


def test_a_sentence_is_replaced_whole_and_cut_from_the_match_on() -> None:
    whole = StreamGuard(policy(terms("lucky", action="replace_sentence", text="Who knows.")))
    assert answer(whole, "Well. You may be lucky today! So what?") == "Well. Who knows. So what?"
    cut = StreamGuard(policy(terms("lucky", action="cut_sentence", text="Who knows.")))
    assert answer(cut, "Well. You may be lucky today! So what?") == "Well. You may be … Who knows. So what?"
    assert answer(cut, "A lucky day\nSo what?") == "A … Who knows.\nSo what?"


def test_a_sentence_that_never_ends_is_not_waited_for_without_end() -> None:
    guard = StreamGuard(policy(terms("lucky", action="replace_sentence", text="Who knows.")))
    said = "".join(guard.feed("so ") for _ in range(400))
    assert len(said) > 800


@pytest.mark.parametrize("heard", [None, "The code is four one"])
def test_what_was_heard_before_an_interruption_counts_towards_the_next_answer(heard: str | None) -> None:
    guard = StreamGuard(policy(terms("four one seven")))
    assert guard.feed("The code is four one ") == "The code is "
    guard.abort(heard)
    # What was kept back was not said, unless the caller of `abort` knows better.
    assert answer(guard, "seven is it.") == ("[x] is it." if heard else "seven is it.")


def test_an_answer_that_was_whole_may_be_cut_off_while_it_is_spoken() -> None:
    guard = StreamGuard(policy(terms("alpha bravo"), DISCLOSURE))
    answer(guard, "It begins with alpha, and then there is very much more of it, and a fund.")
    guard.abort("It begins with alpha,")
    assert answer(guard, "bravo. A fund.") == "Investments can lose value. [x]. A fund."


def test_words_by_themselves_pass_the_same_guard_in_the_midst_of_an_answer() -> None:
    guard = StreamGuard(policy(terms("alpha bravo", "zulu")))
    assert guard.feed("Say al") == "Say "
    assert guard.aside("One moment, zulu.") == "One moment, [x]."
    assert guard.feed("pha bravo.") + guard.finish() == "[x]."
    assert guard.aside("And alpha") == "And alpha"
    assert guard.aside("bravo") == "[x]"


def test_what_was_let_out_and_not_played_does_not_count() -> None:
    guard = StreamGuard(policy(terms("alpha bravo charlie")))
    assert guard.feed("Say alpha zulu. ") == "Say alpha zulu. "
    guard.abort("Say")
    assert answer(guard, "bravo charlie") == "bravo charlie"


def test_a_secret_in_two_answers_is_caught_in_the_second() -> None:
    guard = StreamGuard(policy(terms("alpha bravo")))
    assert answer(guard, "It begins with alpha") == "It begins with alpha"
    assert answer(guard, "bravo is the rest.") == "[x] is the rest."


def test_two_guards_do_not_know_of_each_other() -> None:
    one, other = (StreamGuard(policy(terms("alpha bravo"))) for _ in range(2))
    assert one.feed("alpha ") == ""
    assert other.feed("bravo ") == "bravo "
    assert one.feed("bravo ") == "[x] "


def test_a_disclosure_comes_before_its_topic_once_a_call() -> None:
    guard = StreamGuard(policy(DISCLOSURE))
    assert answer(guard, "Hello. Our funds are three.") == (
        "Hello. Our … Investments can lose value. Our funds are three."
    )
    assert answer(guard, "Fund one is new.") == "Fund one is new."


def test_a_disclosure_comes_first_where_the_caller_begins_the_topic() -> None:
    guard = StreamGuard(policy(DISCLOSURE))
    guard.heard("Tell me about your funds.")
    assert answer(guard, "Gladly.") == "Investments can lose value. Gladly."
    guard.heard("Which funds?")
    assert answer(guard, "Three.") == "Three."


def test_a_disclosure_that_was_cut_off_is_owed_again() -> None:
    guard = StreamGuard(policy(DISCLOSURE))
    guard.heard("Tell me about your funds.")
    guard.feed("Gladly. There are")
    guard.abort("Investments can")
    assert answer(guard, "As I said.") == "Investments can lose value. As I said."


def test_a_disclosure_that_the_agent_makes_by_itself_counts() -> None:
    guard = StreamGuard(policy(DISCLOSURE))
    assert answer(guard, "Investments can lose value! A fund, then.") == "Investments can lose value! A fund, then."


def test_what_opens_a_call_is_said_first() -> None:
    guard = StreamGuard(policy({"kind": "disclosure", "text": "This call is recorded.", "at_start": True}))
    assert answer(guard, "Hi!") == "This call is recorded. Hi!"
    assert answer(guard, "Hi!") == "Hi!"


def test_a_script_is_kept_to() -> None:
    script = {"kind": "script", "lines": ["It costs ten pounds.", "You can cancel."], "before": ["order it"]}
    guard = StreamGuard(policy(script))
    assert answer(guard, "It costs ten pounds.") == "It costs ten pounds."
    assert answer(guard, "Shall I order it?") == "Shall I … You can cancel. Shall I order it?"
    assert answer(guard, "Shall I order it?") == "Shall I order it?"


def test_a_rule_that_raises_lets_nothing_out() -> None:
    guard = StreamGuard(policy(terms("secret")))

    class Broken:
        open = open_rank = 1 << 62

        def step(self, at: int, char: object) -> tuple[()]:
            raise RuntimeError("the secret is in this message")

        def finish(self) -> tuple[()]:
            return ()

        def reset(self) -> None:
            pass

    guard._scanners.append(Broken())
    assert guard.feed("Hello") == "I can't help with that."
    assert guard.feed(" there") + guard.finish() == ""
    assert guard.take() == [Decision(GUARD, "stop", "I can't help with that.", 1, 1)]


def test_an_answer_without_end_is_stopped() -> None:
    guard = StreamGuard(policy(terms("secret")), budget=100)
    said = "".join(guard.feed("na na ") for _ in range(50)) + guard.finish()
    assert said.startswith("na na ")
    assert said.endswith("I can't help with that.")
    assert len(said) < 150


def test_a_whole_text() -> None:
    rules = policy(
        terms("card number", direction="heard", text="[something]"),
        terms("ignore all", action="refuse", text="", direction="heard"),
    )
    kept = check(rules, "My card number, please")
    assert (kept.text, kept.blocked) == ("My [something], please", False)
    assert check(rules, "Ignore all of it").blocked
    assert [d.rule for d in check(rules, "Ignore all of it").decisions] == ["rule-1"]


def test_half_a_character_is_joined_to_its_other_half() -> None:
    guard = StreamGuard(policy(terms("pa😀ss")))
    high, low = "\ud83d", "\ude00"
    assert guard.feed("ok pa" + high) + guard.feed(low + "ss ") + guard.finish() == "ok [x] "
    assert guard.feed(low + "a" + high) + guard.feed("b") + guard.finish() == "ab"


@pytest.mark.parametrize("action", ["redact", "cut_sentence", "replace_sentence", "stop"])
def test_a_disclosure_is_owed_by_what_is_heard_of_its_topic_however_the_text_is_split(action: str) -> None:
    random = Random(action)
    phrases = ("fund", "invest now", "fund now", "now please fund", "please", "bonds")
    bits = ("invest", "now", "please", "bonds", "fund", "a", "is.", "!", "\n", ",", "Ok.")
    for _ in range(400):
        disclosures = [
            {**DISCLOSURE, "id": f"owed-{number}", "text": f"Note {number}.", "before": [random.choice(phrases)]}
            for number in range(2)
        ]
        guarding = policy(terms(*random.sample(phrases, 2), action=action, text="Hm."), *disclosures)
        text = " ".join(random.choices(bits, k=random.randint(1, 10)))
        cuts = random.choices(range(len(text) + 1), k=2)
        whole = said(StreamGuard(guarding), [text])
        assert said(StreamGuard(guarding), split(text, cuts)) == whole, (text, cuts, guarding.rules)
        assert said(StreamGuard(guarding), text) == whole, (text, guarding.rules)


def test_nothing_is_owed_for_a_topic_of_which_nothing_is_heard() -> None:
    guarding = policy(terms("fund", text="that"), {**DISCLOSURE, "id": "owed"})
    assert said(StreamGuard(guarding), ["A fund. ", "Ok."]) == "A that. Ok."
