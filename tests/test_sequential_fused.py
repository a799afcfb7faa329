"""One model from voice to voice, turn by turn: OpenAI Realtime's wire, the gate and the embedded voice behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from loopback.clock import run_fast
from loopback.pipeline import Bench, bench
from loopback.scripted_realtime import Answers, Babbles, CallsTool, Fails, Refuses, ScriptedRealtime, Sung
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import BaseTransport
from typer.testing import CliRunner

from guardrails.policy import Policy
from pipelines import SEQUENTIAL_FUSED, Persona, assemble
from pipelines.app.cli import app
from pipelines.definition import AUDIO_GATE, Architecture
from pipelines.lab.caller import Caller, calling
from pipelines.stacks import Session, StackError, fused
from pipelines.stacks.catalogue import check_filled, choose
from pipelines.stacks.embedded import EMBEDDED, SYNTHESISER
from processors.guarding.frames import UnfinishedAnswerFrame
from processors.pcm import Samples, to_samples
from tests.guarded import policy, terms
from tests.speech import needs, say
from tests.test_half_cascade import PERSONA, spoken
from tests.test_half_cascade_vendors import ORDER, SAID, errors, finder, heard, words
from tests.tones import RATE, tones, windows
from tests.traced import interrupted

FALLBACK = "Let us talk of something else."
SONG = (Sung("It is ", 300), Sung("on ", 400), Sung("its way.", 500))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    monkeypatch.delenv("OPENAI_REALTIME_BASE_URL", raising=False)


def model(server: ScriptedRealtime, context: LLMContext | None = None, persona: Persona = PERSONA) -> Any:
    return fused.openai_realtime(base_url=server.base_url).build(Session(persona, context or LLMContext()))


def sung(board: Bench) -> Samples:
    """What the model has said."""
    return to_samples(b"".join(frame.audio for frame in board.all(TTSAudioRawFrame)))


def told(board: Bench) -> str:
    return "".join(frame.text for frame in board.all(TTSTextFrame))


async def call(
    server: ScriptedRealtime,
    talk: Callable[[Caller], Awaitable[Any]],
    *,
    architecture: Architecture = SEQUENTIAL_FUSED,
    context: LLMContext | None = None,
    rules: Policy | None = None,
    persona: Persona = PERSONA,
) -> Any:
    """A call through the whole pipeline with the embedded voice behind the gate."""
    needs("hibari-heart")
    stack = EMBEDDED.replace(SPEECH_LLM=fused.openai_realtime(base_url=server.base_url))
    await stack.load(architecture)

    def make(transport: BaseTransport, observers: Sequence[BaseObserver]) -> PipelineWorker:
        return assemble(
            architecture,
            stack,
            transport,
            persona=persona,
            policy=rules,
            context=context,
            observers=list(observers),
        )

    async with calling(make) as caller:
        await server.ready()
        return await talk(caller)


def is_said(text: str, samples: Samples) -> bool:
    """Whether the embedded voice says this text in what was heard."""
    speech = SYNTHESISER.get().speak(text).samples
    size = len(samples) + len(speech)
    like = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(speech, size)), size)
    at = int(like[: len(samples)].argmax())
    there = samples[at : at + len(speech)]
    alike = np.dot(there, speech[: len(there)]) / (np.linalg.norm(there) * np.linalg.norm(speech) + 1e-9)
    return bool(alike > 0.9)


class TestWire:
    async def test_the_sound_goes_out_and_speech_comes_back_with_its_words(self) -> None:
        persona = PERSONA.model_copy(update={"voices": {"openai-realtime": {"voice": "cedar"}}})
        async with (
            ScriptedRealtime(Answers(SONG, ORDER)) as server,
            bench(model(server, persona=persona)) as board,
        ):
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert tones(sung(board)) == [300, 400, 500]
            assert len(sung(board)) / RATE == pytest.approx(1.2, abs=0.01)
            assert told(board) == "It is on its way."
            assert heard(board) == [ORDER]
            assert [len(board.all(kind)) for kind in (TTSStartedFrame, TTSStoppedFrame)] == [1, 1]
            assert board.all(UnfinishedAnswerFrame) == []
            assert errors(board) == []
        (connection,) = server.connections
        assert connection.session["output_modalities"] == ["audio"]
        assert connection.session["audio"]["output"]["voice"] == "cedar"
        assert connection.turns[0] == pytest.approx(2.0, abs=0.1)

    def test_a_persona_can_choose_nothing_but_a_voice(self) -> None:
        persona = PERSONA.model_copy(update={"voices": {"openai-realtime": {"speed": 1.2}}})
        with pytest.raises(StackError, match=r"SPEECH_LLM: Test's openai-realtime voice says speed: 1\.2: it may set"):
            fused.openai_realtime().build(Session(persona, LLMContext()))

    async def test_of_speech_that_is_interrupted_it_remembers_the_sound_that_was_heard(self) -> None:
        async with ScriptedRealtime(Answers(SONG, ORDER)) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            # As the loudspeaker tells it; nothing of it is heard before that.
            began = asyncio.get_running_loop().time()
            await board.worker.queue_frame(BotStartedSpeakingFrame(), FrameDirection.UPSTREAM)
            await board.wait(BotStartedSpeakingFrame)
            await board.send(*spoken(0.2)[:-2], InterruptionFrame())
            (connection,) = server.connections
            await server.until(lambda: bool(connection.of("conversation.item.truncate")))
            passed = asyncio.get_running_loop().time() - began
            (cut,) = connection.of("conversation.item.truncate")
            assert 0 <= cut["audio_end_ms"] <= 1000 * passed + 1
            assert errors(board) == []

    async def test_what_comes_after_an_answer_was_cancelled_is_not_heard(self) -> None:
        held = Answers(SONG[:1], ORDER, then="hold", under_way=SONG[1:])
        script = (held, Answers([Sung("Bye.", 600)], "Stop."))
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(TTSAudioRawFrame)
            await board.send(*spoken(0.5)[50:52], InterruptionFrame(), *spoken(0.5)[52:])
            await board.until(lambda: told(board).endswith("Bye."))
            await board.until(lambda: tones(sung(board)) == [300, 600])
            assert told(board) == "It is Bye."
            assert errors(board) == []

    async def test_a_guard_behind_it_ends_the_answer_and_leaves_what_the_caller_is_saying(self) -> None:
        held = Answers(SONG[:1], ORDER, then="hold", under_way=SONG[1:])
        script = (held, Answers([Sung("Bye.", 600)], "Stop."))
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(TTSAudioRawFrame)
            (connection,) = server.connections
            cleared = len(connection.of("input_audio_buffer.clear"))
            begins, ends = spoken(0.5)[:75], spoken(0.5)[75:]
            await board.send(*begins)
            await board.worker.queue_frame(InterruptionFrame(), FrameDirection.UPSTREAM)
            await board.wait(LLMFullResponseEndFrame)
            assert connection.response is None
            await board.send(*ends)
            await board.wait(LLMFullResponseEndFrame, 2)
            assert tones(sung(board)) == [300, 600]
            assert len(connection.of("input_audio_buffer.clear")) == cleared
            assert connection.of("conversation.item.truncate") == []
            assert connection.turns[-1] > 1.0  # with what was said before it
            assert errors(board) == []

    @pytest.mark.parametrize(
        ("then", "why"), [("drop", "no close frame"), ("close", "session expired"), ("oversized", "1009")]
    )
    async def test_a_line_that_breaks_in_mid_answer_is_reported_and_replaced(self, then: str, why: str) -> None:
        context = LLMContext([*SAID])
        script = (Answers(SONG[:1], ORDER, then=then), Answers([Sung("It is here.", 600)], "Hello?"))
        async with ScriptedRealtime(*script) as server, bench(model(server, context)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(UnfinishedAnswerFrame)
            await server.until(lambda: len(server.connections) == 2 and len(server.connections[1].items) == len(SAID))
            (error,) = errors(board)
            assert why in error
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert tones(sung(board)) == [300, 600]
            assert [len(board.all(kind)) for kind in (TTSStartedFrame, TTSStoppedFrame)] == [2, 2]
            assert len(errors(board)) == 1
        assert server.connections[1].remembered[: len(SAID)] == [(each["role"], each["content"]) for each in SAID]

    async def test_what_is_no_event_is_reported_without_its_words_and_the_rest_is_heard(self) -> None:
        async with ScriptedRealtime(Babbles(Answers(SONG, ORDER))) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame)
            assert tones(sung(board)) == [300, 400, 500]
            assert set(errors(board)) == {"OpenAI Realtime sent what cannot be understood (Exception)"}

    async def test_a_response_that_failed_is_unfinished_and_the_next_turn_is_answered(self) -> None:
        script = (Fails("rate_limit_exceeded", response=True), Answers(SONG, ORDER))
        async with ScriptedRealtime(*script) as server, bench(model(server)) as board:
            await server.ready()
            await board.send(*spoken(1.0))
            await board.wait(UnfinishedAnswerFrame)
            await board.send(*spoken(1.0))
            await board.wait(LLMFullResponseEndFrame, 2)
            assert tones(sung(board)) == [300, 400, 500]
            assert errors(board) == ["rate_limit_exceeded"]

    async def test_a_refused_key_is_reported_at_once_and_tried_again_with_the_next_turn(self) -> None:
        async with ScriptedRealtime(Refuses(401), Refuses(401)) as server, bench(model(server)) as board:
            await board.until(lambda: len(board.errors) == 1)
            assert "401" in errors(board)[0]
            await board.send(*spoken(1.0))
            await board.until(lambda: sum("401" in error for error in errors(board)) == 2)

    @pytest.mark.parametrize("then", ["hold", "lag"])
    def test_an_answer_that_does_not_come_or_go_on_is_given_up_and_the_next_turn_answered(self, then: str) -> None:
        async def turns() -> None:
            held = Answers(SONG[:1], ORDER, then=then, under_way=SONG[1:])
            async with (
                ScriptedRealtime(held, Answers([Sung("Bye.", 600)], "Hello?")) as server,
                bench(model(server)) as board,
            ):
                await server.ready()
                await board.send(*spoken(1.0))
                await board.wait(UnfinishedAnswerFrame)
                assert "within 10 s" in errors(board)[0]
                await board.send(*spoken(1.0))
                await board.until(lambda: told(board).endswith("Bye.") and tones(sung(board))[-1:] == [600])
                assert tones(sung(board)) == ([300, 600] if then == "hold" else [600])

        run_fast(turns())


class TestCall:
    async def test_two_turns_are_heard_and_remembered(self) -> None:
        context = LLMContext()
        thanks = Answers([Sung("You are ", 600), Sung("welcome.", 700)], "Thanks.")
        async with ScriptedRealtime(Answers(SONG, ORDER), thanks) as server:

            async def talk(caller: Caller) -> None:
                first = await caller.say(say(ORDER))
                assert tones(caller.answer_audio()) == [300, 400, 500]
                second = await caller.say(say("Thank you."))
                assert tones(caller.answer_audio()) == [600, 700]
                assert [first.answer, second.answer] == ["It is on its way.", "You are welcome."]
                assert first.errors == second.errors == []

            await call(server, talk, context=context)
        assert words(context) == [
            ("user", ORDER),
            ("assistant", "It is on its way."),
            ("user", "Thanks."),
            ("assistant", "You are welcome."),
        ]
        (connection,) = server.connections
        assert connection.of("conversation.item.truncate") == []
        assert connection.remembered[:2] == words(context)[:2]

    async def test_who_interrupts_is_answered_and_both_memories_hold_what_was_heard(self) -> None:
        context = LLMContext()
        long = [Sung(f"{word} ", 300 + 10 * number) for number, word in enumerate("a b c d e f g h i j".split())]
        async with ScriptedRealtime(Answers(long, ORDER), Answers([Sung("Bye.", 900)], "Stop.")) as server:

            async def talk(caller: Caller) -> list[int]:
                await interrupted(caller, say(ORDER), say("Stop, please."))
                return windows(caller.answer_audio())

            heard = await call(server, talk, context=context)
        (_, said), *rest = words(context)[1:]
        whole = "".join(each.text for each in long)
        assert 0 < len(said) < len(whole.strip())
        assert whole.startswith(said)
        assert rest == [("user", "Stop."), ("assistant", "Bye.")]
        assert heard[-3:] == [900] * 3 or 900 in heard
        assert 390 not in heard
        (connection,) = server.connections
        (cut,) = connection.of("conversation.item.truncate")
        # A word is remembered with the first sound of it, so that one more at most has been told than was heard whole.
        assert cut["audio_end_ms"] / 400 == pytest.approx(len(said.split()), abs=1.0)
        assert [role for role, _ in connection.remembered] == ["user", "assistant", "user", "assistant"]
        kept = connection.items[1]
        assert len(kept["sound"]) / 2 / RATE == pytest.approx(cut["audio_end_ms"] / 1000, abs=0.001)

    @pytest.mark.parametrize("behind", [0, 1])
    async def test_what_the_policy_forbids_is_not_heard_and_the_persona_says_something_else(self, behind: int) -> None:
        context = LLMContext()
        answer = Answers(
            [
                Sung("You ", 300, 0.2),
                Sung("get ", 400, 0.2),
                Sung("a ", 500, 0.2),
                Sung("refund ", 600, 0.2),
                Sung("today.", 700, 0.2),
            ],
            ORDER,
            then="hold",
            under_way=[Sung(" At once.", 800)],
            behind=behind,
        )
        async with ScriptedRealtime(answer, Answers([Sung("Bye.", 900)], "Thanks.")) as server:

            async def talk(caller: Caller) -> None:
                await caller.say(say(ORDER))
                sound = caller.answer_audio()
                assert {300, 400} <= set(windows(sound))
                assert not {600, 700, 800} & set(windows(sound))
                assert is_said(FALLBACK, sound)
                await caller.say(say("Thank you."))
                assert tones(caller.answer_audio()) == [900]

            await call(server, talk, context=context, rules=policy(terms("refund", action="stop", text="")))
        said = words(context)[1][1]
        assert said.startswith("You get")
        assert said.endswith(FALLBACK)
        assert "refund" not in str(context.messages)
        (connection,) = server.connections
        # It does not speak on in vain, and knows no more afterwards than the context does.
        assert connection.response is None or "where" not in connection.response
        assert connection.remembered[:2] == words(context)[:2]

    async def test_without_the_gate_everything_is_heard(self) -> None:
        bare = SEQUENTIAL_FUSED.without(AUDIO_GATE, unguarded="a test of what is heard without it")
        answer = Answers([Sung("You get a ", 300), Sung("refund.", 600)], ORDER)
        async with ScriptedRealtime(answer) as server:

            async def talk(caller: Caller) -> str:
                turn = await caller.say(say(ORDER))
                assert tones(caller.answer_audio()) == [300, 600]
                return turn.answer

            said = await call(server, talk, architecture=bare, rules=policy(terms("refund", action="stop", text="")))
        assert said == "You get a refund."

    async def test_words_that_come_later_than_their_sound_are_waited_for(self) -> None:
        notes = [Sung(f"{word} ", 300 + 100 * number, 0.2) for number, word in enumerate("one two three four".split())]
        async with ScriptedRealtime(Answers(notes, ORDER, behind=4)) as server:

            async def talk(caller: Caller) -> str:
                turn = await caller.say(say(ORDER))
                assert tones(caller.answer_audio()) == [300, 400, 500, 600]
                return turn.answer

            assert await call(server, talk) == "one two three four"

    async def test_a_tool_is_known_called_and_its_result_answered(self) -> None:
        asked: list[dict[str, Any]] = []
        context = LLMContext(tools=finder(asked))
        script = (CallsTool("find", ['{"order": ', '"42"}'], ORDER), Answers([Sung("It is in Bern.", 500)]))
        async with ScriptedRealtime(*script) as server:

            async def talk(caller: Caller) -> str:
                turn = await caller.say(say(ORDER))
                assert tones(caller.answer_audio()) == [500]
                return turn.answer

            assert await call(server, talk, context=context) == "It is in Bern."
        assert asked == [{"order": "42"}]
        (connection,) = server.connections
        (output,) = [item for item in connection.items if item["type"] == "function_call_output"]
        assert output["output"] == '{"city": "Bern"}'
        assert words(context)[-1] == ("assistant", "It is in Bern.")

    async def test_of_an_answer_whose_line_breaks_nothing_is_heard_whose_words_have_not_come(self) -> None:
        persona = PERSONA.model_copy(update={"apology": "I am sorry."})
        answer = Answers([*SONG, Sung(" refund", 600)], ORDER, then="drop", quietly=1)
        async with ScriptedRealtime(answer, Answers([Sung("It is here.", 700)], ORDER)) as server:

            async def talk(caller: Caller) -> None:
                turn = await caller.say(say(ORDER))
                sound = caller.answer_audio()
                assert 300 in windows(sound)
                assert 600 not in windows(sound)
                assert is_said("I am sorry.", sound)
                assert len(turn.errors) == 1
                again = await caller.say(say(ORDER))
                assert tones(caller.answer_audio()) == [700]
                assert again.answer == "It is here."

            await call(server, talk, persona=persona, rules=policy(terms("refund", action="stop", text="")))


class TestCommand:
    def test_it_is_chosen_by_name(self) -> None:
        stack = choose("embedded", LLM="openai-realtime")
        check_filled(SEQUENTIAL_FUSED, stack)
        stack.check(SEQUENTIAL_FUSED)

    def test_an_empty_slot_is_refused_in_one_line(self) -> None:
        refusal = CliRunner().invoke(app, ["talk", "-a", "sequential_fused"])
        assert refusal.exit_code != 0
        text = " ".join(refusal.output.split())
        assert "SPEECH_LLM is filled by nothing" in text
        assert "choose openai-realtime with --llm" in text
        assert "Traceback" not in text
