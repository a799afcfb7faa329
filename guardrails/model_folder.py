"""Models exported for onnxruntime: a folder in the usual layout, from the Hugging Face hub or one's own.

It holds `config.json` with `id2label`, and `model.onnx`, also in `onnx/`. No pickled weights are opened, and no code.
Whoever uses a model has a class of errors for one that can't be used: it is given here as `wrong`, and raised with one
line that names the mend.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxruntime

Wrong = Callable[[str], Exception]


def fetched(repository: str, revision: str, files: Iterable[str], wrong: Wrong) -> Path:
    """These files of a model, and the weights beside them, from the hub or kept from an earlier time."""
    from huggingface_hub import snapshot_download

    try:
        patterns = [*files, "onnx/model.onnx", "*.onnx_data", "onnx/*.onnx_data"]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:
        mend = "see that the name is right, that you may use it and that there is a network, or give a folder"
        raise wrong(f"{repository} can't be fetched ({type(error).__name__}): {mend}") from error


def read_json(path: Path, wrong: Wrong) -> dict[str, Any]:
    """One of a model's files of settings."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise wrong(f"{path} can't be read ({error.strerror}): put the model's there") from error
    except ValueError:
        raise wrong(f"{path} is no JSON: put the model's there") from None
    if not isinstance(found, dict):
        raise wrong(f"{path} is no JSON object: put the model's there")
    return found


def configured(folder: Path, kind: str, wrong: Wrong) -> tuple[dict[str, Any], list[str]]:
    """The `config.json` of a classifier of this kind, and its labels in the order of its values."""
    path = folder / "config.json"
    config = read_json(path, wrong)
    names = config.get("id2label")
    if not isinstance(names, dict) or not names:
        raise wrong(f"{path} has no id2label: take the config of {kind}")
    return config, [str(names[key]) for key in sorted(names, key=int)]


def model_of(folder: Path, wrong: Wrong) -> Path:
    """A folder's `model.onnx`."""
    for path in (folder / "model.onnx", folder / "onnx" / "model.onnx"):
        if path.exists():
            return path
    raise wrong(f"{folder} has no model.onnx: export the model for onnxruntime")


def session(model: bytes | Path, name: str, wrong: Wrong) -> onnxruntime.InferenceSession:
    """A session on one core. Of a model in a file, the weights beside it (`model.onnx_data`) are found."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common base
        raise wrong(f"{name} can't be loaded ({type(error).__name__}): it is no ONNX model") from error
