"""A conversation with real audio: who is heard when, what is cut off, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.definition import HEARING
from pipelines.lab.compare import Kind, Row
from pipelines.lab.compare.measured import held_long, measure, rows
from pipelines.lab.script import CallerSays, Conversation, agent, caller
from processors.pcm import Samples
from tests.traced import ARCHITECTURE, STOP_SECS, WORD_SECS, speech, stack

SONG = "I can sing one note, and I can sing it for as long as you like."
SCRIPT = Conversation(
    "a song",
    caller("What can you do?", at=1.0),
    agent("It is up to the language model."),
    caller("Stop that now.", into=1.6),
    agent("It is up to the language model."),
    caller("Thank you.", after=1.0),
    agent("It is up to the language model."),
)


def tone(said: CallerSays) -> Samples:
    """A word every quarter of a second, on one note."""
    return speech(WORD_SECS * len(said.text.split()), before=0.0)


@pytest.fixture(scope="module")
def row() -> Row:
    heard = [said.text for exchange in SCRIPT.exchanges for said in exchange.says]
    return measure(ARCHITECTURE, stack(heard, [SONG, "All right then.", "You are welcome."]), SCRIPT, voice=tone)


def test_every_figure_says_that_it_was_measured_where_and_when(row: Row) -> None:
    assert row.kind is Kind.MEASURED
    figures = [cell for cell in row.cells.values() if cell.kind is Kind.MEASURED]
    assert len(figures) > 10
    assert all(f"{row.date}, with the stack scripted" in cell.source for cell in figures)
    assert all("cores" in cell.source for cell in figures)


def test_what_only_a_benchmark_of_its_own_tells_is_shown_as_it_was_kept_or_not_at_all(row: Row) -> None:
    assert row.cells["retention"].kind is Kind.NOT_YET
    assert "antiphon bench retention --keep" in row.cells["retention"].source


def test_each_turn_is_understood_answered_and_timed(row: Row) -> None:
    assert row.run is not None
    assert [answer.understood for answer in row.run.answers] == [answer.asked for answer in row.run.answers]
    assert row.cells["answered"].value == "3 of 3"
    for answer in row.run.answers:
        assert sum(part.ms for part in answer.parts) == pytest.approx(answer.latency_ms)
        assert (answer.latency_ms or 0) >= 1000 * STOP_SECS - 40


def test_an_answer_that_is_cut_off_is_remembered_as_it_was_heard(row: Row) -> None:
    assert row.run is not None
    first, *others = row.run.answers
    assert first.heard is not None
    assert SONG.startswith(first.heard)
    assert 3 <= len(first.heard.split()) < len(SONG.split())
    assert first.remembered == first.heard
    assert 0 < (first.silent_ms or 0) < 1000
    assert [(answer.heard, answer.remembered) for answer in others] == [
        (None, "All right then."),
        (None, "You are welcome."),
    ]
    assert row.cells["heard_truth"].value == 100


def test_both_are_heard_in_turn_and_once_at_the_same_time(row: Row) -> None:
    assert row.run is not None
    agent_sounds = [sound for sound in row.run.sounds if sound.who == "agent"]
    callers = [sound for sound in row.run.sounds if sound.who == "caller"]
    assert callers[0].begin == pytest.approx(1.0, abs=0.01)
    over = [said for said in callers if any(each.begin < said.begin < each.end for each in agent_sounds)]
    assert over == [callers[1]]


def test_what_the_stack_cannot_fill_says_why() -> None:
    guesses = replace(HEARING, name="GUESSES")
    stages = tuple(guesses if stage is HEARING else stage for stage in ADVANCED_CASCADE.stages)
    (found,) = rows([replace(ADVANCED_CASCADE, stages=stages)])
    assert found.kind is Kind.CANNOT_RUN
    assert found.reason.startswith("no processor exists yet for GUESSES")
    assert found.cells["latency_p50"].source == found.reason
    assert found.cells["inspect"].value == "transcript, context, text, cleared text"


def test_an_answer_in_a_pause_of_the_callers_is_counted_and_not_taken_for_the_answer() -> None:
    script = Conversation(
        "a pause",
        caller("Here is a number.", at=1.0),
        caller("Seven.", then=2.0),
        agent("It is up to the language model."),
        caller("Thank you."),
        agent("It is up to the language model."),
    )
    heard = [said.text for exchange in script.exchanges for said in exchange.says]
    found = measure(ARCHITECTURE, stack(heard, [SONG, "Seven it is.", "You are welcome."]), script, voice=tone)
    assert found.run is not None
    assert found.cells["early"].value == "1 of 2"
    assert [answer.remembered for answer in found.run.answers] == ["Seven it is.", "You are welcome."]
    assert found.cells["heard_truth"].source == "no answer was cut off"


def test_what_goes_wrong_in_a_long_call_is_counted_with_real_sound_too() -> None:
    heard = [said.text for exchange in SCRIPT.exchanges for said in exchange.says]
    heard[0] = "What can't you do?"
    call = held_long(ARCHITECTURE, stack(heard, [SONG, "All right then.", "You are welcome."]), SCRIPT, 30, voice=tone)
    assert (call.minutes, call.turns) == (1, 3)
    assert call.told == "1 × words not understood as they were said"
    assert [ms > 0 for _, ms in call.delays] == [True] * 3
