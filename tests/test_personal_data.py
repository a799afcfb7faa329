"""Recall and precision on sentences with personal data, as they are and with the data said as words."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pipelines.lab.guard import spoken
from pipelines.lab.guard.personal_data import SET, Found, Sentence, measured, personal_data

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "text"


@pytest.mark.skipif(not (FOLDER / SET).exists(), reason="the set of sentences is not here")
def test_recall_of_every_type_written_and_spoken() -> None:
    rows = personal_data(FOLDER)
    assert len(rows) == 10
    assert {(row.what, row.spoken): row.recall for row in rows if row.recall < 0.98} == {}
    assert {(row.what, row.spoken): row.precision for row in rows if row.precision < 0.8} == {}


def test_what_is_measured() -> None:
    sentences = [
        Sentence("It is 4111 1111 1111 1111.", ((6, 25),)),
        Sentence("It is 4111 1111 1111 1112.", ((6, 25),)),
        Sentence("Not 4111 1111 1111 1111.", ()),
    ]
    row = measured("card", sentences, spoken=False)
    assert row == Found("card", False, present=2, found=1, covered=2, wrong=1)
    assert row.recall == row.precision == 0.5


def test_how_digits_are_said() -> None:
    ways = {spoken.digits("4407", Random(seed)) for seed in range(60)}
    assert {"four four zero seven", "double four oh seven", "forty four oh seven"} <= ways


def test_how_addresses_and_accounts_are_said() -> None:
    ways = {spoken.email("Jo.X@gmail.com", Random(seed)) for seed in range(20)}
    assert ways == {"jo dot x at gmail dot com", "j o dot x at gmail dot com"}
    assert spoken.iban("GB29", Random(0)) == "G B two nine"
