"""The recipe of the heads: data in, heads, figures and a model card out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from processors.hearing.cues import EMOTIONS
from processors.hearing.heads import Head
from processors.hearing.recipe.card import written
from processors.hearing.recipe.corpora import COPIES, HARD, Table, gather, noises, table
from processors.hearing.recipe.measuring import Figure, Judged, area, arousal, calibration_error, figure, figures, named
from processors.hearing.recipe.training import Settings, fit, folds, spreads, temperature, widened

__all__ = ["train"]

FOREIGN = Settings(shrinkage=0.85, speakers=1.0, others=0.8)
"""Of the head of emotions, for speakers of another language than it learnt from; chosen on RAVDESS' first eight actors,
among some forty settings, and reported on the others too."""

ALIKE = Settings(shrinkage=0.3, speakers=0.3)
"""Of a head for speakers of its own corpus, chosen by leaving speakers of RAVDESS out."""

HESITATION = Settings(shrinkage=0.3, speakers=0.0)
"""Of the head of hesitation, chosen on speechocean762 by leaving speakers out."""

FLUENT = 8
"""From this score of ten on, a reader is fluent."""

NEAR = (0.0, 0.1, 0.25)
"""Spreads of callers that are tried for `FOREIGN`. Wider ones, truer on the training's speakers, take what another
language does for the caller's own: with every turn less was heard of the actors named below."""

LOOKED_AT = tuple(f"ravdess{actor:02}" for actor in range(1, 9))
"""Actors by whom settings were chosen."""

Report = Mapping[str, Sequence[Figure]]


