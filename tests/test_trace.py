"""A trace is what happened: written as it goes, on one clock, readable after a crash, dear to nobody's event loop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
    MetricsFrame,
    SystemFrame,
    TranscriptionFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage, LLMUsageMetricsData
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.transports.base_transport import BaseTransport

from pipelines.assemble import assemble
from pipelines.lab import virtual
from pipelines.lab.caller import Caller
from pipelines.lab.trace import Redactor, Trace, TraceError, flac, redact
from pipelines.lab.trace.axis import Axis
from pipelines.lab.trace.event import Event
from pipelines.lab.trace.files import Files, Payloads
from pipelines.lab.trace.overhead import measure
from pipelines.lab.trace.payload import payload
from tests.traced import ARCHITECTURE, hold, interrupted, speech, stack

ROOT = Path(__file__).parents[1]
QUESTION = "What can you do?"
ANSWER = "I can sing one note, and I can sing it for as long as you like."


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """A question, an answer that is interrupted, and an answer to that."""

    async def talk(caller: Caller) -> None:
        await interrupted(caller, speech(1.5), speech(1.0))

    return hold(tmp_path_factory.mktemp("traces"), [QUESTION, "Stop that now."], [ANSWER, "All right then."], talk)


def test_meta_says_how_the_conversation_was_wired(conversation: Trace) -> None:
    meta = conversation.meta
    assert (meta.format, meta.architecture, meta.redacted) == (1, "basic_cascade", False)
    assert meta.services == {"STT": "ears", "LLM": "script", "TTS": "tone"}
    assert [stage.name for stage in meta.stages][:3] == ["AUDIO_IN", "STT", "USER_TURN"]
    assert meta.begun == "2026-01-01T00:00:00.000+00:00"
    assert meta.persona["name"] == "Ferni"
    assert meta.rates == {"in": 16000, "out": 24000}
    assert meta.versions["pipecat"].startswith("1.14.")
    assert all(len(digest) == 64 for digest in meta.weights.values())


def test_every_stage_has_its_input_and_output(conversation: Trace) -> None:
    heard = conversation.of("STT", "out")
    assert [event.text for event in heard if event.kind == "TranscriptionFrame"] == [QUESTION, "Stop that now."]
    assert [event.text for event in heard if event.kind == "InterimTranscriptionFrame"][:2] == ["What", "What can"]
    (first, *_) = conversation.of("LLM", "in")
    assert first.kind == "LLMContextFrame"
    assert first.payload is not None
    assert first.payload["messages"] == [{"role": "user", "content": QUESTION}]
    assert first.payload["speculation"] is True
    written = [event for event in conversation.of("LLM", "out") if event.kind == "UnclearedTextFrame"]
    assert all(set(event.payload or {}) == {"characters"} for event in written)
    spoken = "".join(event.text for event in conversation.of("OUTPUT_GUARD", "out") if event.kind == "LLMTextFrame")
    assert spoken == f"{ANSWER} All right then. "
    clauses = [event.text for event in conversation.of("SENTENCES", "out") if event.kind == "AggregatedTextFrame"]
    assert clauses == [event.text for event in conversation.of("TTS", "in") if event.kind == "AggregatedTextFrame"]
    pieces = [event.payload for event in conversation.of("TTS", "out") if event.kind == "TTSAudioRawFrame"]
    assert all(piece is not None and piece["to"] - piece["from"] == piece["samples"] for piece in pieces)
    kinds = {event.kind for event in conversation.events}
    assert {"InterruptionFrame", "UserStoppedSpeakingFrame", "BotStartedSpeakingFrame", "CancelFrame"} <= kinds


def test_turns_have_words_and_parts_that_sum_to_the_whole(conversation: Trace) -> None:
    first, second = conversation.turns
    assert (first.transcript, first.planned.strip()) == (QUESTION, ANSWER)
    assert ANSWER.startswith(first.answer)
    assert len(first.answer) < len(ANSWER)
    assert (second.transcript, second.answer) == ("Stop that now.", "All right then.")
    assert (first.interrupts, second.interrupts) == (False, True)
    for turn in (first, second):
        total = turn.marks.total_ms
        assert total is not None
        assert sum(part.ms for part in turn.marks.parts()) == pytest.approx(total)
        assert turn.marks.speech_end is not None
        assert turn.begin < turn.marks.speech_end < turn.marks.at["heard"] < turn.end


def test_both_voices_lie_on_one_axis(conversation: Trace) -> None:
    (begin, *_) = (e for e in conversation.events if e.kind == "BotStartedSpeakingFrame")
    first = np.flatnonzero(conversation.played)[0] / 24000
    assert first == pytest.approx(begin.at, abs=0.002)
    assert np.flatnonzero(conversation.heard)[0] / 16000 == pytest.approx(0.52, abs=0.002)
    (stop, *_) = (e for e in conversation.events if e.kind == "BotStoppedSpeakingFrame")
    quiet = conversation.played[round((stop.at + 0.05) * 24000) : round((stop.at + 0.3) * 24000)]
    assert not quiet.any()
    assert len(conversation.heard) / 16000 == pytest.approx(conversation.duration, abs=0.05)
    assert len(conversation.played) / 24000 == pytest.approx(conversation.duration, abs=0.15)


def test_events_come_in_order_with_the_samples_heard_and_played(conversation: Trace) -> None:
    for before, after in zip(conversation.events, conversation.events[1:], strict=False):
        assert after.heard >= before.heard
        assert after.played >= before.played
    for event in conversation.events:
        assert event.heard / 16000 == pytest.approx(event.at, abs=0.25)
        assert event.played / 24000 == pytest.approx(event.at, abs=0.15)


def test_a_conversation_on_virtual_time_gives_the_same_trace_again(conversation: Trace, tmp_path: Path) -> None:
    async def talk(caller: Caller) -> None:
        await interrupted(caller, speech(1.5), speech(1.0))

    again = hold(tmp_path, [QUESTION, "Stop that now."], [ANSWER, "All right then."], talk)
    for name in ("events.jsonl", "in.flac", "out.flac", "meta.json"):
        assert (again.folder / name).read_bytes() == (conversation.folder / name).read_bytes(), name


def test_a_history_is_written_once(conversation: Trace) -> None:
    lines = (conversation.folder / "events.jsonl").read_text(encoding="utf-8")
    assert lines.count('"role":"user","content":"What can you do?"') == 1
    last = [event for event in conversation.of("LLM", "in") if event.kind == "LLMContextFrame"][-1]
    assert last.payload is not None
    assert [message["role"] for message in last.payload["messages"]] == ["user", "assistant", "user"]


# --- reading ---


def test_a_line_that_was_cut_off_is_skipped_and_said(conversation: Trace, tmp_path: Path) -> None:
    for file in conversation.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    events = tmp_path / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-30])
    (tmp_path / "out.flac").unlink()
    trace = Trace.load(tmp_path)
    assert len(trace.events) == len(conversation.events) - 1
    assert trace.damage == (
        f"events.jsonl: line {len(conversation.events)} was cut off and is skipped",
        "out.flac: cannot be read (No such file or directory)",
    )
    assert not len(trace.played)


def test_what_is_no_trace_is_refused_in_one_line(conversation: Trace, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"meta.json: cannot be read \(No such file or directory\): give the folder"):
        Trace.load(tmp_path)
    with pytest.raises(TraceError, match="no stage STP: choose AUDIO_IN, STT"):
        conversation.of("STP")
    (tmp_path / "meta.json").write_text("{", encoding="utf-8")
    with pytest.raises(TraceError, match="is no JSON"):
        Trace.load(tmp_path)
    (tmp_path / "meta.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(TraceError, match="has format 99, and this reads 1"):
        Trace.load(tmp_path)
    with pytest.raises(TraceError, match="give the folder of traces"):
        Trace.list(tmp_path / "none")
    for file in conversation.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"nonsense\n" + events.read_bytes())
    with pytest.raises(TraceError, match="line 1 is no event"):
        _ = Trace.load(tmp_path).events


def test_traces_are_listed_in_order_and_other_folders_passed_over(conversation: Trace, tmp_path: Path) -> None:
    meta = (conversation.folder / "meta.json").read_text(encoding="utf-8")
    for name, year in (("b", "2026"), ("a", "2027"), ("c", "2025")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text(meta.replace("2026-01", f"{year}-01"), encoding="utf-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    assert [trace.folder.name for trace in Trace.list(tmp_path)] == ["c", "b", "a"]


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    from pipelines.lab.trace import TraceObserver

    (tmp_path / "file").touch()
    with pytest.raises(TraceError, match="no trace can be written here"):
        TraceObserver(tmp_path / "file")


# --- a crash ---

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from pipelines.lab.trace.files import Files
from pipelines.lab.trace.meta import describe
from pipelines.lab.trace.recorder import Heard, Plain, Played, Recorder, Seen

files = Files(Path(sys.argv[1]))
files.describe(describe(None, 0.0, False))
recorder = Recorder(Plain(files))
noise = np.random.default_rng(5).integers(-9000, 9000, 320 * 500, np.int16)
for n in range(500):
    at = (n + 1) / 50
    recorder.take(Heard(at, noise[320 * n : 320 * (n + 1)].tobytes(), 16000, 1))
    if n >= 250:
        recorder.take(Played(at, noise[480 * (n - 250) : 480 * (n - 249)].tobytes(), 24000, 1))
    recorder.take(Seen(at, "STT", "out", "InterimTranscriptionFrame", n, payload={"text": f"word {n}"}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_can_be_read_after_the_process_was_killed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    trace = Trace.load(tmp_path)
    assert trace.damage == ()
    assert [event.text for event in trace.events] == [f"word {n}" for n in range(500)]
    noise = np.random.default_rng(5).integers(-9000, 9000, 320 * 500, np.int16)
    heard, played = flac.read(tmp_path / "in.flac"), flac.read(tmp_path / "out.flac")
    assert len(heard) > 16000 * 9.4
    assert (heard == noise[: len(heard)]).all()
    assert len(played) > 24000 * 9.4
    assert not played[: 24000 * 5].any()
    assert (played[24000 * 5 :] == noise[: len(played) - 24000 * 5]).all()


def test_a_flac_file_says_its_length_to_any_reader_while_it_is_written(tmp_path: Path) -> None:
    writer = flac.FlacWriter(tmp_path / "a.flac", 16000)
    assert len(flac.read(tmp_path / "a.flac")) == 0
    samples = np.arange(10_000, dtype=np.int16)
    for at in range(0, 10_000, 100):
        writer.write(samples[at : at + 100])
        readable = flac.read(tmp_path / "a.flac")
        assert (readable == samples[: len(readable)]).all()
        assert len(readable) >= at - 4096 - 100
    writer.silence(16000 * 25)
    writer.close()
    whole, rate = soundfile.read(tmp_path / "a.flac", dtype="int16")
    assert (len(whole), rate) == (10_000 + 16000 * 25, 16000)
    assert (whole[:10_000] == samples).all()


# --- what it costs ---


@pytest.mark.parametrize("redactor", [None, redact], ids=["plain", "redacted"])
def test_tracing_takes_less_than_a_millisecond_of_the_event_loop(tmp_path: Path, redactor: Redactor | None) -> None:
    scripted = stack([QUESTION, "Stop that now."], [ANSWER, "All right then."])

    async def converse(caller: Caller) -> None:
        await interrupted(caller, speech(1.5), speech(1.0))

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(ARCHITECTURE, scripted, transport, observers=observers)

    cost = virtual.run(measure(tmp_path, make, converse, redactor=redactor))
    assert cost.frames > 500
    assert 0 < cost.p50_us <= cost.p99_us <= cost.max_us
    assert cost.p99_us < 1000


# --- the parts ---


@given(st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 2000)), max_size=40))
def test_audio_never_runs_behind_the_clock_by_more_than_the_slack(pieces: list[tuple[float, int]]) -> None:
    axis, now = Axis(16000, 0.1), 0.0
    for wait, samples in pieces:
        now += wait + samples / 16000
        silence = axis.place(now, samples)
        assert silence >= 0
        assert 0 <= round(now * 16000) - axis.length + 1 <= 0.1 * 16000 + 2
    axis.advance(now + 3)
    assert axis.length >= round((now + 2.9) * 16000) - 1


def test_pieces_that_come_a_little_late_follow_without_a_gap() -> None:
    axis = Axis(16000, 0.1)
    assert axis.place(1.0, 320) == 16000 - 320
    assert axis.place(1.06, 320) == 0
    assert axis.place(2.0, 320) == 32000 - 320 - 16320


def test_a_context_is_written_as_what_is_new_and_read_whole(tmp_path: Path) -> None:
    files, reader = Files(tmp_path), Payloads()
    history = [{"role": "user", "content": f"message {n}"} for n in range(6)]
    contexts = [history[:2], history[:3], [*history[:2], history[5]], [], history]
    for number, messages in enumerate(contexts):
        files.note(
            Event(
                at=0, heard=0, played=0, stage="LLM", way="in", kind="C", frame=number, payload={"messages": messages}
            )
        )
    files.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["payload"]["kept"] for line in lines] == [0, 2, 2, 0, 0]
    read = [reader.whole(Event.model_validate_json(line)).payload for line in lines]
    assert [each and each["messages"] for each in read] == contexts


class Unheard(SystemFrame):
    """No frame that a trace knows."""


@pytest.mark.parametrize(
    ("frame", "known"),
    [
        (Unheard(), {}),
        (TranscriptionFrame("Hi.", "me", "now", finalized=True), {"text": "Hi.", "finalized": True}),
        (AggregatedTextFrame("Hi.", "sentence"), {"text": "Hi.", "type": "sentence", "raw_text": None}),
        (EndFrame(reason="enough"), {"reason": "enough"}),
        (ErrorFrame("it broke"), {"error": "it broke", "category": None, "processor": None}),
        (
            FunctionCallsStartedFrame([FunctionCallFromLLM("weather", "7", {"place": "Rome"}, None)]),
            {"calls": [{"name": "weather", "call": "7", "arguments": {"place": "Rome"}}]},
        ),
        (
            FunctionCallResultFrame("weather", "7", {"place": "Rome"}, {"sky": b"blue", "at": (1, None)}),
            {
                "name": "weather",
                "call": "7",
                "arguments": {"place": "Rome"},
                "result": {"sky": "[4 bytes]", "at": [1, None]},
                "error": None,
            },
        ),
        (
            MetricsFrame(
                [
                    LLMUsageMetricsData(
                        processor="llm", value=LLMTokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
                    )
                ]
            ),
            {
                "metrics": [
                    {
                        "kind": "LLMUsageMetricsData",
                        "processor": "llm",
                        "value": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
                    }
                ]
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_frame_goes_by_what_matters_in_it(frame: Frame, known: dict[str, object]) -> None:
    assert payload(frame) == known
    json.dumps(payload(frame))


def test_a_context_is_copied_as_it_is_now() -> None:
    context = LLMContext([{"role": "user", "content": "Hi."}])
    copied = payload(LLMContextFrame(context))
    context.messages[0]["content"] = "changed"  # type: ignore[typeddict-unknown-key, index]
    assert copied["messages"] == [{"role": "user", "content": "Hi."}]
    recording = "x" * 100_000
    shown = payload(LLMContextFrame(LLMContext([{"role": "user", "content": [{"type": "a", "data": recording}]}])))
    assert shown["messages"][0]["content"] == [{"type": "a", "data": "[100000 characters]"}]
