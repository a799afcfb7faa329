"""Whether the six personas are told apart by ear: as it was last measured and kept, or as far as a definition tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.definition import TTS, Architecture
from pipelines.lab.compare.cells import Cell, Kind

if TYPE_CHECKING:
    from pipelines.lab.voices import Voices

FILE = Path(__file__).with_name("apart.json")
STACK = "embedded"
"""Whose voice `antiphon bench voices` measures."""


def keep(result: Voices, machine: str, file: Path = FILE) -> None:
    """Have the figures of a run shown from now on."""
    likest = min(result.pairs, key=lambda pair: pair.envelope)
    closest = min(result.pairs, key=lambda pair: pair.semitones)
    kept = {
        "command": "antiphon bench voices --keep",
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "stack": STACK,
        "voices": len(result.voices),
        "sentences": result.sentences,
        "identified": round(result.identified["both"], 3),
        "closest_in_pitch": {"voices": [closest.one, closest.other], "semitones": round(closest.semitones, 1)},
        "closest_in_resonance": {"voices": [likest.one, likest.other], "db": round(likest.envelope, 1)},
    }
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def measured(architecture: Architecture, stack: str, file: Path = FILE) -> Cell:
    """How often a sentence of the embedded voice is known to be its persona's, as it was kept.

    Args:
        architecture: With a voice of its own, or not.
        stack: The name of the one that fills it.
        file: Where it was kept.
    """
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if found.get("stack") != stack or by_definition(architecture).value != EACH:
        return by_definition(architecture)
    pitch, resonance = found["closest_in_pitch"], found["closest_in_resonance"]
    source = (
        f"{found['command']}, measured on {found['machine']}, {found['measured']}: of {found['sentences']} sentences "
        f"of each, by pitch and timbre; nearest are {' and '.join(pitch['voices'])}, {pitch['semitones']} semitones "
        f"apart, and {' and '.join(resonance['voices'])}, {resonance['db']} dB in resonance"
    )
    return Cell(Kind.MEASURED, source, round(100 * found["identified"], 1))


EACH, ONE = "a voice each", "one voice a call"


def by_definition(architecture: Architecture) -> Cell:
    """Who gives the personas their voices."""
    fusing = next((stage for stage in architecture.services if TTS.name in stage.fuses), None)
    if fusing is not None:
        source = (
            f"{fusing} is {fusing.parts} in one, whose voice is chosen when a call begins, if there are several: "
            "after a hand-over in mid-call it is the same"
        )
        return Cell(Kind.DEFINITION, source, ONE)
    if not any(stage.name == TTS.name for stage in architecture.services):
        return Cell(Kind.DEFINITION, "no stage reads text aloud", "no voice")
    source = (
        f"{TTS} is a stage of its own, with the voice of whoever speaks, after a hand-over in mid-call too; how far "
        "apart they are heard is measured for the embedded voice alone"
    )
    return Cell(Kind.DEFINITION, source, EACH)
