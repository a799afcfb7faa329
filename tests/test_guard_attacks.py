"""Every way round the guard that we know of, one by one, and what looks like one and must pass.

In a text, what stands between ⟦ and ⟧ is what must not come out: the rule's text comes in its place, once, and the rest
as it was; signs that are silent go with what stands before them. Every text is split in many ways.
"""

from __future__ import annotations

import re
from random import Random

import pytest

from guardrails.fold import folded
from guardrails.stream import StreamGuard
from tests.guard_disguises import (
    DIGITS,
    ONES,
    SEPARATORS,
    TEENS,
    TELL,
    TENS,
    address,
    address_in_disguise,
    card,
    digits_in_disguise,
    iban,
    iban_in_disguise,
    ssn,
)
from tests.guarded import HIDDEN, claims, patterns, personal, policy, said, split, splits, terms

SECRET = policy(terms("password", "launch code", "fixed*"))
CARD = policy(personal("card"))
SSN = policy(personal("ssn"))
PHONE = policy(personal("phone"))
EMAIL = policy(personal("email"))
IBAN = policy(personal("iban"))
PERSONAL = policy(personal("card", "ssn", "email", "phone", "iban"))
KEY = policy(patterns(r"sk_[a-z0-9]{16,}", r"\bcase \d{4}\b"))
CLAIM = policy(
    claims((("guaranteed", "guarantee", "sure", "certain"), ("return*", "profit*", "gain*"))),
    claims((("you have", "you've got", "this is"), ("diabetes", "cancer", "a stroke"))),
)

ZERO_WIDTH = "\u200b"
IN_ONES = "one one one one, one one one one, one one one one"
LONG_SPOKEN = f"four one one one, {IN_ONES}"

