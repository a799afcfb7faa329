"""How recordings were said: cues over time, as a table, for programs, or as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from pipelines.app import recording
from pipelines.lab.listening import Heard, Turn, listen
from processors.hearing.cues import Cue, Score
from processors.hearing.describe import describe
from processors.pcm import Samples

if TYPE_CHECKING:
    from pipelines.lab.bench_hearing import Hearing
    from processors.hearing.tagger import Ear

PICTURES = (".png", ".svg", ".pdf")
"""What a picture's name may end in."""


def check_picture(path: Path) -> None:
    """Refuse a picture that can't be written, before anything is heard.

    Raises:
        RecordingError: If there is no such folder, or the name ends in nothing that is known.
    """
    if path.suffix.lower() not in PICTURES:
        raise recording.RecordingError(f"{path}: is no name for a picture: let it end in {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise recording.RecordingError(f"{path}: there is no folder {path.parent}: make it first")


def hear(
    files: Sequence[Path],
    recordings: Sequence[Samples],
    progress: Callable[[float, float], None] = lambda done, of: None,
    *,
    one_caller: bool = False,
    ears: Callable[[], Ear] | None = None,
) -> list[Heard]:
    """Hear recordings as a call on the embedded stack would.

    Args:
        files: Their names, in order.
        recordings: Mono at 16 kHz, one a file.
        progress: Told how many of how many seconds have been heard.
        one_caller: Whether all are of the same caller, who is known better with each; otherwise each is of a stranger.
        ears: Makes what hears one caller; the project's own if none is given.

    Raises:
        WeightsError: If a model can't be had.
    """
    from pipelines.stacks.embedded import RECOGNISER
    from processors.hearing.voice import Hearer
    from processors.turns.strategy import smart_turn

    recogniser, judge = RECOGNISER.get(), smart_turn()
    whole = sum(map(len, recordings)) / recording.RATE
    before = 0.0
    heard: list[Heard] = []
    new = ears or Hearer
    ear, start = new(), 0
    for path, samples in zip(files, recordings, strict=True):
        if not one_caller:
            ear, start = new(), 0

        def tell(done: float, of: float, before: float = before) -> None:
            progress(before + done, whole)

        turns = listen(samples, ear, recogniser.transcribe, judge.probability, tell, start=start)
        heard.append(Heard(path, samples, start, tuple(turns)))
        start += len(samples)
        before += len(samples) / recording.RATE
    return heard


def draw(heard: Sequence[Heard], path: Path) -> None:
    """Write what was heard as a picture.

    Raises:
        RecordingError: If it can't be written.
    """
    from pipelines.lab import hearing_plot

    with _written(path):
        hearing_plot.draw(heard, path)


def draw_figures(result: Hearing, path: Path) -> None:
    """Write what a benchmark found as a picture.

    Raises:
        RecordingError: If it can't be written.
    """
    from pipelines.lab import hearing_plot

    with _written(path):
        hearing_plot.draw_figures(result, path)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise recording.RecordingError(f"{path}: cannot be written ({error.strerror}): choose another place") from None


def as_json(heard: Sequence[Heard]) -> list[dict[str, Any]]:
    """All that was heard; seconds since each recording began."""
    return [
        {
            "file": str(each.path),
            "seconds": round(len(each.samples) / recording.RATE, 3),
            "turns": [
                {
                    **_cue_json(each, turn.cue),
                    "told": describe(turn.cue),
                    "words": turn.text,
                    "phrases": [
                        {"start_s": _rounded(each, said.start), "end_s": _rounded(each, said.end), "words": said.text}
                        for said in turn.words
                    ],
                    "parts": [_cue_json(each, part) for part in turn.parts],
                }
                for turn in each.turns
            ],
        }
        for each in heard
    ]


def _rounded(heard: Heard, position: int) -> float:
    return round(heard.seconds(position), 3)


def _cue_json(heard: Heard, cue: Cue) -> dict[str, Any]:
    return {
        "start_s": _rounded(heard, cue.start),
        "end_s": _rounded(heard, cue.end),
        "arousal": _score_json(cue.arousal),
        "valence": _score_json(cue.valence),
        "emotion": cue.emotion,
        "emotions": {name: round(share, 3) for name, share in cue.emotions.items()},
        "syllables_per_s": None if cue.pace is None else round(cue.pace, 2),
        "level_dbfs": round(cue.loudness, 1),
        "pace_trend_per_min": round(cue.pace_trend, 3),
        "level_trend_db_per_min": round(cue.loudness_trend, 2),
        "emphasised": list(cue.emphasised),
        "hesitation": round(cue.hesitation, 3),
        "laughter": round(cue.laughter, 3),
        "sigh": round(cue.sigh, 3),
        "disagreement": round(cue.disagreement, 3),
        "turns_heard": cue.turns_heard,
    }


def _score_json(score: Score) -> dict[str, float]:
    return {
        "absolute": round(score.absolute, 3),
        "relative": round(score.relative, 3),
        "combined": round(score.combined, 3),
    }


COLUMNS = {"seconds": 13, "arousal": 9, "valence": 9, "emotion": 15, "syll/s": 8, "dBFS": 6, "hesitant": 10}
"""Of the table, with their widths in characters: it fits into 80."""


def render(heard: Sequence[Heard]) -> RenderableType:
    """All that was heard, for people: each turn's words, what the LLM is told, and a row of cues.

    A turn that was heard in several parts has a row for each under its own.
    """
    lines: list[Text] = []
    for each in heard:
        lines.append(Text(str(each.path), "bold", overflow="fold"))
        if each.turns:
            lines.append(_line(list(COLUMNS), "dim"))
        else:
            lines.append(Text("  no speech was heard", "yellow"))
        for turn in each.turns:
            lines += [*_told(turn), _line(_cells(each, turn.cue), "")]
            if len(turn.parts) > 1:
                lines += [_line(_cells(each, part), "dim") for part in turn.parts]
            lines.append(Text())
    return Group(*lines)


def _told(turn: Turn) -> list[Text]:
    words = Text(turn.text, "bold") if turn.text else Text("(no words were recognised)", "yellow")
    words.highlight_words(turn.cue.emphasised, "underline", case_sensitive=False)
    if turn.cue.emphasised:
        words.append(f"  stress on {', '.join(turn.cue.emphasised)}", "dim")
    told = describe(turn.cue)
    return [words, *([Text(told, "cyan")] if told else [])]


def _line(cells: Sequence[str], style: str) -> Text:
    return Text("".join(cell.rjust(width) for cell, width in zip(cells, COLUMNS.values(), strict=True)), style)


def _cells(heard: Heard, cue: Cue) -> list[str]:
    return [
        f"{heard.seconds(cue.start):.1f}–{heard.seconds(cue.end):.1f}",
        f"{cue.arousal.combined:.2f}",
        f"{cue.valence.combined:.2f}",
        f"{cue.emotion} {cue.emotions[cue.emotion]:>3.0%}",
        "–" if cue.pace is None else f"{cue.pace:.1f}",
        f"{cue.loudness:.0f}",
        f"{cue.hesitation:.0%}",
    ]
