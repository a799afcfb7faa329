"""The `antiphon` command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
bench = typer.Typer(no_args_is_help=True, help="Measure.")
app.add_typer(bench, name="bench")
trace = typer.Typer(no_args_is_help=True, help="Look at recorded conversations.")
app.add_typer(trace, name="trace")
train = typer.Typer(no_args_is_help=True, help="Train what ships.")
app.add_typer(train, name="train")
policy = typer.Typer(no_args_is_help=True, help="Check what may be heard, said and done.")
app.add_typer(policy, name="policy")
out = Console()
err = Console(stderr=True)

Result = TypeVar("Result")

DEFAULT = "advanced_cascade"

ArchitectureName = Annotated[str, typer.Option("--architecture", "-a", help="See `antiphon show`.")]
PersonaName = Annotated[str, typer.Option(help="One that ships, or a YAML file.")]
Unguarded = Annotated[
    str | None, typer.Option(metavar="WHY", help="Why a model may hear the caller unguarded: leaves HEARD_GUARD out.")
]
PolicyName = Annotated[
    str | None, typer.Option(help="What may be heard and said: one that ships, or a YAML file; the persona's if none.")
]
StackName = Annotated[str, typer.Option(help="embedded or cloud.")]
LlmName = Annotated[
    str | None,
    typer.Option(
        help="Another service for the LLM: embedded, anthropic; for one that hears, openai-audio, openai-realtime, "
        "ultravox, nvidia-omni, audio-chat."
    ),
]
SttName = Annotated[str | None, typer.Option(help="Another service for STT: embedded, elevenlabs, deepgram.")]
TtsName = Annotated[str | None, typer.Option(help="Another service for TTS: embedded, elevenlabs.")]
EarName = Annotated[
    str | None,
    typer.Option(
        "--ear",
        metavar="MODEL",
        help="An emotion model that hears in place of Antiphon's ears: a folder, or owner/name@commit on the hub.",
    ),
]
Long = Annotated[
    bool, typer.Option("--long", help="Hold half an hour too, and put faults in and search for them: two minutes.")
]
TraceFolder = Annotated[
    Path | None, typer.Option("--trace", help="Record every conversation into a folder of its own in this one.")
]
Personal = Annotated[bool, typer.Option("--personal", help="Leave personal data in what is recorded.")]
BudgetUsd = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="USD",
        help="What a call may cost. At 80 % of it a warning is logged; at all of it the "
        "agent says goodbye and the call ends.",
    ),
]
Otlp = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
        help="Send Pipecat's spans to this OpenTelemetry collector, by OTLP over HTTP. They hold what was said.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, without anyone's words.")] = False,
) -> None:
    """Every way to wire a voice agent as one short definition."""
    quiet_logs("INFO" if verbose else "WARNING")


def quiet_logs(level: str) -> None:
    """Log to standard error from `level`, and keep whole conversations out of debug logs."""
    os.environ.setdefault("PIPECAT_LOG_LLM_CONTEXT", "off")
    from loguru import logger

    logger.remove()
    # A caller who hangs up is no news, but the transport warns of it every time.
    levels: dict[str | None, str | int | bool] = {"": level, "pipecat.transports.smallwebrtc": "ERROR"}
    logger.add(sys.stderr, filter=levels, format="<level>{level: <8}</level> {name}: {message}")


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="An architecture; all are listed if none is given.")] = None,
    mermaid: Annotated[bool, typer.Option(help="Print a Mermaid flowchart.")] = False,
    json: Json = False,
) -> None:
    """Print an architecture as a diagram, or list all."""
    from pipelines.app.show import show as print_it
    from pipelines.stacks.embedded import EMBEDDED

    with reported():
        print_it(name, mermaid, json, EMBEDDED)


@app.command()
def doctor(
    json: Json = False,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 7860,
) -> None:
    """List every weight, service, key and port, with what is missing and how to get it."""
    from pipelines.app.doctor import examine, ready, render, to_json

    checks = examine(host=host, port=port)
    if json:
        print(to_json(checks))  # noqa: T201
    else:
        out.print(render(checks))
    raise typer.Exit(0 if ready(checks) else 1)


@app.command()
def talk(
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback lets a network in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 7860,
    architecture: ArchitectureName = DEFAULT,
    stack: StackName = "embedded",
    persona: PersonaName = "ferni",
    policy: PolicyName = None,
    unguarded: Unguarded = None,
    llm: LlmName = None,
    stt: SttName = None,
    tts: TtsName = None,
    ear: EarName = None,
    record: TraceFolder = None,
    personal: Personal = False,
    budget: BudgetUsd = None,
    otlp: Otlp = None,
) -> None:
    """Open a page in which to talk with the agent."""
    from pipelines.app.server import leave, run

    with reported():
        chosen = _chosen(architecture, unguarded)
        services = _stack(chosen, stack, llm, stt, tts)
        ears = _ears(ear, chosen, services)
    with reported(), _Loading() as loading:
        status = run(
            chosen,
            services,
            host=host,
            port=port,
            persona=_speaker(persona, policy),
            observers=_watching(record, personal),
            progress=loading.update,
            budget=_budget(budget),
            tracing=_exporting(otlp),
            ears=ears,
            on_listening=lambda url: err.print(f"Open [bold]{url}[/] in a browser. Ctrl-C ends."),
            on_ready=lambda: loading.finish("Ready to talk."),
            on_failed=lambda error: loading.finish(f"[red]{error}[/]"),
        )
    leave(status)


@app.command("serve-fake")
def serve_fake(
    model: Annotated[
        Literal["moshi", "openai-live", "openai-realtime"], typer.Argument(help="Whose protocol to speak.")
    ],
    port: Annotated[int, typer.Option(help="Where to listen, on loopback; 8998 is the real one's.")] = 8998,
) -> None:
    """Serve a model's protocol without any model, to try the service for it by hand."""
    from pipelines.app import fake

    with reported():
        run(fake.SERVERS[model](port, lambda line: out.print(line, soft_wrap=True, highlight=False)))


