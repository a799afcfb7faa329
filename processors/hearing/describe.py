"""A cue in words, for the language model."""

from __future__ import annotations

from processors.hearing.cues import Cue

KNOWN_FROM = 6
"""Turns of a caller that have to be known before anything is said about how they change: about a minute of talk. In a
call of three turns, chance alone changes them by more than is worth a word."""

LIKELY, CERTAIN = 0.5, 0.75
"""Probability of an emotion from which the caller "may be", and from which they "sound"."""

SAD = 0.85
"""What sadness takes to be likely: quiet and low speech, as in meetings, is mistaken for it (see the heads' card)."""

LIVELY, UNPLEASANT = 0.75, 0.35
"""Arousal from which a caller sounds lively although no one emotion is likely, and valence below which that may be
tension."""

HESITANT, AUDIBLE = 0.7, 0.8
"""How likely a search for words, and a laugh or a sigh, has to be."""

AT_ODDS = 0.8
"""How likely it has to be that words and voice say different things."""

FASTER, LOUDER = 0.15, 3.0
"""Change of pace, in parts of itself a minute, and of level, dB a minute, that is worth a word."""

MOODS = {"happy": "happy", "sad": "sad", "angry": "upset"}
"""What to call the emotions. Anger in a voice is hard to tell from fear, so it is called by what they share."""


def describe(cue: Cue) -> str:
    """A cue as one sentence in parentheses; empty if nothing is out of the ordinary.

    It names what is likely as likely and says nothing of the rest. Irony is never named: that words and voice may be at
    odds is all that is known.

    Args:
        cue: How the turn was said.
    """
    said = [*_mood(cue), *_events(cue), *_changes(cue)]
    if not said:
        return ""
    *others, last = said
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"(The caller {listed}.)"


def _mood(cue: Cue) -> list[str]:
    likely = max(cue.emotions.values(), default=0.0)
    if likely >= (SAD if cue.emotion == "sad" else LIKELY) and cue.emotion in MOODS:
        return [f"{'sounds' if likely >= CERTAIN else 'may be'} {MOODS[cue.emotion]}"]
    if cue.arousal.combined >= LIVELY:
        return ["may be tense" if cue.valence.combined <= UNPLEASANT else "sounds lively"]
    return []


def _events(cue: Cue) -> list[str]:
    return [
        words
        for heard, words in (
            (cue.laughter >= AUDIBLE, "seems to laugh"),
            (cue.sigh >= AUDIBLE, "seems to sigh"),
            (cue.hesitation >= HESITANT, "seems to be searching for words"),
            (cue.disagreement >= AT_ODDS, "may mean something else than the words say"),
        )
        if heard
    ]


def _changes(cue: Cue) -> list[str]:
    if cue.turns_heard < KNOWN_FROM:
        return []
    pace, level = cue.pace_trend, cue.loudness_trend
    how = [
        words
        for changed, words in (
            (pace >= FASTER, "faster"),
            (pace <= -FASTER, "more slowly"),
            (level >= LOUDER, "louder"),
            (level <= -LOUDER, "more quietly"),
        )
        if changed
    ]
    return [f"speaks {' and '.join(how)} than before"] if how else []
