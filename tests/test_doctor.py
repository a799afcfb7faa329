"""The doctor: what the default lacks is named with its mend, and nothing secret is shown."""

import hashlib
import io
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.app import doctor
from pipelines.app.doctor import Check, Service, examine, ready, render, to_json
from processors.embedded.weights import Manifest, WeightStore, manifest

BYTES = b"weights"


def a_store(tmp_path: Path, *packages: str, **more: Any) -> WeightStore:
    """A store whose one weight, `voice`, comes in one part per package."""
    digest = hashlib.sha256(BYTES).hexdigest()
    file = {"name": "voice.bin", "sha256": digest, "size": len(BYTES)} | more.pop("file", {})
    parts = [{"package": package, "path": "voice.bin", "sha256": digest} for package in packages]
    weight = {"name": "voice", "purpose": "to test", "licence": "MIT", "upstream": "some/one"} | more
    weights = Manifest.model_validate({"weights": [weight | {"files": [file | {"parts": parts}]}]})
    return WeightStore(weights, cache=tmp_path / "cache", folder=tmp_path)


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str = "", data: bytes = BYTES) -> None:
    """Put a package with one data file on the path, as a wheel would."""
    site = tmp_path / "site"
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").write_text(code)
    (site / name / "voice.bin").write_bytes(data)
    (site / f"{name}-1.2.dist-info").mkdir()
    (site / f"{name}-1.2.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(site)


def named(checks: Iterable[Check], name: str) -> Check:
    (check,) = (check for check in checks if check.name == name)
    return check


def shown(checks: Iterable[Check], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(render(checks))
    return console.export_text()


def test_everything_is_looked_at_in_order() -> None:
    checks = examine()
    groups = [check.group for check in checks]
    assert list(dict.fromkeys(groups)) == ["weights", "services", "keys", "ports", "machine"]
    assert [check.name for check in checks if check.group == "weights"] == [w.name for w in manifest().weights]
    assert [check.name for check in checks if check.group == "machine"] == ["cores", "memory", "disk", "python"]


def test_the_services_of_the_default_are_importable_here() -> None:
    services = [check for check in examine() if check.group == "services"]
    assert [check.name for check in services if check.state != "ok"] == []
    assert [check.mend for check in services if check.state == "ok" and check.mend] == []
    assert named(services, "hibari").detail == "text to speech: 0.2.1"


def test_a_weight_says_where_it_is_and_whether_its_hash_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "dwhole")
    check = named(examine(a_store(tmp_path, "dwhole"), services=()), "voice")
    assert check == Check("weights", "voice", "ok", "to test: 7 bytes, hash checked, in the package dwhole")


def test_installed_parts_are_enough_and_are_not_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "dhalf")
    store = a_store(tmp_path, "dhalf", "dhalf")
    check = named(examine(store, services=()), "voice")
    assert check.state == "ok"
    assert check.detail == "to test: 7 bytes, in 2 packages, to be put together and checked at the first start"
    assert not store.cache.exists()


def test_a_missing_weight_is_missing_only_if_the_default_needs_it(tmp_path: Path) -> None:
    checks = examine(a_store(tmp_path, "dabsent"), services=())
    assert not ready(checks)
    check = named(checks, "voice")
    assert (check.state, check.detail) == ("missing", "to test: dabsent isn't installed")
    assert check.mend == f"make install, or put voice.bin into {tmp_path}"
    assert named(examine(a_store(tmp_path, "dabsent", required=False), services=()), "voice").state == "optional"


def test_a_damaged_weight_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "ddamaged", data=b"WEIGHTS")
    check = named(examine(a_store(tmp_path, "ddamaged"), services=()), "voice")
    assert check.state == "missing"
    assert "has the wrong SHA-256" in check.detail
    assert "--force-reinstall" in check.mend


def test_the_disk_needs_room_only_for_what_is_still_to_be_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "dhuge")
    store = a_store(tmp_path, "dhuge", "dhuge", file={"size": 10**18})
    disk = named(examine(store, services=()), "disk")
    assert disk.state == "missing"
    assert disk.detail.endswith(f" free in {store.cache}, 1.0 EB to be written at the first start")
    assert "ANTIPHON_CACHE" in disk.mend
    assert named(examine(a_store(tmp_path, "dhuge"), services=()), "disk").state == "ok"


