"""What the README and `docs/` point at is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.app.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", TEXT)
COMMANDS = re.findall(r"`antiphon ([a-z -]+?)(?: --[^`]*)?`", TEXT)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    known = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in known


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_that_is_named_exists(words: str) -> None:
    command = get_command(app)
    for word in words.split():
        command = getattr(command, "commands")[word]  # noqa: B009


def test_every_row_points_at_something_but_what_comes_next() -> None:
    rows = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 15
    assert [claim.strip()[:25] for claim, found, where in rows if not where.strip()] == ["What will solve everythin"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if target.startswith("http"):
            continue
        file, _, heading = target.partition("#")
        assert not file or (page.parent / file).exists(), target
        assert file or heading in headings, target
