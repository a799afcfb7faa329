"""A small classifier on hashed words, hashed letters and the likeness to known sentences; kept as plain arrays."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guardrails.judging import features
from guardrails.judging.encoder import Vectors
from guardrails.judging.judge import JudgeError

CLOSENESS = 2.0
"""How fast likeness falls with distance: exp(-CLOSENESS * the squared distance of two unit vectors)."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Head:
    """Scores a window of text.

    Args:
        word_rarity, letter_rarity: By place; what no document has is 0. Shape (PLACES,).
        word_weights, letter_weights: Shape (PLACES,).
        known: Vectors of sentences from the training data, shape (n, 384).
        known_weights: What likeness to each of them adds, shape (n,).
        bias: Added to the sum.
        slope, middle: The sum `middle` is the score 0.5; `slope` says how fast scores rise there.
    """

    word_rarity: Floats
    word_weights: Floats
    letter_rarity: Floats
    letter_weights: Floats
    known: Floats
    known_weights: Floats
    bias: float
    slope: float
    middle: float

    def total(self, text: str, vector: Vectors) -> float:
        """The weighted sum for a window, over minus infinity to infinity.

        Args:
            text: Folded.
            vector: Its embedding, of length 1.
        """
        worded = self.worded(features.words(text), features.letters(text))
        return worded + float(likeness(vector[None], self.known)[0] @ self.known_weights)

    def worded(self, words: Counter[int], letters: Counter[int]) -> float:
        """The part of the sum that needs no embedding, from how often each place occurs."""
        total = self.bias
        for counts, rarity, weights in (
            (words, self.word_rarity, self.word_weights),
            (letters, self.letter_rarity, self.letter_weights),
        ):
            places, values = features.weighted(counts, rarity)
            total += float(values @ weights[places])
        return total

    def probability(self, total: float) -> float:
        """A sum as a score from 0 to 1."""
        return float(1 / (1 + np.exp(-np.clip(self.slope * (total - self.middle), -30, 30))))

    def save(self, path: Path) -> str:
        """Write the head; what is written depends on nothing but the head.

        Returns:
            The file's SHA-256.
        """
        scales = {}
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in ("word_weights", "letter_weights", "known"):
            values = getattr(self, name)
            scales[name] = float(np.abs(values).max()) / 127 or 1.0
            arrays[name] = np.round(values / scales[name]).astype(np.int8)
        for name in ("word_rarity", "letter_rarity"):
            arrays[name] = getattr(self, name).astype(np.float16)
        arrays["known_weights"] = self.known_weights
        arrays["scales"] = np.array([scales["word_weights"], scales["letter_weights"], scales["known"]])
        arrays["numbers"] = np.array([self.bias, self.slope, self.middle])
        np.savez_compressed(path, allow_pickle=False, **arrays)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def load(cls, path: Path, sha256: str) -> Head:
        """Read a head.

        Args:
            path: Its file.
            sha256: What the file must have.

        Raises:
            JudgeError: If the file is missing or is another.
        """
        mend = "install antiphon again, or train it with antiphon train judges"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise JudgeError(f"{path.name} can't be read ({error.strerror}): {mend}") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise JudgeError(f"{path.name} has the wrong SHA-256 and was not used: {mend}")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            words, letters, known = (float(scale) for scale in file["scales"])
            bias, slope, middle = (float(number) for number in file["numbers"])
            return cls(
                word_rarity=file["word_rarity"].astype(np.float32),
                word_weights=file["word_weights"].astype(np.float32) * np.float32(words),
                letter_rarity=file["letter_rarity"].astype(np.float32),
                letter_weights=file["letter_weights"].astype(np.float32) * np.float32(letters),
                known=file["known"].astype(np.float32) * np.float32(known),
                known_weights=file["known_weights"].astype(np.float32),
                bias=bias,
                slope=slope,
                middle=middle,
            )


def likeness(vectors: Floats, known: Floats) -> Floats:
    """How alike vectors of length 1 are to known ones: shape (vectors, known), 1 for the same."""
    found: Floats = np.exp(-2 * CLOSENESS * (1 - vectors @ known.T)).astype(np.float32)
    return found
