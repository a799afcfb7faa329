"""What the guards of one conversation share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loguru import logger
from pipecat.frames.frames import Frame, TTSTextFrame

from guardrails import Decision, Policy, StreamGuard
from guardrails.policy import Direction
from guardrails.stream import GUARD
from processors.guarding.frames import GuardFrame

JUDGE_SECS = 2.0
"""How long classifiers may take for a text."""


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
        cleared: Says whether the caller's last words may be acted on, once they are known; None if they always are.
    """

    def __init__(self, policy: Policy) -> None:
        self._at_work: asyncio.Future[str] | None = None
        self.policy = policy
        self.said = StreamGuard(policy)
        self.verdict: asyncio.Future[Verdict] | None = None
        self.cleared: Callable[[], Awaitable[bool]] | None = None
        self._heard: list[str] = []
        self._interrupted = False

    def spoken(self, frame: TTSTextFrame) -> None:
        """Words have been heard."""
        self._heard.append(frame.text)

    def interrupted(self) -> None:
        """The caller has cut off what is being said."""
        self._interrupted = True
        if self._at_work is None or self._at_work.done():
            self.said.abort()
        else:
            guard = self.said
            self._at_work.add_done_callback(lambda _: guard.abort())

    async def settle(self) -> None:
        """Go by what was heard of what was cut off.

        Only when something new is asked or said is it certain which words those were: their frames and the
        interruption's take different ways.
        """
        if self._interrupted:
            await self._idle()
            self._interrupted = False
            self.said.recall(" ".join(self._heard))
            self._heard.clear()

    async def feed(self, text: str) -> str:
        """More of an answer: as `StreamGuard.feed`."""
        return "" if self.said.stopped else await self._do(lambda guard: guard.feed(text))

    async def finish(self) -> str:
        """The end of an answer: as `StreamGuard.finish`."""
        return self.said.finish() if self.said.stopped else await self._do(lambda guard: guard.finish())

    async def refuse(self, decision: Decision) -> str:
        """No answer, or no more of one: as `StreamGuard.refuse`."""
        await self._idle()
        return self.said.refuse(decision)

    async def speak(self, text: str) -> str:
        """Words by themselves: as `StreamGuard.aside`."""
        await self.settle()
        return await self._do(lambda guard: guard.aside(text))

    async def _do(self, work: Callable[[StreamGuard], str]) -> str:
        """Have the guard do something: in a thread if classifiers are asked, and for so long."""
        if not self.said.judges:
            return work(self.said)
        await self._idle()
        self._at_work = asyncio.ensure_future(asyncio.to_thread(work, self.said))
        try:
            async with asyncio.timeout(JUDGE_SECS):
                return await asyncio.shield(self._at_work)
        except TimeoutError:
            self.said, self._at_work = self.said.anew(), None
            said = self.said.refuse(Decision(GUARD, "stop", "", 0, 0))
            self.said.failure = TimeoutError.__name__
            return said

    async def _idle(self) -> None:
        if self._at_work is not None and not self._at_work.done():
            await asyncio.wait([self._at_work], timeout=JUDGE_SECS)

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
