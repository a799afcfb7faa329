"""The stream against the whole: the same however it was split, neither too early nor too late; what fails stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.check import check
from guardrails.scanning import GAP_LIMIT
from guardrails.stream import GUARD, StreamGuard
from tests.guard_oracle import Ruled, card_cover, claim_cover, luhn, pattern_cover, releases, term_cover, whole
from tests.guarded import HIDDEN, claims, patterns, personal, policy, said, split, splits, terms, utf16_pieces

ZERO_WIDTH = "\u200b"

Both = tuple[dict[str, Any], Ruled]
"""A rule as a policy has it and as the oracle has it."""


def _terms(*phrases: str, action: str = "redact", text: str = HIDDEN) -> Both:
    return terms(*phrases, action=action, text=text), Ruled(term_cover(*phrases), text, action)


def _patterns(expression: str, action: str = "redact", text: str = HIDDEN) -> Both:
    return patterns(expression, action=action, text=text), Ruled(pattern_cover(expression), text, action)


# The stronger rule stands first, as the oracle wants them.
ALPHABETS: list[tuple[str, list[Both], str, int, int]] = [
    # what is tried, rules, alphabet, longest text, longest text after which what was let out is looked at
    ("a word", [_terms("ab")], "ab -", 7, 4),
    ("a word with any ending", [_terms("ab*")], "abc ", 7, 5),
    ("a word letter by letter", [_terms("aba")], "ab ", 10, 6),
    ("a word with stops in it", [_terms("aba")], "ab. ", 8, 4),
    ("what cannot be seen", [_terms("aba")], f"ab-{ZERO_WIDTH}", 8, 3),
    ("two phrases that overlap", [_terms("ab", "b a")], "ab ", 8, 5),
    ("letters that look alike", [_terms("lo")], "l1o0", 6, 4),
    ("a repetition", [_patterns("ab{1,3}c")], "abc", 9, 5),
    ("a match within a longer one", [_patterns("ab{1,3}c|bca")], "abc", 9, 5),
    ("a repetition without end", [_patterns(r"\bab{2,}")], "ab ", 8, 6),
    ("a boundary", [_patterns(r"a\b b")], "ab ", 8, 5),
    ("no boundary", [_patterns(r"b\Ba")], "ab ", 8, 6),
    ("choices", [_patterns("(ab|ba){2}")], "ab", 11, 7),
    ("any character", [_patterns("a.b")], "ab ", 8, 6),
    ("any but one", [_patterns("a[^b]{1,2}c")], "abcd", 7, 4),
    ("a sentence is cut", [_terms("ab", action="cut_sentence", text="Z.")], "ab. ", 7, 4),
    ("a sentence is replaced", [_terms("ab", action="replace_sentence", text="Z.")], "ab. ", 7, 4),
    ("an answer is stopped", [_terms("ab", action="stop", text="Z.")], "ab. ", 7, 4),
    ("cut and redacted", [_terms("ab", action="cut_sentence", text="Z."), _terms("b a", text="y")], "ab. ", 7, 4),
    (
        "stopped, replaced and cut",
        [
            _terms("bb", action="stop", text="S."),
            _terms("ba", action="replace_sentence", text="Y."),
            _terms("ab", action="cut_sentence", text="Z."),
        ],
        "ab. ",
        7,
        4,
    ),
]


@pytest.mark.parametrize(
    ("rules", "alphabet", "longest", "deepest"),
    [pytest.param(*row[1:], id=row[0]) for row in ALPHABETS],
)
def test_after_every_text_exactly_what_no_continuation_changes_is_let_out(
    rules: list[Both], alphabet: str, longest: int, deepest: int
) -> None:
    guarding, ruled = policy(*(rule for rule, _ in rules)), [rule for _, rule in rules]
    may = releases(alphabet, longest, lambda text: whole(text, ruled))
    for text in (text for text in may if len(text) <= deepest):
        guard = StreamGuard(guarding)
        out = "".join(map(guard.feed, text))
        assert out == may[text], f"after {text!r}"
        assert out + guard.finish() == whole(text, ruled), f"of {text!r}"
        assert guard.failure is None


WORDS = ("sure", "profit", "not", "a", "sure. Profit", "profit,", "SURE")


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("within", [0, 1, 2])
def test_a_claim_is_found_wherever_words_stand_as_it_says(within: int, negated: bool) -> None:
    row = (("sure", "certain*"), ("profit*", "gain"))
    guarding = policy(claims(row, within=within, unless_negated=negated))
    ruled = [Ruled(claim_cover(row, within, negated), HIDDEN)]
    random = Random(within)
    found = 0
    for _ in range(1500):
        text = " ".join(random.choices(WORDS, k=random.randint(1, 7)))
        expected = whole(text, ruled)
        found += HIDDEN in expected
        assert said(StreamGuard(guarding), text) == expected, text
    assert found > 100


PIECES = (
    *(
        "pin",
        "pin ",
        "is",
        " is ",
        "1234",
        "pass",
        "word",
        "password",
        "p a s s",
        "-",
        ".",
        ". ",
        "! ",
        "\n",
        " ",
        "  ",
    ),
    *("раss", "ｐａｓｓ", "ﬁ", "sk_", "abcdefgh", "12345678", "123-45-6789", "guaranteed ", "returns", "not "),
    *("politics ", "the nuclear ", "code", "*", "**", ZERO_WIDTH, "\u00ad", "\u0301", "é", "e\u0301", "😀"),
    *("👩\u200d👧", "\u202e", "\U000e0061", "I ", "the ", "a loan ", "'", "”", "1", "l", "O0", "…", "." * 12, " " * 10),
)

POLICY = policy(
    terms("nuclear code", id="weapons", action="stop", text=""),
    terms("pin is", "password", "fix*", id="secrets"),
    patterns(r"sk_[a-z0-9]{16,}", r"\b\d{3}-\d{2}-\d{4}\b", "is 1234", id="keys", text="[key]"),
    {
        **claims((("guaranteed", "sure"), ("return*", "profit*")), id="promises"),
        "action": "cut_sentence",
        "text": "I cannot promise that.",
    },
    {"kind": "topics", "topics": ["politics"], "id": "topics", "action": "replace_sentence", "text": "Not that."},
    {"kind": "disclosure", "before": ["loan"], "id": "loans", "action": "say_first", "text": "Calls are recorded."},
)


@st.composite
def texts_in_pieces(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = "".join(draw(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=14)))
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=10))
    return text, split(text, cuts)


@given(texts_in_pieces())
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_a_text_in_pieces_gives_what_the_whole_gives(text_and_pieces: tuple[str, list[str]]) -> None:
    text, pieces = text_and_pieces
    one, other = StreamGuard(POLICY), StreamGuard(POLICY)
    assert said(one, pieces) == said(other, [text])
    assert one.take() == other.take()


def test_ten_thousand_adversarial_splits_change_nothing() -> None:
    random = Random(4)
    guard, tried = StreamGuard(POLICY), 0
    while tried < 10_000:
        text = "".join(random.choices(PIECES, k=random.randint(2, 12)))
        guard = StreamGuard(POLICY)
        expected, decisions = said(guard, [text]), guard.take()
        for pieces in (list(text), *(split(text, _cuts(random, text)) for _ in range(12))):
            guard = StreamGuard(POLICY)
            assert said(guard, pieces) == expected, pieces
            assert guard.take() == decisions, pieces
            tried += 1


def _cuts(random: Random, text: str) -> list[int]:
    return random.choices(range(len(text) + 1), k=random.randint(1, 9))


RANDOM_RULES = [
    _terms("password", "pin is", "fix*"),
    _terms("code name", text="[name]"),
]


def test_longer_texts_give_what_the_oracle_gives() -> None:
    random = Random(5)
    guarding, ruled = policy(*(rule for rule, _ in RANDOM_RULES)), [rule for _, rule in RANDOM_RULES]
    fragments = (
        *("pass", "word", "password", "p-a-s-s w.o.r.d", "pin", " is", " ", "  ", "-", ".", ", ", "name", "code", "co"),
        *("de", "fix", "ﬁx", "ing", ZERO_WIDTH, "\u0301", "раss", "pаss", "pa55", "w0rd", "1s", "x", " x ", "\n", "*"),
        *("😀", "'", "…"),
    )
    covered = 0
    for _ in range(3000):
        text = "".join(random.choices(fragments, k=random.randint(1, 9)))
        expected = whole(text, ruled)
        covered += "[" in expected
        assert said(StreamGuard(guarding), split(text, _cuts(random, text))) == expected, text
    assert covered > 300


def _digits(random: Random) -> str:
    """Digits of which only a 4 begins a card's number, in groups or not; some of them are one."""
    digits = "".join(random.choices("147", k=random.randint(1, 26)))
    if random.random() < 0.6:
        start = random.randint(0, len(digits))
        card = "4" + "".join(random.choices("147", k=random.choice((11, 14, 17))))
        digits = digits[:start] + card + next(last for last in "0123456789" if luhn(card + last)) + digits[start:]
    separator = random.choice(("", "", " ", "-", ". ", " / ", "  ,  "))
    every = random.randint(1, 5)
    return separator.join(digits[at : at + every] for at in range(0, len(digits), every))


