"""Calls on virtual time whose language model writes tags: what the voice is told, and what remains of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameProcessor

from guardrails import Policy
from pipelines import personas
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.assemble import assemble
from pipelines.definition import TAGS, Architecture, Capability
from pipelines.lab import profile, virtual
from pipelines.lab.bench_delivery import ScriptedHearing, cue_of
from pipelines.lab.holding import Recording, hold
from pipelines.lab.replay import difference, replay
from pipelines.lab.script import Conversation, agent, caller, expect
from pipelines.lab.scripted import ScriptedTTS
from pipelines.lab.trace import Trace, TraceObserver
from pipelines.stacks import Service, Session, cloud
from pipelines.stacks.embedded import EMBEDDED
from pipelines.stacks.profile import profile_stack
from processors.embedded.hibari import Controls
from processors.embedded.tts import EmbeddedTTSSettings
from processors.speaking.delivery import Delivery
from processors.speaking.director import Director, rules
from processors.speaking.lowering import lower
from processors.speaking.styles import shipped
from processors.speaking.tags import prompt
from processors.transports.memory import MemoryTransport
from tests.guarded import policy, terms

Way = dict[str, float]

PROFILE = profile.load("vendor_cascade")
POLICY = policy(terms("swordfish"), terms("bomb", action="stop", text=""))
REACH = personas.load("ferni").range
DIRECTOR = Director(rules(), REACH.lowest, REACH.highest)


class NotingTTS(ScriptedTTS):
    """Sings, and notes what it was given and with which settings."""

    def __init__(self, noted: list[tuple[str, Way]]) -> None:
        super().__init__(PROFILE.tts)
        self._settings: Any = EmbeddedTTSSettings(model="tone", voice="tone", language=None, **asdict(Controls()))
        self._noted = noted

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self._noted.append((text, way(self._settings)))
        async for frame in super().run_tts(text, context_id):
            yield frame


def way(settings: Any) -> Way:
    """Those of a voice's settings that change with the way to speak."""
    return {name: getattr(settings, name) for name in asdict(Controls()) if name != "formant"}


@dataclass
class Call:
    """A call as it went."""

    recording: Recording
    noted: list[tuple[str, Way]]
    trace: Path
    said: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.said = [text for text, _ in self.noted]

    def way(self, text: str) -> Way:
        """The settings with which a text was said."""
        (settings,) = [settings for said, settings in self.noted if said == text]
        return settings


def services(noted: list[tuple[str, Way]]) -> dict[str, Service]:
    return {
        "HEARING": Service("scripted", lambda session: ScriptedHearing()),
        "TTS": Service("noting", lambda session: NotingTTS(noted), VOICE),
    }


VOICE = frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE})


def call(conversation: Conversation, folder: Path, rules_: Policy | None = POLICY) -> Call:
    noted: list[tuple[str, Way]] = []

    async def held() -> Call:
        observer = TraceObserver(folder, redactor=None)
        recording = await hold(
            conversation, ADVANCED_CASCADE, PROFILE, policy=rules_, services=services(noted), observers=[observer]
        )
        recording.check()
        return Call(recording, noted, observer.folder)

    return virtual.run(held())


def settings(delivery: Delivery) -> Way:
    """What a delivery is with this persona and voice."""
    return way(lower(DIRECTOR.hold(delivery), EmbeddedTTSSettings()))


def directed(emotion: str) -> Delivery:
    return DIRECTOR.direct(cue_of(emotion)).delivery


WARM, URGENT = shipped().named("warm"), shipped().named("urgent")

TAGGED = Conversation(
    "tagged",
    caller("I have waited for an hour.", at=1.0, cue="angry"),
    agent("I see. <slower softer pace=-3>I will look at once. </>Is it a table, <wa rm urgent>or a room?"),
    caller("A table.", cue="neutral"),
    agent(
        "<warm>Friday at seven. <pause>See you then, pass<x>word.",
        tool="book",
        arguments={"day": "Friday"},
        result={"done": True},
    ),
    caller("And a swordfish?", cue="neutral"),
    agent("We have <urgent>swordfish, and more. <stress swordfish> We like sword<x>fish. <warm"),
)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Call:
    return call(TAGGED, tmp_path_factory.mktemp("traces"))


def test_everything_is_said_in_its_own_way(tagged: Call) -> None:
    assert tagged.way("I see.") == tagged.way("Is it a table,") == settings(directed("angry"))
    assert tagged.way("I will look at once.")["speed"] == settings(Delivery(pace=-1))["speed"]
    assert tagged.way("or a room?") == settings(URGENT)
    assert tagged.way("Friday at seven.") == tagged.way("See you then, pass word.") == settings(WARM)
    assert tagged.way("We have [hidden],") == settings(Delivery())
    assert tagged.way("and more.") == settings(URGENT)


