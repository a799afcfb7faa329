"""Whom a caller asks for, and what only sounds like it."""

from __future__ import annotations

import pytest

from pipelines import personas
from processors.speaking.wishes import Wish, Wishes, WishesError, load, shipped

NAMES = [personas.load(name).name for name in personas.names()]
WISHES = Wishes(shipped(), NAMES)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Can I talk to Maya?", "Maya"),
        ("can i please speak with peter", "Peter"),
        ("Okay, could I talk to Jordan for a moment, please?", "Jordan"),
        ("Give me Peter, please.", "Peter"),
        ("Put Jordan on.", "Jordan"),
        ("Could you put Alex on the phone?", "Alex"),
        ("Um, I'd like to talk to Nayan.", "Nayan"),
        ("I would rather speak with Ferni.", "Ferni"),
        ("Let me talk to Alex instead.", "Alex"),
        ("Switch to Maya.", "Maya"),
        ("Hand me over to Jordan, thanks.", "Jordan"),
        ("Please put me through to Peter.", "Peter"),
        ("Is Maya there?", "Maya"),
        ("Maya, please.", "Maya"),
        ("Hey Ferni, can I talk to Maya?", "Maya"),
        ("Hi. Thank you. Can you get me Peter?", "Peter"),
        ("Can I speak to Fernie?", "Ferni"),
    ],
)
def test_a_wish(said: str, name: str) -> None:
    assert WISHES.read(said) == Wish(name)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Maya.",
        "My sister can talk to Maya.",
        "I don't want to talk to Maya.",
        "Don't put Peter on.",
        "I talked to Maya yesterday.",
        "Who is Jordan?",
        "Can I talk to my mother?",
        "Can I talk to Bob?",
        "I want to talk to Maya's mother.",
        "Can I talk to you about Alex?",
        "Give me Peter's number, please.",
        "I would like to go to Jordan.",
        "I need Alexander.",
        "Maya, what do you think?",
        "Should I switch to Maya or to Blender?",
        "Please " * 200 + "stop.",
    ],
)
def test_no_wish(said: str) -> None:
    assert WISHES.read(said) is None


def test_what_else_was_said_is_left() -> None:
    assert WISHES.read("My back hurts. Can I talk to Maya? She knows me.") == Wish(
        "Maya", "My back hurts. She knows me."
    )


def test_of_several_the_last_counts() -> None:
    assert WISHES.read("Can I talk to Maya? No, put Peter on.") == Wish("Peter")


def test_names_of_several_words_and_none_that_are_not_there() -> None:
    wishes = Wishes(shipped(), ["Dr. Mae Jones"])
    assert wishes.read("Could I speak to Dr Mae Jones, please?") == Wish("Dr. Mae Jones")
    assert wishes.read("Could I speak to Maya, please?") is None


def test_a_long_turn_takes_no_longer_than_it_should() -> None:
    assert WISHES.read("okay please " * 10_000) is None


@pytest.mark.parametrize(
    ("wish", "wrong"),
    [
        ("talk to somebody", "holds no NAME"),
        ("(talk to NAME", "brackets that do not match"),
        ("NAME NAME", "or several"),
    ],
)
def test_a_bad_phrase_is_one_line(tmp_path, wish: str, wrong: str) -> None:
    file = tmp_path / "wishes.yaml"
    file.write_text(f'wishes: ["{wish}"]\n')
    with pytest.raises(WishesError, match=wrong) as error:
        load(file)
    assert "\n" not in str(error.value)
