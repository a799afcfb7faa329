"""`antiphon choose`: which architecture suits which needs, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.lab.choose.choice import Candidate, Choice, Reason
from pipelines.lab.choose.needs import CRITERIA, GRADED, UseCase


def render(choice: Choice, use_case: UseCase | None = None) -> RenderableType:
    """The recommendation, why, what would change it, and how every architecture scores. All sources are in the JSON."""
    return Group(
        *_recommended(choice),
        *_listed("Why", map(_reason, choice.reasons)),
        *_listed("Against it", map(_reason, choice.drawbacks)),
        *_runner_up(choice),
        *_listed("Ruled out by what must be", _ruled_out(choice)),
        *_listed("Could not be held", (Text(f"{row.name}: {row.reason}") for row in choice.refused)),
        *_claimed(choice, use_case),
        "",
        _table(choice),
        "",
        _weights(choice),
    )


def _recommended(choice: Choice) -> Iterator[Text]:
    best = choice.recommended
    if best is None:
        yield Text("No architecture is all that it must be.", style="bold")
        return
    yield Text.assemble(
        ("Recommended: ", "bold"), (best.architecture, "bold green"), f" · {best.row.stack}, ", *_score(best)
    )
    yield Text(best.row.summary)


def _named(what: str, each: Candidate, style: str) -> Text:
    return Text.assemble((f"{what}: ", "bold"), (each.architecture, style), f" · {each.row.stack}, ", *_score(each))


def _score(candidate: Candidate) -> Iterator[str]:
    yield f"{candidate.score:.2f} of 1"
    if candidate.unknown:
        low, high = candidate.range
        yield f" ({low:.2f} to {high:.2f}, as its {' and '.join(candidate.unknown)} is not known)"


def _reason(reason: Reason) -> Text:
    by_text: dict[str, list[str]] = {}
    for name, text in reason.others.items():
        by_text.setdefault(text, []).append(name)
    others = "; ".join(f"{', '.join(names)}: {text}" for text, names in by_text.items())
    weight = "a must" if reason.weight is None else f"weight {reason.weight:g}"
    source = reason.fact.source.split(". ")[0].removeprefix(f"{reason.fact.kind} ")
    return Text.assemble(
        f"{reason.title}: ",
        (reason.fact.text, "bold"),
        f" ({weight}). {others}{'.' if others else ''}",
        (f"\n{reason.fact.kind}: {source}", "dim"),
    )


def _runner_up(choice: Choice) -> Iterator[RenderableType]:
    second = choice.runner_up
    if second is None:
        return
    yield ""
    yield Text.assemble(
        ("Runner-up: ", "bold"), (second.architecture, "bold"), f" · {second.row.stack}, ", *_score(second)
    )
    if choice.changes:
        yield "It would win with one of these changes:"
        yield from _points(map(Text, choice.changes))
    else:
        yield "No single figure or weight would let it win."


def _ruled_out(choice: Choice) -> Iterator[Text]:
    """Those that fall by the same stand together."""
    by_text: dict[str, list[str]] = {}
    for each in choice.ranked:
        if each.failed:
            text = "; ".join(f"{must.need}: {must.fact.text}" for must in each.failed)
            by_text.setdefault(text, []).append(each.architecture)
    for text, names in by_text.items():
        yield Text(f"{', '.join(names)}, not so: {text}")


def _claimed(choice: Choice, use_case: UseCase | None) -> Iterator[RenderableType]:
    """What the article says of its use case, beside what came out here."""
    if use_case is None:
        return
    yield ""
    yield Text.assemble((f"Article 003 for “{use_case.use_case}”: ", "bold"), use_case.recommends)
    if choice.architecture in use_case.architectures:
        yield "It is so here."
    else:
        known = use_case.instead is not None and use_case.instead.architecture == choice.architecture
        because = f" {use_case.instead.because}." if use_case.instead and known else ""
        yield Text(f"It is otherwise here.{because}")


def _table(choice: Choice) -> Table:
    shown = Table(box=None, pad_edge=False, collapse_padding=True, padding=(0, 1))
    shown.add_column("", no_wrap=True)
    shown.add_column("weight", justify="right")
    for each in choice.ranked:
        shown.add_column(each.architecture.replace("_", "_\n"), justify="right", vertical="bottom")
    for name in CRITERIA:
        scores = (each.facts[name].score for each in choice.ranked)
        cells = ("?" if score is None else f"{score:.2f}" for score in scores)
        counts = "" if name in choice.unknown else f"{choice.weights[name]:g}"
        shown.add_row(name, counts, *cells, style="dim" if not choice.weights[name] else "")
    shown.add_section()
    shown.add_row("score", "", *(f"{each.score:.2f}" for each in choice.ranked), style="bold")
    shown.add_row("all musts met", "", *("no" if each.failed else "yes" for each in choice.ranked))
    return shown


def _weights(choice: Choice) -> Text:
    titles = " and ".join(choice.table.criteria[name].title for name in choice.unknown)
    unmeasured = f" Nothing measured {titles}, which counts for nobody." if titles else ""
    stacks = ", ".join(f"{each.architecture} {each.row.stack}" for each in choice.ranked)
    return Text(
        f"?: not known.{unmeasured}\n"
        f"Each with the stack that suits best, whose figures have sources of their own: {stacks}.\n"
        f"Every weight can be changed: --weight NAME=NUMBER, or a table of yours with --weights FILE; "
        f"--NAME low, medium or high for {', '.join(GRADED)}.",
        style="dim",
    )


def _listed(title: str, points: Iterator[Text]) -> Iterator[RenderableType]:
    every = list(_points(points))
    if every:
        yield from ("", Text(title, style="bold"), *every)


def _points(points: Iterator[Text]) -> Iterator[RenderableType]:
    for point in points:
        shown = Table.grid(padding=(0, 1))
        shown.add_row("-", point)
        yield Padding(shown, (0, 0, 0, 1))
