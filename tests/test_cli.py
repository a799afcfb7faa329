"""The command as a user types it: answers, one clear line for what can be mended, sensible exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.speech import needs, real, say

ANTIPHON = Path(sys.executable).with_name("antiphon")


def antiphon(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ANTIPHON), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "300", **environment},
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What the user is told, which must be one line and no traceback."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("antiphon: ")
    return lines[0]


def test_help_lists_the_doors() -> None:
    done = antiphon("--help")
    assert done.returncode == 0
    for command in ("talk", "reply", "daily", "hear", "show", "doctor", "trace", "cost", "bench", "train"):
        assert command in done.stdout


def test_show_lists_and_draws() -> None:
    assert "advanced_cascade" in antiphon("show").stdout
    assert "STT" in antiphon("show", "basic_cascade").stdout
    assert antiphon("show", "basic_cascade", "--mermaid").stdout.startswith("flowchart")
    assert json.loads(antiphon("show", "basic_cascade", "--json").stdout)["name"] == "basic_cascade"


def test_the_seeds_cells_are_printed_with_what_they_rest_on() -> None:
    cells = json.loads(antiphon("cost", "--json").stdout)
    claimed = [(cell["minutes"], cell["claimed_usd"]) for cell in cells[:4]]
    assert claimed == [(5, 0.75), (30, 4.5), (5, 1.5), (30, 45.0)]
    assert all(cell["cached_usd"] < cell["uncached_usd"] for cell in cells)
    shown = antiphon("cost").stdout
    assert "What the seeds' costs rest on" in shown


def test_an_unknown_architecture_suggests_the_closest() -> None:
    assert "basic_cascade" in one_line(antiphon("show", "basic_cascad"))


def test_doctor_speaks_json_and_never_shows_a_key() -> None:
    done = antiphon("doctor", "--json", ANTHROPIC_API_KEY="sk-secret")
    assert done.returncode in (0, 1)
    assert json.loads(done.stdout)
    assert "sk-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.wav"], "no such file"),
        (["README.md"], "cannot be read as audio"),
        (["README.md", "--persona", "nobody"], "cannot be read as audio"),
    ],
)
def test_a_bad_recording_is_named_before_anything_is_loaded(arguments: list[str], told: str) -> None:
    assert told in one_line(antiphon("reply", *arguments))


def test_what_is_missing_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "tone.wav"
    soundfile.write(file, 0.3 * np.sin(np.arange(16000) / 20), 16000)
    assert "ANTHROPIC_API_KEY" in one_line(antiphon("reply", file, "--llm", "anthropic", ANTHROPIC_API_KEY=""))
    assert "no service 'gpt'" in one_line(antiphon("reply", file, "--llm", "gpt"))
    assert "no stack 'moon'" in one_line(antiphon("reply", file, "--stack", "moon"))
    assert "no persona 'nobody'" in one_line(antiphon("reply", file, "--persona", "nobody"))
    assert "no policy 'noone'" in one_line(antiphon("reply", file, "--policy", "noone"))
    assert "there is no folder" in one_line(antiphon("reply", file, "--out", tmp_path / "none" / "out.wav"))


FORBIDS = """
name: forbids
summary: Forbids what everybody says.
fallback: I would rather not say.
rules:
  - id: no-word
    kind: terms
    direction: said
    action: redact
    text: "[something]"
    terms: [{term}]
