"""Profiles: what is known of a service's latency, as data with its source."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from guardrails.data_file import DataError, Record, read

FOLDER = Path(__file__).parent / "profiles"
Z95 = 1.6449
"""Standard deviations between the median and the 95th percentile of a normal distribution."""


class Milliseconds(Record):
    """How long something takes: one of three forms.

    Args:
        fixed: Always as long.
        p50: The median of a lognormal distribution, with
        p95: its 95th percentile.
        low: The least of a uniform distribution, with
        high: its most.
    """

    fixed: float | None = Field(default=None, ge=0)
    p50: float | None = Field(default=None, gt=0)
    p95: float | None = Field(default=None, gt=0)
    low: float | None = Field(default=None, ge=0)
    high: float | None = Field(default=None, ge=0)
    _random: random.Random = PrivateAttr(default_factory=lambda: random.Random(0))

    @model_validator(mode="after")
    def _one_form(self) -> Milliseconds:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given not in ({"fixed"}, {"p50", "p95"}, {"low", "high"}):
            raise ValueError("give a number, or p50 and p95, or low and high")
        if (self.p95 or 0) < (self.p50 or 0) or (self.high or 0) < (self.low or 0):
            raise ValueError("the larger figure is smaller than the other")
        return self

    def seed(self, seed: str) -> None:
        """Begin the sequence of draws anew."""
        self._random.seed(seed)

    @property
    def ceiling(self) -> float:
        """Milliseconds that are seldom exceeded."""
        return self.fixed or self.high or 2 * (self.p95 or 0.0)

    def draw(self) -> float:
        """The next duration in milliseconds."""
        if self.fixed is not None:
            return self.fixed
        if self.p50 is not None and self.p95 is not None:
            return self.p50 * math.exp(self._random.gauss(0, math.log(self.p95 / self.p50) / Z95))
        assert self.low is not None and self.high is not None  # noqa: PT018, S101
        return self._random.uniform(self.low, self.high)


def _number_is_fixed(value: Any) -> Any:
    return {"fixed": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Duration = Annotated[Milliseconds, BeforeValidator(_number_is_fixed)]


class ProfileVAD(Record):
    """Seconds of voice until speech is reported, and of silence until its end is."""

    service: str
    start_secs: float = Field(ge=0)
    stop_secs: float = Field(ge=0)
    source: str


class ProfileTurn(Record):
    """Seconds of silence after which a turn whose words look finished is over, and one whose words do not."""

    service: str
    done_secs: float = Field(ge=0)
    trailing_secs: float = Field(ge=0)
    source: str


class ProfileSTT(Record):
    """Milliseconds from the reported end of speech to the final transcript."""

    service: str
    final_ms: Duration
    source: str


class ProfileLLM(Record):
    """Milliseconds from the context to the first word, and words a second from then on; all at once if not given."""

    service: str
    first_token_ms: Duration
    words_per_second: float | None = Field(default=None, gt=0)
    source: str


class ProfileTTS(Record):
    """Milliseconds from the text to the first audio, and seconds of speech a word."""

    service: str
    first_audio_ms: Duration
    word_secs: float = Field(gt=0, default=0.33)
    source: str


class Total(Record):
    """A total that a source gives for the whole, in milliseconds, to stand beside what the parts sum to."""

    low_ms: float = Field(ge=0)
    high_ms: float = Field(ge=0)
    source: str


class Sold(Record):
    """What the services are sold as.

    Args:
        services: Names in the price table (`prices.yaml`), by role.
        source: Who says that they are those.
        heard_tokens_per_second: Of the caller's sound, in the prompt of its own turn alone, as words are what a model
            that hears is made to remember.
        claim: The model in `seed_cost.yaml` whose costs stand beside, if any does.
    """

    services: dict[Literal["llm", "stt", "tts"], str] = Field(min_length=1)
    source: str = Field(min_length=1)
    heard_tokens_per_second: float = Field(ge=0, default=0)
    claim: str = ""


class Profile(Record):
    """Latency of every service of one stack.

    Args:
        name: As in `profile(NAME)`.
        summary: One line.
        architectures: Names of those that it describes.
        sold: What its services are sold as; without it, what a conversation costs is not known.
        totals: What sources claim for the whole.
    """

    name: str
    summary: str
    architectures: tuple[str, ...] = ()
    sold: Sold | None = None
    vad: ProfileVAD
    turn: ProfileTurn
    stt: ProfileSTT
    llm: ProfileLLM
    tts: ProfileTTS
    totals: tuple[Total, ...] = ()

    def durations(self) -> Iterator[tuple[str, Milliseconds]]:
        """Every duration with its name."""
        for slot in ("stt", "llm", "tts"):
            part = getattr(self, slot)
            for field in type(part).model_fields:
                value = getattr(part, field)
                if isinstance(value, Milliseconds):
                    yield f"{slot}.{field}", value

    def seeded(self, seed: int) -> Profile:
        """A copy whose draws follow from the seed alone."""
        copy = self.model_copy(deep=True)
        for name, duration in copy.durations():
            duration.seed(f"{seed} {name}")
        return copy


def names() -> list[str]:
    """The profiles that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Profile:
    """A profile by the name of one that ships, or by the path of a YAML file.

    Raises:
        DataError: If there is none or it is malformed.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in names():
            raise DataError(f"no profile {name!r}: choose {', '.join(names())} or give a YAML file")
        path = FOLDER / f"{name}.yaml"
    return read(path, Profile)