WORDS = {
    "case": ["the ⟦PASSWORD⟧ ok", "the ⟦PassWord⟧."],
    "width": ["the ⟦ｐａｓｓｗｏｒｄ⟧ ok", "ＴＨＥ ⟦ＰＡＳＳＷＯＲＤ⟧ ok"],
    "maths": ["a ⟦𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝⟧.", "a ⟦𝓅𝒶𝓈𝓈𝓌𝑜𝓇𝒹⟧.", "a ⟦𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡⟧.", "a ⟦𝚙𝚊𝚜𝚜𝚠𝚘𝚛𝚍⟧."],
    "circled, squared, in brackets": ["a ⟦ⓟⓐⓢⓢⓦⓞⓡⓓ⟧.", "a ⟦🅿🅰🆂🆂🆆🅾🆁🅳⟧.", "a ⟦🅟🅐🅢🅢🅦🅞🅡🅓⟧.", "a ⟦🄿🄰🅂🅂🅆🄾🅁🄳⟧."],
    "flags": ["a ⟦🇵🇦🇸🇸🇼🇴🇷🇩⟧."],
    "raised and small capitals": ["a ⟦ᵖᵃˢˢʷᵒʳᵈ⟧.", "a ⟦ᴘᴀꜱꜱᴡᴏʀᴅ⟧."],
    "Cyrillic": ["a ⟦раssword⟧.", "a ⟦раѕѕwоrd⟧.", "a ⟦РАSSWОRD⟧."],
    "Greek": ["a ⟦ραssword⟧.", "a ⟦passwοrd⟧.", "a ⟦ΡΑSSWΟRD⟧.", "the ⟦LАUΝСΗ СОDΕ⟧ is", "the ⟦LАUNCН CОDЕ⟧ is"],
    "other scripts": ["a ⟦pαѕѕwօrd⟧.", "a ⟦paſsword⟧.", "a ⟦paßword⟧.", "a ⟦passwоrԁ⟧."],
    "ligatures": ["is ⟦ﬁxed⟧.", "is ⟦ﬁxedly⟧."],
    "accents": ["a ⟦pásswörd⟧.", "a ⟦pa\u0301sswo\u0308rd⟧.", "a ⟦p̶a̶s̶s̶w̶o̶r̶d⟧.", "a ⟦p͙̊ȧ̴s̷s̵w̴o̷r̵d⟧."],
    "zero width": [f"a ⟦pass{char}word⟧." for char in "\u200b\u200c\u200d\u2060\ufeff\u2061\u2062\u2063\u2064"],
    "soft hyphen and fillers": [f"a ⟦pass{char}word⟧." for char in "\u00ad\u034f\u115f\u1160\u3164\uffa0\u17b4\u180e"],
    "direction marks": [f"a ⟦pa{char}ssword⟧." for char in "\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2069\u061c"],
    "tags and selectors": ["a ⟦pass\U000e0061\U000e0062word⟧.", "a ⟦pass\ufe0fword⟧.", "a ⟦pass\U000e0100word⟧."],
    "controls": [f"a ⟦pass{char}word⟧." for char in "\x00\x07\x08\x1b\x7f\x9f"],
    "private and unassigned": ["a ⟦pass\ue000word⟧.", "a ⟦pass\U000f0000word⟧.", "a ⟦pass\u0378word⟧."],
    "many that cannot be seen": ["a ⟦pass" + "\u200b" * 6 + "word⟧."],
    "markup": ["a ⟦pass**word⟧.", "a **⟦password**⟧.", "a ⟦pa`ss`word⟧.", "a ⟦p*a*s*s*w*o*r*d⟧.", "a ⟦pass~~word⟧."],
    "underscores": ["a _⟦password⟧_.", "a ⟦pass_word⟧.", "a ⟦p_a_s_s_w_o_r_d⟧."],
    "dashes": [f"a ⟦pass{dash}word⟧." for dash in "-‐‑‒–—−﹣－·•\x1f\x85"],
    "letter by letter": ["a ⟦p a s s w o r d⟧.", "a ⟦p  a  s  s  w  o  r  d⟧.", "a ⟦P A S S W O R D⟧!"],
    "letters with stops": ["a ⟦p.a.s.s.w.o.r.d⟧ ok", "a ⟦p. a. s. s. w. o. r. d⟧ ok", "a ⟦P.A.S.S.W.O.R.D⟧ ok"],
    "letters with other signs": [
        "a ⟦p, a, s, s, w, o, r, d⟧ ok",
        "a ⟦p/a/s/s/w/o/r/d⟧ ok",
        "a ⟦p… a… s… s… w… o… r… d⟧ ok",
    ],
    "letters over lines": ["a ⟦p\na\ns\ns\nw\no\nr\nd⟧ ok"],
    "letters with pictures": ["a ⟦p😀a😀s😀s😀w😀o😀r😀d⟧ ok", "a ⟦pass😀word⟧ ok", "a ⟦pass👩\u200d👧word⟧ ok"],
    "letters with mixed gaps": ["a ⟦p a-s.s w  o, r d⟧ ok"],
    "odd spaces": [
        f"the ⟦launch{space}code⟧ is" for space in "\u00a0\u1680\u2000\u2009\u200a\u202f\u205f\u3000\u2028\u2800"
    ],
    "gaps between words": [
        "the ⟦launch, code⟧ is",
        "the ⟦launch\n\ncode⟧ is",
        "the ⟦launch — code⟧ is",
        "the ⟦launch … code⟧ is",
    ],
    "over a sentence": ["the ⟦launch. Code⟧ is"],
    "a long gap": ["the ⟦launch" + " " * 50 + "code⟧ is", "the ⟦launch" + "\n-" * 50 + "code⟧ is"],
    "a picture within": ["the ⟦launch 🚀 code⟧ is"],
    "digits for letters": ["a ⟦p4ssw0rd⟧.", "a ⟦pa$$word⟧.", "a ⟦p@ssword⟧.", "a ⟦p455w0rd⟧."],
    "broken at the end of a line": ["a ⟦pass-\nword⟧."],
    "next to signs": ["(⟦password⟧)", "“⟦password⟧”", "a:⟦password⟧;", "⟦password⟧'s", "…⟦password⟧…", "/⟦password⟧/"],
    "twice": ["⟦password⟧, ⟦password⟧", "⟦password⟧ ⟦password⟧"],
    "first and last": ["⟦password⟧", "⟦password⟧ ", "\u200b⟦password⟧"],
}


@pytest.mark.parametrize("text", [text for texts in WORDS.values() for text in texts])
def test_no_spelling_of_a_term_gets_past(text: str) -> None:
    _hides(SECRET, text)