def test_cards_are_found_wherever_in_a_run_of_digits_as_the_oracle_finds_them() -> None:
    random = Random(9)
    guarding, ruled = policy(personal("card")), [Ruled(card_cover, HIDDEN)]
    covered = 0
    for _ in range(1500):
        text = f"{random.choice(('', 'it is ', 'No. '))}{_digits(random)}{random.choice(('', ' ok', '.', ', yes'))}"
        expected = whole(text, ruled)
        covered += HIDDEN in expected
        assert said(StreamGuard(guarding), split(text, _cuts(random, text))) == expected, text
    assert covered > 500


@pytest.mark.parametrize("names", [{}, {"1": "one ", "4": "four ", "7": "seven "}], ids=["written", "said"])
def test_of_a_run_of_digits_exactly_what_can_no_longer_be_a_card_is_let_out(names: dict[str, str]) -> None:
    random = Random(10)
    guarding = policy(personal("card"))
    longest = 19
    for _ in range(200):
        digits = "".join(random.choices("147", weights=(1, 4, 4), k=60))
        if whole(digits, [Ruled(card_cover, HIDDEN)]) != digits:
            continue
        guard, out = StreamGuard(guarding), ""
        for number, digit in enumerate(digits, 1):
            out += guard.feed(names.get(digit, digit))
            # With the right digits after it, any 4 begins a card's number until that would be too long.
            alive = [at for at in range(max(0, number - longest + 1), number) if digits[at] == "4"]
            clear = digits[: min(alive, default=number)]
            assert out == "".join(names.get(digit, digit) for digit in clear), digits[:number]


