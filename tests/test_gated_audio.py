"""The stage AUDIO_GATE: what Pipecat's fused services push, and what is let through of it, in which frames."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    EndWorkerFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    SpeechOutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.live import events as live
from pipecat.services.openai.live.llm import OpenAILiveLLMService
from pipecat.services.openai.realtime import events as realtime
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

from guardrails import Policy
from guardrails.judging import Scores, use
from processors.guarding.audio_gate import MISSING, Pcm
from processors.guarding.frames import GuardFrame, UnclearedTextFrame, UnfinishedAnswerFrame, is_cleared
from processors.guarding.gated_audio import STREAM_LIMIT_SECS, GatedAudio, Transcribed, Transcriber
from processors.guarding.guarding import Guarding
from tests.guarded import HIDDEN, personal, policy, terms
from tests.harness import Bench, on_the_bench, on_virtual_time

RATE = 24000
WORD = RATE // 4
"""Samples of a word: 250 ms."""

FALLBACK = "Let us talk of something else."
RULES = policy(terms("swordfish", action="stop", text=""))


def sound(number: int, samples: int = WORD, kind: type[OutputAudioRawFrame] = TTSAudioRawFrame) -> OutputAudioRawFrame:
    """Speech whose samples hold a number; 0 is silence."""
    return kind(np.full(samples, 1000 * number, "<i2").tobytes(), RATE, 1)


def stream(number: int, samples: int = WORD) -> OutputAudioRawFrame:
    return sound(number, samples, SpeechOutputAudioRawFrame)


def words(text: str) -> list[Frame]:
    """A piece of transcript as both services push it."""
    written, spoken = LLMTextFrame(text), TTSTextFrame(text, "sentence")
    written.append_to_context = False
    spoken.includes_inter_frame_spaces = True
    return [written, spoken]


@dataclass
class Call:
    """A gate on the bench."""

    bench: Bench
    gate: GatedAudio
    guarding: Guarding
    numbers: list[int] = field(default_factory=list)

    async def give(self, *frames: Frame | Sequence[Frame]) -> None:
        for frame in frames:
            await self.bench.give(*([frame] if isinstance(frame, Frame) else frame))

    def heard(self) -> list[tuple[int, int]]:
        """What was let through since this was last called: how many samples of which number, without silence."""
        frames = self.bench.take(OutputAudioRawFrame)
        assert all(map(is_cleared, frames))
        samples = np.frombuffer(b"".join(frame.audio for frame in frames), "<i2") // 1000
        return [(int(each), int((samples == each).sum())) for each in dict.fromkeys(samples.tolist()) if each]

    def text(self) -> str:
        """The text that was let through since this was last called."""
        frames = self.bench.take(TTSTextFrame)
        assert all(frame.skip_tts and frame.text == frame.text.strip() and is_cleared(frame) for frame in frames)
        assert not self.bench.take(LLMTextFrame)
        assert not self.bench.take(UnclearedTextFrame)
        return " ".join(frame.text for frame in frames)

    def kinds(self) -> list[tuple[str, bool]]:
        """What was pushed, and whether upstream."""
        return [(type(frame).__name__, direction is FrameDirection.UPSTREAM) for frame, direction in self.bench.pushed]


@asynccontextmanager
async def call(
    rules: Policy, transcriber: Transcriber | None = None, *, margin_ms: float = 0, lag_ms: float = 0
) -> AsyncIterator[Call]:
    guarding = Guarding(rules)
    gate = GatedAudio(guarding, transcriber, margin_ms=margin_ms, lag_ms=lag_ms)
    async with on_the_bench(gate) as bench:
        yield Call(bench, gate, guarding)


START, END = LLMFullResponseStartFrame, LLMFullResponseEndFrame


# --- an answer that comes as a whole ---


@on_virtual_time()
async def test_speech_comes_with_the_text_that_clears_it_and_the_last_at_the_end() -> None:
    async with call(RULES) as held:
        await held.give(START(), TTSStartedFrame(), words("Good "), sound(1))
        assert held.heard() == []
        await held.give(words("morning."), sound(2))
        assert (held.heard(), held.text()) == ([(1, WORD)], "Good")
        await held.give(TTSStoppedFrame())
        assert not any(kind == "TTSStoppedFrame" for kind, _ in held.kinds())
        held.bench.pushed.clear()
        await held.give(END())
        assert [kind for kind, _ in held.kinds()] == [
            "TTSAudioRawFrame", "TTSTextFrame", "TTSStoppedFrame", "LLMFullResponseEndFrame",
        ]  # fmt: skip
        assert (held.heard(), held.text()) == ([(2, WORD)], "morning.")
        counts = held.gate.counts
        assert (counts.come, counts.out, counts.silenced) == (2 * WORD, 2 * WORD, 0)


@on_virtual_time()
async def test_words_that_come_in_parts_are_told_whole() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("Go"), sound(1), words("od mor"), sound(2), words("ning"), words("."), sound(3))
        assert held.text() == "Good"
        await held.give(END())
        assert held.text() == "morning."


@on_virtual_time()
async def test_a_match_is_silenced_cancels_the_model_and_has_the_voice_say_the_fallback() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("It is "), sound(1), words("sword"), sound(2), words("fish"), sound(3))
        assert (held.heard(), held.text()) == ([(1, WORD)], "It is")
        held.bench.pushed.clear()
        await held.give(words(" now"), sound(4))
        assert held.kinds() == [("GuardFrame", False), ("InterruptionFrame", True), ("TTSSpeakFrame", False)]
        (report,) = held.bench.take(GuardFrame)
        assert (report.rule, report.action, report.direction, report.failure) == ("rule-0", "stop", "said", "")
        (speak,) = held.bench.take(TTSSpeakFrame)
        assert speak.text == FALLBACK
        assert is_cleared(speak)
        await held.give(words(". Really"), sound(5), TTSStoppedFrame(), END(), END())
        assert (held.heard(), held.text()) == ([], "")
        assert held.gate.counts.silenced == 4 * WORD


@on_virtual_time()
async def test_what_comes_of_a_cancelled_answer_after_its_end_is_not_heard_and_the_next_answer_is() -> None:
    async with call(policy(personal("card"))) as held:
        await held.give(START(), words("4111 1111 "), sound(1), words("1111 1111. "), sound(2), words("Well"))
        (speak,) = held.bench.take(TTSSpeakFrame)
        assert speak.text == HIDDEN
        await held.give(END(), TTSStoppedFrame(), words("1111"), sound(3), words(" 1111."), sound(4), END())
        assert (held.heard(), held.text()) == ([], "")
        await held.give(START(), words("Hello."), sound(5), END())
        assert (held.heard(), held.text()) == ([(5, WORD)], "Hello.")


@on_virtual_time()
async def test_an_answer_in_several_parts_is_one() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("The sword"), sound(1), START(), words("fish."), sound(2), END())
        assert held.heard() == []
        assert len(held.bench.take(InterruptionFrame)) == 1


@on_virtual_time()
async def test_what_is_held_at_an_interruption_is_never_heard_and_its_words_are_not_told() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("Good "), sound(1), InterruptionFrame())
        await held.give(END(), TTSStoppedFrame(), words("morning."), sound(2), END())
        assert (held.heard(), held.text()) == ([], "")
        await held.give(START(), words("Yes?"), sound(3), END())
        assert held.heard() == [(3, WORD)]


@on_virtual_time()
async def test_what_was_heard_of_one_answer_counts_in_the_next() -> None:
    async with call(policy(personal("card"))) as held:
        await held.give(START(), words("It is 4111 1111."), sound(1), END())
        held.heard()
        await held.give(START(), words("1111 1111, I said."), sound(2), END())
        assert held.heard() == []
        assert len(held.bench.take(TTSSpeakFrame)) == 1


@on_virtual_time()
async def test_what_a_rule_has_happen_comes_behind_its_words() -> None:
    async with call(policy(terms("bomb", action="end_call", text="Goodbye."))) as held:
        await held.give(START(), words("A bomb."), sound(1), END())
        assert [kind for kind, up in held.kinds() if not up][-3:] == [
            "TTSSpeakFrame", "EndWorkerFrame", "LLMFullResponseEndFrame",
        ]  # fmt: skip
        assert len(held.bench.take(EndWorkerFrame)) == 1


@on_virtual_time()
async def test_what_has_to_be_said_first_is_said_by_the_voice_before_the_answer() -> None:
    rules = policy({"kind": "disclosure", "action": "say_first", "text": "I am a machine.", "at_start": True})
    async with call(rules) as held:
        await held.give(START(), words("Hello."), sound(1), END())
        pushed = [kind for kind, _ in held.kinds()]
        assert pushed.index("TTSSpeakFrame") < pushed.index("TTSAudioRawFrame")
        (speak,) = held.bench.take(TTSSpeakFrame)
        assert speak.text == "I am a machine."
        await held.give(START(), words("Hello again."), sound(2), END())
        assert held.heard() == [(1, WORD), (2, WORD)]
        assert not held.bench.take(TTSSpeakFrame)


@on_virtual_time()
async def test_text_that_a_guard_before_has_veiled_is_not_passed_on_either() -> None:
    async with call(RULES) as held:
        await held.give(START(), UnclearedTextFrame("Hello."), words("Hello.")[1], sound(1), END())
        assert (held.heard(), held.text()) == ([(1, WORD)], "Hello.")


@on_virtual_time()
async def test_words_that_come_without_spaces_get_them() -> None:
    async with call(policy(terms("swordfish"))) as held:
        await held.give(START(), TTSTextFrame("a", "word"), TTSTextFrame("sword", "word"), TTSTextFrame("too.", "word"))
        await held.give(sound(1), END())
        assert (held.heard(), held.text()) == ([(1, WORD)], "a sword too.")


@pytest.mark.parametrize(
    ("frame", "failure"),
    [
        (TTSAudioRawFrame(bytes(3), RATE, 1), "ValueError"),
        (TTSAudioRawFrame(bytes(8), RATE, 2), "ValueError"),
        (TTSAudioRawFrame(bytes(8), 16000, 1), "ValueError"),
    ],
    ids=["half a sample", "stereo", "another rate"],
)
@on_virtual_time()
async def test_audio_that_cannot_be_used_ends_the_answer(frame: Frame, failure: str) -> None:
    async with call(RULES) as held:
        await held.give(START(), words("Good "), sound(1), words("morning "), frame, sound(2), words("to you."), END())
        assert held.heard() == [(1, WORD)]
        (report,) = held.bench.take(GuardFrame)
        assert (report.rule, report.failure) == ("guard", failure)
        assert [speak.text for speak in held.bench.take(TTSSpeakFrame)] == [FALLBACK]


@on_virtual_time()
async def test_a_classifier_that_breaks_ends_the_answer() -> None:
    class Broken:
        labels = ("toxicity",)

        def score(self, text: str) -> Scores:
            raise MemoryError(text)

    rules = policy({"kind": "toxicity", "judge": "toxicity", "action": "stop", "text": "Sorry."})
    use("toxicity", Broken())
    try:
        async with call(rules) as held:
            await held.give(START(), words("You are an angel. "), sound(1), words("Truly."), sound(2), END())
            assert held.heard() == []
            assert [report.failure for report in held.bench.take(GuardFrame)] == ["JudgeError"]
            assert [speak.text for speak in held.bench.take(TTSSpeakFrame)] == [FALLBACK]
    finally:
        use("toxicity", None)


@on_virtual_time()
async def test_of_an_answer_that_was_broken_off_no_sound_is_heard_whose_words_may_be_missing() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("Good "), sound(1), words("morning "), sound(2), UnfinishedAnswerFrame())
        assert (held.heard(), held.text()) == ([(1, WORD)], "Good")
        assert not held.bench.take(TTSSpeakFrame)


# --- speech without end ---


@on_virtual_time()
async def test_what_waits_when_speech_without_end_is_broken_off_is_not_heard_with_what_follows() -> None:
    async with call(RULES, lag_ms=250) as held:
        await held.give(START(), stream(1), words("Good "), stream(2), UnfinishedAnswerFrame())
        assert held.heard() == [(1, WORD)]
        await held.give(stream(3), START(), words("So?"), stream(0))
        assert held.heard() == [(3, WORD)]


@on_virtual_time()
async def test_silence_flows_and_speech_without_end_waits_for_its_words() -> None:
    async with call(RULES) as held:
        for _ in range(100):
            await held.give(stream(0))
            await asyncio.sleep(WORD / RATE)
        assert len(held.bench.take(SpeechOutputAudioRawFrame)) == 100
        await held.give(stream(1), START(), TTSStartedFrame(), words("Good "), stream(2), words("day."), stream(0))
        assert held.heard() == [(1, WORD), (2, WORD)]
        await held.give(TTSStoppedFrame(), END(), stream(0), stream(3), START(), words("So?"), END())
        assert (held.heard(), held.text()) == ([(3, WORD)], "Good day. So?")


@on_virtual_time()
async def test_a_model_that_is_not_cancelled_is_silent_until_its_answer_is_over() -> None:
    async with call(RULES) as held:
        await held.give(START(), stream(1), words("It is swordfish "), stream(2), words("and more"), stream(3))
        assert len(held.bench.take(TTSSpeakFrame)) == 1
        await held.give(words(" and more."), stream(4), TTSStoppedFrame(), END())
        assert held.heard() == [(1, WORD)]
        await held.give(stream(0), stream(5), START(), words("Hello."), END())
        assert held.heard() == [(5, WORD)]


@on_virtual_time()
async def test_speech_without_words_is_not_waited_for_and_a_breath_costs_nothing() -> None:
    async with call(RULES) as held:
        await held.give(stream(1), *(stream(0) for _ in range(40)))
        assert held.heard() == []
        assert not held.bench.take(TTSSpeakFrame)
        await held.give(*(stream(2) for _ in range(int(STREAM_LIMIT_SECS * 4) + 1)))
        (report,) = held.bench.take(GuardFrame)
        assert report.failure == MISSING
        assert held.heard() == []
        await held.give(START(), words("Hello "), stream(3), words("you."), END())
        assert held.heard() == [(3, WORD)]


@on_virtual_time()
async def test_an_interruption_between_answers_leaves_speech_without_end_alone() -> None:
    async with call(RULES) as held:
        await held.give(stream(0), InterruptionFrame(), stream(1), START(), words("Hello."), END())
        assert held.heard() == [(1, WORD)]


@on_virtual_time()
async def test_speech_without_end_is_heard_again_behind_the_end_of_an_answer_that_was_interrupted() -> None:
    async with call(RULES) as held:
        await held.give(START(), words("Good "), stream(1), InterruptionFrame(), words("day."), stream(2), END())
        await held.give(stream(0), stream(3), START(), words("Well."), END())
        assert (held.heard(), held.text()) == ([(1, WORD), (3, WORD)], "Good Well.")


# --- words of a transcriber ---


class Recogniser:
    """Knows which word each number is, and is sure of it when the next begins."""

    def __init__(self, *known: str) -> None:
        self._known = known
        self.begin()

    def begin(self) -> None:
        self._at = self._last = 0

    def hear(self, samples: Pcm, rate: int) -> Sequence[Transcribed]:
        number, before = int(samples[0]) // 1000, self._last
        words = [Transcribed(f"{self._known[before]} ", self._at)] if number != before and before else []
        self._at, self._last = self._at + len(samples), number
        return words

    def finish(self) -> Sequence[Transcribed]:
        return [Transcribed(self._known[self._last], self._at)]


@on_virtual_time(measured=True)
async def test_a_transcribers_words_count_and_not_the_models() -> None:
    ears = Recogniser("", "It", "is", "swordfish", "today")
    async with call(RULES, ears) as held:
        await held.give(START(), words("It is nothing today."), *map(sound, (1, 2, 3, 4)), END())
        assert (held.heard(), held.text()) == ([(1, WORD), (2, WORD)], "It is")
        assert [speak.text for speak in held.bench.take(TTSSpeakFrame)] == [FALLBACK]
        await held.give(START(), *map(sound, (1, 2, 4)), END())
        assert (held.heard(), held.text()) == ([(1, WORD), (2, WORD), (4, WORD)], "It is today")


@on_virtual_time(measured=True)
async def test_a_transcriber_that_breaks_ends_the_answer() -> None:
    class Broken(Recogniser):
        def hear(self, samples: Pcm, rate: int) -> Sequence[Transcribed]:
            raise OSError

    async with call(RULES, Broken("", "It")) as held:
        await held.give(START(), sound(1), sound(2), END())
        assert held.heard() == []
        assert [report.failure for report in held.bench.take(GuardFrame)] == ["OSError"]


# --- what the services push ---


class Realtime(OpenAIRealtimeLLMService):
    """OpenAI Realtime with nobody at the other end of the line."""

    def __init__(self) -> None:
        off = realtime.AudioInput(turn_detection=False)
        properties = realtime.SessionProperties(audio=realtime.AudioConfiguration(input=off))
        super().__init__(api_key="none", settings=OpenAIRealtimeLLMService.Settings(session_properties=properties))
        self.sent: list[str] = []

    async def _connect(self) -> None:
        pass

    async def send_client_event(self, event: Any) -> None:
        self.sent.append(event.type)


class Live(OpenAILiveLLMService):
    """OpenAI Live with nobody at the other end of the line."""

    def __init__(self) -> None:
        super().__init__(api_key="none")

    async def _connect(self) -> None:
        pass


def pushed(bench: Bench) -> list[Frame]:
    """What a service has pushed downstream since this was last called."""
    frames = [frame for frame, direction in bench.pushed if direction is FrameDirection.DOWNSTREAM]
    bench.pushed.clear()
    return frames


def encoded(number: int) -> str:
    return base64.b64encode(sound(number).audio).decode()


@on_virtual_time()
async def test_openai_realtime_is_heard_as_far_as_it_is_cleared_and_cancelled() -> None:
    of: dict[str, Any] = {
        "event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0,
    }  # fmt: skip
    service = Realtime()
    async with on_the_bench(service) as model, call(RULES) as held:

        async def says(text: str, number: int) -> None:
            kind = "response.output_audio_transcript.delta"
            await service._handle_evt_audio_transcript_delta(
                realtime.ResponseAudioTranscriptDelta(**of, type=kind, delta=text)
            )
            await service._handle_evt_audio_delta(
                realtime.ResponseAudioDelta(**of, type="response.output_audio.delta", delta=encoded(number))
            )
            await held.give(pushed(model))

        item = realtime.ConversationItem(id="i", type="message", role="assistant")
        await service._handle_evt_conversation_item_added(
            realtime.ConversationItemAdded(event_id="e", type="conversation.item.added", item=item)
        )
        await says("The word ", 1)
        await says("is swordfish", 2)
        assert held.heard() == [(1, WORD)]
        await says(", sir", 3)
        (cancel,) = [frame for frame, up in held.bench.pushed if up is FrameDirection.UPSTREAM]
        await model.give(cancel, direction=FrameDirection.UPSTREAM)
        assert "response.cancel" in service.sent
        await held.give(pushed(model))
        await says(". It is swordfish", 4)
        await says(".", 5)
        assert (held.heard(), held.text()) == ([], "The word")
        assert [speak.text for speak in held.bench.take(TTSSpeakFrame)] == [FALLBACK]


@on_virtual_time()
async def test_openai_live_is_heard_as_far_as_it_is_cleared() -> None:
    service = Live()
    async with on_the_bench(service) as model, call(RULES, lag_ms=250) as held:

        async def says(text: str, number: int) -> None:
            await service._handle_server_event(
                live.OutputAudioDeltaEvent(type="session.output_audio.delta", delta=encoded(number))
            )
            if text:
                await service._handle_server_event(
                    live.TranscriptDeltaEvent(type="session.output_transcript.delta", delta=text)
                )
            await held.give(pushed(model))

        await says("", 0)
        for number, text in enumerate(("Good ", "day ", "to ", "you."), start=1):
            await says(text, number)
        await says("", 0)
        await service._close_turn("assistant")
        await held.give(pushed(model))
        assert (held.heard(), held.text()) == ([(1, WORD), (2, WORD), (3, WORD), (4, WORD)], "Good day to you.")
        for number, text in enumerate(("It ", "is ", "sword", "fish ", "now."), start=1):
            await says(text, number)
        await service._close_turn("assistant")
        await held.give(pushed(model))
        assert (held.heard(), held.text()) == ([(1, WORD), (2, WORD)], "It is")
        assert [speak.text for speak in held.bench.take(TTSSpeakFrame)] == [FALLBACK]


def test_the_gate_is_a_processor_of_its_own() -> None:
    assert isinstance(GatedAudio(Guarding(RULES)), FrameProcessor)
