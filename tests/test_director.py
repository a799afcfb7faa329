"""The director: which rule holds for which cue, and what it gives within a persona's range."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.hearing.cues import EMOTIONS, Cue, Score
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.director import Bounds, Direction, Director, DirectorError, Rules, When, legend, load, rules
from processors.speaking.styles import shipped

LOW = Delivery(warmth=-0.2, energy=-0.1, pace=-0.2)
HIGH = Delivery(warmth=0.3, energy=0.2, pace=0.1, pitch=0.1, softness=0.3, pauses=0.2)


def cue(arousal: float = 0.5, valence: float = 0.5, **given: Any) -> Cue:
    """A cue that is neutral but for what is given; emotions by name as numbers."""
    emotions = {name: given.pop(name, 0.0) for name in EMOTIONS}
    emotions["neutral"] = 1 - sum(emotions.values())
    return Cue(
        start=0,
        end=32_000,
        arousal=Score(0.5, 0.5, arousal),
        valence=Score(0.5, 0.5, valence),
        emotions=emotions,
        **{"pace": 4.5, "loudness": -23.0, "turns_heard": 5} | given,
    )


@pytest.mark.parametrize(
    ("heard", "rule"),
    [
        (cue(), ""),
        (None, ""),
        (cue(arousal=0.8, angry=0.6), "frustrated"),
        (cue(arousal=0.5, angry=0.6), ""),
        (cue(arousal=0.8, angry=0.45), "lively"),
        (cue(arousal=0.8, valence=0.3), "tense"),
        (cue(arousal=0.8, valence=0.6), "lively"),
        (cue(arousal=0.7), ""),
        (cue(arousal=0.3, sad=0.9), "sad"),
        (cue(hesitation=0.8), "searching"),
        (cue(arousal=0.7, happy=0.7), "glad"),
        (cue(laughter=0.9), "laughing"),
        (cue(laughter=0.9, valence=0.2), ""),
        (cue(arousal=0.6, pace_trend=0.2, turns_heard=6), "hurried"),
        (cue(arousal=0.6, pace_trend=0.2, turns_heard=1), ""),
        (cue(pace=None), ""),
    ],
)
def test_the_first_rule_that_holds(heard, rule):
    assert Director(rules()).direct(heard).rule == rule


def test_a_neutral_caller_gets_the_personas_own_way():
    assert Director(rules(), LOW, HIGH).direct(cue()) == Direction(Delivery())


def test_a_frustrated_caller_is_answered_slower_warmer_softer_and_without_jokes():
    direction = Director(rules()).direct(cue(arousal=0.8, angry=0.7))
    assert direction.delivery.style == "reassuring"
    assert direction.delivery.pace < 0 < direction.delivery.warmth
    assert direction.delivery.softness > 0
    assert "no jokes" in direction.hint


def test_a_small_model_knows_every_rule_that_it_can_be_told_of() -> None:
    known = legend(rules())
    for rule in rules().rules:
        assert (f"{rule.name}: {rule.hint}" in known) is bool(rule.hint)
    assert legend(Rules(rules=())) == ""


@given(st.sampled_from(rules().rules))
def test_a_rule_keeps_to_the_personas_range(rule):
    director = Director(Rules(rules=(rule.model_copy(update={"when": _ALWAYS}),)), LOW, HIGH)
    delivery = director.direct(cue()).delivery
    for scale in SCALES:
        assert getattr(LOW, scale) <= getattr(delivery, scale) <= getattr(HIGH, scale)


def test_a_style_beyond_the_range_loses_its_name():
    director = Director(rules(), LOW, HIGH)
    assert director.hold(Delivery(style="excited")).style == ""
    assert director.hold(Delivery(style="excited")).energy == HIGH.energy
    assert Director(rules()).hold(Delivery(style="excited")) == shipped().named("excited")


SCORES = st.floats(0, 1)


@given(
    st.builds(
        cue,
        arousal=SCORES,
        valence=SCORES,
        angry=st.floats(0, 0.5),
        sad=st.floats(0, 0.5),
        hesitation=SCORES,
        laughter=SCORES,
        pace_trend=st.floats(-1, 1),
        turns_heard=st.integers(0, 9),
        pace=st.none() | st.floats(0, 9),
    )
)
def test_every_cue_has_a_direction_and_the_same_one_each_time(heard):
    director = Director(rules(), LOW, HIGH)
    direction = director.direct(heard)
    assert direction == director.direct(heard)
    assert (direction == Direction(Delivery())) == (direction.rule == "")


GOOD = "rules:\n  - name: one\n    when: {arousal: {above: 0.5}}\n    deliver: {style: warm}\n"
_ALWAYS = When(arousal=Bounds(above=-1))


def test_a_style_alone_is_a_delivery(tmp_path):
    (tmp_path / "rules.yaml").write_text(GOOD, "utf-8")
    director = Director(load(tmp_path / "rules.yaml"))
    assert director.direct(cue(arousal=0.6)).delivery == shipped().named("warm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "    mood: 3\n", "line 5: rules.0.mood is no key of a rule: choose name, when, deliver, hint"),
        (GOOD.replace("above: 0.5", ""), "line 3: rules.0.when.arousal: holds no bound: write above:, below: or both"),
        (GOOD.replace("above: 0.5", "over: 0.5"), "is no key of bounds: choose above, below"),
        (GOOD.replace("above: 0.5", "above: .6, below: .5"), "nothing lies above 0.6 and below 0.5: exchange them"),
        (GOOD.replace("arousal", "anger"), "line 3: rules.0.when.anger is no key of a condition: choose arousal"),
        (GOOD.replace("arousal: {above: 0.5}", ""), "line 3: rules.0.when: asks nothing: write one of arousal"),
        (GOOD.replace("style: warm", "style: wram"), "line 4: rules.0.deliver.style: no style 'wram': choose warm"),
        (
            GOOD.replace("style: warm", "pace: 2"),
            "line 4: rules.0.deliver.pace: Input should be less than or equal to 1",
        ),
        (GOOD.replace("style: warm", "speed: 1"), "rules.0.deliver.speed is no key of a delivery: choose warmth"),
        (GOOD + GOOD.partition("\n")[2], "two rules are called one: rename one"),
        ("", "holds no keys: write at least rules:"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "rules.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(DirectorError) as refused:
        load(path)
    assert message in str(refused.value)
    assert str(refused.value).startswith("rules.yaml: ")
    assert "\n" not in str(refused.value)
