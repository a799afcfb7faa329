"""What a head was measured to do on what it had not been trained on; kept beside the head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from guardrails.judging.judge import JudgeError

HEADS = Path(__file__).with_name("heads")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Frozen):
    """What share of a data set reaches the score 0.5.

    Args:
        source: The data set.
        wanted: Whether its texts have to be found: the share is recall, else false alarms.
        count: Texts.
        share: From 0 to 1.
        held_out: What the head was not trained on: these `texts` (others of the set were), or the `set`.
    """

    source: str
    wanted: bool
    count: int
    share: float
    held_out: Literal["texts", "set"]


class Report(_Frozen):
    """All figures of a head.

    Args:
        recall: Of all texts that have to be found but our own and those measured only, texts held out.
        found_of: How many these are.
        shares: By data set.
    """

    recall: float
    found_of: int
    shares: tuple[Share, ...]


class Shipped(_Frozen):
    """A head's entry in `heads.json`."""

    file: str
    sha256: str
    size: int
    report: Report


def shipped(name: str) -> Shipped:
    """The entry of a judge.

    Raises:
        JudgeError: If it isn't there.
    """
    path = HEADS / "heads.json"
    try:
        return Shipped.model_validate(json.loads(path.read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError) as error:
        raise JudgeError(f"{path} has no usable entry for {name}: install antiphon again") from error


def read(name: str) -> Report:
    """What the judge that ships was measured to do.

    Raises:
        JudgeError: If that isn't there.
    """
    return shipped(name).report
