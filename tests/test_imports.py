"""Imports go one way, definitions are light, and the public names are these."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import guardrails
import pipelines
import pipelines.stacks

ROOT = Path(pipelines.__file__).parent.parent
FORBIDDEN = {
    "guardrails": {"pipecat", "processors", "pipelines"},
    "processors": {"pipelines"},
    "pipelines": {"tests"},
}
HEAVY = (
    "aiortc",
    "anthropic",
    "av",
    "daily",
    "deepgram",
    "elevenlabs",
    "hibari",
    "moonshine_voice",
    "onnxruntime",
    "openai",
    "pipecat",
    "processors",
    "xllamacpp",
)
LIGHT = [
    "pipelines",
    *(f"pipelines.{module.name}" for module in pkgutil.iter_modules(pipelines.__path__) if not module.ispkg),
    "pipelines.personas",
    *(f"pipelines.stacks.{module.name}" for module in pkgutil.iter_modules(pipelines.stacks.__path__)),
    "pipelines.app.show",
]


def imported(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Every module that a source names in an import, at any depth, or in a call of `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -(node.level - is_package) or None] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def test_the_reader_of_imports_sees_all_of_them():
    source = """
import a.b, c
from d.e import f
from . import g
from ..h import i
def late():
    from j import k
    importlib.import_module("l.m")
    __import__("n")
"""
    assert sorted(imported(source, "x.y.z")) == ["a.b", "c", "d.e", "j", "l.m", "n", "x.h", "x.y"]
    assert list(imported("from . import g\nfrom .. import h", "x.y", is_package=True)) == ["x.y", "x"]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package):
    wrong = []
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        names = imported(file.read_text(encoding="utf-8"), module, file.name == "__init__.py")
        wrong += [f"{module} imports {name}" for name in names if name.split(".")[0] in FORBIDDEN[package]]
    assert wrong == []


def test_the_definition_module_needs_python_alone():
    source = (ROOT / "pipelines" / "definition.py").read_text(encoding="utf-8")
    assert {name.split(".")[0] for name in imported(source, "pipelines.definition")} <= sys.stdlib_module_names


def test_definitions_stacks_and_personas_load_no_model_vendor_or_pipecat():
    script = """
import importlib, json, sys
seen, heavy, found = set(sys.modules), set(json.loads(sys.argv[2])), {}
for module in json.loads(sys.argv[1]):
    importlib.import_module(module)
    if new := sorted(name for name in set(sys.modules) - seen if name.split(".")[0] in heavy):
        found[module] = new[:5]
    seen = set(sys.modules)
json.dump([found, sorted(name for name in seen if name.startswith("pipelines."))], sys.stdout)
"""
    command = [sys.executable, "-c", script, json.dumps(LIGHT), json.dumps(HEAVY)]
    found, loaded = json.loads(subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT).stdout)
    assert found == {}
    assert {"pipelines.definition", "pipelines.stacks.embedded", "pipelines.stacks.cloud"} <= set(loaded)


LATE = """
import asyncio, json, sys
from types import SimpleNamespace
from pipelines import BASIC_CASCADE, EMBEDDED, assemble
from pipelines.stacks import catalogue, embedded
from processors.transports.memory import MemoryTransport

model = SimpleNamespace(transcribe=None, url="http://127.0.0.1:9/v1", api_key="none", next_slot=lambda: 0)
for once in (embedded.RECOGNISER, embedded.LANGUAGE_MODEL, embedded.SYNTHESISER):
    once._model = model

async def first_call(stack):
    await stack.load(BASIC_CASCADE)
    transport = MemoryTransport(lambda pcm, at: None, input_rate=16000, output_rate=24000)
    before = set(sys.modules)
    assemble(BASIC_CASCADE, stack, transport)
    silero = "pipecat.audio.vad.data"  # a folder, whose path importlib asks for
    return sorted(set(sys.modules) - before - {silero})

