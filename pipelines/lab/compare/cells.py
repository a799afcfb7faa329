"""What is compared, and what a figure is: every cell says its kind and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipelines.lab.latency import MARKS
from pipelines.lab.prices import Cost
from pipelines.lab.projection import MINUTES


class Kind(StrEnum):
    """What a figure is."""

    PROFILE = "profile"
    MEASURED = "measured"
    DEFINITION = "definition"
    NOT_YET = "not yet"
    CANNOT_RUN = "cannot run"


@dataclass(frozen=True)
class Column:
    """One thing that is compared.

    Args:
        name: As in JSON.
        title: For people.
        group: Under which it stands.
        unit: ms, %, $/min, tokens, "of 1" for a score, "errors/min", "errors/min²" and "ms/min" for what happens and
            grows by the minute, or nothing.
        means: A line that says what exactly it is.
    """

    name: str
    title: str
    group: str
    unit: str
    means: str


@dataclass(frozen=True)
class Cell:
    """One figure.

    Args:
        kind: Whether it was measured, follows from a profile or from the definition, or why there is none.
        source: What it rests on, or the reason why there is none.
        value: A number in the column's unit, or words; None if there is none.
        rough: Whether something that it should count has no price.
    """

    kind: Kind
    source: str
    value: float | str | None = None
    rough: bool = False

    def text(self, column: Column) -> str:
        """As people read it, without its kind; the kind where there is no figure."""
        if self.value is None:
            return str(self.kind)
        if isinstance(self.value, str):
            return self.value
        if column.unit == "ms":
            return f"{self.value:,.0f} ms"
        if column.unit == "tokens":
            return f"{self.value:,.0f}"
        if column.unit == "%":
            return f"{self.value:.0f} %"
        if column.unit in ("of 1", "errors/min"):
            return f"{self.value:.2f}"
        if column.unit in ("errors/min²", "ms/min"):
            return f"{self.value:+.{3 if column.unit == 'errors/min²' else 1}f}"
        if not self.value and not self.rough:
            return "$0"
        return str(Cost(self.value, frozenset({"something"} if self.rough else ())))

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {"value": self.value, "kind": str(self.kind), "source": self.source, "lower_bound": self.rough}


def _slug(name: str) -> str:
    return name.replace(" ", "_")


LATENCY = "from the end of speech to the first sound of the answer"
COST = "cost a minute"
SAFETY = "guardrails"
LONG = "over a long call"
OPENNESS = "openness"
MANNER = "how it is said"

PARTS = {name: f"part_{_slug(name)}" for name in MARKS.values()}
"""The column of each part of a turn's latency."""

COLUMNS = (
    Column("latency_p50", "median", LATENCY, "ms", "of all turns; the quicker of two in the middle"),
    Column("latency_worst", "worst", LATENCY, "ms", "of all turns"),
    *(
        Column(column, f"… {name}", LATENCY, "ms", "of the turn of median latency: its parts sum to it")
        for name, column in PARTS.items()
    ),
    Column(
        "answered", "turns answered", "the conversation", "", "of those in the script, by an answer that was heard"
    ),
    Column("early", "answered too early", "the conversation", "", "turns in whose pauses an answer was heard"),
    Column(
        "interruption", "silent after", "the conversation", "ms",
        "from the caller's first sound into an answer until the agent is silent; the longest",
    ),
    Column(
        "heard_truth", "remembers what was heard", "the conversation", "%",
        "answers cut off of which the context holds exactly the words that had begun to sound",
    ),
    *(
        Column(
            f"cost_{minutes:.0f}{suffix}",
            f"call of {minutes:.0f} min{', cached' if suffix else ''}",
            COST,
            "$/min",
            "at this conversation's pace, "
            + ("with every prompt read from the vendor's cache" if suffix else "with every prompt read anew"),
        )
        for minutes in MINUTES
        for suffix in ("", "_cached")
    ),
    Column(
        "errors_first", "errors/min, first 5 min", LONG, "errors/min",
        "turns unanswered, answered too early, not understood, or remembered otherwise than they were heard; an answer "
        "that goes on for two seconds after the caller began to speak into it; something forbidden that is heard. A "
        "word counts as heard from its first sample on",
    ),
    Column("errors_last", "… last 5 min", LONG, "errors/min", "the same at its end"),
    Column(
        "errors_growth", "… more each minute", LONG, "errors/min²",
        "the slope of errors a minute over half an hour, by least squares; its interval stands with the source",
    ),
    Column(
        "delay_growth", "ms later each minute", LONG, "ms/min",
        "the slope of the time to the first sound of the answer over half an hour",
    ),
    Column(
        "lag_growth", "ms behind each minute", LONG, "ms/min",
        "the slope of the time from a model's making the first sound of an answer until that is heard, where its sound "
        "never ends and could fall behind",
    ),
    Column(
        "prompt_30", "prompt after 30 min", LONG, "tokens",
        "of text and sound that the language model is given for one answer, at this conversation's pace; a "
        "context of 8,000 tokens or more is summarised, where the model can, which this leaves out",
    ),
    Column("inspect", "can be read while it goes on", OPENNESS, "", "texts that stages hand on, by the definition"),
    Column(
        "exchange", "can be exchanged alone", OPENNESS, "",
        "services that another of their kind can take the place of with all else as it was, by the definition",
    ),
    Column(
        "faults_located", "faults that are located", OPENNESS, "%",
        "of faults that were put in one at a time, those of which antiphon blame names the stage at fault; a stage "
        "that is several in one hides which of them failed, and does not count",
    ),
    Column(
        "guard_leak", "forbidden words that are heard", SAFETY, "%",
        "answers in which something that the script forbids was heard, though the language model said it",
    ),
    Column(
        "retention", "how it was said, kept", MANNER, "of 1",
        "how well manners of speaking are told apart by what the language model is given, what the voice is told, and "
        "how it sounds: 0 is chance, 1 is always; where it was not measured, who is told by the definition",
    ),
    Column(
        "personas_apart", "six personas told apart", MANNER, "%",
        "sentences of which it can be told who says them, by pitch and timbre; where it was not measured, which voices "
        "the personas can have by the definition",
    ),
)  # fmt: skip
"""What is compared, in order."""
