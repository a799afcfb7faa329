"""Scripted conversations on virtual time, through the real pipeline with services that are scripted."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from rich.console import Console

from pipelines import architectures
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import HEARING, USER_TURN
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.lab import bench_lab, profile, virtual
from pipelines.lab.holding import CHUNK_MS, Event, Recording, hold
from pipelines.lab.script import Conversation, ScriptError, agent, caller, expect
from pipelines.lab.scripted import CallerSpeechFrame
from pipelines.lab.trace.overhead import Overhead
from pipelines.stacks import Service

SEED = profile.load("seed_full_cascade")
VENDOR = profile.load("vendor_cascade")


def held(*steps: object, how: profile.Profile = VENDOR) -> Recording:
    return virtual.run(hold(Conversation("test", *steps), BASIC_CASCADE, how))  # type: ignore[arg-type]


def test_a_conversation_goes_as_it_is_written() -> None:
    recording = held(
        caller("I'd like a table for two.", at=1.0),
        agent("For which day?"),
        expect(transcript="I'd like a table for two.", heard="For which day?", interrupted=False),
        caller("Friday."),
        agent("Done. See you on Friday."),
    )
    recording.check()
    assert [(message["role"], message["content"]) for message in recording.messages] == [
        ("user", "I'd like a table for two."),
        ("assistant", "For which day?"),
        ("user", "Friday."),
        ("assistant", "Done. See you on Friday."),
    ]


@pytest.mark.parametrize(("name", "total"), [("seed_full_cascade", 600), ("seed_half_cascade", 350)])
def test_the_seeds_parts_sum_to_the_seeds_totals(name: str, total: float) -> None:
    recording = held(caller("Play some jazz."), agent("Here is some smooth jazz."), how=profile.load(name))
    (exchange,) = recording.exchanges
    assert exchange.marks.total_ms == pytest.approx(total, abs=1)
    assert sum(part.ms for part in exchange.marks.parts()) == pytest.approx(total, abs=1)


def test_parts_are_those_of_the_profile() -> None:
    recording = held(caller("Play some jazz."), agent("Here it comes."), how=SEED)
    parts = {part.name: round(part.ms) for part in recording.exchanges[0].marks.parts() if part.ms >= 1}
    assert parts == {"transcript": 300, "first token": 200, "voice": 100}


def test_an_interruption_is_heard_at_once_and_the_context_holds_what_was_heard() -> None:
    recording = held(
        caller("Count to twenty."),
        agent("One two three four five six seven eight nine ten eleven twelve."),
        expect(interrupted=True, heard="One two three four five"),
        caller("Stop, please.", into=1.3),
        agent("All right."),
        how=SEED,
    )
    recording.check()
    silent_after = recording.exchanges[0].silent_after
    assert silent_after is not None
    # A tenth of a second until the VAD calls it speech, and the chunk that is playing.
    assert 0.1 <= silent_after <= 0.15


def test_a_short_word_into_an_answer_does_not_end_the_watch_for_its_silence() -> None:
    """Moshi falls silent 0.84 s after the caller's first sound, which itself lasts for half of that."""
    recording = virtual.run(
        hold(
            Conversation(
                "test",
                caller("Count to twenty."),
                agent("One two three four five six seven eight nine ten eleven twelve."),
                caller("Stop!", into=1.3, lasts=0.4),
                agent("All right."),
            ),
            DUPLEX_FUSED,
            profile.load("moshi_fused"),
        )
    )
    recording.check()
    counting = recording.exchanges[0]
    assert counting.interrupted_at is not None
    assert counting.silent_after is not None
    assert counting.silent_after > 0.4
    silent = counting.interrupted_at + counting.silent_after
    assert any(end == pytest.approx(silent) for _, end in recording.heard)


def test_a_model_that_always_sends_sound_is_heard_only_while_it_is_audible() -> None:
    conversation = Conversation("test", caller("Hello, it is me.", at=1.0), agent("Good morning."))
    recording = virtual.run(hold(conversation, DUPLEX_FUSED, profile.load("moshi_fused")))
    (exchange,) = recording.exchanges
    assert exchange.latency is not None
    assert recording.heard[0][0] == pytest.approx(exchange.speech_end + exchange.latency)
    assert sum(end - begin for begin, end in recording.heard) == pytest.approx(2 * 0.33, abs=0.1)


