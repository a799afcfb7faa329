"""Where on the conversation's time axis a piece of audio lies."""

from __future__ import annotations


class Axis:
    """Turns pieces that arrive in real time into one gapless stream that keeps to the clock.

    Pieces follow each other without a gap where they arrive about when they should; where one is late by more than
    `slack`, nothing was heard in between, and that is silence.

    Args:
        rate: Hz.
        slack: Seconds of lateness that are put down to the event loop.
    """

    def __init__(self, rate: int, slack: float) -> None:
        self._rate = rate
        self._slack = slack
        self._quiet = True
        self.length = 0
        """Samples so far, silence included."""

    def place(self, end: float, samples: int) -> int:
        """Add a piece; return how many samples of silence come before it.

        Args:
            end: When its last sample was heard, in seconds from the beginning.
            samples: How many it has.
        """
        missing = round(end * self._rate) - samples - self.length
        silence = max(0, missing) if self._quiet or missing > self._slack * self._rate else 0
        self._quiet = False
        self.length += silence + samples
        return silence

    def advance(self, now: float) -> int:
        """Catch up with the clock where nothing is heard, but for the slack; return how many samples of silence."""
        silence = max(0, round((now - self._slack) * self._rate) - self.length)
        self._quiet = self._quiet or silence > 0
        self.length += silence
        return silence
