"""Figures with intervals over speakers, for speakers that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.hearing.cues import EMOTIONS
from processors.hearing.heads import Floats, Head, Offset, grouped
from processors.hearing.recipe.corpora import Table
from processors.hearing.recipe.training import Trials, judged, trials
from processors.hearing.worth import AROUSAL

TURNS = (1, 2, 5, 10, 20)
"""Which turn of the caller is judged."""

DRAWS = 1000
"""Times that speakers are drawn anew for an interval."""


@dataclass(frozen=True)
class Judged:
    """Answers beside what is right, with the speaker of each.

    Args:
        right: Names, or numbers that stand for them.
        said: Likewise.
        speakers: Names.
        confidence: Probability of what was said.
    """

    right: NDArray[Any]
    said: NDArray[Any]
    speakers: NDArray[np.str_]
    confidence: Floats


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval over speakers.

    Args:
        name: Of what.
        value: From 0 to 1.
        low: Of the interval.
        high: Of the interval.
    """

    name: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.2f}–{self.high:.2f}]"


def recall(found: Judged) -> float:
    """Unweighted average recall (UAR): of every class, then the mean."""
    return float(np.mean([np.mean(found.said[found.right == name] == name) for name in np.unique(found.right)]))


def calibration_error(found: Judged) -> float:
    """Expected calibration error in ten bins of confidence."""
    bins = np.minimum((found.confidence * 10).astype(int), 9)
    hit = found.said == found.right
    gaps = [
        abs(float(np.mean(hit[bins == b]) - np.mean(found.confidence[bins == b]))) * np.mean(bins == b)
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def area(found: Judged) -> float:
    """Area under the ROC curve: how often one that is right has more confidence than one that isn't.

    Of answers that all say the same name, with the confidence in it.
    """
    positive = found.right == found.said
    order = np.argsort(found.confidence, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / max(1, count * (len(order) - count)))


def figure(name: str, found: Judged, measure: Callable[[Judged], float] = recall, seed: int = 0) -> Figure:
    """A measure of answers, with an interval from drawing the speakers anew."""
    random = np.random.default_rng(seed)
    _, codes = np.unique(np.concatenate([found.right, found.said]), return_inverse=True)
    found = replace(found, right=codes[: len(found.right)], said=codes[len(found.right) :])  # compared much faster
    speakers = np.unique(found.speakers)
    rows = {speaker: np.flatnonzero(found.speakers == speaker) for speaker in speakers}
    values = []
    for _ in range(DRAWS):
        drawn = np.concatenate([rows[speaker] for speaker in random.choice(speakers, len(speakers))])
        values.append(measure(_rows(found, drawn)))
    low, high = np.percentile(values, (2.5, 97.5))
    return Figure(name, measure(found), float(low), float(high))


def _rows(found: Judged, rows: NDArray[np.intp]) -> Judged:
    return Judged(found.right[rows], found.said[rows], found.speakers[rows], found.confidence[rows])


def in_order(head: Head, table: Table, seed: int, orders: int = 5) -> tuple[Floats, Trials]:
    """Every turn of every speaker in shuffled orders, each judged on what came before it.

    Returns:
        Probabilities of shape (turns, C), and the turns that they are of.
    """
    random = np.random.default_rng(seed)
    points = head.place(table.features)
    chances, rows = [], []
    for voice in np.unique(table.voices):
        own = np.flatnonzero(table.voices == voice)
        order = np.stack([random.permutation(own) for _ in range(orders)])
        known = head.stranger()
        shape = (orders, len(known.mean))
        offset = Offset(np.zeros(shape), np.broadcast_to(known.covariance, (*shape, shape[-1])))
        for turn in range(order.shape[1]):
            chances.append(head.posterior(points[order[:, turn]], offset))
            rows.append(order[:, turn])
            offset = head.learn(points[order[:, turn]], offset)
    at = np.concatenate(rows)
    return np.concatenate(chances), Trials(points[at][:, np.newaxis], table.labels[at], table.speakers[at])


def arousal(head: Head, chances: Floats, found: Trials) -> Judged:
    """High or low, of the turns whose emotion is one or the other."""
    known = np.isin(found.labels, list(AROUSAL))
    score = grouped(head.classes, chances[known], AROUSAL)
    right = np.where(np.array([AROUSAL[name] for name in found.labels[known]]) > 0.5, "high", "low")
    return Judged(right, np.where(score > 0.5, "high", "low"), found.speakers[known], np.maximum(score, 1 - score))


def named(head: Head, chances: Floats, found: Trials, classes: Sequence[str] = EMOTIONS) -> Judged:
    """Which of some classes, of the turns that are one of them."""
    known = np.isin(found.labels, classes)
    columns = [head.classes.index(name) for name in classes]
    shown = chances[known][:, columns]
    shown = shown / shown.sum(axis=1, keepdims=True)
    said = np.array(classes)[shown.argmax(axis=1)]
    return Judged(found.labels[known], said, found.speakers[known], shown.max(axis=1))


Judge = Callable[[Head, Floats, Trials], Judged]
"""What is asked of a head: `arousal`, or `named` with its classes."""


def figures(tested: Sequence[tuple[Head, Table]], seed: int, judge: Judge) -> list[Figure]:
    """Heads on speakers that they were not trained on: in order, by turn, and after histories of one kind.

    Args:
        tested: Heads, each with recordings of its unseen speakers.
        seed: Of the orders and histories.
        judge: What is asked.
    """
    found = _all(judge(head, *in_order(head, table, seed)) for head, table in tested)
    made = [figure("in order", found), figure("calibration error, in order", found, calibration_error)]

    def after(history: str, length: int, only: str | None = None) -> Judged:
        def one(head: Head, table: Table) -> Judged:
            random = np.random.default_rng(seed)
            turns = trials(head.place(table.features), table, history, length, random, repeats=3)
            if only is not None:
                kept = turns.labels == only
                turns = Trials(turns.points[kept], turns.labels[kept], turns.speakers[kept])
            return judge(head, judged(head, turns.points), turns)

        return _all(one(head, table) for head, table in tested)

    made += [figure(f"turn {turn}", after("balanced", turn - 1)) for turn in TURNS]
    made += [figure(f"after ten {history} turns", after(history, 10)) for history in ("neutral", "one mood")]
    return [*made, figure("angry after ten angry turns", after("one mood", 10, "angry"))]


def _all(parts: Iterable[Judged]) -> Judged:
    columns = zip(*((p.right, p.said, p.speakers, p.confidence) for p in parts), strict=True)
    return Judged(*(np.concatenate(column) for column in columns))
