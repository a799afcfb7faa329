"""Personas: those that ship load, and every bad file is refused in one line."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from pipelines import personas, policies
from pipelines.stacks.cloud import VOICE_SETTINGS
from processors.embedded.hibari import Controls
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.director import Director, rules

GOOD = "name: Otto\ninstructions: Be brief.\n"
SIX = {name: personas.load(name) for name in ("ferni", "peter", "maya", "alex", "jordan", "nayan")}
OPENING = 34
"""Characters until the voice may begin: to the first mark at which it pauses."""


@pytest.mark.parametrize("name", personas.names())
def test_what_ships_loads(name):
    persona = personas.load(name)
    assert persona.name
    assert persona.instructions == persona.instructions.strip()
    assert personas.load(str(personas.FOLDER / f"{name}.yaml")) == persona


def test_six_ship():
    assert set(personas.names()) == set(SIX)


@pytest.mark.parametrize("persona", SIX.values(), ids=SIX)
def test_what_a_persona_says_passes_its_own_policy(persona):
    policy = policies.prepared(persona.policy)
    assert persona.greeting
    policies.check_persona(persona, policy)
    for example in persona.examples:
        policies.check_persona(persona.model_copy(update={"greeting": example.answer}), policy)


@pytest.mark.parametrize("persona", SIX.values(), ids=SIX)
def test_examples_are_as_answers_should_be(persona):
    """A small model writes what it has seen."""
    assert 5 <= len(persona.examples) <= 7
    for answer in [example.answer for example in persona.examples] + [persona.greeting]:
        assert len(answer) <= 90, answer
        assert len(re.findall(r"[.!?](?= |$)", answer)) <= 2, answer
        assert re.search(r"[,.!?]", answer).start() <= OPENING, answer
        assert re.fullmatch(r"[A-Za-z ,.!?']+", answer), answer
    assert sum("software" in example.answer for example in persona.examples) >= 2
    assert persona.name in persona.instructions.partition("\n")[0]
    assert persona.name in persona.greeting
    assert len(persona.instructions) <= 450


@pytest.mark.parametrize("persona", SIX.values(), ids=SIX)
def test_its_voices_are_what_the_services_take(persona):
    assert set(persona.voices) <= {"embedded", "elevenlabs"}
    Controls(**persona.voices.get("embedded", {}))
    assert set(persona.voices.get("elevenlabs", {})) <= VOICE_SETTINGS


def test_no_two_are_alike():
    for what in (
        lambda persona: persona.name,
        lambda persona: persona.summary,
        lambda persona: persona.instructions,
        lambda persona: persona.greeting,
        lambda persona: persona.apology,
        lambda persona: persona.goodbye,
        lambda persona: str(persona.voices.get("embedded")),
        lambda persona: persona.voices.get("elevenlabs", {}).get("voice"),
        lambda persona: str(persona.range),
    ):
        assert len({what(persona) for persona in SIX.values()}) == len(SIX)
    answers = [example.answer for persona in SIX.values() for example in persona.examples]
    assert len(set(answers)) == len(answers)


# --- ranges ---


def held(persona, delivery):
    return Director(rules(), persona.range.lowest, persona.range.highest).hold(delivery)


@pytest.mark.parametrize("persona", SIX.values(), ids=SIX)
def test_its_own_way_lies_within_its_range(persona):
    plain = Delivery(emphasis=("now",))
    assert held(persona, plain) == plain
    assert held(persona, Delivery(**dict.fromkeys(SCALES, 1.0))) == persona.range.highest
    assert held(persona, Delivery(**dict.fromkeys(SCALES, -1.0))) == persona.range.lowest


def test_a_range_clips_what_it_names_and_nothing_else(tmp_path):
    path = tmp_path / "otto.yaml"
    path.write_text(GOOD + "range:\n  low: {pace: -0.5, warmth: 0}\n  high: {energy: 0.25}\n", encoding="utf-8")
    otto = personas.load(str(path))
    asked = Delivery(warmth=-0.7, energy=0.9, pace=-0.8, pitch=-1.0, pauses=1.0)
    assert held(otto, asked) == Delivery(warmth=0.0, energy=0.25, pace=-0.5, pitch=-1.0, pauses=1.0)


def test_without_a_range_nothing_is_clipped():
    persona = personas.Persona(name="Otto", instructions="Be brief.")
    for end in (-1.0, 1.0):
        widest = Delivery(**dict.fromkeys(SCALES, end))
        assert held(persona, widest) == widest


def test_a_persona_survives_being_written_down():
    for persona in SIX.values():
        assert personas.Persona.model_validate(persona.model_dump(mode="json")) == persona


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "otto.yml"
    path.write_text(GOOD + "voices:\n  embedded: {pitch: 0.9, style: soft}\n", encoding="utf-8")
    persona = personas.load(str(path))
    assert persona.voices == {"embedded": {"pitch": 0.9, "style": "soft"}}
    assert persona.greeting == ""
    with pytest.raises(ValidationError, match="frozen"):
        persona.name = "Anna"


def test_an_edited_file_is_read_again(tmp_path):
    path = tmp_path / "otto.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert personas.load(str(path)).instructions == "Be brief."
    path.write_text(GOOD.replace("brief", "frank"), encoding="utf-8")
    assert personas.load(str(path)).instructions == "Be frank."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD + "voice: deep\n",
            "line 3: voice is no key of a persona: choose name, summary, instructions, examples, greeting, apology, "
            "goodbye, policy, voices, range",
        ),
        ("name: Otto\n", "line 1: instructions is missing: add it"),
        ("name: Otto\ninstructions: ' \n  '\n", "line 2: instructions is empty: fill it in"),
        ("{}", "line 1: name is missing: add it; line 1: instructions is missing: add it"),
        ("", "holds no keys: write at least name: and instructions:"),
        ("- name\n- instructions\n", "holds no keys: write at least name: and instructions:"),
        (GOOD + "greeting: 5\n", "line 3: greeting: Input should be a valid string"),
        (
            GOOD + "examples: [{caller: Hi, answer: Hello, mood: glad}]\n",
            "line 3: examples.0.mood is no key of an example: choose caller, answer",
        ),
        (GOOD + "examples: [{caller: Hi, answer: ''}]\n", "line 3: examples.0.answer is empty: fill it in"),
        (GOOD + "voices: {embedded: loud}\n", "line 3: voices.embedded: Input should be a valid dictionary"),
        (GOOD + "range: {mid: {}}\n", "line 3: range.mid is no key of a range: choose low, high"),
        (
            GOOD + "range:\n  low: {pitch: -0.5, volume: 0}\n",
            "line 4: range.low: volume is no scale: choose warmth, energy, pace, pitch, softness, pauses",
        ),
        (GOOD + "range: {low: {pace: 0.5}}\n", "line 3: range.low: pace is 0.5: give a number from -1 to 0"),
        (GOOD + "range: {high: {pace: 1.5}}\n", "line 3: range.high: pace is 1.5: give a number from 0 to 1"),
        (GOOD + "range: {high: {pace: fast}}\n", "line 3: range.high.pace: Input should be a valid number"),
        (GOOD + "range: {high: {pace: true}}\n", "line 3: range.high.pace: Input should be a valid number"),
        (GOOD + "range: wide\n", "line 3: range: Input should be a valid dictionary or instance of DeliveryRange"),
        (
            "name: Otto\ninstructions: [1, 2\n",
            "is not YAML in line 3, column 1 (expected ',' or ']', but got '<stream end>'): "
            "check indentation, colons and quotes there",
        ),
        (
            "name: Otto\n\tinstructions: x\n",
            "is not YAML in line 2, column 1 (found character '\\t' that cannot start any token): "
            "check indentation, colons and quotes there",
        ),
        (
            "name: !!python/object/apply:os.getcwd []\n",
            "is not YAML in line 1, column 7 (could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd'): check indentation, colons and quotes there",
        ),
        (
            "name: \x00\n",
            "is not YAML in line 1 (the character U+0000 is not allowed): take it out",
        ),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "otto.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(personas.PersonaError) as error:
        personas.load(str(path))
    assert str(error.value) == f"otto.yaml: {message}"


def test_numbers_are_finite(tmp_path):
    path = tmp_path / "otto.yaml"
    path.write_text(GOOD + "voices: {embedded: {pitch: .nan}}\n", encoding="utf-8")
    with pytest.raises(personas.PersonaError, match=r"pitch.*finite number") as error:
        personas.load(str(path))
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    path = tmp_path / "otto.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(personas.PersonaError) as error:
        personas.load(str(path))
    assert str(error.value) == "otto.yaml: is not text in UTF-8: save it as such"


@pytest.mark.parametrize("name", ["nobody", "", "../definition", "Ferni", "a\nb"])
def test_an_unknown_name_is_one_line(name):
    with pytest.raises(personas.PersonaError) as error:
        personas.load(name)
    assert str(error.value) == f"no persona {name!r}: choose {', '.join(personas.names())} or give a YAML file"


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    for path, reason in (
        (tmp_path / "gone.yaml", "No such file or directory"),
        (tmp_path / "x.yaml", "Is a directory"),
    ):
        if reason == "Is a directory":
            path.mkdir()
        with pytest.raises(personas.PersonaError) as error:
            personas.load(str(path))
        choices = ", ".join(personas.names())
        assert str(error.value) == f"{path}: cannot be read ({reason}): choose {choices} or another file"


def test_the_embedded_model_is_given_the_personas_examples(monkeypatch):
    from pipecat.processors.aggregators.llm_context import LLMContext

    from pipelines.stacks import Session, embedded
    from tests.test_llm_service import NoServer

    monkeypatch.setattr(embedded.LANGUAGE_MODEL, "get", NoServer)
    ferni = personas.load("ferni")
    service = embedded.EMBEDDED.services["LLM"].build(Session(ferni, LLMContext()))
    asked = service.build_chat_completion_params({"messages": [{"role": "system", "content": ferni.instructions}]})
    assert [message["content"] for message in asked["messages"][1:]] == [
        text for example in ferni.examples for text in (example.caller, example.answer)
    ]


def test_a_policy_of_ones_own_lies_beside_the_persona(tmp_path):
    path = tmp_path / "otto.yaml"
    path.write_text(GOOD + "policy: mine.yaml\n", encoding="utf-8")
    assert personas.load(str(path)).policy == str(tmp_path / "mine.yaml")
    path.write_text(GOOD + "policy: finance\n", encoding="utf-8")
    assert personas.load(str(path)).policy == "finance"
    path.write_text(GOOD + f"policy: {tmp_path / 'other' / 'mine.yml'}\n", encoding="utf-8")
    assert personas.load(str(path)).policy == str(tmp_path / "other" / "mine.yml")
