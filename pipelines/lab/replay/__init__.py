"""Recorded conversations, run again from any stage, compared with what they were, and searched for who is at fault."""

from pipelines.lab.replay.blame import Verdict, blame
from pipelines.lab.replay.difference import Difference, TurnDifference, difference
from pipelines.lab.replay.replay import first_of, replay, services_of
from pipelines.lab.replay.substitutes import Experiment

__all__ = [
    "Difference",
    "Experiment",
    "TurnDifference",
    "Verdict",
    "blame",
    "difference",
    "first_of",
    "replay",
    "services_of",
]
