"""A recommendation: every architecture scored by what is known of it, the reasons, and what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from guardrails.policy import load as load_policy
from pipelines.architectures import ARCHITECTURES
from pipelines.definition import Architecture
from pipelines.lab.choose.facts import Fact, Must, facts, musts
from pipelines.lab.choose.needs import CRITERIA, GRADED, Needs, NeedsError, Weights
from pipelines.lab.compare import Comparison, Row, compare

REASONS = 5
"""Reasons that are given at most."""

DRAWBACKS = 2
"""Points against it that are given at most."""

CHANGES = 4
"""Changes by which the runner-up would win that are given at most."""

STEP = 0.1
"""Weights that would change the choice are given in steps of this."""

NOTHING = 1e-9
"""Points by which nobody is ahead."""

UNITS = {"cost": 0.001, "interruption": 1.0, "latency": 1.0}
"""Criteria of which it is said which figure would change the choice, and in which steps: dollars a minute, and ms."""


@dataclass(frozen=True)
class Candidate:
    """One row of the comparison, weighed.

    Args:
        row: Architecture and stack.
        facts: What is known, by criterion.
        musts: What has to be, met or not; the same needs in the same order for every candidate.
        weights: What each criterion counts.
    """

    row: Row
    facts: Mapping[str, Fact]
    musts: tuple[Must, ...]
    weights: Mapping[str, float]

    @property
    def architecture(self) -> str:
        """Its name."""
        return self.row.architecture

    @property
    def failed(self) -> tuple[Must, ...]:
        """What has to be and is not."""
        return tuple(must for must in self.musts if not must.met)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Criteria that count and of which nothing is known here."""
        return tuple(name for name, weight in self.weights.items() if weight and self.facts[name].score is None)

    def known(self, but: str = "") -> tuple[float, float]:
        """Points and weight of what is known, but for one criterion."""
        points = whole = 0.0
        for name, weight in self.weights.items():
            score = self.facts[name].score
            if score is not None and name != but:
                points, whole = points + weight * score, whole + weight
        return points, whole

    @property
    def score(self) -> float:
        """The mean of what is known, by weight; 0 if nothing is."""
        points, whole = self.known()
        return points / whole if whole else 0.0

    @property
    def range(self) -> tuple[float, float]:
        """The score if all that is not known were as bad, and as good, as can be."""
        points, known = self.known()
        unknown = sum(self.weights[name] for name in self.unknown)
        whole = known + unknown
        return (points / whole, (points + unknown) / whole) if whole else (0.0, 0.0)

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        low, high = self.range
        return {
            "architecture": self.architecture,
            "stack": self.row.stack,
            "score": round(self.score, 4),
            "score_if_the_unknown_were": {"worst": round(low, 4), "best": round(high, 4)},
            "unknown": list(self.unknown),
            "ruled_out": bool(self.failed),
            "musts": [must.as_json() for must in self.musts],
            "criteria": {name: fact.as_json() for name, fact in self.facts.items()},
        }


@dataclass(frozen=True)
class Reason:
    """Why one is recommended, or what speaks against it.

    Args:
        title: What it is about.
        fact: Its figure.
        others: The figures of those that are behind, or ahead, by architecture.
        weight: What it counts; None for what must be.
        points: By how many points it is ahead of the mean of the others, or behind it.
    """

    title: str
    fact: Fact
    others: Mapping[str, str]
    weight: float | None = None
    points: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {"about": self.title, "weight": self.weight, **self.fact.as_json(), "others": dict(self.others)}


