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
    BotSpeakingFrame,
    BotStoppedSpeakingFrame,
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
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
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
from processors.sound import Watched, end, gather, hand_on, note_seldom, turn_away, watch
from processors.transports.memory import MemoryInput, MemoryTransport
from tests.harness import on_the_bench, on_virtual_time

DOWN, UP = FrameDirection.DOWNSTREAM, FrameDirection.UPSTREAM
SOUND = bytes(640)
HEARD = 16
"""Pieces of it, which are ten windows of what VAD looks at."""


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
@given(MOVES)
def test_all_but_the_sound_that_ends_is_handed_on_in_its_order(moves: list[tuple[int, FrameDirection]]) -> None:
    async def hold() -> None:
        processor = IdentityFilter()
        end(processor)
        given = [(frames()[kind], direction) for kind, direction in moves]
        async with on_the_bench(processor) as bench:
            for frame, direction in given:
                await bench.give(frame, direction=direction)
            assert bench.pushed == [
                each for each in given if each[1] is UP or not isinstance(each[0], InputAudioRawFrame)
            ]

    asyncio.run(hold())


@settings(deadline=None)
@given(MOVES)
def test_all_but_what_was_played_is_taken_in_its_order(moves: list[tuple[int, FrameDirection]]) -> None:
    async def hold() -> None:
        processor = IdentityFilter()
        turn_away(processor)
        given = [(frames()[kind], direction) for kind, direction in moves]
        async with on_the_bench(processor) as bench:
            for frame, direction in given:
                if isinstance(frame, OutputAudioRawFrame):
                    # It is handed to the processor, which nobody can wait for to have done with it.
                    await processor.queue_frame(frame, direction)
                else:
                    await bench.give(frame, direction=direction)
            assert bench.pushed == [each for each in given if not isinstance(each[0], OutputAudioRawFrame)]

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


WINDOW = 512
PIECES = st.lists(st.integers(1, 1200), max_size=20)


