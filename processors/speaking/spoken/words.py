"""A written word and its neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

PAUSES = ",.;:!?…—"
QUOTES = "\"'“”‘’«»"
_OPENING = QUOTES + "([{"
_CLOSING = QUOTES + ")]},.;:!?…"


@dataclass(eq=False)
class Word:
    """A word of the text, in three parts: opening punctuation, core, closing punctuation."""

    written: str
    text: str
    """Without markup."""
    start: int = 0
    """In characters of the text."""
    line: str = ""
    """What stands before it in its line, after a line feed."""
    group: int = 0
    """Identifies the group of digits it belongs to; 0 for none."""
    before: Self | None = None
    after: Self | None = None
    said: str = ""
    said_before: str | None = None
    """What is said for its core, where the word before has decided that."""

    def __post_init__(self) -> None:
        core = self.text.lstrip(_OPENING)
        self.opening = self.text[: len(self.text) - len(core)]
        self.core = core.rstrip(_CLOSING)
        self.closing = core[len(self.core) :]

    @property
    def capital(self) -> bool:
        """Whether it begins with a capital."""
        return self.core[:1].isupper()

    @property
    def key(self) -> str:
        """Its core in lower case."""
        return self.core.lower()

    @property
    def is_number(self) -> bool:
        """Whether it begins with a digit."""
        return self.core[:1].isdecimal()


Rule = Callable[[str, Word], str | None]
"""What is said for a word, given its core (which may be a piece of the word's own core), or None: it doesn't apply."""