SPLIT_PLACES = {
    "within a word": ("the password here", f"the {HIDDEN} here"),
    "in a surrogate pair": ("my 😀 pass😀word 😀", f"my 😀 {HIDDEN} 😀"),
    "before a combining mark": ("a pa\u0301ssword, cafe\u0301", f"a {HIDDEN}, cafe\u0301"),
    "in a group of digits": ("it: 123-45-6789.", "it: [key]."),
    "in white space": ("the pin \n\t is ok", f"the {HIDDEN} ok"),
    "in a key": ("use sk_abcdefgh12345678x now", "use [key] now"),
    "in a joined emoji": ("hi 👩\u200d👧\ufe0f there", "hi 👩\u200d👧\ufe0f there"),
}


@pytest.mark.parametrize(("text", "expected"), SPLIT_PLACES.values(), ids=SPLIT_PLACES)
def test_no_place_to_split_lets_anything_out(text: str, expected: str) -> None:
    for pieces in splits(text, 50):
        assert said(StreamGuard(POLICY), pieces) == expected, pieces
    assert said(StreamGuard(POLICY), utf16_pieces(text)) == expected


def test_empty_pieces_are_nothing() -> None:
    guard = StreamGuard(POLICY)
    assert said(guard, ["", "the pass", "", "", "word", ""]) == f"the {HIDDEN}"
    assert guard.finish() == ""


