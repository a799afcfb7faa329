"""The articles' tables as parts of the page of a comparison, and what they come to in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pipelines.lab.choose.articles import Answered, Articles, Filled, Line
from pipelines.lab.choose.brief import brief
from pipelines.lab.choose.facts import Fact
from pipelines.lab.compare import Kind
from pipelines.lab.parts import Exchanged

UNKNOWN = {str(Kind.NOT_YET), str(Kind.CANNOT_RUN)}

AHEAD = {"cascades": "the first", "fused": "the second", "neither": "neither as such"}


def in_short(articles: Articles) -> str:
    """Both kinds in a few lines: a section of the page; nothing where there is but one kind."""
    short = brief(articles)
    if not short.lines:
        return ""
    heads = "".join(map(_head, ("", "with a voice of its own", "one model from voice to voice", "ahead")))
    lines = "".join(
        f'<tr><th scope="row">{escape(each.of)}</th><td>{escape(each.cascades)}</td><td>{escape(each.fused)}</td>'
        f"<td>{AHEAD[each.ahead]}</td></tr>"
        for each in short.lines
    )
    chosen = ", ".join(f"<b>{escape(name)}</b> for {count}" for name, count in short.use_cases.items())
    return _section(
        "short",
        "Cascade or speech to speech?",
        "From the best to the worst of each kind, by the figures below, which say what they are and rest on. Neither "
        "is ahead as such where the best of one is ahead of the worst of the other.",
        _shown("Cascade or speech to speech", heads, lines, "articles")
        + f'<p class="hint">Of the {len(articles.use_cases)} use cases of an article these figures choose {chosen}; '
        f"with {short.agree} of them the article agrees. What a case needs decides, and not the kind: "
        f"<code>antiphon choose</code> weighs it.</p>",
    )


def filled(articles: Articles, services: Sequence[Exchanged]) -> str:
    """The articles' tables, and their single services: a section of the page."""
    tables = [(each.opinions.title, _table(each)) for each in articles.tables]
    tables.append(("The six use cases of article 003, “Half-Cascade”", _use_cases(articles.use_cases)))
    tables.append(("One service exchanged, all else as in vendor_cascade", _services(services)))
    return _section(
        "tables",
        "The articles’ tables, filled",
        "What the articles say of two kinds, beside what is known here of each. Use cases are chosen by the weights of "
        "antiphon choose.",
        "".join(f"<h3>{escape(title)}</h3>{table}" for title, table in tables),
    )


def _section(name: str, title: str, hint: str, content: str) -> str:
    return (
        f'<section aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(title)}</h2>'
        f'<p class="hint">{escape(hint)}</p>{content}</section>'
    )


def _services(services: Sequence[Exchanged]) -> str:
    heads = "".join(map(_head, ("", "its own", "first sound", "listeners’ opinion", "who says so")))
    lines = "".join(
        f'<tr><th scope="row">{escape(each.service)}</th><td class="number">{each.own_ms:,.0f} ms</td>'
        f'<td class="number"><b>{each.first_sound_ms:,.0f} ms</b><span class="kind profile">profile</span></td>'
        f'<td class="number">{"" if each.mos is None else f"{each.mos:g} of 5"}</td><td>{escape(each.source)}</td></tr>'
        for each in services
    )
    return _shown("One service exchanged", heads, lines, "")


def _table(table: Filled) -> str:
    heads = ["", *(f"{escape(kind)}<small>the article</small>" for kind in table.opinions.kinds), "by"]
    heads += [f"{_broken(each.row.architecture)}<small>{_broken(each.row.stack)}</small>" for each in table.known]
    lines = "".join(line for row in table.opinions.rows for line in _lines(row, table))
    return _shown(table.opinions.title, "".join(map(_head, heads)), lines, "figures articles")


def _lines(row: Line, table: Filled) -> Iterator[str]:
    """A line for each of our figures, beside what the article says."""
    span = f' rowspan="{max(1, len(row.by))}"'
    said = "".join(f'<td class="words"{span}>{escape(text)}</td>' for text in row.says)
    first = f'<th scope="row"{span}>{escape(row.of)}</th>{said}'
    if not row.by:
        yield f'<tr>{first}<td class="none" colspan="{len(table.known) + 1}">nothing here can settle it</td></tr>'
    for number, name in enumerate(row.by):
        cells = "".join(_cell(each.facts[name]) for each in table.known)
        yield f'<tr>{"" if number else first}<td class="words">{escape(table.titles[name])}</td>{cells}</tr>'


def _cell(fact: Fact) -> str:
    kind = f'<span class="kind {fact.kind.replace(" ", "-")}">{escape(fact.kind)}</span>'
    # What is counted stands in the source.
    text = kind if fact.kind in UNKNOWN else f"<b>{escape(fact.text.partition(':')[0])}</b>{kind}"
    return f'<td title="{escape(fact.source)}">{text}</td>'


def _use_cases(answers: tuple[Answered, ...]) -> str:
    heads = "".join(map(_head, ("use case", "the article", "here", "", "why")))
    return _shown("Use cases", heads, "".join(map(_answer, answers)), "articles")


def _answer(answer: Answered) -> str:
    verdict = "agrees" if answer.agrees else "otherwise here"
    why = answer.because or ("" if answer.agrees else "by the weights as they are")
    given = (answer.use_case.recommends, answer.choice.architecture or "none", verdict, why)
    cells = "".join(f"<td>{escape(each)}</td>" for each in given)
    return f'<tr><th scope="row">{escape(answer.use_case.use_case)}</th>{cells}</tr>'


def _head(head: str) -> str:
    return f'<th scope="col">{head}</th>'


def _broken(name: str) -> str:
    return escape(name).replace("_", "_<wbr>")


def _shown(label: str, heads: str, lines: str, kind: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">'
        f'<table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
