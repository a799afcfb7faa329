"""E-mail addresses, written and said."""

from __future__ import annotations

import pytest

from guardrails.fold import fold
from guardrails.personal.emails import LOCAL, LONGEST_WORD, EmailScanner
from pipelines.lab.guard.personal_data import cover


def hidden(text: str) -> str:
    """The text with "#" for every character that is covered."""
    marks = cover(EmailScanner(0), text)
    return "".join("#" if mark else char for mark, char in zip(marks, text, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "john@gmail.com",
        "john.smith+news@mail.acme.co.uk",
        "john_smith-77@acme.museum",
        "JOHN@GMAIL.COM",
        "ｊｏｈｎ＠ｇｍａｉｌ．ｃｏｍ",
        "jоhn@gmаil.com",
        "j\u200bohn@gm\u00adail.com",
        "john @ gmail . com",
        "john@ gmail.com",
        "john [at] gmail [dot] com",
        "john(at)gmail(dot)com",
        "john at gmail.com",
        "john at gmail dot com",
        "John At Gmail Dot Com",
        "john dot smith at gmail dot com",
        "john underscore smith at mail dot acme dot co dot uk",
        "john smith-jones at gmail dot com".removeprefix("john "),
        "j o h n at g m a i l dot c o m",
        "john at acme dot i o",
        "john at i cloud dot com",
        "john at mail dot i cloud dot com",
        "J, O, H, N at gmail dot com",
        "j o h n underscore seven at gmail dot com",
        "john four two at yahoo dot com",
        "john at sign gmail dot com",
        "john at my dash company dot com",
        "sales at acme.com",
        "me at gmail dot com",
        "john@gmail dot com",
        "john. At gmail. com",
        "x@y",
        "'john'@gmail.com".strip("'"),
    ],
)
def test_an_address_however_it_is_written(text: str) -> None:
    covered = hidden(f"Hello there, {text} is it")
    assert covered.startswith("Hello there, ")
    assert covered.endswith(" is it")
    assert not any(char.isalnum() for char in covered[len("Hello there, ") : -len(" is it")])
    assert not any(char.isalnum() for char in hidden(text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write to john@gmail.com. Then wait.", "Write to . Then wait."),
        ("john@gmail.com, jane@gmail.com", ", "),
        ("john at gmail dot com and jane at gmail dot com", " and "),
        ("look at john at gmail dot com", "look at "),
        ("xxx.john@gmail.com", ""),
        ("john@gmail.comxxx", ""),
        ("<john@gmail.com>", "<>"),
        ("Is it john, john@gmail.com", "Is it john, "),
    ],
)
def test_what_stands_around_an_address(text: str, left: str) -> None:
    assert hidden(text).replace("#", "") == left


@pytest.mark.parametrize(
    "text",
    [
        "We meet at noon. It is at home.",
        "Find us at acme dot com or visit acme.com.",
        "You can order online at acme.com.",
        "Look at that. In the end, it was at work.",
        "The dot at the end is small.",
        "Call me at nine, or at ten thirty.",
        "I am at the office at 5.30 today.",
        "One at a time, please. Dot your i's.",
        "He scored 3 points at home. Company policy applies.",
    ],
)
def test_sentences_that_pass(text: str) -> None:
    assert hidden(text) == text


@pytest.mark.parametrize("size", [LONGEST_WORD, 2 * LONGEST_WORD, 2 * LONGEST_WORD + 1, 1000])
def test_a_name_that_is_too_long_is_covered_from_behind(size: int) -> None:
    covered = hidden("a" * size + "@gmail.com")
    assert covered.endswith("#" * (LONGEST_WORD + len("@gmail.com")))


def test_a_name_in_too_many_parts_is_covered_from_behind() -> None:
    text = "a." * 1000 + "a@gmail.com"
    covered = hidden(text)
    assert covered.endswith("#" * (LOCAL - 2 + len("@gmail.com")))
    assert covered.startswith("a.a.")


def test_a_domain_has_no_end_while_its_characters_follow_each_other() -> None:
    text = "john@" + "a." * 500 + "com"
    assert hidden(text) == "#" * len(text)


def test_a_word_is_undecided_only_until_the_next_shows_that_it_is_no_name() -> None:
    scanner = EmailScanner(0)
    text = "please wait at home but"
    opened = []
    for at, char in enumerate(text):
        scanner.step(at, fold(char))
        opened.append(scanner.open)
    assert opened[text.index(" wait")] == 0
    assert opened[text.index("wait")] == 0  # "wait" might have been "w", spelled
    assert opened[text.index("ait")] == text.index("wait")
    assert opened[text.index("at home")] == text.index("wait")
    assert opened[text.index("home")] == text.index("wait")
    assert opened[text.index("but")] <= text.index("home")
    assert opened[text.index("ut")] == text.index("but")
