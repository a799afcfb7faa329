"""A call is handed over, by word, by tool and by a choice: what was said is kept, and no voice says another's words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    LLMUpdateSettingsFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, TTSSettings
from pipecat.transports.base_transport import BaseTransport

from guardrails import Policy
from pipelines import ADVANCED_CASCADE, BASIC_CASCADE, EMBEDDED, personas
from pipelines.assemble import assemble
from pipelines.definition import HEARING, VAD, Capability
from pipelines.lab import virtual
from pipelines.lab.caller import Caller, calling
from pipelines.personas import Persona, PersonaError
from pipelines.stacks import Service, StackError
from processors.embedded.llm import EmbeddedLLMService
from processors.embedded.tts import EmbeddedTTSService
from processors.speaking.director import Director, rules
from processors.speaking.frames import SpeakerFrame
from processors.speaking.switchboard import Speaker, Switchboard, UnavailableError
from tests.guarded import policy as rules_of
from tests.guarded import terms
from tests.harness import on_the_bench, on_virtual_time
from tests.speech import needs, say
from tests.standin import ToneTTS
from tests.traced import interrupted, speech, stack

ARCHITECTURE = ADVANCED_CASCADE.without(VAD, HEARING)
CAST = tuple(
    personas.load(name).model_copy(update={"instructions": name.capitalize(), "greeting": f"Hi, {name} here."})
    for name in ("ferni", "maya", "peter")
)
LONG = "This goes on. And on it goes. And it has no end that anybody could see from where we stand."


class Mind(LLMService):
    """Answers with its answers, and notes as whom. A word that begins with > calls the tool for the name behind it."""

    def __init__(self, call: Call, instructions: str, *answers: str) -> None:
        unsupported = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}
        given = {"model": "scripted", "system_instruction": instructions}
        super().__init__(settings=LLMSettings(**{**unsupported, **given}))
        self._call = call
        self._answers = list(answers)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            self._call.asked.append(str(self._settings.system_instruction))
            await self._answer(frame.context)
        elif not isinstance(frame, LLMUpdateSettingsFrame):
            await self.push_frame(frame, direction)

    async def _answer(self, context: LLMContext) -> None:
        answer = self._answers[0]
        # What is guessed at calls no tool, and is asked again.
        calls = ">" in answer and not self._speculation_gate.is_speculating
        if (calls or ">" not in answer) and len(self._answers) > 1:
            del self._answers[0]
        await self.push_frame(LLMFullResponseStartFrame())
        for word in answer.split():
            if word.startswith(">"):
                await self.run_function_calls([FunctionCallFromLLM("hand_over", "1", {"to": word[1:]}, context)])
            else:
                await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(ToneTTS):
    """Notes which voice says what."""

    def __init__(self, call: Call, settings: TTSSettings) -> None:
        super().__init__()
        self._settings.apply_update(settings)
        self._call = call

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self._call.said.append((str(self._settings.voice), text))
        async for frame in super().run_tts(text, context_id):
            yield frame


@dataclass
class Call:
    """What came of a call: each text with its voice, as whom the model was asked, what is remembered."""

    said: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    speaking: str = ""


Talk = Callable[[Caller, PipelineWorker], Awaitable[None]]


def _voice(persona: Persona) -> TTSSettings:
    return TTSSettings(voice=persona.name)


def hold(
    heard: Sequence[str],
    answers: Sequence[str],
    talk: Talk | None = None,
    *,
    tools: bool = False,
    held_to: Policy | None = None,
) -> Call:
    """Hold a call in which the caller says one thing after the other."""
    call = Call()
    provides = frozenset({Capability.TEXT_OUT, *([Capability.TOOLS] if tools else [])})

    def mind(session: Any) -> Mind:
        return Mind(call, session.persona.instructions, *answers)

    services = stack(heard, answers).replace(
        LLM=Service("mind", mind, provides),
        TTS=Service(
            "voice",
            lambda session: Voice(call, _voice(session.persona)),
            frozenset({Capability.WORD_TIMESTAMPS, Capability.PERSONA_VOICE}),
            settings=_voice,
        ),
    )

    async def main() -> None:
        workers: list[PipelineWorker] = []

        def worker(transport: BaseTransport, observers: Sequence[Any]) -> PipelineWorker:
            made = assemble(
                ARCHITECTURE, services, transport, persona=CAST[0], others=CAST[1:], observers=observers, policy=held_to
            )
            workers.append(made)
            return made

        async with calling(worker) as caller:
            if talk is not None:
                await talk(caller, workers[0])
            else:
                for text in heard:
                    await caller.say(speech(0.25 * len(text.split())))
            await asyncio.sleep(1.0)
        session = workers[0].app_resources
        call.messages = [dict(message) for message in session.context.messages]
        call.speaking = session.persona.name

    virtual.run(main())
    return call


def test_who_is_asked_for_answers_at_once_in_their_own_voice_and_the_model_goes_on_as_them() -> None:
    call = hold(["Hello.", "Can I talk to Maya?", "How are you?"], ["Hello to you.", "Very well."])
    assert call.said == [("Ferni", "Hello to you."), ("Maya", "Hi, maya here."), ("Maya", "Very well.")]
    assert call.asked == ["Ferni", "Maya"]
    assert call.speaking == "Maya"
    assert [(message["role"], message["content"]) for message in call.messages] == [
        ("user", "Hello."),
        ("assistant", "Hello to you."),
        ("user", "Can I talk to Maya?"),
        ("assistant", "Hi, maya here."),
        ("user", "How are you?"),
        ("assistant", "Very well."),
    ]


def test_what_else_was_asked_is_answered_by_who_took_over() -> None:
    call = hold(["My back hurts. Put Peter on, please."], ["Where does it hurt?"])
    assert call.said == [("Peter", "Where does it hurt?")]
    assert call.asked == ["Peter"]


def test_twice_in_a_row_and_back() -> None:
    call = hold(["Put Maya on.", "Give me Peter please.", "Switch to Ferni.", "Hello."], ["Here I am."])
    assert [voice for voice, _ in call.said] == ["Maya", "Peter", "Ferni", "Ferni"]
    assert (call.asked, call.speaking) == (["Ferni"], "Ferni")


def test_who_is_asked_for_while_speaking_answers_for_themselves() -> None:
    call = hold(["Can I talk to Ferni?"], ["You do already."])
    assert call.said == [("Ferni", "You do already.")]


def test_the_tool_hands_over_behind_what_the_model_has_said() -> None:
    call = hold(["I need somebody who cheers me up."], ["One moment, please. >maya", "Hey there."], tools=True)
    assert call.said == [("Ferni", "One moment,"), ("Ferni", "please."), ("Maya", "Hey there.")]
    assert (call.asked[0], call.asked[-1]) == ("Ferni", "Maya")
    (result,) = (json.loads(message["content"]) for message in call.messages if message["role"] == "tool")
    assert result["done"] is True


@pytest.mark.parametrize(
    ("name", "told"), [("bob", "choose Ferni, Maya, Peter"), ("Ferni", "is who speaks already"), ("", "nobody")]
)
def test_a_name_that_cannot_be_had_is_a_clear_result(name: str, told: str) -> None:
    call = hold(["I need somebody else."], [f">{name}", "I can't do that."], tools=True)
    assert call.said == [("Ferni", "I can't do that.")]
    assert set(call.asked) == {"Ferni"}
    (result,) = (json.loads(message["content"]) for message in call.messages if message["role"] == "tool")
    assert result["done"] is False
    assert told in result["reason"]


def test_a_model_without_tools_is_offered_none() -> None:
    async def talk(caller: Caller, worker: PipelineWorker) -> None:
        assert not getattr(worker.app_resources.context.tools, "standard_tools", ())
        await caller.say(speech(1.0))

    assert hold(["Hello."], ["Hi."], talk).said == [("Ferni", "Hi.")]


def test_a_choice_cuts_off_who_speaks_and_the_next_sentence_is_in_the_new_voice() -> None:
    async def talk(caller: Caller, worker: PipelineWorker) -> None:
        speaking = asyncio.create_task(caller.say(speech(0.5)))
        await caller.sound()
        await asyncio.sleep(0.5)
        await worker.app_resources.switchboard.choose("maya")
        await speaking
        await caller.say(speech(0.5))

    call = hold(["Hello.", "Go on."], [LONG, "As you like."], talk)
    voices = [voice for voice, _ in call.said]
    assert voices == sorted(voices)  # Ferni's, then Maya's, and none between
    assert call.said[-2:] == [("Maya", "Hi, maya here."), ("Maya", "As you like.")]
    first = next(message["content"] for message in call.messages if message["role"] == "assistant")
    assert LONG.startswith(first)
    assert len(first) < len(LONG)


def test_a_choice_of_somebody_else_right_after_it_counts_and_the_caller_may_interrupt_either() -> None:
    async def talk(caller: Caller, worker: PipelineWorker) -> None:
        switchboard = worker.app_resources.switchboard
        await switchboard.choose("Maya")
        await switchboard.choose("Peter")
        await caller.sound()
        await caller.say(speech(0.5, before=0.1))
        with pytest.raises(UnavailableError, match="choose Ferni, Maya, Peter"):
            await switchboard.choose("bob")
        await switchboard.choose("Peter")

    call = hold(["Stop."], ["All right."], talk)
    assert call.said[-1] == ("Peter", "All right.")
    assert call.asked == ["Peter"]
    assert call.speaking == "Peter"


def test_a_wish_that_interrupts_an_answer_is_followed() -> None:
    async def talk(caller: Caller, worker: PipelineWorker) -> None:
        await interrupted(caller, speech(0.5), speech(1.0))

    call = hold(["Hello.", "Put Maya on."], [LONG], talk)
    assert call.said[-1] == ("Maya", "Hi, maya here.")
    assert {voice for voice, _ in call.said[:-1]} == {"Ferni"}


def test_the_policy_holds_whoever_speaks() -> None:
    policy = rules_of(terms("secret", action="redact", text="[something]"))
    call = hold(["Put Maya on.", "Tell me."], ["It is a secret word."], held_to=policy)
    assert call.said == [("Maya", "Hi, maya here."), ("Maya", "It is a [something] word.")]


def test_what_may_not_be_heard_is_no_wish() -> None:
    policy = rules_of(terms("maya", direction="heard", action="refuse", text="I can't talk of that."))
    call = hold(["Put Maya on.", "Hello."], ["Hi."], held_to=policy)
    assert call.said == [("Ferni", "I can't talk of that."), ("Ferni", "Hi.")]


def test_others_under_another_policy_are_refused_in_one_line() -> None:
    other = CAST[1].model_copy(update={"policy": "finance"})
    with pytest.raises(PersonaError, match="Maya keeps to policy finance and Ferni to support") as error:
        assemble(ARCHITECTURE, stack([], ["Hi."]), None, persona=CAST[0], others=[other])  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_who_has_no_voice_is_left_out() -> None:
    def voice(persona: Persona) -> TTSSettings:
        if persona.name == "Maya":
            raise StackError("TTS: there is no such voice")
        return _voice(persona)

    services = stack([], ["Hi."]).replace(
        TTS=Service("voice", lambda session: ToneTTS(), frozenset({Capability.WORD_TIMESTAMPS}), settings=voice)
    )

    async def main() -> None:
        made: list[PipelineWorker] = []

        def worker(transport: BaseTransport, observers: Sequence[Any]) -> PipelineWorker:
            made.append(assemble(ARCHITECTURE, services, transport, persona=CAST[0], others=CAST[1:]))
            return made[0]

        async with calling(worker):
            with pytest.raises(UnavailableError, match="choose Ferni, Peter"):
                await made[0].app_resources.switchboard.choose("Maya")

    virtual.run(main())


# --- with the embedded models ---


@on_virtual_time(measured=True)
async def test_with_real_models_who_is_asked_for_takes_over_with_their_voice_and_their_prompt() -> None:
    needs("qwen2.5-coder-1.5b-instruct-q4_k_m", "moonshine-tiny-en", "hibari-heart")
    await EMBEDDED.load(BASIC_CASCADE)
    ferni, maya = personas.load("ferni"), personas.load("maya")
    workers: list[PipelineWorker] = []

    def make(transport: BaseTransport, observers: Sequence[Any]) -> PipelineWorker:
        others = personas.others(ferni)
        workers.append(assemble(BASIC_CASCADE, EMBEDDED, transport, persona=ferni, others=others, observers=observers))
        return workers[0]

    async with calling(make) as caller:
        turn = await caller.say(say("Can I talk to Maya?"), patience=20.0)
        processors = workers[0]._pipeline.processors  # Pipecat has no other way to a service
        (model,) = (each for each in _all(processors) if isinstance(each, EmbeddedLLMService))
        (voice,) = (each for each in _all(processors) if isinstance(each, EmbeddedTTSService))
        await model.prepared()
        assert turn.answer == maya.greeting
        assert turn.errors == []
        assert workers[0].app_resources.persona.name == "Maya"
        assert model._settings.system_instruction == maya.instructions
        assert voice._controls.pitch == maya.voices["embedded"]["pitch"]


def _all(processors: Sequence[Any]) -> Iterator[Any]:
    for processor in processors:
        yield processor
        yield from _all(getattr(processor, "processors", []))


# --- whether a turn was over was guessed ---

WISH = "Put Maya on, please."


def asked(text: str, *, guessed: bool = False) -> LLMContextFrame:
    return LLMContextFrame(LLMContext(messages=[{"role": "user", "content": text}]), speculation=guessed)


def over(text: str) -> LLMContextUserTurnFrame:
    return LLMContextUserTurnFrame(text=text, timestamp="")


@pytest.mark.parametrize(
    ("frames", "came"),
    [
        pytest.param([asked(WISH, guessed=True), over(WISH)], ["Maya", "Hi."], id="rightly, and nothing more comes"),
        pytest.param(
            [asked(WISH, guessed=True), EagerEndOfTurnCancelFrame(), over(WISH), asked(WISH)],
            ["Maya", "Hi."],
            id="withdrawn, and asked again",
        ),
        pytest.param(
            [asked(WISH, guessed=True), over(WISH), asked(WISH)], ["Maya", "Hi."], id="asked again all the same"
        ),
        pytest.param([over(WISH), asked(WISH)], ["Maya", "Hi."], id="not at all"),
        pytest.param(
            [
                asked(WISH, guessed=True),
                EagerEndOfTurnCancelFrame(),
                over("Put Maya on? No."),
                asked("Put Maya on? No."),
            ],
            ["Maya", "Hi."],
            id="wrongly, and more was said",
        ),
        pytest.param(
            [asked(WISH, guessed=True), EagerEndOfTurnCancelFrame(), over("Or not."), asked("Or not.")],
            ["asked"],
            id="wrongly, and the wish was none",
        ),
        pytest.param(
            [asked(f"Help. {WISH}", guessed=True), over(f"Help. {WISH}")], ["Maya", "asked"], id="with more to answer"
        ),
        pytest.param([asked(WISH)], ["asked"], id="an old wish is not followed again"),
        pytest.param([over("What?"), asked(WISH, guessed=True)], [], id="a guess alone hands nothing over"),
    ],
)
def test_a_wish_is_followed_once_whatever_was_guessed(frames: list[Frame], came: list[str]) -> None:
    async def main() -> None:
        director = Director(rules())
        speakers = [Speaker(name, "Hi.", LLMSettings(), None, director) for name in ("Ferni", "Maya")]
        switchboard = Switchboard(speakers, "Ferni", LLMContext(), lambda name: None)
        async with on_the_bench(switchboard) as bench:
            await bench.give(*frames)
            told = {
                SpeakerFrame: lambda frame: frame.speaker,
                TTSSpeakFrame: lambda frame: frame.text,
                LLMContextFrame: lambda frame: "asked",
            }
            assert [told[type(frame)](frame) for frame, _ in bench.pushed if type(frame) in told] == came

    virtual.run(main())