def test_the_seed_is_of_the_durations_that_vary() -> None:
    conversation = Conversation("test", caller("Hello."), agent("Good morning."))

    def latency(seed: int) -> float | None:
        return virtual.run(hold(conversation, BASIC_CASCADE, VENDOR, seed=seed)).exchanges[0].latency

    assert latency(1) == latency(1)
    assert latency(1) != latency(2)


def test_a_pause_in_mid_sentence_is_no_end_of_turn() -> None:
    recording = held(caller("Book a table for"), caller("two people.", then=0.8), agent("With pleasure."))
    recording.check()
    assert recording.exchanges[0].transcript == "Book a table for two people."


def test_a_turn_model_that_hears_more_coming_is_believed() -> None:
    going_on = held(caller("On Friday", goes_on=True), caller("at seven.", then=1.0), agent("Noted."))
    going_on.check()
    assert going_on.exchanges[0].transcript == "On Friday at seven."


def test_an_untimely_end_of_turn_is_reported() -> None:
    with pytest.raises(ScriptError, match=r"the script has no answer to 'On Friday\.'"):
        held(caller("On Friday."), caller("At seven.", then=2.5), agent("Noted.")).check()


@pytest.mark.parametrize("name", ["basic_cascade", "half_cascade", "sequential_fused"])
def test_half_a_turn_is_answered_as_such_and_the_whole_when_it_has_come(name: str) -> None:
    says = (caller("On Friday."), caller("At seven.", then=4.0), agent("Noted."), caller("Bye."), agent("Goodbye."))
    conversation = Conversation("test", *says, half="Go on.")
    recording = virtual.run(hold(conversation, architectures.get(name), SEED))
    recording.check()
    assert [exchange.said for exchange in recording.exchanges] == ["Noted.", "Goodbye."]
    assert "Go on." in [message.get("content") for message in recording.messages]


@pytest.mark.parametrize("pause", [1.5, 1.55, 1.58, 1.6, 1.62, 1.7, 2.0, 2.3])
@pytest.mark.parametrize("name", ["basic_cascade", "half_cascade", "sequential_fused"])
def test_a_pause_as_long_as_a_model_waits_leaves_no_turn_unanswered(name: str, pause: float) -> None:
    says = (caller("On Friday", goes_on=True), caller("at seven.", then=pause), agent("Noted."))
    conversation = Conversation("test", *says, half="Go on.")
    recording = virtual.run(hold(conversation, architectures.get(name), SEED))
    recording.check()
    assert recording.exchanges[0].said == "Noted."


def test_a_tool_is_called_and_its_result_is_told() -> None:
    recording = held(
        caller("Where is my order?"),
        agent("It was sent on Monday.", tool="order_status", arguments={"number": "17"}, result={"sent": "Monday"}),
    )
    recording.check()
    roles = [message["role"] for message in recording.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert "Monday" in recording.messages[2]["content"]
    assert recording.exchanges[0].said == "It was sent on Monday."


def test_the_same_words_twice_get_both_answers() -> None:
    recording = held(caller("Yes."), agent("And now?"), caller("Yes."), agent("Thank you."))
    recording.check()
    assert [exchange.said for exchange in recording.exchanges] == ["And now?", "Thank you."]


def test_what_is_misheard_is_what_is_answered() -> None:
    recording = held(
        caller("Play some jazz.", heard="Play some jacks."),
        agent("I know no game of that name."),
        expect(transcript="Play some jacks."),
    )
    recording.check()
    assert recording.messages[0]["content"] == "Play some jacks."


def test_a_slow_transcript_delays_its_turn_alone() -> None:
    recording = held(caller("One.", stt_delay=2.0), agent("Two."), caller("Three."), agent("Four."), how=SEED)
    assert [round(exchange.latency or 0, 3) for exchange in recording.exchanges] == [2.3, 0.6]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (expect(within=0.5), r"was to be heard within 0.5 s and took 0.600 s"),
        (expect(heard="Something else."), r"was to be remembered as 'Something else.' and is as 'Here it comes.'"),
        (expect(transcript="Play jacks."), r"'Play jacks.' was to be understood and 'Play some jazz.' was"),
        (expect(interrupted=True), r"was not interrupted"),
    ],
)
def test_what_does_not_come_true_is_said_in_one_line(expected: object, message: str) -> None:
    recording = held(caller("Play some jazz."), agent("Here it comes."), expected, how=SEED)
    with pytest.raises(ScriptError, match=message):
        recording.check()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "has no steps"),
        ((agent("Hello."),), "answers nobody"),
        ((caller("Hello."),), "gets no answer"),
        ((expect(within=1),), "expect stands behind no answer"),
        ((caller("Hello.", then=1), agent("Hi.")), "has said nothing before in this turn"),
        ((caller("Hello.", into=1), agent("Hi.")), "there is no answer to speak into"),
        ((caller("Hello."), caller("There.", after=1), agent("Hi.")), "give the pause with then"),
    ],
)
def test_a_script_that_cannot_be_held_is_refused(steps: tuple[object, ...], message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        Conversation("bad", *steps)  # type: ignore[arg-type]


def test_two_times_for_one_utterance_are_refused() -> None:
    with pytest.raises(ScriptError, match="begins by at and by into: give one"):
        caller("Hello.", at=1, into=2)


DIGEST = """
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.holding import hold
from pipelines.lab.script import Conversation, agent, caller
steps = [step for n in range(6) for step in (
    caller(f"This is question {n}.", into=0.7 if n % 3 == 2 else None),
    agent(f"And this is answer {n}, a longer one."),
)]
print(virtual.run(hold(Conversation("six", *steps), BASIC_CASCADE, profile.load("vendor_cascade"))).digest)
"""


def test_three_processes_agree_on_every_event() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True, timeout=120)
        for _ in range(3)
    ]
    digests = {run.stdout.strip().splitlines()[-1] for run in runs}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_the_bench_holds_one_call_in_three_processes_and_with_a_trace() -> None:
    steps: list[tuple[int, int]] = []
    result = bench_lab.run(lambda done, of: steps.append((done, of)), turns=2)
    figures = result.as_json()
    assert steps == [(done, 4) for done in range(5)]
    assert len(result.digests) == 3
    assert figures["same_in_every_process"]
    assert figures["same_with_a_trace"]
    # Two answers of 17 words, and a pause before each question.
    assert 15 < figures["simulated_s"] < 40
    shown = Console(width=120, file=StringIO(), record=True)
    shown.print(bench_lab.table(result))
    text = shown.export_text()
    assert "A call of 2 turns" in text
    assert re.search(r"the same events in three processes +│ yes", text)


