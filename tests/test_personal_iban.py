"""Account numbers, written and spelled."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.fold import fold
from guardrails.personal.iban import STRUCTURES, IbanScanner, is_iban
from guardrails.scanning import NEVER
from pipelines.lab.guard.personal_data import cover

# Examples of the registry.
EXAMPLES = """
AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201 BE68539007547034
BG80BNBG96611020345678 BR1800360305000010009795493C1 CH9300762011623852957 CY17002001280000001200527600
CZ6508000000192000145399 DE89370400440532013000 DK5000400440116243 EE382200221020145685 ES9121000418450200051332
FI2112345600000785 FR1420041010050500013M02606 GB29NWBK60161331926819 GR1601101250000000012300695
HR1210010051863000160 HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999
IS140159260076545510730339 IT60X0542811101000000123456 LT121000011101001000 LU280019400644750000
LV80BANK0000435195001 MC5811222000010123456789030 MT84MALT011000012345MTLCAST001S NL91ABNA0417164300 NO9386011117947
PL61109010140000071219812874 PT50000201231234567890154 RO49AAAA1B31007593840000 SA0380000000608010167519
SE4550000000058398257466 SI56263300012039086 SK3112000000198742637541 TR330006100519786457841326
""".split()


def hidden(text: str) -> str:
    """The text with "#" for every character that is covered."""
    marks = cover(IbanScanner(0), text)
    return "".join("#" if mark else char for mark, char in zip(marks, text, strict=True))


def in_groups(number: str, gap: str = " ") -> str:
    return gap.join(number[at : at + 4] for at in range(0, len(number), 4))


@pytest.mark.parametrize("number", EXAMPLES)
def test_the_registry_s_examples(number: str) -> None:
    assert is_iban(number)
    for text in (number, in_groups(number), in_groups(number, "-"), number.lower(), in_groups(number, "\n")):
        assert hidden(f"To {text}, please.") == f"To {'#' * len(text)}, please."


@pytest.mark.parametrize("number", EXAMPLES)
def test_one_wrong_digit_is_no_number(number: str) -> None:
    wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
    assert not is_iban(wrong)
    assert hidden(f"To {wrong} please.") == f"To {wrong} please."


@pytest.mark.parametrize(
    "text",
    [
        "G B two nine N W B K six zero one six one three three one nine two six eight one nine",
        "G B twenty nine N W B K sixty sixteen thirteen thirty one ninety two sixty eight nineteen",
        "golf bravo two nine november whiskey bravo kilo six oh one six one double three 1 9 2 six eight one nine",
        "gb 29 nwbk 6016 dash 1331 uh 9268 19",
        "G-B-2-9-N-W-B-K-6-0-1-6-1-3-3-1-9-2-6-8-1-9",
        "ＧＢ２９ ＮＷＢＫ ６０１６ １３３１ ９２６８ １９",
        "GB29 NWBK 6O16 l331 9268 I9",
        "G\u200bB29 NW\u00adBK 6016 1331 9268 19",
        "GB29, NWBK. 6016; 1331: 9268 (19)",
    ],
)
def test_a_number_however_it_is_written(text: str) -> None:
    assert not any(char.isalnum() for char in hidden(text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("xGB29NWBK60161331926819", "x"),
        ("IBANGB29NWBK60161331926819", "IBAN"),
        ("7GB29NWBK60161331926819", "7"),
        ("GB29NWBK601613319268197", "7"),
        ("GB29NWBK60161331926819x", "x"),
        ("GB29NWBK60161331926819 DE89370400440532013000", " "),
    ],
)
def test_what_is_written_before_and_behind_lets_no_number_out(text: str, left: str) -> None:
    assert hidden(text).replace("#", "") == left


@pytest.mark.parametrize(
    "text",
    [
        "It is 20 to 30 people at 10 in the morning, be 20 or more at no 15.",
        "Flight LH 2490 to Berlin, DE 10115, or FR 75001 Paris.",
        "There are 49 items; zero 20 people came to the show, or so they said to me in the end.",
        "Order IT60 has been shipped. See you at gate SE 45.",
    ],
)
def test_sentences_that_pass(text: str) -> None:
    assert hidden(text) == text


def remainder(number: str) -> int:
    """ISO 7064, as it is written: the country and the check digits behind, letters as numbers."""
    return int("".join(str(int(char, 36)) for char in number[4:] + number[:4])) % 97


@st.composite
def numbers(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(sorted(STRUCTURES)))
    places = {"n": "0123456789", "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "c": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    account = "".join(draw(st.sampled_from(places[place])) for place in STRUCTURES[country])
    check = 98 - remainder(f"{country.upper()}00{account}")
    return f"{country.upper()}{check:02}{account}"


@settings(max_examples=200, deadline=None)
@given(numbers(), st.sampled_from(["", " ", "-", ". "]))
def test_every_number_is_found_and_undecided_until_it_is_whole(number: str, gap: str) -> None:
    assert remainder(number) == 1
    assert is_iban(number)
    text = in_groups(number, gap)
    scanner = IbanScanner(0)
    spans = []
    for at, char in enumerate(text):
        assert at == 0 or scanner.open == 0
        spans += scanner.step(at, fold(char))
    assert min(span.start for span in spans) == 0
    assert max(span.end for span in spans) == len(text)


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789", min_size=18, max_size=18), st.integers(0, 99))
def test_the_last_digit_decides(account: str, check: int) -> None:
    number = f"DE{check:02}{account}"
    scanner = IbanScanner(0)
    for at, char in enumerate(number[:-1]):
        scanner.step(at, fold(char))
    assert (scanner.open == 0) == any(remainder(number[:-1] + last) == 1 for last in "0123456789")
    spans = scanner.step(len(number) - 1, fold(number[-1]))
    assert bool(spans) == (remainder(number) == 1)
    assert scanner.open == NEVER or bool(re.search("[0-9]", number[-1]))
