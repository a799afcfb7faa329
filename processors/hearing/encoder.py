"""What the first layers of the recogniser's encoder make of speech: how it is said, more than what is said.

Early layers tell more of the voice than late ones, and cost less; the second and the fifth together tell most. Model:
Moonshine tiny (Useful Sensors, MIT), from the file that the recogniser runs on anyway.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from pathlib import Path

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from guardrails.model_folder import session
from processors.embedded.weights import WeightsError, cache_folder, locate
from processors.hearing.cues import RATE
from processors.pcm import Samples

LAYERS = (2, 5)
"""How many of the encoder's layers are applied, for each 576 numbers."""

NAME = "moonshine-tiny-en-pooled"
SHA256 = "2e74800b5e252b8dfe4298d5284dffd6b37c96be1eca35290d12aef3773ee39c"
SIZE = 576 * len(LAYERS)
"""Numbers for a stretch of speech."""

SHORTEST = 0.15
"""Seconds; less is filled up with silence."""

_WINDOW = 6.0


class Encoder:
    """One model for all conversations of the process, on one thread; calls may come from any thread.

    Args:
        model: ONNX, from `pooled_encoder`.
    """

    def __init__(self, model: bytes) -> None:
        self._session = session(model, NAME, RuntimeError)

    def pooled(self, samples: Samples) -> NDArray[np.float32]:
        """Means and standard deviations over time of the encoder's states.

        Speech of more than six seconds is taken in equal pieces, whose numbers are averaged.

        Args:
            samples: Mono at 16 kHz, at the standard level (`level.spoken`).

        Returns:
            Of shape (SIZE,).
        """
        if len(samples) < SHORTEST * RATE:
            samples = np.pad(samples, (0, int(SHORTEST * RATE) - len(samples)))
        pieces = np.array_split(samples, -(-len(samples) // int(_WINDOW * RATE)))
        found = [self._session.run(None, {"input_values": piece[np.newaxis]})[0][0] for piece in pieces]
        mean: NDArray[np.float32] = np.mean(found, axis=0, dtype=np.float32)
        return mean


_lock = threading.Lock()


def encoder() -> Encoder:
    """The process's encoder. Raises WeightsError if it can't be had."""
    with _lock:
        return _encoder()


@functools.cache
def _encoder() -> Encoder:
    return Encoder(pooled_encoder())


def pooled_encoder() -> bytes:
    """The cut encoder, made from the recogniser's file once and kept in the cache folder beside other weights.

    Raises:
        WeightsError: If the recogniser's file can't be had, what is made of it has the wrong bytes, or the cache folder
            can't be written.
    """
    path = cache_folder() / f"{NAME}.onnx"
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        kept = b""
    except OSError as error:
        raise WeightsError(NAME, f"{path} can't be read ({error.strerror})", "remove it") from error
    if hashlib.sha256(kept).hexdigest() == SHA256:
        return kept
    return _made(path)


def _made(path: Path) -> bytes:
    from processors.hearing.conversion import pooled, serialised, whole

    logger.info("{}: putting together {}", NAME, path)
    ort = locate("moonshine-tiny-en") / "encoder_model.ort"
    model = serialised(pooled(whole(ort.read_bytes()), LAYERS))
    if (digest := hashlib.sha256(model).hexdigest()) != SHA256:
        problem = f"what onnx makes of {ort.name} has the wrong SHA-256 ({digest[:12]}…, not {SHA256[:12]}…)"
        raise WeightsError(NAME, problem, "install the locked versions of onnx and onnxruntime")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(model)
        temporary.replace(path)
    except OSError as error:
        problem = f"{path.parent} can't be written ({error.strerror})"
        raise WeightsError(NAME, problem, "make room there, or set ANTIPHON_CACHE to a folder that has it") from error
    return model
