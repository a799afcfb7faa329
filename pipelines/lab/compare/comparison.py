"""The same conversation through every architecture, as rows of cells. Each cell says what kind of figure it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines import personas
from pipelines.architectures import ARCHITECTURES
from pipelines.assemble import check
from pipelines.definition import DELIVERY, DUPLEX_LLM, HEARING, Architecture, DefinitionError, Port
from pipelines.lab import prices as price_table
from pipelines.lab import profile as profiles_that_ship
from pipelines.lab import virtual
from pipelines.lab.compare import apart, errors
from pipelines.lab.compare.cells import COLUMNS, PARTS, Cell, Kind
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.errors import LongCall, lags, of_answers
from pipelines.lab.compare.half_hour import long_call
from pipelines.lab.compare.run import Run, of_recording
from pipelines.lab.cost import CostLedger, CostObserver
from pipelines.lab.holding import Recording, hold
from pipelines.lab.prices import Prices
from pipelines.lab.profile import Profile
from pipelines.lab.projection import MINUTES, Role, project
from pipelines.lab.script import Conversation, ScriptError
from pipelines.lab.scripted import CHARACTERS_PER_TOKEN
from pipelines.personas import Persona
from pipelines.stacks.profile import profile_stack

PERSONA = "ferni"

OnStep = Callable[[str, int, int], None]
"""Called with what is held now, how much has been, and of how much."""

FAULTS_WANTED = "antiphon compare --long puts faults in and searches for them"

INSPECTED = (Port.TRANSCRIPT, Port.CONTEXT, Port.TEXT, Port.CLEARED_TEXT)
"""What a person can read of a conversation while it goes on."""


@dataclass(frozen=True)
class Row:
    """One architecture with one stack.

    Args:
        architecture: Its name.
        summary: A line about it.
        stack: The profile's name, or what was measured; empty if nothing describes it.
        kind: `PROFILE`, `MEASURED` or `CANNOT_RUN`.
        reason: Why it could not run, in one line.
        run: What was held, if it ran.
        cells: By the names of `COLUMNS`, all of them.
        services: What the cost is of, by role.
        date: When it was measured.
        long_call: How a long call went, if one was held.
    """

    architecture: str
    summary: str
    stack: str
    kind: Kind
    cells: Mapping[str, Cell]
    reason: str = ""
    run: Run | None = None
    services: Mapping[Role, str] = field(default_factory=dict)
    date: str = ""
    long_call: LongCall | None = None

    @property
    def name(self) -> str:
        """Architecture and stack."""
        return f"{self.architecture} · {self.stack}" if self.stack else self.architecture

    def as_json(self) -> dict[str, Any]:
        """All cells, and every turn."""
        return {
            "architecture": self.architecture,
            "summary": self.summary,
            "stack": self.stack,
            "kind": str(self.kind),
            "reason": self.reason or None,
            "services": dict(self.services),
            "date": self.date or None,
            "seconds": None if self.run is None else round(self.run.seconds, 2),
            "cells": {name: cell.as_json() for name, cell in self.cells.items()},
            "long_call": None if self.long_call is None else self.long_call.as_json(),
            "turns": [] if self.run is None else list(_turns(self.run)),
        }


def _turns(run: Run) -> Iterator[dict[str, Any]]:
    for answer in run.answers:
        yield {
            "asked": answer.asked,
            "understood": answer.understood,
            "remembered": answer.remembered,
            "latency_ms": _ms(answer.latency_ms),
            "parts_ms": {part.name: _ms(part.ms) for part in answer.parts},
            "early": answer.early,
            "interrupted": answer.heard is not None,
            "heard": answer.heard,
            "silent_ms": _ms(answer.silent_ms),
        }


def _ms(ms: float | None) -> float | None:
    """To a tenth, and never a negative nothing."""
    return None if ms is None else round(ms, 1) + 0.0


@dataclass(frozen=True)
class Comparison:
    """One conversation through several architectures."""

    conversation: Conversation
    rows: tuple[Row, ...]

    def plus(self, rows: Sequence[Row]) -> Comparison:
        """A new comparison with more rows of the same conversation, as from `measured`."""
        return replace(self, rows=(*self.rows, *rows))

    @property
    def ran(self) -> tuple[Row, ...]:
        """Those that could run."""
        return tuple(row for row in self.rows if row.run is not None)

    @property
    def refused(self) -> tuple[Row, ...]:
        """Those that could not."""
        return tuple(row for row in self.rows if row.run is None)

    def as_json(self) -> dict[str, Any]:
        """Everything but claims, for programs."""
        return {
            "conversation": self.conversation.name,
            "exchanges": len(self.conversation.exchanges),
            "columns": [
                {"name": c.name, "title": c.title, "group": c.group, "unit": c.unit or None, "means": c.means}
                for c in COLUMNS
            ],
            "rows": [row.as_json() for row in self.rows],
        }


def compare(
    architectures: Sequence[Architecture] | None = None,
    profiles: Sequence[Profile] | None = None,
    conversation: Conversation = PARCEL,
    *,
    persona: Persona | None = None,
    prices: Prices | None = None,
    long: int = 0,
    on_step: OnStep = lambda what, done, of: None,
) -> Comparison:
    """Hold a conversation through every architecture with every profile that describes it, on virtual time.

    Args:
        architectures: Those that ship if none are given.
        profiles: Those that ship if none are given. One that names no architectures describes any.
        conversation: What is held.
        persona: Who answers; `ferni` if none is given.
        prices: The table that ships if none is given.
        long: Minutes of a long call that is held through each as well, and faults are put into each and searched for;
            nothing of it if 0. Half an hour takes some ten seconds for each.
        on_step: Told how far it is.
    """
    if profiles is None:
        profiles = [profiles_that_ship.load(name) for name in profiles_that_ship.names()]
    known = ARCHITECTURES if architectures is None else architectures
    work = _Work(conversation, persona or personas.load(PERSONA), prices or price_table.load(), long, on_step)
    work.of = sum(max(1, len(describing(each.name, profiles))) for each in known)
    rows = [row for each in known for row in _rows(each, profiles, work)]
    on_step("", work.of, work.of)
    return Comparison(conversation, tuple(rows))


@dataclass
class _Work:
    """What is held, and how much of it has been."""

    conversation: Conversation
    persona: Persona
    prices: Prices
    long: int
    on_step: OnStep
    done: int = 0
    of: int = 0

    def step(self, what: str) -> None:
        self.on_step(what, self.done, self.of)
        self.done += 1


def describing(name: str, profiles: Sequence[Profile]) -> list[Profile]:
    """The profiles that describe an architecture."""
    return [each for each in profiles if not each.architectures or name in each.architectures]


def _rows(architecture: Architecture, profiles: Sequence[Profile], work: _Work) -> Iterator[Row]:
    suiting = describing(architecture.name, profiles)
    if not suiting:
        work.step(architecture.name)
        yield refused(
            architecture.name,
            architecture.summary,
            "",
            "no profile describes it: name it in a profile's architectures",
            architecture,
        )
    located: dict[str, Cell] = {}
    for each in suiting:
        work.step(f"{architecture.name}, {each.name}")
        try:
            row = _held(architecture, each, work)
            located = located or _located(architecture, work.long)
            yield replace(row, cells={**row.cells, **located})
        except (DefinitionError, ScriptError) as error:
            reason = str(error).removeprefix(f"{architecture.name}: ")
            yield refused(architecture.name, architecture.summary, each.name, reason, architecture)


def _held(architecture: Architecture, profile: Profile, work: _Work) -> Row:
    conversation, prices = work.conversation, work.prices
    check(architecture, profile_stack(profile, conversation)[0])
    recording, ledger = _recorded(conversation, architecture, profile, work)
    recording.check()
    run = of_recording(recording, ledger, profile, work.persona)
    services: dict[Role, str] = dict(profile.sold.services) if profile.sold else {}
    source = f"profile {profile.name}: {profile.summary}"
    length = _long_call(architecture, profile, work) if work.long else None
    cells = {
        **figures(run, conversation, Kind.PROFILE, source),
        **costs(run, services, prices, Kind.PROFILE, _sold_as(profile)),
        **errors.cells(length, Kind.PROFILE, f"{source} {_scripted(profile)}"),
        "prompt_30": prompt(run, architecture, Kind.PROFILE, source),
        **by_definition(architecture),
    }
    return Row(
        architecture.name,
        architecture.summary,
        profile.name,
        Kind.PROFILE,
        cells,
        run=run,
        services=services,
        long_call=length,
    )


def _recorded(
    conversation: Conversation, architecture: Architecture, profile: Profile, work: _Work
) -> tuple[Recording, CostLedger]:
    ledger = CostLedger(work.prices)
    observers = [CostObserver(ledger)]
    held = hold(
        conversation, architecture, profile, persona=work.persona, policy=conversation.policy, observers=observers
    )
    return virtual.run(held), ledger


def _long_call(architecture: Architecture, profile: Profile, work: _Work) -> LongCall:
    """Nobody checks it: what goes wrong in it is what is counted."""
    conversation = long_call(work.long)
    recording, ledger = _recorded(conversation, architecture, profile, work)
    answers = of_recording(recording, ledger, profile, work.persona).answers
    ends = [held.speech_end for held in recording.exchanges]
    return of_answers(answers, ends, work.long, conversation.forbidden, lags(recording))


def _scripted(profile: Profile) -> str:
    """What a call with scripted services cannot tell."""
    return (
        f"Its models are scripted and make no mistakes of their own, so that what is seen comes of wiring, guard and "
        f"turns; whether {profile.llm.service} itself forgets or errs more the longer it talks, no profile knows"
    )


def _located(architecture: Architecture, long: int) -> dict[str, Cell]:
    """The cell of the faults that can be located."""
    if not long:
        return {"faults_located": Cell(Kind.NOT_YET, FAULTS_WANTED)}
    from pipelines.lab.compare import faults  # what runs recordings again takes long to import

    return {"faults_located": faults.cell(faults.inject(architecture))}


def _sold_as(profile: Profile) -> str:
    if profile.sold is None:
        return f"profile {profile.name} says of no service what it is sold as: give it sold:"
    return (
        f"the price table, for {', '.join(profile.sold.services.values())}: {profile.sold.source}. "
        f"Tokens are estimated, {CHARACTERS_PER_TOKEN} characters each; every prompt begins with the persona's "
        f"instructions; the recogniser listens all the time"
    )


def refused(name: str, summary: str, stack: str, reason: str, architecture: Architecture | None = None) -> Row:
    """A row that could not run. What a definition alone tells is told."""
    cells = {column.name: Cell(Kind.CANNOT_RUN, reason) for column in COLUMNS}
    if architecture is not None:
        cells |= by_definition(architecture)
    return Row(name, summary, stack, Kind.CANNOT_RUN, cells, reason=reason)


def figures(run: Run, conversation: Conversation, kind: Kind, source: str) -> dict[str, Cell]:
    """The cells that a conversation itself tells.

    Args:
        run: What was held.
        conversation: Its script.
        kind: `PROFILE` or `MEASURED`.
        source: What the figures rest on.
    """

    def cell(value: float | str | None, missing: str) -> Cell:
        return Cell(kind, source, value) if value is not None else Cell(Kind.CANNOT_RUN, missing)

    nothing, uncut = "no turn was answered", "no answer was cut off"
    median, cut = run.median, run.interrupted
    parts = {part.name: part.ms for part in median.parts} if median else {}
    reactions = [answer.silent_ms for answer in cut if answer.silent_ms is not None]
    true = sum(bool(answer.remembered_truly) for answer in cut)
    return {
        "latency_p50": cell(_ms(median.latency_ms) if median else None, nothing),
        "latency_worst": cell(_ms(run.worst_ms), nothing),
        **{column: cell(_ms(parts.get(name)), nothing) for name, column in PARTS.items()},
        "answered": cell(f"{len(run.answered)} of {len(run.answers)}", nothing),
        "early": cell(f"{sum(answer.early for answer in run.answers)} of {len(run.answers)}", nothing),
        "interruption": cell(_ms(max(reactions, default=None)), uncut),
        "heard_truth": cell(round(100 * true / len(cut), 1) if cut else None, uncut),
        "guard_leak": cell(_leak(run, conversation), "nothing in the script is forbidden"),
    }


def _leak(run: Run, conversation: Conversation) -> float | None:
    if not conversation.forbidden:
        return None
    return round(100 * sum(answer.leaks(conversation.forbidden) for answer in run.answers) / len(run.answers), 1)


def costs(run: Run, services: Mapping[Role, str], prices: Prices, kind: Kind, source: str) -> dict[str, Cell]:
    """The cells that say what a minute costs.

    Args:
        run: What was held.
        services: Names in the price table, by role; if there are none, nothing is known of the cost.
        prices: The table.
        kind: `PROFILE` or `MEASURED`.
        source: What the figures rest on, or why there are none.
    """
    cells = {}
    for minutes in MINUTES:
        for suffix, cached in (("", False), ("_cached", True)):
            name = f"cost_{minutes:.0f}{suffix}"
            if services:
                cost = project(run.shape, services, minutes, cached=cached, prices=prices)
                value = float(f"{cost.usd / minutes:.4g}")
                cells[name] = Cell(kind, source, value, rough=bool(cost.missing))
            else:
                cells[name] = Cell(Kind.NOT_YET, source)
    return cells


def prompt(run: Run, architecture: Architecture, kind: Kind, source: str) -> Cell:
    """The cell of what the language model is given for an answer after half an hour. Arguments as for `figures`."""
    minutes = max(MINUTES)
    if any(stage.name == DUPLEX_LLM.name for stage in architecture.stages):
        return Cell(Kind.NOT_YET, "what a duplex model keeps in mind is no prompt")
    last = run.shape.request(run.shape.turns(minutes) - 1, cached=False)
    return Cell(kind, f"{source}. Tokens are estimated, {CHARACTERS_PER_TOKEN} characters each", round(last.prompt, -1))


def by_definition(architecture: Architecture) -> dict[str, Cell]:
    """The cells that follow from a definition's ports."""
    givers = {port: [stage.name for stage in architecture.stages if stage.gives is port] for port in INSPECTED}
    found = {port: names for port, names in givers.items() if names}
    who = "; ".join(f"{port} of {', '.join(names)}" for port, names in found.items())
    value = ", ".join(found) or "nothing"
    return {
        "inspect": Cell(Kind.DEFINITION, who or "no stage gives text", value),
        "exchange": _exchange(architecture),
        "retention": _by_stages(architecture),
        "personas_apart": apart.by_definition(architecture),
    }


