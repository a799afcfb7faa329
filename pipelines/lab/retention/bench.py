"""`antiphon bench retention`: the same words said differently, through every architecture that the stack can fill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.architectures import ARCHITECTURES
from pipelines.assemble import check
from pipelines.definition import Architecture, DefinitionError
from pipelines.lab.bench_latency import machine
from pipelines.lab.retention.calls import Passed, hold
from pipelines.lab.retention.manners import people, styles
from pipelines.lab.retention.sounds import STEPS, Sound
from pipelines.lab.retention.telling import Floats, Score, by_sound, by_words, differs, score, told_apart, words_in
from pipelines.stacks import Stack
from pipelines.stacks.embedded import EMBEDDED

QUICK_ACTORS = 4

Stage = Callable[[Sequence[Passed], Sequence[str], Sequence[str]], Floats]
"""What came of sentences, their manners and their speakers → how far a listener is right about each."""


def _worded(of: Callable[[Passed], frozenset[str]]) -> Stage:
    return lambda passed, manners, speakers: told_apart([of(one) for one in passed], manners, speakers, by_words)


def _sounding(of: Callable[[Passed], Sound]) -> Stage:
    return lambda passed, manners, speakers: told_apart([of(one).steps for one in passed], manners, speakers, by_sound)


STAGES: dict[str, Stage] = {
    "prompt": _worded(lambda one: words_in(one.told)),
    "delivery": _worded(lambda one: one.settings),
    "sound": _sounding(lambda one: one.sound),
}
"""Where a manner may be told: from what the language model is told besides the caller's words, from what the voice is
told, and from how the same words sound. The score is the mean of the three."""

BESIDE: dict[str, Stage] = {
    "words recognised": _worded(lambda one: words_in(one.heard)),
    "answer's words": _worded(lambda one: words_in(one.answer)),
    "answer's sound": _sounding(lambda one: one.own),
}
"""Where else it may be told. It is no part of the score: all say the same words, so that a recogniser to which they
differ is wrong; and what is answered, and how that sounds, hang on each other."""

MEANS = (
    "How well a listener who has heard everybody but the speaker tells in which of four manners a sentence was said, "
    "from what the language model is told besides the words, from what the voice is told, and from how the same words "
    "sound after the answer. 0 is chance, 1 is always. The score is the mean of the three over people's voices, each "
    "on the first turn of a call."
)

TITLES = {
    "prompt": "what the LLM is told besides the words",
    "delivery": "what the voice is told",
    "sound": "how the same words sound",
}

GROUPS = {"people": "actors", "styles": "synthetic callers"}


@dataclass(frozen=True)
class Carried:
    """What came through one architecture.

    Args:
        architecture: Its name.
        passed: Of every sentence.
    """

    architecture: str
    passed: tuple[Passed, ...]

    def of(self, group: str) -> list[Passed]:
        """What came of one group's sentences."""
        return [one for one in self.passed if one.said.group == group]

    def stage(self, group: str, *names: str) -> Score:
        """How well a manner is told at a stage, or the mean over several.

        Args:
            group: A key of `GROUPS`.
            names: Keys of `STAGES` and `BESIDE`; all of `STAGES` if there are none.
        """
        passed = self.of(group)
        manners, speakers = [one.said.manner for one in passed], [one.said.speaker for one in passed]
        every = STAGES | BESIDE
        right = [every[name](passed, manners, speakers) for name in names or STAGES]
        return score(right, speakers, len(set(manners)))

    @property
    def score(self) -> Score:
        """From 0 to 1, as `MEANS` says."""
        return self.stage("people")

    def differing(self, group: str) -> dict[str, float]:
        """The share of pairs, of one speaker's manners, in which something differs: the recognised words, what the
        language model is told besides, what the voice is told, and the sound of the same words by what is noticed."""
        passed = self.of(group)
        speakers = [one.said.speaker for one in passed]
        return {
            "words": differs([one.heard for one in passed], speakers, lambda one, other: one != other),
            "told": differs([one.told for one in passed], speakers, lambda one, other: one != other),
            "settings": differs([one.settings for one in passed], speakers, lambda one, other: one != other),
            "sound": differs([one.sound.steps for one in passed], speakers, _noticed),
        }

    def sounds(self, group: str) -> dict[str, Sound]:
        """How the same words sound after each manner: the median over speakers."""
        passed = self.of(group)
        found = {}
        for manner in dict.fromkeys(one.said.manner for one in passed):
            rows = [[getattr(one.sound, name) for name in STEPS] for one in passed if one.said.manner == manner]
            found[manner] = Sound(*(float(value) for value in np.median(rows, axis=0)))
        return found

    def as_json(self) -> dict[str, Any]:
        """All figures, and every call."""
        groups = [group for group in GROUPS if self.of(group)]
        return {
            "score": self.score.as_json(),
            "groups": {
                group: {
                    "score": self.stage(group).as_json(),
                    "told": {name: self.stage(group, name).as_json() for name in STAGES | BESIDE},
                    "differing_pairs": {name: round(share, 3) for name, share in self.differing(group).items()},
                    "sounds": {manner: each.as_json() for manner, each in self.sounds(group).items()},
                }
                for group in groups
            },
            "calls": [one.as_json() for one in self.passed],
        }


