"""Moonshine tiny (English) on bundled weights: samples in, words out."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000
MAX_SECONDS = 30.0
"""Longer audio than the model was trained on is refused."""

MIN_SAMPLES = RATE // 10


class RecogniserError(RuntimeError):
    """The recogniser could not transcribe. One line."""


class Recogniser:
    """One model for all conversations of the process; calls may come from any thread and take turns.

    Args:
        folder: Holds `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`.
    """

    def __init__(self, folder: Path) -> None:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        # The library's own VAD adds junk words at the start, and its default token rate cuts fast speech off.
        options = {"vad_threshold": "0.0", "max_tokens_per_second": "13.0", "return_audio_data": "false"}
        self._model = Transcriber(folder, ModelArch.TINY, options=options)
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Run once on silence: the first call is slower than the others."""
        self.transcribe(np.zeros(RATE, np.float32))

    def transcribe(self, samples: NDArray[np.float32]) -> str:
        """The words in the samples.

        Args:
            samples: Mono at 16 kHz in [-1, 1], at most 30 s. Under 0.1 s there are no words.

        Raises:
            ValueError: If the samples are not one-dimensional, too many or not finite.
            RecogniserError: If the model fails.
        """
        if samples.ndim != 1 or len(samples) > MAX_SECONDS * RATE:
            raise ValueError(f"samples of shape {samples.shape}: give mono audio of at most {MAX_SECONDS:.0f} s")
        if not np.isfinite(samples).all():
            raise ValueError("samples hold values that are not finite: repair the audio first")
        if len(samples) < MIN_SAMPLES:
            return ""
        from moonshine_voice.moonshine_api import TranscriptC

        # The wrapper's own call copies the audio through a Python list and back, under the GIL.
        array = np.ascontiguousarray(samples, np.float32)
        transcript = ctypes.POINTER(TranscriptC)()
        with self._lock:
            code = self._model._lib.moonshine_transcribe_without_streaming(
                self._model._handle,
                array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                len(array),
                RATE,
                0,
                ctypes.byref(transcript),
            )
            if code < 0:
                raise RecogniserError(f"moonshine: error {code} on {len(array) / RATE:.1f} s of audio")
            lines = transcript.contents
            parts = [ctypes.string_at(lines.lines[i].text).decode("utf-8", "ignore") for i in range(lines.line_count)]
        return " ".join(part.strip() for part in parts if part.strip())
