"""Personal data in a text: numbers of cards, social security, telephones and accounts, and e-mail addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from guardrails.personal import digits, emails, iban
from guardrails.personal.digits import DigitScanner
from guardrails.personal.emails import EmailScanner
from guardrails.personal.iban import IbanScanner
from guardrails.scanning import NEVER, Scanner

What = Literal["card", "ssn", "email", "phone", "iban"]

BOUND: dict[What, int] = {
    "card": digits.BOUND["card"],
    "ssn": digits.BOUND["ssn"],
    "email": emails.BOUND,
    "phone": digits.BOUND["phone"],
    "iban": iban.BOUND,
}
"""How many characters can be undecided at most, by what is looked for; those that cannot be seen are not counted."""


def personal_scanners(rules: Iterable[tuple[What, int, bool]]) -> list[Scanner]:
    """Scanners for personal data, as few as do it.

    Args:
        rules: For each, what is looked for, the rule's rank, and whether it is strict: then any run of thirteen digits
            or more is a card, and so are eight digits that might have become one where the text ends.
    """
    ranks: dict[What, int] = {}
    strictly = NEVER
    for what, rank, strict in rules:
        if what == "card" and strict:
            strictly = min(strictly, rank)
        else:
            ranks[what] = min(rank, ranks.get(what, NEVER))
    card, ssn, phone = (ranks.get(what, NEVER) for what in ("card", "ssn", "phone"))
    scanners: list[Scanner] = []
    if strictly != NEVER and card < strictly:
        scanners.append(DigitScanner(card=strictly, strict=True))
    elif strictly != NEVER:
        scanners.append(DigitScanner(card=strictly, ssn=ssn, phone=phone, strict=True))
        card = ssn = phone = NEVER
    if min(card, ssn, phone) != NEVER:
        scanners.append(DigitScanner(card=card, ssn=ssn, phone=phone))
    if "iban" in ranks:
        scanners.append(IbanScanner(ranks["iban"]))
    if "email" in ranks:
        scanners.append(EmailScanner(ranks["email"]))
    return scanners
