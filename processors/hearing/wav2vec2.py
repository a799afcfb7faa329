"""An emotion model of the wav2vec2 kind in the place of our own heads: a folder or a hub name, run by onnxruntime.

The folder holds `config.json` with `id2label`, `preprocessor_config.json` and `model.onnx` (also in `onnx/`), as models
for audio classification are exported. Nothing else in it is opened: no pickled weights, no code. The labels are
emotions (angry, ang, anger …), or the dimensions arousal and valence (dominance has no place in a cue).
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger
from numpy.typing import NDArray

from guardrails.model_folder import configured, fetched, model_of, read_json, session
from processors.hearing.cues import EMOTIONS, RATE, Cue, Score, logit
from processors.hearing.disagreement import disagreement
from processors.hearing.emphasis import Word
from processors.hearing.heads import grouped
from processors.hearing.level import SILENCE
from processors.hearing.vendors import NAMES
from processors.hearing.voice import Hearer
from processors.hearing.worth import AROUSAL, VALENCE
from processors.pcm import Samples

FILES = ("config.json", "preprocessor_config.json", "model.onnx")

_DIMENSIONS = {"arousal", "valence"}
_OTHERS = {"fear": "fearful", "surprise": "surprised", "disgusted": "disgust", "boredom": "bored"}
_PLAIN = "Wav2Vec2FeatureExtractor"
_KEPT = 256
_HUB = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w.-]+))?", re.ASCII)


class EmotionModelError(RuntimeError):
    """An emotion model that cannot be used. One line: what is wrong, the mend."""

    mendable = True


@dataclass(frozen=True)
class Judged:
    """What a model makes of a piece of speech.

    Args:
        emotions: Of `EMOTIONS`, summing to 1.
        arousal: From 0, calm, to 1, excited.
        valence: From 0, unpleasant, to 1, pleasant.
    """

    emotions: Mapping[str, float]
    arousal: float
    valence: float


class EmotionModel:
    """A model from a folder; calls may come from any thread.

    Args:
        folder: Where its files are.

    Raises:
        EmotionModelError: If a file is missing or can't be used, or no label is known.
    """

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        _, names = configured(folder, "a classifier of audio", EmotionModelError)
        self.labels = tuple(map(str.lower, names))
        self._dimensional = set(self.labels) >= _DIMENSIONS
        if not self._dimensional and not any(label in NAMES for label in self.labels):
            known = f"emotions such as {', '.join(EMOTIONS)}, or arousal and valence"
            raise EmotionModelError(f"{folder} tells {', '.join(self.labels)}: take a model that tells {known}")
        self._prepared = _preparation(folder)
        model = model_of(folder, EmotionModelError)
        self.sha256 = _sha256(model)
        """Of the model's file and of those with its weights beside it."""
        self._session = session(model, str(model), EmotionModelError)
        given = {each.name: each.type for each in self._session.get_inputs()}
        signals = [name for name, kind in given.items() if kind == "tensor(float)"]
        if len(signals) != 1 or set(given) - {*signals, "attention_mask"}:
            raise EmotionModelError(f"{model} asks for {', '.join(given)}: take an export that asks for samples")
        self._signal, self._masked = signals[0], "attention_mask" in given
        outputs = [each.name for each in self._session.get_outputs()]
        self._output = "logits" if "logits" in outputs else outputs[0]
        logger.info(f"emotion model {folder.name}: {', '.join(self.labels)}; SHA-256 {self.sha256}")

    def judge(self, samples: Samples) -> Judged:
        """What is heard in a piece of speech.

        Args:
            samples: Mono at 16 kHz.

        Raises:
            EmotionModelError: If the model fails.
        """
        values = self._prepared(samples)[np.newaxis]
        given: dict[str, NDArray[Any]] = {self._signal: values}
        if self._masked:
            given["attention_mask"] = np.ones(values.shape, np.int64)
        try:
            output = self._session.run([self._output], given)[0]
        except Exception as error:  # onnxruntime's own errors have no common base
            raise EmotionModelError(f"the emotion model failed ({type(error).__name__}): see what it takes") from error
        numbers = np.asarray(output, np.float64).reshape(-1)
        if len(numbers) != len(self.labels) or not np.isfinite(numbers).all():
            raise EmotionModelError(
                f"the emotion model gives {len(numbers)} values, not {len(self.labels)} numbers: see its config.json"
            )
        return self._by_dimensions(numbers) if self._dimensional else self._by_names(numbers)

    def _by_dimensions(self, numbers: NDArray[np.float64]) -> Judged:
        told = dict(zip(self.labels, np.clip(numbers, 0, 1).tolist(), strict=True))
        high, pleasant = told["arousal"], told["valence"]
        # Which quarter of the plane it lies in: no more is known of names.
        quarters = {
            "neutral": (1 - high) * pleasant,
            "happy": high * pleasant,
            "sad": (1 - high) * (1 - pleasant),
            "angry": high * (1 - pleasant),
        }
        return Judged(quarters, high, pleasant)

    def _by_names(self, numbers: NDArray[np.float64]) -> Judged:
        powers = np.exp(numbers - numbers.max())
        chances = powers / powers.sum()
        shares = dict.fromkeys(EMOTIONS, 1e-9)
        for label, chance in zip(self.labels, chances, strict=True):
            if label in NAMES:
                shares[NAMES[label]] += float(chance)
        whole = sum(shares.values())
        classes = [NAMES.get(label) or _OTHERS.get(label, label) for label in self.labels]
        return Judged(
            {name: share / whole for name, share in shares.items()},
            float(grouped(classes, chances, AROUSAL)),
            float(grouped(classes, chances, VALENCE)),
        )


