"""Leftovers of markup, which nobody says: markdown, tags, emoji and emoticons."""

import re

DROP = "\0"
"""Stands for a character that is not said."""

_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff\u25a0-\u25ff\u200b-\u200f\u2060\ufe00-\ufe0f"
    "\u20e3\ufeff\U000e0000-\U000e007f\ue000-\uf8ff"
)
_MARKUP = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"```[\w+-]*|~~~[\w+-]*",  # fences
        r"!?\[(?P<keep>[^\]\n]*)\]\([^)\n]*\)",  # links, images
        r"</?[A-Za-z][^<>\n]*>|<!--.*?-->",  # tags
        r"\[\^?\d{1,3}\]",  # footnotes
        r"^[ \t]{0,3}#{1,6}(?=\s)",  # headings
        r"^[ \t]*[|:-][|: -]*-[|: -]*-[|: -]*$|^[ \t]*[*_=](?:[ \t]*[*_=]){2,}[ \t]*$",  # rules
        r"^[ \t]*[-*+•‣◦▪–](?=\s)",  # bullets
        r"^[ \t]*>+(?=\s|\w)",  # quotes
        r"(?<!\S)(?:[:;=]['’]?-?[)(DPp/|3oO\]]|<3|\^_\^)(?=[\s.,!?]|$)",  # emoticons
        rf"[{_EMOJI}©®™`|\x00-\x08\x0e-\x1b\x7f]|\*\*+|__+|~~+",
        r"(?<!\w)[*_](?=[^\s*_])|(?<=[^\s*_])[*_](?!\w)",  # emphasis
    )
]


def without_markup(text: str) -> str:
    """``text`` of the same length, with `DROP` for every character of markup and Arabic numerals for all digits."""
    text = re.sub(r"\d", lambda match: str(int(match[0])), text)
    for pattern in _MARKUP:
        text = pattern.sub(_blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    start, end = match.span("keep") if "keep" in match.groupdict() else (match.end(), match.end())
    dropped = match.string[match.start() : start], match.string[end : match.end()]
    before, after = (re.sub(r"\S", DROP, part) for part in dropped)
    return before + match.string[start:end] + after
