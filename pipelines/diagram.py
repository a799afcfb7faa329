"""Architectures drawn: for a terminal, as Mermaid, as plain data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pipelines.assemble import PROCESSORS
from pipelines.definition import AUDIO_OUT, UNCLEARED, Architecture, Capability, Flow, Port, Stage
from pipelines.stacks import Stack

WIDTH = 100
"""Columns that a diagram takes at most; more would tear the lines apart."""

COLOURS = {
    Port.AUDIO: "cyan",
    Port.TRANSCRIPT: "blue",
    Port.UTTERANCE: "bright_blue",
    Port.CONTEXT: "magenta",
    Port.TEXT: "yellow",
    Port.CLEARED_TEXT: "green",
    Port.UNCLEARED_SPEECH: "bright_yellow",
    Port.SPEECH: "bright_cyan",
}
STYLES = {"own": "bold", "service": "bold blue", "guard": "bold green"}
UNICODE = {"own": "●", "service": "◆", "guard": "▲", "rail": "│", "open": "┊", "branch": "├", "end": "└"}
ASCII = {"own": "o", "service": "*", "guard": "^", "rail": "|", "open": ":", "branch": "+", "end": "+"}


def terminal(architecture: Architecture, stack: Stack | None = None) -> Diagram:
    """A drawing for `rich.console.Console.print`: what flows from stage to stage, and who fills the slots.

    Args:
        architecture: What to draw.
        stack: Whose services to name; without one the slots show what they need.
    """
    return Diagram(architecture, stack)


def listing(architectures: Iterable[Architecture]) -> Table:
    """A line each: name and summary."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for architecture in architectures:
        table.add_row(Text(architecture.name), Text(architecture.summary))
    return table


def mermaid(architecture: Architecture) -> str:
    """A Mermaid flowchart. Dotted arrows go to listeners, thick ones carry words that no guard has read."""
    shapes = {"own": ('["', '"]'), "service": ('(["', '"])'), "guard": ('{{"', '"}}')}
    lines = ["flowchart TD"]
    for stage in architecture.stages:
        opening, closing = shapes[_kind(stage)]
        lines.append(f"    {stage}{opening}{stage}<br>{_entities(stage.summary)}{closing}:::{_kind(stage)}")
    for flow in architecture.flows:
        aside = flow.taker.gives is None and flow.taker.name != AUDIO_OUT.name
        arrow = "==>" if _unguarded(flow) else "-.->" if aside else "-->"
        lines.append(f'    {flow.giver} {arrow}|"{flow.port}"| {flow.taker}')
    if architecture.unguarded is not None:
        lines.append(f'    why["unguarded: {_entities(architecture.unguarded)}"]:::why')
        for taker in dict.fromkeys(stage for stage in architecture.stages if _takes_unguarded(architecture, stage)):
            lines.append(f"    why -.- {taker}")
    if architecture.unguarded_ears is not None:
        lines.append(f'    ears["hears unguarded: {_entities(architecture.unguarded_ears)}"]:::why')
        lines.append(f"    ears -.- {architecture.writer}")
    lines += [
        "    classDef own stroke-width:1px",
        "    classDef service stroke:#2563eb,stroke-width:2px",
        "    classDef guard stroke:#15803d,stroke-width:2px",
        "    classDef why stroke:#b91c1c,stroke-dasharray:4",
    ]
    return "\n".join(lines) + "\n"


def data(architecture: Architecture, stack: Stack | None = None) -> dict[str, Any]:
    """What the drawings show, as plain values for JSON.

    Args:
        architecture: What to describe.
        stack: Whose services to name in `service`; without one it is None.
    """
    return {
        "name": architecture.name,
        "summary": architecture.summary,
        "unguarded": architecture.unguarded,
        "unguarded_ears": architecture.unguarded_ears,
        "stages": [
            {
                "name": stage.name,
                "summary": stage.summary,
                "kind": _kind(stage),
                "takes": stage.takes,
                "gives": stage.gives,
                "needs": sorted(stage.needs),
                "built": _built(stage),
                "service": _service(stage, stack),
            }
            for stage in architecture.stages
        ],
        "flows": [
            {"from": flow.giver.name, "port": flow.port, "to": flow.taker.name, "unguarded": _unguarded(flow)}
            for flow in architecture.flows
        ],
    }


def _kind(stage: Stage) -> str:
    if stage.clears or stage.name.endswith("GUARD"):
        return "guard"
    return "service" if stage.service else "own"


def _built(stage: Stage) -> bool:
    return stage.service or stage.name in PROCESSORS


def _service(stage: Stage, stack: Stack | None) -> str | None:
    service = stack.services.get(stage.name) if stack and stage.service else None
    return service.name if service else None


def _makes_words_heard(stage: Stage) -> bool:
    made = stage.gives is Port.SPEECH and stage.takes not in (Port.CLEARED_TEXT, Port.SPEECH)
    return made and not stage.clears


def _unguarded(flow: Flow) -> bool:
    """Whether words go to a voice, or out, that no guard has read."""
    taker = flow.taker
    utters = taker.gives is not taker.takes and flow.port is UNCLEARED.get(taker.takes)  # type: ignore[arg-type]
    return utters or _makes_words_heard(taker)


def _takes_unguarded(architecture: Architecture, stage: Stage) -> bool:
    return _makes_words_heard(stage) or any(flow.taker == stage and _unguarded(flow) for flow in architecture.flows)