@settings(deadline=None)
@given(PIECES)
def test_sound_is_handed_on_when_vad_can_do_something_with_it_and_not_before(pieces: list[int]) -> None:
    async def hold() -> None:
        source = MemoryInput(TransportParams(audio_in_enabled=True, audio_in_sample_rate=16000))
        hand_on(source, WINDOW / 16000)
        given = [bytes([number + 1]) * (2 * length) for number, length in enumerate(pieces)]
        heard = handed = 0
        async with on_the_bench(source) as bench:
            for sound in given:
                completes = (heard + len(sound) // 2) // WINDOW > heard // WINDOW
                heard += len(sound) // 2
                await source.push_audio_frame(InputAudioRawFrame(sound, 16000, 1))
                pushed = [frame for frame, _ in bench.pushed if isinstance(frame, InputAudioRawFrame)]
                handed = heard if completes else handed
                together = b"".join(frame.audio for frame in pushed)
                assert together == b"".join(given)[: 2 * handed]
                assert sum(frame.num_frames for frame in pushed) == handed
                assert len(pushed) <= heard // WINDOW

    asyncio.run(hold())


async def test_sound_of_another_kind_is_not_put_to_what_is_held() -> None:
    source = MemoryInput(TransportParams(audio_in_enabled=True, audio_in_sample_rate=16000))
    hand_on(source, 0.032)
    async with on_the_bench(source) as bench:
        await source.push_audio_frame(InputAudioRawFrame(bytes(640), 16000, 1))
        await source.push_audio_frame(InputAudioRawFrame(bytes(320), 8000, 1))
        pushed = bench.take(InputAudioRawFrame)
    assert [(frame.sample_rate, len(frame.audio)) for frame in pushed] == [(16000, 640), (8000, 320)]


def told(kind: str) -> tuple[Frame, FrameDirection]:
    """What VAD is given, or says itself, or what comes back to it."""
    if kind == "sound":
        return InputAudioRawFrame(SOUND, 16000, 1), DOWN
    if kind == "other sound":
        return UserAudioRawFrame(audio=SOUND, sample_rate=16000, num_channels=1, user_id="someone"), DOWN
    if kind == "starts":
        return VADUserStartedSpeakingFrame(), DOWN
    if kind == "stops":
        return VADUserStoppedSpeakingFrame(), DOWN
    if kind == "turn over":
        return UserStoppedSpeakingFrame(), UP
    return TextFrame("words"), UP if kind == "back" else DOWN


KINDS_TOLD = ["sound", "other sound", "starts", "stops", "turn over", "back", "words"]


@settings(deadline=None)
@given(st.lists(st.sampled_from([*KINDS_TOLD, *["sound"] * 12]), max_size=40))
def test_silence_comes_in_larger_pieces_and_nothing_overtakes_it(kinds: list[str]) -> None:
    async def hold() -> None:
        vad = IdentityFilter()
        gather(vad)
        quiet, expected = True, []
        async with on_the_bench(vad) as bench:
            for kind in kinds:
                frame, direction = told(kind)
                # As it stands in what was handed on: ids of other frames, and how much of which sound.
                if isinstance(frame, InputAudioRawFrame):
                    expected += [type(frame).__name__] * frame.num_frames
                elif direction is DOWN:
                    expected.append(str(frame.id))
                # A sound that is held is handed to nobody, so that nobody can wait for it.
                await vad.push_frame(frame, direction)
                handed = []
                for each, way in bench.pushed:
                    if isinstance(each, InputAudioRawFrame):
                        assert len(each.audio) == 2 * each.num_frames
                        handed += [type(each).__name__] * each.num_frames
                    elif way is DOWN:
                        handed.append(str(each.id))
                held = len(expected) - len(handed)
                assert handed == expected[: len(handed)]
                assert held < 0.2 * 16000
                assert not held or (quiet and isinstance(frame, InputAudioRawFrame)) or direction is UP
                quiet = kind == "turn over" or (quiet and kind != "starts")
            assert sum(way is UP for _, way in bench.pushed) == sum(told(kind)[1] is UP for kind in kinds)

    asyncio.run(hold())


@on_virtual_time()
async def test_observers_that_knew_a_piece_find_it_unchanged() -> None:
    vad = IdentityFilter()
    gather(vad)
    pieces = [InputAudioRawFrame(SOUND, 16000, 1) for _ in range(10)]
    async with on_the_bench(vad) as bench:
        for piece in pieces:
            await vad.push_frame(piece)
        (whole,) = bench.take(InputAudioRawFrame)
    assert whole.id == pieces[-1].id
    assert [len(piece.audio) for piece in pieces] == [len(SOUND)] * 10
    assert len(whole.audio) == 10 * len(SOUND)


@on_virtual_time()
async def test_that_the_agent_speaks_is_noted_every_two_seconds() -> None:
    out = IdentityFilter()
    note_seldom(out)
    noted = []
    async with on_the_bench(out) as bench:
        for quarter in range(20):
            await out.broadcast_frame(BotSpeakingFrame)
            await out.broadcast_frame(BotStoppedSpeakingFrame)
            noted += [quarter for frame, way in bench.pushed if way is DOWN and isinstance(frame, BotSpeakingFrame)]
            stopped = sum(isinstance(frame, BotStoppedSpeakingFrame) for frame, _ in bench.pushed)
            bench.pushed.clear()
            assert stopped == 2
            await asyncio.sleep(0.25)
    assert noted == [0, 8, 16]


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
        if isinstance(frame, (InputAudioRawFrame, OutputAudioRawFrame)) and isinstance(frame, self._kind):
            self.kept += frame.num_frames
        await self.push_frame(frame, direction)


@dataclass
class Hops:
    """Which stages sound was handed to, in order; "" for what is no stage."""

    heard: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)


async def sounded(architecture: Architecture, **services: Service) -> Hops:
    """Where some of the microphone's sound, and a few words, go in a call."""
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
        for _ in range(HEARD):
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
    assert kept[InputAudioRawFrame] == HEARD * len(SOUND) // 2
    assert kept[OutputAudioRawFrame] > 10 * 480


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
