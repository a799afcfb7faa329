"""Definitions: what may be built, what is refused in which words, and what edits do."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import architectures
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import (
    ASSISTANT_TURN,
    AUDIO_GATE,
    AUDIO_IN,
    AUDIO_LLM,
    AUDIO_OUT,
    DELIVERY,
    HEARING,
    INPUT_GUARD,
    LLM,
    OUTPUT_GUARD,
    SENTENCES,
    STAGES,
    STT,
    TAGS,
    TTS,
    UNCLEARED,
    USER_TURN,
    VAD,
    Architecture,
    Capability,
    DefinitionError,
    Port,
    Stage,
)
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.hybrid import HYBRID
from pipelines.sequential_fused import SEQUENTIAL_FUSED

FILLER = Stage("FILLER", "mm-hmm", Port.CONTEXT, Port.TEXT, service=True)
FUSED = Stage("FUSED", "hears and speaks", Port.AUDIO, Port.SPEECH, service=True)
SOURCE = Stage("JINGLE", "a recording", None, Port.SPEECH, service=True)
MY_GUARD = Stage("MY_GUARD", "mine", Port.TEXT, Port.CLEARED_TEXT, service=True, consumes=True)

BARE = Architecture(
    "bare",
    "Audio in, audio out.",
    (AUDIO_IN, VAD, FUSED, AUDIO_OUT, ASSISTANT_TURN),
    unguarded="its words exist as sound only",
)
GATE_IT = (
    'let it take cleared text, or give uncleared speech to AUDIO_GATE, or say why no guard is needed with unguarded="…"'
)
ALL = (*architectures.ARCHITECTURES, BARE)


def build(*stages: Stage, unguarded: str | None = None) -> Architecture:
    return Architecture("mine", "For a test.", stages, unguarded=unguarded)


def outcome(make: Callable[[], Architecture]) -> Architecture | str:
    """What is built, or why it is refused."""
    try:
        return make()
    except DefinitionError as error:
        return str(error)


def words(error: pytest.ExceptionInfo[DefinitionError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# What is refused, and in which words


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda: BASIC_CASCADE.without(STT),
            "basic_cascade: USER_TURN takes transcript, which no stage before it gives: "
            "put one that does before it, such as STT, or leave USER_TURN out",
        ),
        (
            lambda: ADVANCED_CASCADE.without(OUTPUT_GUARD),
            "advanced_cascade: SENTENCES takes cleared text, but what TAGS gives has passed no guard: "
            'put OUTPUT_GUARD between TAGS and SENTENCES, or say why none is needed with unguarded="…"',
        ),
        (
            lambda: ADVANCED_CASCADE.insert_after(DELIVERY, dataclasses.replace(FILLER, takes=Port.AUDIO)),
            "advanced_cascade: TTS takes cleared text, but what FILLER gives has passed no guard: "
            'put FILLER before OUTPUT_GUARD, or say why none is needed with unguarded="…"',
        ),
        (
            lambda: ADVANCED_CASCADE.replace(LLM, dataclasses.replace(LLM, gives=Port.CLEARED_TEXT)),
            "advanced_cascade: LLM gives cleared text but takes context, and only a guard clears: "
            "let LLM give text and put OUTPUT_GUARD after it",
        ),
        (
            lambda: ADVANCED_CASCADE.replace(TTS, dataclasses.replace(TTS, takes=Port.TEXT)),
            "advanced_cascade: TTS gives speech that it makes of text, so that no guard can read it first: " + GATE_IT,
        ),
        (
            lambda: ADVANCED_CASCADE.insert_after(TTS, SOURCE),
            "advanced_cascade: JINGLE gives speech that it makes of nothing, so that no guard can read it first: "
            + GATE_IT,
        ),
        (
            lambda: SEQUENTIAL_FUSED.without(AUDIO_GATE),
            "sequential_fused: TTS takes speech, but what SPEECH_LLM gives has passed no guard: "
            'put AUDIO_GATE between SPEECH_LLM and TTS, or say why none is needed with unguarded="…"',
        ),
        (
            lambda: DUPLEX_FUSED.replace(AUDIO_GATE, dataclasses.replace(AUDIO_GATE, name="MY_GATE")),
            "duplex_fused: MY_GATE says that it clears uncleared speech, but Antiphon's own guard is AUDIO_GATE: "
            "use that, or say service=True and fill it with your guard",
        ),
        (
            lambda: HYBRID.replace(LLM, LLM),
            "hybrid: has no LLM to exchange alone: STT_LLM is STT and LLM in one, and what one hands the other is read "
            "by no other model: exchange STT_LLM, or choose a cascade",
        ),
        (
            lambda: ADVANCED_CASCADE.replace(OUTPUT_GUARD, dataclasses.replace(OUTPUT_GUARD, consumes=False)),
            "advanced_cascade: OUTPUT_GUARD lets the text that it has not cleared pass on: say consumes=True",
        ),
        (
            lambda: ADVANCED_CASCADE.without(OUTPUT_GUARD, unguarded="a test").replace(
                SENTENCES, dataclasses.replace(SENTENCES, takes=Port.TEXT, consumes=True)
            ),
            "advanced_cascade: SENTENCES says that it clears text, but Antiphon's own guard is OUTPUT_GUARD: "
            "use that, or say service=True and fill it with your guard",
        ),
        (
            lambda: ADVANCED_CASCADE.without(HEARING, unguarded="a test"),
            "advanced_cascade: OUTPUT_GUARD is a guard, but the architecture says unguarded: "
            "leave out the reason or the guard",
        ),
        (
            lambda: BASIC_CASCADE.without(OUTPUT_GUARD, unguarded=""),
            "basic_cascade: unguarded is empty: say it in words",
        ),
        (
            lambda: BASIC_CASCADE.without(AUDIO_OUT),
            "basic_cascade: has no AUDIO_OUT that takes speech: put it after the voice",
        ),
        (
            lambda: BASIC_CASCADE.without(TTS),
            "basic_cascade: AUDIO_OUT takes speech, which no stage before it gives: "
            "put one that does before it, such as TTS, or leave AUDIO_OUT out",
        ),
        (
            lambda: BASIC_CASCADE.without(ASSISTANT_TURN).insert_after(TTS, ASSISTANT_TURN),
            "basic_cascade: ASSISTANT_TURN stands before AUDIO_OUT, so that the context would hold words that nobody "
            "heard: put it after AUDIO_OUT",
        ),
        (
            lambda: BARE.insert_after(AUDIO_OUT, dataclasses.replace(FUSED, name="SECOND")),
            "bare: SECOND gives speech after AUDIO_OUT, where nobody hears it: put it before",
        ),
        (
            lambda: BARE.insert_after(FUSED, dataclasses.replace(AUDIO_LLM, takes=Port.AUDIO)),
            "bare: AUDIO_LLM gives text, which no stage after it takes, so that it is never said: "
            "put a stage that takes text after it, or leave AUDIO_LLM out",
        ),
        (
            lambda: ADVANCED_CASCADE.without(INPUT_GUARD).insert_after(LLM, INPUT_GUARD),
            "advanced_cascade: INPUT_GUARD takes context, which LLM has used up: put INPUT_GUARD before LLM",
        ),
        (
            lambda: build(AUDIO_IN, USER_TURN, STT),
            "mine: USER_TURN takes transcript, which only STT gives, after it: put STT before USER_TURN",
        ),
        (
            lambda: BASIC_CASCADE.insert_after(LLM, STT),
            "basic_cascade: STT occurs 2 times: keep one, or rename the other",
        ),
        (
            lambda: BASIC_CASCADE.without(HEARING),
            "basic_cascade: has no stage HEARING: it has AUDIO_IN, VAD, STT, USER_TURN, INPUT_GUARD, LLM, "
            "OUTPUT_GUARD, SENTENCES, TTS, AUDIO_OUT, ASSISTANT_TURN",
        ),
        (lambda: build(), "mine: has no stages: start it with AUDIO_IN and end it with AUDIO_OUT"),
        (lambda: Architecture("mine", "x", STT), "mine: stages is no sequence: write stages=(STT,)"),
        (lambda: build(AUDIO_IN, "STT"), "mine: 'STT' is no stage: make one with Stage(…)"),
        (
            lambda: Architecture("My cascade", "x", STAGES),
            "'My cascade' is no name for an architecture: use small letters, digits and _, as in my_cascade",
        ),
        (lambda: Architecture("mine", "", STAGES), "mine: summary is empty: say it in words"),
        (
            lambda: Stage("stt\n", "x", None, Port.TEXT),
            r"'stt\n' is no name for a stage: use capitals, digits and _, as in MY_STT",
        ),
        (
            lambda: Stage("X", "x", "sound", None),
            "X takes: 'sound' is no port: choose audio, transcript, utterance, context, text, "
            "cleared text, uncleared speech, speech",
        ),
        (
            lambda: Stage("X", "x", None, Port.TEXT, service=True, needs={"magic"}),
            "X needs: 'magic' is no capability: choose audio_in, text_out, speech_out, persona_voice, word_timestamps, "
            "tools, delivery_tags, full_duplex, summaries, caller_words",
        ),
        (
            lambda: Stage("X", "x", None, Port.TEXT, needs={Capability.TOOLS}),
            "X: needs tools of a service but has none: say service=True, or drop needs",
        ),
        (
            lambda: Stage("X", "x", None, None),
            "X: takes nothing and gives nothing: say which port it reads or writes",
        ),
    ],
)
def test_refused_in_one_line(edit, message):
    with pytest.raises(DefinitionError) as error:
        edit()
    assert words(error) == message


def test_ports_given_as_plain_words_count_like_the_ports_themselves():
    worded = Stage("MY_GUARD", "mine", "text", "cleared text", service=True, consumes=True)
    assert worded == MY_GUARD
    assert worded.clears
    with pytest.raises(DefinitionError, match="is a guard, but"):
        build(*BASIC_CASCADE.stages[:6], worded, *BASIC_CASCADE.stages[7:], unguarded="a test")


# What may be built


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.name)
def test_what_flows_ends_in_the_voice(architecture):
    takers = [flow.taker for flow in architecture.flows]
    assert AUDIO_OUT in takers
    assert {s for s in architecture.stages if s.takes is not None} == set(takers)


def test_everything_that_talks_before_the_guard_passes_it():
    fillers = ADVANCED_CASCADE.insert_after(USER_TURN, FILLER)
    assert [f.giver for f in fillers.flows if f.taker == OUTPUT_GUARD] == [TAGS]
    assert [f.giver for f in fillers.flows if f.taker == TAGS] == [FILLER, LLM]


def test_listeners_and_linewithout_readers_in_the_call_are_allowed():
    assert BASIC_CASCADE.without(VAD, SENTENCES, ASSISTANT_TURN)
    assert BARE.insert_after(VAD, STT)  # a transcript for the record
    assert BARE.insert_after(FUSED, Stage("CAPTIONS", "for the screen", "speech", "transcript"))


def test_text_that_reaches_the_voice_unguarded_is_still_called_text():
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="a test")
    assert [(f.giver, f.port) for f in bare.flows if f.taker in (SENTENCES, TTS)] == [
        (LLM, Port.TEXT),
        (SENTENCES, Port.TEXT),
    ]
    (flow,) = (flow for flow in BASIC_CASCADE.flows if flow.taker == TTS)
    assert (flow.giver, flow.port) == (SENTENCES, Port.CLEARED_TEXT)


# Services


def test_a_service_must_offer_what_its_stage_needs():
    offers = {
        "STT": ("ear", frozenset()),
        "LLM": ("mind", frozenset({Capability.TEXT_OUT})),
        "TTS": ("mouth", frozenset({Capability.WORD_TIMESTAMPS, Capability.TOOLS})),
        "UNUSED": ("other", frozenset()),
    }
    BASIC_CASCADE.check_services(offers)
    with pytest.raises(DefinitionError) as error:
        BASIC_CASCADE.check_services({**offers, "LLM": ("gemini", frozenset({Capability.AUDIO_IN}))})
    assert (
        words(error) == "basic_cascade: LLM needs text_out, and gemini offers audio_in: choose another service for LLM"
    )
    with pytest.raises(DefinitionError) as error:
        BASIC_CASCADE.check_services({**offers, "TTS": ("parrot", frozenset())})
    assert "TTS needs word_timestamps, and parrot offers nothing of the kind" in words(error)
    with pytest.raises(DefinitionError) as error:
        BASIC_CASCADE.check_services({"STT": offers["STT"]})
    assert (
        words(error) == "basic_cascade: LLM is filled by nothing: give the stack a service for it, as in "
        "stack.replace(LLM=Service(…))"
    )


# Editing


def test_edits_leave_the_old_and_meet_again():
    before = pickle.dumps(ADVANCED_CASCADE)
    shorter = ADVANCED_CASCADE.without(HEARING)
    assert shorter != ADVANCED_CASCADE
    again = shorter.insert_after(USER_TURN, HEARING)
    assert again == ADVANCED_CASCADE
    assert again is not ADVANCED_CASCADE
    assert hash(again) == hash(ADVANCED_CASCADE)
    assert {again, shorter, ADVANCED_CASCADE} == {ADVANCED_CASCADE, shorter}
    assert pickle.dumps(ADVANCED_CASCADE) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        ADVANCED_CASCADE.stages = ()


def test_putting_in_a_guard_drops_the_reason_for_having_none():
    bare = BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="a test")
    guarded = bare.insert_after(LLM, OUTPUT_GUARD)
    assert guarded == BASIC_CASCADE
    assert guarded.unguarded is None
    assert bare.insert_after(LLM, MY_GUARD).unguarded is None
    with pytest.raises(DefinitionError, match="has passed no guard"):
        guarded.without(OUTPUT_GUARD)


def test_a_reason_of_several_lines_becomes_one():
    assert BASIC_CASCADE.without(OUTPUT_GUARD, unguarded="for\n  a test ").unguarded == "for a test"


def test_lists_and_generators_of_lineare_kept_as_a_tuple():
    line = ADVANCED_CASCADE.stages
    assert Architecture("mine", "x", list(line)) == Architecture("mine", "x", (s for s in line))
    assert hash(Architecture("mine", "x", list(line))) == hash(Architecture("mine", "x", line))


# The registry


NAMES = ["basic_cascade", "advanced_cascade", "half_cascade", "hybrid", "sequential_fused", "duplex_fused"]


def test_architectures_are_found_by_name():
    assert [a.name for a in architectures.ARCHITECTURES] == NAMES
    assert architectures.get("advanced_cascade") is ADVANCED_CASCADE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("basic-cascade", "no architecture 'basic-cascade', perhaps basic_cascade: choose one of THEM"),
        ("ADVANCED", "no architecture 'ADVANCED', perhaps advanced_cascade: choose one of THEM"),
        ("x\ny", "no architecture 'x\\ny': choose one of THEM"),
    ],
)
def test_an_unknown_architecture_is_one_line(name, message):
    with pytest.raises(DefinitionError) as error:
        architectures.get(name)
    assert words(error) == message.replace("THEM", ", ".join(NAMES))


# Properties


PORTS = st.sampled_from([None, *Port])
KNOWN = (*STAGES, FILLER, FUSED, SOURCE, MY_GUARD)


def changed(stage: Stage, what: str, port: Port | None, name: str) -> Stage:
    """The stage with one thing about it other than it was."""
    to = {"takes": port, "gives": port, "name": name, "consumes": not stage.consumes, "service": not stage.service}
    if what == "service" and stage.needs:
        return stage
    if {"takes": stage.gives, "gives": stage.takes}.get(what, port) is None and port is None:
        return stage
    return dataclasses.replace(stage, **{what: to[what]})


SMUGGLERS = (
    FUSED,
    SOURCE,
    Stage("NEWS", "read from somewhere", None, Port.TEXT, service=True),
    Stage("CACHE", "said to be clean", None, Port.CLEARED_TEXT, service=True),
    Stage("REWRITER", "other words", Port.CLEARED_TEXT, Port.TEXT, service=True),
    Stage("COPIER", "as text again", Port.TRANSCRIPT, Port.TEXT, service=True),
    dataclasses.replace(MY_GUARD, consumes=False),
    dataclasses.replace(SENTENCES, takes=Port.TEXT, consumes=True),
    dataclasses.replace(TTS, takes=Port.TEXT),
    dataclasses.replace(LLM, gives=Port.CLEARED_TEXT),
    dataclasses.replace(LLM, gives=Port.SPEECH),
)
STAGE = (
    st.sampled_from(SMUGGLERS)
    | st.sampled_from(KNOWN)
    | st.builds(
        changed,
        st.sampled_from(KNOWN),
        st.sampled_from(["takes", "gives", "name", "consumes", "service"]),
        PORTS,
        st.sampled_from(["A", "B"]),
    )
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "without", "insert_after"]),
        st.integers(0, 12),
        STAGE,
        st.none() | st.just("a test"),
    ),
    max_size=6,
)


def edited(architecture: Architecture, edits) -> list[Architecture]:
    """Every definition that comes out on the way; refused edits are skipped."""
    made = [architecture]
    for verb, at, mine, reason in edits:
        old = made[-1]
        stage = old.stages[at % len(old.stages)]
        edit = {
            "replace": lambda old=old, stage=stage, mine=mine: old.replace(stage, mine),
            "without": lambda old=old, stage=stage, reason=reason: old.without(stage, unguarded=reason),
            "insert_after": lambda old=old, stage=stage, mine=mine: old.insert_after(stage, mine),
        }[verb]
        before = pickle.dumps(old)
        new = outcome(edit)
        assert pickle.dumps(old) == before
        if isinstance(new, str):
            assert new.startswith(f"{old.name}: ")
            assert "\n" not in new
            continue
        assert new is not old
        assert (new == old) == ((new.stages, _reasons(new)) == (old.stages, _reasons(old)))
        assert new != old or hash(new) == hash(old)
        made.append(new)
    return made


def _reasons(architecture: Architecture) -> tuple[str | None, str | None]:
    return architecture.unguarded, architecture.unguarded_ears


GUARDS = {
    (Port.TEXT, Port.CLEARED_TEXT): "OUTPUT_GUARD",
    (Port.UNCLEARED_SPEECH, Port.SPEECH): "AUDIO_GATE",
}


def uttered_uncleared(line: tuple[Stage, ...]) -> set[str]:
    """Sends a word of its own from every stage that makes words down the line; returns who is heard uncleared.

    A voice utters every piece of text that it meets, cleared or not, as a speech service does.
    """
    forms = {cleared: (cleared, raw) for cleared, raw in UNCLEARED.items()}
    uttered: set[str] = set()
    passing: list[tuple[Port, str, bool]] = []  # in which form, who said it, whether a guard has read it
    for stage in line:
        met = [word for word in passing if word[0] in forms.get(stage.takes, (stage.takes,))]
        if stage.consumes or stage.takes is stage.gives:
            passing = [word for word in passing if word not in met]
        guard = (stage.takes, stage.gives) in GUARDS and (
            stage.service or stage.name == GUARDS[stage.takes, stage.gives]
        )
        if stage.gives in (*UNCLEARED, *UNCLEARED.values()):
            rewritten = stage.gives in UNCLEARED.values()
            words_in = met if stage.takes in (*UNCLEARED, *UNCLEARED.values()) else [(None, stage.name, False)]
            passing += [(stage.gives, who, guard or (cleared and not rewritten)) for _, who, cleared in words_in]
        if stage.takes is Port.SPEECH or (stage.gives is Port.SPEECH and stage.takes is Port.CLEARED_TEXT):
            uttered |= {who for _, who, cleared in met if not cleared}
        elif stage.gives is Port.SPEECH and not guard:
            uttered.add(stage.name)
    return uttered


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(ALL), EDITS)
def test_no_edit_lets_uncleared_words_reach_the_voice(architecture, edits):
    for made in edited(architecture, edits):
        if made.unguarded is None:
            assert uttered_uncleared(made.stages) == set()
        else:
            assert uttered_uncleared(made.stages) != set()  # a reason is never given for nothing


def may_be_built(line: tuple[Stage, ...], unguarded: bool) -> bool:
    """The rules said once more, of pairs of stages instead of a walk."""

    def ends(between: Stage, port: Port) -> bool:
        takes = {between.takes}
        if between.takes in UNCLEARED and unguarded:
            takes.add(UNCLEARED[between.takes])
        return port in takes and (between.consumes or between.gives is between.takes)

    def arrives(i: int, j: int) -> bool:
        return i < j and not any(ends(between, line[i].gives) for between in line[i + 1 : j])

    def givers(j: int, port: Port) -> list[int]:
        return [i for i, stage in enumerate(line) if stage.gives is port and arrives(i, j)]

    def accepted(j: int) -> list[Port]:
        takes = line[j].takes
        return [takes, UNCLEARED[takes]] if takes in UNCLEARED and unguarded else [takes]

    def hears_uncleared(j: int) -> bool:
        takes = line[j].takes
        makes_up = line[j].gives is Port.SPEECH and takes not in (Port.SPEECH, Port.CLEARED_TEXT)
        return (makes_up and line[j] not in guards) or (takes in UNCLEARED and givers(j, UNCLEARED[takes]) != [])

    names = [stage.name for stage in line]
    numbers = range(len(line))
    guards = [stage for stage in line if (stage.takes, stage.gives) in GUARDS]
    outs = [i for i in numbers if names[i] == "AUDIO_OUT" and line[i].takes is Port.SPEECH]
    writes = [i for i in numbers if line[i].service and line[i].gives in UNCLEARED.values()]
    writers = [i for i in writes if line[i].takes is not line[i].gives][:1]
    hearing = [i for i in writers if line[i].takes in (Port.AUDIO, Port.UTTERANCE)]
    return (
        len(set(names)) == len(names)
        and not (guards and unguarded)
        and all(g.consumes and (g.service or g.name == GUARDS[g.takes, g.gives]) for g in guards)
        and all(
            stage in guards or stage.takes is Port.CLEARED_TEXT for stage in line if stage.gives is Port.CLEARED_TEXT
        )
        and all(any(givers(j, port) for port in accepted(j)) for j in numbers if line[j].takes is not None)
        and (unguarded or not any(hears_uncleared(j) for j in numbers))
        and all(
            any(line[i].gives in accepted(j) and arrives(i, j) for j in numbers)
            for i in numbers
            if line[i].gives in (Port.CLEARED_TEXT, *UNCLEARED.values())
        )
        and len(outs) == 1
        and all(i < outs[0] for i in numbers if line[i].gives is Port.SPEECH)
        and all(i > outs[0] for i in numbers if names[i] == "ASSISTANT_TURN")
        and all(any(i < j for j in hearing) for i in numbers if names[i] == "HEARD_GUARD")
    )


def shuffled(base: Architecture, changes) -> tuple[Stage, ...]:
    """The stages of a good architecture after some of them were cut, doubled, moved or exchanged, unchecked."""
    line = list(base.stages)
    for verb, at, to, mine in changes:
        at, to = at % len(line), to % len(line)
        if verb == "cut" and len(line) > 1:
            del line[at]
        elif verb == "move":
            line.insert(to, line.pop(at))
        elif verb == "put":
            line.insert(at, mine)
        else:
            line[at] = mine
    return tuple(line)


LINES = st.builds(
    shuffled,
    st.sampled_from(ALL),
    st.lists(
        st.tuples(st.sampled_from(["cut", "move", "put", "swap"]), st.integers(0, 14), st.integers(0, 14), STAGE),
        max_size=3,
    ),
)


@settings(max_examples=1200, deadline=None, derandomize=True)
@given(LINES, st.booleans())
@example(ADVANCED_CASCADE.stages, False)
@example(BASIC_CASCADE.stages, True)
@example(BARE.stages, True)
@example(SEQUENTIAL_FUSED.stages, False)
@example(SEQUENTIAL_FUSED.without(AUDIO_GATE, unguarded="a test").stages, True)
@example(DUPLEX_FUSED.stages, False)
@example((AUDIO_IN, FUSED, dataclasses.replace(AUDIO_OUT, takes=Port.AUDIO)), True)
def test_built_exactly_when_the_rules_allow(line, unguarded):
    made = outcome(lambda: build(*line, unguarded="a test" if unguarded else None))
    assert isinstance(made, Architecture) == may_be_built(line, unguarded)
