"""Thousands of calls instead of one: how the figures of a comparison are distributed, and how sure they are.

Each call is the conversation of `antiphon compare` as another caller would hold it (`variation`), through every
architecture with every profile that describes it. What varies follows from the call's number, so that architectures
with the same profile meet the same callers, and any call can be held again alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pipecat.observers.base_observer import BaseObserver

from pipelines import architectures, personas
from pipelines.assemble import check
from pipelines.definition import Architecture, DefinitionError
from pipelines.lab import prices as price_table
from pipelines.lab import profile as profiles
from pipelines.lab import virtual
from pipelines.lab.compare.cells import COLUMNS, Cell, Column, Kind
from pipelines.lab.compare.comparison import (
    PERSONA,
    Comparison,
    Row,
    by_definition,
    costs,
    describing,
    figures,
    prompt,
    refused,
)
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.errors import YIELD_SECS
from pipelines.lab.compare.intervals import CONFIDENCE, Share, Spread, spread, spread_of_turns
from pipelines.lab.compare.run import Run, of_recording
from pipelines.lab.compare.spreading import Goes, over_processes, over_ray
from pipelines.lab.compare.variation import VARIES, varied
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.holding import hold
from pipelines.lab.prices import Prices
from pipelines.lab.profile import Profile
from pipelines.lab.projection import Role
from pipelines.personas import Persona
from pipelines.stacks.profile import profile_stack

Name = tuple[str, str]
"""An architecture's and a profile's."""

SPREAD = tuple(column for column in COLUMNS if column.unit in ("ms", "$/min", "tokens"))
"""Columns of the comparison of which a call gives a figure."""

MOST_NAMED = 3
"""Calls that are named for each way to be bad."""

OnCall = Callable[[int, int], None]
"""Is told how many calls have been held, and of how many."""


class SweepError(ValueError):
    """A sweep that cannot be held. One line."""

    mendable = True


@dataclass(frozen=True)
class Call:
    """One call as plain figures.

    Args:
        number: Of the call, from 1.
        figures: In the units of the columns, by their names, where there is one.
        latencies_ms: Of every turn that was answered.
        silences_ms: Of every interruption, until the agent was silent.
        turns, answered, early: How many turns there were, were answered, and were answered too early.
        leaks: Answers in which something forbidden was heard.
        cut, remembered: Answers that were cut off, and those of them that are remembered as they were heard.
        wrong: What else went wrong, a line each.
    """

    number: int
    figures: dict[str, float] = field(default_factory=dict)
    latencies_ms: tuple[float, ...] = ()
    silences_ms: tuple[float, ...] = ()
    turns: int = 0
    answered: int = 0
    early: int = 0
    leaks: int = 0
    cut: int = 0
    remembered: int = 0
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """Something that a call does or does not.

    Args:
        name: As in JSON.
        title: For people.
        holds: Whether it is true of a call; None if a call says nothing of it.
        good: Whether that is as it should be.
    """

    name: str
    title: str
    holds: Callable[[Call], bool | None]
    good: bool


YIELD_MS = 1000 * YIELD_SECS

COUNTS = (
    Count("answered", "every turn answered", lambda call: call.answered == call.turns, True),
    Count("early", "a turn answered too early", lambda call: call.early > 0, False),
    Count(
        "yielded",
        f"silent within {YIELD_MS:,.0f} ms of each interruption",
        lambda call: all(ms <= YIELD_MS for ms in call.silences_ms) if call.silences_ms else None,
        True,
    ),
    Count(
        "remembered",
        "remembers what was heard",
        lambda call: call.remembered == call.cut if call.cut else None,
        True,
    ),
    Count("leaked", "forbidden words heard", lambda call: call.leaks > 0, False),
    Count("wrong", "went wrong otherwise", lambda call: bool(call.wrong), False),
)
"""What is counted, in order. Calls are counted, as turns of one call depend on one another."""


@dataclass(frozen=True)
class Swept:
    """One architecture with one profile.

    Args:
        architecture, profile: Their names; the profile's is empty if none describes it.
        calls: In the order of their numbers; none if it could not run.
        reason: Why it could not run.
    """

    architecture: str
    profile: str
    calls: tuple[Call, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """Architecture and profile."""
        return f"{self.architecture} · {self.profile}" if self.profile else self.architecture

    @functools.cached_property
    def latency(self) -> Spread | None:
        """Of all turns of all calls, in milliseconds; its intervals know that turns belong to calls."""
        return spread_of_turns([call.latencies_ms for call in self.calls])

    @functools.cached_property
    def silence(self) -> Spread | None:
        """Of all interruptions of all calls, in milliseconds, until the agent was silent."""
        return spread_of_turns([call.silences_ms for call in self.calls])

    @functools.cached_property
    def spreads(self) -> dict[str, Spread]:
        """Of a call's figure, by the names of `SPREAD`, where there is one."""
        found = {
            c.name: spread([call.figures[c.name] for call in self.calls if c.name in call.figures]) for c in SPREAD
        }
        return {name: each for name, each in found.items() if each is not None}

    def share(self, count: Count) -> Share | None:
        """Of how many calls something is true; None if it can be said of none."""
        said = [holds for call in self.calls if (holds := count.holds(call)) is not None]
        return Share(sum(said), len(said)) if said else None

    def worst(self) -> dict[str, list[Call]]:
        """Calls to look at: the slowest, those that talked on longest, and some that went as none is to go."""
        found: dict[str, list[Call]] = {}
        slow = [call for call in self.calls if call.latencies_ms]
        found["slowest turn"] = sorted(slow, key=lambda call: -max(call.latencies_ms))[:MOST_NAMED]
        cut = [call for call in self.calls if call.silences_ms]
        found["talks on longest"] = sorted(cut, key=lambda call: -max(call.silences_ms))[:MOST_NAMED]
        for count in COUNTS:
            bad = [call for call in self.calls if count.holds(call) is (not count.good)]
            title = f"not: {count.title}" if count.good else count.title
            found[title] = bad[:MOST_NAMED]
        return {title: calls for title, calls in found.items() if calls}

    def as_json(self) -> dict[str, Any]:
        """Distributions, counts with intervals, and the worst calls by number."""
        shares = {count.name: self.share(count) for count in COUNTS}
        return {
            "architecture": self.architecture,
            "profile": self.profile or None,
            "reason": self.reason or None,
            "calls": len(self.calls),
            "turn_latency_ms": None if self.latency is None else self.latency.as_json(),
            "interruption_silence_ms": None if self.silence is None else self.silence.as_json(),
            "columns": {name: each.as_json() for name, each in self.spreads.items()},
            "calls_with": {name: None if share is None else share.as_json() for name, share in shares.items()},
            "turns": {
                name: sum(getattr(call, name) for call in self.calls)
                for name in ("turns", "answered", "early", "leaks", "cut", "remembered")
            },
            "worst": {title: [call.number for call in calls] for title, calls in self.worst().items()},
        }


