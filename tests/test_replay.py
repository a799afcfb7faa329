"""A recorded conversation runs again from any stage: the same where nothing changed, a diff where something did."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pipecat.processors.frame_processor import FrameProcessor
from typer.testing import CliRunner

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app.cli import app
from pipelines.app.replays import note
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.holding import hold
from pipelines.lab.replay import difference, first_of, replay, services_of
from pipelines.lab.script import Conversation, agent, caller, words
from pipelines.lab.trace import Trace, TraceError, TraceObserver
from pipelines.stacks import Session, Stack
from pipelines.stacks.profile import profile_stack
from tests.jazz import asks, recorded, right, stack, wrong
from tests.speech import needs
from tests.test_ear import UpsetEar

STAGES = ("AUDIO_IN", "VAD", "STT", "USER_TURN", "INPUT_GUARD", "LLM", "OUTPUT_GUARD", "SENTENCES", "TTS")
PROFILE = "vendor_cascade"


def booking(last: str = "My pleasure. Until Friday.", result: bool = True) -> Conversation:
    """With an interruption, a hesitation and a tool."""
    return Conversation(
        "booking",
        caller("I'd like a table for two.", at=1.0),
        agent("With pleasure. For which day shall I book it?"),
        caller("Friday at", into=1.0),
        caller("seven.", then=0.8),
        agent("Friday at seven. See you then.", tool="book", arguments={"day": "Friday"}, result={"done": result}),
        caller("Thank you."),
        agent(last),
    )


def scripted(conversation: Conversation) -> Stack:
    return profile_stack(profile.load(PROFILE), conversation)[0]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    folder = tmp_path_factory.mktemp("traces")

    async def call() -> Path:
        observer = TraceObserver(folder, redactor=None)
        recording = await hold(booking(), BASIC_CASCADE, profile.load(PROFILE), observers=[observer])
        recording.check()
        return observer.folder

    return Trace.load(virtual.run(call()))


@pytest.mark.parametrize("start", STAGES)
def test_nothing_changed_is_identical_from_every_stage(trace: Trace, tmp_path: Path, start: str) -> None:
    again = replay(trace, tmp_path, start=start, stack=scripted(booking()))
    found = difference(trace, again)
    assert found.same_words
    assert found.same_sound
    assert found.same_timing
    assert found.identical
    assert [turn.answer for turn in again.turns] == [
        "With pleasure. For which",
        "Friday at seven. See you then.",
        "My pleasure. Until Friday.",
    ]


def test_another_answer_shows_in_its_turn_alone(trace: Trace, tmp_path: Path) -> None:
    found = difference(trace, replay(trace, tmp_path, start="LLM", stack=scripted(booking("Gladly."))))
    assert [turn.same_words for turn in found.turns] == [True, True, False]
    assert found.turns[2].words["answer"] == ("My pleasure. Until Friday.", "Gladly.")
    assert not found.turns[2].sound.same
    assert not found.identical


def test_a_slower_voice_shows_in_time_and_not_in_words(trace: Trace, tmp_path: Path) -> None:
    slow = profile.load(PROFILE)
    slow = slow.model_copy(
        update={"tts": slow.tts.model_copy(update={"first_audio_ms": profile.Milliseconds(fixed=480)})}
    )
    found = difference(trace, replay(trace, tmp_path, start="TTS", stack=profile_stack(slow, booking())[0]))
    before, now = found.turns[2].latency_ms
    assert before is not None
    assert now is not None
    assert now - before == pytest.approx(400, abs=1)
    assert found.turns[2].parts_ms["voice"][1] - found.turns[2].parts_ms["voice"][0] == pytest.approx(400, abs=1)
    assert found.turns[2].same_words
    assert not found.same_timing


def test_one_turn_alone(trace: Trace, tmp_path: Path) -> None:
    again = replay(trace, tmp_path, start="LLM", turn=3, stack=scripted(booking()))
    found = difference(trace, again, turn=3)
    assert [turn.number for turn in found.turns] == [3]
    assert found.same_words
    assert found.same_sound
    # The profile draws how long the first token takes, and this is its first draw; all else takes as long as before.
    assert {name for name, (before, now) in found.turns[0].parts_ms.items() if before != pytest.approx(now)} == {
        "first token"
    }
    assert len(again.turns) == 1


def test_tools_do_not_act_again(tmp_path: Path) -> None:
    """The recorded result is given though the script's tool would now fail."""
    folder = tmp_path / "traces"

    async def call() -> Path:
        observer = TraceObserver(folder, redactor=None)
        await hold(booking(), BASIC_CASCADE, profile.load(PROFILE), observers=[observer])
        return observer.folder

    trace = Trace.load(virtual.run(call()))
    again = replay(trace, tmp_path / "again", start="LLM", stack=scripted(booking(result=False)))
    results = [e.payload for e in again.events if e.kind == "FunctionCallResultFrame" and e.payload]
    assert [result["result"] for result in results] == [{"done": True}]


