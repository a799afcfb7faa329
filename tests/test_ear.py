"""A call hears how its caller speaks with the ear that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.transports.base_transport import BaseTransport

from pipelines import ADVANCED_CASCADE, assemble
from pipelines.lab.caller import calling
from processors.hearing.cues import Cue, Score
from processors.pcm import Samples
from tests.harness import on_virtual_time
from tests.traced import speech, stack


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


@on_virtual_time()
async def test_a_call_hears_with_the_ear_that_it_is_given() -> None:
    ear, workers = UpsetEar(), []

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        scripted = stack(["Where is it?"], ["It is on its way."])
        workers.append(assemble(ADVANCED_CASCADE, scripted, transport, observers=observers, ear=ear))
        return workers[0]

    async with calling(make) as caller:
        turn = await caller.say(speech(1.5))
        assert turn.answered
        said = [(message["role"], message["content"]) for message in workers[0].app_resources.context.get_messages()]
    (role, told), words, *_ = said
    assert role == "developer"
    assert told.startswith("(The caller sounds upset.)")
    assert words == ("user", "Where is it?")
    assert ear.turns == 1