CARDS = {
    "as it is printed": ["my card is ⟦4111 1111 1111 1111⟧ ok", "⟦4111111111111111⟧", "pay by ⟦4111-1111-1111-1111⟧."],
    "brands": [
        *("a ⟦5500005555555559⟧.", "a ⟦378282246310005⟧.", "a ⟦6011111111111117⟧.", "a ⟦30569309025904⟧."),
        *("a ⟦3530111333300000⟧.", "a ⟦4222222222222⟧.", "a ⟦2223003122003222⟧.", "a ⟦3782 822463 10005⟧."),
    ],
    "separators": [
        *("a ⟦4111.1111.1111.1111⟧ a", "a ⟦4111/1111/1111/1111⟧ a", "a ⟦4111, 1111, 1111, 1111⟧ a"),
        *("a ⟦4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1⟧ a", "a ⟦4111_1111_1111_1111⟧ a", "a ⟦4111\n1111\n1111\n1111⟧ a"),
        *("a ⟦4111  -  1111  -  1111  -  1111⟧ a", "a ⟦4111 (1111) 1111 [1111⟧] a", "a ⟦4111:1111:1111:1111⟧ a"),
        *("a ⟦4111 | 1111 | 1111 | 1111⟧ a", "a ⟦4111+1111+1111+1111⟧ a", "a ⟦4111·1111·1111·1111⟧ a"),
        *("a ⟦4111… 1111… 1111… 1111⟧ a", "a ⟦4111\u00a01111\u20091111\u30001111⟧ a"),
    ],
    "width and scripts": [
        *("a ⟦４１１１ １１１１ １１１１ １１１１⟧ a", "a ⟦٤١١١ ١١١١ ١١١١ ١١١١⟧ a", "a ⟦४१११ ११११ ११११ ११११⟧ a"),
        *("a ⟦𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏⟧ a", "a ⟦④①①① ①①①① ①①①① ①①①①⟧ a", "a ⟦⁴¹¹¹ ¹¹¹¹ ¹¹¹¹ ¹¹¹¹⟧ a"),
        *("a ⟦四一一一 一一一一 一一一一 一一一一⟧ a", "a ⟦⑷⑴⑴⑴ ⑴⑴⑴⑴ ⑴⑴⑴⑴ ⑴⑴⑴⑴⟧ a", "a ⟦➃➀➀➀ ➀➀➀➀ ➀➀➀➀ ➀➀➀➀⟧ a"),
    ],
    "keycaps": ["a ⟦" + "\ufe0f\u20e3".join("4111111111111111") + "\ufe0f\u20e3⟧ a"],
    "invisible": [
        "a ⟦" + "\u200b".join("4111111111111111") + "⟧ a",
        "a ⟦4111\u202e1111\u200f1111\u206011\u00ad11⟧ a",
        "a ⟦4111\U000e00311111\ufe0f11111111⟧ a",
    ],
    "marks": ["a ⟦4\u03361\u03361\u03361 1111 1111 1111⟧ a"],
    "markup": [
        "a **⟦4111** 1111 **1111** 1111⟧ a",
        "a `⟦4111 1111 1111 1111`⟧ a",
        "a ⟦4111 *1111* 1111 1111⟧ a",
    ],
    "pictures between": ["a ⟦4111 😀 1111 😀 1111 😀 1111⟧ a", "a ⟦4111💳1111💳1111💳1111⟧ a"],
    "letters for digits": ["a ⟦4lll llll llll llll⟧ a", "a ⟦411I 1I11 1l11 1111⟧ a", "a ⟦6O11 1111 1111 1117⟧ a"],
    "said": [
        f"it is ⟦{LONG_SPOKEN}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.upper()}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace(' ', '-').replace(',', '')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace(' ', '… ')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace(' ', ' / ')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace(' ', chr(10))}⟧ ok",
    ],
    "said over sentences": ["It is ⟦four one one one. One one one one. One one one one. One one one one⟧. Thanks."],
    "said with fillers": [
        f"it is ⟦four one one um one uh {IN_ONES}⟧ ok",
        "it is ⟦four one one one and then one one one one and one one one one, um, one one one one⟧ ok",
        f"it is ⟦four, er, one one one, {IN_ONES}⟧ ok",
    ],
    "doubled": [
        "it is ⟦four triple one double one double one triple one triple one double one⟧ ok",
        "it is ⟦double five double zero double zero double five, double five double five, triple five nine⟧ ok",
    ],
    "tens and teens": [
        "it is ⟦forty-one eleven eleven eleven eleven eleven eleven eleven⟧ ok",
        "it is ⟦forty one eleven, eleven eleven, eleven eleven, eleven eleven⟧ ok",
    ],
    "said and written": [
        "it is ⟦4 one 1 one, 1111, one one one one, 1111⟧ ok",
        "it is ⟦four 111 one 111 1111 1111⟧ ok",
        "it is ⟦4one11 1one11 11one1 111one⟧ ok",
        "it is ⟦forty-1 11 eleven 1111 1111 11⟧ ok",
    ],
    "glued": ["it is ⟦fouroneoneone oneoneoneone oneoneoneone oneoneoneone⟧ ok"],
    "said in look-alikes": [
        f"it is ⟦{LONG_SPOKEN.replace('o', 'о').replace('e', 'е')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace('one', f'o{ZERO_WIDTH}ne')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace('one', 'óne')}⟧ ok",
        f"it is ⟦{LONG_SPOKEN.replace('one', 'ｏｎｅ')}⟧ ok",
        f"it is **⟦{LONG_SPOKEN.replace('four', 'four**')}⟧ ok",
    ],
    "oh and nought": ["it is ⟦six oh one one, one one one one, one one one one, one one one seven⟧ ok"],
    "more digits after": [
        "a ⟦4111 1111 1111 1111 9⟧ a",
        "a ⟦41111111111111112345⟧ a",
        "a ⟦4111 1111 1111 1111, 12/30, 123⟧ a",
    ],
    "digits before": ["a 9 ⟦4111 1111 1111 1111⟧ a", "a 12⟦4111111111111111⟧ a", "in 2026 ⟦4111 1111 1111 1111⟧ a"],
    "two in a row": ["a ⟦4111111111111111 5500005555555559⟧ a", "a ⟦4111111111111111⟧ and a ⟦378282246310005⟧ a"],
    "nineteen": ["a ⟦4000 0000 0000 0000 006⟧ a"],
    "a word before": [
        "card:⟦4111111111111111⟧",
        "card⟦4111111111111111⟧a",
        "#⟦4111111111111111⟧#",
        "(⟦4111111111111111⟧)",
    ],
}

