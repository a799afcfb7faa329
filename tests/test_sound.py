"""Sound ends where nobody listens any more, and observers are told what they look at: nothing else changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames.frames import (
    FilterControlFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    StopFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    UserAudioRawFrame,
)
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi import RTVIObserver, RTVIObserverParams
from pipecat.transports.base_transport import TransportParams
from pipecat.utils.asyncio.task_manager import TaskManager

from pipelines import (
    ADVANCED_CASCADE,
    BASIC_CASCADE,
    DUPLEX_FUSED,
    HALF_CASCADE,
    HYBRID,
    SEQUENTIAL_FUSED,
    Architecture,
    Port,
    Service,
    Stage,
    assemble,
)
from pipelines.definition import ASSISTANT_TURN, AUDIO_OUT, HEARING, USER_TURN
from pipelines.lab import profile, virtual
from pipelines.lab.bench_load import PROFILE, script
from pipelines.lab.caller import running
from pipelines.stacks.profile import profile_stack
from processors.hearing.cues import Cue
from processors.pcm import Samples
from processors.sound import Watched, end, hand_on, watch
from processors.transports.memory import MemoryInput, MemoryTransport
from tests.harness import on_the_bench, on_virtual_time

DOWN, UP = FrameDirection.DOWNSTREAM, FrameDirection.UPSTREAM
SOUND = bytes(640)


def frames() -> tuple[Frame, ...]:
    return (
        InputAudioRawFrame(SOUND, 16000, 1),
        UserAudioRawFrame(audio=SOUND, sample_rate=16000, num_channels=1, user_id="someone"),
        OutputAudioRawFrame(SOUND, 16000, 1),
        TTSAudioRawFrame(SOUND, 16000, 1),
        TextFrame("words"),
        InterruptionFrame(),
    )


KINDS = len(frames())
MOVES = st.lists(st.tuples(st.integers(0, KINDS - 1), st.sampled_from([DOWN, UP])), max_size=12)


@settings(deadline=None)
@given(MOVES, st.sampled_from([InputAudioRawFrame, OutputAudioRawFrame]))
def test_all_but_the_sound_that_ends_is_handed_on_in_its_order(
    moves: list[tuple[int, FrameDirection]], sound: type[Frame]
) -> None:
    async def hold() -> None:
        processor = IdentityFilter()
        end(processor, sound)
        given = [(frames()[kind], direction) for kind, direction in moves]
        async with on_the_bench(processor) as bench:
            for frame, direction in given:
                await bench.give(frame, direction=direction)
            assert bench.pushed == [each for each in given if each[1] is UP or not isinstance(each[0], sound)]

    asyncio.run(hold())


MICROPHONE = st.lists(st.sampled_from(["sound", "nothing", "stop", "start"]), max_size=12)


@settings(deadline=None)
@given(MICROPHONE)
def test_the_microphone_is_handed_on_as_pipecat_does_and_at_once(moves: list[str]) -> None:
    async def pushed(transport: MemoryTransport, *, waits: float) -> list[str]:
        begun = []
        async with on_the_bench(transport.input()) as bench:
            for move in moves:
                if move == "stop":
                    await bench.give(StopFrame())
                elif move == "start":
                    await bench.give(StartFrame())
                else:
                    await transport.hear(SOUND if move == "sound" else b"")
                    if waits:
                        await asyncio.sleep(waits)
                begun.append(len(bench.pushed))
            return [*(type(frame).__name__ for frame, _ in bench.pushed), *map(str, begun)]

    ours, pipecats = MemoryTransport(nothing), MemoryTransport(nothing)
    hand_on(ours.input())
    assert virtual.run(pushed(ours, waits=0.0)) == virtual.run(pushed(pipecats, waits=0.01))


def nothing(pcm: bytes, at: float) -> None:
    """Listens to nothing that is played."""


class Reversed(BaseAudioFilter):
    """Works on the sound."""

    async def start(self, sample_rate: int) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def process_frame(self, frame: FilterControlFrame) -> None:
        pass

    async def filter(self, audio: bytes) -> bytes:
        await asyncio.sleep(0)
        return audio[::-1]


@on_virtual_time()
async def test_a_filter_still_works_on_the_sound() -> None:
    source = MemoryInput(TransportParams(audio_in_enabled=True, audio_in_filter=Reversed()))
    hand_on(source)
    async with on_the_bench(source) as bench:
        await source.push_audio_frame(InputAudioRawFrame(b"\x01\x02", 16000, 1))
        await asyncio.sleep(0.01)
        assert [frame.audio for frame in bench.take(InputAudioRawFrame)] == [b"\x02\x01"]


async def test_what_is_no_transport_is_left_as_it_is() -> None:
    processor = IdentityFilter()
    before = dict(vars(processor))
    hand_on(processor)
    assert vars(processor) == before


class Pushes(BaseObserver):
    """Keeps what it is told: whether a frame was pushed for the first time, and which."""

    def __init__(self, *, observe_every_push: bool = True) -> None:
        super().__init__(observe_every_push=observe_every_push)
        self.told: list[tuple[str, int]] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        self.told.append(("first" if data.first_push else "again", data.frame.id))


class Everything(Pushes):
    async def on_process_frame(self, data: FrameProcessed) -> None:
        self.told.append(("processed", data.frame.id))


class Deaf(Everything):
    hears_microphone = False


def observers() -> list[Pushes]:
    every = (True, False)
    return [kind(observe_every_push=each) for kind in (Pushes, Everything, Deaf) for each in every]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, KINDS - 1)), max_size=15))
def test_each_observer_is_told_what_pipecat_tells_it_in_the_same_order(moves: list[tuple[bool, int]]) -> None:
    async def tell(proxy: WorkerObserver, given: tuple[Frame, ...]) -> None:
        await proxy.setup(TaskManager(loop=asyncio.get_running_loop()))
        processor = IdentityFilter()
        for pushed, kind in moves:
            if pushed:
                await proxy.on_push_frame(FramePushed(processor, processor, given[kind], DOWN, 0))
            else:
                await proxy.on_process_frame(FrameProcessed(processor, given[kind], DOWN, 0))
        for each in (proxy._proxies or {}).values():
            await each.queue.join()
        await proxy.cleanup()

    async def hold() -> None:
        given = frames()
        heard = {frame.id for frame in given if isinstance(frame, InputAudioRawFrame)}
        ours, pipecats = observers(), observers()
        await tell(Watched(observers=list(ours)), given)
        await tell(WorkerObserver(observers=list(pipecats)), given)
        for one, other in zip(ours, pipecats, strict=True):
            deaf = isinstance(other, Deaf)
            assert one.told == [
                (what, which) for what, which in other.told if not deaf or which not in heard or what == "processed"
            ]

    asyncio.run(hold())


@pytest.mark.parametrize("levels", [True, False])
@on_virtual_time()
async def test_pipecats_own_observer_for_clients_is_told_of_sound_if_it_shows_levels(levels: bool) -> None:
    told: list[Frame] = []

    class Clients(RTVIObserver):
        async def on_push_frame(self, data: FramePushed) -> None:
            told.append(data.frame)

    proxy = Watched(observers=[Clients(params=RTVIObserverParams(user_audio_level_enabled=levels))])
    await proxy.setup(TaskManager(loop=asyncio.get_running_loop()))
    sound = frames()[0]
    processor = IdentityFilter()
    await proxy.on_push_frame(FramePushed(processor, processor, sound, DOWN, 0))
    for each in (proxy._proxies or {}).values():
        await each.queue.join()
    await proxy.cleanup()
    assert told == ([sound] if levels else [])


async def test_those_that_a_worker_has_and_is_given_later_are_watched_alike() -> None:
    first, later = Pushes(), Pushes()
    worker = PipelineWorker(Pipeline([]), observers=[first], enable_rtvi=False)
    watch(worker)
    worker.add_observer(later)
    observing = worker._observer
    assert isinstance(observing, Watched)
    assert {first, later} <= set(observing._observers)


class Silent:
    """An ear that has nothing to say."""

    def hear(self, samples: Samples, start: float) -> Cue:
        raise AssertionError("nobody has spoken")

    def joined(self, cues: object, words: str) -> Cue:
        raise AssertionError("nobody has spoken")


class Recorder(FrameProcessor):
    """A stage of somebody's own that keeps the sound."""

    def __init__(self, kind: type[Frame]) -> None:
        super().__init__()
        self._kind = kind
        self.kept = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.kept += isinstance(frame, self._kind)
        await self.push_frame(frame, direction)


