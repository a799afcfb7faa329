"""What the default needs and whether this machine has it: weights, services, keys, the port and the machine itself.

No model is loaded, and nothing is written but the stamps of checked weights. With fresh stamps it takes about a second,
nearly all of it importing the services.
"""

import errno
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from pipelines.app.ports import holder
from processors.embedded.weights import Found, Weight, WeightsError, WeightStore

MEMORY = 2_500_000_000
"""Bytes of memory that a conversation on the embedded stack takes."""
CORES = 2
"""Processor cores for which the README's figures hold."""
PYTHON = (3, 11)
"""The oldest Python that runs the project."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    `missing`: the default can't do without it. `optional`: not there, and the default does without it.
    """

    group: Literal["weights", "services", "keys", "ports", "machine"]
    name: str
    state: Literal["ok", "missing", "optional"]
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Service:
    """A package that has to be importable: its module, its name on the index, what it does."""

    module: str
    distribution: str
    purpose: str
    required: bool = True


SERVICES = (
    Service("pipecat", "pipecat-ai", "runs the pipeline"),
    Service("onnxruntime", "onnxruntime", "runs speech activity, end of turn and the voice"),
    Service("moonshine_voice", "moonshine-voice", "speech to text"),
    Service("xllamacpp", "xllamacpp", "runs the language model"),
    Service("hibari", "hibari-tts", "text to speech"),
    Service("daily", "daily-python", "antiphon daily", required=False),
)

KEYS = {
    "ANTHROPIC_API_KEY": "--llm anthropic",
    "ELEVENLABS_API_KEY": "--stt elevenlabs and --tts elevenlabs",
    "DEEPGRAM_API_KEY": "--stt deepgram",
    "DAILY_API_KEY": "antiphon daily",
}
"""Environment variable: what it opens."""


def examine(
    store: WeightStore | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    environment: Mapping[str, str] = os.environ,
    services: Iterable[Service] = SERVICES,
) -> list[Check]:
    """Look at everything. `host` and `port` are those on which the page would be served."""
    store = store or WeightStore()
    found = [(entry, _find(store, entry)) for entry in store.manifest.weights]
    unbuilt = sum(entry.size for entry, where in found if isinstance(where, Found) and where.source == "parts")
    return [
        *(_weight(store, entry, where) for entry, where in found),
        *(_service(entry) for entry in services),
        *(_key(name, opens, environment) for name, opens in KEYS.items()),
        _port(host, port),
        *_machine(store.cache, unbuilt),
    ]


def ready(checks: Iterable[Check]) -> bool:
    """Whether the default has all it needs; a command ends with code 0 if so, else 1."""
    return all(check.state != "missing" for check in checks)


def render(checks: Iterable[Check]) -> Table:
    """The checks as a table for `rich`, what to do under each, and a line that sums them up."""
    checks = list(checks)
    lacking = sum(check.state == "missing" for check in checks)
    summary = "The default has all it needs." if not lacking else f"Missing for the default: {lacking}."
    table = Table(box=box.SIMPLE_HEAD, caption=summary, caption_justify="left", caption_style="bold")
    table.add_column("what", overflow="fold")
    table.add_column("state")
    table.add_column("detail", overflow="fold")
    for n, check in enumerate(checks):
        if n == 0 or check.group != checks[n - 1].group:
            table.add_section()
            table.add_row(Text(check.group, style="bold"))
        detail = Text(check.detail)
        if check.mend:
            detail.append(f"\n→ {check.mend}", style="cyan" if check.state == "missing" else "dim")
        table.add_row(Text(check.name), Text(check.state, style=_STYLES[check.state]), detail)
    return table


def to_json(checks: Iterable[Check]) -> str:
    """The checks as a JSON object: `ready`, and `checks` with the fields of Check."""
    checks = list(checks)
    return json.dumps({"ready": ready(checks), "checks": [asdict(check) for check in checks]}, indent=2)


_STYLES = {"ok": "green", "missing": "bold red", "optional": "dim"}


def _find(store: WeightStore, weight: Weight) -> Found | WeightsError:
    try:
        return store.check(weight.name)
    except WeightsError as error:
        return error


def _weight(store: WeightStore, weight: Weight, found: Found | WeightsError) -> Check:
    if isinstance(found, WeightsError):
        state: Literal["missing", "optional"] = "missing" if weight.required else "optional"
        return Check("weights", weight.name, state, f"{weight.purpose}: {found.problem}", found.mend)
    parts = weight.files[0].parts
    where = {
        "folder": f"in {store.folder}",
        "package": f"in the package {parts[0].distribution}",
        "cache": f"in {store.cache}",
        "parts": f"in {len(parts)} packages, to be put together and checked at the first start",
    }[found.source]
    checked = "hash checked, " if found.path else ""
    return Check("weights", weight.name, "ok", f"{weight.purpose}: {decimal(weight.size)}, {checked}{where}")


def _service(service: Service) -> Check:
    state: Literal["missing", "optional"] = "missing" if service.required else "optional"
    mend = "make install"
    try:
        version = importlib.metadata.version(service.distribution)
    except importlib.metadata.PackageNotFoundError:
        return Check("services", service.module, state, f"{service.purpose}: isn't installed", mend)
    try:
        importlib.import_module(service.module)
    except Exception as error:  # a package that can't be imported may raise anything, and that is the finding
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return Check("services", service.module, state, f"{service.purpose}: {version} can't be imported ({why})", mend)
    return Check("services", service.module, "ok", f"{service.purpose}: {version}")


def _key(name: str, opens: str, environment: Mapping[str, str]) -> Check:
    if environment.get(name, "").strip():
        return Check("keys", name, "ok", "set")
    return Check("keys", name, "optional", "not set", f"export {name}=… for {opens}")


def _port(host: str, port: int) -> Check:
    name = f"{host}:{port}"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Check(
                "ports",
                name,
                "missing",
                f"taken by {holder(port) or 'another process'}",
                "end it, or choose another with --port",
            )
        return Check("ports", name, "missing", f"can't be opened ({error.strerror})", "choose another with --port")
    return Check("ports", name, "ok", "free")


def _machine(cache: Path, unbuilt: int) -> list[Check]:
    """The machine, whose cache folder has to take `unbuilt` more bytes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slow = f"expect slower answers than the README's figures, which are for {CORES}"
    memory = psutil.virtual_memory().available
    takes = f"{decimal(memory)} free of the {decimal(MEMORY)} a conversation takes"
    existing = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free, writable = shutil.disk_usage(existing).free, os.access(existing, os.W_OK)
    room = f"{decimal(free)} free in {cache}" if writable else f"{existing} can't be written"
    if unbuilt:
        room += f", {decimal(unbuilt)} to be written at the first start"
    oldest = ".".join(map(str, PYTHON))
    return [
        _need("cores", cores >= CORES, str(cores), slow, "optional"),
        _need("memory", memory >= MEMORY, takes, "close other programs, or let a vendor answer with --llm anthropic"),
        _need("disk", not unbuilt or (writable and free >= unbuilt), room, "set ANTIPHON_CACHE to a folder with room"),
        _need("python", sys.version_info >= PYTHON, platform.python_version(), f"install Python {oldest} or later"),
    ]


def _need(name: str, met: bool, detail: str, mend: str, otherwise: Literal["missing", "optional"] = "missing") -> Check:
    return Check("machine", name, "ok", detail) if met else Check("machine", name, otherwise, detail, mend)
