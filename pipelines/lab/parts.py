"""Single services by the figures of their sources, and what each makes of an answer in the place of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.table import Table

from guardrails.data_file import DataError, Record, read
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import profile as profiles
from pipelines.lab import virtual
from pipelines.lab.holding import hold
from pipelines.lab.profile import Profile, ProfileSTT, ProfileTTS
from pipelines.lab.script import Conversation, agent, caller

FILE = Path(__file__).with_name("parts.yaml")
PROFILE = "vendor_cascade"
QUESTION = Conversation("a question", caller("Where is my parcel?"), agent("It will be there tomorrow."))

Role = Literal["stt", "tts"]


class Voice(ProfileTTS):
    """A voice, with what listeners think of it on a scale of 1 to 5, if the source says."""

    mos: float | None = Field(default=None, ge=1, le=5)


class Parts(Record):
    """`parts.yaml`: recognisers and voices by name."""

    stt: dict[str, ProfileSTT] = Field(min_length=1)
    tts: dict[str, Voice] = Field(min_length=1)


@cache
def load(path: Path = FILE) -> Parts:
    """The services that ship.

    Raises:
        DataError: If the file is not there or malformed.
    """
    return read(path, Parts)


def exchanged(profile: Profile, *, stt: str | None = None, tts: str | None = None) -> Profile:
    """A profile with another recogniser or another voice, by their names in `parts.yaml`.

    Raises:
        DataError: If there is none of that name.
    """
    parts = load()
    changes: dict[str, Any] = {}
    given: tuple[tuple[Role, str | None, Mapping[str, Any]], ...] = (("stt", stt, parts.stt), ("tts", tts, parts.tts))
    for role, name, known in given:
        if name is None:
            continue
        if name not in known:
            raise DataError(f"no figures for {role} {name!r}: choose {', '.join(known)}, or add it to {FILE.name}")
        changes[role] = known[name]
    # What it costs is known of the services that it had.
    return profile.model_copy(update={**changes, "sold": None, "totals": ()}) if changes else profile


@dataclass(frozen=True)
class Exchanged:
    """One service in the place of another, all else as it was.

    Args:
        role: Which it is.
        service: Its name.
        own_ms: What its source says that it takes.
        first_sound_ms: From the end of speech to the first sound, of a question held on virtual time.
        mos: What listeners think of a voice, as its source has it.
        source: Of its own figure.
    """

    role: Role
    service: str
    own_ms: float
    first_sound_ms: float
    mos: float | None
    source: str

    def as_json(self) -> dict[str, Any]:
        """All figures; all are a profile's."""
        return {
            "role": self.role,
            "service": self.service,
            "own_ms": self.own_ms,
            "first_sound_ms": round(self.first_sound_ms, 1),
            "mos": self.mos,
            "kind": "profile",
            "source": self.source,
        }


def each_exchanged(profile: Profile | None = None) -> Iterator[Exchanged]:
    """Each recogniser and each voice in the place of a cascade's own.

    Args:
        profile: Of the cascade; `vendor_cascade` if none is given.
    """
    whole, parts = profile or profiles.load(PROFILE), load()
    for name, ears in parts.stt.items():
        total = _first_sound(exchanged(whole, stt=name))
        yield Exchanged("stt", ears.service, ears.final_ms.ceiling, total, None, ears.source)
    for name, voice in parts.tts.items():
        total = _first_sound(exchanged(whole, tts=name))
        yield Exchanged("tts", voice.service, voice.first_audio_ms.ceiling, total, voice.mos, voice.source)


def _first_sound(profile: Profile) -> float:
    recording = virtual.run(hold(QUESTION, BASIC_CASCADE, profile))
    recording.check()
    total = recording.exchanges[0].marks.total_ms
    assert total is not None  # noqa: S101
    return total


def table(rows: Sequence[Exchanged]) -> Table:
    """For people."""
    shown = Table(
        title="One service exchanged, all else as in vendor_cascade", caption="profile figures, not measurements"
    )
    for column in ("", "its own", "first sound", "listeners' opinion"):
        shown.add_column(column, justify="right" if column else "left")
    before = ""
    for row in rows:
        if row.role != before:
            shown.add_section()
            before = row.role
        opinion = "" if row.mos is None else f"{row.mos:g} of 5"
        shown.add_row(row.service, f"{row.own_ms:,.0f} ms", f"{row.first_sound_ms:,.0f} ms", opinion)
    return shown