def _noticed(one: Floats, other: Floats) -> bool:
    return bool(np.abs(one - other).max() >= 1.0)


@dataclass(frozen=True)
class Retention:
    """What came through all of them.

    Args:
        stack: The services' name.
        machine: On which it was measured.
        date: When.
        carried: By architecture.
    """

    stack: str
    machine: str
    date: str
    carried: tuple[Carried, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "measured": self.date,
            "machine": self.machine,
            "stack": self.stack,
            "means": MEANS,
            "architectures": {one.architecture: one.as_json() for one in self.carried},
        }


def run(
    data: Path,
    on_call: Callable[[str, int, int], None],
    *,
    quick: bool = False,
    architectures: Iterable[Architecture] = ARCHITECTURES,
    stack: Stack = EMBEDDED,
) -> Retention:
    """Hold every call.

    Args:
        data: The folder with the recordings.
        on_call: Told before each call what it is, how many are done and how many there are.
        quick: Few actors and no synthetic callers: to see that it works, not for figures.
        architectures: Through which; those that the stack cannot fill are left out.
        stack: Which services; none may need a network.

    Raises:
        BenchError: If a recording is missing.
    """
    every = people(data, QUICK_ACTORS) if quick else [*people(data), *styles()]
    chosen = [each for each in architectures if _fits(each, stack)]
    asyncio.run(stack.load(ADVANCED_CASCADE))
    total = len(chosen) * len(every)
    carried = []
    for place, architecture in enumerate(chosen):
        passed = []
        for number, said in enumerate(every):
            on_call(f"{architecture.name}: {said.speaker}, {said.manner}", place * len(every) + number, total)
            passed.append(hold(architecture, stack, said))
        carried.append(Carried(architecture.name, tuple(passed)))
    on_call("done", total, total)
    return Retention(stack.name, machine(), datetime.now(UTC).date().isoformat(), tuple(carried))


def _fits(architecture: Architecture, stack: Stack) -> bool:
    try:
        check(architecture, stack)
    except DefinitionError:
        return False
    return True


def table(result: Retention) -> RenderableType:
    """For people."""
    shown = Table(title="How well the manner is told from what comes out: 0 is chance, 1 is always")
    shown.add_column("")
    columns = [(one, group) for one in result.carried for group in GROUPS if one.of(group)]
    for one, group in columns:
        count = len({each.said.speaker for each in one.of(group)})
        shown.add_column(f"{one.architecture}\n{count} {GROUPS[group]}", justify="right")
    for name, title in TITLES.items():
        shown.add_row(title, *(str(one.stage(group, name)) for one, group in columns))
    shown.add_row("score", *(str(one.stage(group)) for one, group in columns), style="bold")
    shown.add_section()
    for name in BESIDE:
        shown.add_row(f"beside it: {name}", *(str(one.stage(group, name)) for one, group in columns))
    shown.add_section()
    for name, title in (
        ("words", "pairs of manners that differ in words recognised"),
        ("told", "… in what else the LLM is told"),
        ("settings", "… in what the voice is told"),
        ("sound", "… in the sound of the same words"),
    ):
        shown.add_row(title, *(f"{one.differing(group)[name]:.0%}" for one, group in columns))
    return Group(shown, *(_sounds(one) for one in result.carried), f"{MEANS}\n{result.machine}, {result.date}")


def _sounds(one: Carried) -> Table:
    shown = Table(title=f"{one.architecture}: the same words, after each manner (median)")
    for column in ("", "pitch, Hz", "melody, st", "level, dBFS", "syllables/s", "brightness, dB"):
        shown.add_column(column, justify="right" if column else "left")
    for group in GROUPS:
        for manner, each in one.sounds(group).items():
            shown.add_row(
                manner,
                f"{100 * 2 ** (each.pitch / 12):.0f}",
                f"{each.melody:.1f}",
                f"{each.level:.1f}",
                f"{each.pace:.2f}",
                f"{each.brightness:.1f}",
            )
    return shown
