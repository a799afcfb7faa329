"""Single services by the figures of their sources, in the place of another."""

from __future__ import annotations

import pytest

from guardrails.data_file import DataError
from pipelines.lab import parts, profile


def test_the_articles_figures_are_data() -> None:
    table = parts.load()
    assert {name: ears.final_ms.fixed for name, ears in table.stt.items()} == {
        "deepgram-nova-3": 992,
        "elevenlabs-scribe-v2": 2080,
    }
    assert {name: (voice.first_audio_ms.fixed, voice.mos) for name, voice in table.tts.items()} == {
        "cartesia-sonic-2": (80, 4.7),
        "elevenlabs-turbo": (138, 4.84),
        "gemini-built-in": (150, 4.2),
    }


def test_an_exchanged_service_makes_the_difference_of_its_own_figure_and_no_other() -> None:
    rows = {row.service: row for row in parts.each_exchanged()}
    nova, scribe = rows["Deepgram Nova 3"], rows["ElevenLabs Scribe v2"]
    assert scribe.first_sound_ms - nova.first_sound_ms == pytest.approx(2080 - 992, abs=1)
    sonic, turbo, gemini = (rows[name] for name in ("Cartesia Sonic-2", "ElevenLabs Turbo", "Gemini built-in"))
    assert turbo.first_sound_ms - sonic.first_sound_ms == pytest.approx(138 - 80, abs=1)
    assert gemini.first_sound_ms - sonic.first_sound_ms == pytest.approx(150 - 80, abs=1)
    # It is the profile's own: nothing changes.
    assert sonic.first_sound_ms == nova.first_sound_ms


def test_one_that_is_unknown_is_refused_with_those_that_are_not() -> None:
    with pytest.raises(DataError, match=r"no figures for tts 'piper': choose cartesia-sonic-2, elevenlabs-turbo"):
        parts.exchanged(profile.load("vendor_cascade"), tts="piper")


def test_what_it_costs_is_not_taken_over() -> None:
    whole = profile.load("vendor_cascade")
    assert parts.exchanged(whole) is whole
    assert parts.exchanged(whole, stt="elevenlabs-scribe-v2").sold is None
