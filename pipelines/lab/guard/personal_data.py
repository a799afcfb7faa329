"""How much personal data the guardrails find, and how much of what they take for such is: written and spoken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from guardrails.fold import Kind, fold
from guardrails.personal import What, personal_scanners
from guardrails.scanning import Scanner, Span
from pipelines.lab.guard import spoken

SET = "pii_presidio_synth.jsonl"
TYPES: dict[str, What] = {
    "CREDIT_CARD": "card",
    "US_SSN": "ssn",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
}
SAYING: dict[What, Callable[[str, Random], str]] = {
    "card": spoken.digits,
    "ssn": spoken.digits,
    "phone": spoken.digits,
    "email": spoken.email,
    "iban": spoken.iban,
}
SPOKEN = 20
"""Ways in which each datum is said."""


@dataclass(frozen=True)
class Sentence:
    """A text and where personal data of one type are in it.

    Args:
        text: The text.
        spans: First character and one past the last of each.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Found:
    """How much was found.

    Args:
        what: The type of data.
        spoken: Whether they were said as words.
        present: How many there were.
        found: How many of them were covered, every letter and digit.
        covered: How many stretches of text were covered.
        wrong: How many of those had none of the data in them.
    """

    what: What
    spoken: bool
    present: int
    found: int
    covered: int
    wrong: int

    @property
    def recall(self) -> float:
        """Share of the data that was found; 1 if there were none."""
        return self.found / self.present if self.present else 1.0

    @property
    def precision(self) -> float:
        """Share of what was covered that was such data; 1 if nothing was."""
        return 1 - self.wrong / self.covered if self.covered else 1.0


def personal_data(folder: Path, *, ways: int = SPOKEN, seed: int = 0) -> list[Found]:
    """Measure on the synthetic set of Presidio: on its sentences as they are, and with the data said as words.

    Args:
        folder: Where the set is.
        ways: In how many ways each datum is said.
        seed: Of what chooses them.

    Returns:
        Two rows for each type, written and spoken.

    Raises:
        FileNotFoundError: If the set is not there.
    """
    lines = (folder / SET).read_text(encoding="utf-8").splitlines()
    rows = []
    for name, what in TYPES.items():
        random = Random(f"{seed} {what}")
        written = [_sentence(json.loads(line), name) for line in lines]
        said = [_said(sentence, SAYING[what], random) for sentence in written if sentence.spans for _ in range(ways)]
        rows.append(measured(what, written, spoken=False))
        rows.append(measured(what, [*said, *(one for one in written if not one.spans)], spoken=True))
    return rows


def measured(what: What, sentences: list[Sentence], *, spoken: bool) -> Found:
    """What is found of one type in sentences."""
    (scanner,) = personal_scanners([(what, 0, False)])
    present = found = covered = wrong = 0
    for sentence in sentences:
        marks = cover(scanner, sentence.text)
        for start, end in sentence.spans:
            present += 1
            found += all(marks[at] for at in range(start, end) if sentence.text[at].isalnum())
        for start, end in _stretches(marks):
            covered += 1
            wrong += not any(start < over and begin < end for begin, over in sentence.spans)
    return Found(what, spoken, present, found, covered, wrong)


def cover(scanner: Scanner, text: str) -> list[bool]:
    """Which characters of a text a scanner covers."""
    marks = [False] * len(text)
    spans: list[Span] = []
    for at, char in enumerate(text):
        folded = fold(char)
        if folded.kind is not Kind.IGNORED:
            spans += scanner.step(at, folded)
    for start, end, _ in (*spans, *scanner.finish()):
        marks[start:end] = [True] * (end - start)
    return marks


def _stretches(marks: list[bool]) -> Iterator[tuple[int, int]]:
    start = None
    for at, mark in enumerate([*marks, False]):
        if mark and start is None:
            start = at
        elif not mark and start is not None:
            yield start, at
            start = None


def _sentence(row: dict[str, object], name: str) -> Sentence:
    spans = row["spans"]
    assert isinstance(spans, list)  # noqa: S101
    return Sentence(str(row["text"]), tuple(sorted((start, end) for start, end, kind, _ in spans if kind == name)))


def _said(sentence: Sentence, say: Callable[[str, Random], str], random: Random) -> Sentence:
    """A sentence with its data said as words."""
    text, at = "", 0
    spans: list[tuple[int, int]] = []
    for start, end in sentence.spans:
        text += sentence.text[at:start]
        words = say(sentence.text[start:end], random)
        spans.append((len(text), len(text) + len(words)))
        text += words
        at = end
    return Sentence(text + sentence.text[at:], tuple(spans))
