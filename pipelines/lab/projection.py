"""What a call would cost after so many minutes: the prompt grows by what each turn adds, cached or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.table import Table

from guardrails.data_file import Record, read
from pipelines.lab import prices as price_table
from pipelines.lab.cost import CostLedger
from pipelines.lab.prices import Cost, Prices
from pipelines.lab.usage import Usage

MINUTES = (5.0, 30.0)
"""The lengths of a call that are shown."""

SEEDS = Path(__file__).with_name("seed_cost.yaml")

Role = Literal["llm", "stt", "tts"]


class ProjectionError(ValueError):
    """A call that cannot be projected. One line."""

    mendable = True


@dataclass(frozen=True)
class Shape:
    """How a call grows. Tokens of text and of sound are told apart.

    Args:
        turns_per_minute: How often the caller is answered.
        instructions: Tokens in every prompt: persona, examples, tools. Text.
        caller_text, caller_audio: Tokens that a turn's caller adds to all prompts from then on.
        heard_audio: Tokens of the caller's sound in the prompt of its own turn, where words take its place afterwards.
        answer_text, answer_audio: Tokens that a turn's answer takes, and adds to the prompts after it.
        requests_per_turn: How often the language model is asked; more than once where it speculates or uses tools.
        stt_seconds_per_minute: Seconds given to speech recognition.
        tts_characters_per_turn: Characters given to a voice.
    """

    turns_per_minute: float
    instructions: float = 0
    caller_text: float = 0
    caller_audio: float = 0
    heard_audio: float = 0
    answer_text: float = 0
    answer_audio: float = 0
    requests_per_turn: float = 1
    stt_seconds_per_minute: float = 0
    tts_characters_per_turn: float = 0

    def turns(self, minutes: float) -> int:
        """Whole turns in that time."""
        return round(self.turns_per_minute * minutes)

    def request(self, turn: int, *, cached: bool) -> Usage:
        """What the language model uses in a turn, if it is asked once.

        Args:
            turn: From 0.
            cached: Whether the vendor reads from its cache all that it has seen, its own answers included; what is new
                is written to it. Vendors that cache only long prompts, or forget in a pause, give less than this.
        """
        seen_text = self.instructions + turn * (self.caller_text + self.answer_text)
        seen_audio = turn * (self.caller_audio + self.answer_audio)
        out = Usage(text_out=self.answer_text, audio_out=self.answer_audio, audio_in=self.heard_audio)
        if not cached:
            return out + Usage(text_in=seen_text + self.caller_text, audio_in=seen_audio + self.caller_audio)
        if turn == 0:
            return out + Usage(text_written=seen_text + self.caller_text, audio_in=self.caller_audio)
        return out + Usage(
            text_cached=seen_text, text_written=self.caller_text, audio_cached=seen_audio, audio_in=self.caller_audio
        )


def project(
    shape: Shape, services: Mapping[Role, str], minutes: float, *, cached: bool, prices: Prices | None = None
) -> Cost:
    """What a call of a shape costs after some minutes.

    Args:
        shape: How it grows.
        services: Names in the price table by role; a role left out costs nothing.
        minutes: Length of the call.
        cached: Whether prompts are cached, as `Shape.request` has it. A service without a price for reading from a
            cache is taken to have none, and one without a price for writing to write at the price of reading anew.
        prices: The table that ships if none is given.
    """
    prices = prices or price_table.load()
    total = Cost()
    if llm := services.get("llm"):
        for turn in range(shape.turns(minutes)):
            usage = _sold(shape.request(turn, cached=cached), llm, prices)
            total += prices.cost(llm, usage) * shape.requests_per_turn
    if stt := services.get("stt"):
        total += prices.cost(stt, Usage(stt_seconds=shape.stt_seconds_per_minute * minutes))
    if tts := services.get("tts"):
        total += prices.cost(tts, Usage(tts_characters=shape.tts_characters_per_turn * shape.turns(minutes)))
    return total


def _sold(usage: Usage, service: str, prices: Prices) -> Usage:
    """The usage in the kinds that a service bills."""
    price = prices.services.get(service)
    sold = set(price.usd) if price else set()
    amounts = asdict(usage)
    for kind, instead in (("text_cached", "text_in"), ("text_written", "text_in"), ("audio_cached", "audio_in")):
        if kind not in sold:
            amounts[instead] += amounts.pop(kind)
    return Usage(**amounts)


def measured(ledger: CostLedger, minutes: float) -> tuple[Shape, dict[Role, str]]:
    """The shape of a call that was held, and the services that it used.

    How much a turn adds is taken from how the prompt grew between the first turn that was answered and the last; where
    several services share a role, all usage is taken and the one that was used most often is named.

    Args:
        ledger: Of the call.
        minutes: How long it was.

    Raises:
        ProjectionError: If fewer than two turns were answered, or the length is not positive.
    """
    if not minutes > 0:
        raise ProjectionError(f"a call of {minutes} minutes has no shape: give its length")
    asked = [charge for charge in ledger.charges if charge.usage.prompt or charge.usage.out]
    last_of = {charge.turn: charge for charge in asked if charge.turn > 0}
    if len(last_of) < 2:
        raise ProjectionError(f"{len(last_of)} turns were answered: a projection needs two or more")
    first, last = last_of[min(last_of)].usage, last_of[max(last_of)].usage
    apart = max(last_of) - min(last_of)
    requests = [charge.usage for charge in asked if charge.turn > 0]
    mean = sum(requests, Usage()) * (1 / len(requests))
    caller_text = max(0.0, (last.text_prompt - first.text_prompt) / apart - mean.text_out)
    caller_audio = max(0.0, (last.audio_prompt - first.audio_prompt) / apart - mean.audio_out)
    whole = sum((charge.usage for charge in ledger.charges), Usage())
    turns = len(last_of)
    shape = Shape(
        turns_per_minute=turns / minutes,
        instructions=max(0.0, first.text_prompt - caller_text),
        caller_text=caller_text,
        caller_audio=caller_audio,
        answer_text=mean.text_out,
        answer_audio=mean.audio_out,
        requests_per_turn=len(requests) / turns,
        stt_seconds_per_minute=whole.stt_seconds / minutes,
        tts_characters_per_turn=whole.tts_characters / turns,
    )
    return shape, _roles(ledger)


def _roles(ledger: CostLedger) -> dict[Role, str]:
    counts: defaultdict[Role, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for charge in ledger.charges:
        role: Role = "stt" if charge.usage.stt_seconds else "tts" if charge.usage.tts_characters else "llm"
        counts[role][charge.service] += 1
    return {role: max(services, key=lambda name: services[name]) for role, services in counts.items()}


class Assumed(Record):
    """A figure, and who says so."""

    value: float = Field(ge=0)
    source: str = Field(min_length=1)


class Assumptions(Record):
    """How a call of the seeds goes. Seconds are per minute of the call; tokens and characters per second of speech."""

    turns_per_minute: Assumed
    caller_seconds: Assumed
    answer_seconds: Assumed
    instructions_tokens: Assumed
    characters_per_second: Assumed
    caller_tokens_per_second: Assumed
    answer_tokens_per_second: Assumed
    heard_seconds: Assumed


class Cell(Record):
    """What somebody says that a call costs, in US dollars, without caching and with."""

    minutes: float = Field(gt=0)
    usd: float = Field(gt=0)
    cached_usd: float | None = Field(default=None, gt=0)
    source: str = Field(min_length=1)


class SeedModel(Record):
    """Assumptions, and the cells that they should meet.

    Args:
        services: Names in the price table.
        services_source: Who says that they are those.
        sound: Whether the prompt holds sound rather than text.
    """

    services: dict[Role, str] = Field(min_length=1)
    services_source: str = Field(min_length=1)
    assumptions: Assumptions
    sound: bool
    cells: tuple[Cell, ...]

    def shape(self) -> Shape:
        """As the projection takes it."""
        a = self.assumptions
        turns = a.turns_per_minute.value
        caller = a.caller_tokens_per_second.value * a.caller_seconds.value / turns
        answer = a.answer_tokens_per_second.value * a.answer_seconds.value / turns
        return Shape(
            turns_per_minute=turns,
            instructions=a.instructions_tokens.value,
            caller_text=0 if self.sound else caller,
            caller_audio=caller if self.sound else 0,
            answer_text=0 if self.sound else answer,
            answer_audio=answer if self.sound else 0,
            stt_seconds_per_minute=a.heard_seconds.value,
            tts_characters_per_turn=a.characters_per_second.value * a.answer_seconds.value / turns,
        )


class SeedModels(Record):
    """`seed_cost.yaml`."""

    models: dict[str, SeedModel] = Field(min_length=1)


@dataclass(frozen=True)
class Projected:
    """One call's cost at one length.

    Args:
        name: Whose.
        minutes: Length of the call.
        uncached, cached: What it comes to.
        claim: What somebody else says that it comes to, if anybody does.
    """

    name: str
    minutes: float
    uncached: Cost
    cached: Cost
    claim: Cell | None = None

    @property
    def off(self) -> float | None:
        """By which share the uncached cost is above the claim."""
        return self.uncached.usd / self.claim.usd - 1 if self.claim else None

    def as_json(self) -> dict[str, Any]:
        """All figures; money without a price is null."""
        return {
            "name": self.name,
            "minutes": self.minutes,
            "uncached_usd": None if self.uncached.missing else round(self.uncached.usd, 4),
            "cached_usd": None if self.cached.missing else round(self.cached.usd, 4),
            "claimed_usd": self.claim.usd if self.claim else None,
            "claimed_cached_usd": self.claim.cached_usd if self.claim else None,
            "claim_source": self.claim.source if self.claim else None,
            "off": None if self.off is None else round(self.off, 4),
            "without_price": sorted(self.uncached.missing | self.cached.missing),
        }


def seed_models(path: Path = SEEDS) -> SeedModels:
    """The seeds' assumptions.

    Raises:
        DataError: If the file is not there or malformed.
    """
    return read(path, SeedModels)


def seed_cells(models: SeedModels | None = None, prices: Prices | None = None) -> list[Projected]:
    """The seeds' cells, each beside what our projection gives under the assumptions."""
    prices = prices or price_table.load()
    return [
        _projected(name, model.shape(), model.services, cell.minutes, prices, cell)
        for name, model in (models or seed_models()).models.items()
        for cell in model.cells
    ]