"""


def test_a_policy_that_forbids_the_greeting_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "tone.wav"
    soundfile.write(file, 0.3 * np.sin(np.arange(16000) / 20), 16000)
    policy = tmp_path / "forbids.yaml"
    policy.write_text(FORBIDS.format(term="Ferni"))
    line = one_line(antiphon("reply", file, "--policy", policy))
    assert "greeting is forbidden by rule no-word of policy forbids" in line


def test_the_policy_given_is_the_one_that_holds(tmp_path: Path) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    file = tmp_path / "france.wav"
    soundfile.write(file, say("What is the capital of France?"), 16000)
    policy = tmp_path / "forbids.yaml"
    policy.write_text(FORBIDS.format(term="Paris"))
    done = antiphon("reply", file, "--policy", policy, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)["turns"][0]["answer"]
    assert "[something]" in answer
    assert "Paris" not in answer


def test_a_missing_model_is_one_line_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "tone.wav"
    soundfile.write(file, 0.3 * np.sin(np.arange(16000) / 20), 16000)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf").write_bytes(b"not the model")
    line = antiphon("reply", file, ANTIPHON_WEIGHTS=str(weights), ANTIPHON_CACHE=str(tmp_path))
    assert line.returncode == 2
    assert "qwen2.5-coder-1.5b" in line.stderr
    assert "Traceback" not in line.stderr


def test_reply_answers_a_real_recording_in_json_and_sound(tmp_path: Path) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    out = tmp_path / "out.wav"
    done = antiphon("reply", real("agent_turns_tau2/tau2_help_me.wav"), "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["architecture"] == "advanced_cascade"
    (turn,) = result["turns"]
    assert "help" in turn["transcript"].lower()
    assert turn["answer"]
    assert sum(turn["parts_ms"].values()) == pytest.approx(turn["latency_ms"], abs=1)
    samples, rate = soundfile.read(out)
    assert rate == 24000
    assert np.abs(samples).max() > 0.05


def test_several_recordings_make_a_conversation(tmp_path: Path) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    files = [tmp_path / "first.wav", tmp_path / "second.flac"]
    soundfile.write(files[0], say("Hello, my name is Peter."), 16000)
    soundfile.write(files[1], np.repeat(say("What is my name?")[:, None], 2, axis=1), 16000)
    done = antiphon("reply", *files, "--json")
    assert done.returncode == 0, done.stderr
    assert "peter" in json.loads(done.stdout)["turns"][1]["answer"].lower()


def test_a_recording_without_words_is_answered_by_nothing_and_exit_code_1(tmp_path: Path) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    file = tmp_path / "tone.wav"
    soundfile.write(file, 0.3 * np.sin(np.arange(16000) / 20), 16000)
    done = antiphon("reply", file, "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["turns"][0]["answer"] == ""


INTERRUPTED = """
import runpy, signal, sys
from importlib.metadata import entry_points

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            signal.raise_signal(signal.SIGINT)

how, module, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, CtrlC())
if how == "background":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if how == "python -m":
    runpy.run_module("antiphon", run_name="__main__")
else:
    [script] = entry_points(group="console_scripts", name="antiphon")
    script.load()()
"""
"""Runs the command, with ctrl-C at the moment a module is about to be imported."""


def interrupted(how: str, module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTED, how, module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("how", ["script", "python -m"])
@pytest.mark.parametrize("module", ["pipelines", "pydantic", "typer", "rich.progress", "pipelines.app.show"])
def test_ctrl_c_while_the_command_is_imported_ends_it_on_the_spot(how: str, module: str) -> None:
    done = interrupted(how, module, "show")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("uvicorn", ["talk", "--port", "0"]),
        ("pipecat", ["reply", "tone.wav"]),
        ("pipecat.frames.frames", ["reply", "tone.wav"]),
        ("pipecat", ["daily", "--room-url", "https://example.daily.co/room"]),
        ("pipecat", ["bench", "latency"]),
    ],
)
def test_ctrl_c_while_a_command_imports_what_it_needs_ends_it_on_the_spot(
    tmp_path: Path, module: str, arguments: list[str]
) -> None:
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(np.arange(16000) / 20), 16000)
    done = interrupted("script", module, *(tone if argument == "tone.wav" else argument for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_command_in_the_background_ignores_ctrl_c_as_its_shell_wants() -> None:
    assert interrupted("background", "typer", "show").returncode == 0


def test_the_entry_imports_next_to_nothing() -> None:
    script = "import sys; before = set(sys.modules); import antiphon; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"antiphon", "__future__"}


@pytest.mark.parametrize("phase", ["speech recognition", "speaking"])
def test_ctrl_c_ends_a_reply_cleanly(tmp_path: Path, phase: str) -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    file = tmp_path / "long.wav"
    soundfile.write(file, np.tile(say("And then we went to the sea and"), 5), 16000)
    process = subprocess.Popen(
        [str(ANTIPHON), "reply", str(file)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "TTY_COMPATIBLE": "1", "FORCE_COLOR": "1"},
    )
    assert process.stderr is not None
    told = ""
    while phase not in told:
        told += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, told + err
    assert "Traceback" not in told + err
