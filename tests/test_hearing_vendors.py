"""What vendors' recognisers tell of the voice, in the forms that they and Pipecat document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from deepgram.listen.v1.types import ListenV1Results
from pipecat.frames.frames import LLMContextFrame, LLMContextUserTurnFrame, TranscriptionFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.smallest.stt import SmallestSTTService

from processors.cloud.elevenlabs import ElevenLabsSTT
from processors.hearing.cues import EMOTIONS, Cue, Score
from processors.hearing.emphasis import Word
from processors.hearing.frames import CueFrame
from processors.hearing.tagger import Tagger
from processors.hearing.vendors import LABEL_ALONE, Reader, Told, _funasr, onto, reader, together
from processors.pcm import Samples
from tests.harness import on_the_bench, on_virtual_time
from tests.test_hearing_turns import Caller, LevelEar

HALF = Score(0.5, 0.5, 0.5)
CUE = Cue(0, 16000, HALF, HALF, dict.fromkeys(EMOTIONS, 0.25), None, -20.0, laughter=0.2)


def transcript(text: str, result: Any = None) -> TranscriptionFrame:
    return TranscriptionFrame(text, "", "", result=result)


def reads(kind: type[FrameProcessor]) -> Reader:
    """The reader of a service, without the service's connection."""
    found = reader(kind.__new__(kind))
    assert found is not None
    return found


@pytest.mark.parametrize("key", ["emotion", "emotions"])
def test_smallest_scores_are_shares_of_our_emotions(key: str) -> None:
    scores = {"happiness": 0.05, "sadness": 0.15, "disgust": 0.02, "fear": 0.03, "anger": 0.60, "neutral": 0.15}
    told = reads(SmallestSTTService)(transcript("Hello world.", {"transcript": "Hello world.", key: scores}))
    assert sum(told.emotions.values()) == pytest.approx(1)
    assert max(told.emotions, key=lambda name: told.emotions[name]) == "angry"
    assert told.emotions["angry"] == pytest.approx(0.60 / 0.95)
    assert told.words == ()


def test_what_no_emotion_has_is_neutral() -> None:
    scores = {"happiness": 0.1, "sadness": 0.05, "disgust": 0.02, "fear": 0.03, "anger": 0.1}
    told = reads(SmallestSTTService)(transcript("Hello.", {"emotions": scores}))
    assert told.emotions["neutral"] == pytest.approx(0.7 / 0.95)


@pytest.mark.parametrize(
    "result", [None, "Hello.", {}, {"emotion": None}, {"emotion": "happy"}, {"emotion": {}}, {"emotion": {"awe": 1.0}}]
)
def test_a_result_without_emotions_tells_none(result: Any) -> None:
    assert not reads(SmallestSTTService)(transcript("Hello.", result)).emotions


def test_smallest_words_have_times() -> None:
    words = [{"word": "Hi,", "start": 1.2, "end": 1.4, "confidence": 0.9}, {"word": "there", "start": 1.4, "end": 1.9}]
    told = reads(SmallestSTTService)(transcript("Hi, there", {"words": words}))
    assert told.words == (Word("Hi,", 1.2, 1.4), Word("there", 1.4, 1.9))


def test_funasr_writes_emotions_and_laughter_as_faces() -> None:
    told = _funasr(transcript("😀That was fun.😊"))
    assert told.emotions["happy"] == LABEL_ALONE
    assert sum(told.emotions.values()) == pytest.approx(1)
    assert told.laughter > 0.5
    assert _funasr(transcript("Plain.")) == Told()
    assert not _funasr(transcript("Both.😊😡")).emotions


def test_elevenlabs_words_and_sounds() -> None:
    entries = [
        {"text": "Well", "start": 0.1, "end": 0.4, "type": "word"},
        {"text": " ", "start": 0.4, "end": 0.5, "type": "spacing"},
        {"text": "(laughter)", "start": 0.5, "end": 1.0, "type": "audio_event"},
        {"text": "yes.", "start": 1.1, "end": 1.4, "type": "word"},
    ]
    told = reads(ElevenLabsSTT)(transcript("Well (laughter) yes.", {"text": "…", "words": entries}))
    assert told.words == (Word("Well", 0.1, 0.4), Word("yes.", 1.1, 1.4))
    assert told.laughter > 0.5
    assert told.sigh == 0
    assert reads(ElevenLabsSTT)(transcript("Well.", {"text": "Well.", "words": None})) == Told()


