"""`antiphon show`: the architectures, drawn."""

from __future__ import annotations

import json as json_module

from rich.console import Console

from pipelines import architectures, diagram
from pipelines.definition import DefinitionError
from pipelines.stacks import Stack


def show(
    name: str | None = None,
    mermaid: bool = False,
    json: bool = False,
    stack: Stack | None = None,
    console: Console | None = None,
) -> None:
    """Print one architecture as a diagram, or all with a line each.

    Args:
        name: Which; all if None.
        mermaid: As a Mermaid flowchart instead.
        json: As JSON instead: an object for one, a list for all.
        stack: Whose services to name in the slots.
        console: Where to; standard output if None.

    Raises:
        DefinitionError: If there is no such architecture, both formats are asked for, or Mermaid of all of them.
    """
    console = console or Console()
    if mermaid and json:
        raise DefinitionError("--mermaid and --json are two formats: choose one")
    if name is None:
        if mermaid:
            raise DefinitionError(
                "--mermaid draws one architecture: name it, as in antiphon show basic_cascade --mermaid"
            )
        every = architectures.ARCHITECTURES
        if json:
            _verbatim(console, json_module.dumps([diagram.data(one, stack) for one in every], indent=2))
        else:
            console.print(diagram.listing(every))
        return
    one = architectures.get(name)
    if mermaid:
        _verbatim(console, diagram.mermaid(one).rstrip("\n"))
    elif json:
        _verbatim(console, json_module.dumps(diagram.data(one, stack), indent=2))
    else:
        console.print(diagram.terminal(one, stack))


def _verbatim(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