PAUSES = (", ", "; ", ": ", "! ", ". ", "... ", "… ", "\n\n", ", um, ", ", uh, ", " like ", ", then ", ", and then ")
LAUGH = "\N{FACE WITH TEARS OF JOY}"

NUMBERS = {
    "an SSN": (
        SSN,
        [
            *("it is ⟦123-45-6789⟧ ok", "it is ⟦123 45 6789⟧ ok", "it is ⟦123.45.6789⟧ ok", "it is ⟦123/45/6789⟧ ok"),
            *(
                "it is ⟦123–45–6789⟧.",
                "it is ⟦１２３-４５-６７８９⟧.",
                "my social is ⟦123456789⟧.",
                "it is ⟦1-2-3 4-5 6-7-8-9⟧.",
            ),
            *(
                "it is ⟦123\u200b-45-\u200b6789⟧.",
                "it is ⟦123\n45\n6789⟧.",
                "it is **⟦123-45-6789**⟧.",
                "SSN:⟦123-45-6789⟧",
            ),
            *(
                "it is ⟦123 - 45 - 6789⟧.",
                "it is ⟦123_45_6789⟧.",
                "it is ⟦l23-45-6789⟧.",
                f"it is ⟦123 {LAUGH} 45 {LAUGH} 6789⟧.",
            ),
            "my s s n is ⟦one two three, four five, six seven eight nine⟧ ok",
            "my S.S.N. is ⟦one two three four five six seven eight nine⟧.",
            "it is ⟦one twenty-three, forty-five, sixty-seven eighty-nine⟧ ok",
            "it is ⟦one two three dash four five dash six seven eight nine⟧ ok",
            "it is ⟦one two three, um, four five, uh, six seven eight nine⟧ ok",
            "it is ⟦1 two 3, 45, six seven 89⟧ ok",
            "it is ⟦one oh two, double four, double seven eight nine⟧ ok",
            "⟦One. Two. Three. Four. Five. Six. Seven. Eight. Nine⟧.",
        ],
    ),
    "a phone number": (
        PHONE,
        [
            *(
                "call ⟦415-555-2671⟧ ok",
                "call (⟦415) 555-2671⟧ ok",
                "call ⟦415.555.2671⟧ ok",
                "call +⟦1 415 555 2671⟧ ok",
            ),
            *(
                "call +⟦14155552671⟧ ok",
                "call ⟦1-800-555-0199⟧ ok",
                "call +⟦44 20 7946 0958⟧ ok",
                "call ⟦020 7946 0958⟧ ok",
            ),
            *("call ⟦４１５-５５５-２６７１⟧ ok", "call ⟦415\u200b-555-\u200b2671⟧ ok", "call +⟦49 30 901820⟧ ok"),
            "call ⟦four one five, five five five, two six seven one⟧ ok",
            "call ⟦four one five triple five two six seven one⟧ ok",
            "call plus ⟦four four two oh seven nine four six oh nine five eight⟧ ok",
            "call ⟦four fifteen, five five five, twenty-six seventy-one⟧ ok",
            "call ⟦415, um, 555, uh, 2671⟧ ok",
            *(f"call ⟦{'415 555 2671'.replace(' ', pause)}⟧ ok" for pause in PAUSES),
            *(f"call ⟦{'four fifteen|555|twenty-six seventy-one'.replace('|', pause)}⟧ ok" for pause in PAUSES),
            *(f"call ⟦{'four one five|five five five|2671'.replace('|', pause)}⟧ ok" for pause in PAUSES),
            *("call ⟦1, 415, 555, 2671⟧ ok", "call +⟦1, 415, 555, 2671⟧ ok", "call (⟦415), (555), 2671⟧ ok"),
            *("call ⟦4, 1, 5, 5, 5, 5, 2, 6, 7, 1⟧ ok", "call ⟦4... 1... 5... 5... 5... 5... 2... 6... 7... 1⟧ ok"),
            *("call ⟦020, 7946, 0958⟧ ok", "call +⟦44, 20, 7946, 0958⟧ ok", "call ⟦07700… 900… 123⟧ ok"),
            "call ⟦415 point 555 point 2671⟧ ok",
            "area code ⟦four one five, and then five five five, and then two six seven one⟧ ok",
            "call ⟦four one five, five five five, two six seven one, extension one two three⟧ ok",
            "call ⟦four fifteen, 555, 2671, extension 22⟧ ok",
            "call ⟦one eight hundred, five five five, oh one ninety-nine⟧ ok",
            "call plus ⟦forty-four, twenty, seventy-nine forty-six, oh nine fifty-eight⟧ ok",
            "call plus ⟦forty-four twenty seven nine four six oh nine five eight⟧ ok",
            "call ⟦oh two oh, seventy-nine forty-six, oh nine fifty-eight⟧ ok",
            "call ⟦four like one five, five um five five, two six uh seven one⟧ ok",
        ],
    ),
    "an e-mail address": (
        EMAIL,
        [
            *(
                "to ⟦jane.doe@example.com⟧ ok",
                "to ⟦jane+news@example.co.uk⟧ ok",
                "to ⟦JANE@EXAMPLE.COM⟧.",
                "to <⟦j@example.com⟧>",
            ),
            *(
                "to ⟦jane @ example . com⟧ ok",
                "to ⟦ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ⟧ ok",
                "to ⟦jane@exam\u200bple.com⟧ ok",
            ),
            *(
                "to ⟦jane@example。com⟧ ok",
                "to ⟦jane@example․com⟧ ok",
                "to ⟦jane﹫example.com⟧ ok",
                "to ⟦jаne@ехаmple.com⟧ ok",
            ),
            *(
                "to ⟦jane at example dot com⟧ ok",
                "to ⟦jane dot doe at example dot co dot uk⟧ ok",
                "to ⟦jane at gmail.com⟧ ok",
            ),
            *(
                "to ⟦jane@gmail dot com⟧ ok",
                "to ⟦jane (at) example (dot) com⟧ ok",
                "to ⟦jane [at] example [dot] com⟧ ok",
            ),
            *(
                "to ⟦jane underscore doe at gmail dot com⟧ ok",
                "to ⟦jane at sign gmail dot com⟧ ok",
                "to ⟦JANE AT GMAIL DOT COM⟧.",
            ),
            *(
                "to **⟦jane@example.com**⟧.",
                "to ⟦jane@\nexample.com⟧ ok",
                "to ⟦jané@example.com⟧ ok",
                "to ⟦jane_doe-1@a-b.example.org⟧.",
            ),
            *(
                "to ⟦j a n e at g m a i l dot c o m⟧ ok",
                "to ⟦jane at gmail point com⟧ ok",
                "to ⟦jane, at, gmail, dot, com⟧ ok",
            ),
            *(
                "to ⟦jane... at... gmail... dot... com⟧ ok",
                "mailto:⟦jane@example.com⟧",
                "to ⟦jane dash doe at gmail dot com⟧ ok",
                "to ⟦jane at gmail-dot com⟧ ok",
                "to ⟦jane at-gmail-dot-com⟧ ok",
                "to ⟦jane at hot mail dot com⟧ ok",
                "to ⟦jane at out look dot com⟧ ok",
            ),
            *(f"to ⟦{'jane at gmail dot com'.replace(' ', pause)}⟧ ok" for pause in PAUSES[:-3]),
            *(f"to ⟦{'j a n e at g m a i l dot c o m'.replace(' ', pause)}⟧ ok" for pause in ("... ", "… ", ". ")),
            *("to ⟦jane at gmail . example . co . uk⟧ ok", "to ⟦jane @ gmail . it⟧ ok", "to ⟦jane @ gmail dotcom⟧ ok"),
            *(
                "to ⟦j a n e at g mail dot com⟧ ok",
                "to ⟦jane at gmail dot com dot au⟧ ok",
                "to ⟦jane at gmail dotcom⟧ ok",
            ),
            *("to ⟦jane, at sign, g. mail. com⟧ ok", "to ⟦jane at um gmail um dot um com⟧ ok"),
            *("to ⟦jane seven seven at gmail dot com⟧ ok", "to ⟦jane double seven at gmail dot com⟧ ok"),
        ],
    ),
    "an IBAN": (
        IBAN,
        [
            *("to ⟦GB29 NWBK 6016 1331 9268 19⟧ ok", "to ⟦GB29NWBK60161331926819⟧.", "to ⟦de89370400440532013000⟧ ok"),
            *(
                "to ⟦DE89-3704-0044-0532-0130-00⟧ ok",
                "to ⟦FR14 2004 1010 0505 0001 3M02 606⟧ ok",
                "to ⟦NL91ABNA0417164300⟧.",
                "to ⟦NO9386011117947⟧ ok",
                "to NO ⟦93 8601 1117 947⟧ ok",
                "to no, ⟦ninety-three eighty-six oh one eleven seventeen nine four seven⟧ ok",
            ),
            *(
                "to ⟦ＧＢ２９ ＮＷＢＫ ６０１６ １３３１ ９２６８ １９⟧ ok",
                "to ⟦GB29\u200bNWBK\u200b60161331926819⟧ ok",
            ),
            *("to ⟦GВ29 NWВK 6016 1331 9268 19⟧ ok", "to ⟦G B 2 9 N W B K 6 0 1 6 1 3 3 1 9 2 6 8 1 9⟧ ok"),
            "to ⟦GB29 NWBK 6016\n1331 9268 19⟧ ok",
            "to ⟦G B two nine N W B K six zero one six one three three one nine two six eight one nine⟧ ok",
            "⟦D E eight nine, three seven oh four, double oh double four, oh five three two, oh one three oh oh oh⟧.",
            "to ⟦DE eighty-nine thirty-seven oh four double oh forty-four oh five thirty-two oh one thirty oh oh⟧.",
        ],
    ),
    "a key": (
        KEY,
        ["use ⟦sk_abcdefgh12345678⟧ now", "use ⟦sk_abc\u200bdefgh12345678xyz⟧ now", "see ⟦CASE １２３４⟧ now"],
    ),
}

