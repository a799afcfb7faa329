"""Rules that judge: classifiers for what no list of words can say. They miss some; their measured share is published.

Nothing is loaded before a judge is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from guardrails.judging.judge import Judge, JudgeError, Scores, score_all, worst

__all__ = ["NAMES", "Judge", "JudgeError", "Scores", "get", "score_all", "scorer", "use", "worst"]

NAMES = ("injection", "toxicity")

_judges: dict[str, Judge] = {}
_lock = threading.Lock()


def get(name: str) -> Judge:
    """A judge by the name that policies use. Loaded at the first call, which takes some tenths of a second.

    Raises:
        JudgeError: If there is none of the name, or it cannot be loaded.
    """
    with _lock:
        if name not in _judges:
            if name not in NAMES:
                raise JudgeError(f"no judge is called {name!r}: choose {' or '.join(NAMES)}")
            _judges[name] = _load(name)
        return _judges[name]


def scorer(name: str) -> Callable[[str], float]:
    """A judge's highest score as a function of a text. The judge is looked for, and loaded, when it is first called.

    Raises, when it is called:
        JudgeError: Whatever goes wrong.
    """

    def score(text: str) -> float:
        return worst(get(name))(text)

    return score


def use(name: str, judge: Judge | None) -> None:
    """Have a judge of another make answer by a name; None for the one that ships."""
    with _lock:
        if judge is None:
            _judges.pop(name, None)
        else:
            _judges[name] = judge


def _load(name: str) -> Judge:
    from guardrails.judging.encoder import Encoder, locate
    from guardrails.judging.head import Head
    from guardrails.judging.report import HEADS, shipped
    from guardrails.judging.windowed import HeadJudge

    entry = shipped(name)
    head = Head.load(HEADS / entry.file, entry.sha256)
    made = (judge for judge in _judges.values() if isinstance(judge, HeadJudge))
    encoder = next((judge.encoder for judge in made), None)
    return HeadJudge(name, head, encoder or Encoder(locate()))
