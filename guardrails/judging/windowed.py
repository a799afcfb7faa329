"""The judges that ship: a head on the sentence encoder, for texts of any length up to a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from guardrails.fold import folded
from guardrails.judging.encoder import Encoder, unit
from guardrails.judging.head import Head
from guardrails.judging.judge import JudgeError, Scores

MOST = 20_000
"""Characters; a longer text is not judged."""


class HeadJudge:
    """Judges the whole of a text and, where it has several windows, each of them: the highest score counts.

    A text is folded first, so that look-alikes and invisible characters change nothing.

    Args:
        label: What it looks for.
        head: What scores a window.
        encoder: What embeds it.
        limit_secs: A text that takes longer is not judged. Looked at between windows, which take some 35 ms each.
        clock: Seconds.
    """

    def __init__(
        self,
        label: str,
        head: Head,
        encoder: Encoder,
        limit_secs: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels = (label,)
        self._head = head
        self.encoder = encoder
        self._limit_secs = limit_secs
        self._clock = clock

    def score(self, text: str) -> Scores:
        """How sure it is that a text is what it looks for.

        Raises:
            JudgeError: If the text is too long, or it took too long.
        """
        return {self.labels[0]: self._head.probability(self.total(text))}

    def total(self, text: str) -> float:
        """The head's highest sum over the text and its windows.

        Raises:
            JudgeError: As for `score`.
        """
        if len(text) > MOST:
            raise JudgeError(f"a text of {len(text)} characters is not judged: give at most {MOST} at a time")
        until = self._clock() + self._limit_secs
        text = folded(text)
        parts = []
        for part, pieces in self.encoder.windows(text):
            if self._clock() > until:
                raise JudgeError(f"judging took over {self._limit_secs:g} s: give a shorter text, or a higher limit")
            parts.append((part, self.encoder.vector(pieces)))
        whole = unit(np.mean([vector for _, vector in parts], axis=0))
        windows = parts if len(parts) > 1 else []
        return max(self._head.total(part, vector) for part, vector in [(text, whole), *windows])