@app.command()
def reply(
    files: Annotated[list[Path], typer.Argument(help="Recordings; several make a conversation.")],
    save: Annotated[Path | None, typer.Option("--out", help="Write what was answered to this WAV file.")] = None,
    architecture: ArchitectureName = DEFAULT,
    stack: StackName = "embedded",
    persona: PersonaName = "ferni",
    policy: PolicyName = None,
    unguarded: Unguarded = None,
    llm: LlmName = None,
    stt: SttName = None,
    tts: TtsName = None,
    ear: EarName = None,
    record: TraceFolder = None,
    personal: Personal = False,
    budget: BudgetUsd = None,
    otlp: Otlp = None,
    json: Json = False,
) -> None:
    """Answer recordings, and say how long each part took."""
    from pipelines.app import recording
    from pipelines.assemble import check

    with reported():
        samples = [recording.load(path) for path in files]
        if save is not None and not save.parent.is_dir():
            raise recording.RecordingError(f"{save}: there is no folder {save.parent}: make it first")
        chosen = _chosen(architecture, unguarded)
        speaker = _speaker(persona, policy)
        services = _stack(chosen, stack, llm, stt, tts)
        check(chosen, services, policy=speaker.policy)
        observers = _watching(record, personal)
        ears = _ears(ear, chosen, services)
        given = {"budget": _budget(budget), "tracing": _exporting(otlp), "ear": ears and ears()}
    _reply(files, samples, save, chosen, services, speaker, observers, given, json)


def _watching(record: Path | None, personal: bool) -> Callable[[], list[Any]]:
    """What records conversations. Without a folder nothing is imported for it."""
    if record is None:
        return list
    from pipelines.app.traces import watching

    return watching(record, personal=personal)


def _budget(usd: float | None) -> Any:
    """What a call may cost."""
    if usd is None:
        return None
    from pipelines.lab.budget import Budget

    return Budget(usd)


def _exporting(url: str | None) -> bool:
    """Whether spans are exported. Without an address nothing is imported for it."""
    if not url:
        return False
    from pipelines.app.spans import export

    export(url)
    return True


def _chosen(name: str, unguarded: str | None) -> Any:
    """An architecture, without a guard of what is heard if there is a reason."""
    from pipelines import architectures
    from pipelines.definition import HEARD_GUARD

    chosen = architectures.get(name)
    return chosen if unguarded is None else chosen.without(HEARD_GUARD, unguarded=unguarded)


def _stack(architecture: Any, stack: str, llm: str | None, stt: str | None, tts: str | None) -> Any:
    from pipelines.stacks.catalogue import check_filled, choose

    services = choose(stack, LLM=llm, STT=stt, TTS=tts)
    check_filled(architecture, services)
    return services


def _ears(model: str | None, chosen: Any = None, stack: Any = None) -> Callable[[], Any] | None:
    """What makes a caller's ears of a model, which is there and works: a call has no time for that.

    An architecture that would not hear with them is refused before anything is loaded.
    """
    if model is None:
        return None
    if chosen is not None:
        from pipelines.assemble import check

        check(chosen, stack, ear=True)
    with err.status(f"loading {escape(model)}"):
        from processors.hearing.wav2vec2 import Wav2Vec2Ear, load

        return partial(Wav2Vec2Ear, load(model))


def _reply(
    files: list[Path],
    samples: Any,
    save: Path | None,
    chosen: Any,
    stack: Any,
    who: Any,
    observers: Any,
    given: dict[str, Any],
    as_json: bool,
) -> None:
    from pipelines.app import recording
    from pipelines.app import reply as replying
    from pipelines.lab import cost as costing
    from pipelines.lab.caller import OUTPUT_RATE

    with reported():
        with _Loading() as loading:
            run(stack.load(chosen, loading.update))
            loading.finish()
        with err.status("") as status:
            held = run(
                replying.hold(
                    chosen,
                    stack,
                    who,
                    samples,
                    lambda n: status.update(f"speaking {files[n]} and hearing the answer"),
                    observers(),
                    **given,
                )
            )
        if save is not None:
            recording.save(save, held.answers, OUTPUT_RATE)
    if as_json:
        result = {
            "architecture": chosen.name,
            "stack": stack.name,
            "turns": [replying.as_json(*each) for each in zip(files, held.turns, held.costs, strict=True)],
            "cost": held.ledger.as_json(),
        }
        print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201
    else:
        for path, turn, spent in zip(files, held.turns, held.costs, strict=True):
            told = held.ledger.told() if held.ledger.local() else str(spent)
            out.print(replying.render(path, turn, told, out))
        if not held.ledger.local():
            out.print(costing.table(held.ledger))
    if not all(turn.answered for turn in held.turns):
        raise typer.Exit(1)


