from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.speaking.clauses import ClauseAggregator, ClauseSplitter


def split(text: str) -> list[str]:
    splitter = ClauseSplitter()
    pieces = [piece for char in text for piece in splitter.feed(char)]
    return [*pieces, *filter(None, [splitter.finish()])]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Sure. I can help.", ["Sure.", "I can help."]),
        ("Of course, I can help you with that.", ["Of course,", "I can help you with that."]),
        ("Sure, I can do that, too. Or not, maybe.", ["Sure,", "I can do that,", "too.", "Or not, maybe."]),
        ("I can, if you like, do that, too, or not.", ["I can,", "if you like,", "do that, too, or not."]),
        ("I can check the status of your order in a minute.", ["I can check the status", "of your order in a minute."]),
        ("It is one of those that they sell.", ["It is one of those", "that they sell."]),
        ("It costs $1,000 a year, or more.", ["It costs $1,000 a year,", "or more."]),
        ("Dr. Smith is in. Come at 3.5 hours.", ["Dr. Smith is in.", "Come at 3.5 hours."]),
        ("Write to a@example.com. Thanks.", ["Write to a@example.com.", "Thanks."]),
        ("We open at 9 a.m. on Monday.", ["We open at 9 a.m.", "on Monday."]),
        ("Really?! Yes.", ["Really?", "Yes."]),
        ("No punctuation at all", ["No punctuation at all"]),
        ("First line\nsecond line", ["First line", "second line"]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("So did I. Then we left.", ["So did I.", "Then we left."]),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert split(text) == pieces


def test_a_one_sentence_answer_is_given_back_at_its_full_stop() -> None:
    assert ClauseSplitter().feed("It is noon.") == ["It is noon."]


def test_a_closing_quote_in_the_same_token_stays_with_its_sentence() -> None:
    assert ClauseSplitter().feed('He said "stop." Then') == ['He said "stop."']


@given(st.text(alphabet="ab1 .,?!\n\"'é", max_size=80), st.data())
def test_no_word_is_lost_and_none_added_however_the_text_arrives(text: str, data: st.DataObject) -> None:
    splitter, pieces, rest = ClauseSplitter(), [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces += splitter.feed(rest[:size])
        rest = rest[size:]
    pieces.append(splitter.finish())
    assert words("".join(pieces)) == words(text)


def words(text: str) -> str:
    return "".join(char for char in text if char.isalnum() or char in "\"'")


async def test_an_interruption_forgets_the_unfinished_piece() -> None:
    aggregator = ClauseAggregator()
    assert [piece async for piece in aggregator.aggregate("I was going to")] == []
    await aggregator.handle_interruption()
    assert [piece.text async for piece in aggregator.aggregate("Yes.")] == ["Yes."]
    assert await aggregator.flush() is None
