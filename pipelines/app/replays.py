"""`antiphon replay` and `antiphon blame` for people."""

from __future__ import annotations

from difflib import SequenceMatcher

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.lab.replay.blame import Verdict
from pipelines.lab.replay.difference import Difference, TurnDifference
from pipelines.lab.trace import Trace

NAMES = {"transcript": "caller", "planned": "written", "answer": "heard"}


def note(trace: Trace) -> str:
    """What a replay of a trace cannot know; empty if it can know everything."""
    if not trace.meta.redacted:
        return ""
    return "personal data was taken out of this trace: what is silent or in brackets stays so"


def render(difference: Difference, start: str) -> RenderableType:
    """What a replay changed, turn by turn; a line where it changed nothing."""
    if difference.identical:
        return Text(f"Identical from {start} on: words, sound and timing.", style="green")
    rows: list[RenderableType] = []
    for turn in difference.turns:
        rows += [Text(f"turn {turn.number}", style="bold"), _turn(turn)]
    for number in difference.missing:
        rows.append(Text(f"turn {number} did not take place", style="yellow"))
    if difference.added:
        rows.append(Text(f"turns that were not there before: {difference.added}", style="yellow"))
    words = "the same words" if difference.same_words else "other words"
    sound = "the same sound to the sample" if difference.same_sound else "another sound"
    timing = "the same timing" if difference.same_timing else "other timing"
    rows.append(Text(f"From {start} on: {words}, {sound}, {timing}."))
    return Group(*rows)


def _turn(turn: TurnDifference) -> Table:
    shown = Table.grid(padding=(0, 2))
    for name, (before, now) in turn.words.items():
        shown.add_row(Text(NAMES[name], style="dim"), changes(before, now))
    before_ms, now_ms = turn.latency_ms
    if before_ms is not None or now_ms is not None:
        shown.add_row(Text("first sound", style="dim"), _timing(turn))
    shown.add_row(Text("sound", style="dim"), Text(str(turn.sound)))
    return shown


def _timing(turn: TurnDifference) -> Text:
    before, now = turn.latency_ms
    line = Text(f"{_ms(before)} → {_ms(now)}")
    moved = [(name, b - a) for name, (a, b) in turn.parts_ms.items() if abs(b - a) >= 1]
    if before is not None and now is not None and moved:
        line.append("  " + ", ".join(f"{name} {change:+.0f}" for name, change in moved), style="dim")
    return line


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} ms"


def changes(before: str, now: str) -> Text:
    """One text with what went in red and what came in green."""
    if before == now:
        return Text(now or "(nothing)", style="" if now else "dim")
    old, new = before.split(), now.split()
    line = Text()
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            line.append(" ".join(old[a:b]) + " ")
            continue
        if a < b:
            line.append(" ".join(old[a:b]), style="red strike").append(" ")
        if c < d:
            line.append(" ".join(new[c:d]), style="green").append(" ")
    return line


def verdict(found: Verdict) -> RenderableType:
    """Who is at fault, and what was tried."""
    facts = Table.grid(padding=(0, 2))
    for name, text in (
        ("expected", found.expected),
        ("understood", found.understood),
        ("written", found.planned),
        ("said", found.said),
        ("heard back", found.heard),
    ):
        facts.add_row(Text(name, style="dim"), text or Text("(nothing)", style="yellow"))
    rows: list[RenderableType] = [Text(f"turn {found.turn}", style="bold"), facts]
    if found.experiments:
        tried = Table("stage", "given what it should have given", "then the answer is", "")
        for each in found.experiments:
            mark = Text("mends it", style="green") if each.mended else Text("-" if each.skipped else "does not")
            tried.add_row(each.stage, each.reference or Text(each.skipped, style="dim"), each.outcome, mark)
        rows.append(tried)
    if found.fault:
        rows.append(Text(f"{found.fault} is at fault: {found.why}", style="bold red"))
    else:
        rows.append(Text(found.why[0].upper() + found.why[1:]))
    return Group(*rows)
