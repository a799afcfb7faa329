"""Hears how one caller speaks: phrases in, cues out, and a notion of this caller that grows with every turn."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from processors.hearing import prosody
from processors.hearing.alignment import sounds
from processors.hearing.cues import EMOTIONS, RATE, Cue, Score, logit
from processors.hearing.disagreement import disagreement, lexicon
from processors.hearing.emphasis import Stretch, Word, emphasised
from processors.hearing.features import Described, describe
from processors.hearing.heads import Floats, Head, Offset, grouped
from processors.hearing.level import SILENCE, STANDARD
from processors.hearing.nonverbal import laughter
from processors.hearing.worth import AROUSAL, VALENCE
from processors.pcm import Samples

SHORTEST = 0.3
"""Seconds that a phrase has at least."""

LONGEST = 30.0
"""Seconds of a phrase that are heard: its last."""

_TREND_TURNS = 3
_KEPT = 256


@dataclass(frozen=True)
class Heads:
    """What the voice is judged by.

    Args:
        emotions: Among its classes are all of `EMOTIONS`; arousal and valence come from it as well.
        hesitation: Its classes are "fluent" and "hesitant".
    """

    emotions: Head
    hesitation: Head

    @classmethod
    def load(cls, folder: Path) -> Heads:
        """Read a folder that the recipe wrote. Raises HeadError."""
        return cls(Head.load(folder / "emotions.npz"), Head.load(folder / "hesitation.npz"))


@functools.cache
def shipped() -> Heads:
    """The heads that come with the project, and with them what else ears read from files. Raises HeadError."""
    sounds()
    lexicon()
    return Heads.load(Path(__file__).with_name("heads"))


@dataclass(frozen=True)
class _Phrase:
    """What a phrase gave, to be put together for its turn."""

    start: int
    end: int
    seconds: float
    point: Floats
    syllables: float
    hesitation: float
    laughter: float
    loudness: float
    heard: tuple[Stretch, ...]


@dataclass(frozen=True)
class _Turn:
    """What a turn left behind, for those after it."""

    minute: float
    arousal: float
    valence: float
    pace: float | None
    loudness: float


@dataclass
class Hearer:
    """One caller's ears in one conversation. Not for several threads at once.

    Args:
        heads: What the voice is judged by; the project's own by default.
    """

    heads: Heads = field(default_factory=shipped)

    def __post_init__(self) -> None:
        self._caller: Offset = self.heads.emotions.stranger()
        self._phrases: dict[tuple[int, int], _Phrase] = {}
        self._turns: list[_Turn] = []

    @property
    def turns_heard(self) -> int:
        """Turns with speech in them that are over."""
        return len(self._turns)

    def hear(self, samples: Samples, start: int = 0) -> Cue:
        """How a phrase of the present turn was said.

        Args:
            samples: Mono at 16 kHz in [-1, 1], at least 0.3 s. Of more than 30 s the last 30 are heard.
            start: Position of the first sample since the call began.

        Returns:
            Its cue; where there is only silence, one that leans nowhere.

        Raises:
            ValueError: If the samples are not one-dimensional, too few or not finite.
            WeightsError: If the encoder can't be had.
        """
        if samples.ndim != 1 or len(samples) < SHORTEST * RATE:
            raise ValueError(f"samples of shape {samples.shape}: give mono audio of at least {SHORTEST} s")
        if not np.isfinite(samples).all():
            raise ValueError("samples hold values that are not finite: repair the audio first")
        end = start + len(samples)
        described = describe(samples[-int(LONGEST * RATE) :])
        if described is None:
            return self._nothing(start, end)
        numbers, contours = described.features, described.contours
        hesitation = self.heads.hesitation
        judged = hesitation.posterior(hesitation.place(numbers), hesitation.stranger())
        phrase = _Phrase(
            start=start,
            end=end,
            seconds=prosody.speaking_seconds(contours),
            point=self.heads.emotions.place(numbers),
            syllables=float(len(prosody.syllables(contours))),
            hesitation=float(judged[hesitation.classes.index("hesitant")]),
            laughter=laughter(contours),
            loudness=described.speech.level,
            heard=(_stretch(samples, end, described),),
        )
        self._phrases[start, end] = phrase
        while len(self._phrases) > _KEPT:
            del self._phrases[next(iter(self._phrases))]
        return self._cue(phrase)

    def joined(self, cues: Sequence[Cue], words: Sequence[Word] = ()) -> Cue:
        """How several phrases were said, taken together: each counts by its seconds of speech.

        Args:
            cues: Of phrases of a turn that isn't over, in order, at least one.
            words: What was said in them, where that is known: the cue then tells which of them stand out, and whether
                they say something else than the voice.

        Raises:
            ValueError: If there are no cues.
        """
        if not cues:
            raise ValueError("no cues to join: hear a phrase first")
        phrases = self._known(cues)
        if not phrases:
            return self._nothing(cues[0].start, cues[-1].end)
        turn = _together(phrases)
        cue = self._cue(turn)
        if not words:
            return cue
        said = " ".join(word.text for word in words)
        return replace(
            cue,
            emphasised=emphasised(words, turn.heard),
            disagreement=disagreement(said, cue.valence.combined),
        )

    def turn_done(self, cues: Sequence[Cue] | None = None) -> Cue | None:
        """A turn is over: the next are heard beside it.

        Args:
            cues: Of the turn's phrases; by default of all that belong to no turn yet.

        Returns:
            How all of it was said; None if nothing was heard.
        """
        phrases = list(self._phrases.values()) if cues is None else self._known(cues)
        if not phrases:
            return None
        turn = _together(phrases)
        cue = self._cue(turn)
        for phrase in phrases:
            del self._phrases[phrase.start, phrase.end]
        self._turns.append(
            _Turn(
                minute=(turn.start + turn.end) / 2 / RATE / 60,
                arousal=logit(cue.arousal.absolute),
                valence=logit(cue.valence.absolute),
                pace=cue.pace,
                loudness=cue.loudness,
            )
        )
        # Half a second says less than two do; more than two say no more (measured on windows of each length).
        self._caller = self.heads.emotions.learn(turn.point, self._caller, min(1.0, max(turn.seconds, 0.1) / 2))
        return cue

    def _known(self, cues: Sequence[Cue]) -> list[_Phrase]:
        places = dict.fromkeys((cue.start, cue.end) for cue in cues)
        return [self._phrases[place] for place in places if place in self._phrases]

    def _cue(self, heard: _Phrase) -> Cue:
        head = self.heads.emotions
        alone, beside = head.posterior(heard.point, head.stranger()), head.posterior(heard.point, self._caller)
        shares = {name: float(beside[head.classes.index(name)]) for name in EMOTIONS}
        whole = sum(shares.values())
        pace = prosody.rate(heard.syllables, heard.seconds)
        return Cue(
            start=heard.start,
            end=heard.end,
            arousal=Score.beside(
                float(grouped(head.classes, alone, AROUSAL)),
                float(grouped(head.classes, beside, AROUSAL)),
                [turn.arousal for turn in self._turns],
            ),
            valence=Score.beside(
                float(grouped(head.classes, alone, VALENCE)),
                float(grouped(head.classes, beside, VALENCE)),
                [turn.valence for turn in self._turns],
            ),
            emotions={name: share / whole for name, share in shares.items()},
            pace=pace,
            loudness=heard.loudness,
            pace_trend=self._pace_trend(),
            loudness_trend=_slope([(turn.minute, turn.loudness) for turn in self._turns]),
            hesitation=heard.hesitation,
            laughter=heard.laughter,
            turns_heard=len(self._turns),
        )

    def _pace_trend(self) -> float:
        paces = [(turn.minute, turn.pace) for turn in self._turns if turn.pace is not None]
        return _slope(paces) / (sum(pace for _, pace in paces) / len(paces)) if paces else 0.0

    def _nothing(self, start: int, end: int) -> Cue:
        even = Score(0.5, 0.5, 0.5)
        shares = dict.fromkeys(EMOTIONS, 1 / len(EMOTIONS))
        return Cue(start, end, even, even, shares, None, SILENCE, turns_heard=len(self._turns))


def _together(phrases: list[_Phrase]) -> _Phrase:
    seconds = np.array([max(phrase.seconds, 0.01) for phrase in phrases])
    share = seconds / seconds.sum()
    power = sum(part * 10 ** (phrase.loudness / 10) for part, phrase in zip(share, phrases, strict=True))
    return _Phrase(
        start=phrases[0].start,
        end=phrases[-1].end,
        seconds=float(seconds.sum()),
        point=np.sum([part * phrase.point for part, phrase in zip(share, phrases, strict=True)], axis=0),
        syllables=sum(phrase.syllables for phrase in phrases),
        hesitation=float(sum(part * phrase.hesitation for part, phrase in zip(share, phrases, strict=True))),
        laughter=max(phrase.laughter for phrase in phrases),
        loudness=10 * math.log10(float(power)),
        heard=tuple(stretch for phrase in phrases for stretch in phrase.heard),
    )


def _stretch(samples: Samples, end: int, described: Described) -> Stretch:
    """What was heard of a phrase, at its own level and its place in the call, without the spectra, which are large."""
    heard, speech = described.contours, described.speech
    used = samples[-int(LONGEST * RATE) :]
    # The loudest sample stands in both, so that it tells where the speech was cut out.
    cut = int(np.abs(used).argmax()) - int(np.abs(speech.samples).argmax())
    lower = np.float32(STANDARD - speech.level)
    kept = replace(heard, energy=heard.energy - lower, bands=heard.bands - lower, power=heard.power[:, :0])
    return Stretch(end - len(used) + max(0, cut), kept)


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line through points (minute, value); 0 with fewer than three."""
    if len(points) < _TREND_TURNS:
        return 0.0
    minutes, values = np.array(points).T
    off = minutes - minutes.mean()
    spread = float(np.square(off).sum())
    return float((off * values).sum() / spread) if spread > 0 else 0.0
