"""What a judge is: a classifier that says how sure it is that a text is of some kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Scores = dict[str, float]
"""How sure a judge is of each of its labels, from 0 to 1."""


class JudgeError(RuntimeError):
    """A judge cannot say: it is missing, damaged, too slow or was given too much. One line with the mend.

    Whoever asks has to treat the text as forbidden.
    """

    mendable = True


class Judge(Protocol):
    """Says how sure it is, by label, that a text is what it looks for. May be called in several threads at once."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it gives scores for."""

    def score(self, text: str) -> Scores:
        """How sure it is of every label.

        Args:
            text: A sentence or more.

        Raises:
            JudgeError: If it cannot say.
        """


def score_all(judge: Judge, texts: Sequence[str]) -> list[Scores]:
    """The scores of several texts, in their order. Each is judged alone: beside which others never matters.

    Raises:
        JudgeError: If the judge cannot say of one of them.
    """
    return [judge.score(text) for text in texts]


def worst(judge: Judge) -> Callable[[str], float]:
    """A judge as a function that gives its highest score, which is what a policy's rule compares with its threshold.

    Whatever goes wrong in a judge, this raises JudgeError.
    """

    def score(text: str) -> float:
        try:
            scores = judge.score(text)
            return max(scores[label] for label in judge.labels)
        except JudgeError:
            raise
        except Exception as error:
            raise JudgeError(f"a judge failed ({type(error).__name__}): see the log, or take it out") from error

    return score
