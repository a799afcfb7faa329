"""Lets out as much of a model's speech as its transcript has been cleared for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from guardrails import Decision, StreamGuard
from guardrails.fold import Kind, fold
from guardrails.stream import GUARD

Pcm = NDArray[np.int16]
"""Mono samples of 16 bits."""

MARGIN_MS = 80.0
"""Silence begins so long before the word that a rule acts on: a word's times are not exact."""

LAG_MS = 250.0
"""A piece of text that comes with no time comes at most so long after the first sound of it. OpenAI Live writes every
200 ms what was spoken in them, Moshi every 80 ms; OpenAI Realtime promises nothing.

More would be waited for at little cost where an answer comes faster than it is spoken, and 1000 ms let nothing leak of
a text up to so late (`bench gate`). But a word is placed as much earlier: what is remembered of an interrupted answer
would hold words of a second that nobody heard, and that much before what a rule acts on would be silent."""

WORD_SECS = 0.6
"""So long after a piece of text that came with its sound, more of it may sound: no word that follows is missing yet."""

LIMIT_SECS = 10.0
"""Of audio that waits. Longer is nothing waited for."""

QUIET = 104
"""A sample up to here, 50 dB below the loudest that there is, is not heard, and so needs no transcript."""

MISSING = "TranscriptMissing"
BACKWARDS = "TranscriptBackwards"
DIFFERENT = "TranscriptDifferent"
"""What goes wrong with a transcript: none came, its times went back, the guard let out another one."""

_NO_AUDIO: Pcm = np.zeros(0, np.int16)


@dataclass(frozen=True)
class Broken:
    """An answer was broken off.

    Args:
        decision: What by. It names the rule `GUARD` where there is no rule to blame.
        before: The words that were heard, with those that had to be said first.
        failure: What went wrong, as the name of an error; "" if it was a rule that acted.
    """

    decision: Decision
    before: str
    failure: str = ""


@dataclass(frozen=True)
class Released:
    """What may be heard and read now, in this order.

    Args:
        first: What has to be said in another voice before the answer; "" if nothing.
        audio: Samples that follow those let out before.
        text: What of the transcript has been heard with that.
        broken: Why nothing more of the answer is let out; None while it is. Said once: whoever has fed the guard any of
            it then tells it by `StreamGuard.abort` what was heard.
    """

    first: str = ""
    audio: Pcm = field(default_factory=lambda: _NO_AUDIO)
    text: str = ""
    broken: Broken | None = None


@dataclass
class Counts:
    """What became of all samples.

    Args:
        come: How many came.
        out: How many were let out.
        silenced: How many never will be.
        waited: By milliseconds, how many were let out when so much audio had come after them.
    """

    come: int = 0
    out: int = 0
    silenced: int = 0
    waited: Counter[int] = field(default_factory=Counter)

    def delay_ms(self, share: float) -> float:
        """The delay that this share of what was let out did not exceed, in ms of audio; NaN if there was none."""
        left = share * self.out
        for ms, samples in sorted(self.waited.items()):
            left -= samples
            if left <= 0:
                return float(ms)
        return float("nan")


@dataclass(frozen=True)
class _Piece:
    """A piece of the transcript.

    Args:
        text: The words.
        start, end: Its characters' numbers.
        begin: No sample before this one is of it.
        until: Up to which sample it is spoken; None if that is not known.
    """

    text: str
    start: int
    end: int
    begin: int
    until: int | None


