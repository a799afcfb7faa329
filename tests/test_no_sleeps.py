"""No test waits by the clock: what it waits for is told to it, or comes on virtual time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.rglob("*.py"))
VIRTUAL = ("pipelines.lab.virtual", "on_virtual_time")
"""What a file that runs on virtual time imports."""


def sleeps(source: str) -> list[str]:
    """Each call in `source` that waits by the clock: `time.sleep`, and `asyncio.sleep` for more than a turn of the loop
    unless the file runs on virtual time."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    on_virtual_time = any(name.endswith(VIRTUAL) for name in names.values())
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        first, _, rest = ast.unparse(call.func).partition(".")
        called = f"{names.get(first, first)}.{rest}".rstrip(".")
        turn = bool(call.args) and ast.unparse(call.args[0]) == "0"
        if called == "time.sleep" or (called in ("asyncio.sleep", "anyio.sleep") and not turn and not on_virtual_time):
            found.append(f"line {call.lineno}: {ast.unparse(call)}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_sleeps(file: Path) -> None:
    assert sleeps(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import time\ntime.sleep(1)", 1),
        ("from time import sleep\nsleep(0)", 1),
        ("import time as t\nfrom tests.harness import on_virtual_time\nt.sleep(1)", 1),
        ("import asyncio\nasyncio.sleep(0.02)", 1),
        ("import asyncio\nasyncio.sleep(delay)", 1),
        ("from asyncio import sleep as wait\nwait(1)", 1),
        ("import asyncio\nasyncio.sleep(0)", 0),
        ("import asyncio\nfrom pipelines.lab import virtual\nasyncio.sleep(3600)", 0),
        ("import asyncio\nfrom tests.harness import on_virtual_time\nasyncio.sleep(1)", 0),
        ("class Nap:\n    def sleep(self): ...\nNap().sleep()", 0),
    ],
)
def test_a_sleep_is_found_under_whatever_name(source: str, count: int) -> None:
    assert len(sleeps(source)) == count
