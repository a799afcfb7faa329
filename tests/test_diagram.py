"""Drawings: what they show, on which terminals, and that nothing in a definition can break them."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipelines import BASIC_CASCADE, EMBEDDED, Architecture, Capability, DefinitionError, Port, Service, Stage, diagram
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app.show import show
from pipelines.architectures import ARCHITECTURES
from pipelines.definition import AUDIO_IN, AUDIO_OUT, INPUT_GUARD, OUTPUT_GUARD, SENTENCES, STT, USER_TURN, VAD

FUSED = Stage("FUSED", "hears and speaks", Port.AUDIO, Port.SPEECH, service=True)
SEQUENTIAL_FUSED = Architecture(
    "fused", "Audio in, audio out.", (AUDIO_IN, VAD, STT, FUSED, AUDIO_OUT), unguarded="its words exist as sound only"
)
FILLER = Stage("FILLER", "mm-hmm", Port.CONTEXT, Port.TEXT, service=True)
BARE = Service("parrot", lambda session: pytest.fail("built"))


class Page(io.TextIOWrapper):
    """A file with an encoding, as a terminal has one."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


def lines(what, width: int = 80, encoding: str = "utf-8") -> list[str]:
    page = Page(encoding)
    Console(file=page, width=width, color_system=None, legacy_windows=False).print(what)
    return [line.rstrip() for line in page.text().splitlines()]


def shown(*args, width: int = 80, **kwargs) -> str:
    page = Page("utf-8")
    show(*args, **kwargs, console=Console(file=page, width=width, color_system=None))
    return page.text()


# In a terminal


def test_the_basic_cascade_with_the_embedded_stack():
    architecture = BASIC_CASCADE.without(
        INPUT_GUARD, OUTPUT_GUARD, unguarded="there is nothing to guard in this test, which says so at some length"
    )
    assert lines(diagram.terminal(architecture, EMBEDDED)) == [
        "basic_cascade  Hears words, answers in words, reads them out.",
        "",
        "  ●  AUDIO_IN        microphone or call, 16 kHz",
        "  │  audio",
        "  ├● VAD             speech, pauses and their length",
        "  ◆  STT             words as they are spoken         embedded",
        "  │  transcript",
        "  ●  USER_TURN       when the caller is done",
        "  │  context",
        "  ◆  LLM             what to answer                   embedded",
        "  │  text",
        "  ●  SENTENCES       text in speakable pieces",
        "  ┊  text, unguarded: there is nothing to guard in this test, which says so at",
        "  ┊  some length",
        "  ◆  TTS             the voice                        embedded",
        "  │  speech",
        "  ├● AUDIO_OUT       loudspeaker or call",
        "  └● ASSISTANT_TURN  the words that were heard",
        "",
        "  ● Antiphon's own   ◆ service from the stack embedded",
    ]


def test_guards_are_marked_and_so_is_what_is_missing(monkeypatch):
    monkeypatch.delitem(diagram.PROCESSORS, "SENTENCES")
    drawn = lines(diagram.terminal(ADVANCED_CASCADE))
    assert "  ▲  OUTPUT_GUARD    what may be said" in [line.removesuffix("no processor yet").rstrip() for line in drawn]
    assert "  ●  SENTENCES       text in speakable pieces         no processor yet" in drawn
    assert "  ◆  TTS             the voice                        needs word_timestamps" in drawn
    assert "  ◆  STT             words as they are spoken         any service" in drawn
    assert drawn[-1] == "  ● Antiphon's own   ◆ service from a stack   ▲ guard"


@pytest.mark.parametrize(
    ("stack", "says"),
    [
        (EMBEDDED.replace(TTS=BARE), "parrot lacks word_timestamps"),
        (dataclasses.replace(EMBEDDED, services={}), "embedded has none"),
        (
            EMBEDDED.replace(TTS=Service("cloudy", BARE.build, frozenset(Capability), keys=("NO_SUCH_KEY",))),
            "cloudy, NO_SUCH_KEY not set",
        ),
    ],
)
def test_a_slot_says_what_is_amiss_with_it(stack, says):
    (line,) = (line for line in lines(diagram.terminal(BASIC_CASCADE, stack), 100) if " TTS " in line)
    assert line.endswith(says)


def test_what_comes_from_further_up_says_from_where():
    assert "  │  text from FILLER and LLM" in lines(diagram.terminal(ADVANCED_CASCADE.insert_after(USER_TURN, FILLER)))
    assert "  ┊  audio from AUDIO_IN, unguarded: its words exist as sound only" in lines(
        diagram.terminal(SEQUENTIAL_FUSED)
    )


def test_where_a_source_speaks_unguarded_it_is_said():
    jingle = Stage("JINGLE", "a recording", None, Port.SPEECH, service=True)
    announcement = Architecture("announcement", "Speaks only.", (jingle, AUDIO_OUT), unguarded="recorded beforehand")
    assert [line.split() for line in lines(diagram.terminal(announcement))[2:4]] == [
        ["┊", "unguarded:", "recorded", "beforehand"],
        ["◆", "JINGLE", "a", "recording", "any", "service"],
    ]


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, SEQUENTIAL_FUSED], ids=lambda a: a.name)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_it_fits(architecture, width, encoding):
    drawn = lines(diagram.terminal(architecture, EMBEDDED), width, encoding)
    assert max(map(len, drawn)) <= min(width, diagram.WIDTH)
    for stage in architecture.stages:
        assert sum(f" {stage} " in f"{line} " for line in drawn) >= 1


def test_an_encoding_without_line_drawing_gets_plain_marks():
    bare = BASIC_CASCADE.without(INPUT_GUARD, OUTPUT_GUARD, unguarded="später")
    drawn = lines(diagram.terminal(bare, EMBEDDED), encoding="ascii")
    assert "  +o VAD             speech, pauses and their length" in drawn
    assert "  :  text, unguarded: sp?ter" in drawn


