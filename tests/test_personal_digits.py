"""Cards, social security and telephone numbers, typed and said."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.fold import fold
from guardrails.personal import What, personal_scanners
from guardrails.personal.digits import DigitScanner
from guardrails.scanning import NEVER
from pipelines.lab.guard.personal_data import cover

VISA = "4111 1111 1111 1111"
SAID = "four one one one one one one one one one one one one one one one"


def hidden(text: str, *what: What, strict: bool = False) -> str:
    """The text with "#" for every character that is covered."""
    marks = [False] * len(text)
    for scanner in personal_scanners([(one, 0, strict) for one in what]):
        marks = [old or new for old, new in zip(marks, cover(scanner, text), strict=True)]
    return "".join("#" if mark else char for mark, char in zip(marks, text, strict=True))


def test_a_card_is_covered_and_nothing_around_it() -> None:
    assert hidden(f"Your card {VISA} is active.", "card") == f"Your card {'#' * 19} is active."
    assert hidden(f"It is {SAID}, thanks.", "card") == f"It is {'#' * len(SAID)}, thanks."


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "180045984582343",
        "6304000000000000",
        "6200000000000005",
        "4273468222888969924",
    ],
)
def test_every_issuer(number: str) -> None:
    assert hidden(number, "card") == "#" * len(number)


@pytest.mark.parametrize(
    "text",
    [
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111        1111 1111 1111",
        "４１１１ １１１１ １１１１ １１１１",
        "④①①① ①①①① ①①①① ①①①①",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "4\u200b111 1111 1111 1111",
        "**4111** 1111 1111 1111",
        "4111. 1111! 1111? 1111",
        "4111 and 1111 uh 1111 dash dash 1111",
        "4lll llll llll llll",
        "4II1 1I11 11l1 1111",
        "4 one 1 double one 1111 one one one one triple one one",
        "four triple one, quadruple one, quadruple one, quadruple one",
        "four three ones four ones four ones four ones",
        "forty one eleven eleven eleven eleven eleven eleven eleven",
        "forty-one eleven 1111 1111 1111",
        "four hundred eleven one one one one 1111 1111 1",
        "four thousand one hundred eleven 1111 1111 1111",
        "fouroneoneone oneoneoneone 1111 1111",
        "f0ur 0ne 0ne 0ne 1111 1111 1111",
        "FOUR ONE ONE ONE 1111 1111 1111",
        "fоur оne оne оne 1111 1111 1111",
        "four1one1 1111 1111 1111",
    ],
)
def test_a_card_however_it_is_written(text: str) -> None:
    assert not any(char.isalnum() for char in hidden(text, "card"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x4111111111111111", "x"),
        ("4111111111111111x", "x"),
        ("94111111111111111", "9"),
        ("41111111111111119", ""),
        (f"{VISA}, 5 and 6 more", " more"),
        (f"8 9 {VISA}", "8 9 "),
        (f"{VISA} {VISA}", ""),
        (f"{VISA} or {VISA}", " or "),
        ("seven seven four one one one one one one one one one one one one one one one", "seven seven "),
        (f"{SAID} onerous", " onerous"),
        # A card that ends later may begin earlier.
        ("eighteen zero zero forty five ninety eight forty five eighty two three forty three", ""),
    ],
)
def test_what_is_written_before_and_behind_lets_no_card_out(text: str, left: str) -> None:
    assert hidden(text, "card").replace("#", "") == left


@pytest.mark.parametrize(
    "text",
    [
        "474-49-7577",
        "474 49 7577",
        "474.49.7577",
        "474497577",
        "4 7 4 4 9 7 5 7 7",
        "four seven four four nine seven five seven seven",
        "four seven four dash four nine dash seven five seven seven",
        "four seventy four, forty nine, seventy five seventy seven",
        "four seven double four nine seven five double seven",
    ],
)
def test_a_social_security_number(text: str) -> None:
    assert hidden(f"It is {text}.", "ssn") == f"It is {'#' * len(text)}."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("5 474-49-7577 8", "5  8"),
        ("474-49-7577 8", " 8"),
        ("474-49-7577, 474-49-7577", ", "),
        ("x474-49-7577x", "xx"),
        ("12 34 474-49-7577 and 5 6 7 8 9 10 11", "12 34  and 5 6 7 8 9 10 11"),
    ],
)
def test_what_is_written_before_and_behind_lets_no_social_security_number_out(text: str, left: str) -> None:
    assert hidden(text, "ssn").replace("#", "") == left


@pytest.mark.parametrize(
    "text", ["000-49-7577", "666-49-7577", "900-49-7577", "474-00-7577", "474-49-0000", "90210-1234"]
)
def test_what_cannot_be_a_social_security_number(text: str) -> None:
    assert hidden(text, "ssn") == text


@pytest.mark.parametrize(
    "text",
    [
        "905-674-3793",
        "(905) 674-3793",
        "1-905-674-3793",
        "905.674.3793",
        "(37) 788-063",
        "01.84.17.61.18",
        "+41 (0)69 979 80 58",
        "+447700208815",
        "+1 (415) 555-0132",
        "1-800-555-0199",
        "020 7946 0958",
        "+44 20 7946 0958",
        "0800 123 4567",
        "450 0840",
        "3660170548",
        "07700 063 966",
        "71-33-52-22",
        "0961-7596216",
        "9 0 5 6 7 4 3 7 9 3",
        "nine oh five, six seven four, three seven nine three",
        "nine oh five dash six seven four dash three seven nine three",
        "ninety five sixty seven forty three seventy nine",
        "four five oh, oh eight four oh",
    ],
)
def test_a_telephone_number(text: str) -> None:
    covered = hidden(f"Call {text} now.", "phone")
    assert covered.startswith("Call ")
    assert covered.endswith(" now.")
    assert not any(char.isalnum() for char in covered[5:-5])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("5 905-674-3793 7", "5  7"),
        ("905-674-3793, 780-999-2181", ", "),
        ("905-674-3793 ext. 12", ""),
        ("x905-674-3793x", "xx"),
    ],
)
def test_what_is_written_before_and_behind_lets_no_telephone_number_out(text: str, left: str) -> None:
    assert hidden(text, "phone").replace("#", "") == left


PASSING = [
    "One moment please, I will be with you in one second.",
    "Your order 4821-33 has been shipped, and order 48213377 is on its way.",
    "Order 12345678 is open.",
    "It was founded in 1998, moved in 2004 and closed in 2019.",
    "We are open from 2019-2024, and since 2026-11-25.",
    "The date is 25.11.2026, or 11/25/2026, at 10:30:45.",
    "That comes to $1,250.00, or 1,000,000 yen, or 1,234.56 euros.",
    "The card ending 1111 has a balance of $3,141.59.",
    "Pi is 3.14159265358979.",
    "Pi is three point one four one five nine two six five three five.",
    "Version 1.14.2 of 3.11.9 is out.",
    "Send it to 90210 or 90210-1234.",
    "The server is at 192.168.10.123.",
    "There are one hundred and twenty three items for two hundred dollars.",
    "It's one thousand two hundred and fifty dollars in twenty twenty six.",
    "Between nine thirty and ten fifteen, or at eleven forty five.",
    "I won, for the one who came to tea ate two.",
    "Count with me: one, two, three, four, five, six, seven, eight, nine, ten.",
    "Press one for sales, two for support, or zero for the operator.",
    "Gate 22, seat 14C, flight BA 2490 at 7:05.",
    "Your code is 4 8 2 1 3 3.",
    "The reference is four eight two one three three.",
    "On the first of May, 2026, 12 people paid 30 dollars each.",
    "That is 12.345.678,90 euros, or 12,345,678.90 dollars.",
    "Invoice 2024-0001234, tracking 1Z999AA10123456784, ISBN 978-3-16-148410-0.",
    "We are at 40.7128, -74.0060 or 51.50735, -0.12776.",
    "Chapters 10, 20, 30 and 40.",
    "It weighs 1.5 kg and measures 100 x 200 x 300 mm.",
]


@pytest.mark.parametrize("text", PASSING)
def test_ordinary_sentences_with_numbers_pass(text: str) -> None:
    assert hidden(text, "card", "ssn", "phone", "iban", "email") == text


def test_strictly_any_long_run_is_a_card_and_so_is_a_beginning_that_is_cut_off() -> None:
    assert hidden("1234567890123", "card", strict=True) == "#" * 13
    assert hidden("1234567890123", "card") == "1234567890123"
    assert hidden("it is 4111 1111", "card", strict=True) == "it is #########"
    assert hidden("it is 4111 111", "card", strict=True) == "it is 4111 111"
    assert hidden("it is 4111 1111 then bye", "card", strict=True) == "it is 4111 1111 then bye"


# An independent reading: what is a digit, by a regular expression; what is a card, from all substrings of a run.

WORDS = {word: str(value) for value, word in enumerate("zero one two three four five six seven eight nine".split())}
TOKEN = re.compile(r"[0-9]|[a-z]+")
FILLERS = ("and", "uh", "dash")
BRANDS = [
    (r"4", {13, 16, 19}),
    (r"3[47]", {15}),
    (r"5[1-5]", {16}),
    (r"222[1-9]|22[3-9]|2[3-6]|27[01]|2720", {16}),
    (r"6011|64[4-9]|65", {16, 19}),
    (r"30[0-5]|3095|36|3[89]", {14, 16, 19}),
    (r"35|62", {16, 17, 18, 19}),
    (r"2131|1800", {15}),
    (r"50|5[678]|6304|6390|67|0604", set(range(12, 20))),
]


@cache
def lengths(digits: str) -> set[int]:
    return set().union(*(sizes for brand, sizes in BRANDS if re.match(brand, digits)))


def checks(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def runs(text: str) -> list[list[tuple[str, int, int]]]:
    found: list[list[tuple[str, int, int]]] = [[]]
    fillers = 0
    for match in TOKEN.finditer(text):
        word = match.group()
        digit = WORDS.get(word, word if word.isdigit() else "")
        if digit:
            found[-1].append((digit, match.start(), match.end()))
            fillers = 0
        elif word in FILLERS and fillers < 2:
            fillers += 1
        else:
            found.append([])
            fillers = 0
    return found


def expected(text: str) -> str:
    out = list(text)
    for run in runs(text):
        digits = "".join(digit for digit, _, _ in run)
        cards = [
            first
            for first in range(len(digits))
            for last in range(first + 12, min(len(digits), first + 19) + 1)
            if last - first in lengths(digits[first:last]) and checks(digits[first:last])
        ]
        if cards:
            start, end = run[min(cards)][1], run[-1][2]
            out[start:end] = "#" * (end - start)
    return "".join(out)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Digits that often hold a card."""
    prefix = draw(
        st.sampled_from(["4", "37", "55", "2221", "6011", "36", "35", "62", "1800", "50", "6304", "0604", "9"])
    )
    size = draw(st.sampled_from([12, 13, 14, 15, 16, 19]))
    body = prefix + "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=size, max_size=size)))[: size - 5]
    return body + next(digit for digit in "0123456789" if checks(body + digit))


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        digits = draw(numbers()) if draw(st.booleans()) else draw(st.text("0123456789", max_size=8))
        for digit in digits:
            if draw(st.integers(0, 4)) == 0:
                parts += [" ", next(word for word, value in WORDS.items() if value == digit), " "]
            else:
                parts.append(digit)
            parts.append(draw(st.sampled_from(["", "", "", " ", "-", ", ", ". ", " and ", " uh dash "])))
        parts.append(draw(st.sampled_from(["", " hello ", " uh and dash ", " onerous ", " x"])))
    return re.sub(r"(?<=[0-9])(?=[a-z])|(?<=[a-z])(?=[0-9])", " ", "".join(parts))


