"""`antiphon guard` and `antiphon policy`: policies tried on a text, checked and listed."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from guardrails import StreamGuard, conversations
from guardrails.examine import Examined, examine, of_fallback
from guardrails.policy import FOLDER, Direction, Policy, PolicyError, find, load, names
from guardrails.stream import GUARD, Decision
from guardrails.tools import Verdict, judge

CHUNK = 65536


class InputError(ValueError):
    """What comes on standard input cannot be used. One line with the mend."""

    mendable = True


def chunks(descriptor: int) -> Iterator[str]:
    """Text as it comes.

    Args:
        descriptor: Where from.

    Raises:
        InputError: If it is not text in UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while chunk := os.read(descriptor, CHUNK):
            text = decoder.decode(chunk)
            if text:
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InputError("standard input is not text in UTF-8: convert it first") from None
    except OSError as error:
        raise InputError(f"standard input cannot be read ({error.strerror}): give a text there") from None


@dataclass
class Guarded:
    """What became of a text.

    Args:
        policy: By which policy.
        direction: In which direction.
        text: What came out.
        decisions: What rules did.
        held: How many characters were kept back at most.
    """

    policy: Policy
    direction: Direction
    text: str = ""
    decisions: list[Decision] = field(default_factory=list)
    held: int = 0

    @property
    def changed(self) -> bool:
        """Whether any rule acted."""
        return bool(self.decisions)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "policy": self.policy.name,
            "direction": self.direction,
            "text": self.text,
            "decisions": [
                {
                    "rule": one.rule,
                    "action": one.action,
                    "text": one.text,
                    "start": one.start,
                    "end": one.end,
                }
                for one in self.decisions
            ],
            "held_at_most": self.held,
        }

    def table(self) -> RenderableType:
        """For people: which rule did what, where."""
        held = f"At most {self.held} {'character was' if self.held == 1 else 'characters were'} held back at a time."
        if not self.decisions:
            return f"No rule acted. {held}"
        table = Table("rule", "action", "instead", "characters", box=box.SIMPLE_HEAD)
        for one in self.decisions:
            name = "the guard itself failed" if one.rule == GUARD else one.rule
            where = f"{one.start}" if one.end <= one.start else f"{one.start}–{one.end - 1}"
            table.add_row(escape(name), one.action, escape(one.text) or "nothing", where)
        return Group(table, held)


def guard_text(
    policy: Policy, direction: Direction, source: Iterator[str], put: Callable[[str], None], *, closely: bool
) -> Guarded:
    """Hold a text to a policy as it comes.

    Args:
        policy: The policy.
        direction: Which of its rules.
        source: The text.
        put: What comes out goes there, as soon as it can.
        closely: Whether to look after every character how many are held back.
    """
    done = Guarded(policy, direction)
    guard = StreamGuard(policy, direction=direction, budget=sys.maxsize)
    out: list[str] = []

    def let_out(text: str) -> None:
        if text:
            out.append(text)
            put(text)

    for text in source:
        if closely:
            said = []
            for char in text:
                said.append(guard.feed(char))
                done.held = max(done.held, guard.held)
            let_out("".join(said))
        else:
            let_out(guard.feed(text))
    let_out(guard.finish())
    done.text = "".join(out)
    done.decisions = guard.take()
    return done


def guard_call(policy: Policy, text: str) -> tuple[str, Verdict]:
    """Hold a tool's call to a policy.

    Args:
        policy: The policy.
        text: The call, as JSON: the tool's name in `tool`, its arguments in `arguments`.

    Returns:
        The tool's name and the verdict.

    Raises:
        InputError: If the text is no such call.
    """
    form = '{"tool": "name", "arguments": {…}}'
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"standard input is no JSON: write {form}") from None
    if not isinstance(call, dict) or set(call) - {"tool", "arguments"} or not isinstance(call.get("tool"), str):
        raise InputError(f"standard input is no call: write {form}")
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        raise InputError(f"arguments are no JSON object: write {form}")
    return call["tool"], judge(policy, call["tool"], arguments)


def call_json(policy: Policy, tool: str, verdict: Verdict) -> dict[str, Any]:
    """A verdict for programs."""
    return {
        "policy": policy.name,
        "direction": "tool_call",
        "tool": tool,
        "action": verdict.action,
        "rule": verdict.rule or None,
        "text": verdict.text,
        "redacted": list(verdict.redacted),
        "arguments": None if verdict.action else verdict.arguments,
    }


