"""Each stage makes its mistake once, and blame finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab.caller import Caller
from pipelines.lab.replay import Verdict, blame
from pipelines.lab.replay.substitutes import holds
from pipelines.lab.trace import Trace, TraceError
from pipelines.stacks import Service, Stack
from tests.jazz import LateVAD, LateWords, OtherWords, asks, interrupts, recorded, right, stack, with_pause, wrong
from tests.speech import needs, say

SAID = "Please play some jazz."


def misheard(text: str) -> str:
    return text.replace("jazz", "jacks").replace("Jazz", "Jacks")


def judged(trace: Trace, of: Stack, expected: str, *, said: str = "", turn: int | None = None) -> Verdict:
    return blame(trace, expected, said=said, turn=turn, stack=of, architecture=BASIC_CASCADE)


@pytest.fixture(autouse=True)
def _models() -> None:
    needs("hibari-heart", "moonshine-tiny-en")


def test_who_did_everything_right_is_not_blamed(tmp_path: Path) -> None:
    of = stack()
    found = judged(recorded(tmp_path, of, asks), of, "smooth jazz", said=SAID)
    assert found.fault is None
    assert found.why == "what is expected was heard"


def test_jazz_misheard_as_jacks_is_the_recognisers_fault(tmp_path: Path) -> None:
    of = stack(hear=misheard)
    found = judged(recorded(tmp_path, of, asks), of, "smooth jazz", said=SAID)
    assert "jacks" in found.understood.lower()
    assert found.fault == "STT"


def test_a_second_opinion_does_where_nobody_says_what_was_said(tmp_path: Path) -> None:
    of = stack(hear=misheard)
    assert judged(recorded(tmp_path, of, asks), of, "smooth jazz").fault == "STT"


def test_a_wrong_answer_is_the_models_fault(tmp_path: Path) -> None:
    of = stack(rule=wrong)
    found = judged(recorded(tmp_path, of, asks), of, "smooth jazz", said=SAID)
    assert found.fault == "LLM"


def test_other_words_than_were_written_are_the_voices_fault(tmp_path: Path) -> None:
    of = stack(voice=OtherWords)
    found = judged(recorded(tmp_path, of, asks), of, "smooth jazz", said=SAID)
    assert found.planned == "Here is some smooth jazz for you."
    assert "weather" in found.heard.lower()
    assert found.fault == "TTS"


def test_a_beginning_that_was_not_noticed_is_the_fault_of_who_listens_for_speech(tmp_path: Path) -> None:
    async def begins_with_it(caller: Caller) -> None:
        await caller.say(say("Jazz is what I would like to hear."))

    of = stack().replace(VAD=Service("late", lambda session: LateVAD(0.9)))
    trace = recorded(tmp_path, of, begins_with_it)
    assert "jazz" not in trace.turns[0].transcript.lower()
    assert judged(trace, of, "smooth jazz").fault == "VAD"


def test_an_answer_before_the_caller_was_done_is_the_fault_of_who_ended_the_turn(tmp_path: Path) -> None:
    async def hesitates(caller: Caller) -> None:
        await caller.say(with_pause("Could you please play", "some jazz music for me?", 0.9))

    of = stack(patience=0.2)
    trace = recorded(tmp_path, of, hesitates)
    assert len(trace.turns) > 1
    found = judged(trace, of, "smooth jazz", turn=1)
    assert found.fault == "USER_TURN"


def test_a_word_that_was_heard_and_not_remembered_is_the_fault_of_who_remembers(tmp_path: Path) -> None:
    of = stack(voice=lambda: LateWords(2.2))
    trace = recorded(tmp_path, of, interrupts)
    heard = right([{"role": "user", "content": "That one."}, {"role": "assistant", "content": trace.turns[0].answer}])
    assert "gentle" not in heard
    found = judged(trace, of, "gentle jazz")
    assert found.fault == "ASSISTANT_TURN"


def test_two_mistakes_are_not_blamed_on_one_stage(tmp_path: Path) -> None:
    of = stack(rule=wrong, voice=OtherWords)
    found = judged(recorded(tmp_path, of, asks), of, "smooth jazz", said=SAID)
    assert found.fault is None
    assert "more than one" in found.why


def test_expected_words_may_have_others_between_them() -> None:
    assert holds("Here is some smooth, cool jazz.", "smooth jazz")
    assert not holds("Jazz that is smooth.", "smooth jazz")


def test_what_cannot_be_judged_is_refused_in_a_line(tmp_path: Path) -> None:
    of = stack()
    trace = recorded(tmp_path, of, asks)
    with pytest.raises(TraceError, match="no turn 9: there are 1"):
        judged(trace, of, "jazz", turn=9)
    with pytest.raises(TraceError, match="has no words"):
        judged(trace, of, " ?! ")
