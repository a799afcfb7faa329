"""The notebooks run from top to bottom in a kernel of their own, and what is kept of a run is what a run gives.

`python -m tests.test_notebook FILE…` runs notebooks and keeps what they gave.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.speech import needs

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WEIGHTS = {"03_hear": ("hibari-heart", "hibari-g2p", "moonshine-tiny-en")}
"""What a notebook cannot do without. What models hear is not the same to the last digit on every machine."""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MOST_BYTES = 400_000
MOST_BYTES_OF_SOUND = 100_000

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    """A notebook, valid in the format that it names."""
    notebook: NotebookNode = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


@cache
def run(path: Path) -> NotebookNode:
    """A notebook, run."""
    notebook = read(path)
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
    return notebook


def ran(stem: str) -> NotebookNode:
    """A notebook, run; the test is skipped where its models are not here."""
    if stem in WEIGHTS:
        needs(*WEIGHTS[stem])
    return run(FOLDER / f"{stem}.ipynb")


def keep(path: Path) -> None:
    """Run a notebook and keep what it gave."""
    notebook = run(path)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    nbformat.write(notebook, path)


def outputs(notebook: NotebookNode) -> list[list[NotebookNode]]:
    """Of every cell of code."""
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook: NotebookNode, mime: str) -> list[str]:
    """All output of one kind, in order."""
    each = [output for given in outputs(notebook) for output in given]
    return [output.data[mime] for output in each if "data" in output and mime in output.data]


def printed(notebook: NotebookNode) -> str:
    """All that was printed."""
    return "".join(output.get("text", "") for given in outputs(notebook) for output in given)


def kinds(notebook: NotebookNode) -> list[list[list[str]]]:
    """Which kinds of output every cell gives."""
    return [
        [sorted(output.data) if "data" in output else [output.output_type, output.get("name", "")] for output in given]
        for given in outputs(notebook)
    ]


def counts(notebook: NotebookNode) -> list[int | None]:
    """The numbers that cells of code had when they were run."""
    return [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]


@every
def test_it_is_kept_without_output_or_with_that_of_a_whole_run(path: Path) -> None:
    kept = read(path)
    of_a_run = list(range(1, len(outputs(kept)) + 1))
    assert counts(kept) == (of_a_run if any(outputs(kept)) else [None] * len(of_a_run))
    assert of_a_run


@every
def test_what_is_kept_is_small_and_names_no_place_of_this_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    sounds = re.findall(r"data:audio/\w+;base64,([^\"\\]+)", text)
    assert path.stat().st_size < MOST_BYTES
    assert sum(map(len, sounds)) * 3 / 4 < MOST_BYTES_OF_SOUND
    assert not re.search(rf"/tmp/|/home/|/root/|{re.escape(str(FOLDER.parent))}|0x[0-9a-f]{{8,}}", text)  # noqa: S108


@every
def test_it_runs_from_top_to_bottom(path: Path) -> None:
    notebook = ran(path.stem)
    assert counts(notebook) == list(range(1, len(outputs(notebook)) + 1))


@every
def test_what_is_kept_is_what_a_run_gives(path: Path) -> None:
    kept = read(path)
    if not any(outputs(kept)):
        pytest.skip("it is kept without output")
    again = ran(path.stem)
    assert kinds(again) == kinds(kept)
    if path.stem not in WEIGHTS:
        assert printed(again) == printed(kept), f"if that is meant: python -m tests.test_notebook {path}"
        assert shown(again, "text/plain") == shown(kept, "text/plain")


def test_the_comparison_draws_and_says_what_it_should() -> None:
    notebook = ran("01_compare")
    plots = shown(notebook, "image/svg+xml")
    assert ["median" in plot for plot in plots] == [True, False, True, False]
    assert all("<svg" in plot for plot in plots)
    assert "put OUTPUT_GUARD between TAGS and SENTENCES" in printed(notebook)
    assert "'With pleasure. For the early' → 'With pleasure.'" in printed(notebook)


def test_a_stage_is_put_in_and_what_it_costs_is_seen() -> None:
    notebook = ran("02_compose")
    said = printed(notebook)
    for refusal in (
        "what LLM gives has passed no guard",
        "has no LLM to exchange alone",
        "STT_LLM is filled by nothing",
        "LLM needs delivery_tags",
    ):
        assert refusal in " ".join(said.split())
    latencies = [int(figure.replace(",", "")) for figure in re.findall(r"([\d,]+) ms  ", said)]
    soon, late = latencies[::2], latencies[1::2]
    assert soon[0] < late[0]
    assert soon[1] < late[1]
    assert soon[2] == late[2]
    assert all("patient" in plot for plot in shown(notebook, "image/svg+xml"))


def test_manners_are_played_drawn_and_told_apart() -> None:
    notebook = ran("03_hear")
    assert len(re.findall("data:audio/mpeg", "".join(shown(notebook, "text/html")))) == 6
    assert [len(shown(notebook, mime)) for mime in ("image/png", "image/svg+xml")] == [1, 1]
    arousal = {name: float(score) for name, score in re.findall(r"(?m)^(\S.*?) +arousal ([\d.]+)", printed(notebook))}
    assert arousal["low and soft"] < arousal["its own way"] < arousal["pressed"]


def test_a_policy_is_refused_checked_and_attacked() -> None:
    notebook = ran("04_guard")
    said = printed(notebook)
    assert "1 test conversation comes out as it should." in said
    assert "without end" in said
    assert "text is missing" in said
    assert "1 text came of 1,000 splits:" in said
    assert "heard: 'Next year we show the ', then rule next-year" in said
    _, designs, _ = shown(notebook, "image/svg+xml")
    leaks = [int(count.replace(",", "")) for count in re.findall(r">([\d,]+) of 1,400<", designs)]
    assert leaks[0] == 0
    assert all(count > 700 for count in leaks[1:])
    assert len(leaks) == 4


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(Path(name))
