"""The prebuilt arithmetic: used when it is the right bytes, left alone otherwise."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from processors.embedded import cpu_backend
from processors.embedded.cpu_backend import HASHES, BackendError, default_folder, fetch, sound, use


def test_nothing_is_used_that_is_not_there(tmp_path: Path) -> None:
    assert not sound(tmp_path)
    assert use(tmp_path) is None


def test_other_bytes_are_not_loaded(tmp_path: Path) -> None:
    for name in HASHES:
        (tmp_path / name).write_bytes(b"\x7fELF but not ours")
    assert not sound(tmp_path)
    assert use(tmp_path) is None


def test_without_npm_the_mend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="npm is not installed"):
        fetch(tmp_path / "modules")


def npm(folder: Path, script: str) -> None:
    """An npm that does what the script says."""
    file = folder / "npm"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_an_npm_without_a_network_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackendError, match="could not bring"):
        fetch(tmp_path / "modules")
    assert not (tmp_path / "modules").exists()


def test_a_package_with_other_bytes_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "x" / cpu_backend.INSIDE
    inside.mkdir(parents=True)
    for name in HASHES:
        (inside / name).write_bytes(b"something else")
    archive = tmp_path / "a.tgz"
    subprocess.run(["tar", "czf", str(archive), "-C", str(tmp_path / "x"), "package"], check=True)
    npm(tmp_path, f'cp "{archive}" .')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackendError, match="other bytes"):
        fetch(tmp_path / "modules")
    assert not (tmp_path / "modules").exists()


def test_the_real_modules_give_the_server_avx_512_where_the_processor_has_it() -> None:
    folder = default_folder()
    if not sound(folder):
        pytest.skip("the modules are not installed: make install with npm")
    if "avx512_vnni" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX-512")
    code = (
        "from processors.embedded.cpu_backend import *; import xllamacpp; "
        "print(use(default_folder())); print(xllamacpp.get_system_info())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    module, system = done.stdout.strip().splitlines()
    assert module in HASHES
    assert "AVX512_VNNI = 1" in system