CLAIMS = [
    *("We offer ⟦guaranteed returns⟧ now.", "We offer ⟦guaranteed… returns⟧ now.", "⟦Guaranteed 7% annual returns⟧."),
    *("⟦GUARANTEED\nRETURNS⟧!", "⟦guaranteed, yes, guaranteed profits⟧", "A ⟦sure — really sure — profit⟧ it is."),
    *(
        "⟦g\u200buaranteed re\u00adturns⟧ ok",
        "⟦guаranteed rеturns⟧ ok",
        "**⟦guaranteed** returns⟧ ok",
        "⟦guaranteed 🚀 returns⟧ ok",
    ),
    *(
        "⟦This is a stroke⟧, sir.",
        "⟦You have diabetes⟧.",
        "⟦You've got cancer⟧.",
        "⟦You’ve got cancer⟧.",
        "⟦you have, sadly, diabetes⟧.",
    ),
    *("⟦Guaranteed. Guaranteed. Returns⟧.", "⟦Youve got cancer⟧."),
    *(f"⟦You{apostrophe}ve got cancer⟧." for apostrophe in "‘ʼ＇´′ʹ‛`"),
]


def _hides(guarding: object, text: str, many: int = 12) -> None:
    secret = text.replace("⟦", "").replace("⟧", "")
    expected = re.sub("⟦[^⟧]*⟧", HIDDEN, text)
    # Beside words what is put in stands apart.
    expected = re.sub(rf"(?<=[^\W_]){re.escape(HIDDEN)}", f" {HIDDEN}", expected)
    expected = re.sub(rf"{re.escape(HIDDEN)}(?=[^\W_])", f"{HIDDEN} ", expected)
    for pieces in splits(secret, many):
        assert said(StreamGuard(guarding), pieces) == expected, f"{text!r} as {pieces!r}"