def test_a_lone_half_of_a_surrogate_pair_is_left_out() -> None:
    assert said(StreamGuard(POLICY), ["pass", "\udc00", "word a\ud83d", "b"]) == f"{HIDDEN} ab"


def test_after_a_stop_nothing_more_is_said_until_the_next_answer() -> None:
    guard = StreamGuard(POLICY)
    out = guard.feed("Well. Nuclear code. ")
    assert out == "Well. Let us talk of something else."
    assert guard.stopped
    assert [guard.feed(text) for text in ("", "It is 123-45-6789", " and more. ")] == ["", "", ""]
    assert guard.finish() == ""
    assert not guard.stopped
    assert said(guard, ["Hello", " again."]) == "Hello again."


def test_two_guards_that_take_turns_do_not_hear_each_other() -> None:
    texts = ["the pin is 1234 and 123-45-6789.", "Sure profits: none. The password? passwords."]
    apart = [said(StreamGuard(POLICY), [text]) for text in texts]
    guards = [StreamGuard(POLICY), StreamGuard(POLICY)]
    out = ["", ""]
    for chars in zip(*(text.ljust(60) for text in texts), strict=True):
        for number, char in enumerate(chars):
            out[number] += guards[number].feed(char)
    assert [(out[number] + guards[number].finish()).rstrip() for number in (0, 1)] == apart


def test_no_more_is_held_than_the_bound_that_is_stated() -> None:
    random = Random(6)
    guarding = policy(
        terms("pin is", "password"), patterns(r"sk_[a-z0-9]{16,}", r"\b\d{3}-\d{2}-\d{4}\b"), terms("a b c d")
    )
    most = 0
    for _ in range(400):
        guard = StreamGuard(guarding)
        for piece in random.choices([*PIECES, "p        a        s", "sk_0123456789", " a ", "b", " c "], k=30):
            for char in piece:
                guard.feed(char)
                if not any(char in piece for char in (ZERO_WIDTH, "*", "\u0301", "\u00ad", "\u202e", "\U000e0061")):
                    most = max(most, guard.held)
        assert guard.failure is None
    assert most <= StreamGuard(guarding).bound + GAP_LIMIT


NUMBER_WORDS = (
    "twenty ",
    "four ",
    "4 ",
    "4",
    "twenty two ",
    "double ",
    "double four ",
    "four um ",
    "hundred ",
    "a@",
    "a.",
    "a at ",
)


@pytest.mark.parametrize("words", NUMBER_WORDS)
@pytest.mark.parametrize("what", ["card", "ssn", "phone", "iban", "email"])
def test_no_more_of_endless_numbers_is_held_than_the_bound_that_is_stated(what: str, words: str) -> None:
    guarding = policy(personal(what))
    guard = StreamGuard(guarding)
    most = 0
    for _ in range(2 * guard.bound // len(words)):
        guard.feed(words)
        most = max(most, guard.held)
    assert guard.failure is None
    assert most <= guard.bound


def test_no_run_of_what_no_word_is_made_of_keeps_a_text_waiting() -> None:
    for filler in (" ", ZERO_WIDTH, "-", "😀", "\u0301", ".", "*", "\n", "\U000e0020"):
        guard = StreamGuard(policy(terms("pin is")))
        out = guard.feed("pin" + filler * 5000)
        assert guard.held <= len("pin") + GAP_LIMIT
        out += guard.feed(" is it") + guard.finish()
        assert "pin" not in out, repr(filler)


def test_two_answers_in_a_row_hide_what_stands_in_both() -> None:
    guard = StreamGuard(POLICY)
    first = said(guard, ["The pin"])
    second = said(guard, ["is 1234, no more."])
    assert first == "The pin"
    assert second == f"{HIDDEN}, no more."


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("my number is 123-45", ["[key] ok"]),
        ("my number", ["-6789 ok", "6789 ok"]),
        ("", ["-6789 ok", "6789 ok"]),
        (None, ["-6789 ok", "6789 ok", "[key] ok"]),
    ],
)
def test_what_was_heard_before_an_interruption_is_remembered_and_no_more(
    heard: str | None, expected: Sequence[str]
) -> None:
    guard = StreamGuard(POLICY)
    out = guard.feed("my number is 123-45")
    assert "123" not in out, "it could still become one"
    guard.abort(heard)
    assert said(guard, ["-6789 ok"]) in expected


