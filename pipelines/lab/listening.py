"""Hears recordings as a call would hear them: the same VAD, parts, ends of turns and ears, without the waiting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADState

from processors.embedded.utterance import Utterance
from processors.hearing.cues import RATE, Cue
from processors.hearing.emphasis import words_of
from processors.hearing.phrases import Part, Phrases
from processors.hearing.tagger import PAUSE_SECS, Ear
from processors.pcm import Samples, to_pcm
from processors.turns.decision import Do, TurnDecision
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame
from processors.turns.rules import TurnRules
from processors.turns.smart_turn import SECONDS as JUDGED_SECS
from processors.turns.strategy import Judge
from processors.turns.vad import START_SECS, STOP_SECS, WINDOW_SECS, PauseAnalyzer, PauseWatch

CHUNK = RATE // 50
"""Samples that come at a time, as over a line."""

LAST_SECS = 3.0
"""Silence after a recording, at most: every turn is over by then."""

Transcribe = Callable[[Samples], str]
"""Mono samples at 16 kHz, at most 30 s → words."""

Progress = Callable[[float, float], None]
"""Told how many of how many seconds have been heard."""


@dataclass(frozen=True)
class Words:
    """What the recogniser made of speech between two silences.

    Args:
        start: First sample of the speech.
        end: One past its last.
        text: Empty if no words were found.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Turn:
    """How a turn was said, and what. Positions count from where `listen` was told to start.

    Args:
        cue: Of all of it.
        parts: Of its parts, in order, as they were heard while the turn went on.
        words: Of its stretches of speech, in order.
    """

    cue: Cue
    parts: tuple[Cue, ...]
    words: tuple[Words, ...]

    @property
    def text(self) -> str:
        """All its words."""
        return " ".join(each.text for each in self.words if each.text)


@dataclass(frozen=True)
class Heard:
    """A recording and how it was said.

    Args:
        path: Its file.
        samples: Mono at 16 kHz in [-1, 1].
        start: The position of its first sample, from where its turns count.
        turns: In order.
    """

    path: Path
    samples: Samples
    start: int
    turns: tuple[Turn, ...]

    def seconds(self, position: int) -> float:
        """Of a position, since the recording began; within it."""
        return min(max(0, position - self.start), len(self.samples)) / RATE


def listen(
    samples: Samples,
    ear: Ear,
    transcribe: Transcribe,
    judge: Judge,
    progress: Progress = lambda done, of: None,
    *,
    start: int = 0,
) -> list[Turn]:
    """Hear a recording from beginning to end.

    Args:
        samples: Mono at 16 kHz in [-1, 1].
        ear: Hears this caller; it may know them from other recordings.
        transcribe: The recogniser.
        judge: The turn model.
        progress: Told after each second.
        start: Samples that have been heard of this caller before: the position of the first.

    Returns:
        The turns in which anything was said, in order.

    Raises:
        WeightsError: If a model can't be had.
    """
    with_silence = np.concatenate([samples, np.zeros(round(LAST_SECS * RATE), np.float32)])
    listening = _Listening(with_silence, start, ear, transcribe, judge)
    for begin in range(0, len(with_silence), CHUNK):
        if begin >= len(samples) and not listening.busy:
            break
        if begin % RATE == 0:
            progress(min(begin, len(samples)) / RATE, len(samples) / RATE)
        listening.take(begin, begin + CHUNK)
    progress(len(samples) / RATE, len(samples) / RATE)
    return listening.turns


class _Listening:
    """One recording on its way through the stages of a call."""

    def __init__(
        self,
        samples: Samples,
        start: int,
        ear: Ear,
        transcribe: Transcribe,
        judge: Judge,
    ) -> None:
        self.turns: list[Turn] = []
        self._samples, self._start = samples, start
        self._ear, self._transcribe, self._judge = ear, transcribe, judge
        self._analyzer = PauseAnalyzer()
        self._analyzer.set_sample_rate(RATE)
        self._watch = PauseWatch()
        self._decision = TurnDecision(TurnRules())
        self._phrases, self._utterance = Phrases(), Utterance()
        self._numbers = itertools.count()
        self._position = 0
        self._speaking = False
        self._began = 0
        self._cues: dict[Part, Cue] = {}
        self._words: list[Words] = []

    @property
    def busy(self) -> bool:
        """Whether a turn is under way."""
        return self._speaking or bool(self._words)

    def take(self, begin: int, end: int) -> None:
        """Take the samples from one to another."""
        pcm = to_pcm(self._samples[begin:end])
        self._position = end
        self._utterance.add(pcm)
        self._hear(self._phrases.audio(pcm, next(self._numbers)))
        state = self._analyzer._run_analyzer(pcm)
        silent = self._analyzer.silent_windows * WINDOW_SECS
        change = self._watch.update(state, self._analyzer.silent_windows)
        if state is VADState.SPEAKING and not self._speaking:
            self._started()
        elif state is VADState.QUIET and self._speaking:
            self._stopped()
        if change is SpeechPausedFrame and silent >= PAUSE_SECS:
            self._hear(self._phrases.paused(next(self._numbers)))
        if change is SpeechPausedFrame:
            self._follow(self._decision.paused(self._now, silent), silent)
        elif change is SpeechResumedFrame:
            self._phrases.resumed()
            self._follow(self._decision.resumed())
        if self._speaking and not silent and (part := self._utterance.split_if_long()) is not None:
            self._transcribed(part, self._position, final=False)
        self._follow(self._decision.tick(self._now))

    @property
    def _now(self) -> float:
        return self._position / RATE

    def _started(self) -> None:
        self._speaking = True
        self._began = max(0, self._position - round(START_SECS * RATE))
        self._phrases.started(START_SECS)
        self._utterance.start(START_SECS)
        self._follow(self._decision.started())

    def _stopped(self) -> None:
        self._speaking = False
        self._hear(self._phrases.stopped(next(self._numbers)))
        self._follow(self._decision.stopped(self._now, STOP_SECS), STOP_SECS)
        samples = self._utterance.samples()
        self._utterance.stop()
        self._transcribed(samples, self._position - round(STOP_SECS * RATE), final=True)

    def _transcribed(self, samples: Samples, end: int, *, final: bool) -> None:
        text = self._transcribe(samples)
        self._words.append(Words(self._start + self._began, self._start + end, text))
        self._began = end
        self._follow(self._decision.words(self._now, text, final=final))

    def _hear(self, part: Part | None) -> None:
        if part is not None:
            self._cues[part] = self._ear.hear(part.samples, self._start + part.start)

    def _follow(self, todo: Sequence[Do], silence: float = 0.0) -> None:
        for do in todo:
            if do is Do.JUDGE:
                recent = self._samples[max(0, self._position - round(JUDGED_SECS * RATE)) : self._position]
                self._follow(self._decision.verdict(self._now, self._judge(recent, silence)))
            elif do in (Do.ANSWER, Do.CONFIRM):
                self._turn_over()

    def _turn_over(self) -> None:
        number = next(self._numbers)
        parts = self._phrases.of(number)
        self._phrases.turn_ended(number)
        self._phrases.forget(number)
        cues = [self._cues[part] for part in parts]
        words, self._words, self._cues = tuple(self._words), [], {}
        if cues:
            said = words_of(" ".join(each.text for each in words))
            self.turns.append(Turn(self._ear.joined(cues, said), tuple(cues), words))
            self._ear.turn_done(cues)
        self._decision.begin()
