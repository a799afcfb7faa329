"""Decides when a caller's turn is over and when to start on an answer ahead of that. Synchronous; told the time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from pipecat.turns.user_stop.eager_match_policy import NormalizedMatch

from processors.turns.rules import TurnRules, silence_needed


class Do(Enum):
    """What the host has to do now."""

    JUDGE = auto()
    """Run the turn model on the audio so far, and report `verdict`."""
    SPECULATE = auto()
    """Generate an answer to `TurnDecision.speculation` and hold it."""
    WITHDRAW = auto()
    """Discard the answer that is being held."""
    CONFIRM = auto()
    """End the turn and release the answer that is being held."""
    ANSWER = auto()
    """End the turn and generate an answer."""


@dataclass
class TurnDecision:
    """One caller's turns, one after the other.

    Every method takes the time in seconds on one clock where time matters, and returns what to do, in order. `due`
    says when to call `tick`.

    Args:
        rules: How long a silence has to be.
        transcript_wait: Seconds after the end of the voice within which a recogniser that doesn't mark its last
            transcript as final has sent it.
        by_words: Whether words come. If not, the sound alone decides, and no answer is begun ahead.
    """

    rules: TurnRules
    transcript_wait: float = 1.0
    by_words: bool = True
    text: str = ""
    speculation: str | None = None
    _speaking: bool = False
    _voice: bool = False
    _judging: bool = False
    _heard_all: bool = False
    _probability: float | None = None
    _silent_since: float | None = None

    def __post_init__(self) -> None:
        self._match = NormalizedMatch()

    def begin(self) -> list[Do]:
        """A turn begins or has been ended by somebody else: forget what belongs to the one before.

        Whether there is a voice is a fact about the caller, not about the turn, and stays.
        """
        self.text = ""
        self._heard_all = self._judging = False
        self._probability = self._silent_since = None
        return self._withdraw()

    def started(self) -> list[Do]:
        """The VAD calls it speech."""
        self._speaking = self._voice = True
        self._heard_all = self._judging = False
        self._probability = self._silent_since = None
        return self._withdraw()

    def resumed(self) -> list[Do]:
        """A voice is heard again; it may turn out too short to be speech."""
        self._voice = True
        if not self._speaking:
            return []
        self._judging = False
        self._probability = self._silent_since = None
        return self._withdraw()

    def paused(self, now: float, silence: float) -> list[Do]:
        """No voice has been heard for `silence` seconds."""
        self._voice = False
        if not self._speaking:
            return self.tick(now)
        if self._silent_since is not None:
            return []
        self._silent_since = now - silence
        self._judging = True
        return [Do.JUDGE]

    def stopped(self, now: float, silence: float) -> list[Do]:
        """The VAD calls the speech ended, after `silence` seconds."""
        self._speaking = self._voice = False
        if self._silent_since is None:
            self._silent_since = now - silence
        if self._probability is None and not self._judging:
            self._judging = True
            return [Do.JUDGE]
        return self.tick(now)

    def verdict(self, now: float, probability: float | None) -> list[Do]:
        """What the turn model found; None if it could not say."""
        self._judging = False
        self._probability = probability
        return self.tick(now)

    def words(self, now: float, text: str, *, final: bool) -> list[Do]:
        """The recogniser commits to words; `final` if there are none to come of what has been said so far."""
        self.text = f"{self.text} {text}".strip()
        # A slow recogniser's last words on one stretch of speech may come in the middle of the next.
        self._heard_all = final and not self._speaking
        ended = self.tick(now)
        # While the silence is waited for, the answer can be made.
        return ended or (self.early("") if final and not self._speaking else [])

    def early(self, text: str) -> list[Do]:
        """The recogniser's guess, during a pause, at what it has not committed to yet."""
        guess = f"{self.text} {text}".strip()
        if not guess or self._voice or not self.by_words:
            return []
        if self.speculation is not None and self._match.matches(self.speculation, guess):
            return []
        withdrawn = self._withdraw()
        self.speculation = guess
        return [*withdrawn, Do.SPECULATE]

    def refused(self) -> None:
        """The LLM gave the speculation up, as when it wants a tool, which must not run before the turn is over."""
        self.speculation = None

    @property
    def due(self) -> float | None:
        """When the turn is over if nothing more is heard; None while that cannot be said."""
        waiting = self._speaking or self._voice or self._judging or self._silent_since is None
        if waiting or (self.by_words and not (self.text or self._heard_all)):
            return None
        needed = silence_needed(self._probability, self.text, self.rules)
        if self.by_words and not self._heard_all:
            needed = max(needed, self.transcript_wait)
        assert self._silent_since is not None  # noqa: S101
        return self._silent_since + needed

    def tick(self, now: float) -> list[Do]:
        """End the turn if it is due."""
        if self.due is None or now < self.due:
            return []
        guess, self.speculation = self.speculation, None
        text, self.text = self.text, ""
        self._silent_since = None
        if guess is None:
            return [Do.ANSWER]
        return [Do.CONFIRM] if self._match.matches(guess, text) else [Do.WITHDRAW, Do.ANSWER]

    def _withdraw(self) -> list[Do]:
        if self.speculation is None:
            return []
        self.speculation = None
        return [Do.WITHDRAW]
