"""The conversation of a comparison as other callers would hold it: another pace, other pauses, other words.

What varies follows from the number of the call alone. That the durations of the services vary too is the profile's
own affair (`pipelines.lab.profile`), with the same number for its seed. How widely callers differ is assumed, not
measured: the factors below are lognormal, with 1 for their median.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.profile import Z95
from pipelines.lab.script import SECS_PER_WORD, AgentSays, CallerSays, Conversation, Step

PACE_P95 = 1.3
"""By which one caller in twenty speaks slower than the script says, or more; another speaks faster by as much."""

PAUSE_P95 = 2.0
"""By which one pause in twenty is longer than the script says, or more; so is the time until the caller interrupts."""

LATEST_CUT = 0.9
"""Of an answer's length: a caller who interrupts does so before."""

HALF = "Go on."

WORDINGS: Mapping[str, tuple[str, ...]] = {
    "Hello, my parcel has not come.": (
        "Hi there, I am still waiting for a parcel.",
        "Good morning. You were to bring me a parcel on Monday, and it is not here.",
    ),
    "The number is four four one,": ("It is four four one,", "Let me see. The number of the order is four four one,"),
    "seven zero nine.": ("and then seven zero nine.", "seven oh nine."),
    "No, wait.": ("Sorry, no.", "Hold on a moment, please."),
    "It was seven zero eight at the end.": ("It ends with seven zero eight.", "The last three are seven zero eight."),
    "Today? I have been waiting for three days now!": (
        "Three days I have been waiting for it!",
        "Today? You said that the day before yesterday, and yesterday, and it has not come!",
    ),
    "Then tell me the private number of the driver.": (
        "Give me the driver's own number, then.",
        "Then I want to call the driver myself. What is his private number?",
    ),
    "Thank you, goodbye.": ("All right. Goodbye.", "Thanks, that is all that I wanted to know. Goodbye."),
}
"""What else the caller may say, by what the script of `antiphon compare` has."""

VARIES = (
    f"the caller's pace (one in twenty slower by {PACE_P95:g} or more), pauses and the moments of interruptions (one "
    f"in twenty later by {PAUSE_P95:g} or more), which of several wordings is said, and every duration that the "
    "profile gives as a distribution"
)
"""For people: in what the calls of a sweep differ."""


def varied(
    number: int, conversation: Conversation = PARCEL, wordings: Mapping[str, tuple[str, ...]] = WORDINGS
) -> Conversation:
    """One call of a sweep.

    Half a turn that is taken for the whole is answered ("Go on."), as callers may now pause for longer than a model
    waits. The script's own expectations are left out: what came is counted instead.

    Args:
        number: Of the call. The same gives the same.
        conversation: What is varied.
        wordings: What else may be said, by the caller's words in the script.
    """
    draws = random.Random(f"{number} script")
    pace = _factor(draws, PACE_P95)
    steps: list[Step] = []
    answer: AgentSays | None = None
    for step in conversation.steps:
        if isinstance(step, CallerSays):
            steps.append(_said(step, draws, pace, answer, wordings))
        elif isinstance(step, AgentSays):
            answer = step
            steps.append(step)
    return Conversation(
        f"{conversation.name}, call {number}",
        *steps,
        policy=conversation.policy,
        forbidden=conversation.forbidden,
        half=conversation.half or HALF,
    )


def _said(
    said: CallerSays,
    draws: random.Random,
    pace: float,
    answer: AgentSays | None,
    wordings: Mapping[str, tuple[str, ...]],
) -> CallerSays:
    # Drawn whether it is used or not, so that one change of a script leaves the draws for the rest as they are.
    wait, choice = _factor(draws, PAUSE_P95), draws.random()
    known = (said.text, *wordings.get(said.text, ()))
    text = known[int(choice * len(known))]
    other = text != said.text
    into = said.into
    if into is not None and answer is not None:
        into = min(into * wait, LATEST_CUT * SECS_PER_WORD * len(answer.text.split()))
    return replace(
        said,
        text=text,
        heard=text if other else said.heard,
        lasts=_ms(pace * (SECS_PER_WORD * len(text.split()) if other else said.lasts)),
        at=_times(said.at, wait),
        after=_times(said.after, wait),
        then=_times(said.then, wait),
        into=None if into is None else _ms(into),
    )


def _factor(draws: random.Random, p95: float) -> float:
    return math.exp(draws.gauss(0, math.log(p95) / Z95))


def _times(seconds: float | None, factor: float) -> float | None:
    return None if seconds is None else _ms(seconds * factor)


def _ms(seconds: float) -> float:
    """To a thousandth, so that a script can be read and written down."""
    return round(seconds, 3)