def test_no_colour_is_written_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    page = Page("utf-8")
    Console(file=page, width=80, force_terminal=True, color_system="truecolor").print(diagram.terminal(BASIC_CASCADE))
    assert "\x1b[3" not in page.text()


def test_the_list_has_a_line_each():
    assert [line.split()[0] for line in lines(diagram.listing(ARCHITECTURES), 100)] == [a.name for a in ARCHITECTURES]


# Mermaid


def test_mermaid_of_the_basic_cascade():
    bare = BASIC_CASCADE.without(INPUT_GUARD, OUTPUT_GUARD, unguarded='a "test"')
    assert diagram.mermaid(bare).splitlines() == [
        "flowchart TD",
        '    AUDIO_IN["AUDIO_IN<br>microphone or call, 16 kHz"]:::own',
        '    VAD["VAD<br>speech, pauses and their length"]:::own',
        '    STT(["STT<br>words as they are spoken"]):::service',
        '    USER_TURN["USER_TURN<br>when the caller is done"]:::own',
        '    LLM(["LLM<br>what to answer"]):::service',
        '    SENTENCES["SENTENCES<br>text in speakable pieces"]:::own',
        '    TTS(["TTS<br>the voice"]):::service',
        '    AUDIO_OUT["AUDIO_OUT<br>loudspeaker or call"]:::own',
        '    ASSISTANT_TURN["ASSISTANT_TURN<br>the words that were heard"]:::own',
        '    AUDIO_IN -.->|"audio"| VAD',
        '    AUDIO_IN -->|"audio"| STT',
        '    STT -->|"transcript"| USER_TURN',
        '    USER_TURN -->|"context"| LLM',
        '    LLM -->|"text"| SENTENCES',
        '    SENTENCES ==>|"text"| TTS',
        '    TTS -->|"speech"| AUDIO_OUT',
        '    TTS -.->|"speech"| ASSISTANT_TURN',
        '    why["unguarded: a #34;test#34;"]:::why',
        "    why -.- TTS",
        "    classDef own stroke-width:1px",
        "    classDef service stroke:#2563eb,stroke-width:2px",
        "    classDef guard stroke:#15803d,stroke-width:2px",
        "    classDef why stroke:#b91c1c,stroke-dasharray:4",
    ]


def test_mermaid_marks_guards_and_speech_made_unguarded():
    assert '    OUTPUT_GUARD{{"OUTPUT_GUARD<br>what may be said"}}:::guard' in diagram.mermaid(ADVANCED_CASCADE)
    assert '    AUDIO_IN ==>|"audio"| FUSED' in diagram.mermaid(SEQUENTIAL_FUSED)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(min_size=1).filter(str.strip))
def test_no_summary_breaks_a_drawing(text):
    stage = dataclasses.replace(SENTENCES, summary=text)
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="a test")
    architecture = Architecture("mine", text, bare.replace(SENTENCES, stage).stages, unguarded=text)
    drawn = diagram.mermaid(architecture).splitlines()
    assert len(drawn) == len(diagram.mermaid(bare).splitlines())
    (line,) = (line for line in drawn if line.startswith("    SENTENCES["))
    label = line.removeprefix('    SENTENCES["SENTENCES<br>').removesuffix('"]:::own')
    assert not set(label) & set('"<>[]{}|\\`&')
    for encoding in ("utf-8", "ascii"):
        page = Page(encoding)
        page.reconfigure(errors="replace")
        Console(file=page, width=80, color_system=None).print(diagram.terminal(architecture))
        assert all(f" {stage} " in f"{page.text()} " for stage in architecture.stages)


# As data, and the command


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, SEQUENTIAL_FUSED], ids=lambda a: a.name)
def test_the_data_is_the_definition(architecture):
    data = json.loads(json.dumps(diagram.data(architecture, EMBEDDED)))
    known = {stage.name: stage for stage in architecture.stages}
    for stage in data["stages"]:
        assert (stage["takes"], stage["gives"]) == (known[stage["name"]].takes, known[stage["name"]].gives)
    assert [stage["name"] for stage in data["stages"]] == [stage.name for stage in architecture.stages]
    assert [(f["from"], f["port"], f["to"]) for f in data["flows"]] == [
        (flow.giver.name, flow.port, flow.taker.name) for flow in architecture.flows
    ]
    assert any(flow["unguarded"] for flow in data["flows"]) == (data["unguarded"] is not None)


def test_show_lists_draws_and_writes_json_and_mermaid():
    assert len(shown(width=100).splitlines()) == len(ARCHITECTURES)
    assert [one["name"] for one in json.loads(shown(json=True))] == [one.name for one in ARCHITECTURES]
    assert "USER_TURN" in shown("basic_cascade")
    assert json.loads(shown("basic_cascade", json=True, width=20)) == json.loads(
        json.dumps(diagram.data(BASIC_CASCADE))
    )
    assert json.loads(shown("basic_cascade", json=True, stack=EMBEDDED))["stages"][2]["service"] == "embedded"
    assert shown("advanced_cascade", mermaid=True, width=20) == diagram.mermaid(ADVANCED_CASCADE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "basic"}, "no architecture 'basic'"),
        ({"name": "basic_cascade", "mermaid": True, "json": True}, "--mermaid and --json are two formats: choose one"),
        ({"mermaid": True}, "--mermaid draws one architecture: name it, as in antiphon show basic_cascade --mermaid"),
    ],
)
def test_show_refuses_in_one_line(arguments, message):
    with pytest.raises(DefinitionError) as error:
        shown(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_every_port_has_a_colour():
    assert set(diagram.COLOURS) == set(Port)
