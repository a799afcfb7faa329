"""`antiphon hear`: recordings are heard as in a call, and shown as a table, for programs and as a picture."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from matplotlib.image import imread
from pipecat.frames.frames import InputAudioRawFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from rich.console import Console

from pipelines.app import hear
from pipelines.lab import hearing_plot
from pipelines.lab.listening import CHUNK, Heard, Turn, Words, listen
from processors.hearing.cues import RATE, Cue, Score
from processors.hearing.emphasis import Word
from processors.hearing.tagger import Tagger
from processors.pcm import Samples, to_pcm
from processors.turns.vad import PauseVAD
from tests.harness import on_the_bench, on_virtual_time
from tests.speech import needs, needs_heads, real, say
from tests.test_cli import ANTIPHON, antiphon, one_line

MIDDLE = Score(0.5, 0.5, 0.5)


def cue(start: int, end: int, **changes: object) -> Cue:
    even = {"neutral": 0.25, "happy": 0.25, "sad": 0.25, "angry": 0.25}
    return replace(Cue(start, end, MIDDLE, MIDDLE, even, 4.2, -20.0), **changes)


class NotingEar:
    """Notes what it is asked to hear."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        self.joinings: list[list[tuple[int, int]]] = []
        self.words: list[list[str]] = []
        self.learnt: list[list[tuple[int, int]]] = []

    def hear(self, samples: Samples, start: int) -> Cue:
        self.heard.append((start, start + len(samples)))
        return cue(start, start + len(samples))

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        self.joinings.append([(each.start, each.end) for each in cues])
        self.words.append([word.text for word in words])
        return cue(cues[0].start, cues[-1].end, turns_heard=len(self.learnt))

    def turn_done(self, cues: Sequence[Cue]) -> None:
        self.learnt.append([(each.start, each.end) for each in cues])


def heard_of(samples: Samples, ear: NotingEar, start: int = 0, text: str = "I see.") -> list[Turn]:
    return listen(samples, ear, lambda _: text, lambda *_: 1.0, start=start)


@pytest.fixture(scope="module")
def call() -> Samples:
    """A sentence of some seconds with a pause in it, and two seconds later a short one."""
    long, short = say("I would like to change my booking for tomorrow, because I am ill."), say("Is that possible?")
    return np.concatenate([long, np.zeros(2 * RATE, np.float32), short]).astype(np.float32)


def test_turns_are_where_somebody_speaks(call: Samples) -> None:
    ear = NotingEar()
    first, *_, last = heard_of(call, ear)
    loud = np.flatnonzero(np.abs(call) > 0.02)
    assert first.cue.start == pytest.approx(loud[0], abs=0.35 * RATE)
    assert last.cue.end == pytest.approx(loud[-1], abs=0.35 * RATE)
    assert ear.learnt == ear.joinings
    assert set(ear.words[0]) == {"I", "see."}
    for turn in (first, last):
        assert turn.text == " ".join(["I see."] * len(turn.words))
        assert all(one.end <= other.start for one, other in zip(turn.parts, turn.parts[1:], strict=False))
        assert turn.parts[0].start <= turn.words[0].start < turn.words[-1].end <= turn.parts[-1].end


