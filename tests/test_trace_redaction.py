"""Nothing personal reaches the disk: neither words nor sound, neither at the end nor in a crash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lab.caller import Caller
from pipelines.lab.trace import Event, Trace, flac, redact
from pipelines.lab.trace.files import Files
from pipelines.lab.trace.hold import BEFORE_SECS, LONGEST_SECS, Hold
from pipelines.lab.trace.memory import REDACTED, WITHHELD, Memory
from tests.traced import UNGUARDED, hold, speech

ROOT = Path(__file__).parents[1]
CARD = "four one one one, one one one one, one one one one, one one one one"
DIGITS = re.compile(r"(?:\W*\b(?:four|one|[0-9]+)\b){3,}", re.IGNORECASE)
LONG = re.compile(r"\d{5,}")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("My card is 4111 1111 1111 1111, thanks.", "My card is [card], thanks."),
        ("It's four, uh, five six and then seven.", "It's [number]."),
        ("Call +49 (30) 1234567 now.", "Call [phone] now."),
        ("Call 555-123-4567.", "Call [phone]."),
        ("My number is 123-45-6789.", "My number is [ssn]."),
        ("DE89 3704 0044 0532 0130 00 is it.", "[iban] is it."),
        ("Mail john.smith@example.org, please.", "Mail [e-mail], please."),
        ("Mail john dot smith at gmail dot com please.", "Mail [e-mail] please."),
        ("4 1 1 1", "[number]"),
    ],
)
def test_what_is_personal_is_taken_out(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "2,500,000 people at 12:30:45 in 2026",
        "one two three go",
        "I'd like two tickets for four people at 8",
        "The total comes to $4.50.",
        "I am at home.",
        "",
    ],
)
def test_what_is_not_stays(text: str) -> None:
    assert redact(text) == text


# --- a whole conversation ---


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Small talk, a card number that is read back, small talk."""

    async def talk(caller: Caller) -> None:
        await caller.say(speech(1.5))
        await caller.say(speech(6.0))
        await caller.say(speech(1.5))

    return hold(
        tmp_path_factory.mktemp("traces"),
        ["What can you do?", f"My card is {CARD}.", "Thank you so much."],
        ["I can sing one note.", f"So it is {CARD}, is that right?", "You are welcome."],
        talk,
        redact,
        UNGUARDED,
    )


def test_a_spoken_card_number_is_nowhere_in_the_folder(conversation: Trace) -> None:
    assert conversation.meta.redacted
    for name in ("events.jsonl", "meta.json"):
        text = (conversation.folder / name).read_text(encoding="utf-8")
        for line in text.splitlines() if name == "events.jsonl" else ():
            event = Event.model_validate_json(line)
            assert not DIGITS.search(str(event.payload or "")) or event.kind == "MetricsFrame", line
        assert "one one" not in text
        assert "four" not in text
    assert [event.text for event in conversation.of("STT", "out") if "[card]" in event.text] == ["My card is [card]."]
    assert any("[card]" in event.text for event in conversation.of("TTS", "out"))
    assert {path.name for path in conversation.folder.iterdir()} == {
        "meta.json",
        "events.jsonl",
        "in.flac",
        "out.flac",
    }


def test_the_sound_of_it_is_silenced_and_that_of_the_rest_is_not(conversation: Trace) -> None:
    first, second, third = conversation.turns
    for turn, silent in ((first, False), (second, True), (third, False)):
        end = turn.marks.speech_end or 0.0
        said = conversation.heard[round(turn.begin * 16000) : round(end * 16000)]
        assert np.any(said) != silent, turn.number
    words = [e for e in second.events if e.kind == "TTSTextFrame" and e.way == "out" and e.stage == "TTS"]
    times = {n: float((word.payload or {})["at"]) for n, word in enumerate(words)}
    hit = [n for n, word in enumerate(words) if "[card]" in word.text or not re.search(r"\w", word.text)]
    assert len(hit) == 16
    read_back = conversation.played[round(times[hit[0]] * 24000) : round(times[hit[-1] + 1] * 24000)]
    assert not read_back.any()
    assert conversation.played[round(times[0] * 24000) : round((times[hit[0]] - 0.2) * 24000)].any()
    assert conversation.played[round((times[hit[-1] + 1] + 0.2) * 24000) :].any()


def test_what_was_not_personal_is_all_there(conversation: Trace) -> None:
    first, second, third = conversation.turns
    assert (first.transcript, first.answer) == ("What can you do?", "I can sing one note.")
    assert second.answer == "So it is [card], is that right?"
    assert second.planned.strip() == "So it is [card], is that right?"
    assert (third.transcript, third.answer) == ("Thank you so much.", "You are welcome.")
    assert second.marks.total_ms is not None
    messages = [e.payload for e in third.events if e.kind == "LLMContextFrame" and e.way == "in"][-1]
    assert messages is not None
    assert [m["content"] for m in messages["messages"]][2] == "My card is [card]."
    assert len(conversation.heard) / 16000 == pytest.approx(conversation.duration, abs=0.05)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.traced import hold, speech