def test_deepgram_words_have_times() -> None:
    word = {"word": "yes", "punctuated_word": "Yes.", "start": 3.1, "end": 3.4, "confidence": 0.99}
    alternatives = [{"transcript": "Yes.", "confidence": 0.99, "words": [word]}]
    message = {
        "type": "Results",
        "channel_index": [0, 1],
        "duration": 1.0,
        "start": 3.0,
        "is_final": True,
        "channel": {"alternatives": alternatives},
        "metadata": {"request_id": "", "model_uuid": "", "model_info": {"name": "", "version": "", "arch": ""}},
    }
    told = reads(DeepgramSTTService)(transcript("Yes.", ListenV1Results.model_validate(message)))
    assert told.words == (Word("Yes.", 3.1, 3.4),)


def test_words_of_which_some_have_no_times_are_left_out() -> None:
    words = [{"word": "Hi", "start": 1.2, "end": 1.4}, {"word": "there"}]
    assert reads(SmallestSTTService)(transcript("Hi there", {"words": words})).words == ()


def test_other_recognisers_tell_nothing() -> None:
    from processors.embedded.stt import EmbeddedSTTService

    assert reader(EmbeddedSTTService.__new__(EmbeddedSTTService)) is None
    assert reader(object()) is None


def test_a_turn_of_several_transcripts() -> None:
    calm = {"neutral": 1.0, "happy": 0.0, "sad": 0.0, "angry": 0.0}
    cross = {"neutral": 0.0, "happy": 0.0, "sad": 0.0, "angry": 1.0}
    first, second = Told(calm, words=(Word("a", 0, 1),)), Told(cross, laughter=0.9, words=(Word("b", 1, 2),))
    both = together([first, second, Told(sigh=0.5)])
    assert both.emotions == {"neutral": 0.5, "happy": 0.0, "sad": 0.0, "angry": 0.5}
    assert (both.laughter, both.sigh) == (0.9, 0.5)
    assert both.words == ()  # the last has words whose times are unknown
    assert [word.text for word in together([first, second]).words] == ["a", "b"]
    assert together([]) == Told()


def test_a_cue_takes_what_was_told_and_keeps_the_rest() -> None:
    cross = {"neutral": 0.1, "happy": 0.0, "sad": 0.0, "angry": 0.9}
    cue = onto(CUE, Told(cross, sigh=0.7))
    assert cue == replace(CUE, emotions=cross, sigh=0.7)
    assert onto(CUE, Told()) == CUE


class WordEar(LevelEar):
    """Marks what it is given as words."""

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        return replace(super().joined(cues), emphasised=tuple(f"{word.text}@{word.start}" for word in words))

    def hear(self, samples: Samples, start: int) -> Cue:
        return replace(super().hear(samples, start), emotions=dict.fromkeys(EMOTIONS, 0.25))


@on_virtual_time({"WordEar.hear": 0.03})
async def test_what_a_recogniser_tells_is_on_the_turn_it_told_it_of() -> None:
    context = LLMContext()
    tagger, recogniser = Tagger(WordEar(), lambda cue: cue.emotion, context), SmallestSTTService(api_key="none")
    tagger.overhear(recogniser)
    async with on_the_bench(tagger) as bench:
        caller = Caller(bench, context, WordEar())
        for emotion, words in (("anger", "One."), ("happiness", "Two."), (None, "Three.")):
            await caller.phrase(100)
            entry = {"word": words, "start": 2.0, "end": 2.5}
            if emotion:
                await recogniser.push_frame(
                    transcript(words, {"emotion": {emotion: 0.9, "neutral": 0.1}, "words": [entry]})
                )
            await caller.turn(words)
        cues = [frame.cue for frame in bench.take(CueFrame)]
        assert [cue.emotion for cue in cues] == ["angry", "happy", "neutral"]
        assert [cue.emphasised for cue in cues] == [("One.@2.0",), ("Two.@2.0",), ("Three.@None",)]


@on_virtual_time({"WordEar.hear": 0.03})
async def test_a_guess_has_its_words_without_times() -> None:
    context = LLMContext()
    async with on_the_bench(Tagger(WordEar(), lambda cue: "", context)) as bench:
        caller = Caller(bench, context, WordEar())
        await caller.phrase(100)
        await caller.guess("One so far")
        (told,) = bench.take(CueFrame)
        assert told.cue.emphasised == ("One@None", "so@None", "far@None")
        assert not bench.take(LLMContextUserTurnFrame)
        assert len(bench.take(LLMContextFrame)) == 1
