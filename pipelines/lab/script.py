"""A conversation written down as a timeline: who speaks when, what, how, over whom, and what is expected of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrails import Policy

SECS_PER_WORD = 0.33
"""How long a caller takes for a word where a script does not say."""


class ScriptError(ValueError):
    """A script that cannot be held, or a conversation that left it. One line."""

    mendable = True


@dataclass(frozen=True)
class CallerSays:
    """One stretch of the caller's speech. Make it with `caller`."""

    text: str
    at: float | None
    after: float | None
    then: float | None
    into: float | None
    lasts: float
    heard: str
    stt_delay: float | None
    cue: str
    goes_on: bool


@dataclass(frozen=True)
class AgentSays:
    """What the language model answers to what the caller said since the answer before. Make it with `agent`."""

    text: str
    tool: str
    arguments: Mapping[str, Any]
    result: Any


@dataclass(frozen=True)
class Expect:
    """What has to be true of the answer before it. Make it with `expect`."""

    within: float | None
    heard: str | None
    transcript: str | None
    interrupted: bool | None


Step = CallerSays | AgentSays | Expect


def caller(
    text: str,
    *,
    at: float | None = None,
    after: float | None = None,
    then: float | None = None,
    into: float | None = None,
    lasts: float | None = None,
    heard: str | None = None,
    stt_delay: float | None = None,
    cue: str = "",
    goes_on: bool = False,
) -> CallerSays:
    """The caller speaks. When is said by one of four, all in seconds.

    Args:
        text: What is said.
        at: From the beginning of the call.
        after: From the end of the agent's answer; 0.5 if nothing is said.
        then: From the end of the caller's own words before, as a pause in mid-turn.
        into: From the first sound of the agent's answer: an interruption.
        lasts: How long it takes; a third of a second a word if nothing is said.
        heard: What the recogniser makes of it, where that is something else.
        stt_delay: Seconds that the recogniser takes, in place of its profile's.
        cue: How it is said, for stages that hear more than words.
        goes_on: Whether it sounds as if more were to come, to a turn model that can tell.

    Raises:
        ScriptError: If there are no words, or two times are given.
    """
    if not text.split():
        raise ScriptError("caller: says nothing: give the words")
    given = [
        name for name, value in (("at", at), ("after", after), ("then", then), ("into", into)) if value is not None
    ]
    if len(given) > 1:
        raise ScriptError(f"caller {text!r}: begins by {' and by '.join(given)}: give one")
    length = SECS_PER_WORD * len(text.split()) if lasts is None else lasts
    return CallerSays(
        text,
        at,
        0.5 if not given else after,
        then,
        into,
        length,
        text if heard is None else heard,
        stt_delay,
        cue,
        goes_on,
    )


def agent(text: str, *, tool: str = "", arguments: Mapping[str, Any] | None = None, result: Any = None) -> AgentSays:
    """The language model answers, after calling a tool if one is named.

    Args:
        text: The whole answer.
        tool: The tool's name.
        arguments: What the model calls it with.
        result: What the tool returns.

    Raises:
        ScriptError: If there are no words.
    """
    if not text.split():
        raise ScriptError("agent: says nothing: give the words")
    return AgentSays(text, tool, dict(arguments or {}), result)


def expect(
    *,
    within: float | None = None,
    heard: str | None = None,
    transcript: str | None = None,
    interrupted: bool | None = None,
) -> Expect:
    """What has to be true of the answer that stands before it in the script.

    Args:
        within: Seconds from the end of the caller's speech to the first sound.
        heard: The words that were heard of it, as the context remembers them.
        transcript: What the agent understood.
        interrupted: Whether it was cut off.
    """
    return Expect(within, heard, transcript, interrupted)


@dataclass(frozen=True)
class Exchange:
    """What the caller says until the agent answers, the answer, and what is expected of it."""

    says: tuple[CallerSays, ...]
    answer: AgentSays
    expects: tuple[Expect, ...] = ()

    @property
    def heard(self) -> str:
        """What the recogniser makes of the caller's words."""
        return " ".join(said.heard for said in self.says)


@dataclass(frozen=True)
class Conversation:
    """A script: steps in the order of time, checked when it is built.

    Args:
        name: As in a report.
        steps: From `caller`, `agent` and `expect`.
        policy: What may be heard and said in it, where there are guards; the persona's if none is given.
        forbidden: What must not be heard in it, though the agent's lines hold it.
        half: What the language model says to the beginning of a turn that is taken for the whole of it. Without, it has
            no answer to it, which is a mistake of the script.

    Raises:
        ScriptError: If the caller says nothing before an answer, the last words get no answer, or the order of times
            cannot be.
    """

    name: str
    steps: tuple[Step, ...]
    policy: Policy | None = None
    forbidden: tuple[str, ...] = ()
    half: str = ""
    exchanges: tuple[Exchange, ...] = field(init=False)

    def __init__(
        self,
        name: str,
        *steps: Step,
        policy: Policy | None = None,
        forbidden: tuple[str, ...] = (),
        half: str = "",
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "policy", policy)
        object.__setattr__(self, "forbidden", forbidden)
        object.__setattr__(self, "half", half)
        object.__setattr__(self, "exchanges", tuple(self._exchanges()))

    def _exchanges(self) -> Sequence[Exchange]:
        exchanges: list[Exchange] = []
        says: list[CallerSays] = []
        for step in self.steps:
            if isinstance(step, CallerSays):
                self._check_time(step, says, exchanges)
                says.append(step)
            elif isinstance(step, AgentSays):
                if not says:
                    raise ScriptError(f"{self.name}: agent {step.text!r}: answers nobody: put a caller before it")
                exchanges.append(Exchange(tuple(says), step))
                says = []
            else:
                if not exchanges or says:
                    raise ScriptError(f"{self.name}: expect stands behind no answer: put it right after one")
                last = exchanges[-1]
                exchanges[-1] = Exchange(last.says, last.answer, (*last.expects, step))
        if says:
            raise ScriptError(f"{self.name}: caller {says[-1].text!r}: gets no answer: put an agent behind it")
        if not exchanges:
            raise ScriptError(f"{self.name}: has no steps: begin with caller(…) and agent(…)")
        return exchanges

    def _check_time(self, step: CallerSays, says: list[CallerSays], exchanges: list[Exchange]) -> None:
        if step.then is not None and not says:
            raise ScriptError(f"{self.name}: caller {step.text!r}: has said nothing before in this turn: drop then")
        if step.into is not None and (says or not exchanges):
            raise ScriptError(f"{self.name}: caller {step.text!r}: there is no answer to speak into: drop into")
        if step.after is not None and says:
            raise ScriptError(
                f"{self.name}: caller {step.text!r}: follows the caller's own words: give the pause with then"
            )


def words(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared: small letters and digits, without punctuation."""
    return tuple(re.findall(r"[\w']+", text.lower()))
