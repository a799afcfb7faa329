"""What somebody needs of a voice agent, what weighs how much, and the use cases of an article: all of it data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from guardrails.data_file import Record, read, says

FOLDER = Path(__file__).parent

Level = Literal["low", "medium", "high"]
"""How much something matters."""

CRITERIA = (
    "reasoning",
    "safety",
    "emotion",
    "voice",
    "latency",
    "interruption",
    "memory",
    "long_calls",
    "inspection",
    "swapping",
    "availability",
    "cost",
    "simplicity",
)
"""What an architecture is weighed by."""

SCALED = frozenset({"latency", "interruption", "cost", "simplicity"})
"""Criteria whose score is `half / (half + figure)`: less is better."""

GRADED = ("reasoning", "emotion", "voice", "latency", "inspection", "swapping", "cost", "simplicity")
"""Criteria of which a need says how much they matter; the others matter somewhat."""


class NeedsError(ValueError):
    """Needs, weights or a use case that cannot be used. One line with the mend."""

    mendable = True


class Needs(Record):
    """What is needed. Musts rule an architecture out; levels say what counts how much.

    Args:
        compliance: Must be held to this policy, one that ships or a YAML file: rules on what is heard need a guard
            before the model, rules on what is said a guard over text. "none" asks for nothing. (000, Compliance.)
        personas: How many speak; more than one must have voices of their own. (003, "Voice Customization".)
        overlap: Must listen and speak at the same time. (000, Duplex Fused; 001, Turn-taking.)
        tools: Must have a service at hand that calls tools. (001, Tool use.)
        within_ms: Must answer within so many milliseconds in the median. (003, "Latency Kills Conversation".)
        length: Minutes of a call, by which the cost is chosen. (003, "Cost Explosion".)
        reasoning: How much it matters that any language model can be taken. (000, Reasoning complexity.)
        emotion: … that it is told how something was said. (000, Natural prosody; 001, Paralinguistic information.)
        voice: … how natural the voice sounds. (000, Natural prosody.)
        latency: … how soon it answers. (000, Latency; 001, Pipeline latency.)
        inspection: … that it can be read while it goes on. (000, Debuggability.)
        swapping: … that parts can be exchanged alone. (000, Component swapping; 001, LLM flexibility.)
        cost: … what it costs. (003, Cost-sensitive applications.)
        simplicity: … that it has few stages. (003, "simplest"; 001, Architecture.)
    """

    compliance: str = Field(default="none", min_length=1)
    personas: int = Field(default=1, ge=1)
    overlap: bool = False
    tools: bool = False
    within_ms: float | None = Field(default=None, gt=0)
    length: float = Field(default=5, gt=0)
    reasoning: Level = "medium"
    emotion: Level = "medium"
    voice: Level = "medium"
    latency: Level = "medium"
    inspection: Level = "medium"
    swapping: Level = "medium"
    cost: Level = "medium"
    simplicity: Level = "medium"

    def level(self, criterion: str) -> Level:
        """How much a criterion matters."""
        found: Level = getattr(self, criterion) if criterion in GRADED else "medium"
        return found

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Needs:
        """Needs by name.

        Raises:
            NeedsError: In one line, with every fault.
        """
        try:
            return cls.model_validate(dict(given))
        except ValidationError as found:
            raise NeedsError("; ".join(map(says, found.errors()))) from None


class Criterion(Record):
    """One thing that is weighed.

    Args:
        title: A few words.
        says: What exactly scores.
        seeds: Where the articles name it.
        weight: How much it counts at the level "medium"; times the level's number at another.
        half: The figure that scores one half, where less is better.
        half_source: Who says so.
    """

    title: str = Field(min_length=1)
    says: str = Field(min_length=1)
    seeds: tuple[str, ...] = Field(min_length=1)
    weight: float = Field(ge=0)
    half: float | None = Field(default=None, gt=0)
    half_source: str = ""

    def scored(self, figure: float) -> float:
        """The score of a figure of which less is better."""
        if self.half is None:
            raise ValueError(f"{self.title}: has no half")
        return self.half / (self.half + figure)

    def figure(self, score: float) -> float:
        """The figure that scores so much, above 0."""
        if self.half is None:
            raise ValueError(f"{self.title}: has no half")
        return self.half / score - self.half


class Weights(Record):
    """What weighs how much.

    Args:
        levels: What a level counts.
        levels_source: Where these are from.
        criteria: By name, all of `CRITERIA`.
    """

    levels: dict[Level, float]
    levels_source: str = Field(min_length=1)
    criteria: dict[str, Criterion]

    @model_validator(mode="after")
    def _whole(self) -> Weights:
        for missing in (level for level in get_args(Level) if level not in self.levels):
            raise ValueError(f"levels has no {missing}: add it")
        for level, number in self.levels.items():
            if number < 0:
                raise ValueError(f"levels.{level} is less than 0: give what it counts")
        for name in self.criteria:
            if name not in CRITERIA:
                raise ValueError(f"criteria.{name} is none: choose from {', '.join(CRITERIA)}")
        for name in CRITERIA:
            if name not in self.criteria:
                raise ValueError(f"criteria.{name} is missing: add it, with weight: 0 if it should not count")
            if (name in SCALED) != (self.criteria[name].half is not None):
                mend = "needs half:, the figure that scores one half" if name in SCALED else "has no figure for half:"
                raise ValueError(f"criteria.{name} {mend}")
        return self

    def weight(self, criterion: str, needs: Needs) -> float:
        """What a criterion counts for these needs."""
        return self.criteria[criterion].weight * self.levels[needs.level(criterion)]


def weights(path: Path | None = None) -> Weights:
    """The table of weights that ships, or another.

    Raises:
        NeedsError: If it is not there or malformed.
    """
    return read(path or FOLDER / "weights.yaml", Weights, NeedsError)


def overridden(given: str) -> tuple[str, float]:
    """A weight as it is written on the command line, `cost=2`.

    Raises:
        NeedsError: If it is none.
    """
    name, _, number = given.partition("=")
    name = name.strip().replace("-", "_")
    if name not in CRITERIA:
        raise NeedsError(f"no criterion {name!r} to weigh in {given!r}: choose {', '.join(CRITERIA)}")
    try:
        weight = float(number)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise NeedsError(f"{given!r} gives {name} no weight: write a number from 0 on, as in {name}=2")
    return name, weight


class Instead(Record):
    """What our figures give where an article recommends something else.

    Args:
        architecture: Its name.
        because: Why.
    """

    architecture: str
    because: str = Field(min_length=1)


class UseCase(Record):
    """A row of an article's table of use cases.

    Args:
        use_case: As the article calls it.
        recommends: In its own words.
        architectures: Those of ours that it means.
        needs: What it amounts to.
        reading: Why these needs.
        instead: What our figures give, if it is something else.
    """

    use_case: str
    recommends: str
    architectures: tuple[str, ...] = Field(min_length=1)
    needs: Needs
    reading: str = Field(min_length=1)
    instead: Instead | None = None


class UseCases(Record):
    """All rows."""

    rows: tuple[UseCase, ...]


def use_cases() -> tuple[UseCase, ...]:
    """The six rows of article 003.

    Raises:
        NeedsError: If the file is malformed.
    """
    return read(FOLDER / "use_cases.yaml", UseCases, NeedsError).rows


def use_case(name: str) -> UseCase:
    """The row whose use case begins like this, whatever the case of its letters.

    Raises:
        NeedsError: If there is none, or several.
    """
    rows = use_cases()
    found = [row for row in rows if row.use_case.lower().startswith(name.strip().lower())]
    if len(found) != 1:
        known = "; ".join(row.use_case for row in rows)
        raise NeedsError(f"{'no' if not found else 'more than one'} use case {name!r}: choose {known}")
    return found[0]