class AudioGate:
    """Holds a model's speech until what is said in it has been cleared.

    Audio goes in by `hear`, the transcript by `read`, in any order; what either gives may be heard then. Of an answer,
    samples are numbered from 0. What is heard is never more than what the guard has let out: its text is compared with
    the transcript, and where it is another one, or a rule has acted, the answer ends before that place, less a margin.
    What the guard keeps back keeps back its audio. What stands before that place is heard.

    A piece of the transcript has the number of the sample up to which it has been spoken. It begins where the one
    before it ended, and what follows is unknown. A piece without one is placed by the audio that had come by then, less
    the lag, and that bounds it on one side: it does not begin before, as text comes at most that much later than its
    sound. It may begin long after, where a model writes ahead. Only the earlier bound is safe to use, in both respects:
    to be silent from there on if the piece is forbidden, and to let out what was before it if it is cleared, as the
    words of that have all come. Its own sound waits for the next piece, or the end. The other bound, that it is over by
    then, would let out the words behind it, which nobody has read. Where audio comes as it is spoken, and text with it,
    time passes as well as words do: what came before the lag has had its words, for as long as the last of them may
    sound. Then nothing waits longer than the lag, and where text stops coming, sound does soon.

    Samples that are too quiet to be heard need no transcript. All others that wait longer than the limit, a transcript
    that goes back, and anything that goes wrong in the guard end the answer at once.

    Args:
        margin_ms: Silence begins so much before the place where a match begins.
        lag_ms: How much later than its first sound a piece without a time may come.
        limit_secs: How much audio may wait.

    Attributes:
        limit_secs: How much audio may wait.
        steady: Whether the audio comes as it is spoken, and its text with it.
        counts: What became of the samples.
        shut: Whether all that comes is silenced.
    """

    def __init__(self, *, margin_ms: float = MARGIN_MS, lag_ms: float = LAG_MS, limit_secs: float = LIMIT_SECS) -> None:
        self._margin_ms, self._lag_ms, self.limit_secs = margin_ms, lag_ms, limit_secs
        self.steady = False
        self.counts = Counts()
        self.shut = False
        self._held: deque[tuple[Pcm, int]] = deque()  # with how many had come by then
        self._number_anew()

    def _number_anew(self) -> None:
        self._rate = self._come = self._out = self._covered = 0
        self._forget()

    def _forget(self) -> None:
        """No text has come."""
        self._pieces: deque[_Piece] = deque()
        self._text: list[str] = []  # the transcript, character by character
        self._cleared = 0  # how many of them
        self._let_out = ""  # what the guard has, beyond these
        self._half, self._half_begin = "", 0
        self._begun = self._timed = False
        self._read_at = 0  # how many samples had come with the last of it
        self._forbidden: int | None = None  # the sample from which on a match may be heard
        self._told: list[str] = []
        self._ending: tuple[Decision, str] | None = None

    @property
    def stopped(self) -> bool:
        """Whether no more of the answer's text is to be read: it is broken off, or will be when its audio is there."""
        return self.shut or self._forbidden is not None

    def _samples(self, ms: float) -> int:
        return round(self._rate * ms / 1000)

    def begin(self) -> None:
        """An answer begins. What is left of another is silenced."""
        self._drop()
        self._number_anew()
        self.shut = False

    def abort(self) -> None:
        """The answer was interrupted: nothing more of it is heard."""
        self._drop()
        self._forget()
        self.shut = True

    def hear(self, samples: Pcm, rate: int) -> Released:
        """More of the audio.

        Args:
            samples: Any number of them.
            rate: In Hz. An answer has one.

        Returns:
            What may be heard now.

        Raises:
            ValueError: If the rate is another one.
        """
        if rate != self._rate:
            if self._rate:
                raise ValueError(f"speech of {self._rate} Hz goes on with {rate} Hz: resample it before the gate")
            self._rate = rate
        self._come += len(samples)
        self.counts.come += len(samples)
        if self.shut:
            self._out = self._come
            self.counts.silenced += len(samples)
            return Released()
        if len(samples):
            self._held.append((samples, self.counts.come))
        fresh = self._come - self._read_at <= self._samples(1000 * WORD_SECS)
        if self.steady and self._begun and not self._timed and fresh:
            self._covered = self._placed()
        return self._release()

    def read(self, guard: StreamGuard, text: str, until: int | None = None) -> Released:
        """More of the transcript.

        Args:
            guard: Of what is said. The answer has to be the one that is under way in it.
            text: A piece of any length.
            until: The number of the sample up to which it is spoken; None if that is not known.

        Returns:
            What may be heard now.
        """
        expected = self.expect(text, until)
        try:
            said = guard.feed(expected) if expected else ""
        except Exception as error:
            self.fail(type(error).__name__)
            said = ""
        return self.settle(said, guard.take())

    def finish(self, guard: StreamGuard, *, goes_on: bool = False) -> Released:
        """The end of the answer, whose audio and text have come.

        Args:
            guard: As for `read`.
            goes_on: Whether the audio does, as that of a model which is never silent; then the next answer may follow.
                Otherwise nothing is heard until it begins.

        Returns:
            What may be heard at last.
        """
        said = "" if self.stopped else guard.finish()
        return self.end(said, guard.take(), goes_on=goes_on)

    def expect(self, text: str, until: int | None = None) -> str:
        """The first half of `read`: for who has the guard work elsewhere, and then calls `settle`.

        Returns:
            What to feed it.
        """
        if self.stopped:
            return ""
        if until is not None and until < self._covered:
            self.fail(BACKWARDS)
            return ""
        self._begun, self._timed = True, until is not None
        self._read_at = self._come
        begin = self._covered if until is not None else self._placed()
        if self._half:
            begin = min(begin, self._half_begin)
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self._half_begin = begin
        if not text.isascii():
            text = text.removesuffix(self._half).encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
        start = len(self._text)
        self._text += text
        if not self._half:
            self._covered = self._placed() if until is None else until
        self._pieces.append(_Piece(text, start, len(self._text), begin, until))
        return text

    def _placed(self) -> int:
        """A sample before which all words have come by now."""
        return max(self._covered, self._come - self._samples(self._lag_ms))

    def settle(self, said: str, decisions: Sequence[Decision]) -> Released:
        """The second half of `read`.

        Args:
            said: What the guard lets out.
            decisions: What it has decided.
        """
        if self.stopped:
            return self._release()
        said, decisions, first = self._preface(said, decisions)
        self._let_out += said
        same, whole = self._compare()
        if decisions:
            decision = min(decisions, key=lambda each: each.start)
            place = min(same, decision.start)
            while self._text[place : place + 1] and self._text[place].isspace():
                place += 1  # nothing is heard of it
            self._cleared = max(self._cleared, place)
            self._stop(decision, self._begin_of(place))
        elif whole:
            self._cleared, self._let_out = same, ""
        # Else the guard has begun to say something else, and will say in a decision from where on.
        return self._release(first=first)

    def _preface(self, said: str, decisions: Sequence[Decision]) -> tuple[str, Sequence[Decision], str]:
        """What has to be said before the first word. It needs nothing but to be said; later it would need a pause."""
        first: list[str] = []
        at_start = not self._cleared and not self._let_out
        while at_start and decisions and decisions[0].action == "say_first" and decisions[0].start == 0:
            text = f"{decisions[0].text} "
            if not said.startswith(text):
                break
            first.append(decisions[0].text)
            said, decisions = said.removeprefix(text), decisions[1:]
        return said, decisions, " ".join(first)

    def _compare(self) -> tuple[int, bool]:
        """How far what was let out is the transcript, and whether that is all of it.

        The guard drops some of what stands between words where there is too much of it.
        """
        at = self._cleared
        for char in self._let_out:
            past = at
            while past < len(self._text) and self._text[past] != char:
                if fold(self._text[past]).kind is Kind.WORD:
                    return at, False
                past += 1
            if past == len(self._text):
                return at, False
            at = past + 1
        return at, True

    def _begin_of(self, character: int) -> int:
        """The sample from which on a character may be heard."""
        for piece in self._pieces:
            if character < piece.end:
                return piece.begin
        return self._covered

    def _stop(self, decision: Decision, begin: int, failure: str = "") -> None:
        self._ending = decision, failure
        self._forbidden = begin

    def fail(self, failure: str) -> None:
        """Something has gone wrong: the answer ends where it is. What comes of it is given by what is called next.

        Args:
            failure: What, as the name of an error.
        """
        if not self.stopped:
            self._stop(Decision(GUARD, "stop", "", self._cleared, self._cleared), self._out, failure)

    def end(
        self, said: str, decisions: Sequence[Decision], *, goes_on: bool = False, finished: bool = True
    ) -> Released:
        """The second half of `finish`.

        Args:
            said: What the guard lets out.
            decisions: What it has decided.
            goes_on: As for `finish`.
            finished: Whether all text of the answer has come. Otherwise what is behind the last of it is silenced.
        """
        first = self.settle(said, decisions)
        if not self.stopped:
            if self._let_out or any(fold(char).kind is Kind.WORD for char in self._text[self._cleared :]):
                self.fail(DIFFERENT)
            else:
                self._cleared = len(self._text)
        rest = self._release(at=self._last(goes_on) if finished else self._covered, last=True, finished=finished)
        if goes_on and not finished:
            self._drop()
        if not self.shut and not goes_on:
            if not self._begun and self._held:
                self.fail(MISSING)
                rest = self._joined(rest, self._release())
            self._drop()
        released = self._joined(first, rest)
        self._forget()
        self.shut = not goes_on
        return released

    def _last(self, goes_on: bool) -> int:
        """The sample up to which an answer may be heard when all its text is there."""
        if not self._begun:
            return self._out
        if self._timed:
            return self._covered + self._samples(self._margin_ms)
        return self._placed() if goes_on else self._come

    @staticmethod
    def _joined(one: Released, other: Released) -> Released:
        return Released(
            one.first or other.first,
            np.concatenate((one.audio, other.audio)),
            one.text + other.text,
            one.broken or other.broken,
        )

    def _release(
        self, *, first: str = "", at: int | None = None, last: bool = False, finished: bool = True
    ) -> Released:
        """Let out what may be heard.

        Args:
            first: What has to be said before it.
            at: The sample up to which it may; by what is cleared if none is given.
            last: Whether no more of the answer will come.
            finished: Whether all of it has.
        """
        if self.shut:
            return Released()
        if at is None or self._forbidden is not None:
            at = self._frontier() - self._samples(self._margin_ms)
        audio = self._take(at)
        if self._forbidden is None and not last and self._come - self._out > self._rate * self.limit_secs:
            self._overdue()
        text = self._read_on(everything=last and finished and self._forbidden is None)
        self._told += [f"{first} ", text] if first else [text]
        if self._ending is None or (self._come < at and not last):
            return Released(first, audio, text)
        self._drop()
        self.shut = True
        decision, failure = self._ending
        return Released(first, audio, text, Broken(decision, "".join(self._told), failure))

    def _frontier(self) -> int:
        """The first sample of what is not cleared."""
        if self._forbidden is not None:
            return self._forbidden
        return next((piece.begin for piece in self._pieces if piece.end > self._cleared), self._covered)

    def _take(self, at: int) -> Pcm:
        """Samples up to a number, and those after it that are too quiet to be heard."""
        taken = []
        while self._held:
            samples, come = self._held[0]
            count = min(len(samples), max(at - self._out, 0))
            loud = np.abs(samples[count:].astype(np.int32)) > QUIET
            count += int(loud.argmax()) if loud.any() else len(loud)
            if count:
                taken.append(samples[:count])
                self._out += count
                self.counts.out += count
                self.counts.waited[round(1000 * (self.counts.come - come) / self._rate)] += count
            if count < len(samples):
                self._held[0] = (samples[count:], come)
                break
            self._held.popleft()
        return np.concatenate(taken) if taken else _NO_AUDIO

    def _read_on(self, *, everything: bool) -> str:
        """Cleared text whose sound was let out; if it is not known how far that goes, some of its sound."""
        over = self._out + self._samples(self._margin_ms)
        text = []
        while self._pieces:
            piece = self._pieces[0]
            heard = piece.begin < self._out if piece.until is None else piece.until <= over
            if piece.end > self._cleared or not (heard or everything):
                break
            text.append(piece.text)
            self._pieces.popleft()
        return "".join(text)

    def _overdue(self) -> None:
        """Too much waits. Of an answer that is its end. A sound by itself, such as a breath, is not heard."""
        loud = sum(int(np.count_nonzero(np.abs(samples.astype(np.int32)) > QUIET)) for samples, _ in self._held)
        if self._begun or 2 * loud > self._come - self._out:
            self.fail(MISSING)
        else:
            self._drop()

    def _drop(self) -> None:
        """What is held is never heard."""
        self.counts.silenced += sum(len(samples) for samples, _ in self._held)
        self._held.clear()
        self._out = self._come
