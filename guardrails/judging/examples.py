"""Our own examples of what is said to an agent: templates in `examples.yaml`, filled in at random with a seed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("examples.yaml")

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_WORD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Example:
    """A text with what it is.

    Args:
        text: What is said or written.
        label: `injection`, `benign`, `toxicity` or `harmless`.
        group: The template it comes from, or another name for all that are alike.
        source: The data set it comes from.
    """

    text: str
    label: str
    group: str
    source: str


def own(each: int, seed: int) -> list[Example]:
    """Our own examples.

    Args:
        each: At most how many to make of one template.
        seed: Of the choices.

    Returns:
        The examples, without duplicates, in the order of the file.

    Raises:
        ValueError: If a template names words that are not there.
    """
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    words: dict[str, str] = data.pop("words")
    made: dict[str, Example] = {}
    for label, sections in data.items():
        for section, templates in sections.items():
            for n, template in enumerate(templates):
                group = f"own/{label}/{section}/{n}"
                rng = random.Random(f"{seed}/{group}")
                for _ in range(each):
                    text = fill(template, words, rng)
                    made.setdefault(text, Example(text, label, group, "own"))
    return list(made.values())


def fill(template: str, words: dict[str, str], rng: random.Random) -> str:
    """A template with its choices made and its words filled in.

    Raises:
        ValueError: If it names words that are not there.
    """
    while True:
        if choice := _CHOICE.search(template):
            put = rng.choice(choice[1].split("|"))
        elif choice := _WORD.search(template):
            if choice[1] not in words:
                raise ValueError(f"{FILE.name} has no words called {choice[1]!r}: add them, or name others")
            put = words[choice[1]]
        else:
            return " ".join(template.split())
        template = template[: choice.start()] + put + template[choice.end() :]
