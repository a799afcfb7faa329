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
    ranks: dict[tuple[What, bool], int] = {}
    for what, rank, strict in rules:
        key = (what, strict and what == "card")
        ranks[key] = min(rank, ranks.get(key, NEVER))
    card, strict = ranks.get(("card", False), NEVER), ranks.get(("card", True), NEVER)
    others = ranks.get(("ssn", False), NEVER), ranks.get(("phone", False), NEVER)
    scanners: list[Scanner] = []
    if min(card, *others) != NEVER and (card < strict or strict == NEVER):
        scanners.append(DigitScanner(card=card, ssn=others[0], phone=others[1]))
        others = NEVER, NEVER
    if strict != NEVER:
        scanners.append(DigitScanner(card=strict, ssn=others[0], phone=others[1], strict=True))
    if ("iban", False) in ranks:
        scanners.append(IbanScanner(ranks["iban", False]))
    if ("email", False) in ranks:
        scanners.append(EmailScanner(ranks["email", False]))
    return scanners