@settings(max_examples=300, deadline=None)
@given(texts())
def test_cards_are_those_of_a_brute_force_reading(text: str) -> None:
    assert hidden(text, "card") == expected(text)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789", min_size=1, max_size=40) | numbers())
def test_a_card_s_beginning_is_undecided_exactly_while_digits_can_make_it_one(digits: str) -> None:
    scanner = DigitScanner(card=0)
    for at, char in enumerate(digits):
        scanner.step(at, fold(char))
        so_far = digits[: at + 1]
        covered = expected(so_far).find("#")
        alive = [
            first
            for first in range(at + 1)
            if any(len(so_far) - first < most for most in possible(so_far[first:])) and (covered < 0 or first < covered)
        ]
        wanted = min(alive, default=NEVER)
        wanted = wanted if covered < 0 else min(wanted, at + 1)
        assert scanner.open <= wanted
        if char in "2689":  # the others may be letters of a number word: "0ne", "7wo"
            assert scanner.open == wanted


@cache
def possible(digits: str) -> set[int]:
    """Lengths that a card may have which begins with these digits."""
    if len(digits) >= 4:
        return lengths(digits)
    following = [digits + str(rest).zfill(4 - len(digits)) for rest in range(10 ** (4 - len(digits)))]
    return set().union(*map(lengths, following))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["twenty", "thirty", "forty", *WORDS]), min_size=1, max_size=24))
def test_every_reading_of_tens_may_make_a_card(words: list[str]) -> None:
    tens = {"twenty": "2", "thirty": "3", "forty": "4"}
    readings = {""}
    for before, word in pairwise(["", *words]):
        if word in tens:
            readings = {f"{one}{tens[word]}0" for one in readings}
        else:
            joined = {one[:-1] + WORDS[word] for one in readings if before in tens and word != "zero"}
            readings = {one + WORDS[word] for one in readings} | joined
        readings = set(sorted(readings)[:4096])
    if len(readings) == 4096:
        return
    makes = any(
        last - first in lengths(one[first:last]) and checks(one[first:last])
        for one in readings
        for first in range(len(one))
        for last in range(first + 12, min(len(one), first + 19) + 1)
    )
    assert ("#" in hidden(" ".join(words), "card")) == makes