def test_a_service_that_isnt_installed_or_cant_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "dbroken", code="raise OSError('libfoo.so:\\n not found')")
    services = (
        Service("dnowhere", "dnowhere", "speaks"),
        Service("dnowhere2", "dnowhere2", "calls", required=False),
        Service("dbroken", "dbroken", "hears"),
    )
    checks = examine(a_store(tmp_path, "x"), services=services)
    assert named(checks, "dnowhere") == Check(
        "services", "dnowhere", "missing", "speaks: isn't installed", "make install"
    )
    assert named(checks, "dnowhere2").state == "optional"
    assert named(checks, "dbroken").state == "missing"
    assert named(checks, "dbroken").detail == "hears: 1.2 can't be imported (OSError: libfoo.so: not found)"


def test_keys_are_set_or_not_and_never_shown(tmp_path: Path) -> None:
    environment = {"ANTHROPIC_API_KEY": "sk-secret-value", "DEEPGRAM_API_KEY": "  "}
    checks = examine(a_store(tmp_path, "x"), services=(), environment=environment)
    assert named(checks, "ANTHROPIC_API_KEY") == Check("keys", "ANTHROPIC_API_KEY", "ok", "set")
    for name in ("DEEPGRAM_API_KEY", "ELEVENLABS_API_KEY", "DAILY_API_KEY"):
        assert (named(checks, name).state, named(checks, name).detail) == ("optional", "not set")
        assert named(checks, name).mend.startswith(f"export {name}=… for ")
    assert "secret" not in to_json(checks) + shown(checks)


def test_a_taken_port_is_missing_and_says_by_whom(tmp_path: Path) -> None:
    store = a_store(tmp_path, "x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check = named(examine(store, services=(), port=port), f"127.0.0.1:{port}")
        assert check.state == "missing"
        assert check.detail.endswith(f" (process {os.getpid()})")
        assert "--port" in check.mend
    assert named(examine(store, services=(), port=port), f"127.0.0.1:{port}").state == "ok"


def test_an_address_of_another_machine_cant_be_opened(tmp_path: Path) -> None:
    check = named(examine(a_store(tmp_path, "x"), services=(), host="192.0.2.1"), "192.0.2.1:7860")
    assert (check.state, check.detail) == ("missing", "can't be opened (Cannot assign requested address)")


def test_too_little_memory_is_missing_and_too_few_cores_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "MEMORY", 10**18)
    monkeypatch.setattr(doctor, "CORES", 10**6)
    checks = examine(a_store(tmp_path, "x"), services=())
    assert named(checks, "memory").state == "missing"
    assert named(checks, "memory").detail.endswith(" free of the 1.0 EB a conversation takes")
    assert named(checks, "cores").state == "optional"


CHECKS = [
    Check("weights", "voice", "missing", "part 7 of 22 isn't [bold]installed[/bold]", "make install"),
    Check("weights", "small", "optional", "not here", "pip install it"),
    Check("keys", "A_KEY", "ok", "set"),
]


@pytest.mark.parametrize("width", [40, 200])
def test_the_table_shows_state_detail_and_mend_as_they_are(width: int) -> None:
    text = " ".join(shown(CHECKS, width).split())
    assert "weights" in text
    assert "[bold]" in text
    assert "→ make install" in text
    assert text.endswith("Missing for the default: 1.")
    assert " ".join(shown(CHECKS[1:]).split()).endswith("The default has all it needs.")


def test_the_json_form_says_the_same() -> None:
    said = json.loads(to_json(CHECKS))
    assert said["ready"] is False
    assert said["checks"][0] == {
        "group": "weights",
        "name": "voice",
        "state": "missing",
        "detail": "part 7 of 22 isn't [bold]installed[/bold]",
        "mend": "make install",
    }
    assert json.loads(to_json(CHECKS[1:]))["ready"] is True
