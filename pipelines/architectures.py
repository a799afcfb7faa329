"""The architectures that ship, by name."""

from __future__ import annotations

from difflib import get_close_matches

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Architecture, DefinitionError
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.half_cascade import HALF_CASCADE
from pipelines.hybrid import HYBRID
from pipelines.sequential_fused import SEQUENTIAL_FUSED

ARCHITECTURES: tuple[Architecture, ...] = (
    BASIC_CASCADE,
    ADVANCED_CASCADE,
    HALF_CASCADE,
    HYBRID,
    SEQUENTIAL_FUSED,
    DUPLEX_FUSED,
)


def get(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        DefinitionError: If there is none; names those there are, and the closest.
    """
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    if name in known:
        return known[name]
    close = "".join(f", perhaps {other}" for other in get_close_matches(name.lower(), known, n=1))
    raise DefinitionError(f"no architecture {name!r}{close}: choose one of {', '.join(known)}")
