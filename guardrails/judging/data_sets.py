"""The data sets that the heads are trained on and measured with: lines of JSON with id, text, label and licence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from guardrails.fold import folded
from guardrails.judging.examples import Example, own

Labels = Mapping[str | None, bool]

INJECTION: dict[str, Labels] = {
    "jailbreak_inthewild": {"jailbreak": True},
    "cyberseceval_injection": {"injection": True},
    "sysprompt_extraction": {"injection": True},
    "notinject": {"benign": False},
    "wildguard_benign": {"benign": False},
    "xstest": {"safe": False, "unsafe": False},
    "cyberseceval_frr_benign": {"benign": False},
    "pii_presidio_synth": {None: False},
    "sarcasm_mustard": {"literal": False, "sarcastic": False},
}
TOXICITY: dict[str, Labels] = {
    "advbench": {"harmful": True},
    "toxicity_rtp": {"toxic": True},
    "xstest": {"safe": False, "unsafe": True},
    "notinject": {"benign": False},
    "wildguard_benign": {"benign": False},
    "cyberseceval_frr_benign": {"benign": False},
    "pii_presidio_synth": {None: False},
    "sarcasm_mustard": {"literal": False, "sarcastic": False},
}
"""By data set and label, whether a judge has to find it."""

MEASURED_ONLY = frozenset({"sarcasm_mustard", "toxicity_rtp"})
"""Never trained on. MUStARD: lines of television series, and whose they are is another question than the licence of
the set. RealToxicityPrompts: beginnings that models went on with badly, most of them news and harmless in themselves.
"""

OPEN = ("MIT", "Apache-2.0", "CC BY 4.0", "ODC-BY")
"""What the licence of a line has to name for weights trained on it to be shipped."""

OWN = {
    "injection": {"injection": True, "benign": False, "harmless": False, "toxicity": False},
    "toxicity": {"toxicity": True, "harmless": False, "benign": False},
}


class DataError(ValueError):
    """A data set cannot be used. One line with the mend."""


def read(folder: Path, judge: str, each: int, seed: int) -> tuple[list[Example], list[bool]]:
    """All that a judge is trained on or measured with, without duplicates.

    Args:
        folder: Of the data sets, `NAME.jsonl`.
        judge: `injection` or `toxicity`.
        each: At most how many of our own examples to make of a template.
        seed: Of these.

    Returns:
        The examples, and whether each has to be found.

    Raises:
        DataError: If a set is missing, broken or not openly licensed.
    """
    examples: list[Example] = []
    found: list[bool] = []
    seen: set[str] = set()
    for example, wanted in (*_sets(folder, judge), *_own(judge, each, seed)):
        key = folded(example.text)
        if key not in seen:
            seen.add(key)
            examples.append(example)
            found.append(wanted)
    return examples, found


def _own(judge: str, each: int, seed: int) -> Iterator[tuple[Example, bool]]:
    for example in own(each, seed):
        if example.label in OWN[judge]:
            yield example, OWN[judge][example.label]


def _sets(folder: Path, judge: str) -> Iterator[tuple[Example, bool]]:
    for source, labels in (INJECTION if judge == "injection" else TOXICITY).items():
        path = folder / f"{source}.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise DataError(f"{path} can't be read ({error.strerror}): name the folder of the data sets") from error
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                row = json.loads(line)
                text, label, licence = row["text"], row.get("label"), row["licence"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number} is no line with text and licence: mend or remove it") from error
            if source not in MEASURED_ONLY and not any(name in licence for name in OPEN):
                raise DataError(f"{path}:{number} is under {licence}: take it out, as weights are shipped")
            if label not in labels:
                raise DataError(f"{path}:{number} has the label {label!r}: mend or remove it")
            unsafe = source == "xstest" and label == "unsafe"
            group = f"notinject/{row['category']}" if source == "notinject" else ""
            yield Example(text, str(label), group, "xstest_unsafe" if unsafe else source), labels[label]
