"""What a call may cost: warns at a share of it, and at all of it says goodbye and ends the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from loguru import logger
from pipecat.frames.frames import EndFrame, Frame, TTSSpeakFrame

from pipelines.lab.cost import Charge, CostLedger
from pipelines.lab.prices import FILE, Cost, dollars

REASON = "the call has cost as much as it may"
"""Why a call that has spent its budget ends: the reason of its `EndFrame`."""


class BudgetError(ValueError):
    """A budget that makes no sense. One line."""

    mendable = True


@dataclass(frozen=True)
class Budget:
    """What one call may cost.

    Args:
        usd: US dollars.
        warn_at: The share of it, over 0 and up to 1, at which to warn.
        stop: Whether to end the call when it is spent; otherwise only a warning says so.
        goodbye: Said before the call ends; if empty, what whoever speaks then says.

    Raises:
        BudgetError: If the money is not positive or the share is none.
    """

    usd: float
    warn_at: float = 0.8
    stop: bool = True
    goodbye: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.usd < float("inf"):
            raise BudgetError(f"a budget of {self.usd} US dollars allows nothing: give more than 0")
        if not 0 < self.warn_at <= 1:
            raise BudgetError(f"{self.warn_at} is no share to warn at: give one over 0 and up to 1")


class Event(Enum):
    """What a budget has to say."""

    UNPRICED = "unpriced"
    NEAR = "near"
    SPENT = "spent"


@dataclass(frozen=True)
class Notice:
    """One thing a budget has to say, once a call.

    Args:
        event: Which.
        text: One line.
    """

    event: Event
    text: str


class BudgetWatch:
    """Compares what a call has cost with its budget; says each thing once. Synchronous."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._said: set[Event] = set()
        self._unpriced: frozenset[str] = frozenset()

    def spent(self, cost: Cost) -> list[Notice]:
        """What is to be said now.

        Args:
            cost: Of the whole call so far. What has no price counts as nothing, and is named.
        """
        notices = [
            Notice(Event.UNPRICED, f"the budget can't count {what}: add its price to {FILE.name}")
            for what in sorted(cost.missing - self._unpriced)
        ]
        self._unpriced |= cost.missing
        budget = self.budget
        if cost.usd >= budget.usd and Event.SPENT not in self._said:
            # Who has spent all is not told in addition that it comes near.
            self._said |= {Event.SPENT, Event.NEAR}
            what = "the call ends" if budget.stop else "the call goes on"
            notices.append(Notice(Event.SPENT, f"{dollars(cost.usd)} of {dollars(budget.usd)} are spent: {what}"))
        elif cost.usd >= budget.warn_at * budget.usd and Event.NEAR not in self._said:
            self._said.add(Event.NEAR)
            notices.append(Notice(Event.NEAR, f"{dollars(cost.usd)} of {dollars(budget.usd)} are spent"))
        return notices

    def farewell(self, notice: Notice, goodbye: str = "") -> Sequence[Frame]:
        """The frames that a notice calls for: a goodbye and the end of the call, or none.

        Args:
            notice: The notice.
            goodbye: What to say where the budget has no words of its own; nothing if empty.
        """
        if notice.event is not Event.SPENT or not self.budget.stop:
            return []
        words = self.budget.goodbye or goodbye
        if not words:
            return [EndFrame(reason=REASON)]
        # Our own words, not the LLM's; a caller who speaks into them must not keep the call from ending with them.
        spoken = TTSSpeakFrame(words, append_to_context=False)
        spoken.interruptible = False
        return [spoken, EndFrame(reason=REASON)]


def _warn(notice: Notice) -> None:
    logger.warning(notice.text)


class BudgetKeeper:
    """Holds a running call to its budget: `CostObserver(ledger, keeper.charged)`.

    Args:
        budget: What the call may cost.
        ledger: What it has cost.
        queue: Puts a frame at the beginning of the pipeline, as `PipelineWorker.queue_frame` does.
        on_notice: Told what the budget has to say; it is logged as a warning if nobody is given.
        goodbye: What whoever speaks now says before the call ends, where the budget has no words of its own.
    """

    def __init__(
        self,
        budget: Budget,
        ledger: CostLedger,
        queue: Callable[[Frame], Awaitable[None]],
        on_notice: Callable[[Notice], None] = _warn,
        goodbye: Callable[[], str] = lambda: "",
    ) -> None:
        self._watch = BudgetWatch(budget)
        self._ledger = ledger
        self._queue = queue
        self._on_notice = on_notice
        self._goodbye = goodbye

    async def charged(self, charge: Charge) -> None:
        """Look at the ledger after a request."""
        for notice in self._watch.spent(self._ledger.cost()):
            self._on_notice(notice)
            for frame in self._watch.farewell(notice, self._goodbye()):
                await self._queue(frame)