def test_memory_goes_back_over_several_short_answers() -> None:
    guard = StreamGuard(policy(terms("alpha beta gamma delta")))
    assert [said(guard, [word]) for word in ("alpha", "beta", "gamma")] == ["alpha", "beta", "gamma"]
    assert said(guard, ["delta, epsilon"]) == f"{HIDDEN}, epsilon"


def test_memory_is_not_shortened_by_what_cannot_be_seen() -> None:
    guard = StreamGuard(policy(terms("alphabet soup")))
    assert said(guard, [(ZERO_WIDTH * 8).join("alphabet")]) != ""
    assert said(guard, ["soup."]) == f"{HIDDEN}."


def test_what_was_said_instead_is_remembered_as_it_was_said() -> None:
    guard = StreamGuard(policy(terms("password", text="the pin")))
    assert said(guard, ["It is password"]) == "It is the pin"
    assert said(guard, ["is it?"]) == "is it?"


class _Broken:
    open = open_rank = 1 << 62

    def step(self, at: int, char: object) -> Iterator[Any]:
        raise RuntimeError("a secret: hunter2")

    finish = reset = lambda self: ()


def test_a_scanner_that_raises_stops_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = StreamGuard(POLICY)
    monkeypatch.setattr(guard, "_scanners", [_Broken()])
    assert guard.feed("hello") == "Let us talk of something else."
    assert guard.stopped
    assert guard.failure == "RuntimeError"
    assert [(d.rule, d.action) for d in guard.take()] == [(GUARD, "stop")]
    assert guard.feed("more") == guard.finish() == ""


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_budget_that_runs_out_stops_the_answer_wherever_it_was_split(size: int) -> None:
    text = "la " * 50
    guard = StreamGuard(policy(terms("password")), budget=100)
    out = "".join(guard.feed(text[at : at + size]) for at in range(0, len(text), size)) + guard.finish()
    assert out == text[:100].rstrip() + "… Let us talk of something else."
    assert [(d.rule, d.action) for d in guard.take()] == [(GUARD, "stop")]


def test_a_whole_text_is_checked_as_a_stream_is() -> None:
    random = Random(8)
    for _ in range(300):
        text = "".join(random.choices(PIECES, k=random.randint(2, 12)))
        result = check(POLICY, text, direction="said")
        guard = StreamGuard(POLICY)
        assert result.text == said(guard, list(text))
        assert result.decisions == tuple(guard.take())


def test_decisions_hold_no_forbidden_word() -> None:
    guard = StreamGuard(POLICY)
    said(guard, list("the pin is 1234; 123-45-6789; guaranteed high returns! Politics. The nuclear code"))
    decisions = guard.take()
    assert [d.rule for d in decisions] == ["secrets", "keys", "promises", "topics", "weapons"]
    assert not any(word in repr(decisions) for word in ("1234", "6789", "pin", "guaranteed", "nuclear"))


def test_decisions_say_where_in_the_answer_they_were_taken() -> None:
    guard = StreamGuard(POLICY)
    for answer in ("the pin is it", "oh, the password"):
        said(guard, list(answer))
        (decision,) = guard.take()
        assert answer[decision.start : decision.end] in ("pin is", "password")