def call_table(verdict: Verdict) -> RenderableType:
    """A verdict for people: which rule did what."""
    if verdict.action is None and not verdict.redacted:
        return "No rule acted."
    table = Table("rule", "action", "said", box=box.SIMPLE_HEAD)
    for rule in verdict.redacted:
        table.add_row(escape(rule), "redact", "nothing")
    if verdict.action is not None:
        name = "the guard itself failed" if verdict.rule == GUARD else verdict.rule
        table.add_row(escape(name), verdict.action, escape(verdict.text))
    return table


@dataclass(frozen=True)
class Checked:
    """A policy's file, looked through.

    Args:
        file: The file as it was given.
        policy: What it holds; None if it cannot be used.
        rules: Each rule, with what it costs.
        warnings: What there is to say of the policy as a whole.
        faults: Why it cannot be used, a line each.
        conversations: How many test conversations there are.
        failed: What came out wrong in them, a line each.
    """

    file: str
    policy: Policy | None = None
    rules: tuple[Examined, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    conversations: int = 0
    failed: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "file": self.file,
            "name": self.policy.name if self.policy else None,
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "rules": [
                {
                    "id": one.rule.id,
                    "kind": one.rule.kind,
                    "direction": list(one.rule.direction),
                    "action": one.rule.action,
                    "held_at_most": one.bound,
                    "states": one.states,
                    "warnings": list(one.warnings),
                }
                for one in self.rules
            ],
            "conversations": self.conversations,
            "failed": list(self.failed),
        }

    def render(self) -> RenderableType:
        """For people."""
        if self.policy is None:
            return Group(*(f"[red]✗[/] {escape(fault)}" for fault in self.faults))
        table = Table(
            "rule", "kind", "direction", "action", "holds back", "states", box=box.SIMPLE_HEAD, title_justify="left"
        )
        table.columns[4].justify = table.columns[5].justify = "right"
        for one in self.rules:
            table.add_row(
                one.rule.id,
                one.rule.kind,
                ", ".join(one.rule.direction),
                one.rule.action,
                str(one.bound or "–"),
                str(one.states or "–"),
            )
        lines: list[RenderableType] = [f"[bold]{escape(self.policy.name)}[/] {escape(self.policy.summary)}", table]
        lines += [f"[yellow]![/] {escape(one.rule.id)}: {escape(text)}" for one in self.rules for text in one.warnings]
        lines += [f"[yellow]![/] {escape(text)}" for text in self.warnings]
        lines += [f"[red]✗[/] {escape(text)}" for text in self.failed]
        if not self.conversations:
            lines.append("[dim]It has no test conversations.[/]")
        elif not self.failed:
            many = "conversation comes out as it" if self.conversations == 1 else "conversations come out as they"
            lines.append(f"[green]✓[/] {self.conversations} test {many} should.")
        return Group(*lines)

    @property
    def status(self) -> int:
        """For the shell: 0 if all is well, 1 if a conversation came out wrong, 2 if the file cannot be used."""
        return 2 if self.faults else 1 if self.failed else 0


def check_policy(file: str, progress: Callable[[str], None] = lambda what: None) -> Checked:
    """Look through a policy and run its test conversations.

    Args:
        file: A YAML file, or the name of a policy that ships.
        progress: Told what is being done.
    """
    try:
        progress(f"reading {file}")
        policy = load(file)
        told = conversations.beside(file)
        tests = conversations.load_conversations(told) if told.is_file() else ()
    except PolicyError as error:
        return Checked(file, faults=error.faults)
    progress(f"examining {file}")
    rules = tuple(examine(policy))
    failed = []
    for test in tests:
        progress(f"{file}: {test.name}")
        failed += conversations.run(policy, test)
    return Checked(file, policy, rules, tuple(of_fallback(policy)), (), len(tests), tuple(failed))


def listed() -> RenderableType:
    """The policies that ship, with a line each."""
    table = Table("name", "summary", "rules", box=box.SIMPLE_HEAD)
    table.columns[2].justify = "right"
    for name in names():
        policy = load(name)
        table.add_row(name, escape(policy.summary), str(len(policy.rules)))
    return Group(table, f"[dim]Their files, to copy and change: {escape(str(FOLDER))}[/]")


def listed_json() -> list[dict[str, Any]]:
    """The policies that ship, for programs."""
    policies = {name: load(name) for name in names()}
    return [
        {"name": name, "summary": one.summary, "rules": [rule.id for rule in one.rules], "file": str(find(name))}
        for name, one in policies.items()
    ]


def source_of(policy: str) -> str:
    """A policy's file as it is written.

    Raises:
        PolicyError: If there is none, or it cannot be used.
    """
    load(policy)
    return Path(find(policy)).read_text(encoding="utf-8-sig")
