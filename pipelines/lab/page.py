"""Pages that need nothing else: a template, and the look that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def filled(template: Path, parts: Mapping[str, str]) -> str:
    """A template with a part for each `%%NAME%%`.

    Raises:
        KeyError: If a part is missing.
    """
    before, *rest = template.read_text(encoding="utf-8").split("%%")
    pieces = [before]
    for name, between in zip(rest[::2], rest[1::2], strict=True):
        pieces += [parts[name], between]
    return "".join(pieces)


def style(sheet: Path) -> str:
    """A page's style sheet, behind the paper, the ink and the resets of all pages."""
    return "\n".join(file.read_text(encoding="utf-8") for file in (Path(__file__).with_name("page.css"), sheet))
