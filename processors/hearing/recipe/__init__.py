"""The recipe of the heads: data in, heads, figures and a model card out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from processors.hearing import prosody
from processors.hearing.heads import Head
from processors.hearing.recipe.card import written
from processors.hearing.recipe.corpora import COPIES, HARD, Table, gather, noises, table
from processors.hearing.recipe.measuring import Figure, Judged, area, arousal, calibration_error, figure, figures, named
from processors.hearing.recipe.training import Settings, fit, folds, spreads, widened

__all__ = ["train"]

EMOTIONS = Settings()
"""Of the head of emotions, chosen on EmoDB by leaving speakers out."""

HESITATION = Settings(shrinkage=0.3, speakers=0.0)
"""Of the head of hesitation, chosen on speechocean762 by leaving speakers out."""

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

    acted = table(gather(data, "emotion_emodb"), COPIES, hums, listening("EmoDB"))
    say("EmoDB: training")
    widths = spreads(acted, EMOTIONS, seed)
    emotions = widened(fit(acted, EMOTIONS), *widths)
    emotions.save(out / "emotions.npz")
    within = left_out(acted, EMOTIONS, widths)
    report["Arousal within EmoDB, a speaker left out each time"] = figures(within, seed, arousal)
    report["Four emotions within EmoDB, a speaker left out each time"] = figures(within, seed, named)

    read = fluency(table(gather(data, "fluency_speechocean762"), COPIES, hums, listening("speechocean762")))
    say("speechocean762: training")
    hesitant, found = readers(read, seed)
    hesitant.save(out / "hesitation.npz")
    report["Hesitation within speechocean762, speakers left out"] = found

    every = tuple(dict.fromkeys((*COPIES, *HARD)))
    other = table(gather(data, "emotion_ravdess"), every, hums, listening("RAVDESS"))
    for copy in HARD:
        tested = [(emotions, other.of(copy))]
        report[f"Arousal on RAVDESS, trained on EmoDB, {copy}"] = figures(tested, seed, arousal)
        report[f"Four emotions on RAVDESS, trained on EmoDB, {copy}"] = figures(tested, seed, named)
    say("RAVDESS: training, to measure only")
    report["The same recipe on RAVDESS, eight emotions, speakers left out (not shipped)"] = every_class(other, seed)

    (out / "CARD.md").write_text(written(report, emotions.classes, prosody.SIZE, seed), encoding="utf-8")
    plain = {title: [asdict(row) for row in rows] for title, rows in report.items()}
    (out / "figures.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
    return report


def left_out(
    rows: Table, settings: Settings, widths: tuple[float, float], count: int | None = None
) -> list[tuple[Head, Table]]:
    """Heads trained without some speakers, each with the clean recordings of those."""
    return [
        (widened(fit(rows.where(train), settings), *widths), rows.where(test).of("clean"))
        for train, test in folds(rows, count)
    ]


def readers(read: Table, seed: int) -> tuple[Head, list[Figure]]:
    """The head of hesitation, and how heads like it do on speakers left out of their training.

    Args:
        read: What `fluency` kept of `COPIES`.
        seed: Of the histories.
    """
    widths = spreads(read, HESITATION, seed, count=8, between=(0.0,))
    return widened(fit(read, HESITATION), *widths), hesitation(left_out(read, HESITATION, widths, 8))


def every_class(rows: Table, seed: int) -> list[Figure]:
    """How well the recipe of the emotions tells all classes of other data, on speakers left out of its training.

    Args:
        rows: All `COPIES`, and perhaps others.
        seed: Of the orders and histories.
    """
    learnt = rows.where(np.isin(rows.copies, COPIES))
    tested = left_out(learnt, EMOTIONS, spreads(learnt, EMOTIONS, seed, count=4), 8)
    return figures(tested, seed, partial(named, classes=tuple(np.unique(rows.labels))))


def fluency(rows: Table) -> Table:
    """The rows that experts scored 5 or less ("hesitant") or 8 or more ("fluent"), of 10."""
    scores = rows.labels.astype(float)
    kept = rows.where((scores <= 5) | (scores >= 8))
    return replace(kept, labels=np.where(kept.labels.astype(float) <= 5, "hesitant", "fluent"))


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