@app.command()
def daily(
    room_url: Annotated[str, typer.Option(help="The room's address.")],
    token: Annotated[
        str | None, typer.Option(help="A meeting token; one is minted with DAILY_API_KEY if none.")
    ] = None,
    architecture: ArchitectureName = DEFAULT,
    stack: StackName = "embedded",
    persona: PersonaName = "ferni",
    policy: PolicyName = None,
    unguarded: Unguarded = None,
    llm: LlmName = None,
    stt: SttName = None,
    tts: TtsName = None,
    ear: EarName = None,
    record: TraceFolder = None,
    personal: Personal = False,
    budget: BudgetUsd = None,
    otlp: Otlp = None,
) -> None:
    """Join a Daily room, and leave when the last participant does."""
    from pipelines.app.daily import join

    with reported():
        chosen = _chosen(architecture, unguarded)
        services = _stack(chosen, stack, llm, stt, tts)
        observers, limit, tracing = _watching(record, personal), _budget(budget), _exporting(otlp)
        speaker, ears = _speaker(persona, policy), _ears(ear, chosen, services)
        run(join(room_url, token, chosen, services, speaker, observers(), limit, tracing, ears and ears()))


@app.command()
def hear(
    files: Annotated[list[Path], typer.Argument(help="Recordings.")],
    one_caller: Annotated[
        bool, typer.Option("--one-caller", help="All are of one caller, in this order, who is known better each time.")
    ] = False,
    ear: EarName = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it: waveform, words, pitch, level and cues over time.")
    ] = None,
    json: Json = False,
) -> None:
    """Say how something was said: cues over time, heard as in a call.

    Ends with 0 if somebody speaks, with 1 if nobody does, and with 2 if a recording cannot be used.
    """
    from pipelines.app import hear as hearing
    from pipelines.app import recording

    with reported(), _unpiped():
        samples = [recording.load(path) for path in files]
        if plot is not None:
            hearing.check_picture(plot)
        ears = _ears(ear)
        with _seconds("hearing") as update:
            heard = hearing.hear(files, samples, update, one_caller=one_caller, ears=ears)
        if plot is not None:
            hearing.draw(heard, plot)
        if json:
            _verbatim(hearing.as_json(heard))
        else:
            with out.capture() as shown:  # what rich writes itself ends with 1 when nobody reads it any more
                out.print(hearing.render(heard))
            _write(shown.get())
            _write(f"{plot}\n" if plot is not None else "")
    if not any(each.turns for each in heard):
        raise typer.Exit(1)


@app.command()
def cost(json: Json = False) -> None:
    """What calls of 5 and 30 minutes cost, as articles claim it and as their assumptions give it."""
    from rich.console import Group

    from pipelines.lab import projection

    with reported():
        cells = projection.seed_cells()
        _print(
            json,
            lambda: [cell.as_json() for cell in cells],
            lambda: Group(projection.table(cells), projection.assumptions_table()),
        )