chosen = {slot: catalogue.SERVICES[slot][name] for slot, name in json.loads(sys.argv[1]).items()}
print(json.dumps(asyncio.run(first_call(EMBEDDED.replace(**chosen)))))
"""


@pytest.mark.parametrize("services", [{}, {"STT": "elevenlabs", "LLM": "anthropic"}, {"STT": "deepgram"}])
def test_what_a_call_needs_is_imported_while_models_load(services):
    keys = {f"{vendor}_API_KEY": "none" for vendor in ("ANTHROPIC", "DEEPGRAM", "ELEVENLABS")}
    command = [sys.executable, "-c", LATE, json.dumps(services)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT, env={**os.environ, **keys})
    assert json.loads(done.stdout) == []


def test_what_is_too_heavy_is_spelt_as_it_is_installed():
    assert [name for name in HEAVY if find_spec(name) is None] == []


# Public names


def test_public_names_of_pipelines():
    assert pipelines.__all__ == [
        "ADVANCED_CASCADE",
        "BASIC_CASCADE",
        "CLOUD",
        "DUPLEX_FUSED",
        "EMBEDDED",
        "HALF_CASCADE",
        "HYBRID",
        "SEQUENTIAL_FUSED",
        "Architecture",
        "Capability",
        "DefinitionError",
        "Needs",
        "Persona",
        "PersonaError",
        "Port",
        "Service",
        "Session",
        "Stack",
        "StackError",
        "Stage",
        "assemble",
        "choose",
    ]
    assert [name for name in pipelines.__all__ if not hasattr(pipelines, name)] == []


def test_public_names_of_stacks():
    assert sorted(pipelines.stacks.__all__) == ["Progress", "Service", "Session", "Stack", "StackError"]


def test_public_names_of_guardrails():
    assert guardrails.__all__ == [
        "Decision",
        "Policy",
        "PolicyError",
        "Result",
        "StreamGuard",
        "check",
        "load",
        "names",
    ]


def test_processors_export_nothing_themselves():
    source = (ROOT / "processors" / "__init__.py").read_text(encoding="utf-8")
    body = ast.parse(source).body
    assert [node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))] == []


def test_assemble_is_the_function_in_whatever_order_things_are_imported():
    for first in ("import pipelines.assemble", "from pipelines.assemble import check", "import pipelines.diagram"):
        script = f"{first}; from pipelines import assemble; assert callable(assemble), assemble"
        subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


IN_THREADS = """
import asyncio, json, sys, threading
from types import SimpleNamespace
from pipelines import BASIC_CASCADE, EMBEDDED
from pipelines.stacks import catalogue, embedded
from pipelines.stacks.stack import IMPORTING

model = SimpleNamespace(transcribe=None, url="http://127.0.0.1:9/v1", api_key="none", next_slot=lambda: 0)
for once in (embedded.RECOGNISER, embedded.LANGUAGE_MODEL, embedded.SYNTHESISER):
    once._model = model
looked_for, alone = set(), set()

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("pipecat") and threading.current_thread() is not threading.main_thread():
            looked_for.add(name)
            if not IMPORTING._is_owned():
                alone.add(name)

sys.meta_path.insert(0, Watch())
chosen = {slot: catalogue.SERVICES[slot][name] for slot, name in json.loads(sys.argv[1]).items()}
asyncio.run(EMBEDDED.replace(**chosen).load(BASIC_CASCADE))
print(json.dumps([len(looked_for), sorted(alone)]))
"""


@pytest.mark.parametrize("services", [{}, {"STT": "elevenlabs", "LLM": "anthropic"}, {"STT": "deepgram"}])
def test_one_thread_at_a_time_enters_the_circles_of_pipecats_imports(services):
    """Two of them met in the middle once, and a load ended in a deadlock that Python reports as an error."""
    keys = {f"{vendor}_API_KEY": "none" for vendor in ("ANTHROPIC", "DEEPGRAM", "ELEVENLABS")}
    command = [sys.executable, "-c", IN_THREADS, json.dumps(services)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT, env={**os.environ, **keys})
    looked_for, alone = json.loads(done.stdout)
    assert looked_for > 100
    assert alone == []
