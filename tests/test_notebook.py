"""The notebooks run from top to bottom in a kernel of their own, and are kept without output."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """A notebook, valid in the format that it names."""
    notebook: NotebookNode = nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


def shown(notebook: NotebookNode, mime: str) -> list[str]:
    """All output of one kind, in order."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data[mime] for output in outputs if "data" in output and mime in output.data]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_output(path: Path) -> None:
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []


@pytest.fixture(scope="module")
def run() -> NotebookNode:
    """The first notebook, run."""
    (path,) = NOTEBOOKS
    notebook = read(path)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def test_the_comparison_runs_from_top_to_bottom(run: NotebookNode) -> None:
    numbers = [cell.execution_count for cell in run.cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_comparison_draws_and_says_what_it_should(run: NotebookNode) -> None:
    plots = shown(run, "image/svg+xml")
    assert ["median" in plot for plot in plots] == [True, False, True, False]
    assert all("<svg" in plot for plot in plots)
    printed = "".join(
        output.get("text", "") for cell in run.cells if cell.cell_type == "code" for output in cell.outputs
    )
    assert "put OUTPUT_GUARD between TAGS and SENTENCES" in printed
    assert "'With pleasure. For the early' → 'With pleasure.'" in printed