def test_real_ears_and_a_real_voice_give_the_same_words_and_sound(tmp_path: Path) -> None:
    needs("hibari-heart", "moonshine-tiny-en")
    trace = recorded(tmp_path / "traces", stack(), asks)
    assert trace.turns[0].answer == right([{"role": "user", "content": "jazz"}])
    for start in ("STT", "TTS"):
        again = replay(trace, tmp_path / start, start=start, stack=stack())
        # The recogniser's work takes its time, and a busy machine's time decides on a mark at the end.
        assert words(again.turns[0].transcript) == words(trace.turns[0].transcript)
        assert again.turns[0].answer == trace.turns[0].answer
        assert difference(trace, again).same_sound
    changed = difference(trace, replay(trace, tmp_path / "wrong", start="LLM", stack=stack(rule=wrong)))
    assert changed.turns[0].words["planned"][1] == wrong([])


def test_what_was_said_in_a_manner_is_said_in_it_again(tmp_path: Path) -> None:
    needs("hibari-heart", "moonshine-tiny-en")
    trace = recorded(tmp_path / "traces", stack(), asks, ADVANCED_CASCADE, UpsetEar())
    (told,) = [event for event in trace.events if event.kind == "TTSUpdateSettingsFrame" and event.way == "out"]
    assert told.payload is not None
    assert told.payload["settings"]["speed"] < 1
    again = replay(trace, tmp_path / "again", start="TTS", stack=stack())
    assert difference(trace, again).same_sound
    own_way = [event for event in trace.events if event is not told]
    plain = replay(trace, tmp_path / "plain", start="TTS", stack=stack(), events=own_way)
    assert not difference(trace, plain).same_sound


def test_a_vendor_takes_part_in_real_time(trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sockets know nothing of a clock that jumps."""
    monkeypatch.setenv("TUNA_API_KEY", "none")
    clocks = []
    of = scripted(booking())
    voice = of.services["TTS"]

    def build(session: Session) -> FrameProcessor:
        clocks.append(virtual.running())
        return voice.build(session)

    short = [event for event in trace.events if event.at < 2.0]
    cut = Trace.load(trace.folder)
    cut.__dict__.update(events=tuple(short), duration=0.5)
    for keys in ((), ("TUNA_API_KEY",)):
        replay(cut, tmp_path, start="TTS", stack=of.replace(TTS=replace(voice, build=build, keys=keys)))
    assert clocks == [True, False]


def test_a_redacted_trace_says_what_cannot_be_heard_again(tmp_path: Path) -> None:
    needs("hibari-heart", "moonshine-tiny-en")
    trace = recorded(tmp_path, stack(), asks)
    assert note(trace) == ""
    meta = trace.meta.model_copy(update={"redacted": True})
    assert "personal data was taken out" in note(Trace(trace.folder, meta))


def test_a_stage_or_turn_that_is_none_is_refused_in_a_line(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no stage BRAIN to replay from: choose AUDIO_IN, VAD, STT, USER_TURN, INP"):
        replay(trace, tmp_path, start="BRAIN", stack=scripted(booking()))
    with pytest.raises(TraceError, match="no stage AUDIO_OUT to replay from"):
        replay(trace, tmp_path, start="AUDIO_OUT", stack=scripted(booking()))
    with pytest.raises(TraceError, match="no turn 7: there are 3"):
        replay(trace, tmp_path, turn=7, stack=scripted(booking()))
    with pytest.raises(TraceError, match=r"was recorded with .* replay it from Python"):
        replay(trace, tmp_path)


def test_services_are_written_as_pairs(trace: Trace) -> None:
    assert services_of(["LLM=anthropic", "TTS=embedded"]) == {"LLM": "anthropic", "TTS": "embedded"}
    with pytest.raises(TraceError, match="--with LLM: is not STAGE=SERVICE"):
        services_of(["LLM"])
    assert first_of(trace, {"TTS": "embedded", "LLM": "anthropic"}) == "LLM"
    assert first_of(trace, {}) == "AUDIO_IN"
    with pytest.raises(TraceError, match="no stage EARS"):
        first_of(trace, {"EARS": "embedded"})


def test_the_command_refuses_what_it_cannot_run(trace: Trace, tmp_path: Path) -> None:
    runner = CliRunner()
    absent = runner.invoke(app, ["replay", str(tmp_path / "nothing")])
    assert absent.exit_code == 2
    assert "give the folder of one conversation" in absent.stderr
    scripts = runner.invoke(app, ["replay", str(trace.folder), "--from", "LLM"])
    assert scripts.exit_code == 2
    assert "this command cannot build" in scripts.stderr


def test_the_command_replays_what_was_recorded_with_services_that_ship(tmp_path: Path) -> None:
    """From the voice on only the voice runs, so a rule may have been the model."""
    needs("hibari-heart", "moonshine-tiny-en")
    trace = recorded(tmp_path / "traces", stack(), asks)
    meta = json.loads((trace.folder / "meta.json").read_text())
    for stage in meta["stages"]:
        stage["service"] = "embedded" if stage["service"] else None
    (trace.folder / "meta.json").write_text(json.dumps(meta))
    done = CliRunner().invoke(app, ["replay", str(trace.folder), "--from", "TTS", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["same_words"]
    assert said["same_sound"]
    assert said["turns"][0]["answer"]["now"] == trace.turns[0].answer
