"""Delivery tags: what they say, that none is ever heard, and that nothing else is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.styles import shipped
from processors.speaking.tags import LONGEST, LONGEST_PAUSE, PAUSE, Pause, Piece, Tags, prompt

WARM = shipped().named("warm")
TAG = re.compile(rf"<[A-Za-z/!?][^<>]{{0,{LONGEST - 3}}}>")
KNOWN = {*SCALES, *shipped().styles, *shipped().aliases, *shipped().words, "pause", "break", "stress"}


def joined(pieces: list[Piece]) -> list[Piece]:
    """Pieces with neighbouring texts put together."""
    whole: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and whole and isinstance(whole[-1], str):
            whole[-1] = whole[-1] + piece
        else:
            whole.append(piece)
    return whole


def parsed(*texts: str) -> list[Piece]:
    tags = Tags()
    return joined([piece for text in texts for piece in tags.feed(text)] + tags.finish())


def heard(*texts: str) -> str:
    return "".join(piece for piece in parsed(*texts) if isinstance(piece, str))


def way(text: str) -> Delivery:
    """What a tag says."""
    (delivery,) = [piece for piece in parsed(text + "x") if isinstance(piece, Delivery)]
    return delivery


def test_an_answer_with_tags():
    assert parsed("<warm>Of course. <slower softer>Take your time. </warm>Thank you.") == [
        WARM,
        "Of course. ",
        Delivery(pace=-0.5, softness=0.5),
        "Take your time. ",
        Delivery(),
        "Thank you.",
    ]


@pytest.mark.parametrize(
    ("tag", "delivery"),
    [
        ("<warm>", WARM),
        ("<WARM>", WARM),
        ("< warm >", WARM),
        ("<warm/>", WARM),
        ("<<warm>>", WARM),
        ('<style="warm">', WARM),
        ("<warm, please>", WARM),
        ("<whisper>", shipped().named("whispered")),
        ("<pace=+3>", Delivery(pace=1)),
        ("<pace=-3>", Delivery(pace=-1)),
        ("<pace: 9>", Delivery(pace=1)),
        ("<pace −1.5>", Delivery(pace=-0.5)),
        ("<slower slower slower>", Delivery(pace=-1)),
        ("<slower><softer>", Delivery(pace=-0.5, softness=0.5)),
        ("<slower> <softer>", Delivery(pace=-0.5, softness=0.5)),
        ("<warm></warm><slower>", Delivery(pace=-0.5)),
        ("</>", Delivery()),
        ("<normal>", Delivery()),
        ("<stress tomorrow never>", Delivery(emphasis=("tomorrow", "never"))),
    ],
)
def test_what_a_tag_says(tag, delivery):
    assert way(tag) == delivery


def test_a_style_and_changes_add_up():
    urgent, changed = shipped().named("urgent"), way("<urgent pace=-3 warmer>")
    assert changed.style == "urgent"
    assert changed.pace == pytest.approx(urgent.pace - 1)
    assert changed.warmth == urgent.warmth + 0.5
    assert changed.energy == urgent.energy


@pytest.mark.parametrize("tag", ["<wram>", "<b>", "</b>", '<prosody rate="1.2">', "<pace>", "</pause>", "<!-- hm? -->"])
def test_what_is_not_known_says_nothing_and_is_not_heard(tag):
    pieces = parsed(f"Yes, {tag}of course.")
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Yes, of course."
    assert pieces == ["Yes, of course."]


def test_pauses_are_moments_and_leave_the_way_alone():
    assert parsed("<warm>One. <pause>Two. <pause=1.2>Three. <break time='9s'><pause 9>Four.") == [
        WARM,
        "One. ",
        Pause(PAUSE),
        "Two. ",
        Pause(1.2),
        "Three. ",
        Pause(LONGEST_PAUSE),
        "Four.",
    ]


def test_stress_keeps_the_way_and_ends_with_the_next_tag():
    first, second, third = (piece for piece in parsed("<warm>A <stress now>b <calm>c") if isinstance(piece, Delivery))
    assert first == WARM
    assert (second.style, second.emphasis) == ("warm", ("now",))
    assert third == shipped().named("calm")


@pytest.mark.parametrize(
    "text",
    [
        "3 < 5",
        "3 < 5 and 7 > 2",
        "I <3 you",
        "a<b",
        "if a<b, then",
        "x <y",
        "x <= y, and y >= z",
        "1<<2",
        "a <- b",
        "a <> b",
        "Your reading is < normal.",
        "5 > 3",
        "-> there",
        "naïve 日本 🎉\n\n\tok",
    ],
)
def test_ordinary_text_is_unharmed(text):
    assert parsed(text) == [text]
    assert parsed(*text) == [text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<warm Hello there.", "Hello there."),
        ("<warm slower Hello there.", "Hello there."),
        ("<warm 3 people came.", "3 people came."),
        ("<pace=+2 Hello.", "Hello."),
        ("<wram Hello there.", "Hello there."),
        ("</warm Hello.", "Hello."),
        ("</wram Hello.", "Hello."),
        ("Hello </", "Hello "),
        ("Hello <", "Hello "),
        ("Hello <wa", "Hello "),
        ("Hello<wa", "Hello"),
        ("Hello.<wram", "Hello."),
        ("<wa<b>rm>Hello.", "Hello."),
        ("<warm <slower>>Hello.", "Hello."),
        ("<warm <slower> Hello.", "Hello."),
        ("<warm>>Hello.", "Hello."),
        ("<warm\nslower>Hello.", "Hello."),
        ("<speak><p>Hello.</p></speak>", "Hello."),
        ('<emotion value="sad"/>Hello.', "Hello."),
        ("a<b and c>d", "a d"),
    ],
)
def test_malformed_tags_are_not_heard(text, said):
    assert heard(text) == said
    assert heard(*text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pass<x>word", "pass word"),
        ("3<x>5", "3 5"),
        ("3<x>.5", "3 .5"),
        ("example<x>.com", "example .com"),
        ("<warm>Hello</warm>.", "Hello."),
        ("<warm>Hello</warm>. And?", "Hello. And?"),
        ("<warm>Hello</warm>.<calm>And?", "Hello. And?"),
        ("(<warm>Hello</warm>)?! Yes", "( Hello)?! Yes"),
        ("Hello<x>....", "Hello ...."),
        ("One <x> two", "One two"),
        ("One <x>\ntwo", "One \ntwo"),
        ("One<x>\ntwo", "One\ntwo"),
        ("<warm> Hello", "Hello"),
        ("One<x><y><z>two", "One two"),
        ("One<x> <y> <z>two", "One two"),
    ],
)
def test_words_that_were_apart_stay_apart(text, said):
    assert heard(text) == said
    assert heard(*text) == said


def test_a_way_is_given_directly_before_the_text_that_it_is_for():
    tags = Tags()
    assert tags.feed("Hello</warm>") == ["Hello"]
    assert tags.feed(".") == []
    assert tags.feed(" ") == [". "]
    assert tags.feed("T") == [Delivery(), "T"]


def test_an_answer_begins_without_the_tags_of_the_one_before():
    tags = Tags()
    tags.feed("<warm>Hello <slo")
    tags.finish()
    assert tags.held == ""
    assert tags.feed("wer> and ") == ["wer> and "]
    assert tags.feed("<stress you>you") == [Delivery(emphasis=("you",)), "you"]


def test_the_prompt_is_short_and_true():
    lines = prompt().splitlines()
    assert len(lines) <= 3
    for tag in re.findall(r"<[^>]+>", prompt()):
        assert heard(f"{tag}x") == "x"
    for word in re.findall(
        r"[a-z]+", " ".join(lines[1].split(":")[1:]).replace("Changes", "").replace("Scales, from", "")
    ):
        assert word in KNOWN or word == "to"


ALPHABET = st.one_of(
    st.sampled_from("<<<>>>/ \n.,!?=+-3ab\"'"),
    st.sampled_from([*sorted(KNOWN), "wram", "b", "<warm>", "</warm>", "<slower softer>", "<pace=+2>", "< warm >"]),
    st.characters(codec="utf-8", categories=["L", "N", "P", "Z", "S"]),
)
TEXTS = st.lists(ALPHABET, max_size=60).map("".join)
LONG = st.lists(st.sampled_from(["<", ">", "a", " ", "warm", "<warm>", "<b" + "c" * 50, "d " * 40]), max_size=20).map(
    "".join
)


@settings(max_examples=400, deadline=None)
@given(TEXTS | LONG, st.lists(st.integers(0, 400), max_size=6))
def test_any_split_gives_the_same(text, cuts):
    whole = parsed(text)
    assert parsed(*text) == whole
    cuts = sorted(min(cut, len(text)) for cut in cuts)
    assert parsed(*(text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))) == whole


@settings(max_examples=200, deadline=None)
@given(TEXTS | LONG)
@example("<" * 300)
@example("< warm" * 60)
@example("<a" * 150)
def test_little_is_held(text):
    tags = Tags()
    for char in text:
        tags.feed(char)
        assert len(tags.held) < LONGEST + 3


@settings(max_examples=600, deadline=None)
@given(TEXTS | LONG)
@example("a<b" + "c" * 60 + "<slower>" + "d" * 50 + "> e")
@example("a<b <warm>c>d")
@example("<" * 200 + "warm" + ">" * 200)
def test_no_tag_is_ever_heard(text):
    said = heard(text)
    assert not TAG.search(said)
    for loose in re.findall(rf"<([^<>]{{0,{LONGEST - 2}}})>", said):
        words = re.findall(r"[^\W\d_]+", loose.lower())
        assert not words or not all(word in KNOWN for word in words)


@settings(max_examples=300, deadline=None)
@given(TEXTS.map(lambda text: text.replace("<", "")))
def test_text_without_tags_is_given_back_at_once(text):
    tags = Tags()
    assert "".join(map(str, tags.feed(text))) == text
    assert tags.finish() == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("abc., ", max_size=8), min_size=1, max_size=8), st.lists(st.sampled_from(["<warm>", "<x y>"])))
def test_nothing_but_tags_and_spaces_is_lost_and_no_words_join(texts, tags):
    """What a guard behind the parser sees are the words between the tags, in order, none joined to another."""
    written = "".join(a + b for a, b in zip(texts, [*tags, *["<warm>"] * len(texts)], strict=False))
    said = heard(written)
    assert re.sub(r"\s", "", said) == re.sub(r"\s", "", "".join(texts))
    words = [word for text in texts for word in re.findall(r"[abc]+", text)]
    assert re.findall(r"[abc]+", said) == words


@settings(max_examples=300, deadline=None)
@given(TEXTS | LONG)
def test_every_way_is_valid_and_stands_before_text(text):
    pieces = parsed(text)
    for at, piece in enumerate(pieces):
        if isinstance(piece, Delivery | Pause):
            following = next(each for each in pieces[at:] if isinstance(each, str))
            assert following
            assert not following[0].isspace()
        if isinstance(piece, Pause):
            assert 0 < piece.seconds <= LONGEST_PAUSE
