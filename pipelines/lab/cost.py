"""What a conversation costs: a ledger per turn and service, filled from a running pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import Frame, MetricsFrame, UserStartedSpeakingFrame
from pipecat.metrics.metrics import MetricsData
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection
from rich.table import Table

from pipelines.lab import prices as price_table
from pipelines.lab.prices import Cost, Prices
from pipelines.lab.usage import Usage, of_metrics

WORDS = {
    "text_in": "text in",
    "text_cached": "text from cache",
    "text_written": "text to cache",
    "text_out": "text out",
    "audio_in": "sound in",
    "audio_cached": "sound from cache",
    "audio_out": "sound out",
    "stt_seconds": "s heard",
    "tts_characters": "characters said",
}
"""How tables name what is billed. Text and sound are in tokens."""

LOCAL = "0 (local)"
"""What is shown where nobody sends a bill."""


@dataclass(frozen=True)
class Charge:
    """One request to a service.

    Args:
        turn: From 1; 0 is before the caller first spoke.
        service: As in the price table; a model or processor that is not in it goes by its own name.
        usage: What was used.
        cost: What that comes to.
    """

    turn: int
    service: str
    usage: Usage
    cost: Cost


class CostLedger:
    """Everything that one call used, and what it comes to. Synchronous; turns begin when they are told to.

    Args:
        prices: What services cost; the table that ships if none is given.
    """

    def __init__(self, prices: Prices | None = None) -> None:
        self.prices = prices or price_table.load()
        self.charges: list[Charge] = []
        self.turns = 0

    def start_turn(self) -> None:
        """What comes now belongs to the next turn."""
        self.turns += 1

    def add(self, usage: Usage, *, model: str | None, processor: str = "") -> Charge:
        """Enter one request.

        Args:
            usage: What it used.
            model: As Pipecat's metrics name it.
            processor: As Pipecat names it.
        """
        service = self.prices.find(model, processor) or model or processor.split("#")[0] or "unnamed service"
        charge = Charge(self.turns, service, usage, self.prices.cost(service, usage))
        self.charges.append(charge)
        return charge

    def note(self, data: MetricsData) -> Charge | None:
        """Enter what a Pipecat metric says was used; None if it says nothing of the kind."""
        usage = of_metrics(data)
        return self.add(usage, model=data.model, processor=data.processor) if usage and usage.amounts() else None

    def services(self, turn: int | None = None) -> dict[str, tuple[Usage, Cost]]:
        """Usage and cost by service, in the order of their first request.

        Args:
            turn: Only this turn's; the whole call's if None.
        """
        lines: dict[str, tuple[Usage, Cost]] = {}
        for charge in self.charges:
            if turn is None or charge.turn == turn:
                usage, cost = lines.get(charge.service, (Usage(), Cost()))
                lines[charge.service] = (usage + charge.usage, cost + charge.cost)
        return lines

    def cost(self, turn: int | None = None) -> Cost:
        """What a turn, or the whole call, comes to."""
        return sum((cost for _, cost in self.services(turn).values()), Cost())

    def local(self, turn: int | None = None) -> bool:
        """Whether everything that a turn, or the whole call, used runs where nobody sends a bill."""
        names = self.services(turn)
        known = self.prices.services
        return bool(names) and all(name in known and known[name].unit == "free" for name in names)

    def told(self, turn: int | None = None) -> str:
        """What a turn, or the whole call, comes to, in words."""
        return LOCAL if self.local(turn) else str(self.cost(turn))

    def without_price(self) -> list[str]:
        """A line for each thing used that has no price, with the mend."""
        return [f"no price for {what}: add it to {price_table.FILE.name}" for what in sorted(self.cost().missing)]

    def as_json(self) -> dict[str, Any]:
        """All figures: the call's, each service's, each turn's. Money without a price is null."""
        return {
            **self.cost().as_json(),
            "local": self.local(),
            "without_price": self.without_price(),
            "turns": self.turns,
            "services": self._services_json(None),
            "each": [
                {"turn": turn, **self.cost(turn).as_json(), "services": self._services_json(turn)}
                for turn in sorted({charge.turn for charge in self.charges})
            ],
        }

    def _services_json(self, turn: int | None) -> dict[str, Any]:
        shown = {}
        for service, (usage, cost) in self.services(turn).items():
            price = self.prices.services.get(service)
            shown[service] = {
                **cost.as_json(),
                "usage": {kind: round(amount, 3) for kind, amount in usage.amounts().items()},
                "price_date": price.date if price else None,
                "price_source": price.source if price else None,
            }
        return shown


class CostObserver(BaseObserver):
    """Fills a ledger from a running pipeline, which needs `enable_usage_metrics`.

    A turn begins when Pipecat says that the caller began to speak, as for `LatencyObserver`.

    Args:
        ledger: What to fill.
        on_charge: Told of every request, once it is in the ledger.
    """

    hears_microphone = False

    def __init__(self, ledger: CostLedger, on_charge: Callable[[Charge], Awaitable[None]] | None = None) -> None:
        super().__init__(observe_every_push=False)
        self.ledger = ledger
        self._on_charge = on_charge

    async def on_push_frame(self, data: FramePushed) -> None:
        # Frames that are broadcast go both ways; one is enough. Metrics go one way, whichever it is.
        if data.direction is FrameDirection.DOWNSTREAM or isinstance(data.frame, MetricsFrame):
            for charge in self.mark(data.frame):
                if self._on_charge:
                    await self._on_charge(charge)

    def mark(self, frame: Frame) -> list[Charge]:
        """Take note of a frame: what it charges."""
        if isinstance(frame, UserStartedSpeakingFrame):
            self.ledger.start_turn()
        if not isinstance(frame, MetricsFrame):
            return []
        return [charge for data in frame.data if (charge := self.ledger.note(data))]


def table(ledger: CostLedger, title: str = "What the call cost, US dollars") -> Table:
    """Per service and in all, for people."""
    shown = Table(title=title)
    shown.add_column("service")
    shown.add_column("used")
    shown.add_column("USD", justify="right")
    shown.add_column("price of")
    for service, (usage, cost) in ledger.services().items():
        price = ledger.prices.services.get(service)
        used = ", ".join(f"{amount:,.0f} {WORDS[kind]}" for kind, amount in usage.amounts().items())
        free = price is not None and price.unit == "free"
        shown.add_row(service, used, LOCAL if free else str(cost), price.date if price else "")
    shown.add_section()
    shown.add_row("in all", f"{ledger.turns} turns", ledger.told(), "", style="bold")
    shown.caption = "\n".join(ledger.without_price()) or None
    return shown
