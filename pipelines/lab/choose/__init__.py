"""Which architecture suits which needs, weighed by the figures of a comparison. Loads nothing until it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.lab.choose.needs import Needs, NeedsError, UseCase, Weights, use_cases, weights

if TYPE_CHECKING:
    from pipelines.definition import Architecture
    from pipelines.lab.choose.choice import Choice
    from pipelines.lab.compare import Comparison

__all__ = ["Needs", "NeedsError", "UseCase", "Weights", "choose", "use_cases", "weights"]


def choose(
    needs: Needs | None = None,
    comparison: Comparison | None = None,
    *,
    architectures: Sequence[Architecture] | None = None,
    table: Weights | None = None,
    override: Mapping[str, float] | None = None,
) -> Choice:
    """Recommend an architecture, with reasons.

    Args:
        needs: What is needed; everything matters somewhat and nothing is a must if none are given.
        comparison: The figures; what `compare()` gives, in two seconds, if none is given.
        architectures: The definitions of what was compared; those that ship if none are given.
        table: What weighs how much; `weights()` if none is given.
        override: Weights by criterion that stand in for what table and needs give.

    Raises:
        NeedsError: If the comparison holds an architecture that is not among the definitions, or there is nothing to
            choose from.
        PolicyError: If the policy that must be kept is none.
    """
    from pipelines.lab.choose.choice import chosen

    return chosen(needs or Needs(), comparison, architectures, table or weights(), override or {})
