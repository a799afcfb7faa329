"""What recognisers of other makers tell of how something was said, as what goes into a cue.

Of the speech recognisers in Pipecat 1.14 these tell it of the voice:

- Smallest (Pulse 2): scores of emotions under `emotion` in a final result, by Pipecat's description of the service. The
  maker's own pages call the object `emotions` and show scores by name for recordings
  (docs.smallest.ai, "Emotion detection"); both are read.
- FunASR with SenseVoice: one emotion as a token, and sounds such as laughter; Pipecat turns both into emoji in the
  text (FunASR's `rich_transcription_postprocess`, the table in SenseVoice's `webui.py`).
- ElevenLabs (Scribe): sounds as a "word" of type `audio_event`, "(laughter)" for one
  (elevenlabs.io/docs, "Speech to Text"); Pipecat passes it on for whole segments.

Sentiments of Gladia, Deepgram and AssemblyAI come from the words alone, and Pipecat passes none of them on: they say
nothing of the voice and are left out. Hume has no recogniser in Pipecat.

Word times are read for Deepgram, ElevenLabs and Smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pipecat.frames.frames import TranscriptionFrame

from processors.hearing.cues import EMOTIONS, Cue
from processors.hearing.emphasis import Word, words_of

LABEL_ALONE = 0.6
"""Probability that an emotion is given that a recogniser names without one: likely, and not certain."""

SOUND = 0.9
"""The same for a sound such as laughter."""

NAMES: Mapping[str, str] = {
    "neutral": "neutral",
    "neu": "neutral",
    "calm": "neutral",
    "happiness": "happy",
    "happy": "happy",
    "hap": "happy",
    "joy": "happy",
    "sadness": "sad",
    "sad": "sad",
    "anger": "angry",
    "angry": "angry",
    "ang": "angry",
}
"""Others' names of the emotions that a cue has; what else they name has no place in it and counts for none of them."""

FACES: Mapping[str, str] = {"😊": "happy", "😔": "sad", "😡": "angry"}
"""SenseVoice's emotions as FunASR writes them; it writes nothing for neutral and for what it doesn't know."""

LAUGH = "😀"


@dataclass(frozen=True)
class Told:
    """What a recogniser told beside the words.

    Args:
        emotions: Of `EMOTIONS`, summing to 1; empty if it told none.
        laughter: How likely it is that there is some.
        sigh: How likely it is that there is one.
        words: With their times, in order; empty if it told none.
    """

    emotions: Mapping[str, float] = field(default_factory=dict)
    laughter: float = 0.0
    sigh: float = 0.0
    words: tuple[Word, ...] = ()


Reader: TypeAlias = Callable[[TranscriptionFrame], Told]


def reader(recogniser: object) -> Reader | None:
    """What reads the results of a recogniser, a Pipecat service or a kind of one; None if it tells nothing more."""
    modules = (kind.__module__ for kind in type(recogniser).__mro__)
    return next((_READERS[module] for module in modules if module in _READERS), None)


def together(told: Sequence[Told]) -> Told:
    """Of a turn that came in several transcripts, each of which counts alike."""
    named = [each.emotions for each in told if each.emotions]
    return Told(
        emotions={name: sum(shares[name] for shares in named) / len(named) for name in EMOTIONS} if named else {},
        laughter=max((each.laughter for each in told), default=0.0),
        sigh=max((each.sigh for each in told), default=0.0),
        words=tuple(word for each in told for word in each.words) if all(each.words for each in told) else (),
    )


def onto(cue: Cue, told: Told) -> Cue:
    """A cue with what a recogniser told: its emotions instead of our own, sounds where either heard them."""
    return replace(
        cue,
        emotions=told.emotions or cue.emotions,
        laughter=max(cue.laughter, told.laughter),
        sigh=max(cue.sigh, told.sigh),
    )


def _smallest(frame: TranscriptionFrame) -> Told:
    result = _mapping(frame.result)
    scores = _mapping(result.get("emotion") or result.get("emotions"))
    return Told(_shares(scores), words=_words(result.get("words"), "word"))


def _funasr(frame: TranscriptionFrame) -> Told:
    found = [name for face, name in FACES.items() if face in frame.text]
    rest = (1 - LABEL_ALONE) / (len(EMOTIONS) - 1)
    shares = {name: LABEL_ALONE if name in found else rest for name in EMOTIONS} if len(found) == 1 else {}
    return Told(shares, laughter=SOUND if LAUGH in frame.text else 0.0)


def _elevenlabs(frame: TranscriptionFrame) -> Told:
    entries = [_mapping(entry) for entry in _list(_mapping(frame.result).get("words"))]
    sounds = " ".join(str(entry.get("text")).lower() for entry in entries if entry.get("type") == "audio_event")
    return Told(
        laughter=SOUND if "laugh" in sounds else 0.0,
        sigh=SOUND if "sigh" in sounds else 0.0,
        words=_words([entry for entry in entries if entry.get("type") == "word"], "text"),
    )


def _deepgram(frame: TranscriptionFrame) -> Told:
    alternatives = getattr(getattr(frame.result, "channel", None), "alternatives", None)
    entries = getattr(alternatives[0], "words", None) if alternatives else None
    return Told(words=_words([vars(entry) for entry in _list(entries)], "punctuated_word", "word"))


_READERS: Mapping[str, Reader] = {
    "pipecat.services.smallest.stt": _smallest,
    "pipecat.services.funasr.stt": _funasr,
    "pipecat.services.elevenlabs.stt": _elevenlabs,
    "pipecat.services.deepgram.stt": _deepgram,
}


def _shares(scores: Mapping[str, Any]) -> Mapping[str, float]:
    """Scores by a maker's names as shares of `EMOTIONS`; empty where none of them has any."""
    shares = dict.fromkeys(EMOTIONS, 0.0)
    for name, score in scores.items():
        ours = NAMES.get(str(name).lower())
        if ours and isinstance(score, (int, float)) and 0 <= score <= 1:
            shares[ours] += float(score)
    if "neutral" not in (NAMES.get(str(name).lower()) for name in scores):
        # Without a score of its own, neutral has what all emotions leave.
        numbers = [float(score) for score in scores.values() if isinstance(score, (int, float))]
        shares["neutral"] = max(0.0, 1 - sum(numbers)) if numbers else 0.0
    whole = sum(shares.values())
    return {name: share / whole for name, share in shares.items()} if whole > 0 else {}


def _words(entries: Any, *keys: str) -> tuple[Word, ...]:
    """Words with times; none if any lacks them, since times of some words only can't be laid on the voice."""
    found = []
    for entry in map(_mapping, _list(entries)):
        text = next((entry[key] for key in keys if entry.get(key)), None)
        start, end = entry.get("start"), entry.get("end")
        if not isinstance(text, str) or not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
            return ()
        found += [replace(word, start=float(start), end=float(end)) for word in words_of(text)]
    return tuple(found)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else ()