def _entities(text: str) -> str:
    """Text inside Mermaid's quotes, where only letters, digits and harmless marks stand for themselves."""
    return "".join(c if c.isalnum() or c in " .,:!?()-_'/…" else f"#{ord(c)};" for c in text)


def _listed(capabilities: Iterable[Capability]) -> str:
    return ", ".join(sorted(capabilities))


def _filling(stage: Stage, stack: Stack | None) -> tuple[str, str]:
    """Who is in the slot or what is amiss, and the style to say it in."""
    if not _built(stage):
        return "no processor yet", "red"
    if not stage.service:
        return "", ""
    if stack is None:
        return (f"needs {_listed(stage.needs)}" if stage.needs else "any service"), "dim"
    service = stack.services.get(stage.name)
    if service is None:
        return f"{stack.name} has none", "red"
    if missing := stage.needs - service.provides:
        return f"{service.name} lacks {_listed(missing)}", "red"
    if unset := [key for key in service.keys if not os.environ.get(key)]:
        return f"{service.name}, {' and '.join(unset)} not set", "yellow"
    return service.name, "blue"


@dataclass(frozen=True)
class _Row:
    head: Text
    """What stands on the rail in the first line."""
    below: Text
    """The rail in further lines, where the cells wrap."""
    cells: tuple[Text, ...]


class Diagram:
    """An architecture as a railway line, top to bottom, at most `WIDTH` columns wide.

    On an output whose encoding has no line-drawing characters it is plain ASCII.
    """

    def __init__(self, architecture: Architecture, stack: Stack | None = None) -> None:
        self.architecture = architecture
        self.stack = stack

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        marks = ASCII if options.ascii_only else UNICODE
        options = options.update(width=min(options.max_width, WIDTH), height=None)
        beside = options.update(width=max(options.max_width - 5, 1))
        yield from console.render(
            self._text(options, (self.architecture.name, "bold"), "  ", self.architecture.summary), options
        )
        yield Text()
        for row in self._rows(marks):
            lines = console.render_lines(self._grid(row, options), beside, pad=False)
            for number, line in enumerate(lines):
                yield from (row.below if number else row.head).render(console)
                yield from line
                yield Segment.line()
        yield Text()
        yield from console.render(self._legend(marks), options)

    def _grid(self, row: _Row, options: ConsoleOptions) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        if len(row.cells) > 1:
            grid.add_column(width=max(len(stage.name) for stage in self.architecture.stages), overflow="fold")
            grid.add_column(ratio=5, overflow="fold")
            grid.add_column(ratio=4, overflow="fold")
        grid.add_row(*(self._text(options, cell) for cell in row.cells))
        return grid

    @staticmethod
    def _text(options: ConsoleOptions, *parts: str | Text | tuple[str, str]) -> Text:
        text = Text.assemble(*parts)
        if options.ascii_only:
            text.plain = text.plain.encode("ascii", "replace").decode("ascii")
        return text

    def _rows(self, marks: dict[str, str]) -> Iterator[_Row]:
        upstream: Stage | None = None  # the last stage that gave something
        shown: list[tuple[Stage, Port]] = []  # what a listener just took: it goes on
        colour = ""
        for stage in self.architecture.stages:
            flows = [flow for flow in self.architecture.flows if flow.taker == stage]
            coming = [(flow.giver, flow.port) for flow in flows]
            opens = _takes_unguarded(self.architecture, stage)
            ears = self.architecture.unguarded_ears if stage == self.architecture.writer else None
            if ears is not None:
                rail = Text.assemble("  ", (marks["open"], "red"), "  ")
                yield _Row(rail, rail, (Text(f"hears unguarded: {ears}", "red"),))
            if opens or coming not in ([], shown):
                colour = "red" if opens else COLOURS[flows[0].port]
                rail = Text.assemble("  ", (marks["open" if opens else "rail"], colour), "  ")
                yield _Row(rail, rail, (self._edge(flows, upstream, opens),))
            shown = coming if stage.gives is None else []
            last = stage is self.architecture.stages[-1]
            mark = (marks[_kind(stage)], STYLES[_kind(stage)])
            if stage.gives is None:
                head = Text.assemble("  ", (marks["end" if last else "branch"], colour), mark, " ")
            else:
                head = Text.assemble("  ", mark, "  ")
                upstream, colour = stage, COLOURS[stage.gives]
            below = Text.assemble("  ", (" " if last else marks["rail"], colour), "  ")
            name = Text(stage.name, "bold" if _built(stage) else "dim")
            yield _Row(head, below, (name, Text(stage.summary), Text(*_filling(stage, self.stack))))

    def _edge(self, flows: Sequence[Flow], upstream: Stage | None, opens: bool) -> Text:
        label = Text()
        for port in dict.fromkeys(flow.port for flow in flows):
            label.append(f"{' and ' if label else ''}{port}", COLOURS[port])
        givers = [flow.giver for flow in flows]
        if givers not in ([], [upstream]):
            label.append(f" from {' and '.join(map(str, givers))}", "dim")
        if opens:
            label.append(f"{', ' if label else ''}unguarded: {self.architecture.unguarded}", "red")
        return label

    def _legend(self, marks: dict[str, str]) -> Text:
        what = {
            "own": "Antiphon's own",
            "service": f"service from the stack {self.stack.name}" if self.stack else "service from a stack",
            "guard": "guard",
        }
        kinds = [kind for kind in what if kind in map(_kind, self.architecture.stages)]
        return Text("  ") + Text("   ").join(
            Text.assemble((marks[kind], STYLES[kind]), f" {what[kind]}") for kind in kinds
        )
