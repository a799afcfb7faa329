"""Turns as timelines: what is heard when, and what the decision does about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from processors.turns.decision import Do, TurnDecision
from processors.turns.rules import TurnRules

RULES = TurnRules(done=0.2, likely=0.6, unlikely=0.9, unfinished=1.2, trailing=1.6)
PAUSE = 0.064
STOP = 0.2


@dataclass
class Line:
    """A caller on the line; times in seconds."""

    decision: TurnDecision = field(default_factory=lambda: TurnDecision(RULES))
    done: list[tuple[float, Do]] = field(default_factory=list)

    def _log(self, now: float, todo: list[Do]) -> None:
        self.done += [(round(now, 3), do) for do in todo]

    def _until(self, now: float) -> None:
        due = self.decision.due
        if due is not None and due <= now:
            self._log(due, self.decision.tick(due))

    def speaks(self, now: float) -> None:
        self._until(now)
        self._log(now, self.decision.resumed() + self.decision.started())

    def falls_silent(self, now: float) -> None:
        """The voice ends at `now`; the pause is noticed a moment later."""
        self._until(now + PAUSE)
        self._log(now + PAUSE, self.decision.paused(now + PAUSE, PAUSE))

    def blip(self, now: float) -> None:
        """A sound too short to be speech."""
        self._until(now)
        self._log(now, self.decision.resumed() + self.decision.paused(now + 0.03, 0.0))

    def guess(self, now: float, text: str) -> None:
        self._until(now)
        self._log(now, self.decision.early(text))

    def verdict(self, now: float, probability: float) -> None:
        self._until(now)
        self._log(now, self.decision.verdict(now, probability))

    def speech_ends(self, now: float, text: str, *, final: bool = True) -> None:
        """The VAD calls it ended and the recogniser commits."""
        self._until(now)
        self._log(now, self.decision.stopped(now, STOP))
        self._log(now, self.decision.words(now, text, final=final))

    def waits(self, now: float) -> None:
        self._until(now)

    @property
    def last(self) -> tuple[float, Do]:
        return self.done[-1]


def test_a_finished_sentence_is_answered_as_soon_as_the_vad_has_called_it_ended() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.11, 0.9)
    line.guess(1.15, "What time is it?")
    line.speech_ends(1.2, "What time is it?")
    assert line.done == [(1.064, Do.JUDGE), (1.15, Do.SPECULATE), (1.2, Do.CONFIRM)]


def test_a_doubtful_ending_waits_longer_and_then_releases_what_was_prepared() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.guess(1.15, "I would like to know.")
    line.verdict(1.16, 0.3)
    line.speech_ends(1.2, "I would like to know.")
    line.waits(5.0)
    assert line.last == (1.6, Do.CONFIRM)


def test_a_trailing_word_outweighs_the_models_certainty() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.99)
    line.speech_ends(1.2, "I'd like to book a cleaning for")
    assert line.decision.due == 1.0 + RULES.trailing


def test_going_on_within_the_wait_withdraws_the_answer_and_keeps_the_words() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.3)
    line.guess(1.15, "My name is Ann.")
    line.speech_ends(1.2, "My name is Ann.")
    line.speaks(1.5)
    assert line.last == (1.5, Do.WITHDRAW)
    line.falls_silent(2.0)
    line.verdict(2.1, 0.9)
    line.guess(2.12, "I need help.")
    assert line.decision.speculation == "My name is Ann. I need help."
    line.speech_ends(2.2, "I need help.")
    assert line.last == (2.2, Do.CONFIRM)


def test_words_that_differ_from_the_guess_are_answered_afresh() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.9)
    line.guess(1.15, "Play some jacks.")
    line.speech_ends(1.2, "Play some jazz.")
    assert line.done[-2:] == [(1.2, Do.WITHDRAW), (1.2, Do.ANSWER)]


def test_punctuation_does_not_count_as_a_difference() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.9)
    line.guess(1.15, "play some jazz")
    line.speech_ends(1.2, "Play some jazz.")
    assert line.last == (1.2, Do.CONFIRM)


def test_a_blip_does_not_end_the_turn_under_it_nor_start_the_silence_anew() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.3)
    line.speech_ends(1.2, "I would like to know.")
    line.blip(1.4)
    line.waits(5.0)
    assert line.last == (1.6, Do.CONFIRM)


def test_a_late_verdict_ends_the_turn_at_once_if_the_silence_was_long_enough() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.speech_ends(1.2, "Yes.")
    line.waits(1.5)
    line.verdict(1.7, 0.9)
    assert line.last == (1.7, Do.CONFIRM)


def test_without_a_final_transcript_the_recognisers_own_latency_is_waited_for() -> None:
    line = Line(TurnDecision(RULES, transcript_wait=1.0))
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.9)
    line.speech_ends(1.2, "Yes.", final=False)
    line.waits(5.0)
    assert line.last == (2.0, Do.ANSWER)


def test_the_answer_is_made_while_a_long_silence_is_waited_for() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.3)
    line.speech_ends(1.2, "I would like to know.")
    assert line.last == (1.2, Do.SPECULATE)
    line.waits(5.0)
    assert line.last == (1.6, Do.CONFIRM)


def test_noise_without_words_ends_its_turn_instead_of_keeping_it_open() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(0.5)
    line.verdict(0.6, 0.2)
    line.speech_ends(0.7, "")
    line.waits(5.0)
    assert line.last == (1.1, Do.ANSWER)


def test_a_guess_during_speech_is_ignored() -> None:
    line = Line()
    line.speaks(0.0)
    line.guess(0.5, "What")
    assert line.done == []


def test_a_tool_refused_during_speculation_leads_to_an_ordinary_answer() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.9)
    line.guess(1.15, "Book a table.")
    line.decision.refused()
    line.speech_ends(1.2, "Book a table.")
    assert line.last == (1.2, Do.ANSWER)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["speaks", "silent", "blip", "guess", "verdict", "ends", "waits", "begin"]),
        st.floats(0.01, 1.0),
        st.sampled_from(["yes", "yes and", "no thanks", ""]),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_a_held_answer_is_confirmed_or_withdrawn_once_and_no_turn_ends_under_a_voice(
    steps: list[tuple[str, float, str]],
) -> None:
    line, now, voice = Line(), 0.0, False
    for what, later, text in steps:
        now += later
        before = len(line.done)
        if what == "speaks":
            line.speaks(now)
            voice = True
        elif what == "silent":
            line.falls_silent(now)
            voice = False
        elif what == "blip" and not voice:
            line.blip(now)
        elif what == "guess":
            line.guess(now, text)
        elif what == "verdict":
            line.verdict(now, later)
        elif what == "ends" and not voice:
            line.speech_ends(now, text)
        elif what == "begin":
            line._log(now, line.decision.begin())
        else:
            line.waits(now)
        if voice and what != "speaks":
            assert not {Do.CONFIRM, Do.ANSWER} & {do for _, do in line.done[before:]}
    held = 0
    for _, do in line.done:
        if do is Do.SPECULATE:
            assert held == 0
            held = 1
        elif do in (Do.WITHDRAW, Do.CONFIRM):
            assert held == 1
            held = 0
    assert held == (line.decision.speculation is not None)


def test_the_words_of_earlier_speech_may_come_while_the_caller_goes_on() -> None:
    line = Line()
    line.speaks(0.0)
    line.falls_silent(1.0)
    line.verdict(1.1, 0.1)
    line.decision.stopped(1.2, STOP)
    line.speaks(1.4)
    line.decision.words(1.6, "On Friday", final=True)
    line.falls_silent(2.0)
    line.verdict(2.1, 0.9)
    line.decision.stopped(2.2, STOP)
    line.waits(2.4)
    assert Do.ANSWER not in [do for _, do in line.done]
    line._log(2.5, line.decision.words(2.5, "at seven.", final=True))
    assert line.last == (2.5, Do.ANSWER)
