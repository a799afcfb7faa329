"""Tables that turn the scales of a Delivery into a voice's numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pipecat.utils.types import is_given
from pydantic import Field, model_validator

from guardrails.data_file import Record, read
from processors.speaking.delivery import Delivery

ScaleName = Literal["warmth", "energy", "pace", "pitch", "softness", "pauses"]


class TableError(ValueError):
    """A table that cannot be used. One line: the file, where in it, what is wrong, the mend."""


class Line(Record):
    """One number of a voice.

    Args:
        usual: What it is where the persona says nothing.
        least: The smallest that the voice takes.
        most: The largest.
        down: How far below the persona's own it may go and still sound natural: 0 or less.
        up: How far above.
        scales: What each scale adds at 1.
    """

    usual: float
    least: float
    most: float
    down: Annotated[float, Field(le=0)]
    up: Annotated[float, Field(ge=0)]
    scales: dict[ScaleName, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Line:
        if not self.least <= self.usual <= self.most:
            raise ValueError(f"usual is {self.usual:g}: give a number from least to most")
        return self

    def lowered(self, delivery: Delivery, base: float | None) -> float:
        """The number for a Delivery.

        Args:
            delivery: What to say it like, its style spelled.
            base: The persona's own number; None for the usual one.
        """
        change: float = sum(weight * getattr(delivery, scale) for scale, weight in self.scales.items())
        number = (self.usual if base is None else base) + min(max(change, self.down), self.up)
        return round(min(max(number, self.least), self.most), 4)


class Table(Record):
    """How one voice says what a Delivery asks for.

    Args:
        source: Where the voice's settings and their ranges are described.
        settings: Its numbers, by name.
        styles: What it has for styles by name, in its own words.
    """

    source: str = Field(min_length=1)
    settings: dict[str, Line] = Field(default_factory=dict)
    styles: dict[str, str] = Field(default_factory=dict)

    def numbers(self, delivery: Delivery, base: object) -> dict[str, Any]:
        """All numbers for a Delivery.

        Args:
            delivery: What to say it like, its style spelled.
            base: What has the persona's own as attributes; those that are not given or None are the usual ones.
        """
        return {name: line.lowered(delivery, given(base, name)) for name, line in self.settings.items()}


def given(settings: object, name: str) -> Any:
    """A setting; None if it is not given."""
    value = getattr(settings, name, None)
    return value if is_given(value) else None


@cache
def table(voice: str) -> Table:
    """The table that ships for a voice.

    Raises:
        TableError: If it is malformed.
    """
    return read(Path(__file__).with_name(f"{voice}.yaml"), Table, TableError)
