"""Small classifiers of speech that learn, as a conversation goes on, how this caller sounds in general.

A head maps features to a few discriminants. There every class is a normal distribution around `centre + offset`, where
the offset is the caller's own: unknown at first (its prior is how much speakers and channels differ), known better with
every turn. Since each earlier turn is explained by class *and* offset together, ten angry turns are ten angry turns and
no new zero, and ten neutral ones say just as well where this caller's neutral is: nothing is assumed of what was heard
before, as a running mean assumes that it was a bit of everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class HeadError(RuntimeError):
    """A head's file isn't what it should be. One line."""


@dataclass(frozen=True)
class Offset:
    """What is known of how a caller differs from others, as a normal distribution over the discriminants.

    Args:
        mean: Of shape (…, d).
        covariance: Of shape (…, d, d).
    """

    mean: Floats
    covariance: Floats


@dataclass(frozen=True)
class Head:
    """A classifier of F features into C classes by way of d discriminants.

    Args:
        classes: Their names.
        mean: What is subtracted from the features, of shape (F,).
        projection: Of shape (F, d).
        centres: Of the classes, of shape (C, d).
        within: How much speech of one class and caller differs, of shape (d, d).
        between: How much callers differ, of shape (d, d).
        temperature: What the logarithms of odds are divided by where they are told, and not where they teach.
    """

    classes: tuple[str, ...]
    mean: Floats
    projection: Floats
    centres: Floats
    within: Floats
    between: Floats
    temperature: float = 1.0

    def place(self, features: NDArray[np.floating]) -> Floats:
        """Discriminants of features, of shape (…, F) to (…, d)."""
        placed: Floats = (features - self.mean) @ self.projection
        return placed

    def stranger(self) -> Offset:
        """What is known of a caller of whom nothing has been heard."""
        return Offset(np.zeros(len(self.within)), self.between)

    def posterior(self, point: Floats, offset: Offset) -> Floats:
        """Probabilities of the classes, all equally likely before, of shape (…, C).

        Args:
            point: Discriminants, of shape (…, d).
            offset: What is known of the caller, of the same leading shape.
        """
        return self._chances(point, offset, self.temperature)

    def _chances(self, point: Floats, offset: Offset, temperature: float) -> Floats:
        away = (point - offset.mean)[..., np.newaxis, :] - self.centres
        spread = self.within + offset.covariance
        scaled = np.linalg.solve(spread, np.swapaxes(away, -1, -2))
        distance = np.sum(np.swapaxes(away, -1, -2) * scaled, axis=-2)
        odds = np.exp(-0.5 / temperature * (distance - distance.min(axis=-1, keepdims=True)))
        chances: Floats = odds / odds.sum(axis=-1, keepdims=True)
        return chances

    def learn(self, point: Floats, offset: Offset, weight: float = 1.0) -> Offset:
        """What is known of the caller after a turn: the class is unknown, so each is weighed by its probability.

        Args:
            point: Discriminants of the turn, of shape (…, d).
            offset: What was known before.
            weight: How much the turn counts, up to 1.
        """
        chances = self._chances(point, offset, 1.0)
        gain = np.linalg.solve(self.within / weight + offset.covariance, offset.covariance)  # symmetric: its transpose
        away = (point - offset.mean)[..., np.newaxis, :] - self.centres
        steps = away @ gain
        step = np.sum(chances[..., np.newaxis] * steps, axis=-2)
        unsure = np.swapaxes((steps - step[..., np.newaxis, :]) * chances[..., np.newaxis], -1, -2) @ (
            steps - step[..., np.newaxis, :]
        )
        covariance = offset.covariance - offset.covariance @ gain + unsure
        return Offset(offset.mean + step, (covariance + np.swapaxes(covariance, -1, -2)) / 2)

    def save(self, path: Path) -> None:
        """Write it as `.npz`, numbers in single precision."""
        arrays = {
            field.name: np.asarray(getattr(self, field.name), np.float32)
            for field in fields(self)
            if field.name != "classes"
        }
        np.savez(path, allow_pickle=False, classes=np.array(self.classes), **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises HeadError."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                classes = tuple(str(name) for name in stored["classes"])
                arrays = {f.name: stored[f.name].astype(np.float64) for f in fields(cls) if f.name != "classes"}
        except (OSError, ValueError, KeyError) as error:
            raise HeadError(f"{path}: is no head ({error}): reinstall antiphon, or train it again") from error
        return cls(classes, **{**arrays, "temperature": float(arrays["temperature"])})


def grouped(classes: Sequence[str], chances: Floats, worth: Mapping[str, float]) -> Floats:
    """The mean of what classes are worth, over the probabilities of those that have a worth.

    Args:
        classes: C names.
        chances: Of shape (…, C).
        worth: From 0 to 1, by name.

    Returns:
        Of shape (…).
    """
    known = np.array([name in worth for name in classes])
    values = np.array([worth.get(name, 0.0) for name in classes])
    shown = chances * known
    mean: Floats = (shown @ values) / np.maximum(shown.sum(axis=-1), 1e-12)
    return mean
