"""What is said for written text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moonshine_voice import ModelArch, Transcriber, get_model_path

from processors.embedded.hibari import SAMPLE_RATE, Synthesiser
from processors.embedded.weights import locate
from processors.speaking.spoken import spoken

SAID = {
    # numbers
    "0": "zero",
    "12": "twelve",
    "105 people": "one hundred five people",
    "1,234,567": "one million two hundred thirty-four thousand five hundred sixty-seven",
    "1500 people": "one thousand five hundred people",
    "3.14": "three point one four",
    "\\10.0.73.20": "ten dot zero dot seventy-three dot twenty",
    "1,000.50": "one thousand point five zero",
    ".5": "point five",
    "-5": "minus five",
    "2 + 2 = 4": "two plus two equals four",
    "007": "zero zero seven",
    "12345678901234567890": (
        "one two three, four five six, seven eight nine, zero one two, three four five, six seven eight, nine zero"
    ),
    "~20 min": "about twenty minutes",
    "≥18": "at least eighteen",
    # ordinals, fractions, ratios
    "the 21st": "the twenty-first",
    "2nd floor": "second floor",
    "the 3rd–5th": "the third to fifth",
    "1/2 cup": "one half cup",
    "2½ cups": "two and a half cups",
    "2 1/2 cups": "two and a half cups",
    "3/4": "three quarters",
    "8/10": "eight out of ten",
    "24/7": "twenty-four seven",
    "ratio 3:1": "ratio three to one",
    # money
    "That's $4.50.": "That's four dollars and fifty cents.",
    "$1": "one dollar",
    "$0.99": "ninety-nine cents",
    "$1,234.56": "one thousand two hundred thirty-four dollars and fifty-six cents",
    "It costs $5 million.": "It costs five million dollars.",
    "$1.5M": "one point five million dollars",
    "$10–$15": "ten to fifteen dollars",
    "-$20": "minus twenty dollars",
    "$4.50/month": "four dollars and fifty cents per month",
    "€20": "twenty euros",
    "£3.20": "three pounds and twenty pence",
    "¥500": "five hundred yen",
    "20 USD": "twenty dollars",
    "50¢": "fifty cents",
    # percentages, ranges
    "10%": "ten percent",
    "10-15%": "ten to fifteen percent",
    "3.5%": "three point five percent",
    "Open 9-5": "Open nine to five",
    "9–5 daily": "nine to five daily",
    "pages 10-12": "pages ten to twelve",
    # dates
    "May 5, 2024": "May fifth, twenty twenty-four",
    "5 May 2024": "the fifth of May twenty twenty-four",
    "on 2024-05-03": "on May third, twenty twenty-four",
    "05/03/2024": "May third, twenty twenty-four",
    "31/12/1999": "December thirty-first, nineteen ninety-nine",
    "Jan 5-7": "January fifth to seventh",
    "Jan. 3rd": "January third",
    "in 1984": "in nineteen eighty-four",
    "in 2005": "in two thousand five",
    "in 1905": "in nineteen oh five",
    "the 1990s": "the nineteen nineties",
    "the '90s": "the nineties",
    "2019-2024": "twenty nineteen to twenty twenty-four",
    "On Mon. we": "On Monday we",
    "Mon–Fri 9–5": "Monday to Friday nine to five",
    "Sun is out": "Sun is out",
    "I sat. We": "I sat. We",
    # times
    "at 7:30 pm.": "at seven thirty P.M.",
    "at 7:30 p.m. Tomorrow we go.": "at seven thirty P.M. Tomorrow we go.",
    "at 5 p.m. Monday": "at five P.M Monday",
    "12:00": "twelve o'clock",
    "3:05": "three oh five",
    "9am-5pm": "nine A.M to five P.M",
    "9:00-17:00": "nine to seventeen",
    "I am 9": "I am nine",
    # telephones and other digits
    "Call (555) 123-4567 now.": "Call five five five, one two three, four five six seven now.",
    "Call 1-800-555-0199.": "Call one, eight hundred, five five five, zero one nine nine.",
    "+44 20 7946 0958": "plus four four, two zero, seven nine four six, zero nine five eight",
    "card 4111 1111 1111 1111": "card four one one one, one one one one, one one one one, one one one one",
    "order 12345": "order one two three four five",
    "order #12345": "order number one two three four five",
    "Your code is 4821.": "Your code is four eight two one.",
    "confirmation number 84921733": "confirmation number eight four nine, two one seven, three three",
    "flight 1234": "flight one two three four",
    "Room 101": "Room one zero one",
    "room 204B": "room two zero four B",
    "CA 94103": "CA nine four one zero three",
    "Your order #A1-2093 ships.": "Your order number A one, two zero nine three ships.",
    "192.168.0.1": "one nine two dot one six eight dot zero dot one",
    # addresses of the net
    "See https://example.com/path?": "See example dot com slash path?",
    "https://example.com/a/b/c?q=1&r=2": "example dot com",
    "Go to www.test.org.": "Go to test dot org.",
    "bob.smith@example.com": "bob dot smith at example dot com",
    "j.doe+test@mail.example.org!": "J dot doe plus test at mail dot example dot org!",
    "x_1@site.co.uk": "X underscore one at site dot co dot U.K",
    # abbreviations
    "Dr. Smith lives on Elm St. near St. Paul.": "Doctor Smith lives on Elm Street near Saint Paul.",
    "Call Dr. Jones": "Call Doctor Jones",
    "Meet at 221B Baker St. at noon.": "Meet at two two one B Baker Street at noon.",
    "Mr. and Mrs. Jones": "Mister and Missus Jones",
    "e.g. this, i.e. that, etc.": "for example this, that is that, et cetera.",
    "cats vs. dogs": "cats versus dogs",
    "No. 5": "number five",
    "No, thanks.": "No, thanks.",
    "the U.S. Senate": "the U.S Senate",
    "J. K. Rowling": "J K Rowling",
    "w/o sugar": "without sugar",
    # units
    "5 ft 3 in": "five feet three inches",
    "5'11\" tall": "five foot eleven tall",
    "1 kg": "one kilogram",
    "16GB": "sixteen gigabytes",
    "100km/h": "one hundred kilometers per hour",
    "20°C": "twenty degrees Celsius",
    "−5 °F": "minus five degrees Fahrenheit",
    "500ms": "five hundred milliseconds",
    "7 days/week": "seven days per week",
    "1920x1080": "nineteen twenty by ten eighty",
    # letters, versions
    "R&D at AT&T": "R and D at A.T and T",
    "MP3": "M.P three",
    "COVID-19": "COVID nineteen",
    "GPT-4": "GPT four",
    "a 10-year-old": "a ten year old",
    "Version 2.10.3": "Version two point ten point three",
    "v1.2": "version one point two",
    "C++ and C#": "C plus plus and C sharp",
    "10K": "ten K",
    "an 8B model": "an eight billion model",
    "Henry VIII": "Henry the eighth",
    "World War II": "World War two",
    "#3 and #HashTag": "number three and hashtag Hash Tag",
    "@john_doe": "at john doe",
    "and/or": "and or",
    # markup, emoji
    "**bold** and `code` [our link](https://a.com) x": "bold and code our link x",
    "- item one\n- item two\n": "item one. item two",
    "1. Wash\n2. Dry": "one, Wash. two, Dry",
    "# Title\nText here": "Title. Text here",
    "_So_ *very* ~~not~~ good": "So very not good",
    "> quoted\n\nand more": "quoted. and more",
    "Hello 😀!": "Hello!",
    "😀 hi ❤️ :)": "hi",
    "<b>hi</b>": "hi",
    "---": "",
    "!!!": "",
    "": "",
    # left alone
    'Well, I don\'t know… (maybe) "no"?': "Well, I don't know… maybe no?",
    "wait — what - now": "wait — what — now",
    "twenty-one T-shirts": "twenty-one T-shirts",
    "NASA and FBI": "NASA and FBI",
}


@pytest.mark.parametrize("written", SAID)
def test_said(written: str) -> None:
    assert " ".join(word.said for word in spoken(written) if word.said) == SAID[written]


def test_each_written_word_keeps_its_place() -> None:
    assert spoken("Pay $4.50 🙂 by 5 p.m.") == [
        ("Pay", "Pay"),
        ("$4.50", "four dollars and fifty cents"),
        ("🙂", ""),
        ("by", "by"),
        ("5", "five"),
        ("p.m.", "P.M."),
    ]


WORDS = st.sampled_from(re.findall(r"\S+", " ".join(SAID)))
SPACES = st.sampled_from([" ", "  ", "\n", "\n\n", "\t"])
TEXTS = (
    st.lists(st.tuples(WORDS, SPACES), max_size=12).map(lambda pairs: "".join(a + b for a, b in pairs))
    | st.text(alphabet="0123456789$€%.,:;-–/#&@()[]*_`'\"!?aBcDr mMpx°+×½\n ", max_size=30)
    | st.text(max_size=30)
)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(TEXTS)
def test_any_text_keeps_its_words_and_becomes_sayable(text: str) -> None:
    entries = spoken(text)
    assert [entry.written for entry in entries] == text.split()
    for entry in entries:
        assert not re.search(r"\d(?<=[0-9])|[$€£%@#&*_`<>\[\]{}|\\=+°\n\t\0]", entry.said), entry
        assert entry.said == " ".join(entry.said.split())


# --- by ear ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def voice() -> Synthesiser:
    return Synthesiser(locate("hibari-heart"))


@pytest.fixture(scope="module")
def transcriber() -> Iterator[Transcriber]:
    options = {"vad_threshold": "0.0", "max_tokens_per_second": "13.0"}
    with Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options) as transcriber:
        yield transcriber


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("The total is $4.50 for the two of you.", r"\$4\.50|four dollars and fifty cents"),
        ("We can see you on May 5 at 7:30 pm.", r"May (5|fifth).*7:?30 ?p\.?m"),
        ("Please call us at 555-123-4567 today.", r"5-?5-?5\W+1-?2-?3\W+4-?5-?6-?7|five five five"),
        ("Write to bob.smith@example.com please.", r"bob ?(dot|\.) ?smith (at|@) example( dot |\.)com"),
        ("The office is on Elm St. near the river.", r"(Elm|elm) [Ss]treet"),
        ("Dr. Smith will see you in 20 minutes.", r"(Dr\.?|Doctor) Smith.*(20|twenty) minutes"),
        ("About 10% of people, e.g. my sister, like it.", r"(10|ten) ?(%|percent).*for example"),
        ("Your order 48213 has shipped.", r"order.*4\W*8\W*2\W*1\W*3|four eight two one three"),
        ("It was built in 1984 and sold in 2005.", r"(1984|nineteen eighty).*(2005|two thousand)"),
        ("Do you have a half hour at 3:05?", r"3:?05|three oh five|three-oh-five"),
    ],
)
def test_heard(voice: Synthesiser, transcriber: Transcriber, text: str, heard: str) -> None:
    samples = np.concatenate([voice.speak(text).samples, np.zeros(SAMPLE_RATE // 4, np.float32)])
    lines = transcriber.transcribe_without_streaming(samples.tolist(), SAMPLE_RATE).lines
    transcript = " ".join(line.text for line in lines)
    assert re.search(heard, transcript, re.IGNORECASE), transcript
