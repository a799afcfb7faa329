"""What has to be said in a call, and what of it the caller has heard."""

from __future__ import annotations

from collections.abc import Iterable

from guardrails.policy import DisclosureRule, ScriptRule
from guardrails.regular import words


class Required:
    """Remembers which lines of disclosures and scripts were heard. The agent may have said them by itself.

    Args:
        rules: Disclosures and scripts.
    """

    def __init__(self, rules: Iterable[DisclosureRule | ScriptRule]) -> None:
        self._lines = {rule.id: rule.lines if rule.kind == "script" else (rule.text,) for rule in rules}
        self._done = dict.fromkeys(self._lines, 0)

    @property
    def longest(self) -> int:
        """Characters of the longest line, with room for what may stand between its words."""
        return max((2 * len(line) for lines in self._lines.values() for line in lines), default=0)

    @property
    def done(self) -> dict[str, int]:
        """How many lines of each rule were heard: for `restore`."""
        return dict(self._done)

    def restore(self, done: dict[str, int]) -> None:
        """Go back to what was heard at an earlier time."""
        self._done = dict(done)

    def heard(self, answer: str) -> None:
        """Take note of an answer, as it was heard."""
        said = _plain(answer)
        for rule, lines in self._lines.items():
            self._done[rule] = _follow(lines, self._done[rule], said)

    def missing(self, rule: str, said: str = "") -> list[str]:
        """The lines of a rule that have not been said yet, in order.

        Args:
            rule: The rule's id.
            said: What has been said of the answer under way.
        """
        lines = self._lines[rule]
        return list(lines[_follow(lines, self._done[rule], _plain(said)) :])


def _plain(text: str) -> str:
    return f" {' '.join(words(text))} "


def _follow(lines: tuple[str, ...], done: int, answer: str) -> int:
    """How many lines have been said after an answer."""
    at = 0
    while done < len(lines):
        line = _plain(lines[done])
        found = answer.find(line, at)
        if found < 0:
            break
        at = found + len(line) - 1
        done += 1
    return done