@dataclass
class Hops:
    """Which stages sound was handed to, in order; "" for what is no stage."""

    heard: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)


async def sounded(architecture: Architecture, **services: Service) -> Hops:
    """Where three pieces of the microphone's sound, and a few words, go in a call."""
    hops = Hops()

    class Noted(BaseObserver):
        async def on_push_frame(self, data: FramePushed) -> None:
            where = hops.heard if isinstance(data.frame, InputAudioRawFrame) else hops.played
            stages = worker.app_resources.stages
            if isinstance(data.frame, (InputAudioRawFrame, OutputAudioRawFrame)):
                stage = stages.get(data.destination.name, "")
                if stage not in where:
                    where.append(stage)

    spoken = asyncio.Event()

    def listen(pcm: bytes, at: float) -> None:
        if any(pcm):
            spoken.set()

    transport = MemoryTransport(listen)
    stack, _ = profile_stack(profile.load(PROFILE), script(0))
    ear = Silent() if architecture is ADVANCED_CASCADE else None
    worker = assemble(
        architecture, stack.replace(**services), transport, observers=[Noted()], clients=False, ear=ear, idle_secs=None
    )
    async with running(worker, transport):
        for _ in range(3):
            await transport.hear(SOUND)
            await asyncio.sleep(0.02)
        await worker.queue_frame(TTSSpeakFrame("Good morning."))
        await spoken.wait()
        await asyncio.sleep(1.0)
    return hops


