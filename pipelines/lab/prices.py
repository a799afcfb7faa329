"""What services cost: a table as data, `prices.yaml`, and what a usage comes to by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from guardrails.data_file import Record, read
from pipelines.lab.usage import KINDS, Usage

FILE = Path(__file__).with_name("prices.yaml")

TOKENS = tuple(kind for kind in KINDS if kind.startswith(("text_", "audio_")))

UNITS: dict[str, tuple[tuple[str, ...], float]] = {
    "million tokens": (TOKENS, 1e6),
    "minute": (("stt_seconds",), 60.0),
    "thousand characters": (("tts_characters",), 1e3),
    "free": ((), 1.0),
}
"""What is billed by a unit, and how much of it makes one."""

Usd = Annotated[float, Field(ge=0)]


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


Day = Annotated[str, BeforeValidator(_day), Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
"""A date, or a month where the source gives no more."""


@dataclass(frozen=True)
class Cost:
    """Money, and what it leaves out. Costs add up.

    Args:
        usd: US dollars for all that has a price.
        missing: What has none, each "<service> <kind>"; the money is then a lower bound.
    """

    usd: float = 0.0
    missing: frozenset[str] = frozenset()

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usd + other.usd, self.missing | other.missing)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.usd * times, self.missing)

    def as_json(self) -> dict[str, float | None]:
        """Dollars; null where something has no price, beside what the rest comes to."""
        return {"usd": None if self.missing else round(self.usd, 6), "usd_at_least": round(self.usd, 6)}

    def __str__(self) -> str:
        if not self.missing:
            return dollars(self.usd)
        return f"{dollars(self.usd)} + ?" if self.usd else "no price"


def dollars(usd: float) -> str:
    """To the cent from ten cents up, else to a hundredth of a cent."""
    return f"${usd:,.2f}" if usd >= 0.1 else f"${usd:.4f}"


class LongPrompt(Record):
    """Other prices for requests with a long prompt.

    Args:
        over_tokens: They hold for prompts of more tokens than this, cached ones counted.
        usd: As for `Price`.
    """

    over_tokens: int = Field(gt=0)
    usd: dict[str, Usd] = Field(min_length=1)


class Price(Record):
    """What one service costs.

    Args:
        matches: Names of models, or of the classes of processors, that it holds for; `*` stands for anything.
        unit: A key of `UNITS`.
        usd: US dollars per unit, by the name of what is billed (`Usage`).
        long_prompt: Prices for long prompts, if they differ.
        date: Of the source: a day, or a month.
        source: Who says so.
        note: What else should be known.
    """

    matches: tuple[str, ...]
    unit: Literal["million tokens", "minute", "thousand characters", "free"]
    usd: dict[str, Usd] = Field(default_factory=dict)
    long_prompt: LongPrompt | None = None
    date: Day
    source: str = Field(min_length=1)
    note: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Price:
        billed, _ = UNITS[self.unit]
        tables = [self.usd, *([self.long_prompt.usd] if self.long_prompt else [])]
        wrong = [kind for table in tables for kind in table if kind not in billed]
        if wrong:
            choice = f"choose {', '.join(billed)}" if billed else "take it out or name a unit"
            raise ValueError(f"{wrong[0]} is not billed by {self.unit!r}: {choice}")
        if billed and not self.usd:
            raise ValueError(f"usd names no price: write one for {', '.join(billed)}, or unit: free")
        if self.unit == "free" and not self.note:
            raise ValueError("note is missing: say what is not counted")
        return self

    def cost(self, name: str, usage: Usage) -> Cost:
        """What one request comes to.

        Args:
            name: The service's, for what has no price.
            usage: Of one request: prices may depend on how long its prompt is.
        """
        if self.unit == "free":
            return Cost()
        table = self.usd
        if self.long_prompt and usage.prompt > self.long_prompt.over_tokens:
            table = self.long_prompt.usd
        _, per = UNITS[self.unit]
        amounts = usage.amounts()
        return Cost(
            sum(amount / per * table[kind] for kind, amount in amounts.items() if kind in table),
            frozenset(f"{name} {kind}" for kind in amounts if kind not in table),
        )


class Prices(Record):
    """The table.

    Args:
        services: Prices by the name that ledgers show.
    """

    services: dict[str, Price] = Field(min_length=1)

    def find(self, model: str | None, processor: str = "") -> str | None:
        """The first service in the table that a model, or else a processor, is one of.

        Args:
            model: As Pipecat's metrics name it.
            processor: As Pipecat names it: the class, with or without a number.
        """
        for what in ((model or "").removeprefix("models/"), processor.split("#")[0]):
            for name, price in self.services.items():
                if what and any(fnmatchcase(what, pattern) for pattern in price.matches):
                    return name
        return None

    def cost(self, name: str, usage: Usage) -> Cost:
        """What one request to a service comes to; of a service that is not in the table, nothing has a price."""
        price = self.services.get(name)
        if price is None:
            return Cost(missing=frozenset(f"{name} {kind}" for kind in usage.amounts()))
        return price.cost(name, usage)


def load(path: Path = FILE) -> Prices:
    """The table that ships, or another.

    Raises:
        DataError: If it is not there or malformed.
    """
    return read(path, Prices)
