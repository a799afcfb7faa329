"""A classifier for onnxruntime of a few hundred bytes: each token adds its row of a table to the logits.

Written as protocol buffers by hand, as the package `onnx` would be a large dependency for this alone.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

FLOAT, INT64 = 1, 7


def write(folder: Path, table: list[list[float]], words: list[str], labels: list[str], **config: object) -> Path:
    """A folder as `OnnxJudge` reads it.

    Args:
        folder: Made if it isn't there.
        table: By word, what it adds to each label's logit.
        words: The vocabulary; the first is what unknown words become.
        labels: By column of the table.
        config: More keys of config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model(table))
    names = {str(n): label for n, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps({"id2label": names, **config}), encoding="utf-8")
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(words)}, "unk_token": words[0]},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def model(table: list[list[float]]) -> bytes:
    """A model with the inputs input_ids and attention_mask, and the output logits."""
    values = b"".join(struct.pack("<f", value) for row in table for value in row)
    weights = _int(1, len(table)) + _int(1, len(table[0])) + _int(2, FLOAT) + _bytes(8, b"table") + _bytes(9, values)
    axes = _int(1, 1) + _int(2, INT64) + _bytes(8, b"axes") + _bytes(9, struct.pack("<q", 1))
    gather = _node("Gather", ["table", "input_ids"], "rows")
    total = _node("ReduceSum", ["rows", "axes"], "logits", keepdims=0)
    graph = _bytes(1, gather) + _bytes(1, total) + _bytes(2, b"tiny") + _bytes(5, weights) + _bytes(5, axes)
    graph += _bytes(11, _value("input_ids", INT64, "batch", "length"))
    graph += _bytes(11, _value("attention_mask", INT64, "batch", "length"))
    graph += _bytes(12, _value("logits", FLOAT, "batch", "labels"))
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _int(2, 13))


def _node(operator: str, inputs: list[str], output: str, **numbers: int) -> bytes:
    node = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    node += _bytes(4, operator.encode())
    for name, number in numbers.items():
        node += _bytes(5, _bytes(1, name.encode()) + _int(3, number) + _int(20, 2))
    return node


def _value(name: str, kind: int, *axes: str) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, axis.encode())) for axis in axes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, kind) + _bytes(2, shape)))


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
