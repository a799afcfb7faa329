"""Open guard models (Prompt Guard 2, DeBERTa for prompt injection, toxicity models) exported for onnxruntime.

A folder in the usual layout is read: `model.onnx` (also in `onnx/`), `tokenizer.json`, `config.json` with `id2label`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.judging.judge import JudgeError, Scores
from guardrails.model_folder import configured, fetched, model_of, session

HARMLESS = frozenset({"safe", "benign", "label_0", "neutral", "normal", "non-toxic", "not_toxic", "non_toxic", "legit"})
"""How models call what is nothing to worry about, in lower case."""

FILES = ("config.json", "tokenizer.json", "model.onnx")
OVERLAP = 64
"""Tokens that two windows of a long text share."""

MOST_WINDOWS = 64


class OnnxJudge:
    """A sequence classifier from a folder.

    Args:
        folder: Where its files are.
        forbidden: The labels that count; by default all but those that are called harmless.
        longest: Tokens of a window, with the marks around it; by default what the model takes, 512 at most.

    Raises:
        JudgeError: If a file is missing or cannot be used. One line with the mend.
    """

    def __init__(self, folder: Path | str, forbidden: tuple[str, ...] = (), longest: int | None = None) -> None:
        folder = Path(folder)
        config, self._names = configured(folder, "a sequence classifier", JudgeError)
        self.labels = forbidden or tuple(name for name in self._names if name.lower() not in HARMLESS)
        if unknown := [label for label in self.labels if label not in self._names]:
            raise JudgeError(f"{folder} has no label {unknown[0]}: choose from {', '.join(self._names)}")
        if not self.labels:
            raise JudgeError(f"{folder} has only harmless labels ({', '.join(self._names)}): say which are forbidden")
        self._independent = config.get("problem_type") == "multi_label_classification"
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # what the library raises has no class of its own
            raise JudgeError(f"{path} can't be read: take the tokenizer.json of the model") from error
        longest = longest or min(512, int(config.get("max_position_embeddings", 512)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest, stride=min(OVERLAP, longest // 4))
        model = model_of(folder, JudgeError)
        self._session = session(model, str(model), JudgeError)
        self._inputs = {given.name for given in self._session.get_inputs()}
        if unknown := sorted(self._inputs - {"input_ids", "attention_mask", "token_type_ids"}):
            raise JudgeError(f"{model} asks for {unknown[0]}: take the export of a sequence classifier")

    def score(self, text: str) -> Scores:
        """How sure the model is of each forbidden label; of a long text, the highest over its windows.

        Raises:
            JudgeError: If the text is too long or the model fails.
        """
        encoding = self._tokenizer.encode(text)
        windows = [encoding, *encoding.overflowing]
        if len(windows) > MOST_WINDOWS:
            raise JudgeError(f"a text of {len(text)} characters is not judged: give a shorter one")
        scores = np.max([self._window(window.ids, window.type_ids) for window in windows], axis=0)
        return {name: float(scores[n]) for n, name in enumerate(self._names) if name in self.labels}

    def _window(self, ids: list[int], types: list[int]) -> NDArray[np.float64]:
        given = {
            "input_ids": np.array([ids], dtype=np.int64),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
            "token_type_ids": np.array([types], dtype=np.int64),
        }
        try:
            output = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        except Exception as error:  # onnxruntime's own errors have no common base
            raise JudgeError(f"the model failed ({type(error).__name__}): see whether it fits its tokenizer") from error
        logits = np.asarray(output, dtype=np.float64).reshape(-1)
        if len(logits) != len(self._names):
            raise JudgeError(f"the model gives {len(logits)} values for {len(self._names)} labels: see its config.json")
        if self._independent:
            scores = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
        else:
            powers = np.exp(logits - logits.max())
            scores = powers / powers.sum()
        if not np.isfinite(scores).all():
            raise JudgeError("the model gives no number: see whether it fits its tokenizer")
        return np.asarray(scores, dtype=np.float64)


def from_hub(repository: str, revision: str, **options: Any) -> OnnxJudge:
    """A model fetched from the Hugging Face hub, or kept from an earlier time.

    Args:
        repository: Owner and name.
        revision: A commit, so that what is run is what was looked at.
        options: As for `OnnxJudge`.

    Raises:
        JudgeError: If it cannot be fetched or used.
    """
    return OnnxJudge(fetched(repository, revision, FILES, JudgeError), **options)