def test_no_tag_is_said_or_remembered_or_written_down(tagged: Call) -> None:
    whole = [
        *tagged.said,
        *(str(message) for message in tagged.recording.messages),
        *(event.detail for event in tagged.recording.events),
        *(path.read_text(errors="ignore") for path in tagged.trace.iterdir() if path.suffix in (".jsonl", ".json")),
    ]
    assert any("Friday at seven." in each for each in whole[len(tagged.said) :])
    for each in whole:
        for sign in ("<warm", "<x>", "<pause", "urgent>", "<stress", "softer>"):
            assert sign not in each
    for each in tagged.said:
        assert "<" not in each
        assert "swordfish" not in each.replace(" ", "") or "sword fish" in each


def test_a_call_runs_again_from_every_stage(tmp_path: Path) -> None:
    first = call(TAGGED, tmp_path, None)
    trace = Trace.load(first.trace)
    for start in ("LLM", "TAGS", "OUTPUT_GUARD", "SENTENCES", "DELIVERY", "TTS"):
        noted: list[tuple[str, Way]] = []
        stack = profile_stack(PROFILE, TAGGED)[0].replace(**services(noted))
        found = difference(trace, replay(trace, tmp_path / start, start=start, stack=stack))
        assert found.same_words, (start, found)
        if start == "TTS":
            assert [text for text, _ in noted] == first.said
        elif start != "TAGS":
            # Of a tag only what it says is written down, and not the tag.
            assert noted == first.noted, start


@pytest.mark.parametrize("into", [0.2, 0.5, 0.9, 1.4])
def test_after_an_interruption_nothing_is_left_of_a_tag(into: float, tmp_path: Path) -> None:
    held = call(
        Conversation(
            "interrupted",
            caller("Tell me all.", at=1.0, cue="neutral"),
            agent(
                "<urgent>Well, there is <warm>so much to tell. <warm>Let me begin with this, and <warm>go on with that."
            ),
            caller("Stop.", into=into, cue="neutral"),
            agent("All right, as you wish."),
        ),
        tmp_path,
    )
    assert held.way("All right,") == held.way("as you wish.") == settings(Delivery())


def test_what_takes_the_place_of_an_answer_is_said_as_the_director_says(tmp_path: Path) -> None:
    held = call(
        Conversation(
            "stopped",
            caller("How is it made?", at=1.0, cue="sad"),
            agent("<urgent>First you take a bomb, <warm>and then you light it."),
            expect(heard="First you take a … Let us talk of something else."),
        ),
        tmp_path,
    )
    assert held.way("First you take a …") == settings(URGENT)
    assert held.way("Let us talk of something else.") == settings(directed("sad"))


@pytest.mark.parametrize(
    ("architecture", "provides", "told"),
    [
        (ADVANCED_CASCADE, cloud.anthropic().provides, True),
        (ADVANCED_CASCADE, EMBEDDED.services["LLM"].provides, False),
        (ADVANCED_CASCADE.without(TAGS), cloud.anthropic().provides, False),
    ],
)
def test_a_model_that_is_worth_it_is_told_of_tags_where_they_are_taken_out(
    architecture: Architecture, provides: frozenset[Capability], told: bool
) -> None:
    briefed: list[str] = []
    stack, _ = profile_stack(PROFILE, TAGGED)
    build = stack.services["LLM"].build

    def llm(session: Session) -> FrameProcessor:
        briefed.append(session.persona.instructions)
        return build(session)

    stack = stack.replace(LLM=Service("noting", llm, provides), **services([]))

    async def made() -> None:
        worker = assemble(
            architecture, stack, MemoryTransport(lambda pcm, at: None, input_rate=16000, output_rate=24000)
        )
        assert worker.app_resources.persona.instructions == personas.load("ferni").instructions

    virtual.run(made())
    assert (prompt() in briefed[0]) is told


def test_without_the_stage_tags_would_be_heard(tmp_path: Path) -> None:
    """What the tests above find is found."""
    noted: list[tuple[str, Way]] = []
    architecture = ADVANCED_CASCADE.without(TAGS)
    virtual.run(hold(TAGGED, architecture, PROFILE, policy=POLICY, services=services(noted)))
    assert any("<slower softer pace=-3>" in text for text, _ in noted)