@dataclass(frozen=True)
class Choice:
    """What is recommended, and why.

    Args:
        needs: What was asked.
        table: What weighs how much.
        weights: What each criterion counts here; 0 where nothing is known of anybody.
        rows: Every row that could be held.
        refused: Rows of architectures that could not be held.
        unknown: Criteria that would count, of which nothing is known of anybody.
    """

    needs: Needs
    table: Weights
    weights: Mapping[str, float]
    rows: tuple[Candidate, ...]
    refused: tuple[Row, ...] = ()
    unknown: tuple[str, ...] = ()

    @cached_property
    def ranked(self) -> tuple[Candidate, ...]:
        """The best row of each architecture: first those that are all they must be, each by score."""
        return ranked(self.rows)

    @property
    def suiting(self) -> tuple[Candidate, ...]:
        """Those that are all they must be, the best first."""
        return tuple(each for each in self.ranked if not each.failed)

    @property
    def recommended(self) -> Candidate | None:
        """The best; None if none is all it must be."""
        return next(iter(self.suiting), None)

    @property
    def architecture(self) -> str | None:
        """The name of what is recommended."""
        return self.recommended.architecture if self.recommended else None

    @property
    def runner_up(self) -> Candidate | None:
        """The next best architecture that is all it must be."""
        return self.suiting[1] if len(self.suiting) > 1 else None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why, at most five: first musts by which others fall, then what it is ahead in, the weightiest first."""
        best = self.recommended
        return () if best is None else (*self._decisive(best), *self._apart(best, 1))[:REASONS]

    @property
    def drawbacks(self) -> tuple[Reason, ...]:
        """What others that are all they must be are ahead in, the weightiest first, at most two."""
        best = self.recommended
        return () if best is None else tuple(self._apart(best, -1)[:DRAWBACKS])

    def _decisive(self, best: Candidate) -> Iterator[Reason]:
        for number, must in enumerate(best.musts):
            fallen = {each.architecture: each.musts[number] for each in self.ranked if each.failed}
            others = {name: other.fact.text for name, other in fallen.items() if not other.met}
            if others:
                yield Reason(must.need, must.fact, others)

    def _apart(self, best: Candidate, sign: int) -> list[Reason]:
        """In what it is ahead of the mean of the others (1), or behind it (-1). Alone, it is ahead of nothing."""
        others, found = self.suiting[1:], []
        for name, weight in self.weights.items():
            score, fact = best.facts[name].score, best.facts[name]
            theirs = {each.architecture: each.facts[name] for each in others}
            known = [each.score for each in theirs.values() if each.score is not None]
            if score is None or (others and not known):
                continue
            points = sign * weight * (score - (sum(known) / len(known) if known else 0.0))
            if points > NOTHING:
                texts = {
                    each: its.text
                    for each, its in theirs.items()
                    if its.score is not None and sign * (score - its.score) > NOTHING
                }
                found.append(Reason(self.table.criteria[name].title, fact, texts, weight, points))
        return sorted(found, key=lambda reason: -(reason.points or 0.0))

    @property
    def changes(self) -> tuple[str, ...]:
        """What would have to be otherwise for the runner-up to win, each by itself; at most four, figures first."""
        best, second = self.recommended, self.runner_up
        if best is None or second is None:
            return ()
        return (*self._by_figures(best, second), *self._by_weights(best, second))[:CHANGES]

    def _by_figures(self, best: Candidate, second: Candidate) -> Iterator[str]:
        """A figure of the runner-up that would be good enough, or one of the best, not known, that would be too bad."""
        for name in UNITS:
            if not self.weights[name]:
                continue
            title, theirs = self.table.criteria[name].title, second.facts[name]
            if (figure := self._figure(second, name, best.score, up=False)) is not None:
                now = "not known" if theirs.score is None else f"now {theirs.text}"
                yield f"{title} of {second.architecture}: at most {_written(figure, name)} ({now})"
            if best.facts[name].score is None:
                figure = self._figure(best, name, second.score, up=True)
                if figure is not None:
                    yield f"{title} of {best.architecture}: more than {_written(figure, name)} (not known)"

    def _figure(self, each: Candidate, name: str, score: float, *, up: bool) -> float | None:
        """The figure, rounded to the safe side, with which a candidate scores less or more than that and the runner-up
        comes first; None if there is none."""
        criterion, now = self.table.criteria[name], each.facts[name]
        points, whole = each.known(but=name)
        needed = (score * (whole + self.weights[name]) - points) / self.weights[name]
        if not 0 < needed < 1 or (not up and needed < (now.score or 0.0)):
            return None
        unit = UNITS[name]
        exact = criterion.figure(needed) / unit
        steps = math.ceil(exact) if up else math.floor(exact)
        if not up and criterion.scored(steps * unit) <= needed + NOTHING:
            steps -= 1
        if steps <= 0:
            return None
        beyond = replace(now, score=criterion.scored((steps + (1 if up else 0)) * unit))
        changed = replace(each, facts={**each.facts, name: beyond})
        rows = [changed if row is each else row for row in self.rows]
        return steps * unit if self._wins(rows) else None

    def _by_weights(self, best: Candidate, second: Candidate) -> list[str]:
        nearest: dict[str, tuple[float, str]] = {}
        for name, weight in self.weights.items():
            for root in _crossings(best, second, name):
                below = math.floor(root / STEP + NOTHING)
                for steps in (below - 1, below, below + 1):  # at the root itself the two are equal
                    changed = round(steps * STEP, 1)
                    if changed < 0 or abs(changed - weight) < NOTHING:
                        continue
                    weights = {**self.weights, name: changed}
                    far = abs(changed - weight) / max(weight, 1.0)
                    if name in nearest and nearest[name][0] <= far:
                        continue
                    if self._wins([replace(row, weights=weights) for row in self.rows]):
                        way = "at least" if changed > weight else "at most"
                        nearest[name] = (far, f"weight of {name}: {way} {changed:g} (now {weight:g})")
        return [text for _, text in sorted(nearest.values())]

    def _wins(self, rows: Sequence[Candidate]) -> bool:
        """Whether the runner-up comes first of these."""
        first = ranked(rows)[0]
        return self.runner_up is not None and first.architecture == self.runner_up.architecture

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "needs": self.needs.model_dump(),
            "recommended": self.architecture,
            "stack": self.recommended.row.stack if self.recommended else None,
            "reasons": [reason.as_json() for reason in self.reasons],
            "drawbacks": [reason.as_json() for reason in self.drawbacks],
            "runner_up": self.runner_up.architecture if self.runner_up else None,
            "runner_up_wins_if": list(self.changes),
            "unknown": list(self.unknown),
            "weights": {
                name: {"counts": self.weights[name], "level": self.needs.level(name), **criterion.model_dump()}
                for name, criterion in self.table.criteria.items()
            },
            "architectures": [each.as_json() for each in self.ranked],
            "could_not_run": {row.name: row.reason for row in self.refused},
        }


def _crossings(one: Candidate, other: Candidate, name: str) -> list[float]:
    """The weights of a criterion, from 0 on, at which two candidates score the same."""
    (p, w), (q, v) = one.known(but=name), other.known(but=name)
    (s, k), (t, j) = _share(one.facts[name]), _share(other.facts[name])
    # (p + s·x) / (w + k·x) = (q + t·x) / (v + j·x)
    a, b, c = s * j - t * k, p * j + s * v - q * k - t * w, p * v - q * w
    if abs(a) < NOTHING:
        roots = [-c / b] if abs(b) > NOTHING else []
    else:
        inner = b * b - 4 * a * c
        roots = [(-b + sign * math.sqrt(inner)) / (2 * a) for sign in (1, -1)] if inner >= 0 else []
    return [root for root in roots if root >= 0]


def _share(fact: Fact) -> tuple[float, float]:
    """Its score, and whether it counts."""
    return (0.0, 0.0) if fact.score is None else (fact.score, 1.0)


def _written(figure: float, name: str) -> str:
    return f"${figure:g}" if name == "cost" else f"{figure:,.0f} ms"


def chosen(
    needs: Needs,
    comparison: Comparison | None,
    architectures: Sequence[Architecture] | None,
    table: Weights,
    override: Mapping[str, float],
) -> Choice:
    """As `pipelines.choose`."""
    if strange := sorted(set(override) - set(CRITERIA)):
        raise NeedsError(f"no criterion {strange[0]!r} to weigh: choose {', '.join(CRITERIA)}")
    policy = None if needs.compliance == "none" else load_policy(needs.compliance)
    known = {each.name: each for each in (ARCHITECTURES if architectures is None else architectures)}
    held = compare(tuple(known.values())) if comparison is None else comparison
    for row in held.rows:
        if row.architecture not in known:
            raise NeedsError(
                f"{row.architecture} was compared, but its definition is not given: add it to architectures"
            )
    if not held.ran:
        raise NeedsError("nothing that was compared could run, so that there is nothing to choose from")
    found = [facts(row, known[row.architecture], needs, table) for row in held.ran]
    nobody = {name for name in CRITERIA if all(each[name].score is None for each in found)}
    counts = {name: override.get(name, table.weight(name, needs)) for name in CRITERIA}
    weights = {name: 0.0 if name in nobody else weight for name, weight in counts.items()}
    rows = [
        Candidate(row, its, (*musts(row, known[row.architecture], needs, policy), *_known(its, needs, nobody)), weights)
        for row, its in zip(held.ran, found, strict=True)
    ]
    return Choice(
        needs,
        table,
        weights,
        tuple(rows),
        held.refused,
        tuple(name for name in CRITERIA if name in nobody and counts[name]),
    )


def _known(its: Mapping[str, Fact], needs: Needs, nobody: Set[str]) -> Iterator[Must]:
    """What matters much has to be known, if it is known of anybody."""
    for name in GRADED:
        if needs.level(name) == "high" and name not in nobody:
            yield Must(f"{name} is known, as it matters much", its[name].score is not None, its[name])


def ranked(rows: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The best row of each architecture, in order; of equals those that were compared first."""
    order = sorted(rows, key=lambda each: (bool(each.failed), -round(each.score, 9)))
    best: dict[str, Candidate] = {}
    for each in order:
        best.setdefault(each.architecture, each)
    return tuple(best.values())
