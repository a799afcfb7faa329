"""Makes heads of tables: discriminants that ignore who speaks, and spreads that make probabilities true."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processors.hearing.heads import Floats, Head, Offset
from processors.hearing.recipe.corpora import Table

WITHIN = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
"""Spreads within a class that are tried: how much wider than on what was trained on."""

BETWEEN = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Spreads of callers that are tried, in parts of those of the training's speakers."""

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""What the logarithms of odds are divided by, to be tried."""


@dataclass(frozen=True)
class Settings:
    """What is chosen by cross-validation over speakers.

    Args:
        shrinkage: How much of the spread within classes is taken as uncorrelated.
        speakers: How much of the differences between speakers the discriminants are kept clear of.
        others: Share of the spread within classes that is taken from other speech, of which nobody knows how it was
            said: what varies there with words, speakers and rooms is no sign of emotion either.
    """

    shrinkage: float = 0.6
    speakers: float = 1.0
    others: float = 0.0


def fit(table: Table, settings: Settings, others: Table | None = None) -> Head:
    """A head by linear discriminant analysis of what remains of speech once the speaker's offset is taken out.

    Its spreads are those of the training data, too narrow for others: see `spreads`.

    Args:
        table: What is learnt from.
        settings: How.
        others: Other speech, for `Settings.others`; its labels are not looked at.
    """
    features = table.features.astype(np.float64)
    classes, labels = np.unique(table.labels, return_inverse=True)
    voices, voice = np.unique(table.voices, return_inverse=True)
    mean = features.mean(axis=0)
    scale = 1 / np.maximum(features.std(axis=0), 1e-6)
    rows = (features - mean) * scale
    of_class, of_voice = np.eye(len(classes))[labels], np.eye(len(voices))[voice]
    offsets = np.zeros((len(voices), rows.shape[1]))
    for _ in range(8):
        centres = _means(rows - offsets[voice], of_class)
        offsets = (of_voice.T @ (rows - centres[labels])) / (of_voice.sum(axis=0)[:, None] + 2.0)
        offsets -= offsets.mean(axis=0)
    rest = rows - offsets[voice] - centres[labels]
    weight = 1 / of_class.sum(axis=0)[labels]
    inside = (rest * (weight / weight.sum())[:, None]).T @ rest
    apart = offsets.T @ offsets / len(voices)
    spread = inside + settings.speakers * apart
    if others is not None and settings.others:
        other_inside, other_apart = _scatter((others.features - mean) * scale, others.voices)
        inside = (1 - settings.others) * inside + settings.others * other_inside
        spread = inside + settings.speakers * (apart + other_apart)
    spread = (1 - settings.shrinkage) * spread + settings.shrinkage * np.diag(np.diag(spread))
    root = np.linalg.cholesky(spread + 1e-6 * np.eye(len(spread)))
    middle = centres.mean(axis=0)
    whitened = np.linalg.solve(root, (centres - middle).T)
    directions = np.linalg.svd(whitened, full_matrices=False)[0][:, : len(classes) - 1]
    directions = directions * np.sign(directions.sum(axis=0) + 1e-12)  # svd leaves the sign to chance
    inner = np.linalg.solve(root.T, directions)
    return Head(
        classes=tuple(str(name) for name in classes),
        mean=mean + middle / scale,
        projection=scale[:, None] * inner,
        centres=(centres - middle) @ inner,
        within=np.eye(inner.shape[1]),
        between=inner.T @ apart @ inner,
    )


def _scatter(rows: Floats, voices: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """How rows spread within voices, and how the means of voices spread."""
    names, voice = np.unique(voices, return_inverse=True)
    means = _means(rows, np.eye(len(names))[voice])
    rest, apart = rows - means[voice], means - means.mean(axis=0)
    return rest.T @ rest / max(1, len(rows) - len(names)), apart.T @ apart / len(names)


def _means(rows: Floats, of_class: Floats) -> Floats:
    means: Floats = (of_class.T @ rows) / of_class.sum(axis=0)[:, None]
    return means


def widened(head: Head, within: float, between: float) -> Head:
    """The head with other spreads: both in parts of what it has."""
    floor = 1e-6 * np.eye(len(head.between))
    return replace(head, within=head.within * within, between=head.between * between + floor)


@dataclass(frozen=True)
class Trials:
    """Turns to be judged, each after a history of turns of the same speaker.

    Args:
        points: Discriminants, of shape (trials, history + 1, d); the last is to be judged.
        labels: What each is, of shape (trials,).
        speakers: Whose, of shape (trials,).
    """

    points: Floats
    labels: NDArray[np.str_]
    speakers: NDArray[np.str_]


HISTORIES = ("balanced", "neutral", "one mood")
"""What the turns before were: any, neutral ones only, or all of the mood of the one to be judged."""


def trials(
    points: Floats,
    table: Table,
    history: str,
    length: int,
    random: np.random.Generator,
    neutral: Sequence[str] = ("neutral",),
    repeats: int = 1,
) -> Trials:
    """One trial a row and repeat: the row, and `length` other rows of its voice, drawn as `history` says."""
    found, kept = [], []
    voices = table.voices
    for voice in np.unique(voices):
        own = np.flatnonzero(voices == voice)
        calm = own[np.isin(table.labels[own], neutral)]
        for row in np.repeat(own, repeats):
            pool = {"balanced": own, "neutral": calm, "one mood": own[table.labels[own] == table.labels[row]]}[history]
            pool = pool[pool != row]
            if length and not len(pool):
                continue
            drawn = random.choice(pool, length, replace=length > len(pool)) if length else np.array([], int)
            found.append([*drawn, row])
            kept.append(row)
    order = np.array(found, int)
    return Trials(points[order], table.labels[kept], table.speakers[kept])


def judged(head: Head, turns: Floats) -> Floats:
    """Probabilities of the classes of each trial's last turn, of shape (trials, C)."""
    known = head.stranger()
    shape = (len(turns), *known.mean.shape)
    offset = Offset(np.zeros(shape), np.broadcast_to(known.covariance, (*shape, shape[-1])))
    for turn in range(turns.shape[1] - 1):
        offset = head.learn(turns[:, turn], offset)
    return head.posterior(turns[:, -1], offset)


