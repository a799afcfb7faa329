"""Words and a voice that say different things, by the words' own list."""

from __future__ import annotations

import pytest

from processors.hearing.describe import AT_ODDS
from processors.hearing.disagreement import disagreement, lexicon, pleasantness


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("That's wonderful, thank you.", 1),
        ("This is useless, a complete waste.", -1),
        ("I'm not happy with it.", -1),
        ("No problem!", 1),
        ("It isn’t bad.", 1),
        ("I would like a table for four.", 0),
        ("Good and bad.", 0),
        ("", 0),
    ],
)
def test_what_words_say_by_themselves(text: str, sign: int) -> None:
    said = pleasantness(text)
    assert -1 < said < 1
    assert (said > 0) - (said < 0) == sign


def test_a_turning_word_reaches_three_words_and_no_further() -> None:
    assert pleasantness("not a very good idea") < 0
    assert pleasantness("not on Tuesday, which would be good") > 0


def test_more_words_say_it_more_surely() -> None:
    assert pleasantness("good") < pleasantness("good, great") < pleasantness("good, great, perfect")


def test_only_opposites_disagree() -> None:
    assert disagreement("Perfect, thanks.", 0.9) == 0
    assert disagreement("Terrible, useless.", 0.1) == 0
    assert disagreement("A table for four.", 0.0) == 0
    assert disagreement("Perfect, thanks.", 0.5) == 0
    assert disagreement("Perfect, thanks.", 0.3) < disagreement("Perfect, thanks.", 0.05)
    assert disagreement("Terrible, useless.", 0.95) > 0.8


def test_it_takes_several_words_and_a_voice_that_is_sure_to_be_told() -> None:
    assert disagreement("Great.", 0.1) < AT_ODDS <= disagreement("Oh great, just perfect, thank you so much.", 0.1) <= 1


def test_no_word_is_on_two_lists() -> None:
    words = lexicon()
    assert not words.pleasant & words.unpleasant
    assert not words.turning & (words.pleasant | words.unpleasant)
    assert len(words.pleasant) > 50 < len(words.unpleasant)
