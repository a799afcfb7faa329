"""The cut encoder: the same numbers as the recogniser's own file, made once, refused when they differ."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from processors.embedded.weights import WeightsError, locate
from processors.hearing import encoder
from processors.hearing.conversion import pooled, serialised, whole
from processors.hearing.encoder import Encoder, pooled_encoder
from processors.hearing.recipe.corpora import read
from tests.speech import needs, real


@pytest.fixture(scope="module")
def ort() -> bytes:
    needs("moonshine-tiny-en")
    return (locate("moonshine-tiny-en") / "encoder_model.ort").read_bytes()


@pytest.fixture(scope="module")
def model(ort):
    return whole(ort)


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with the slow ups and downs of speech, at the standard level."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * 16000))
    swing = 1 + np.sin(np.arange(len(noise)) * 2 * np.pi * 4 / 16000)
    return (0.05 * noise * swing).astype(np.float32)


def states(model: bytes, samples: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    given = {"input_values": samples[np.newaxis], "attention_mask": np.ones((1, len(samples)), np.int64)}
    return session.run(["last_hidden_state"], given)[0]


@pytest.mark.parametrize("seconds", [0.3, 2.0, 5.1])
def test_the_rebuilt_encoder_gives_what_the_original_gives(ort, model, seconds):
    samples = babble(seconds)
    assert np.abs(states(serialised(model), samples) - states(ort, samples)).max() <= 1e-5


def test_the_rebuilt_encoder_gives_what_the_original_gives_on_speech(ort, model):
    samples = read(real("read_speech/jfk.flac"))
    assert np.abs(states(serialised(model), samples) - states(ort, samples)).max() <= 1e-5


def test_pooling_is_mean_and_deviation_over_time(model):
    opened, name = ModelProto(), "/layers.1/Add_1_output_0"
    opened.CopyFrom(model)
    opened.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(serialised(opened), providers=["CPUExecutionProvider"])
    samples = babble(2.0)
    given = {"input_values": samples[np.newaxis], "attention_mask": np.ones((1, len(samples)), np.int64)}
    frames = session.run([name], given)[0][0]
    found = Encoder(serialised(pooled(model, (2,)))).pooled(samples)
    assert found.shape == (576,)
    assert found.dtype == np.float32
    assert np.allclose(found, np.concatenate([frames.mean(axis=0), frames.std(axis=0)]), atol=1e-3)


def test_every_build_gives_the_bytes_that_the_hash_is_of(ort):
    built = serialised(pooled(whole(ort), encoder.LAYERS))
    assert hashlib.sha256(built).hexdigest() == encoder.SHA256


def test_it_is_made_once_and_kept(ort, tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path))
    first = pooled_encoder()
    kept = tmp_path / f"{encoder.NAME}.onnx"
    changed = kept.stat().st_mtime_ns
    assert pooled_encoder() == first == kept.read_bytes()
    assert kept.stat().st_mtime_ns == changed
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_damaged_copy_is_made_anew(ort, tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path))
    kept = tmp_path / f"{encoder.NAME}.onnx"
    kept.write_bytes(b"half of it")
    assert hashlib.sha256(pooled_encoder()).hexdigest() == encoder.SHA256
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == encoder.SHA256


def test_other_bytes_are_refused_in_one_line(ort, tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path))
    monkeypatch.setattr(encoder, "SHA256", "0" * 64)
    with pytest.raises(WeightsError, match=r"wrong SHA-256") as error:
        pooled_encoder()
    assert "\n" not in str(error.value)
    assert not (tmp_path / f"{encoder.NAME}.onnx").exists()


def test_a_folder_that_cannot_be_written_is_named(ort, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANTIPHON_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="file"):
        pooled_encoder()


def test_calls_from_many_threads_get_their_own_answers(ort):
    shared = encoder.encoder()
    inputs = [babble(0.5 + n / 10, n) for n in range(8)]
    alone = [shared.pooled(samples) for samples in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(shared.pooled, inputs))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert encoder.encoder() is shared


def test_long_and_very_short_speech_is_taken(ort):
    shared = encoder.encoder()
    assert np.isfinite(shared.pooled(babble(0.01))).all()
    long = shared.pooled(babble(14.0))
    pieces = np.array_split(babble(14.0), 3)
    assert np.allclose(long, np.mean([shared.pooled(piece) for piece in pieces], axis=0), atol=1e-6)