def from_hub(repository: str, revision: str) -> EmotionModel:
    """A model fetched from the Hugging Face hub, or kept from an earlier time.

    Args:
        repository: Owner and name.
        revision: A commit, so that what is run is what was looked at.

    Raises:
        EmotionModelError: If it can't be fetched or used.
    """
    return EmotionModel(fetched(repository, revision, FILES, EmotionModelError))


def load(name: str) -> EmotionModel:
    """A model that has judged once: a call has no time to wait for it, or to find out that it fails.

    Args:
        name: A folder, or `owner/name` on the Hugging Face hub; `owner/name@commit` for what was looked at, otherwise
            the newest.

    Raises:
        EmotionModelError: If there is none, or it can't be fetched or used.
    """
    hub = _HUB.fullmatch(name)
    if Path(name).is_dir():
        model = EmotionModel(name)
    elif hub is not None:
        model = from_hub(hub["repository"], hub["revision"] or "main")
    else:
        raise EmotionModelError(f"there is no folder {name}: give a model's, or its owner/name on the hub")
    model.judge(np.zeros(RATE, np.float32))
    return model


@dataclass
class Wav2Vec2Ear:
    """One caller's ears, of which a model judges the emotions; all else is heard as before.

    The model knows nothing of the caller, so that its judgement is the absolute score and the combined one; the
    relative one tells how it differs from the caller's turns before.

    Args:
        model: Judges emotions, arousal and valence.
        hearer: Hears the rest.
    """

    model: EmotionModel
    hearer: Hearer = field(default_factory=Hearer)

    def __post_init__(self) -> None:
        self._judged: dict[tuple[int, int], Judged] = {}
        self._usual: list[tuple[float, float]] = []

    def hear(self, samples: Samples, start: int = 0) -> Cue:
        """As `Hearer.hear`. Raises EmotionModelError as well."""
        cue = self.hearer.hear(samples, start)
        if cue.loudness <= SILENCE:
            return cue
        self._judged[cue.start, cue.end] = self.model.judge(samples)
        while len(self._judged) > _KEPT:
            del self._judged[next(iter(self._judged))]
        return self._with(cue, [cue])

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        """As `Hearer.joined`; the model's judgements count by their seconds."""
        cue = self._with(self.hearer.joined(cues, words), cues)
        said = " ".join(word.text for word in words)
        return replace(cue, disagreement=disagreement(said, cue.valence.combined))

    def turn_done(self, cues: Sequence[Cue]) -> Cue | None:
        """As `Hearer.turn_done`."""
        cue = self.hearer.turn_done(cues)
        if cue is None:
            return None
        cue = self._with(cue, cues)
        self._usual.append((logit(cue.arousal.absolute), logit(cue.valence.absolute)))
        for each in cues:
            self._judged.pop((each.start, each.end), None)
        return cue

    def _with(self, cue: Cue, parts: Sequence[Cue]) -> Cue:
        known = [(part.seconds, self._judged[part.start, part.end]) for part in parts if self._has(part)]
        if not known:
            return cue
        weights = np.array([seconds for seconds, _ in known])
        weights = weights / weights.sum()

        def mean(values: Sequence[float]) -> float:
            return float(weights @ np.array(values))

        high = mean([judged.arousal for _, judged in known])
        nice = mean([judged.valence for _, judged in known])
        return replace(
            cue,
            emotions={name: mean([judged.emotions[name] for _, judged in known]) for name in EMOTIONS},
            arousal=Score.beside(high, high, [usual for usual, _ in self._usual]),
            valence=Score.beside(nice, nice, [usual for _, usual in self._usual]),
        )

    def _has(self, part: Cue) -> bool:
        return (part.start, part.end) in self._judged


class _Preparation:
    """Makes of samples what the model takes."""

    def __init__(self, extractor: Any = None, *, normalise: bool = False) -> None:
        self._extractor = extractor
        self._normalise = normalise

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        if self._extractor is not None:
            made = self._extractor(samples, sampling_rate=RATE, return_tensors="np")["input_values"]
            return np.asarray(made, np.float32).reshape(-1)
        if self._normalise:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        return samples.astype(np.float32)


def _preparation(folder: Path) -> _Preparation:
    """As `preprocessor_config.json` has it: wav2vec2's own way is made here, others' by `transformers`."""
    path = folder / "preprocessor_config.json"
    config = read_json(path, EmotionModelError)
    if config.get("sampling_rate", RATE) != RATE:
        raise EmotionModelError(f"{path} asks for {config['sampling_rate']} Hz: take a model of speech at {RATE} Hz")
    kind = str(config.get("feature_extractor_type", _PLAIN))
    if kind == _PLAIN:
        return _Preparation(normalise=bool(config.get("do_normalize", True)))
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise EmotionModelError(
            f"{path} asks for {kind}, which transformers has: run `pip install transformers`, or take a wav2vec2 model"
        ) from None
    try:
        return _Preparation(transformers.AutoFeatureExtractor.from_pretrained(str(folder), local_files_only=True))
    except Exception as error:  # what the library raises has no class of its own
        raise EmotionModelError(f"{path} can't be used ({type(error).__name__}): take the model's own") from error


def _sha256(model: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(model.parent.glob(f"{model.name}*")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
