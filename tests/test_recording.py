from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.app.recording import LONGEST_SECS, RATE, RecordingError, load, save


def tone(rate: int, seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * math.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_number_of_channels_becomes_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate, channels=channels), rate)
    samples = load(path)
    assert samples.ndim == 1
    assert abs(len(samples) / RATE - 0.5) < 0.01
    assert 0.25 < np.abs(samples[1000:-1000]).max() < 0.35


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_24"),
        ("a.wav", "DOUBLE"),
        ("a.wav", "ULAW"),
        ("a.flac", None),
        ("a.ogg", None),
    ],
)
def test_any_format_that_libsndfile_reads(tmp_path: Path, name: str, subtype: str | None) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(16000), 16000, subtype=subtype)
    assert abs(len(load(path)) - 8000) <= 2


def refusal(path: Path) -> str:
    with pytest.raises(RecordingError) as raised:
        load(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.wav")


def test_a_folder(tmp_path: Path) -> None:
    assert "is not a file" in refusal(tmp_path)


def test_a_zero_length_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    assert "cannot be read as audio" in refusal(path)


def test_a_header_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "header.wav"
    soundfile.write(path, np.zeros(0, np.float32), 16000)
    assert "holds no audio" in refusal(path)


def test_a_file_that_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("This is not sound." * 100)
    assert "cannot be read as audio" in refusal(path)


def test_a_file_that_was_cut_off_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(16000), 16000)
    path.write_bytes(path.read_bytes()[:30])
    assert "cannot be read as audio" in refusal(path) or "holds no audio" in refusal(path)


def test_what_is_left_of_a_file_that_was_cut_off_later_is_used(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(16000), 16000)
    path.write_bytes(path.read_bytes()[:8000])
    assert 3000 < len(load(path)) < 4000


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "nan.wav"
    samples = tone(16000)
    samples[100] = value
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    assert "NaN" in refusal(path)


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence(tmp_path: Path, level: float) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, tone(16000) * level, 16000)
    assert "is silent" in refusal(path)


def test_an_hour_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(math.ceil(LONGEST_SECS / 60) + 1):
            file.write(np.zeros(8000 * 60, np.float32))
    assert "minutes" in refusal(path)


def test_an_answer_can_be_written_and_read(tmp_path: Path) -> None:
    save(tmp_path / "out.wav", tone(24000)[:, 0], 24000)
    assert soundfile.info(tmp_path / "out.wav").samplerate == 24000


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "out.wav", tmp_path / "out.xyz"):
        with pytest.raises(RecordingError, match=str(path)):
            save(path, tone(24000)[:, 0], 24000)