@dataclass(frozen=True)
class Sweep:
    """Many calls through several architectures.

    Args:
        conversation: The name of what they vary.
        asked: How many calls were to be held through each.
        rows: What came of it.
    """

    conversation: str
    asked: int
    rows: tuple[Swept, ...]

    @property
    def ran(self) -> tuple[Swept, ...]:
        """Those that could run."""
        return tuple(row for row in self.rows if not row.reason)

    @property
    def held(self) -> int:
        """How many calls were held through each."""
        return min((len(row.calls) for row in self.ran), default=0)

    @property
    def complete(self) -> bool:
        """Whether all that were asked for were held, through all that could run."""
        return bool(self.ran) and self.held == self.asked

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of `SPREAD` of which any call has a figure."""
        return tuple(column for column in SPREAD if any(column.name in row.spreads for row in self.rows))

    def as_json(self) -> dict[str, Any]:
        """Everything but the calls themselves; the same for the same number of calls, whatever spread them."""
        return {
            "conversation": self.conversation,
            "asked": self.asked,
            "calls": self.held,
            "complete": self.complete,
            "confidence": CONFIDENCE,
            "varies": VARIES,
            "columns": [
                {"name": c.name, "title": c.title, "group": c.group, "unit": c.unit, "means": c.means}
                for c in self.columns
            ],
            "counts": [{"name": c.name, "title": c.title, "good": c.good} for c in COUNTS],
            "rows": [row.as_json() for row in self.rows],
        }


def sweep(
    calls: int,
    rows: Sequence[Name] | None = None,
    *,
    processes: int | None = None,
    ray: str | None = None,
    on_call: OnCall | None = None,
) -> Sweep:
    """Hold calls 1 to `calls` through every architecture with every profile that describes it.

    Ctrl-C ends it: what has been held until then is given, and is not `complete`. A script of one's own that calls it
    needs `if __name__ == "__main__":`, as its processes begin with that script.

    Args:
        calls: How many through each.
        rows: Names of architectures and profiles, the latter perhaps of a YAML file; all that ship if none are given.
        processes: How many at a time on this machine; as many as it has cores if not given.
        ray: Spread them over Ray instead: an address, or `spreading.LOCAL` for one of its own.
        on_call: Is told of the progress.

    Raises:
        SweepError: If there are no calls or processes to be had, or no such architecture.
        SpreadError: If Ray is not there, or a process dies.
        DataError: If there is no such profile.
    """
    if calls < 1:
        raise SweepError(f"a sweep of {calls} calls holds none: give 1 or more")
    if processes is not None and processes < 1:
        raise SweepError(f"{processes} processes hold no call: give 1 or more")
    many = processes or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    known = [Swept(*name, reason=_refusal(*name)) for name in (rows if rows is not None else shipped())]
    names = tuple((row.architecture, row.profile) for row in known if not row.reason)
    held: list[list[Call]] = []
    if names:
        work, numbers = functools.partial(_hold_number, names), range(1, calls + 1)
        spread_out = over_processes(work, numbers, many) if ray is None else over_ray(work, numbers, ray, many)
        try:
            with closing(spread_out):
                for one in spread_out:
                    held.append(one)
                    if on_call is not None:
                        on_call(len(held) * len(names), calls * len(names))
        except KeyboardInterrupt:
            if not held:
                raise
    held.sort(key=lambda one: one[0].number)
    by_name = dict(zip(names, zip(*held, strict=True), strict=True)) if held else {}
    found = [Swept(r.architecture, r.profile, by_name.get((r.architecture, r.profile), ()), r.reason) for r in known]
    return Sweep(PARCEL.name, calls, tuple(found))


def shipped() -> list[Name]:
    """Every architecture that ships with every profile that describes it, or with none."""
    known = [profiles.load(name) for name in profiles.names()]
    return [
        (architecture.name, name)
        for architecture in architectures.ARCHITECTURES
        for name in [profile.name for profile in describing(architecture.name, known)] or [""]
    ]


def _refusal(architecture: str, profile: str) -> str:
    """Why a row cannot run, or nothing."""
    if not profile:
        return "no profile describes it: name it in a profile's architectures"
    try:
        check(architectures.get(architecture), profile_stack(_profile(profile), PARCEL)[0])
    except DefinitionError as error:
        return str(error).removeprefix(f"{architecture}: ")
    return ""


def _hold_number(names: Sequence[Name], number: int, goes: Goes) -> list[Call] | None:
    """One call through all; None if it was to stop in between."""
    held = []
    for architecture, profile in names:
        if not goes():
            return None
        held.append(hold_one(number, architecture, profile))
    return held


def hold_one(number: int, architecture: str, profile: str) -> Call:
    """Hold one call of a sweep, and give its figures. The same arguments give the same, in whatever process.

    Args:
        number: Of the call.
        architecture: Its name.
        profile: Its name, or a YAML file.
    """
    turns = len(PARCEL.exchanges)
    try:
        run, cells, wrong = _held(number, architectures.get(architecture), _profile(profile))
    except Exception as error:
        # One call of thousands: it is counted, and can be held again alone.
        return Call(number, turns=turns, wrong=(f"{type(error).__name__}: {error}",))
    cut = run.interrupted
    return Call(
        number,
        {name: cell.value for name, cell in cells.items() if isinstance(cell.value, float)},
        tuple(round(answer.latency_ms, 1) for answer in run.answered if answer.latency_ms is not None),
        tuple(round(answer.silent_ms, 1) for answer in cut if answer.silent_ms is not None),
        turns,
        len(run.answered),
        sum(answer.early for answer in run.answers),
        sum(answer.leaks(PARCEL.forbidden) for answer in run.answers),
        len(cut),
        sum(bool(answer.remembered_truly) for answer in cut),
        tuple(wrong),
    )


def one_call(
    number: int, rows: Sequence[Name] | None = None, *, observers: Callable[[str], Sequence[BaseObserver]] | None = None
) -> Comparison:
    """Hold one call of a sweep again, as a comparison of its own, with every turn.

    Args:
        number: Of the call.
        rows: As for `sweep`.
        observers: Makes what watches a call, from the name of its row.

    Raises:
        SweepError: If there is no such call.
        DefinitionError, DataError: If there is no such architecture or profile.
    """
    if number < 1:
        raise SweepError(f"there is no call {number}: a sweep's are numbered from 1")
    found = [_row(number, *name, observers) for name in (rows if rows is not None else shipped())]
    return Comparison(varied(number), tuple(found))


def _row(number: int, name: str, profile: str, observers: Callable[[str], Sequence[BaseObserver]] | None) -> Row:
    architecture = architectures.get(name)
    reason = _refusal(name, profile)
    if reason:
        return refused(name, architecture.summary, profile, reason, architecture)
    how = _profile(profile)
    watching = observers(f"{name} · {how.name}") if observers else ()
    run, cells, wrong = _held(number, architecture, how, watching)
    all_cells = {column.name: Cell(Kind.NOT_YET, "not measured of one call of a sweep") for column in COLUMNS}
    all_cells |= {**cells, **by_definition(architecture)}
    services: dict[Role, str] = dict(how.sold.services) if how.sold else {}
    return Row(name, architecture.summary, how.name, Kind.PROFILE, all_cells, "; ".join(wrong), run, services)


def _held(
    number: int, architecture: Architecture, profile: Profile, observers: Sequence[BaseObserver] = ()
) -> tuple[Run, dict[str, Cell], list[str]]:
    """What was held, its cells, and what went wrong."""
    conversation, ledger = varied(number), CostLedger(_prices())
    recording = virtual.run(
        hold(
            conversation,
            architecture,
            profile,
            persona=_persona(),
            policy=conversation.policy,
            observers=[CostObserver(ledger), *observers],
            seed=number,
        )
    )
    run = of_recording(recording, ledger, profile, _persona())
    source = f"profile {profile.name}: {profile.summary} Call {number} of a sweep"
    services: dict[Role, str] = dict(profile.sold.services) if profile.sold else {}
    cells = {
        **figures(run, conversation, Kind.PROFILE, source),
        **costs(run, services, _prices(), Kind.PROFILE, source),
        "prompt_30": prompt(run, architecture, Kind.PROFILE, source),
    }
    return run, cells, recording.errors


@functools.cache
def _profile(name: str) -> Profile:
    return profiles.load(name)


@functools.cache
def _persona() -> Persona:
    return personas.load(PERSONA)


@functools.cache
def _prices() -> Prices:
    return price_table.load()
