"""The words and signs that are said otherwise than they are written: the schema of `tables.yaml`, and its contents.

Where a list is compared with lower-cased words, its entries have no capitals.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(min_length=1)]
Lower = Annotated[str, StringConstraints(pattern=r"^[^A-Z]+$")]

# Three quarters of the time to read the tables, which an application waits for, is saved where PyYAML has libyaml.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Addresses(_Table):
    """Hosts, paths and e-mail addresses."""

    signs: dict[Text, Text]
    """What is said for punctuation inside an address."""
    domains: tuple[Lower, ...]
    """Words that end in one of these are addresses, with no "www" before them."""
    spelled: frozenset[Lower]
    """Parts of an address said letter by letter."""


class Calendar(_Table):
    """Months and days of the week."""

    months: Annotated[dict[Text, tuple[Lower, ...]], Field(min_length=12, max_length=12)]
    """In order, each with what it is cut short to."""
    days: Annotated[dict[Text, tuple[Lower, ...]], Field(min_length=7, max_length=7)]
    """Each with what it is cut short to."""
    words_at_the_end: frozenset[Lower]
    """Short forms that are words of their own where the text ends after them."""
    before_a_year: frozenset[Lower]
    """A number of four digits after one of these is a year."""

    @cached_property
    def short_days(self) -> dict[str, str]:
        """The day of the week that each short form names."""
        return {short: day for day, forms in self.days.items() for short in forms}

    @cached_property
    def month_names(self) -> dict[str, str]:
        """The month that each name and short form names, keyed in lower case."""
        return {name: month for month, forms in self.months.items() for name in (month.lower(), *forms)}

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        _refers("words_at_the_end", self.words_at_the_end, self.month_names | self.short_days)
        return self


class Identifiers(_Table):
    """Numbers that name something, whose digits are read one by one."""

    named_by: frozenset[Lower]
    """What is named by a number after it: "order 12345"."""
    between: frozenset[Lower]
    """What may stand between the two: "order number is 12345"."""
    places: frozenset[Lower]
    """Places named by a number: "room 101"."""


class Currency(_Table):
    """A unit of money and its hundredth, singular; none where the currency has no coins of it."""

    unit: Text
    hundredth: str = ""


class Money(_Table):
    """Prices."""

    currencies: dict[Annotated[str, StringConstraints(pattern=r"^[^a-z]+$")], Currency]
    """By the symbol before the amount, in capitals."""
    codes: dict[Text, Text]
    """What the codes after an amount mean, singular."""
    scales: dict[Lower, Text]
    """What the letters after an amount multiply it by."""
    scale_words: frozenset[Lower]
    """Words that do the same: they are said before the currency."""

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        _refers("scales", self.scales.values(), self.scale_words)
        return self


class Measures(_Table):
    """Amounts with a unit."""

    units: dict[Text, Text]
    """Singular."""
    unsure: frozenset[Text]
    """Units that apart from their number are words, where something else can be meant."""
    powers: dict[Text, Text]
    """What stands before a unit: "sq ft"."""
    degrees: dict[Text, Text]
    """Scales of temperature, by what follows the degree sign."""
    per: dict[Lower, Text]
    """What is meant after a slash: "$20/mo"."""
    per_words: frozenset[Lower]
    """Words before which a slash is said as "per"."""

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        _refers("per", self.per.values(), self.per_words)
        _refers("unsure", self.unsure, self.units)
        return self


class Numerals(_Table):
    """Fractions and Roman numerals."""

    parts: dict[int, Text]
    """By denominator."""
    fractions: dict[Annotated[str, StringConstraints(min_length=1, max_length=1)], tuple[int, int]]
    """Numerator and denominator of fractions that are one character."""
    two_numbers: frozenset[Text]
    """Not fractions: the two numbers are said one after the other."""
    out_of: frozenset[int]
    """Denominators before which a slash is said as "out of"."""
    counted: frozenset[Lower]
    """Before a Roman numeral: "Part II" is part two."""
    monarchs: frozenset[Lower]
    """Before a Roman numeral: "Henry II" is Henry the second."""

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        _refers("fractions", (whole for _, whole in self.fractions.values()), self.parts)
        return self


class Abbreviations(_Table):
    """Words cut short. Those in lower case may be written with capitals; none is written with its last full stop."""

    titles: dict[Text, Text]
    """Before a name."""
    sure_titles: frozenset[Text]
    """Titles that need no name after them to be recognised."""
    places: dict[Text, Text]
    """After a name or a number."""
    with_full_stop: dict[Lower, Text]
    """Said in full only before a full stop: without it they are words or names of their own."""
    with_or_without: dict[Lower, Text]
    """Said in full before a full stop, and without it unless in capitals."""
    anywhere: dict[Lower, Text]
    """Said in full too in capitals, and as part of a longer word."""
    without_full_stop: dict[Lower, Text]
    """Their full stop ends the sentence."""
    words_at_the_end: frozenset[Lower]
    """They are words of their own where the text ends after them, unless a number is before them."""
    before_a_letter: frozenset[Lower]
    """After these a capital is no initial of a name, so that its full stop ends the sentence: "Plan B."."""
    end_sentences: frozenset[Lower]
    """Their full stop ends the sentence too if a capital follows."""

    @cached_property
    def words(self) -> dict[str, str]:
        """All that may lose a full stop, but for titles and places."""
        return self.with_full_stop | self.with_or_without | self.anywhere

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        _refers("sure_titles", self.sure_titles, self.titles)
        _refers("words_at_the_end", self.words_at_the_end, self.words)
        return self


class Tables(_Table):
    """All of them."""

    plurals: dict[Text, Text]
    """Where it is not the singular with an s."""
    signs: dict[Text, Text]
    """What is said for a sign before a number."""
    symbols: dict[Text, Text]
    """What is said for a sign on its own."""
    addresses: Addresses
    calendar: Calendar
    identifiers: Identifiers
    money: Money
    measures: Measures
    numerals: Numerals
    abbreviations: Abbreviations

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read tables from YAML. Raises pydantic's ValidationError for anything unexpected in it."""
        return cls.model_validate(yaml.load(path.read_text(encoding="utf-8"), _LOADER))  # noqa: S506 (a safe loader)


def _refers(name: str, entries: Iterable[str | int], to: Iterable[str | int]) -> None:
    """Raise ValueError unless every one of ``entries``, which stand in the list ``name``, is among ``to``."""
    if unknown := set(entries).difference(to):
        raise ValueError(f"{name}: {', '.join(sorted(map(str, unknown)))} is not in the list that it refers to")


TABLES = Tables.read(Path(__file__).with_name("tables.yaml"))
