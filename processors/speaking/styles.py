"""Named ways to speak, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from guardrails.data_file import Record, read
from processors.speaking.delivery import SCALES, Delivery

Scale = Annotated[float, Field(ge=-1, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z]{3,20}$")]


class StylesError(ValueError):
    """Styles that cannot be used. One line: the file, where in it, what is wrong, the mend."""


class Scales(Record):
    """Where the six scales of a Delivery stand."""

    warmth: Scale = 0.0
    energy: Scale = 0.0
    pace: Scale = 0.0
    pitch: Scale = 0.0
    softness: Scale = 0.0
    pauses: Scale = 0.0


class Styles(Record):
    """What can be named.

    Args:
        styles: Ways to speak.
        aliases: Other names for them.
        words: Changes of any way.
    """

    styles: dict[Name, Scales]
    aliases: dict[Name, str] = Field(default_factory=dict)
    words: dict[Name, Scales] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _aliases_lead_to_styles(self) -> Styles:
        for alias, name in self.aliases.items():
            if name not in self.styles:
                raise ValueError(
                    f"the alias {alias} leads to {name}, which is no style: choose {', '.join(self.styles)}"
                )
        return self

    def style(self, name: str) -> str:
        """The style that goes by a name; empty if none does."""
        name = self.aliases.get(name, name)
        return name if name in self.styles else ""

    def named(self, name: str) -> Delivery:
        """A style as a Delivery: its scales, under its name.

        Raises:
            StylesError: If there is none of this name.
        """
        style = self.style(name)
        if not style:
            raise StylesError(f"no style {name!r}: choose {', '.join(self.styles)}")
        return Delivery(style=style, **self.styles[style].model_dump())

    def spelled(self, delivery: Delivery) -> Delivery:
        """A Delivery that only names its style, with that style's scales; any other as it is. Of an unknown style
        only the scales are left."""
        style = self.style(delivery.style)
        if style and not any(getattr(delivery, scale) for scale in SCALES):
            return replace(self.named(style), emphasis=delivery.emphasis)
        return replace(delivery, style=style)

    def within(self, delivery: Delivery, low: Delivery, high: Delivery) -> Delivery:
        """A Delivery clipped to a persona's range. A style of which less than half is left loses its name, so that
        voices directed by words are held to the range as well."""
        spelled = self.spelled(delivery)
        clipped = spelled.within(low, high)
        if spelled.style:
            whole = self.styles[spelled.style].model_dump()
            left = sum(getattr(clipped, scale) * value for scale, value in whole.items())
            if left < 0.5 * sum(value * value for value in whole.values()):
                return replace(clipped, style="")
        return clipped


def summed(changes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Scales added up, each clipped to what a Delivery holds."""
    return {scale: min(max(sum(change.get(scale, 0.0) for change in changes), -1.0), 1.0) for scale in SCALES}


def load(path: Path) -> Styles:
    """Styles from a file.

    Raises:
        StylesError: If it cannot be read or is malformed.
    """
    return read(path, Styles, StylesError)


@cache
def shipped() -> Styles:
    """The styles that ship."""
    return load(Path(__file__).with_name("styles.yaml"))