def die(text):
    if "one one" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return text

async def talk(caller):
    await caller.say(speech(1.5))
    await caller.say(speech(6.0))

hold(Path(sys.argv[1]), ["What can you do?", "My card is %s."], ["I can sing one note.", "Thanks."], talk, die)
"""


def test_a_crash_leaves_what_was_known_to_be_harmless(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED % CARD, str(tmp_path)], cwd=ROOT, check=False, capture_output=True
    )
    assert killed.returncode == -9
    (trace,) = Trace.list(tmp_path)
    text = (trace.folder / "events.jsonl").read_text(encoding="utf-8")
    assert "What can you do?" in text
    assert "card" not in text
    assert trace.played.any()
    heard = trace.heard
    begin = trace.turns[-1].begin if len(trace.turns) > 1 else 9e9
    assert heard[: round(begin * 16000)].any()
    assert not heard[round((begin - 0.1) * 16000) :].any() if begin < 9e9 else True
    for name in ("in.flac", "out.flac"):
        flac.read(trace.folder / name)


# --- holding back ---


class Stage:
    """Drives a `Hold` by hand."""

    def __init__(self, folder: Path, redactor: object = redact) -> None:
        self.files = Files(folder)
        self.folder = folder
        self.hold = Hold(self.files, redactor)  # type: ignore[arg-type]
        self.now = 0.0
        self.frame = 0

    def hear(self, seconds: float, level: int = 1000) -> None:
        for _ in range(round(seconds * 50)):
            self.hold.hear(np.full(320, level, np.int16))
            self.hold.play(np.zeros(480, np.int16))
            self.now += 0.02

    def speak(self, seconds: float, level: int = 1000) -> None:
        for _ in range(round(seconds * 50)):
            self.hold.hear(np.zeros(320, np.int16))
            self.hold.play(np.full(480, level, np.int16), speech=True)
            self.now += 0.02

    def note(self, kind: str, stage: str = "STT", **payload: object) -> None:
        self.frame += 1
        self.hold.note(
            Event(
                at=self.now,
                heard=0,
                played=0,
                stage=stage,
                way="out",
                kind=kind,
                frame=self.frame,
                payload=payload or None,
            )
        )

    def written(self) -> tuple[list[tuple[str, object]], np.ndarray, np.ndarray]:
        self.hold.end()
        self.files.close()
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        events = [Event.model_validate_json(line) for line in lines]
        return (
            [(event.kind, (event.payload or {}).get("text")) for event in events],
            flac.read(self.folder / "in.flac"),
            flac.read(self.folder / "out.flac"),
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_number_dictated_in_pieces_is_one_number(stage: Stage) -> None:
    stage.hear(2.0)
    for piece in ("It is four", "one", "one one", "five, thank you"):
        stage.note("VADUserStartedSpeakingFrame", start_secs=0.1)
        stage.hear(1.0)
        stage.note("VADUserStoppedSpeakingFrame", stop_secs=0.2)
        stage.note("InterimTranscriptionFrame", text=piece)
        stage.note("TranscriptionFrame", text=piece)
        stage.hear(0.5)
    stage.note("UserStoppedSpeakingFrame")
    stage.hear(4.0)
    events, heard, _ = stage.written()
    assert [text for kind, text in events if kind == "TranscriptionFrame"] == ["It is [number]", "", "", ", thank you"]
    assert {text for kind, text in events if kind == "InterimTranscriptionFrame"} == {REDACTED}
    assert heard[: round(1.39 * 16000)].all()
    assert not heard[round(1.41 * 16000) : round(8.0 * 16000)].any()
    assert heard[round(8.01 * 16000) :].all()


def test_speech_that_nobody_understood_is_silenced(stage: Stage) -> None:
    stage.hear(2.0)
    stage.note("VADUserStartedSpeakingFrame", start_secs=0.1)
    stage.hear(1.0)
    stage.note("VADUserStoppedSpeakingFrame", stop_secs=0.2)
    stage.note("UserStoppedSpeakingFrame")
    stage.hear(5.0)
    _, heard, _ = stage.written()
    assert not heard[round(1.41 * 16000) : 3 * 16000].any()
    assert heard[3 * 16000 + 1 :].all()


def test_a_turn_that_does_not_end_is_withheld(stage: Stage) -> None:
    stage.note("VADUserStartedSpeakingFrame", start_secs=0.1)
    stage.note("InterimTranscriptionFrame", text="four one")
    stage.hear(LONGEST_SECS + 10)
    assert len(flac.read(stage.folder / "in.flac")) > (LONGEST_SECS - BEFORE_SECS - 1) * 16000
    events, heard, _ = stage.written()
    assert ("InterimTranscriptionFrame", WITHHELD) in events
    assert not heard.any()


def answer(stage: Stage, *words: str, timed: bool = True) -> None:
    """An answer whose words are 0.5 s each, from now."""
    stage.note("LLMFullResponseStartFrame", "LLM")
    for word in words:
        stage.note("LLMTextFrame", "LLM", text=f"{word} ")
    stage.note("LLMFullResponseEndFrame", "LLM")
    for n, word in enumerate(words):
        stage.note("TTSTextFrame", "TTS", text=word, at=stage.now + n / 2 if timed else None)
    stage.note("BotStartedSpeakingFrame", "AUDIO_OUT")
    stage.speak(len(words) / 2)


def test_the_words_of_an_answer_are_silenced_at_their_times(stage: Stage) -> None:
    stage.hear(1.0)
    answer(stage, *"Sure it is four one one five right then".split())
    stage.note("BotStoppedSpeakingFrame", "AUDIO_OUT")
    events, _, played = stage.written()
    assert [text for kind, text in events if kind == "TTSTextFrame"][2:8] == ["is", "[number]", "", "", "", "right"]
    assert played[round(1.0 * 24000) : round(2.29 * 24000)].all()
    assert not played[round(2.31 * 24000) : round(4.69 * 24000)].any()
    assert played[round(4.71 * 24000) : round(5.5 * 24000)].all()


def test_without_times_all_of_the_answer_is_silenced(stage: Stage) -> None:
    stage.hear(1.0)
    answer(stage, *"Sure it is four one one five right then".split(), timed=False)
    stage.note("BotStoppedSpeakingFrame", "AUDIO_OUT")
    _, _, played = stage.written()
    assert not played.any()


def test_a_voice_without_words_is_silenced_and_background_is_not(stage: Stage) -> None:
    stage.hold.play(np.full(24000, 7, np.int16))
    stage.now += 1.0
    stage.speak(1.0)
    stage.note("BotStoppedSpeakingFrame", "AUDIO_OUT")
    _, _, played = stage.written()
    assert played[: 24000 - 4800].all()
    assert not played[24000:].any()


def test_what_is_played_on_after_an_interruption_belongs_to_the_answer(stage: Stage) -> None:
    stage.hear(1.0)
    answer(stage, *"All is well".split())
    stage.note("InterruptionFrame", "USER_TURN")
    stage.note("BotStoppedSpeakingFrame", "AUDIO_OUT")
    stage.speak(0.04)
    _, _, played = stage.written()
    assert played[24000:].all()


def test_an_answer_longer_than_may_be_held_is_judged_by_the_words_so_far(stage: Stage) -> None:
    words = ["word"] * 200
    words[130:134] = "four one one five".split()
    answer(stage, *words)
    stage.note("BotStoppedSpeakingFrame", "AUDIO_OUT")
    _, _, played = stage.written()
    assert played[: round(64.7 * 24000)].all()
    assert not played[round(64.9 * 24000) : round(67.1 * 24000)].any()
    assert played[round(67.3 * 24000) :].all()


def test_arguments_and_results_of_functions_are_redacted_and_names_are_not(stage: Stage) -> None:
    stage.note(
        "FunctionCallResultFrame",
        "LLM",
        name="pay",
        call="call_1234567890",
        arguments={"card": 4111111111111111, "name": "0049 30 1234567", "amount": 12.5},
        result={"mail": ["a@b.org"]},
    )
    stage.written()
    (line,) = (stage.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert Event.model_validate_json(line).payload == {
        "name": "pay",
        "call": "call_1234567890",
        "arguments": {"card": "[card]", "name": "[number]", "amount": 12.5},
        "result": {"mail": ["[e-mail]"]},
    }


def test_a_redactor_that_raises_lets_nothing_through(tmp_path: Path) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    stage = Stage(tmp_path, broken)
    stage.hear(2.0)
    stage.note("VADUserStartedSpeakingFrame", start_secs=0.1)
    stage.hear(1.0)
    stage.note("TranscriptionFrame", text="a secret")
    stage.note("UserStoppedSpeakingFrame")
    events, heard, _ = stage.written()
    assert ("TranscriptionFrame", WITHHELD) in events
    assert not heard[round(1.5 * 16000) :].any()


# --- what was taken out stays out ---


def test_a_part_of_what_was_taken_out_is_taken_out_too() -> None:
    memory = Memory(redact)
    assert memory.learn("it is four one one five two")
    assert memory.clean("ending in 1152, you said one one five") == f"ending in {REDACTED}, you said {REDACTED}"
    assert memory.clean("one of four") == "one of four"
    assert not memory.learn("nothing to see")


@given(st.lists(st.sampled_from("one two four 41 5 hello um , .".split()), max_size=30), st.sampled_from(["", " "]))
def test_pieces_are_redacted_as_their_whole_is(pieces: list[str], between: str) -> None:
    memory = Memory(redact)
    whole = memory.clean(between.join(pieces))
    cleaned = memory.clean_pieces(pieces, between)
    assert len(cleaned) == len(pieces)
    kept = [word for word in re.findall(r"\w+", whole) if word not in {"number", "phone", "ssn", "card"}]
    left = [
        word for word in re.findall(r"\w+", between.join(cleaned)) if word not in {"number", "phone", "ssn", "card"}
    ]
    assert left == kept or between == ""
