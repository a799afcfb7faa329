"""A call hears how its caller speaks with the ear that it is given, through every door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport
from scripted_daily import Room
from typer.testing import CliRunner

from pipelines import ADVANCED_CASCADE, BASIC_CASCADE, Capability, DefinitionError, Persona, assemble
from pipelines.app import daily
from pipelines.app.cli import app
from pipelines.app.reply import hold
from pipelines.app.server import Talk
from pipelines.lab.caller import calling
from pipelines.lab.trace import Trace
from pipelines.stacks import Service, Session
from processors.hearing.cues import Cue, Score
from processors.pcm import Samples, to_pcm
from tests import standin
from tests.harness import on_virtual_time
from tests.speech import needs, needs_heads, real, say
from tests.standin import ScriptedLLM
from tests.test_cli import antiphon
from tests.test_hearing_wav2vec2 import stand_in
from tests.test_talk_server import peer, ready
from tests.traced import speech, stack

FERNI = Persona(name="Ferni", instructions="Be brief.")


class UpsetEar:
    """Hears anger in everything."""

    def __init__(self) -> None:
        self.turns = 0

    def hear(self, samples: Samples, start: int) -> Cue:
        shares = {"neutral": 0.02, "happy": 0.04, "sad": 0.04, "angry": 0.9}
        return Cue(start, start + len(samples), Score(0.9, 0.9, 0.9), Score(0.1, 0.1, 0.1), shares, 4.0, -20.0)

    def joined(self, cues: Sequence[Cue], words: Sequence[Any] = ()) -> Cue:
        return cues[-1]

    def turn_done(self, cues: Sequence[Cue]) -> None:
        self.turns += 1


@pytest.mark.parametrize(
    ("provides", "message"),
    [
        ({Capability.TEXT_OUT, Capability.DELIVERY_TAGS}, "(The caller sounds upset.) Be brief and kind, no jokes."),
        ({Capability.TEXT_OUT}, "frustrated"),
    ],
    ids=["in a sentence", "a small model by a name that it knows"],
)
@on_virtual_time()
async def test_a_call_hears_with_the_ear_that_it_is_given(provides: set[Capability], message: str) -> None:
    ear, workers, briefs = UpsetEar(), [], []

    def model(session: Session) -> ScriptedLLM:
        briefs.append(session.persona.instructions)
        return ScriptedLLM("It is on its way.")

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        scripted = stack(["Where is it?"], []).replace(LLM=Service("script", model, frozenset(provides)))
        workers.append(assemble(ADVANCED_CASCADE, scripted, transport, observers=observers, ear=ear))
        return workers[0]

    async with calling(make) as caller:
        turn = await caller.say(speech(1.5))
        assert turn.answered
        said = [(message["role"], message["content"]) for message in workers[0].app_resources.context.get_messages()]
    (role, told), words, *_ = said
    assert role == "developer"
    assert told == message
    assert ("frustrated: Be brief and kind, no jokes." in briefs[0]) is (message == "frustrated")
    assert words == ("user", "Where is it?")
    assert ear.turns == 1


def test_an_ear_that_nothing_would_hear_with_is_refused() -> None:
    with pytest.raises(DefinitionError, match="basic_cascade has no HEARING, which would hear with the ear given"):
        assemble(BASIC_CASCADE, stack(["a"], ["b"]), None, ear=UpsetEar())  # type: ignore[arg-type]


@on_virtual_time()
async def test_a_conversation_of_recordings_is_heard_with_it() -> None:
    ear = UpsetEar()
    scripted = stack(["Where is it?", "And now?"], ["It is on its way."])
    await hold(ADVANCED_CASCADE, scripted, FERNI, [speech(1.5), speech(1.0)], ear=ear)
    assert ear.turns == 2


@on_virtual_time(measured=True)
async def test_a_daily_room_is_heard_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    room, ear = Room("ann").open(monkeypatch), UpsetEar()
    room.say(to_pcm(say("Could you tell me where my order is?")))
    visit = daily.join("https://localhost/room", "token", ADVANCED_CASCADE, standin.stack(), FERNI, ear=ear)

    async def part() -> None:
        await room.until_heard(1.0)
        await room.depart("ann")

    await asyncio.gather(visit, part())
    assert ear.turns == 1


async def test_each_caller_of_the_page_has_an_ear_of_their_own() -> None:
    made: list[UpsetEar] = []

    def ears() -> UpsetEar:
        made.append(UpsetEar())
        return made[-1]

    talk = Talk(ADVANCED_CASCADE, standin.stack(), ears=ears)
    async with ready(talk) as client, peer() as one, peer() as other:
        assert made == []
        for caller in (one, other):
            assert (await caller.call(client)).is_success
            await caller.hear("bot-ready")
        assert len(made) == 2


# --- the command ---


def always(folder: Path, arousal: float, valence: float) -> Path:
    """An emotion model that tells the same of everything."""
    return stand_in(folder, ("arousal", "dominance", "valence"), [0, 0, 0], [arousal, 0.5, valence])


@needs_heads
def test_recordings_are_heard_with_a_model_from_a_folder(tmp_path: Path) -> None:
    needs("moonshine-tiny-en")
    calm = real("emotion_ravdess/03-01-02-01-01-01-03.flac")
    done = antiphon("hear", calm, "--ear", always(tmp_path / "model", 0.93, 0.07), "--json")
    assert done.returncode == 0, done.stderr
    (turn,) = json.loads(done.stdout)[0]["turns"]
    assert (turn["arousal"]["combined"], turn["valence"]["combined"]) == (0.93, 0.07)
    assert turn["told"] == "(The caller sounds upset.)"


@needs_heads
def test_a_recording_is_answered_by_what_a_model_from_a_folder_hears(tmp_path: Path) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    calm = real("emotion_ravdess/03-01-02-01-01-01-03.flac")
    model = always(tmp_path / "model", 0.93, 0.07)
    done = antiphon("reply", calm, "--ear", model, "--trace", tmp_path / "traces", "--json")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "traces").iterdir()
    heard = [event.payload or {} for event in Trace.load(folder).events if event.kind == "CueFrame"]
    assert heard
    assert [each["cue"]["arousal"]["combined"] for each in heard] == pytest.approx([0.93] * len(heard))


DOORS = (["hear", "tone.wav"], ["reply", "tone.wav"], ["talk"], ["daily", "--room-url", "https://a.daily.co/b"])


@pytest.mark.parametrize("command", DOORS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("/none", "there is no folder /none: give a model's, or its owner/name on the hub"),
        (".", "config.json can't be read"),
        ("nobody/none", "nobody/none can't be fetched"),
        ("nobody/none@0a1b2c", "nobody/none can't be fetched"),
    ],
)
def test_a_model_that_is_not_there_is_one_line_before_anything_is_loaded(
    command: list[str], model: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    soundfile.write("tone.wav", speech(1.0), 16000)
    done = CliRunner().invoke(app, [*command, "--ear", model])
    assert done.exit_code == 2
    (line,) = (line for line in done.output.splitlines() if line.strip())
    assert line.startswith("antiphon: ")
    assert told in line


@pytest.mark.parametrize("command", DOORS[1:], ids=lambda command: command[0])
def test_an_architecture_that_does_not_hear_is_refused_before_the_model_is_loaded(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("tone.wav", speech(1.0), 16000)
    done = CliRunner().invoke(app, [*command, "--architecture", "basic_cascade", "--ear", "/none"])
    assert done.exit_code == 2
    assert "basic_cascade has no HEARING" in done.output
