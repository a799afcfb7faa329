"""Prices."""

import re

from processors.speaking.spoken.counting import DASH, NUMBER, amount, count, plural
from processors.speaking.spoken.tables import TABLES
from processors.speaking.spoken.words import Word

_MONEY = TABLES.money
_SYMBOL = "|".join(re.escape(symbol) for symbol in sorted(_MONEY.currencies, key=len, reverse=True))
_PRICE = re.compile(
    rf"([-−+~]?)({_SYMBOL})({NUMBER})(?:{DASH}(?:{_SYMBOL})?({NUMBER}))?(k|mm?|mn|bn?|tn?)?(\+?)(?:/([A-Za-z]+))?",
    re.IGNORECASE,
)


def price(core: str, word: Word) -> str | None:
    """ "$4.50", "$10–$15", "$1.5M", "20€", "$20/mo"."""
    if match := re.fullmatch(rf"({NUMBER})¢", core):
        return count(match[1], "cent")
    if match := re.fullmatch(rf"({NUMBER})([£€¥])", core):
        return _money(match[2], match[1])
    match = _PRICE.fullmatch(core)
    if match is None:
        return None
    sign, symbol, least, most, scale, plus, per = match.groups()
    unit = plural(_MONEY.currencies[symbol.upper()].unit)
    after = word.after
    if scale:
        said = f"{amount(least)} {f'to {amount(most)} ' if most else ''}{_MONEY.scales[scale.lower()]} {unit}"
    elif after is not None and after.key in _MONEY.scale_words and not word.closing:
        after.said_before = f"{after.core} {unit}"
        said = f"{amount(least)}{f' to {amount(most)}' if most else ''}"
    elif most:
        said = f"{amount(least)} to {_money(symbol, most)}"
    else:
        said = _money(symbol, least)
    said = {"": "", "+": "plus ", "~": "about "}.get(sign, "minus ") + said
    return said + (" plus" if plus else "") + (f" per {TABLES.measures.per.get(per, per)}" if per else "")


def _money(symbol: str, written: str) -> str:
    """Say a sum: "$" and "4.50" is "four dollars and fifty cents"."""
    currency = _MONEY.currencies[symbol.upper()]
    whole, _, fraction = written.replace(",", "").partition(".")
    if not currency.hundredth or len(fraction) > 2:
        return count(written, currency.unit)
    hundredths = int((fraction + "0")[:2]) if fraction else 0
    said = [count(whole.lstrip("0") or "0", currency.unit)] if int(whole or 0) or not hundredths else []
    if hundredths:
        said.append(count(str(hundredths), currency.hundredth))
    return " and ".join(said)
