"""False cut-offs and delay of the end of a turn, against Smart Turn alone, on phrases that could end earlier."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from pipelines.app import recording
from pipelines.lab.acoustics import speech_end
from pipelines.lab.bench_latency import BenchError, machine
from processors.pcm import Samples
from processors.turns.rules import TurnRules, silence_needed

RATE = recording.RATE
FOLDER = "turn_vap_phrases"
PAUSES = (0.3, 0.5, 0.75, 1.0)
"""Seconds of pause in mid-phrase for which cut-offs are counted."""

SOON_SECS = 0.8
SMART_TURN_DONE, SMART_TURN_OTHERWISE = 0.2, 3.0
"""Pipecat's: the VAD's silence if the model says complete, its timeout if not."""

RECALL = 0.95


@dataclass(frozen=True)
class Ending:
    """One place at which a speaker falls silent.

    Args:
        finished: Whether the phrase is over there; otherwise it goes on after a pause.
        probability: Smart Turn's.
        text: What the recogniser heard until there.
    """

    finished: bool
    probability: float
    text: str


@dataclass(frozen=True)
class Score:
    """How one way to end turns does. Shares are between 0 and 1, delays in seconds of silence.

    Args:
        name: Of the way.
        soon: Share of finished phrases that are answered within `SOON_SECS`.
        delay_p50: Of finished phrases.
        delay_p95: Of finished phrases.
        cut_off: Per length of pause, the share of unfinished phrases that are cut off.
    """

    name: str
    soon: float
    delay_p50: float
    delay_p95: float
    cut_off: tuple[float, ...]


def places(data: Path) -> list[tuple[Samples, bool]]:
    """Every phrase up to its end, and every long one up to where its short twin ends.

    Raises:
        BenchError: If the phrases are not there.
    """
    manifest = data / "manifest_audio.jsonl"
    if not manifest.exists():
        raise BenchError(f"{data}: holds no {manifest.name}: give the folder of recordings with --data")
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["path"].startswith(f"{FOLDER}/")]
    if not rows:
        raise BenchError(f"{data}: lists no phrases under {FOLDER}: give the folder of recordings with --data")
    words_in_short = {row["phrase"]: len(row["words"]) for row in rows if row["size"] == "short"}
    found = []
    for row in rows:
        samples = recording.load(data / row["path"])
        found.append((samples[: round(speech_end(samples, RATE) * RATE)], True))
        if row["size"] == "long":
            cut = round(row["starts"][words_in_short[row["phrase"]]] * RATE)
            found.append((samples[:cut], False))
    return found


def listen(places: Sequence[tuple[Samples, bool]], on_place: Callable[[int, int], None]) -> list[Ending]:
    """Have the models hear every place, as they do in a call: at the first sign of a pause."""
    from pipelines.stacks.embedded import RECOGNISER
    from processors.turns.smart_turn import SmartTurn
    from processors.turns.vad import PAUSE_WINDOWS, WINDOW_SECS

    model, recogniser = SmartTurn(), RECOGNISER.get()
    silence = PAUSE_WINDOWS * WINDOW_SECS
    endings = []
    for number, (samples, finished) in enumerate(places):
        on_place(number, len(places))
        heard = np.concatenate([samples, np.zeros(round(silence * RATE), np.float32)])
        endings.append(Ending(finished, model.probability(heard, silence), recogniser.transcribe(heard)))
    return endings


def score(name: str, endings: Sequence[Ending], wait: Callable[[Ending], float]) -> Score:
    """How a way to end turns does that waits so many seconds at each ending."""
    finished = np.array([wait(ending) for ending in endings if ending.finished])
    going_on = np.array([wait(ending) for ending in endings if not ending.finished])
    return Score(
        name,
        float((finished <= SOON_SECS).mean()),
        float(np.percentile(finished, 50)),
        float(np.percentile(finished, 95)),
        tuple(float((going_on < pause).mean()) for pause in PAUSES),
    )


def scores(endings: Sequence[Ending]) -> list[Score]:
    """Smart Turn alone at its own threshold and at the one that finds 95 % of finished phrases; ours."""
    rules = TurnRules()
    low = float(np.percentile([e.probability for e in endings if e.finished], 100 * (1 - RECALL)))

    def alone(threshold: float) -> Callable[[Ending], float]:
        return lambda ending: SMART_TURN_DONE if ending.probability >= threshold else SMART_TURN_OTHERWISE

    return [
        score("Smart Turn alone", endings, alone(0.5)),
        score(f"… at {RECALL:.0%} recall", endings, alone(low)),
        score("Antiphon", endings, lambda e: silence_needed(e.probability, e.text, rules)),
    ]


def run(data: Path, on_place: Callable[[int, int], None]) -> list[Score]:
    """Listen and score.

    Raises:
        BenchError: As `places`.
    """
    return scores(listen(places(data), on_place))


def as_json(results: Sequence[Score]) -> dict[str, Any]:
    """All figures."""
    return {
        "machine": machine(),
        "phrases": FOLDER,
        "ways": [
            {
                "name": result.name,
                f"answered_within_{SOON_SECS}_s": round(result.soon, 3),
                "delay_s": {"p50": round(result.delay_p50, 2), "p95": round(result.delay_p95, 2)},
                "cut_off_by_pause_s": dict(zip(PAUSES, (round(share, 3) for share in result.cut_off), strict=True)),
            }
            for result in results
        ],
    }


def table(results: Sequence[Score]) -> Table:
    """The comparison for people."""
    shown = Table(
        title=f"Ending a turn: finished phrases answered within {SOON_SECS} s, their delay in s,\n"
        "and phrases cut off in the middle by a pause of so long"
    )
    shown.add_column("")
    for column in ("answered", "p50", "p95", *(f"{pause} s" for pause in PAUSES)):
        shown.add_column(column, justify="right")
    for result in results:
        shown.add_row(
            result.name,
            f"{result.soon:.0%}",
            f"{result.delay_p50:.2f}",
            f"{result.delay_p95:.2f}",
            *(f"{share:.0%}" for share in result.cut_off),
        )
    return shown
