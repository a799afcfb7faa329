"""How something is to be said: typed, and the same for every voice."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

SCALES = ("warmth", "energy", "pace", "pitch", "softness", "pauses")


@dataclass(frozen=True)
class Delivery:
    """A way to say something. The defaults are the persona's own way.

    Args:
        style: A named way, as `warm`, `urgent`, `reassuring` or `whispered`; empty for none.
        warmth: From -1, cool, to 1, warm; as all the others, 0 changes nothing.
        energy: From tired to lively.
        pace: From slow to fast.
        pitch: From low to high.
        softness: From pressed to soft.
        pauses: From fewer and shorter to more and longer.
        emphasis: Words that are to stand out.

    Raises:
        ValueError: If a scale is not a number from -1 to 1.
    """

    style: str = ""
    warmth: float = 0.0
    energy: float = 0.0
    pace: float = 0.0
    pitch: float = 0.0
    softness: float = 0.0
    pauses: float = 0.0
    emphasis: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in SCALES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not -1.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value!r}: give a number from -1 to 1")

    @property
    def plain(self) -> bool:
        """Whether it is nothing but the persona's own way."""
        return self == Delivery()

    def within(self, low: Delivery, high: Delivery) -> Delivery:
        """The same with every scale clipped to what lies between two others, as a persona's range."""
        clipped = {name: min(max(getattr(self, name), getattr(low, name)), getattr(high, name)) for name in SCALES}
        return replace(self, **clipped)

    def as_json(self) -> dict[str, object]:
        """What differs from the default."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
