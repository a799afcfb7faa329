"""Errors of a long call by the minute: what a recording itself shows to have gone wrong, whoever answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipelines.lab.compare.cells import Cell, Kind
from pipelines.lab.compare.half_hour import DIGITS
from pipelines.lab.compare.run import Answer
from pipelines.lab.holding import Recording
from pipelines.lab.script import words

if TYPE_CHECKING:
    from pipelines.lab.soak import Trend

ENDS_MINUTES = 5
"""How much of the beginning and of the end of a call is set against each other."""

NO_SLOPE = "where nothing goes wrong there is no slope to be unsure of"

YIELD_SECS = 2.0
"""By when an interruption must have silenced an answer."""

SINGER = "ScriptedDuplexLLM"
"""Whose sound never ends."""

At = tuple[float, float]
"""A minute of the call, and milliseconds."""


class Error(StrEnum):
    """What can go wrong in a turn."""

    UNANSWERED = "no answer"
    EARLY = "an answer begun before the caller had finished"
    TALKED_ON = "two seconds and more of the answer after the caller had begun to speak into it"
    MISUNDERSTOOD = "words not understood as they were said"
    MISREMEMBERED = "an answer remembered otherwise than it was heard"
    LEAKED = "something forbidden that was heard"


def errors(answer: Answer, forbidden: Iterable[str] = ()) -> list[Error]:
    """What went wrong in one exchange, as far as its recording tells.

    Args:
        answer: The exchange.
        forbidden: What must not be heard.
    """
    late = answer.silent_ms is not None and answer.silent_ms > 1000 * YIELD_SECS
    found = {
        Error.UNANSWERED: answer.latency_ms is None,
        Error.EARLY: answer.early,
        Error.TALKED_ON: late,
        Error.MISUNDERSTOOD: bool(answer.understood) and _plain(answer.understood) != _plain(answer.asked),
        Error.MISREMEMBERED: answer.remembered_truly is False,
        Error.LEAKED: answer.leaks(forbidden),
    }
    return [error for error, so in found.items() if so]


def _plain(text: str) -> str:
    """What was said, however it is spelt: letters, and digits for their words."""
    return "".join(str(DIGITS.index(word)) if word in DIGITS else word for word in words(text))


@dataclass(frozen=True)
class LongCall:
    """How a long call went by the minute.

    Args:
        minutes: How much of it is looked at: whole minutes from its beginning.
        turns: How many exchanges ended in them.
        errors: What went wrong, with the minute at which the caller's words had ended.
        delays: From the end of the caller's speech to the first sound, by turn.
        lags: From a model's first sound of an answer until it is heard, by turn; empty unless its sound never ends.
    """

    minutes: int
    turns: int
    errors: tuple[tuple[float, Error], ...]
    delays: tuple[At, ...]
    lags: tuple[At, ...] = ()

    @property
    def by_minute(self) -> list[int]:
        """How many errors there were in each minute."""
        counted = Counter(int(at) for at, _ in self.errors)
        return [counted[minute] for minute in range(self.minutes)]

    def rate(self, begin: int, end: int) -> float:
        """Errors a minute between two minutes."""
        return sum(self.by_minute[begin:end]) / (end - begin)

    @property
    def first(self) -> float:
        """Errors a minute at the beginning."""
        return self.rate(0, min(ENDS_MINUTES, self.minutes))

    @property
    def last(self) -> float:
        """Errors a minute at the end."""
        return self.rate(max(0, self.minutes - ENDS_MINUTES), self.minutes)

    @property
    def growth(self) -> Trend:
        """By how many errors a minute each minute has more than the one before."""
        return _trend([(minute + 0.5, float(count)) for minute, count in enumerate(self.by_minute)])

    @property
    def delay_growth(self) -> Trend | None:
        """By how many milliseconds a minute answers come later; None if there are too few."""
        return _trend(self.delays) if len(self.delays) > 2 else None

    @property
    def lag_growth(self) -> Trend | None:
        """By how many milliseconds a minute a model that never ends is heard later; None for any other."""
        return _trend(self.lags) if len(self.lags) > 2 else None

    @property
    def told(self) -> str:
        """Which errors there were, in words."""
        counted = Counter(error for _, error in self.errors)
        return "; ".join(f"{count} × {error}" for error, count in counted.items()) or "no error"

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        trends = {"errors": self.growth, "delay_ms": self.delay_growth, "lag_ms": self.lag_growth}
        return {
            "minutes": self.minutes,
            "turns": self.turns,
            "by_minute": self.by_minute,
            "errors": [{"minute": round(at, 3), "error": str(error)} for at, error in self.errors],
            "a_minute_more": {
                name: None if trend is None else {key: round(value, 5) for key, value in asdict(trend).items()}
                for name, trend in trends.items()
            },
        }


def cells(call: LongCall | None, kind: Kind, source: str, without: str = "") -> dict[str, Cell]:
    """The cells of the group "over a long call" that errors and times tell.

    Args:
        call: What was held; None if nothing was.
        kind: `PROFILE` or `MEASURED`.
        source: What the figures rest on.
        without: Why nothing was held.
    """
    names = ("errors_first", "errors_last", "errors_growth", "delay_growth", "lag_growth")
    if call is None:
        return dict.fromkeys(names, Cell(Kind.NOT_YET, without or "antiphon compare --long holds half an hour"))
    counted = f"{source}; {call.turns} turns in {call.minutes} minutes: {call.told}"
    slope = f"{counted}; {_interval(call.growth) if call.errors else NO_SLOPE}"
    found = {
        "errors_first": Cell(kind, counted, round(call.first, 3)),
        "errors_last": Cell(kind, counted, round(call.last, 3)),
        "errors_growth": Cell(kind, slope, _rounded(call.growth.slope, 3)),
    }
    slopes = {
        "delay_growth": (call.delay_growth, "fewer than three turns were answered"),
        "lag_growth": (call.lag_growth, "its sound ends with each answer, and each begins anew"),
    }
    for name, (trend, why) in slopes.items():
        found[name] = (
            Cell(Kind.DEFINITION, why, "none")
            if trend is None
            else Cell(kind, f"{source}; {_interval(trend)}", _rounded(trend.slope, 1))
        )
    return found


def _interval(trend: Trend) -> str:
    return f"95 % interval {trend.low:+.3g} to {trend.high:+.3g}"


def _rounded(value: float, digits: int) -> float:
    """And never a negative nothing."""
    return round(value, digits) + 0.0


def _trend(samples: Sequence[At]) -> Trend:
    from pipelines.lab.soak import Trend  # scipy's statistics take long to import

    return Trend.of([minute for minute, _ in samples], [value for _, value in samples])


def of_answers(
    answers: Sequence[Answer],
    ends: Sequence[float],
    minutes: int,
    forbidden: Sequence[str] = (),
    lags: Sequence[At] = (),
) -> LongCall:
    """How a call went.

    Args:
        answers: Its exchanges.
        ends: When the caller's words of each had ended, in seconds since it began.
        minutes: How much of it to look at.
        forbidden: What must not be heard.
        lags: As of `LongCall`, of all of it.
    """
    timed = [(end / 60, answer) for end, answer in zip(ends, answers, strict=True) if end < 60 * minutes]
    return LongCall(
        minutes,
        len(timed),
        tuple((at, error) for at, answer in timed for error in errors(answer, forbidden)),
        tuple((at, answer.latency_ms) for at, answer in timed if answer.latency_ms is not None),
        tuple((at, ms) for at, ms in lags if at < minutes),
    )


def lags(recording: Recording) -> list[At]:
    """How long after a scripted model that listens while it speaks has sung the first sound of an answer it is heard.

    Args:
        recording: From `pipelines.lab.holding.hold`.
    """
    sung = [event for event in recording.events if event.processor == SINGER and event.frame.endswith("AudioRawFrame")]
    if not sung:
        return []
    silence = Counter(event.detail for event in sung).most_common(1)[0][0]
    begins = [event.at for before, event in pairwise(sung) if before.detail == silence != event.detail]
    found = []
    for held in recording.exchanges:
        if held.latency is not None:
            heard = held.speech_end + held.latency
            since = max((at for at in begins if held.speech_end <= at <= heard), default=None)
            if since is not None:
                found.append((held.speech_end / 60, 1000 * (heard - since)))
    return found
