"""What is known of an architecture by each criterion, and whether it meets what must be: figures, never opinions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from guardrails.policy import Policy
from pipelines.definition import (
    DELIVERY,
    HEARD_GUARD,
    HEARING,
    INPUT_GUARD,
    LLM,
    STT,
    TTS,
    Architecture,
    Capability,
    Port,
    Stage,
)
from pipelines.lab.choose.needs import CRITERIA, Needs, Weights
from pipelines.lab.compare import COLUMNS, Cell, Kind, Row
from pipelines.lab.compare.comparison import INSPECTED
from pipelines.lab.projection import MINUTES
from pipelines.stacks.catalogue import SERVICES

CATALOGUE = "catalogue"
"""The kind of a figure that counts the services which Antiphon knows."""

NOBODY = "nothing here measures it"

_COLUMNS = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class Fact:
    """What is known of one architecture by one criterion.

    Args:
        text: The figure as people read it; "not known" if there is none.
        kind: `profile`, `measured`, `definition` or `catalogue`; why not, if nothing is known.
        source: What it rests on, or why there is none.
        score: From 0 to 1; None if nothing is known.
        value: The figure itself, where the score comes from one of which less is better.
    """

    text: str
    kind: str
    source: str
    score: float | None = None
    value: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "figure": self.text,
            "value": self.value,
            "kind": self.kind,
            "source": self.source,
            "score": None if self.score is None else round(self.score, 4),
        }


@dataclass(frozen=True)
class Must:
    """Something that has to be.

    Args:
        need: What is asked.
        met: Whether it is so.
        fact: By which figure.
    """

    need: str
    met: bool
    fact: Fact

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {"need": self.need, "met": self.met, **self.fact.as_json()}


def facts(row: Row, architecture: Architecture, needs: Needs, weights: Weights) -> dict[str, Fact]:
    """What is known of a row of a comparison, by the names of `CRITERIA`."""
    given = _Given(row, architecture, needs, weights)
    return {name: _MEASURES[name](given) if name in _MEASURES else _unmeasured() for name in CRITERIA}


@dataclass(frozen=True)
class _Given:
    row: Row
    architecture: Architecture
    needs: Needs
    weights: Weights

    def cell(self, criterion: str, column: str, score: Callable[[float], float] | None = None) -> Fact:
        """A cell of the comparison; without a score of its own, one of which less is better."""
        cell = self.row.cells[column]
        if not isinstance(cell.value, int | float):
            return _unknown(cell)
        value = float(cell.value)
        scored = score(value) if score else self.weights.criteria[criterion].scored(value)
        return Fact(cell.text(_COLUMNS[column]), str(cell.kind), cell.source, scored, None if score else value)


def _unmeasured() -> Fact:
    return Fact("not known", str(Kind.NOT_YET), NOBODY)


def _unknown(cell: Cell) -> Fact:
    return Fact("not known", str(cell.kind), cell.source)


def _counted(count: int, of: int, source: str, kind: str = Kind.DEFINITION, text: str = "") -> Fact:
    return Fact(text or f"{count} of {of}", str(kind), source, count / of if of else 0.0)


def _reasoning(given: _Given) -> Fact:
    writer = given.architecture.writer
    if writer is None:
        return Fact("not known", str(Kind.DEFINITION), "no stage makes the answers")
    has = {
        f"{writer} reads text": writer.takes is Port.CONTEXT,
        f"{writer} writes text": writer.gives is Port.TEXT,
        f"{writer} is no part of a larger model": not writer.fuses,
    }
    return _counted(sum(has.values()), len(has), _yes_and_no(has))


def _emotion(given: _Given) -> Fact:
    names, writer = _names(given.architecture), given.architecture.writer
    told = []
    if HEARING.name in names:
        told.append(f"{HEARING} tells the model")
    elif given.architecture.hears:
        told.append(f"{writer} hears the caller's voice")
    if DELIVERY.name in names:
        told.append(f"{DELIVERY} tells the voice")
    elif writer is not None and writer.gives in (Port.SPEECH, Port.UNCLEARED_SPEECH):
        told.append(f"{writer} speaks itself")
    cell = given.row.cells["retention"]
    measured = [f"measured {cell.value} of 1: {cell.source}"] if cell.kind is Kind.MEASURED else []
    return _counted(len(told), 2, "; ".join([*told, *measured]) or "neither the model nor the voice is told")


def _inspection(given: _Given) -> Fact:
    cell = given.row.cells["inspect"]
    found = {stage.gives for stage in given.architecture.stages} & set(INSPECTED)
    located = given.row.cells["faults_located"]
    source = cell.source if located.value is None else f"{cell.source}; {located.source}"
    return _counted(len(found), len(INSPECTED), source, text=f"{len(found)} of {len(INSPECTED)}: {cell.value}")


def _long_calls(given: _Given) -> Fact:
    """Whether errors grow. How many there are at all, other criteria tell."""
    cell, call = given.row.cells["errors_growth"], given.row.long_call
    if call is None:
        return _unknown(cell)
    trend = call.growth
    more = call.minutes * trend.slope if trend.low > 0 else 0.0
    text = f"{more:.2f} more a minute at the end" if more else "they do not grow"
    return Fact(text, str(cell.kind), cell.source, 1 / (1 + more))


def _swapping(given: _Given) -> Fact:
    stages = given.architecture.services
    fused = {name for stage in stages for name in stage.fuses}
    alone = {
        STT.name: any(stage.gives is Port.TRANSCRIPT for stage in stages),
        LLM.name: given.architecture.writer is not None and LLM.name not in fused,
        TTS.name: own_voice(given.architecture) is not None,
    }
    return _counted(sum(alone.values()), len(alone), _yes_and_no(alone))


def _availability(given: _Given) -> Fact:
    filled = {stage.name: fitting(stage) for stage in given.architecture.services}
    several = sum(len(names) > 1 for names in filled.values())
    source = "; ".join(f"{slot}: {', '.join(names) or 'none'}" for slot, names in filled.items())
    return _counted(several, len(filled), source, CATALOGUE)


def _simplicity(given: _Given) -> Fact:
    count = len(given.architecture.stages)
    score = given.weights.criteria["simplicity"].scored(count)
    source = ", ".join(map(str, given.architecture.stages))
    return Fact(str(count), str(Kind.DEFINITION), source, score, float(count))


_MEASURES: dict[str, Callable[[_Given], Fact]] = {
    "reasoning": _reasoning,
    "safety": lambda given: given.cell("safety", "guard_leak", lambda leak: 1 - leak / 100),
    "emotion": _emotion,
    "latency": lambda given: given.cell("latency", "latency_p50"),
    "interruption": lambda given: given.cell("interruption", "interruption"),
    "long_calls": _long_calls,
    "memory": lambda given: given.cell("memory", "heard_truth", lambda share: share / 100),
    "inspection": _inspection,
    "swapping": _swapping,
    "availability": _availability,
    "cost": lambda given: given.cell("cost", cost_column(given.needs.length)),
    "simplicity": _simplicity,
}


def cost_column(length: float) -> str:
    """The column of the comparison whose length of a call is nearest."""
    return f"cost_{min(MINUTES, key=lambda minutes: abs(minutes - length)):.0f}"


def own_voice(architecture: Architecture) -> Stage | None:
    """The stage that gives a persona a voice of its own: it reads text aloud, and the model does not speak itself."""
    if any(TTS.name in stage.fuses for stage in architecture.services):
        return None
    reads = (stage for stage in architecture.services if stage.takes in (Port.TEXT, Port.CLEARED_TEXT))
    return next((stage for stage in reads if stage.gives is Port.SPEECH), None)


def fitting(stage: Stage) -> list[str]:
    """The services of the catalogue that can fill a stage."""
    return [name for name, service in SERVICES.get(stage.name, {}).items() if stage.needs <= service.provides]


def _names(architecture: Architecture) -> set[str]:
    return {stage.name for stage in architecture.stages}


def _yes_and_no(has: dict[str, bool]) -> str:
    yes, no = ([name for name, so in has.items() if so is wanted] for wanted in (True, False))
    return "; ".join(filter(None, (", ".join(yes), f"not: {', '.join(no)}" if no else "")))


# What must be


def musts(row: Row, architecture: Architecture, needs: Needs, policy: Policy | None) -> Iterator[Must]:
    """What these needs demand, met or not; `policy` is what must be kept."""
    if policy is not None:
        yield from _compliance(policy, architecture)
    if needs.personas > 1:
        yield _personas(needs.personas, architecture, row.cells["personas_apart"])
    if needs.overlap:
        yield _overlap(architecture)
    if needs.tools:
        yield _tools(architecture)
    if needs.within_ms is not None:
        yield _within(needs.within_ms, row)


def _compliance(policy: Policy, architecture: Architecture) -> Iterator[Must]:
    rules = {way: [rule.id for rule in policy.rules if way in rule.direction] for way in ("heard", "said")}
    if rules["heard"]:
        guarded, writer = INPUT_GUARD.name in _names(architecture), architecture.writer
        text = f"{INPUT_GUARD} stands before the model" if guarded else f"no {INPUT_GUARD} before the model"
        if not guarded and writer is not None and HEARD_GUARD.name in _names(architecture):
            holds = f"holds the answer until {writer} has told what it has heard already"
            late = f"is late: {writer} has heard it, and may have answered, by the time that it tells it"
            text = f"{HEARD_GUARD} {late if writer.takes is Port.AUDIO else holds}"
        yield Must(
            f"the caller's words are held to {policy.name}",
            guarded,
            Fact(text, str(Kind.DEFINITION), _ruled(rules["heard"], "heard")),
        )
    if rules["said"]:
        guard = next((stage for stage in architecture.stages if stage.clears), None)
        text = "no stage clears what is said"
        if guard is not None:
            read = "clears text before it is spoken"
            late = "reads the transcript of speech that is made already, which may be late or wrong"
            text = f"{guard} {read if guard.takes is Port.TEXT else late}"
        yield Must(
            f"the answer's text is held to {policy.name}",
            guard is not None and guard.takes is Port.TEXT,
            Fact(text, str(Kind.DEFINITION), _ruled(rules["said"], "said")),
        )


def _ruled(rules: list[str], direction: str) -> str:
    count = f"{len(rules)} rule{'s' if len(rules) > 1 else ''}"
    return f"{count} on what is {direction}: {', '.join(rules)}"


def _personas(count: int, architecture: Architecture, apart: Cell) -> Must:
    voice = own_voice(architecture)
    fusing = next((stage for stage in architecture.services if TTS.name in stage.fuses), None)
    if voice is not None:
        heard = f"; told apart in {apart.value:g} % of sentences: {apart.source}" if apart.kind is Kind.MEASURED else ""
        text, source = f"{voice} is a stage of its own", f"{voice} takes {voice.takes}{heard}"
    elif fusing is not None:
        text, source = f"{fusing} speaks with the model's voice", f"{fusing} is {fusing.parts} in one"
    else:
        text, source = "no stage reads text aloud", ", ".join(map(str, architecture.stages))
    return Must(
        f"{count} personas with voices of their own", voice is not None, Fact(text, str(Kind.DEFINITION), source)
    )


def _overlap(architecture: Architecture) -> Must:
    stage = next((stage for stage in architecture.services if Capability.FULL_DUPLEX in stage.needs), None)
    text = f"{stage} listens while it speaks" if stage else "it takes turns"
    source = f"{'asked of ' + stage.name if stage else 'no stage asks for'}: {Capability.FULL_DUPLEX}"
    return Must("listens while it speaks", stage is not None, Fact(text, str(Kind.DEFINITION), source))


def _tools(architecture: Architecture) -> Must:
    writer = architecture.writer
    known = SERVICES.get(writer.name, {}) if writer else {}
    able = [name for name in (fitting(writer) if writer else []) if Capability.TOOLS in known[name].provides]
    source = f"{writer}: {', '.join(able)}" if able else f"the catalogue has no service with tools for {writer}"
    return Must("calls tools", bool(able), Fact(f"{len(able)} services at hand", CATALOGUE, source))


def _within(ms: float, row: Row) -> Must:
    cell = row.cells["latency_p50"]
    met = isinstance(cell.value, int | float) and cell.value <= ms
    return Must(
        f"answers within {ms:,.0f} ms in the median",
        met,
        Fact(cell.text(_COLUMNS["latency_p50"]), str(cell.kind), cell.source),
    )
