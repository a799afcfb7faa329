"""What a trace says of itself: `meta.json`."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipelines.definition import Stage
from pipelines.stacks import Session

FORMAT = 1
INPUT_RATE = 16000
OUTPUT_RATE = 24000


class StageMeta(BaseModel):
    """A stage as it was: what it reads and writes, and by which service it was filled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    takes: str | None = None
    gives: str | None = None
    service: str | None = None


class Meta(BaseModel):
    """What holds for the whole conversation.

    Args:
        format: Version of the trace's format.
        begun: When the conversation began, as ISO 8601 in UTC.
        architecture: Its name; empty if the pipeline was not built by `assemble`.
        stages: In the order in which frames meet them.
        persona: Who spoke, with instructions and voices.
        rates: Sample rates in Hz of `in.flac` and `out.flac`.
        versions: Of Antiphon, Pipecat and Python.
        weights: SHA-256 by weight and file, as the manifest of this version demands them of what it loads.
        redacted: Whether personal data was taken out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    begun: str
    architecture: str
    stages: tuple[StageMeta, ...]
    persona: dict[str, Any]
    rates: dict[str, int]
    versions: dict[str, str]
    weights: dict[str, str]
    redacted: bool

    @property
    def services(self) -> dict[str, str]:
        """The name of the service in each slot."""
        return {stage.name: stage.service for stage in self.stages if stage.service is not None}


def describe(session: Session | None, begun: float, redacted: bool) -> Meta:
    """What is known when a conversation begins.

    Args:
        session: Whose conversation it is, if `assemble` built it.
        begun: Seconds since the epoch.
        redacted: Whether personal data is taken out.
    """
    architecture = session.architecture if session else None
    services = session.services if session else {}
    return Meta(
        format=FORMAT,
        begun=datetime.fromtimestamp(begun, UTC).isoformat(timespec="milliseconds"),
        architecture=architecture.name if architecture else "",
        stages=tuple(_stage(stage, services) for stage in architecture.stages) if architecture else (),
        persona=session.persona.model_dump(mode="json") if session else {},
        rates={"in": INPUT_RATE, "out": OUTPUT_RATE},
        versions=_versions(),
        weights=_weights(),
        redacted=redacted,
    )


def _stage(stage: Stage, services: Mapping[str, str]) -> StageMeta:
    return StageMeta(
        name=stage.name,
        takes=stage.takes and stage.takes.value,
        gives=stage.gives and stage.gives.value,
        service=services.get(stage.name),
    )


@cache
def _versions() -> dict[str, str]:
    return {"antiphon": _version("antiphon"), "pipecat": _version("pipecat-ai"), "python": platform.python_version()}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


@cache
def _weights() -> dict[str, str]:
    from processors.embedded.weights import manifest

    return {
        f"{weight.name}/{file.name}": file.sha256
        for weight in manifest().weights
        if weight.required
        for file in weight.files
    }
