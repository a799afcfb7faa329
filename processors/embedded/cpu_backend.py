"""Faster arithmetic for llama.cpp on processors with AVX-512: prebuilt modules in place of the wheel's own.

The xllamacpp wheel is built for AVX2. node-llama-cpp publishes, in its npm package, modules of the same llama.cpp
release (b10068) for many processors; one of them is loaded into xllamacpp before a model is. `python -m
processors.embedded.cpu_backend` fetches them with npm, once. Without them the wheel's own arithmetic is used.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from processors.embedded.weights import cache_folder

PACKAGE = "@node-llama-cpp/linux-x64@3.19.1"
RELEASE = "b10068"
INSIDE = "package/bins/linux-x64"
BASE = "libggml-base.so"

HASHES = {
    BASE: "77d5a7649b8f8249a85f1a10be23bcb3edfb963c5d505227977fa05fad59b479",
    "libggml-cpu-cannonlake.so": "fd5fc9932f11cee762ac7800dc70fd34464a80d8173bc72f3605f59e2e471169",
    "libggml-cpu-cascadelake.so": "7a4ef16316a6420d9afc733cd945a064b6dc141c5ba71ea4d39c094eea580240",
    "libggml-cpu-cooperlake.so": "494b655daed899e2045dc8f578368d53063e2d90e7306017c46b54e725cbfca7",
    "libggml-cpu-icelake.so": "5174fdb4b203f9732c5aeaafcb4b0d086a63c40f80d4c9fd9eed024dcad5eac4",
    "libggml-cpu-sapphirerapids.so": "6cedd045b62cd775d65802ee506209a2dc357230d5d24e0b2e588eca84980fae",
    "libggml-cpu-skylakex.so": "adc6feaca1bf08cd9394fe0243f33bc5ea368329b53df276ae357536a2b0bc8d",
    "libggml-cpu-zen4.so": "a4fceed7a93566bef6f5f61ca1e4388a8e8aa902b648d0ce890df67b918cf653",
}
"""SHA-256 of each module that is better than the wheel's own arithmetic, and of the library that all need."""


class BackendError(RuntimeError):
    """The modules cannot be had. One line, with the mend."""


def default_folder() -> Path:
    """Where the modules are kept: beside the weights, in `ANTIPHON_CACHE` or the user's cache folder."""
    return cache_folder() / f"ggml-cpu-{RELEASE}"


def sound(folder: Path) -> bool:
    """Whether all modules are there and are the bytes that they should be."""
    return all(_hash(folder / name) == digest for name, digest in HASHES.items())


def fetch(folder: Path) -> None:
    """Have npm bring the package, and keep its modules.

    Raises:
        BackendError: If there is no npm, it cannot bring the package, or the bytes are wrong.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BackendError("npm is not installed: install it to have answers begin about 0.1 s sooner")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(  # noqa: S603
            [npm, "pack", "--silent", "--ignore-scripts", PACKAGE],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise BackendError(f"npm could not bring {PACKAGE}: try again with a network")
        unpacked = Path(scratch) / "modules"
        unpacked.mkdir()
        with tarfile.open(archives[0]) as archive:
            for name in HASHES:
                member = archive.extractfile(f"{INSIDE}/{name}")
                if member is None:
                    raise BackendError(f"{PACKAGE} holds no {name}: it is not used")
                (unpacked / name).write_bytes(member.read())
        if not sound(unpacked):
            raise BackendError(f"{PACKAGE} holds other bytes than expected: it is not used")
        folder.mkdir(parents=True, exist_ok=True)
        for name in HASHES:
            fresh = folder / f"{name}.{os.getpid()}"
            shutil.copyfile(unpacked / name, fresh)
            fresh.replace(folder / name)


def use(folder: Path) -> str | None:
    """Put the best module for this processor in the place of the wheel's own arithmetic.

    To be called before the first model is loaded, in the process that loads it.

    Returns:
        The module's name; None if there is none, it is not better, or the bytes are wrong.
    """
    if not sound(folder):
        return None
    import xllamacpp

    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    for name, result, argument in (
        ("ggml_backend_reg_by_name", ctypes.c_void_p, ctypes.c_char_p),
        ("ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p),
        ("ggml_backend_unload", None, ctypes.c_void_p),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, [argument]
    score, best = max((_score(folder / name), name) for name in HASHES if name != BASE)
    if not score:
        return None
    own = library.ggml_backend_reg_by_name(b"CPU")
    if not library.ggml_backend_load(os.fsencode(folder / best)):
        return None
    library.ggml_backend_unload(own)
    return best


def _score(module: Path) -> int:
    """How well a module suits this processor, as it says itself; 0 if it cannot run here."""
    try:
        return int(ctypes.CDLL(str(module)).ggml_backend_score())
    except (OSError, AttributeError):
        return 0


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def main() -> int:
    """Fetch the modules unless they are there."""
    folder = default_folder()
    try:
        if not sys.platform.startswith("linux") or sound(folder):
            return 0
        fetch(folder)
    except (BackendError, OSError) as error:
        sys.stderr.write(f"antiphon: the language model runs without AVX-512: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
