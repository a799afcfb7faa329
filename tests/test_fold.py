"""What characters count as."""

import sys
import unicodedata

import pytest

from guardrails import lookalikes
from guardrails.fold import Kind, fold, folded


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("ＰＡＳＳ", "pass"),
        ("раѕѕwоrd", "password"),  # Cyrillic
        ("Ραѕѕ", "pass"),  # Greek
        ("𝐩𝒶𝕤𝖘", "pass"),
        ("ⓟⓐⓢⓢ", "pass"),
        ("🅿🅰🆂🆂", "pass"),
        ("pa\u200bss\u00ad\u2060", "pass"),
        ("p\u0301a\u0308ss", "pass"),
        ("pàss", "pass"),
        ("**pa**ss", "pass"),
        ("oﬃce", "office"),
        ("straße", "strasse"),
        ("ᴘᴀꜱꜱ", "pass"),
        ("đøłħ", "dolh"),
        ("a\u00a0\u2003b\u3000c", "a b c"),
        ("a–b−c", "a b c"),
        ("٤１④⁴四", "41444"),
        ("\U000e0070\U000e0061hi", "hi"),
    ],
)
def test_what_looks_the_same_is_the_same(written: str, plain: str) -> None:
    assert folded(written) == plain


def test_a_capital_i_may_be_an_l() -> None:
    assert fold("I").bases == ("i", "l")
    assert fold("Ι").bases == ("i", "l")  # Greek
    assert fold("l").bases == ("l",)


def test_what_may_stand_for_nothing() -> None:
    for char in "-–'’.😀·•\x1f\x85":
        assert "" in fold(char).bases, char
        assert fold(char).kind is Kind.GAP
    for char in " \n,;":
        assert "" not in fold(char).bases


@pytest.mark.parametrize("char", list("0123456789") + list("٣۷߅④⑦²₉７𝟗🯷五"))
def test_digits_of_all_scripts(char: str) -> None:
    expected = {"五": "5"}.get(char) or str(unicodedata.digit(char, -1))
    assert fold(char).digit == expected
    assert fold(char).bases[0] == expected


def test_every_character_folds_and_keeps_to_the_contract() -> None:
    for code in range(sys.maxunicode + 1):
        found = fold.__wrapped__(chr(code))
        assert (found.kind is Kind.IGNORED) == (found.bases == ())
        assert not found.space or found.kind is Kind.GAP
        assert not found.digit or found.bases[0] == found.digit


def test_the_table_of_lookalikes_is_what_its_recipe_makes() -> None:
    pytest.importorskip("confusable_homoglyphs", reason="confusable-homoglyphs is not installed")
    assert lookalikes.TABLE.read_text(encoding="utf-8") == lookalikes.table()
