"""`antiphon guard` and `antiphon policy`, as they are typed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

POLICY = """\
name: Mine
summary: Mine alone.
fallback: Not that.
rules:
  - id: hush
    kind: terms
    direction: [said, heard]
    action: redact
    text: something
    terms: [hush hush]
  - id: halt
    kind: terms
    direction: said
    action: stop
    terms: [halt]
  - id: ask
    kind: tool
    tool: pay
    action: confirm
    text: Shall I pay {amount}?
  - id: notes
    kind: terms
    direction: tool_call
    action: redact
    text: "[]"
    terms: [hush]
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return str(path)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "antiphon", *arguments]


def antiphon(*arguments: str, text: str | bytes = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    given = text.encode() if isinstance(text, str) else text
    ended = subprocess.run(
        command(*arguments), input=given, capture_output=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    out, err = ended.stdout.decode(), ended.stderr.decode()
    assert ended.returncode == status, out + err
    assert "Traceback" not in err
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


def test_a_text_without_fault_passes_untouched(policy: str) -> None:
    text = "Nothing at all, Señor 👋🏽.\r\n\n  Really.\n"
    ended = antiphon("guard", "-p", policy, text=text)
    assert (ended.stdout, ended.stderr) == (text, "")
    assert antiphon("guard", "-p", policy, text="").stdout == ""


def test_what_a_rule_does_is_done_and_explained(policy: str) -> None:
    ended = antiphon("guard", "--policy", policy, "--explain", text="Say HUSH - hush. Then halt it.", status=1)
    assert ended.stdout == "Say something. Then … Not that."
    said = ended.stderr.splitlines()
    assert any(line.split() == ["hush", "redact", "something", "4–14"] for line in said)
    assert any(line.split() == ["halt", "stop", "Not", "that.", "22"] for line in said)
    assert said[-1].startswith("At most ")


def test_nothing_done_is_explained_too(policy: str) -> None:
    ended = antiphon("guard", "-p", policy, "--explain", text="Hello.")
    assert ended.stdout == "Hello."
    assert ended.stderr.startswith("No rule acted. At most ")


def test_json_holds_all_of_it_and_none_of_what_was_kept_back(policy: str) -> None:
    ended = antiphon("guard", "-p", policy, "--json", "--direction", "heard", text="Say hush, hush. halt", status=1)
    assert json.loads(ended.stdout) == {
        "policy": "Mine",
        "direction": "heard",
        "text": "Say something. halt",
        "decisions": [{"rule": "hush", "action": "redact", "text": "something", "start": 4, "end": 14}],
        "held_at_most": 10,
    }
    assert "hush, hush" not in ended.stdout


def test_a_long_text_is_no_answer_that_is_too_long(policy: str) -> None:
    text = "Nothing at all. " * 4000
    assert antiphon("guard", "-p", policy, text=text).stdout == text


def test_text_is_let_out_as_it_comes(policy: str) -> None:
    with subprocess.Popen(
        command("guard", "-p", policy), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(b"Well, hu")
        assert running.stdout.read(6) == b"Well, "
        running.stdin.write(b"rry. \xe2")
        assert running.stdout.read(7) == b"hurry. "
        running.stdin.write(b"\x80\xa6")
        running.stdin.close()
        assert running.stdout.read() == "…".encode()
        assert running.wait() == 0


def test_ctrl_c_ends_it(policy: str) -> None:
    with subprocess.Popen(
        command("guard", "-p", policy),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        bufsize=0,
    ) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        running.stdin.write(b"Hello. ")
        assert running.stdout.read(7) == b"Hello. "
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
        assert running.stderr.read() == b""


def test_a_reader_that_is_gone_ends_it(policy: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        command("guard", "-p", policy), input=b"Hello there.\n", stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("redirected", "message"),
    [
        ("<&-", "there is no standard input: give a text there"),
        ("</dev/null >&-", "there is no standard output: give a file or a program for it"),
        (
            "--json </dev/null >/dev/full",
            "standard output cannot be written (No space left on device): give another place for it",
        ),
    ],
)
def test_where_nothing_can_be_read_or_written_is_told_in_one_line(policy: str, redirected: str, message: str) -> None:
    typed = f"{shlex.join(command('guard', '-p', policy))} {redirected}"
    ended = subprocess.run(["/bin/sh", "-c", typed], stderr=subprocess.PIPE, check=False, text=True)
    assert (ended.returncode, ended.stderr) == (2, f"antiphon: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (("-p", "none"), "", "no policy 'none': choose finance, healthcare, sales or support or give a YAML file"),
        (("-p", "gone.yaml"), "", "gone.yaml: cannot be read (No such file or directory)"),
        (("-p", "support"), b"caf\xe9 is it", "standard input is not text in UTF-8: convert it first"),
        (("-p", "support"), b"caf\xc3", "standard input is not text in UTF-8: convert it first"),
        (("-p", "support", "--direction", "tool_call"), "pay", "standard input is no JSON: write {"),
        (("-p", "support", "--direction", "tool_call"), "[]", "standard input is no call: write {"),
        (("-p", "support", "--direction", "tool_call"), '{"tool": "a", "arguments": 1}', "arguments are no JSON obj"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(arguments: tuple[str, ...], text: str | bytes, message: str) -> None:
    ended = antiphon("guard", *arguments, text=text, status=2)
    assert ended.stderr.startswith(f"antiphon: {message}")
    assert ended.stderr.count("\n") == 1


def test_a_direction_that_is_none_is_wrong_usage() -> None:
    assert "'heard', 'said', 'tool_call'" in antiphon("guard", "-p", "support", "--direction", "x", status=2).stderr


def test_a_call_of_a_tool(policy: str) -> None:
    def guarded(call: str, *arguments: str, status: int) -> subprocess.CompletedProcess[str]:
        return antiphon("guard", "-p", policy, "--direction", "tool_call", *arguments, text=call, status=status)

    assert json.loads(guarded('{"tool": "note"}', status=0).stdout) == {"tool": "note", "arguments": {}}
    cleaned = guarded('{"tool": "note", "arguments": {"text": "hush, ünd so"}}', "--explain", status=1)
    assert json.loads(cleaned.stdout) == {"tool": "note", "arguments": {"text": "[], ünd so"}}
    assert any(line.split()[:2] == ["notes", "redact"] for line in cleaned.stderr.splitlines())
    assert guarded('{"tool": "pay", "arguments": {"amount": 5}}', status=1).stdout == "Shall I pay 5?\n"
    assert json.loads(guarded('{"tool": "pay"}', "--json", status=1).stdout) == {
        "policy": "Mine",
        "direction": "tool_call",
        "tool": "pay",
        "action": "confirm",
        "rule": "ask",
        "text": "Shall I pay it?",
        "redacted": [],
        "arguments": None,
    }


def test_a_policy_is_checked(policy: str) -> None:
    ended = antiphon("policy", "check", policy)
    rows = {line.split()[0]: line.split() for line in ended.stdout.splitlines() if line.strip()}
    assert rows["halt"][1:4] == ["terms", "said", "stop"]
    assert rows["ask"][1:] == ["tool", "tool_call", "confirm", "–", "–"]
    assert "It has no test conversations." in ended.stdout


def test_what_may_not_be_meant_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        POLICY.replace("fallback: Not that.", "fallback: Halt!")
        + """\
  - id: late
    kind: topics
    direction: said
    action: redact
    text: Halt here
    topics: [halt there, halt]
  - id: whole
    kind: terms
    direction: said
    action: replace_sentence
    text: No.
    terms: [never]
  - id: long
    kind: patterns
    direction: said
    action: redact
    text: No.
    patterns: ["a[a-z]{300}b"]
""",
        encoding="utf-8",
    )
    (checked,) = json.loads(antiphon("policy", "check", str(path), "--json").stdout)
    assert checked["warnings"] == ["the fallback says what halt forbids: say it otherwise"]
    warned = {rule["id"]: [text.split(":")[0] for text in rule["warnings"]] for rule in checked["rules"]}
    assert warned == {
        "hush": [],
        "halt": [],
        "ask": [],
        "notes": [],
        "late": ["says what halt forbids, and what it says is not checked again"],
        "whole": ["keeps every answer waiting until its first sentence is whole"],
        "long": ["may keep back 301 characters"],
    }


def test_a_rule_that_another_covers_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    late = "  - {id: late, kind: topics, direction: said, action: redact, text: No., topics: [halt, halts]}\n"
    path.write_text(POLICY.replace("terms: [halt]", "terms: ['halt*']") + late, encoding="utf-8")
    (checked,) = json.loads(antiphon("policy", "check", str(path), "--json").stdout)
    assert checked["rules"][-1]["warnings"] == [
        "never acts on said, as halt is stronger and covers all of it: take one of them out"
    ]


def test_test_conversations_are_run(policy: str) -> None:
    folder = Path(policy).parent / "conversations"
    folder.mkdir()
    file = folder / "mine.yaml"
    file.write_text("conversations:\n  - {name: one, turns: [{said: Halt!, becomes: Not that., rules: halt}]}\n")
    assert "1 test conversation comes out as it should." in antiphon("policy", "check", policy).stdout
    file.write_text("conversations:\n  - {name: one, turns: [{said: Halt!}]}\n")
    ended = antiphon("policy", "check", policy, status=1)
    assert "✗ one, turn 1: 'Halt!' was to come out, but 'Not that.' did" in ended.stdout
    file.write_text("conversations:\n  - {name: one, turns: [{said: Halt!, heard: Halt!}]}\n")
    ended = antiphon("policy", "check", policy, status=2)
    assert "mine.yaml: line 2: conversations.0.turns.0: is one of heard:, said: and tool:" in ended.stderr


def test_every_fault_of_every_file_is_told(policy: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(POLICY.replace("action: stop", "action: shout").replace("[halt]", "[]"), encoding="utf-8")
    ended = antiphon("policy", "check", policy, str(bad), status=2)
    assert ended.stdout.startswith("Mine ")
    first, second = ended.stderr.splitlines()
    assert first.startswith("✗ bad.yaml, line 14, rule halt: action 'shout' is none: choose ")
    assert second == "✗ bad.yaml, line 15, rule halt: terms has too few: write at least 1"


def test_those_that_ship_are_listed_and_shown(tmp_path: Path) -> None:
    listed = json.loads(antiphon("policy", "list", "--json").stdout)
    assert [one["name"] for one in listed] == ["finance", "healthcare", "sales", "support"]
    assert "Customer support by telephone." in antiphon("policy", "list").stdout
    copy = tmp_path / "copy.yaml"
    copy.write_text(antiphon("policy", "show", "sales").stdout, encoding="utf-8")
    shown = json.loads(antiphon("policy", "show", str(copy), "--json").stdout)
    assert [rule["id"] for rule in shown["rules"]] == listed[2]["rules"]
