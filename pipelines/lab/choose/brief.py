"""A comparison in a few lines, each made of its figures: cascade, or one model from voice to voice?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.lab.choose.articles import Articles, Known

FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("latency_p50", "first sound of an answer, median", "{:,.0f} ms".format),
    ("interruption", "silent after an interruption", "{:,.0f} ms".format),
    ("cost_30", "a minute of a call of half an hour", "${:.2f}".format),
    ("cost_30_cached", "… where vendors keep what they have read", "${:.2f}".format),
)
"""Columns of which less is better."""

COUNTS = (
    ("inspection", "texts that can be read while it goes on"),
    ("swapping", "parts that can be exchanged alone"),
    ("emotion", "told how it was said: the model, the voice"),
)
"""Facts that are so many of so many; more is better."""


@dataclass(frozen=True)
class Held:
    """Both kinds held against each other.

    Args:
        of: In what.
        cascades: What is known of those with a voice of their own.
        fused: What is known of those whose model speaks itself.
        ahead: `cascades`, `fused`, or `neither` where the best of each kind is ahead of the worst of the other.
    """

    of: str
    cascades: str
    fused: str
    ahead: str


@dataclass(frozen=True)
class Brief:
    """The whole in short.

    Args:
        lines: Both kinds in everything that is known of both.
        use_cases: For how many of the article's use cases each architecture is chosen.
        agree: With how many of them the article agrees.
    """

    lines: tuple[Held, ...]
    use_cases: dict[str, int]
    agree: int

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def brief(articles: Articles) -> Brief:
    """Make it of all that is known."""
    cascades = [each for each in articles.known if not each.fused]
    fused = [each for each in articles.known if each.fused]
    counts = Counter(each.choice.architecture or "none" for each in articles.use_cases)
    agree = sum(answer.agrees for answer in articles.use_cases)
    return Brief((*_figures(cascades, fused), *_counts(cascades, fused)), dict(counts.most_common()), agree)


def _figures(cascades: Sequence[Known], fused: Sequence[Known]) -> Iterator[Held]:
    for column, of, write in FIGURES:
        ours, theirs = (_values(known, column) for known in (cascades, fused))
        if ours and theirs:
            ahead = _ahead([-value for value in ours], [-value for value in theirs])
            yield Held(of, _range(ours, write), _range(theirs, write), ahead)


def _values(known: Sequence[Known], column: str) -> list[float]:
    values = (each.row.cells[column].value for each in known)
    return [float(value) for value in values if isinstance(value, int | float)]


def _range(values: Sequence[float], write: Callable[[float], str]) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low.removesuffix(' ms')} to {high}"


def _counts(cascades: Sequence[Known], fused: Sequence[Known]) -> Iterator[Held]:
    for name, of in COUNTS:
        ours, theirs = (_facts(known, name) for known in (cascades, fused))
        if ours and theirs:
            yield Held(of, _of(ours), _of(theirs), _ahead(list(ours), list(theirs)))


def _facts(known: Sequence[Known], name: str) -> dict[float, str]:
    """Texts by score."""
    facts = (each.facts[name] for each in known)
    return {fact.score: fact.text.partition(":")[0] for fact in facts if fact.score is not None}


def _of(texts: dict[float, str]) -> str:
    low, high = texts[min(texts)], texts[max(texts)]
    return low if low == high else f"{low.split()[0]} to {high}"


def _ahead(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """More is better."""
    if min(ours) > max(theirs):
        return "cascades"
    return "fused" if min(theirs) > max(ours) else "neither"
