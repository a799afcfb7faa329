"""Scripted conversations on virtual time, through the real pipeline with services that are scripted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile, virtual
from pipelines.lab.holding import Recording, hold
from pipelines.lab.script import Conversation, ScriptError, agent, caller, expect

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


def test_the_readmes_script_comes_true() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "virtual.run" in block)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102
    assert [exchange.transcript for exchange in names["recording"].exchanges] == [
        "I'd like a table for two.",
        "Friday at seven.",
    ]