def _exchange(architecture: Architecture) -> Cell:
    """Which services can be exchanged alone. The voice behind a model that speaks itself is not the agent's."""
    fused = [stage for stage in architecture.services if stage.fuses]
    free = [s.name for s in architecture.services if not s.fuses and s.takes is not Port.SPEECH]
    of = len(free) + sum(len(stage.fuses) for stage in fused)
    why = "; ".join(f"{stage} is {stage.parts} in one" for stage in fused) or "no service is several stages in one"
    return Cell(Kind.DEFINITION, why, f"{len(free)} of {of}{': ' if free else ''}{', '.join(free)}")


def _by_stages(architecture: Architecture) -> Cell:
    """Who is told how something was said."""
    names = {stage.name for stage in architecture.stages}
    for stage in architecture.stages:
        if stage.writes and stage.takes in (Port.AUDIO, Port.UTTERANCE):
            speaks = stage.gives is Port.UNCLEARED_SPEECH
            who = "one model hears and says it" if speaks else "the LLM hears it itself"
            return Cell(Kind.DEFINITION, stage.name, who)
    if HEARING.name not in names:
        return Cell(Kind.DEFINITION, f"it has no stage {HEARING.name}", "nobody is told")
    if DELIVERY.name not in names:
        return Cell(Kind.DEFINITION, HEARING.name, "the LLM is told")
    return Cell(Kind.DEFINITION, f"{HEARING.name} and {DELIVERY.name}", "the LLM and the voice are told")