@pytest.mark.parametrize(
    ("architecture", "last"),
    [
        (BASIC_CASCADE, "USER_TURN"),
        (ADVANCED_CASCADE, "HEARING"),
        (ADVANCED_CASCADE.without(HEARING), "USER_TURN"),
        (HALF_CASCADE, "AUDIO_LLM"),
        (HYBRID, "STT_LLM"),
        (SEQUENTIAL_FUSED, "SPEECH_LLM"),
        (DUPLEX_FUSED, "DUPLEX_LLM"),
    ],
    ids=str,
)
@on_virtual_time()
async def test_the_microphone_is_heard_up_to_the_last_that_listens(architecture: Architecture, last: str) -> None:
    names = [stage.name for stage in architecture.stages]
    hops = await sounded(architecture)
    assert hops.heard == names[1 : names.index(last) + 1]


@on_virtual_time()
async def test_a_stage_that_takes_sound_gets_it_wherever_it_stands() -> None:
    made: list[Recorder] = []

    def service(kind: type[Frame]) -> Service:
        def build(_: object) -> Recorder:
            made.append(Recorder(kind))
            return made[-1]

        return Service("somebody's own", build)

    caller = Stage("CALLER", "keeps what the caller says", Port.AUDIO, None, service=True)
    agent = Stage("AGENT", "keeps what was played", Port.SPEECH, None, service=True)
    both = BASIC_CASCADE.insert_after(ASSISTANT_TURN, caller).insert_after(AUDIO_OUT, agent)
    hops = await sounded(both, CALLER=service(InputAudioRawFrame), AGENT=service(OutputAudioRawFrame))
    assert hops.heard[-1] == "CALLER"
    kept = {recorder._kind: recorder.kept for recorder in made}
    assert kept[InputAudioRawFrame] == 3
    assert kept[OutputAudioRawFrame] > 10


@on_virtual_time()
async def test_a_turn_of_somebodys_own_that_is_made_of_words_hears_them_too() -> None:
    number = count()
    turn = Stage("MY_TURN", "when the caller is done", Port.TRANSCRIPT, Port.CONTEXT, service=True, consumes=True)
    architecture = BASIC_CASCADE.replace(USER_TURN, turn)
    own = Service("somebody's own", lambda _: IdentityFilter(name=f"own {next(number)}"))
    assert (await sounded(architecture, MY_TURN=own)).heard == ["VAD", "STT", "MY_TURN"]


@on_virtual_time()
async def test_what_was_played_is_handed_on_once() -> None:
    hops = await sounded(BASIC_CASCADE)
    # The guard's ears stand behind the loudspeaker, and are no stage.
    assert hops.played == ["AUDIO_OUT", ""]