def projections(
    name: str,
    shape: Shape,
    services: Mapping[Role, str],
    minutes: Sequence[float] = MINUTES,
    prices: Prices | None = None,
) -> list[Projected]:
    """A call at several lengths."""
    prices = prices or price_table.load()
    return [_projected(name, shape, services, length, prices) for length in minutes]


def _projected(
    name: str, shape: Shape, services: Mapping[Role, str], minutes: float, prices: Prices, claim: Cell | None = None
) -> Projected:
    uncached, cached = (project(shape, services, minutes, cached=cached, prices=prices) for cached in (False, True))
    return Projected(name, minutes, uncached, cached, claim)


def table(rows: Sequence[Projected], title: str = "What a call costs by its length, US dollars") -> Table:
    """Uncached and cached side by side, with what others claim."""
    shown = Table(title=title)
    shown.add_column("")
    for column in ("minutes", "claimed", "uncached", "off", "cached", "claimed cached"):
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(
            row.name,
            f"{row.minutes:g}",
            f"${row.claim.usd:,.2f}" if row.claim else "",
            str(row.uncached),
            "" if row.off is None else f"{round(row.off, 3) + 0.0:+.1%}",
            str(row.cached),
            f"${row.claim.cached_usd:,.2f}" if row.claim and row.claim.cached_usd else "",
        )
    missing = sorted(what for row in rows for what in row.uncached.missing | row.cached.missing)
    lines = [f"no price for {what}: add it to {price_table.FILE.name}" for what in dict.fromkeys(missing)]
    shown.caption = "\n".join(lines) or None
    return shown


def assumptions_table(models: SeedModels | None = None) -> Table:
    """What the seeds' cells rest on, and who says so."""
    shown = Table(title="What the seeds' costs rest on")
    for column in ("model", "assumption", "value", "source"):
        shown.add_column(column, justify="right" if column == "value" else "left")
    for name, model in (models or seed_models()).models.items():
        shown.add_row(name, "services", ", ".join(model.services.values()), model.services_source)
        for assumption in Assumptions.model_fields:
            assumed: Assumed = getattr(model.assumptions, assumption)
            shown.add_row("", assumption.replace("_", " "), f"{assumed.value:g}", assumed.source)
        shown.add_section()
    return shown
