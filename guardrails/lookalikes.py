"""Makes `lookalikes.txt`: which letters and digits of all scripts cannot be told from those of ASCII.

Run `python -m guardrails.lookalikes` with the package `confusable-homoglyphs` installed; nothing else needs it. Its
data are Unicode's (Technical Standard 39, `confusables.txt`).
"""

from __future__ import annotations

import json
import string
import unicodedata
from importlib.util import find_spec
from pathlib import Path

TABLE = Path(__file__).parent / "lookalikes.txt"
HEADER = "# Made by guardrails.lookalikes: code point, and what of ASCII it looks like.\n"
PLAIN = string.ascii_letters + string.digits


def table() -> str:
    """The whole file.

    Raises:
        ModuleNotFoundError: If the package is not installed.
    """
    package = find_spec("confusable_homoglyphs")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("confusable-homoglyphs is not installed: pip install confusable-homoglyphs")
    confusables = json.loads((Path(package.origin).parent / "confusables.json").read_text(encoding="utf-8"))
    similar: dict[str, set[str]] = {}
    for one, others in confusables.items():
        for other in others:
            for char, shape in ((one, other["c"]), (other["c"], one)):
                char = unicodedata.normalize("NFKC", char)
                if shape in PLAIN and len(char) == 1 and unicodedata.category(char)[0] in "LN" and not char.isascii():
                    similar.setdefault(char, set()).add(shape.lower())
    lines = (f"{ord(char):04X}\t{' '.join(sorted(shapes))}\n" for char, shapes in sorted(similar.items()))
    return HEADER + "".join(lines)


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
