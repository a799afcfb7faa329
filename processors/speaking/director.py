"""Decides how to say something when the language model does not: by how the caller said it, and rules that are data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from guardrails.data_file import Record, read, says
from processors.hearing.cues import Cue, Score
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.styles import Scales, shipped

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

WIDEST = (Delivery(**dict.fromkeys(SCALES, -1.0)), Delivery(**dict.fromkeys(SCALES, 1.0)))  # type: ignore[arg-type]
"""The range of a persona that has none."""


class DirectorError(ValueError):
    """Rules that cannot be used. One line: the file, where in it, what is wrong, the mend."""


class Bounds(Record):
    """Where a number has to lie.

    Args:
        above: It is larger than this.
        below: It is smaller than this.
    """

    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> Bounds:
        if self.above is None and self.below is None:
            raise ValueError("holds no bound: write above:, below: or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"nothing lies above {self.above:g} and below {self.below:g}: exchange them")
        return self

    def hold(self, number: float | None) -> bool:
        """Whether a number lies there. One that is not known does not."""
        if number is None:
            return False
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


class When(Record):
    """What has to hold of a Cue, all of it. Each is what it is in `processors.hearing.cues`.

    Args:
        arousal: Combined.
        valence: Combined.
        emotions: By name, their probability. One that the ears do not tell is not there.
        pace: Syllables a second.
        pace_trend: Parts of itself a minute.
        loudness_trend: dB a minute.
        hesitation: How likely it is.
        laughter: How likely it is.
        sigh: How likely it is.
        disagreement: How likely it is.
        turns_heard: Turns before this one.
    """

    arousal: Bounds | None = None
    valence: Bounds | None = None
    emotions: dict[Annotated[str, Field(min_length=1)], Bounds] = Field(default_factory=dict)
    pace: Bounds | None = None
    pace_trend: Bounds | None = None
    loudness_trend: Bounds | None = None
    hesitation: Bounds | None = None
    laughter: Bounds | None = None
    sigh: Bounds | None = None
    disagreement: Bounds | None = None
    turns_heard: Bounds | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> When:
        if not self.model_fields_set or (self.model_fields_set == {"emotions"} and not self.emotions):
            raise ValueError(f"asks nothing: write one of {', '.join(type(self).model_fields)}")
        return self

    def hold(self, cue: Cue) -> bool:
        """Whether all of it holds."""
        asked = {name: bounds for name in type(self).model_fields if isinstance(bounds := getattr(self, name), Bounds)}
        return all(bounds.hold(cue.emotions.get(name, 0.0)) for name, bounds in self.emotions.items()) and all(
            bounds.hold(heard.combined if isinstance(heard := getattr(cue, name), Score) else heard)
            for name, bounds in asked.items()
        )


class Deliver(Scales):
    """A Delivery as a rule gives it.

    Args:
        style: A name for voices that have words for it. Its own scales hold only where no other is written here.
    """

    style: str = ""

    @field_validator("style")
    @classmethod
    def _known(cls, style: str) -> str:
        if style and not shipped().style(style):
            raise ValueError(f"no style {style!r}: choose {', '.join(shipped().styles)}")
        return style


class Rule(Record):
    """What to do when something is heard.

    Args:
        name: What to call it.
        when: What is heard.
        deliver: How to answer.
        hint: For the language model; empty for none.
    """

    name: str = Field(min_length=1)
    when: When
    deliver: Deliver
    hint: str = ""


class Rules(Record):
    """Rules in order."""

    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _named_apart(self) -> Rules:
        names = [rule.name for rule in self.rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules are called {twice}: rename one")
        return self


@dataclass(frozen=True)
class Direction:
    """How to answer.

    Args:
        delivery: How to say it, within the persona's range.
        hint: What to tell the language model; empty for nothing.
        rule: The rule it comes from; empty if none held.
    """

    delivery: Delivery
    hint: str = ""
    rule: str = ""


class Director:
    """Directs one persona. The same cue gives the same direction: nothing is remembered.

    Args:
        rules: What to go by.
        low: The persona's least, on every scale.
        high: The persona's most.
    """

    def __init__(self, rules: Rules, low: Delivery = WIDEST[0], high: Delivery = WIDEST[1]) -> None:
        self._rules = rules.rules
        self._low = low
        self._high = high

    def direct(self, cue: Cue | None) -> Direction:
        """How to answer what was said like this; in the persona's own way if nothing was heard or no rule holds."""
        rule = next((rule for rule in self._rules if cue is not None and rule.when.hold(cue)), None)
        if rule is None:
            return Direction(self.hold(Delivery()))
        return Direction(self.hold(Delivery(**rule.deliver.model_dump())), rule.hint, rule.name)

    def hold(self, delivery: Delivery) -> Delivery:
        """A Delivery held to the persona's range, as what a language model asks for has to be too."""
        return shipped().within(delivery, self._low, self._high)


def legend(rules: Rules) -> str:
    """What a language model has to know to be told no more of a turn than the name of a rule: one line; empty if there
    is no hint."""
    hints = " ".join(f"{rule.name}: {rule.hint}" for rule in rules.rules if rule.hint)
    known = "A last line of one or two words says how the caller may sound; never speak of it."
    return f"{known} {hints}" if hints else ""


def load(path: Path) -> Rules:
    """Rules from a file.

    Raises:
        DirectorError: If it cannot be read or is malformed.
    """
    return read(path, Rules, DirectorError, _wrong)


@cache
def rules() -> Rules:
    """The rules that ship."""
    return load(Path(__file__).with_name("director.yaml"))


_PARTS: dict[str, type[Record]] = {"when": When, "deliver": Deliver}
_CALLED: dict[type[Record], str] = {When: "a condition", Deliver: "a delivery", Bounds: "bounds", Rule: "a rule"}


def _wrong(error: ErrorDetails) -> str:
    place = error["loc"]
    if error["type"] == "extra_forbidden" and place[0] == "rules":
        kind = Bounds if len(place) > 4 else _PARTS.get(str(place[2]), Rule) if len(place) == 4 else Rule
        what = _CALLED[kind]
        return f"{'.'.join(map(str, place))} is no key of {what}: choose {', '.join(kind.model_fields)}"
    return says(error)