def test_processes_that_differ_are_reported() -> None:
    one, other = (bench_lab.Held(10.0, wall, digest) for wall, digest in ((1.0, "a"), (3.0, "b")))
    result = bench_lab.Result(1, (one, other, one), 2.0, "b", Overhead(9, 1.0, 2.0, 3.0), "a machine", "2026-01-01")
    figures = result.as_json()
    assert not figures["same_in_every_process"]
    assert not figures["same_with_a_trace"]
    assert figures["wall_s"] == 1.0


def sounds(recording: Recording) -> list[Event]:
    return [e for e in recording.events if e.processor == "MemoryOutput" and e.frame == "TTSAudioRawFrame"]


def test_speech_is_played_in_chunks_one_after_the_other_without_a_gap() -> None:
    recording = held(caller("Play some jazz."), agent("Here it comes, as you wished."), how=SEED)
    times = [event.at for event in sounds(recording)]
    gaps = {round(1000 * (later - earlier), 3) for earlier, later in pairwise(times)}
    assert len(times) > 30
    assert gaps == {CHUNK_MS}


def test_a_stage_of_ones_own_reads_how_the_caller_speaks() -> None:
    class Hearing(FrameProcessor):
        """Notes each cue, and how many contexts have passed by then."""

        def __init__(self) -> None:
            super().__init__()
            self.contexts = 0
            self.cues: list[tuple[int, str]] = []

        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, CallerSpeechFrame) and not frame.begins:
                self.cues.append((self.contexts, frame.said.cue))
            elif isinstance(frame, LLMContextFrame):
                self.contexts += 1
            await self.push_frame(frame, direction)

    hearing = Hearing()
    script = Conversation(
        "cues",
        caller("Where is my order?", cue="frustrated"),
        agent("It is on its way."),
        caller("Thank you."),
        agent("You are welcome."),
    )
    definition = BASIC_CASCADE.insert_after(USER_TURN, HEARING)
    services = {"HEARING": Service("listener", lambda session: hearing)}
    virtual.run(hold(script, definition, VENDOR, services=services)).check()
    assert [cue for _, cue in hearing.cues] == ["frustrated", ""]
    # The cue is there before the words that it belongs to.
    assert hearing.cues[0][0] == 0
    assert hearing.contexts >= 2


def test_the_readmes_script_comes_true() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "virtual.run" in block)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102
    assert [exchange.transcript for exchange in names["recording"].exchanges] == [
        "I'd like a table for two.",
        "Friday at seven.",
    ]