def test_a_pause_in_an_unfinished_turn_does_not_end_it(call: Samples) -> None:
    gap = np.concatenate([say("I would like to"), np.zeros(RATE // 2, np.float32), say("change my booking.")])
    ear = NotingEar()
    (turn,) = listen(gap, ear, lambda _: "I would like to", lambda *_: 0.01)
    assert len(turn.words) == 2


def test_positions_count_from_where_they_are_told_to(call: Samples) -> None:
    one, other = NotingEar(), NotingEar()
    first, later = heard_of(call, one), heard_of(call, other, start=1000)
    assert [(s + 1000, e + 1000) for s, e in one.heard] == other.heard
    assert later[0].words[0].start == first[0].words[0].start + 1000


@on_virtual_time({"NotingEar.hear": 0.0, "NotingEar.joined": 0.0})
async def test_what_is_heard_is_what_a_call_hears() -> None:
    samples = say("I would like to change my booking for tomorrow, because I am ill.")
    samples = np.concatenate([samples, np.zeros(RATE, np.float32)]).astype(np.float32)
    in_call, alone = NotingEar(), NotingEar()
    async with (
        on_the_bench(PauseVAD()) as vad,
        on_the_bench(Tagger(in_call, lambda _: "", LLMContext())) as tagger,
    ):
        for begin in range(0, len(samples), CHUNK):
            await vad.give(InputAudioRawFrame(to_pcm(samples[begin : begin + CHUNK]), RATE, 1))
            await tagger.give(*(frame for frame, direction in vad.pushed if direction.name == "DOWNSTREAM"))
            vad.pushed.clear()
    heard_of(samples, alone)
    assert len(alone.heard) >= 3
    assert in_call.heard == alone.heard


@pytest.mark.parametrize("what", [np.zeros(0), np.zeros(RATE), 0.3 * np.sin(np.arange(2 * RATE) / 20)])
def test_where_nobody_speaks_there_are_no_turns(what: Samples) -> None:
    ear = NotingEar()
    assert heard_of(what.astype(np.float32), ear) == []
    assert ear.heard == ear.learnt == []


def made_up(path: str = "call $1_a.wav", seconds: float = 8.0, start: int = 0) -> Heard:
    """A recording whose only turn has two parts and more words than there is room for."""
    parts = (
        cue(start + RATE, start + 3 * RATE, emotions={"neutral": 0.1, "happy": 0.1, "sad": 0.0, "angry": 0.8}),
        cue(start + 3 * RATE, start + 4 * RATE, pace=None, hesitation=0.9),
    )
    whole = cue(start + RATE, start + 4 * RATE, emphasised=("never",), emotions=parts[0].emotions)
    text = "I have never been so well looked after in all of my long life."
    turn = Turn(whole, parts, (Words(start + RATE, start + 4 * RATE, text),))
    random = np.random.default_rng(0)
    samples = random.uniform(-0.2, 0.2, round(seconds * RATE)).astype(np.float32)
    return Heard(Path(path), samples, start, (turn,))


def test_programs_get_seconds_since_each_recording_began() -> None:
    (first, second) = hear.as_json([made_up(), made_up("b.wav", start=5 * RATE)])
    assert first["seconds"] == 8
    assert first["turns"] == second["turns"]
    (turn,) = first["turns"]
    assert (turn["start_s"], turn["end_s"]) == (1, 4)
    assert turn["emotion"] == "angry"
    assert turn["told"] == "(The caller sounds upset.)"
    assert turn["emphasised"] == ["never"]
    assert [part["end_s"] for part in turn["parts"]] == [3, 4]
    assert turn["parts"][1]["syllables_per_s"] is None
    assert turn["phrases"][0]["words"] == turn["words"]


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    shown = io.StringIO()
    Console(width=80, file=shown).print(hear.render([made_up(), replace(made_up("silent.wav"), turns=())]))
    text = shown.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    rows = [line.split() for line in text.splitlines() if "–" in line]
    assert [row[0] for row in rows] == ["1.0–4.0", "1.0–3.0", "3.0–4.0"]
    assert all(len(row) == 8 for row in rows)
    assert "no speech was heard" in text


@pytest.mark.parametrize("seconds", [4.5, 8.0, 70.0])
def test_a_picture_shows_all_of_the_recording(tmp_path: Path, seconds: float) -> None:
    picture = tmp_path / "out.png"
    hearing_plot.draw([made_up(seconds=seconds), replace(made_up("silent.wav"), turns=())], picture)
    image = imread(picture)
    assert image.shape[1] <= hearing_plot.WIDTH * hearing_plot.DPI + 1
    red = np.array([0xCC, 0x4B, 0x3F]) / 255
    assert (np.abs(image[:, :, :3] - red).max(axis=2) < 0.02).sum() > 1000  # of anger


def test_words_have_room_beside_each_other() -> None:
    said = [Words(n * RATE, n * RATE + RATE // 2, "a few words more") for n in range(1, 7)]
    turn = Turn(cue(RATE, 7 * RATE), (cue(RATE, 7 * RATE),), tuple(said))
    heard = Heard(Path("a.wav"), np.zeros(8 * RATE, np.float32), 0, (turn,))
    strip = hearing_plot._Strip(heard, 0, 8, first=True, inches=0.8)
    texts = list(hearing_plot._texts(strip, strip.inches))
    assert [round(middle, 2) for middle, _ in texts] == [1.25, 2.25, 3.25, 4.25, 5.25, 6.25]
    widest = max(len(line) for _, lines in texts for line in lines)
    assert widest * hearing_plot.CHARACTER <= 1.0 * strip.inches


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    quiet, empty, tone = tmp_path / "quiet.wav", tmp_path / "empty.wav", tmp_path / "tone.wav"
    soundfile.write(quiet, np.zeros(RATE), RATE)
    soundfile.write(empty, np.zeros(0), RATE)
    soundfile.write(tone, 0.3 * np.sin(np.arange(RATE) / 20), RATE)
    assert "is silent" in one_line(antiphon("hear", quiet))
    assert "holds no audio" in one_line(antiphon("hear", empty))
    assert "no such file" in one_line(antiphon("hear", tone, tmp_path / "none.wav"))
    assert "cannot be read as audio" in one_line(antiphon("hear", "README.md"))
    assert "end in .png" in one_line(antiphon("hear", tone, "--plot", tmp_path / "out.doc"))
    assert "there is no folder" in one_line(antiphon("hear", tone, "--plot", tmp_path / "none" / "out.png"))


@needs_heads
def test_nobody_speaking_is_said_and_ends_with_1(tmp_path: Path) -> None:
    needs("moonshine-tiny-en")
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(np.arange(RATE) / 20), RATE)
    done = antiphon("hear", tone)
    assert done.returncode == 1
    assert "no speech was heard" in done.stdout
    assert json.loads(antiphon("hear", tone, "--json").stdout)[0]["turns"] == []


@needs_heads
def test_an_angry_and_a_calm_sentence_at_any_rate(tmp_path: Path) -> None:
    needs("moonshine-tiny-en")
    angry, calm = (real(f"emotion_ravdess/03-01-{mood}-02-01-01-03.flac") for mood in ("05", "02"))
    samples, rate = soundfile.read(angry)
    narrow = tmp_path / "narrow.ogg"
    soundfile.write(narrow, np.repeat(soxr.resample(samples, rate, 8000)[:, None], 2, axis=1), 8000)
    picture = tmp_path / "out.svg"
    done = antiphon("hear", angry, calm, narrow, "--json", "--plot", picture)
    assert done.returncode == 0, done.stderr
    levels = [each["turns"][0]["arousal"]["combined"] for each in json.loads(done.stdout)]
    assert levels[0] > levels[1] + 0.2
    assert levels[2] > levels[1] + 0.1
    assert [each["turns"][0]["turns_heard"] for each in json.loads(done.stdout)] == [0, 0, 0]
    assert "door" in json.loads(done.stdout)[0]["turns"][0]["words"]
    assert picture.read_text(encoding="utf-8").rstrip().endswith("</svg>")


@needs_heads
def test_one_caller_is_known_better_from_recording_to_recording() -> None:
    needs("moonshine-tiny-en")
    files = [real(f"emotion_ravdess/03-01-02-01-01-0{take}-03.flac") for take in (1, 2)]
    done = antiphon("hear", *files, "--one-caller", "--json")
    first, second = (each["turns"] for each in json.loads(done.stdout))
    assert first[0]["turns_heard"] == 0
    assert second[0]["turns_heard"] == len(first)
    assert second[0]["end_s"] < 5


@needs_heads
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_who_leaves_early_ends_it_without_a_word(options: list[str]) -> None:
    needs("moonshine-tiny-en")
    file = real("emotion_ravdess/03-01-05-02-01-01-03.flac")
    command = [str(ANTIPHON), "hear", str(file), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 141
    assert "Traceback" not in told