@pytest.mark.parametrize("text", [text for texts in CARDS.values() for text in texts])
def test_no_way_to_write_or_say_a_card_gets_past(text: str) -> None:
    _hides(CARD, text)


@pytest.mark.parametrize(
    ("guarding", "text"),
    [
        pytest.param(guarding, text, id=f"{kind}: {text}")
        for kind, (guarding, texts) in NUMBERS.items()
        for text in texts
    ],
)
def test_no_way_to_write_or_say_personal_data_gets_past(guarding: object, text: str) -> None:
    _hides(guarding, text)


@pytest.mark.parametrize("text", CLAIMS)
def test_no_way_to_make_a_claim_gets_past(text: str) -> None:
    _hides(CLAIM, text)


PASSES = [
    "One moment please, I will look that up for you.",
    "Your order number is 4821-33, and it left on 25 November 2026.",
    "It costs $1,250.00 a month, or 1,000,000 over 70 years.",
    "The card ending 1111 is the one we have on file.",
    "The card ending in one one one one is the one we have.",
    "Pi is 3.14159265358979, more or less.",
    "We are open from 9 to 5, Monday to Friday, and from 10:30 to 16:45 on Saturdays.",
    "In 1999, 2007 and 2026 there were three, four and five of them.",
    "Version 1.14.0 came out on 2026-11-25.",
    "I have one or two things for you to do: first one, then two.",
    "There are a hundred and twenty of them, give or take ten or eleven.",
    "For one thing, it won; for another, it ate eight.",
    "Meet me at the corner dot the i's later.",
    "Look at this: it is at home at last.",
    "Press one for sales, two for support, three for billing, four for returns, or zero to start over.",
    "Is it at 5th Avenue 725, New York, NY 10022?",
    "Passing words into code: a pass, a word, a launch of code names.",
    "In to the fix, edit p as s.",
    "The launching code names and passwords' owners.",
    "Your reference is AB-12345, and the gate is B12.",
    "It takes five to seven business days, twenty-four hours at most for express.",
    "Oh, I see. Oh no! I owe you one.",
    "The returns are not guaranteed; past performance is no guarantee.",
    "A stroke of luck: you have this, and this is it.",
    "👩\u200d👧 Hello! سلام می\u200cخواهم. Cafe\u0301, naïve, Zürich, Ελλάδα, Москва, 日本語.",
    "Smile 😀👍🏽 and 🇫🇷 wave.",
    "A family: 👨\u200d👩\u200d👧\u200d👦 👍🏽 ❤️ thanks!",
    "Double the trouble, triple the fun: double seven is fourteen.",
    "Your total is three hundred and forty-two dollars and seventeen cents.",
    "One, two, three, four, five, six, seven.",
    "Our total for four fifteen, five fifty, and twenty-six seventy.",
    "They are four fifteen, five fifty, ten twenty, and six.",
    "It leaves at nine fifteen, nine forty-five, ten fifteen.",
    "It leaves at four oh five, five oh five, ten oh five.",
    "Ages: twenty-three, forty-five, sixty-seven, eighty-one.",
    "Packs of 250, 500, 1000.",
    "Packs of two fifty, five hundred, one thousand.",
    "We have 415, 555, and 2671 of them, or 415, 555, 612, 2671, 3000.",
    "Your extensions are 4155, 5552, 2671, or 415, um, 2671.",
    "In 2019, 2020, 2021 and in twenty nineteen, twenty twenty, twenty twenty-one.",
    "We are open at 09:30, 10:45, 12:15 or 09.05, 9.30, 10.15, on 05/12, 06/12, 07/12.",
    "The rates are 0.5, 0.75, 0.25, 0.1, and for 0, 10, 20, 30, 40, 50.",
    "See chapters 01, 02, 03, 04, 05; the numbers drawn were 04, 12, 23, 31, 40, 44.",
    "Scores: 3, 5, 2, 4, 5, 5, 1, 4, 4, 3, 2, 5.",
    "We meet at noon... It is at home. Um, at nine, uh, in it.",
    "Look at home . It is, um, at a place dot. In time.",
    "He was at T. Mobile. In time, he was at a cafe. Dot was there.",
    "They met at noon . It was nice at g. It was.",
    "He scored 6 3, 7 5, 6 4.",
    "# Heading\n\n* one\n* two\n\n1. three\n2. four",
    "",
    " ",
    "!?",
]