def folds(table: Table, count: int | None = None) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Rows to train on and to test on, no speaker in both; a fold a speaker, or `count` folds."""
    speakers = np.unique(table.speakers)
    for n in range(count or len(speakers)):
        tested = np.isin(table.speakers, speakers[n :: count or len(speakers)])
        yield ~tested, tested


def spreads(
    table: Table,
    settings: Settings,
    seed: int,
    count: int | None = None,
    between: Sequence[float] = BETWEEN,
    others: Table | None = None,
) -> tuple[float, float]:
    """What to widen a head's spreads by, so that speakers left out of training get the truest probabilities.

    Their turns are judged first, after one, four and ten others, of all kinds and of one kind.

    Args:
        table: What is trained on.
        settings: Of the training.
        seed: Of the histories.
        count: Folds; one a speaker by default.
        between: Spreads of callers to try.
        others: Other speech, for `fit`.
    """
    left_out: list[tuple[Head, Trials]] = []
    for train, test in folds(table, count):
        part = fit(table.where(train), settings, others)
        rest = table.where(test & np.isin(table.copies, ("clean", "telephone", "noise")))
        random = np.random.default_rng(seed)
        points = part.place(rest.features)
        sets = [trials(points, rest, "balanced", length, random) for length in (0, 1, 4, 10)]
        sets += [trials(points, rest, history, 6, random) for history in HISTORIES[1:]]
        left_out += [(part, found) for found in sets if len(found.labels)]

    def loss(tried: tuple[float, float]) -> float:
        return sum(_loss(widened(part, *tried), found) for part, found in left_out)

    return min(itertools.product(WITHIN, between), key=loss)


def temperature(parts: Sequence[tuple[Head, Table]], head: Head, neutral: Table) -> float:
    """What to divide the logarithms of odds by, so that a head is as sure of itself as it may be abroad.

    The truest on the training's speakers, left out, and on other speech together: speakers of the training's corpus
    alone would have it far too sure of others.

    Args:
        parts: Heads trained without some speakers, each with the recordings of those.
        head: Trained on all of them.
        neutral: Other speech, which is taken as neutral.
    """
    at_home = [(part, Trials(part.place(t.features)[:, np.newaxis], t.labels, t.speakers)) for part, t in parts]
    calm = np.full(len(neutral.labels), "neutral")
    abroad = Trials(head.place(neutral.features)[:, np.newaxis], calm, neutral.speakers)

    def loss(tried: float) -> float:
        home = [_loss(replace(part, temperature=tried), found) for part, found in at_home]
        return float(np.mean(home)) + _loss(replace(head, temperature=tried), abroad)

    return min(TEMPERATURES, key=loss)


def _loss(head: Head, trial: Trials) -> float:
    chances = judged(head, trial.points)
    index = np.array([head.classes.index(label) for label in trial.labels])
    return -float(np.mean(np.log(np.maximum(chances[np.arange(len(index)), index], 1e-6))))