def train(data: Path, out: Path, *, seed: int = 7, say: Callable[[str], None] = lambda _: None) -> Report:
    """Train the heads on the data that permits it, measure them on other speakers, and write all of it down.

    Some minutes on one core. The same data and seed give the same files.

    Args:
        data: The folder with `manifest_audio.jsonl`.
        out: Gets `emotions.npz`, `hesitation.npz`, `CARD.md` and `figures.json`.
        seed: Of the orders and histories.
        say: Told what is being done.

    Returns:
        Figures, by what they are of.

    Raises:
        FileNotFoundError: If the data has no manifest.
        ValueError: If recordings are missing.
        WeightsError: If the encoder can't be had.
    """
    hums = {"noise": noises(data, permitted=True), "noise10": noises(data, permitted=False)}
    report: dict[str, Sequence[Figure]] = {}
    out.mkdir(parents=True, exist_ok=True)

    def listening(name: str) -> Callable[[int, int], None]:
        return lambda done, of: say(f"{name}: listening to {done} of {of}")

    acted = table(gather(data, "emotion_emodb"), COPIES, hums, listening("EmoDB")).labelled(EMOTIONS)
    read = table(gather(data, "fluency_speechocean762"), COPIES, hums, listening("speechocean762"))
    say("EmoDB: training")
    emotions, without = emotional(acted, read, seed)
    emotions.save(out / "emotions.npz")
    report["Arousal within EmoDB, a speaker left out each time"] = figures(without, seed, arousal)
    report["Four emotions within EmoDB, a speaker left out each time"] = figures(without, seed, named)
    say("speechocean762: training")
    hesitant, found = readers(read, seed)
    hesitant.save(out / "hesitation.npz")
    report["Hesitation within speechocean762, speakers left out"] = found
    report["Fluent readers of speechocean762, what they are taken for"] = taken_for(emotions, fluent(read))

    every = tuple(dict.fromkeys((*COPIES, *HARD)))
    other = table(gather(data, "emotion_ravdess"), every, hums, listening("RAVDESS"))
    unseen = other.where(~np.isin(other.speakers, LOOKED_AT))
    for who, rows in (("RAVDESS", other), ("RAVDESS' last eight actors", unseen)):
        for copy in HARD if rows is other else HARD[:1]:
            tested = [(emotions, rows.of(copy))]
            report[f"Arousal on {who}, {copy}"] = figures(tested, seed, arousal)
            report[f"Four emotions on {who}, {copy}"] = figures(tested, seed, named)
    say("RAVDESS: training, to measure only")
    report["The same recipe on RAVDESS, eight emotions, speakers left out (not shipped)"] = every_class(other, seed)

    (out / "CARD.md").write_text(written(report, emotions.classes, seed), encoding="utf-8")
    plain = {title: [asdict(row) for row in rows] for title, rows in report.items()}
    (out / "figures.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
    return report


def emotional(acted: Table, read: Table, seed: int) -> tuple[Head, list[tuple[Head, Table]]]:
    """The head of emotions, and heads like it trained without a speaker, each with the clean recordings of that one.

    Args:
        acted: `COPIES` of recordings of the emotions.
        read: `COPIES` of other speech, with scores for fluency: what is no sign of emotion is learnt from it.
        seed: Of the histories.
    """
    widths = spreads(acted, FOREIGN, seed, between=NEAR, others=read)
    head = widened(fit(acted, FOREIGN, read), *widths)
    without = left_out(acted, FOREIGN, widths, others=read)
    sure = temperature(without, head, fluent(read).of("clean"))
    return replace(head, temperature=sure), [(replace(part, temperature=sure), rows) for part, rows in without]


def left_out(
    rows: Table,
    settings: Settings,
    widths: tuple[float, float],
    count: int | None = None,
    others: Table | None = None,
) -> list[tuple[Head, Table]]:
    """Heads trained without some speakers, each with the clean recordings of those."""
    return [
        (widened(fit(rows.where(train), settings, others), *widths), rows.where(test).of("clean"))
        for train, test in folds(rows, count)
    ]


def readers(read: Table, seed: int) -> tuple[Head, list[Figure]]:
    """The head of hesitation, and how heads like it do on speakers left out of their training.

    Args:
        read: `COPIES` of readers, with scores for fluency.
        seed: Of the histories.
    """
    apart = fluency(read)
    widths = spreads(apart, HESITATION, seed, count=8, between=(0.0,))
    return widened(fit(apart, HESITATION), *widths), hesitation(left_out(apart, HESITATION, widths, 8))


def every_class(rows: Table, seed: int) -> list[Figure]:
    """How well the recipe of the emotions tells all classes of other data, on speakers left out of its training.

    Args:
        rows: All `COPIES`, and perhaps others.
        seed: Of the orders and histories.
    """
    learnt = rows.where(np.isin(rows.copies, COPIES))
    tested = left_out(learnt, ALIKE, spreads(learnt, ALIKE, seed, count=4))
    return figures(tested, seed, partial(named, classes=tuple(np.unique(rows.labels))))


def taken_for(head: Head, rows: Table) -> list[Figure]:
    """The share of turns that are taken for each emotion with a probability of more than a half."""
    chances = head.posterior(head.place(rows.features), head.stranger())
    return [
        figure(name, Judged(np.full(len(sure), True), sure, rows.speakers, np.ones(len(sure))))
        for name, sure in zip(head.classes, (chances > 0.5).T, strict=True)
    ]


def fluent(read: Table) -> Table:
    """The rows that experts scored 8 or more of 10: as near to neutral speech as there is."""
    return read.where(read.labels.astype(float) >= FLUENT)


def fluency(rows: Table) -> Table:
    """The rows that experts scored 5 or less ("hesitant") or 8 or more ("fluent"), of 10."""
    scores = rows.labels.astype(float)
    kept = (scores <= 5) | (scores >= FLUENT)
    return replace(rows.where(kept), labels=np.where(scores[kept] <= 5, "hesitant", "fluent"))


def hesitation(tested: Sequence[tuple[Head, Table]]) -> list[Figure]:
    """How well hesitant readers are told from fluent ones."""
    right, chances, speakers = [], [], []
    for head, rows in tested:
        judged = head.posterior(head.place(rows.features), head.stranger())
        right.append(rows.labels)
        chances.append(judged[:, head.classes.index("hesitant")])
        speakers.append(rows.speakers)
    labels, chance, who = np.concatenate(right), np.concatenate(chances), np.concatenate(speakers)
    ranked = Judged(labels, np.full(len(labels), "hesitant"), who, chance)
    said = np.where(chance > 0.5, "hesitant", "fluent")
    answered = Judged(labels, said, who, np.maximum(chance, 1 - chance))
    return [
        figure("area under the ROC curve", ranked, area),
        figure("recall", answered),
        figure("calibration error", answered, calibration_error),
    ]