@pytest.mark.parametrize("text", PASSES)
def test_what_only_looks_like_it_passes_untouched(text: str) -> None:
    for guarding in (SECRET, PERSONAL, KEY, CLAIM):
        for pieces in splits(text, 3):
            assert said(StreamGuard(guarding), pieces) == text


TURNS = [
    # answers in a row, what comes out of each
    (CARD, ["It is 4111 1111", "1111 1111. Ok?"], ["It is 4111 1111", f"{HIDDEN}. Ok?"]),
    (CARD, ["It is 4111", "1111", "1111", "1111, ok"], ["It is 4111", "1111", "1111", f"{HIDDEN}, ok"]),
    (CARD, ["four one one one one one one one", f"{IN_ONES}."], ["four one one one one one one one", f"{HIDDEN}."]),
    (PHONE, ["Call 415 555", "2671, ok"], ["Call 415 555", f"{HIDDEN}, ok"]),
    (IBAN, ["It is GB29 NWBK 6016", "1331 9268 19, ok"], ["It is GB29 NWBK 6016", f"{HIDDEN}, ok"]),
    (SSN, ["123-45", "-6789 ok"], ["123-45", f"{HIDDEN} ok"]),
    (
        SSN,
        ["It is one two three, four five.", "Six seven eight nine."],
        ["It is one two three, four five.", f"{HIDDEN}."],
    ),
    (EMAIL, ["jane at", "example dot com, ok"], ["jane at", f"{HIDDEN}, ok"]),
    (SECRET, ["The launch", "code, is it?"], ["The launch", f"{HIDDEN}, is it?"]),
    (CLAIM, ["It is guaranteed.", "Returns, that is."], ["It is guaranteed.", f"{HIDDEN}, that is."]),
    (KEY, ["Use sk_abcdefgh", "12345678, ok"], ["Use sk_abcdefgh", f"{HIDDEN}, ok"]),
    (SECRET, ["The pass", "word, is it?"], ["The pass", f"{HIDDEN}, is it?"]),
    (SECRET, ["p a s s", "w o r d, is it?"], ["p a s s", f"{HIDDEN}, is it?"]),
    (SECRET, ["The launch", "is on. A code", "of honour"], ["The launch", "is on. A code", "of honour"]),
]


