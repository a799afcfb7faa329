"""What the guards of one conversation share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger
from pipecat.frames.frames import Frame, TTSTextFrame

from guardrails import Decision, Policy, StreamGuard
from guardrails.policy import Direction
from guardrails.stream import GUARD
from processors.guarding.frames import GuardFrame


@dataclass(frozen=True)
class Verdict:
    """What became of words that were judged.

    Args:
        decision: By which they are not to be answered; None if they are.
        failure: What went wrong in judging them, as the name of an error.
    """

    decision: Decision | None = None
    failure: str | None = None


class Guarding:
    """One conversation's policy: what was said, what of it was heard, and what is owed.

    Args:
        policy: The rules.

    Attributes:
        policy: The rules.
        said: The guard of what is said.
        verdict: What becomes of the caller's last words, while that is being judged; None if nothing is.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.said = StreamGuard(policy)
        self.verdict: asyncio.Future[Verdict] | None = None
        self._heard: list[str] = []
        self._interrupted = False

    def spoken(self, frame: TTSTextFrame) -> None:
        """Words have been heard."""
        self._heard.append(frame.text)

    def interrupted(self) -> None:
        """The caller has cut off what is being said."""
        self.said.abort()
        self._interrupted = True

    def settle(self) -> None:
        """Go by what was heard of what was cut off.

        Only when something new is asked or said is it certain which words those were: their frames and the
        interruption's take different ways.
        """
        if self._interrupted:
            self._interrupted = False
            self.said.recall(" ".join(self._heard))
            self._heard.clear()

    def speak(self, text: str) -> str:
        """Words by themselves.

        Args:
            text: All of them.

        Returns:
            What may be said of them.
        """
        self.settle()
        return self.said.aside(text)

    def reports(self, decisions: Sequence[Decision], direction: Direction, failure: str | None = None) -> list[Frame]:
        """What is to be made known of decisions. What failed is logged, too."""
        if failure is not None:
            logger.error(f"the guard of what is {direction} failed ({failure}): nothing more was let through")
        return [
            GuardFrame(
                rule=decision.rule,
                action=decision.action,
                direction=direction,
                characters=decision.end - decision.start,
                failure=(failure or "") if decision.rule == GUARD else "",
            )
            for decision in decisions
        ]
