"""What falls into an answer: how reactions are judged, and two real ones."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.lab import overlap
from pipelines.lab.caller import OUTPUT_RATE as RATE
from pipelines.lab.overlap import GAP_SECS, WATCHED_SECS, Reaction, Result, Sound, silent_after
from pipelines.stacks.embedded import EMBEDDED
from tests.speech import needs

TENTH = np.full(RATE // 10, 3000, "<i2").tobytes()
QUIET = bytes(len(TENTH))


def played(*stretches: tuple[float, float], pcm: bytes = TENTH) -> list[tuple[float, bytes]]:
    """An agent that is heard from and to these seconds."""
    return [(at, pcm) for begin, end in stretches for at in np.arange(begin, end - 0.05, 0.1).tolist()]


def reaction(kind: str, secs: float | None) -> Reaction:
    return Reaction(Sound(kind, f"{kind} {secs}", np.zeros(0, np.float32)), secs)


def test_silence_begins_when_the_last_sound_ends() -> None:
    assert silent_after(played((0, 10.3)), at=10.0) == pytest.approx(0.3)
    assert silent_after(played((0, 10.3), (12.0, 20.0)), at=10.0) == pytest.approx(0.3)  # it answers later
    assert silent_after(played((0, 10.3)) + played((10.3, 20.0), pcm=QUIET), at=10.0) == pytest.approx(0.3)


def test_who_talks_on_is_never_silent_pauses_apart() -> None:
    assert silent_after(played((0, 20.0)), at=10.0) is None
    assert silent_after(played((0, 11.0), (11.0 + GAP_SECS - 0.1, 20.0)), at=10.0) is None
    late = played((0, 10.0 + WATCHED_SECS - GAP_SECS - 0.2))
    assert silent_after(late, at=10.0) == pytest.approx(WATCHED_SECS - GAP_SECS - 0.2)


def test_giving_way_is_right_for_an_interruption_and_for_nothing_else() -> None:
    found = [reaction("interruption", secs) for secs in (0.3, 0.5, 2.5, None)]
    found += [reaction("backchannel", secs) for secs in (0.3, None, None)]
    result = Result("basic_cascade", tuple(found), "a machine")
    assert result.kinds == ["interruption", "backchannel"]
    assert result.right("interruption") == 0.5
    assert result.right("backchannel") == pytest.approx(2 / 3)
    assert result.silent_ms("interruption", 50) == pytest.approx(500)
    assert Result("x", tuple(found[-2:]), "a machine").silent_ms("backchannel", 50) is None
    assert result.as_json()["kinds"]["interruption"]["each"]["interruption None"] is None
    assert overlap.table([result]).row_count == 2


def test_an_interruption_silences_the_embedded_cascade_and_nothing_does_not() -> None:
    needs("moonshine-tiny-en", "hibari-heart")
    asyncio.run(EMBEDDED.load(BASIC_CASCADE))
    wait = next(each for each in overlap.sounds(None) if each.name == "Wait, stop.")
    nothing = Sound("cough", "nothing", np.zeros(16000, np.float32))
    result = overlap.measure(BASIC_CASCADE, [wait, nothing])
    assert result.right("interruption") == 1
    assert result.right("cough") == 1
