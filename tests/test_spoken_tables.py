"""The tables of what is said: they are whole, and a slip in them is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from processors.speaking import spoken
from processors.speaking.spoken.tables import TABLES, Tables

FILE = Path(spoken.__file__).with_name("tables.yaml")


def test_public_names() -> None:
    assert spoken.__all__ == ["Spoken", "spoken"]


def test_the_tables_that_ship_are_read_as_they_are_written() -> None:
    assert Tables.read(FILE) == TABLES == Tables.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def test_nothing_is_written_twice() -> None:
    """YAML would take the last of two entries with one key, and a set would swallow a repeated word."""
    nodes, twice = [yaml.compose(FILE.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)], []
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            entries = [key.value for key, _ in node.value]
            nodes += [value for _, value in node.value]
        else:
            entries = [item.value for item in node.value] if isinstance(node, yaml.SequenceNode) else []
        twice += [entry for entry in set(entries) if entries.count(entry) > 1]
    assert twice == []


@pytest.mark.parametrize(
    ("written", "slip", "named"),
    [
        ("spelled:", "speled:", "addresses.speled"),
        ("unit: yen", "unit: yen, tenth: sen", "money.currencies.¥.tenth"),
        ("  places: [room, suite, apartment, apt, unit, gate, bus]\n", "", "identifiers.places"),
        ('"no": number', "no: number", "abbreviations.with_full_stop.0"),
        ("May: [], ", "", "calendar.months"),
        ("btw: by", "Btw: by", "abbreviations.without_full_stop.Btw"),
        ("US$", "us$", "money.currencies.us$"),
        ("vip: V.I.P", 'vip: ""', "abbreviations.without_full_stop.vip"),
        ("unsure: [in", "unsure: [inn", "inn"),
        ("b: billion", "b: milliard", "milliard"),
        ("sure_titles: [Mr", "sure_titles: [Mx", "Mx"),
        ("words_at_the_end: [sun", "words_at_the_end: [sunday", "sunday"),
        ("⅛: [1, 8]", "⅛: [1, 12]", "12"),
        ("mo: month", "mo: moon", "moon"),
    ],
)
def test_a_slip_is_refused_and_named(tmp_path: Path, written: str, slip: str, named: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert written in text
    edited = tmp_path / "tables.yaml"
    edited.write_text(text.replace(written, slip, 1), encoding="utf-8")
    with pytest.raises(ValidationError, match=re.escape(named)):
        Tables.read(edited)