@app.command()
def compare(
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to this file, as one page.")
    ] = None,
    measured: Annotated[
        bool, typer.Option("--measured", help="Hold it with the embedded models too; takes a minute or two.")
    ] = False,
    long: Long = False,
    sweep: Annotated[
        int | None,
        typer.Option(metavar="N", help="Hold it N times with other callers, and show how the figures are distributed."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="With --sweep: calls at a time; as many as there are cores if not given.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|ADDRESS", help="With --sweep: over a Ray of its own, or a cluster's (antiphon[sweep])."
        ),
    ] = None,
    sweep_call: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Hold one call of a sweep again, alone.")
    ] = None,
    traces: Annotated[
        Path | None, typer.Option("--trace", metavar="FOLDER", help="With --sweep-call: record it into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Hold one conversation through every architecture, and put the figures side by side."""
    from pipelines.app import compare as comparing

    with reported():
        if sweep_call is not None:
            _call_again(sweep_call, traces, html, json)
            return
        swept = None if sweep is None else _sweep(sweep, processes, ray, json)
        if swept is not None and html is None:
            return
        compared = comparing.Compared.of(_compared(measured=measured, long=long))
        if html is not None:
            comparing.write_page(compared, html, swept)
        if swept is None:
            _print(json, lambda: comparing.as_json(compared), lambda: comparing.render(compared))
    if html is not None and not json:
        out.print(str(html), soft_wrap=True, highlight=False)


def _compared(*, measured: bool, long: bool) -> Any:
    """What `antiphon compare` holds."""
    from pipelines.lab import compare as lab

    if measured:
        _load_embedded()
    with _turns("holding the conversation", transient=True) as (progress, task):

        def update(what: str, done: int, of: int) -> None:
            progress.update(task, completed=done, total=of, description=what or "held")

        comparison = lab.compare(long=lab.LONG_MINUTES if long else 0, on_step=update)
        if measured:
            from pipelines.lab.compare.measured import LONG_MINUTES, rows

            comparison = comparison.plus(rows(long=LONG_MINUTES if long else 0, on_step=update))
    return comparison


def _sweep(calls: int, processes: int | None, ray: str | None, json: bool) -> Any:
    """Hold many calls and print what came of them; ends with 130 where ctrl-C broke it off."""
    from pipelines.app import sweep as sweeping
    from pipelines.lab.compare.sweep import sweep

    with sweeping.progress(err) as on_call:
        found = sweep(calls, processes=processes, ray=ray, on_call=on_call)
    _print(json, found.as_json, lambda: sweeping.Shown(found))
    if found.ran and not found.complete:
        raise typer.Exit(130)
    return found


def _call_again(number: int, traces: Path | None, html: Path | None, json: bool) -> None:
    """Hold one call of a sweep again."""
    from pipelines.app.sweep import held_again

    with err.status("holding the conversation"):
        again = held_again(number, traces)
    if html is not None:
        again.write_page(html)
    _print(json, again.as_json, lambda: again)
    if html is not None and not json:
        out.print(str(html), soft_wrap=True, highlight=False)


LevelOption = Literal["low", "medium", "high"] | None


@app.command()
def choose(
    compliance: Annotated[
        str | None, typer.Option(help="Must be held to this policy: one that ships, or a YAML file.")
    ] = None,
    personas: Annotated[int | None, typer.Option(help="How many speak; several must have their own voices.")] = None,
    overlap: Annotated[bool, typer.Option("--overlap", help="Must listen while it speaks.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="Must call tools.")] = False,
    within: Annotated[float | None, typer.Option(metavar="MS", help="Must answer so soon, in the median.")] = None,
    length: Annotated[float | None, typer.Option(metavar="MINUTES", help="Of a call.")] = None,
    reasoning: Annotated[LevelOption, typer.Option(help="How much a free choice of the model matters.")] = None,
    emotion: Annotated[LevelOption, typer.Option(help="… that it is told how something was said.")] = None,
    voice: Annotated[LevelOption, typer.Option(help="… how natural the voice sounds.")] = None,
    latency: Annotated[LevelOption, typer.Option(help="… how soon it answers.")] = None,
    inspection: Annotated[LevelOption, typer.Option(help="… that it can be read while it goes on.")] = None,
    swapping: Annotated[LevelOption, typer.Option(help="… that parts can be exchanged alone.")] = None,
    cost: Annotated[LevelOption, typer.Option(help="… what it costs.")] = None,
    simplicity: Annotated[LevelOption, typer.Option(help="… that it has few stages.")] = None,
    use_case: Annotated[
        str | None, typer.Option(help="Start from the needs of an article's use case, by the beginning of its name.")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Weigh a criterion otherwise; may be repeated.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="A table of weights of yours, in YAML.")] = None,
    measured: Annotated[
        bool, typer.Option("--measured", help="With figures of the embedded models too; takes a minute or two.")
    ] = False,
    long: Long = False,
    json: Json = False,
) -> None:
    """Recommend an architecture, with reasons from the figures of `antiphon compare`.

    Ends with 1 if none is all that it must be.
    """
    from pipelines.lab.choose import needs as wanted

    with reported():
        given = {
            "compliance": compliance,
            "personas": personas,
            "overlap": overlap or None,
            "tools": tools or None,
            "within_ms": within,
            "length": length,
            "reasoning": reasoning,
            "emotion": emotion,
            "voice": voice,
            "latency": latency,
            "inspection": inspection,
            "swapping": swapping,
            "cost": cost,
            "simplicity": simplicity,
        }
        row = None if use_case is None else wanted.use_case(use_case)
        begun = {} if row is None else row.needs.model_dump()
        needs = wanted.Needs.of({**begun, **{name: value for name, value in given.items() if value is not None}})
        table, override = wanted.weights(weights), dict(map(wanted.overridden, weight or ()))
        if needs.compliance != "none":
            from guardrails.policy import load

            load(needs.compliance)  # a mistake in its name is told before anything is held
        from pipelines.app import choose as choosing
        from pipelines.lab import choose as lab

        choice = lab.choose(needs, _compared(measured=measured, long=long), table=table, override=override)
        _print(json, choice.as_json, lambda: choosing.render(choice, row))
    if choice.recommended is None:
        raise typer.Exit(1)


def _load_embedded() -> None:
    from pipelines.basic_cascade import BASIC_CASCADE
    from pipelines.stacks.embedded import EMBEDDED

    with _Loading() as loading:
        run(EMBEDDED.load(BASIC_CASCADE, loading.update))
        loading.finish()


TraceArgument = Annotated[Path, typer.Argument(metavar="TRACE", help="The folder of one conversation.")]


@trace.command("list")
def trace_list(
    folder: Annotated[Path, typer.Argument(help="Where traces lie, as given to --trace.")], json: Json = False
) -> None:
    """List the conversations that were recorded into a folder."""
    from pipelines.app import traces
    from pipelines.lab.trace import Trace

    with reported():
        found = Trace.list(folder)
        _print(json, lambda: [traces.summary(each) for each in found], lambda: traces.listing(found))


@trace.command("show")
def trace_show(
    folder: TraceArgument,
    stage: Annotated[str | None, typer.Option(help="Only what this stage took and gave.")] = None,
    json: Json = False,
) -> None:
    """Print a conversation turn by turn, or what one stage of it saw."""
    from pipelines.app import traces
    from pipelines.lab.trace import Trace

    with reported():
        found = Trace.load(folder)
        if stage is None:
            _print(json, lambda: traces.as_json(found), lambda: traces.render(found, out))
        else:
            events = found.of(stage)
            _print(json, lambda: [event.model_dump() for event in events], lambda: traces.stage(events))


@trace.command("html")
def trace_html(
    folder: TraceArgument,
    save: Annotated[
        Path | None, typer.Option("--out", help="The page's file; trace.html in the folder if not given.")
    ] = None,
) -> None:
    """Write a conversation as one page: both voices, words, stages, interruptions."""
    from pipelines.app import traces
    from pipelines.lab.trace import Trace

    with reported():
        file = save or folder / "trace.html"
        traces.write_page(Trace.load(folder), file)
    out.print(str(file), soft_wrap=True, highlight=False)


@app.command("replay")
def replay_command(
    folder: TraceArgument,
    start: Annotated[str, typer.Option("--from", help="The first stage that is run again; all are if none.")] = "",
    instead: Annotated[
        list[str] | None, typer.Option("--with", metavar="STAGE=SERVICE", help="Another service in a slot.")
    ] = None,
    turn: Annotated[int | None, typer.Option(help="Only this turn.")] = None,
    save: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep the replay, as a trace in this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a recorded conversation again, from any stage, and say what is different."""
    from tempfile import TemporaryDirectory

    from pipelines.app import replays
    from pipelines.lab.replay import difference, first_of, replay, services_of
    from pipelines.lab.trace import Trace

    with reported(), TemporaryDirectory(prefix="antiphon-replay-") as scratch, _seconds("replaying") as update:
        found = Trace.load(folder)
        chosen = services_of(instead or [])
        start = start or first_of(found, chosen)
        again = replay(found, save or scratch, start=start, instead=chosen, turn=turn, progress=update)
        changed = difference(found, again, turn=turn)
        data = {"trace": str(found.folder), "from": start, **changed.as_json()}
        if save is not None:
            data["replay"] = str(again.folder)
    _note(replays.note(found))
    _print(json, lambda: data, lambda: replays.render(changed, start))
    if save is not None and not json:
        out.print(str(again.folder), soft_wrap=True, highlight=False)
    if not changed.same_words:
        raise typer.Exit(1)


@app.command("blame")
def blame_command(
    folder: TraceArgument,
    expected: Annotated[str, typer.Option(help="Words that should have been heard in the answer, in this order.")],
    said: Annotated[str, typer.Option(help="What the caller really said; a recogniser listens if not given.")] = "",
    turn: Annotated[int | None, typer.Option(help="Which turn; the last one if not given.")] = None,
    json: Json = False,
) -> None:
    """Name the stage that is at fault for an answer, by running the turn again with one stage put right at a time."""
    from pipelines.app import replays
    from pipelines.lab.replay import blame
    from pipelines.lab.trace import Trace

    with reported(), err.status("listening") as status:
        recorded = Trace.load(folder)
        found = blame(
            recorded,
            expected,
            turn=turn,
            said=said,
            progress=lambda stage: status.update(f"putting {stage} right"),
        )
    _note(replays.note(recorded))
    _print(json, found.as_json, lambda: replays.verdict(found))
    if found.fault:
        raise typer.Exit(1)


def _note(text: str) -> None:
    if text:
        err.print(f"[yellow]note:[/] {text}", highlight=False)


@contextmanager
def _seconds(what: str) -> Iterator[Callable[[float, float], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} s"))
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=0)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _print(as_json: bool, data: Callable[[], Any], shown: Callable[[], Any]) -> None:
    if as_json:
        print(json.dumps(data(), indent=2, ensure_ascii=False))  # noqa: T201
    else:
        out.print(shown())


@app.command()
def guard(
    policy: Annotated[str, typer.Option("--policy", "-p", help="One that ships, or a YAML file.")],
    direction: Annotated[
        Literal["heard", "said", "tool_call"],
        typer.Option(help='Which of its rules. A tool\'s call is given as {"tool": …, "arguments": …}.'),
    ] = "said",
    explain: Annotated[bool, typer.Option("--explain", help="Say on standard error which rule did what.")] = False,
    json: Json = False,
) -> None:
    """Hold the text on standard input to a policy, as it comes, and print what is left of it.

    Ends with 0 if no rule acted, with 1 if one did, and with 2 if policy or text cannot be used.
    """
    from guardrails.policy import load
    from pipelines.app import guard as guarding

    with reported(), _unpiped():
        rules = load(policy)
        if sys.stdin is None:
            raise guarding.InputError("there is no standard input: give a text there")
        if sys.stdin.isatty():
            err.print("Type what is to be checked; Ctrl-D ends.", style="dim")
        source = guarding.chunks(sys.stdin.fileno())
        if direction == "tool_call":
            tool, verdict = guarding.guard_call(rules, "".join(source))
            if json:
                _verbatim(guarding.call_json(rules, tool, verdict))
            elif verdict.action:
                out.out(verdict.text, highlight=False)
            else:
                _verbatim({"tool": tool, "arguments": verdict.arguments})
            explained = guarding.call_table(verdict)
            acted = bool(verdict.action or verdict.redacted)
        else:
            done = guarding.guard_text(
                rules, direction, source, (lambda text: None) if json else _write, closely=explain or json
            )
            if json:
                _verbatim(done.as_json())
            explained, acted = done.table(), done.changed
        if explain and not json:
            err.print(explained)
    if acted:
        raise typer.Exit(1)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _verbatim(data: Any) -> None:
    _write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


class OutputError(OSError):
    """Nothing can be written to standard output. One line with the mend."""

    mendable = True


@contextmanager
def _unpiped() -> Iterator[None]:
    """End as other programs do when nobody reads what is written any more, or when it can't be written."""
    if sys.stdout is None:
        raise OutputError("there is no standard output: give a file or a program for it")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        # What is kept back there would be written once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(128 + signal.SIGPIPE) from None
        raise OutputError(f"standard output cannot be written ({error.strerror}): give another place for it") from None


@policy.command("check")
def check_command(
    files: Annotated[list[str], typer.Argument(help="YAML files, or names of policies that ship.", metavar="FILE…")],
    json: Json = False,
) -> None:
    """Check policies: what each rule keeps back, what may not do what was meant, and their test conversations.

    Ends with 0 if all is well, with 1 if a test conversation came out wrong, and with 2 if a file cannot be used.
    """
    from pipelines.app import guard as guarding

    with reported(), _unpiped():
        with err.status("reading") as status:
            checked = [guarding.check_policy(file, lambda what: status.update(escape(what))) for file in files]
        if json:
            _verbatim([one.as_json() for one in checked])
        else:
            for one in checked:
                (err if one.faults else out).print(one.render(), soft_wrap=bool(one.faults))
    if any(one.status for one in checked):
        raise typer.Exit(max(one.status for one in checked))


@policy.command("list")
def list_command(json: Json = False) -> None:
    """List the policies that ship."""
    from pipelines.app import guard as guarding

    with reported(), _unpiped():
        if json:
            _verbatim(guarding.listed_json())
        else:
            out.print(guarding.listed())


@policy.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="One that ships, or a YAML file.")], json: Json = False
) -> None:
    """Print a policy's file, to copy and change."""
    from guardrails.policy import load
    from pipelines.app import guard as guarding

    with reported(), _unpiped():
        if json:
            _verbatim(load(name).model_dump(mode="json", by_alias=True))
        else:
            _write(guarding.source_of(name))


DataFolder = Annotated[Path, typer.Option(help="The folder of recordings.")]


@bench.command()
def latency(
    data: DataFolder = Path("../shared/data"),
    limit: Annotated[int | None, typer.Option(help="Take only so many recordings.")] = None,
    hearing: Annotated[
        bool,
        typer.Option("--hearing", help="The advanced cascade against itself without hearing and delivery instead."),
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """From the end of speech to the first sound of the answer, against a plain Pipecat pipeline."""
    from pipelines.lab import bench_latency, hearing_latency

    with reported(), _turns("turns") as (progress, task):

        def on_turn(who: str, name: str, done: int, of: int) -> None:
            progress.update(task, completed=done, total=of, description=f"{who}: {name}")

        if hearing:
            added = run(hearing_latency.run(data, on_turn, limit))
            figures, table = added.as_json(), hearing_latency.table(added)
        else:
            result = run(bench_latency.run(data, lambda who, path, done, of: on_turn(who, path.name, done, of), limit))
            figures, table = result.as_json(), bench_latency.table(result)
    _publish(figures, table, save, json)


@bench.command()
def turns(
    data: DataFolder = Path("../shared/data"),
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """When a turn counts as over: delay and false cut-offs, against Smart Turn alone."""
    from pipelines.lab import bench_turns

    with reported(), _turns("listening") as (progress, task):
        results = bench_turns.run(data, lambda done, of: progress.update(task, completed=done, total=of))
    _publish(bench_turns.as_json(results), bench_turns.table(results), save, json)


@bench.command()
def overlap(
    architecture: Annotated[
        str, typer.Option("--architecture", "-a", help="One with a stage LLM, see `antiphon show`.")
    ] = "advanced_cascade",
    data: Annotated[
        Path | None, typer.Option(help="The folder with the recordings, for coughs; without it, speech alone.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """What the agent does when somebody speaks into its answer, an interruption or not."""
    from pipelines import architectures
    from pipelines.lab import overlap
    from pipelines.stacks.embedded import EMBEDDED

    with reported(), _turns("sounds") as (progress, task):
        chosen = architectures.get(architecture)
        run(EMBEDDED.load(chosen))
        result = overlap.measure(
            chosen, overlap.sounds(data), lambda done, of: progress.update(task, completed=done, total=of)
        )
    _publish(result.as_json(), overlap.table([result]), save, json)


@bench.command()
def lab(
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """How fast conversations are simulated, and what recording one costs."""
    from pipelines.lab import bench_lab

    with reported(), _turns("calls") as (progress, task):
        result = bench_lab.run(lambda done, of: progress.update(task, completed=done, total=of))
    _publish(result.as_json(), bench_lab.table(result), save, json)


@bench.command()
def delivery(
    data: DataFolder = Path("../shared/data"),
    limit: Annotated[int, typer.Option(help="Hear so many recordings; 0 for none.", min=0)] = 150,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """How early the voice knows how to say what comes, how often that holds, and what time it saves."""
    from pipelines.lab import bench_delivery

    with reported(), _turns("delivery") as (progress, task):
        result = bench_delivery.run(data, limit, lambda done, of: progress.update(task, completed=done, total=of))
    _publish(bench_delivery.as_json(result), bench_delivery.table(result), save, json)


@bench.command()
def voices(
    keep: Annotated[bool, typer.Option("--keep", help="Have antiphon compare show this.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """How well the personas' voices are told apart, and how well each is understood."""
    from pipelines.lab import voices as measured
    from pipelines.lab.bench_latency import machine
    from pipelines.lab.compare import apart

    with reported(), _turns("speaking") as (progress, task):
        result = measured.run(lambda name, done, of: progress.update(task, completed=done, total=of, description=name))
        if keep:
            apart.keep(result, machine())
    _publish(measured.as_json(result), measured.table(result), save, json)


@bench.command()
def retention(
    data: DataFolder = Path("../shared/data"),
    quick: Annotated[bool, typer.Option("--quick", help="Few speakers, to see that it works.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Have antiphon compare show these scores.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """How much of the way something is said arrives: at the LLM, at the voice, and in what is heard."""
    from pipelines.app import hear as hearing
    from pipelines.lab.bench_latency import BenchError
    from pipelines.lab.retention import bench as retaining
    from pipelines.lab.retention import kept
    from pipelines.lab.retention import plot as drawing

    with reported(), _turns("calls") as (progress, task):
        if keep and quick:
            raise BenchError("--keep with --quick: a quick run gives no figures to keep: leave one of them out")
        if plot is not None:
            hearing.check_picture(plot)
        result = retaining.run(
            data,
            lambda what, done, of: progress.update(task, completed=done, total=of, description=what),
            quick=quick,
        )
        if keep:
            kept.keep(result)
        if plot is not None:
            drawing.draw(result, plot)
    _publish(result.as_json(), retaining.table(result), save, json)


@bench.command("hearing")
def bench_hearing(
    data: DataFolder = Path("../shared/data"),
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw how the figures grow with the turns of a caller.")
    ] = None,
    json: Json = False,
) -> None:
    """How well the voice is heard, of speakers that nothing was trained on, and what that costs."""
    from pipelines.app import hear as hearing
    from pipelines.lab import bench_hearing as measured

    with reported():
        if plot is not None:
            hearing.check_picture(plot)
        measured.check(data)
        with _turns("") as (progress, task):
            result = measured.run(
                data, lambda what, done, of: progress.update(task, completed=done, total=of, description=what)
            )
        if plot is not None:
            hearing.draw_figures(result, plot)
    _publish(measured.as_json(result), measured.shown(result), save, json)


@bench.command("guard")
def bench_guard(
    data: DataFolder = Path("../shared/data"),
    only: Annotated[
        list[str] | None, typer.Option(help="leaks, cost, audio, personal, judges; repeat it for several.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few splits and repeats, to see that it works.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """What the guardrails let out, beside the usual designs, and what they cost."""
    from pipelines.lab.guard import bench

    with reported(), _turns("") as (progress, task):
        results = bench.run(
            only or (),
            data,
            lambda what, done, of: progress.update(task, completed=done, total=of, description=what),
            quick=quick,
        )
    _publish(results.as_json(), results.tables(), save, json)


@bench.command("gate")
def bench_gate(
    quick: Annotated[bool, typer.Option("--quick", help="Few answers, to see that it works.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """What is heard of forbidden words through the audio gate, by how late or wrong a transcript is, and the delay."""
    from pipelines.app import hear as hearing
    from pipelines.lab import bench_gate as measured

    with reported():
        if plot is not None:
            hearing.check_picture(plot)
        with _turns("transcripts") as (progress, task):
            result = measured.run(lambda done, of: progress.update(task, completed=done, total=of), quick=quick)
        if plot is not None:
            measured.draw(result, plot)
    _publish(result.as_json(), measured.tables(result), save, json)


@bench.command("load")
def bench_load(
    calls: Annotated[int | None, typer.Option(help="One call, and so many, instead of more and more.", min=1)] = None,
    muted: Annotated[bool, typer.Option("--muted", help="The callers' microphones give nothing.")] = False,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="On the embedded models instead: how many until the latency doubles.")
    ] = False,
    long: Annotated[
        bool, typer.Option("--long", help="What grows in one call of 30 minutes and of 3 hours instead.")
    ] = False,
    data: DataFolder = Path("../shared/data"),
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this JSON file.")] = None,
    json: Json = False,
) -> None:
    """Many calls in one process: how exactly each still sounds, how soon it is answered, and what it takes."""
    from pipelines.app import hear as hearing
    from pipelines.lab import bench_load as measured
    from pipelines.lab import soak
    from pipelines.lab.bench_latency import BenchError

    figures: dict[str, Any]
    table: Any
    with reported():
        if long and (embedded or muted or calls is not None):
            raise BenchError("--long is about one call: leave --calls, --muted and --embedded out")
        if embedded and muted:
            raise BenchError("--muted with --embedded: nothing would be heard: leave one of them out")
        if plot is not None:
            hearing.check_picture(plot)
        with _turns("") as (progress, task):

            def on_step(what: str, done: int, of: int) -> None:
                progress.update(task, completed=done, total=of, description=what)

            if long:
                soaks = [
                    soak.run(minutes, lambda done, of: on_step(f"a call of {of} minutes", done, of))
                    for minutes in soak.MINUTES
                ]
                figures, table = {"calls": [each.as_json() for each in soaks]}, soak.table(soaks)
            else:
                result = run(
                    measured.run_embedded(calls, data, on_step)
                    if embedded
                    else measured.run(calls, on_step, muted=muted)
                )
                figures, table = result.as_json(), measured.tables(result)
        if plot is not None:
            soak.draw(soaks, plot) if long else measured.draw(result, plot)
    _publish(figures, table, save, json)


@train.command("judges")
def train_judges(
    data: DataFolder = Path("../shared/data"),
    to: Annotated[Path, typer.Option(help="Write the heads and their model card to this folder.")] = Path("heads"),
) -> None:
    """The classifiers for prompt injection and toxicity, and how they do on what they were not trained on."""
    from pipelines.lab.guard import judges

    with reported(), out.status("") as status:
        trained = judges.train(data / "text", to, status.update)
    for name, result in trained.items():
        out.print(f"{name}: {result.report.recall:.1%} found, texts held out")
    out.print(f"{to / 'CARD.md'} has every figure")


@train.command("hearing")
def train_hearing(
    data: DataFolder = Path("../shared/data"),
    to: Annotated[Path, typer.Option(help="Write the heads and their model card to this folder.")] = Path("heads"),
) -> None:
    """The heads by which the voice is heard, and how they do on speakers that they were not trained on."""
    from pipelines.lab import bench_hearing as measured
    from processors.hearing import recipe

    with reported():
        measured.check(data, measured.TRAINED)
        with err.status("") as status:
            recipe.train(data, to, say=status.update)
    out.print(f"{to / 'CARD.md'} has every figure", soft_wrap=True, highlight=False)


def _publish(figures: dict[str, Any], table: Any, save: Path | None, as_json: bool) -> None:
    if save is not None:
        save.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))  # noqa: T201
    else:
        out.print(table)


@contextmanager
def _turns(what: str, *, transient: bool = False) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # What is transient leaves nothing behind, a line where no terminal takes it back included.
    hidden = transient and not err.is_terminal
    with Progress(*columns, console=err, transient=transient, disable=hidden) as progress:
        yield progress, progress.add_task(what, total=None)


class _Loading:
    """Progress bars for what is being loaded, one line each."""

    def __init__(self) -> None:
        self._progress = Progress(TextColumn("{task.description:<20}"), BarColumn(), TimeElapsedColumn(), console=err)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Loading:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, what: str, done: float) -> None:
        """As `pipelines.stacks.Progress`."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=1.0)
        self._progress.update(self._tasks[what], completed=done)

    def finish(self, message: str = "") -> None:
        self._progress.stop()
        if message:
            err.print(message)


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end on an event loop."""
    return asyncio.run(coroutine)


def _speaker(name: str, policy: str | None) -> Any:
    """A persona whose policy is there: a call has no time for that."""
    from pipelines import personas, policies

    persona = personas.load(name)
    if policy is not None:
        persona = persona.model_copy(update={"policy": policy})
    if persona.policy != personas.Persona.model_fields["policy"].default:  # that one is made ready with the models
        policies.check_persona(persona, policies.prepared(persona.policy))
    return persona


@contextmanager
def reported() -> Iterator[None]:
    """Print what a user can mend as one line and exit with 2; end in order on ctrl-C, with 130."""
    from pipelines.app.recording import RecordingError
    from pipelines.definition import DefinitionError
    from pipelines.personas import PersonaError
    from pipelines.stacks import StackError
    from processors.embedded.weights import WeightsError

    # Errors of modules that load more than a command needs say themselves that they are for the user.
    mendable: tuple[type[Exception], ...] = (RecordingError, DefinitionError, PersonaError, StackError, WeightsError)
    outside = signal.getsignal(signal.SIGINT)
    if outside is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as error:
        if not (isinstance(error, mendable) or getattr(error, "mendable", False)):
            raise
        err.print(f"[red]antiphon:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    finally:
        signal.signal(signal.SIGINT, outside)