@pytest.mark.parametrize(("guarding", "answers", "expected"), TURNS)
def test_what_is_spread_over_answers_is_hidden_as_soon_as_it_is_whole(
    guarding: object, answers: list[str], expected: list[str]
) -> None:
    for size in (1, 3, 100):
        guard = StreamGuard(guarding)
        out = [said(guard, [text[at : at + size] for at in range(0, len(text), size)]) for text in answers]
        assert out == expected


def test_of_an_interrupted_number_only_what_was_heard_counts() -> None:
    for played, rest, expected in (
        ("It is 4111 1111", "1111 1111 ok", f"{HIDDEN} ok"),
        ("It is", "1111 1111 ok", "1111 1111 ok"),
    ):
        guard = StreamGuard(CARD)
        guard.feed("It is 4111 1111 and so on")
        guard.abort(played)
        assert said(guard, list(rest)) == expected


def test_half_a_number_is_not_let_out_by_interrupting_it() -> None:
    guard = StreamGuard(CARD)
    assert "4" not in guard.feed("It is 4111 1111 1111 111")
    guard.abort()
    assert said(guard, ["Sorry?"]) == "Sorry?"


def test_strictly_no_long_run_of_digits_is_let_out_and_no_long_beginning_of_a_card() -> None:
    strict = policy(personal("card", strict=True))
    for text in ("a ⟦4111 1111 1111 1112⟧ a", "a ⟦1234567890123⟧ a", "a ⟦4111 1111 1111⟧"):
        _hides(strict, text)
    for text in ("order 123456 a", "in 2026 it was 1,000 a", "call 4111"):
        assert said(StreamGuard(strict), list(text)) == text


def _address(random: Random) -> str:
    return address_in_disguise(address(random), random)


def _phone(random: Random) -> str:
    """A number of North America: its groups typed or said, with anything but "and" between them."""
    exchange = [random.choice("23456789"), *random.choices(DIGITS, k=2)]
    groups = [
        random.choice(("415", "212", "907", "860")),
        "".join(exchange),
        "".join(random.choices(DIGITS, k=3)) + "7",
    ]
    way = random.choice((str, _in_ones, _in_pairs))
    between = random.choice(((*SEPARATORS, *PAUSES), PAUSES))
    said = way(groups[0])
    return said + "".join(random.choice(between) + way(group) for group in groups[1:])


def _in_ones(digits: str) -> str:
    return " ".join("oh" if digit == "0" else ONES[int(digit)] for digit in digits)


def _in_pairs(digits: str) -> str:
    said = [ONES[int(digits[0])]] if len(digits) % 2 else []
    for at in range(len(digits) % 2, len(digits), 2):
        ten, one = map(int, digits[at : at + 2])
        both = f"{TENS[ten - 2]} {ONES[one]}" if one else TENS[ten - 2]
        said.append(_in_ones(digits[at : at + 2]) if not ten else TEENS[one] if ten == 1 else both)
    return " ".join(said)


DISGUISED = {
    "card": (TELL, lambda random: digits_in_disguise(card(random), random)),
    "ssn": (TELL, lambda random: digits_in_disguise(ssn(random), random, longest=1)),
    "iban": (TELL, lambda random: iban_in_disguise(iban(random), random)),
    "phone": (TELL, _phone),
    "email": (re.compile("jane|doe|smith|lee|maria|kim|gmail|outlook"), _address),
}


@pytest.mark.parametrize("what", DISGUISED)
def test_no_disguise_made_by_chance_gets_past(what: str) -> None:
    random = Random(what)
    alone = policy(personal(what))
    tell, disguised = DISGUISED[what]
    for _ in range(250):
        before, after = random.choice(("It is ", "Sure, ", "")), random.choice((" ok?", ", thanks.", "."))
        text = f"{before}{disguised(random)}{after}"
        for guarding in (alone, PERSONAL):
            out = said(StreamGuard(guarding), split(text, random.choices(range(len(text)), k=4)))
            assert not tell.search(folded(out)), f"{text!r} gave {out!r}"
            assert out.startswith(before.strip())
            assert out.endswith(after)


def test_two_placeholders_never_stand_for_one_run() -> None:
    guard = StreamGuard(PERSONAL)
    out = said(guard, split("a 4111-1111-1111-1111 123-45-6789 jane@example.com a", range(50)))
    assert "1" not in out
    assert "jane" not in out
