"""Which speech belongs to which turn, whatever overtakes what on its way.

Frames of audio, voice activity and turns overtake those of the conversation's context, and results come from threads.
But every frame has a number that grows with each one made, and a context is made from what has been said by then: what
belongs to it is told by numbers, not by the order in which things arrive.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from processors.hearing.cues import RATE
from processors.pcm import Samples, to_samples

LEAD_SECS = 0.2
"""Audio that is heard from before the VAD's first voiced window: soft consonants begin earlier."""

PART_SECS = 2.0
"""Speech that is heard at a time, while more is being said: shorter pieces tell less."""

SHORTEST_SECS = 0.3
"""A part with less is not heard by itself."""


@dataclass(eq=False)
class Part:
    """A piece of speech that is heard by itself.

    Args:
        start: Its first sample since the call began.
        samples: Mono at 16 kHz in [-1, 1].
        made: The number of the frame by which it was complete.
    """

    start: int
    samples: Samples
    made: int

    @property
    def end(self) -> int:
        """One past its last sample."""
        return self.start + len(self.samples)


class Phrases:
    """Cuts what is said into parts, and knows which of them a context was made from.

    Numbers are those of the frames by which something happened. Each method that returns a part has completed it: it
    can be heard now.
    """

    def __init__(self) -> None:
        self._audio = bytearray()
        self._position = 0  # samples since the call began, at the end of the audio kept
        self._begin: int | None = None  # where the part under way begins, while somebody speaks
        self._spoken: deque[Part] = deque()
        self._paused: Part | None = None  # what was said up to a pause that may not last
        self._turns: deque[int] = deque(maxlen=64)  # the numbers by which turns ended
        self._known: deque[int] = deque(maxlen=64)  # those of them by which a turn's words came as well

    def audio(self, pcm: bytes, number: int) -> Part | None:
        """Take 16-bit mono PCM at 16 kHz."""
        self._audio += pcm
        self._position += len(pcm) // 2
        if self._begin is None:
            self._forget_before(self._position - 2 * RATE)
            return None
        if self._paused is None and self._position - self._begin >= PART_SECS * RATE:
            return self._complete(number)
        return None

    def started(self, start_secs: float) -> None:
        """Speech began `start_secs` ago."""
        begin = max(0, self._position - round((start_secs + LEAD_SECS) * RATE))
        self._begin = max(begin, self._spoken[-1].end) if self._spoken else begin

    def paused(self, number: int) -> Part | None:
        """Speech stopped a moment ago, perhaps to go on."""
        if self._begin is None or self._position - self._begin < SHORTEST_SECS * RATE:
            return None
        self._paused = self._part(self._begin, number)
        return self._paused

    def resumed(self) -> None:
        """It went on: what was heard at the pause is a part of more."""
        self._paused = None

    def stopped(self, number: int) -> Part | None:
        """Speech has ended."""
        begin, self._begin = self._begin, None
        if self._paused is not None:
            self._spoken.append(self._paused)
            self._paused = None
            return None
        if begin is None or self._position - begin < SHORTEST_SECS * RATE:
            return None
        self._spoken.append(self._part(begin, number))
        return self._spoken[-1]

    def turn_ended(self, number: int) -> None:
        """A turn is over: what has been said belongs to it or to one before."""
        self._turns.append(number)

    def of(self, number: int) -> list[Part]:
        """What was said in the turn that a context is of, as far as it had been said when the context was made.

        Args:
            number: The context frame's.
        """
        since = self._since(number)
        return [part for part in self._parts() if since < part.made < number]

    def forget(self, number: int) -> None:
        """Let go of what was said before a turn whose words have come.

        Args:
            number: Of the frame with them.
        """
        self._known.append(number)
        since = self._since(number)
        while self._spoken and self._spoken[0].made < since:
            self._spoken.popleft()

    def _since(self, number: int) -> int:
        """By which number the turn before that of a context ended.

        A turn whose answer was begun ahead ends before its words come: an end without words after which nothing was
        said is its own.
        """
        *earlier, last = sorted([-1, -1, *(turn for turn in self._turns if turn < number)])
        own = last not in self._known and not any(last < part.made < number for part in self._parts())
        return earlier[-1] if own else last

    def _parts(self) -> list[Part]:
        """All that is known of what was said."""
        return [*self._spoken, *([self._paused] if self._paused is not None else [])]

    def _complete(self, number: int) -> Part:
        assert self._begin is not None  # noqa: S101
        part = self._part(self._begin, number)
        self._spoken.append(part)
        self._begin = part.end
        return part

    def _part(self, begin: int, number: int) -> Part:
        kept_from = self._position - len(self._audio) // 2
        begin = max(begin, kept_from)
        samples = to_samples(bytes(self._audio[2 * (begin - kept_from) :]))
        self._forget_before(begin)
        return Part(begin, samples, number)

    def _forget_before(self, position: int) -> None:
        surplus = position - (self._position - len(self._audio) // 2)
        if surplus > 0:
            del self._audio[: 2 * surplus]
