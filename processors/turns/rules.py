"""How long a silence has to be before the caller is done: a pure decision."""

from __future__ import annotations

import re
from dataclasses import dataclass

TRAILING_WORDS = frozenset(
    # conjunctions and subordinators
    "and or but nor so because cause since although though unless until while whereas if whether that than as when "
    "where which who whose whom "
    # prepositions
    "for to of in on at by with from about into onto over under between through during without within against toward "
    "towards per via like "
    # determiners and possessives
    "a an the this these those my your his her its our their some any every each no another such what "
    # auxiliaries that want a verb or a complement
    "is are was were am be been being will would could should shall can may might must do does did have has had i'm "
    "i'd i'll i've it's that's we're they're there's let's gonna wanna gotta "
    # hesitations
    "um uh er erm hmm mm well so like actually basically maybe plus very really quite".split()
)
"""Words after which an English speaker has more to say."""

COMPLETE_ALTHOUGH_TRAILING = frozenset(
    "what that this who where when which so like maybe really well do does did can will would should am is are was "
    "were have has had no those these his her that's about in on".split()
)
"""Trailing words that also end sentences ("Is it on?", "I did."), if a recogniser heard one end there."""

SUBORDINATORS = frozenset("although because if once since though unless until when whenever while whereas".split())
"""Words with which half a sentence begins: "Unless a system is established" goes on after a pause."""

SHORT = 2
"""A greeting of so many words is whole without an end mark: "Hello,"."""

_WORD = re.compile(r"[a-z']+|\d+", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.?!]+[.?!]*\s*$")


@dataclass(frozen=True)
class TurnRules:
    """Silence in seconds, from the end of the caller's voice, after which the turn is over.

    Args:
        done: The model is sure and the words look finished.
        likely: The words look finished, and the model doubts it.
        unlikely: The words look finished, and the model is sure that they are not; or digits may follow.
        unfinished: The recogniser heard no end of a sentence, and the model neither.
        trailing: The words cannot be all.
        sure: Probability from which the model counts as sure that the turn is over.
        sure_not: Probability under which it counts as sure that it is not.
    """

    done: float = 0.2
    likely: float = 0.5
    unlikely: float = 0.75
    unfinished: float = 0.9
    trailing: float = 1.6
    sure: float = 0.5
    sure_not: float = 0.05


def trails_off(text: str) -> bool:
    """Whether the text ends with a word after which more has to come."""
    words = _WORD.findall(text)
    if not words:
        return False
    last = words[-1].lower()
    if last not in TRAILING_WORDS:
        return text.rstrip().endswith(("-", "–", "—", "...", "…"))
    return not (sentence_ended(text) and last in COMPLETE_ALTHOUGH_TRAILING)


def sentence_ended(text: str) -> bool:
    """Whether the recogniser put an end mark behind the last word."""
    text = text.rstrip("\"'”’ ")
    return text.endswith((".", "?", "!")) and not text.endswith("..")


def half_a_sentence(text: str) -> bool:
    """Whether the last sentence is a subordinate clause that stands alone."""
    last = _SENTENCE.search(text)
    words = _WORD.findall(last[0].lower()) if last else []
    return bool(words) and words[0] in SUBORDINATORS and "," not in (last[0] if last else "")


def ends_in_digits(text: str) -> bool:
    """Whether the last word is a number, as when one is being dictated."""
    words = _WORD.findall(text)
    return bool(words) and words[-1].isdigit()


def punctuates(text: str) -> bool:
    """Whether the recogniser seems to be one that writes sentences, with capitals and end marks."""
    return any(char.isupper() for char in text)


def silence_needed(probability: float | None, text: str, rules: TurnRules) -> float:
    """Seconds of silence after which the turn is over.

    Args:
        probability: That the turn is complete, from the turn model; None if there is no verdict.
        text: The caller's words so far in this turn.
        rules: The lengths to choose from.
    """
    if trails_off(text):
        return rules.trailing
    if probability is not None and probability >= rules.sure:
        if text.rstrip().endswith(","):
            return rules.unlikely
        return rules.likely if half_a_sentence(text) else rules.done
    if punctuates(text) and not sentence_ended(text) and len(_WORD.findall(text)) > SHORT:
        return rules.unfinished
    if ends_in_digits(text) or (probability is not None and probability < rules.sure_not):
        return rules.unlikely
    return rules.likely
