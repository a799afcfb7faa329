"""Policies: what may be heard, said and done, as data. One YAML file each, for people who are no programmers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from guardrails import regular
from guardrails.arguments import check_schema
from guardrails.data_file import Document, Location, Record, listed, parse, read, required
from guardrails.judging import NAMES
from guardrails.regular.nfa import Nfa

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FOLDER = Path(__file__).parent / "policies"
LEXICON = Path(__file__).parent / "lexicon"

Direction = Literal["heard", "said", "tool_call"]
Action = Literal[
    "redact", "cut_sentence", "replace_sentence", "stop", "refuse", "hand_over", "end_call", "confirm", "say_first"
]
Personal = Literal["card", "ssn", "email", "phone", "iban"]

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

STRENGTH: tuple[Action, ...] = (
    "end_call",
    "hand_over",
    "stop",
    "refuse",
    "confirm",
    "replace_sentence",
    "cut_sentence",
    "redact",
    "say_first",
)
"""The strongest first. Of two rules with the same action the one that stands first in the file is the stronger."""

SUITS: dict[Direction, frozenset[Action]] = {
    "heard": frozenset({"redact", "refuse", "hand_over", "end_call"}),
    "said": frozenset({"redact", "cut_sentence", "replace_sentence", "stop", "hand_over", "end_call"}),
    "tool_call": frozenset({"redact", "refuse", "hand_over", "end_call"}),
}
"""What a rule that watches words may do, by direction."""

TELLS: frozenset[Action] = frozenset({"redact", "cut_sentence", "replace_sentence", "confirm", "say_first"})
"""Actions that need a text of their own; the others say the policy's fallback if they have none."""


class PolicyError(ValueError):
    """A policy that cannot be used. One line: the file, the line, the rule, what is wrong, the mend.

    Args:
        message: The first fault.
        faults: All of them, in the order of the file.
    """

    mendable = True

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


def _one_line(text: Any) -> Any:
    return " ".join(text.split()) if isinstance(text, str) else text


def _words(text: str) -> str:
    regular.some_words(text)
    return text


def _phrase(phrase: str) -> str:
    _words(phrase)
    if "*" in phrase.rstrip("*"):
        raise ValueError(f"{phrase!r} has a * in its midst: only the end may be left open")
    return phrase


Line: TypeAlias = Annotated[str, BeforeValidator(_one_line), Field(min_length=1)]
"""Something to say."""

Phrase: TypeAlias = Annotated[str, BeforeValidator(_one_line), Field(min_length=1)]
Phrases: TypeAlias = Annotated[tuple[Phrase, ...], Field(min_length=1)]
Directions: TypeAlias = Annotated[tuple[Direction, ...], BeforeValidator(listed), Field(min_length=1)]


class _Rule(Record):
    """What every rule has.

    Args:
        id: Its name in reports, unique within the policy.
        direction: Where it watches: the caller's words and what tools and retrieval bring (`heard`), the agent's words
            (`said`), or what tools are called with (`tool_call`).
        action: What it does.
        text: What the caller hears of it.
    """

    directions: ClassVar[tuple[Direction, ...]] = DIRECTIONS
    """In which a rule of this kind may watch."""
    actions: ClassVar[frozenset[Action]] = frozenset()
    """What a rule of this kind may do, if it is not what suits the direction."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)
    direction: Directions
    action: Action
    text: Annotated[str, BeforeValidator(_one_line)] = ""

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name == "guard":
            raise ValueError("'guard' is what the guard itself is called in reports: choose another")
        return name

    @field_validator("direction")
    @classmethod
    def _directions_of_the_kind(cls, directions: tuple[Direction, ...]) -> tuple[Direction, ...]:
        for direction in directions:
            if direction not in cls.directions:
                kind = cls.model_fields["kind"].default
                raise ValueError(f"{direction} is none for a rule of kind {kind}: choose {_either(cls.directions)}")
        if len(set(directions)) < len(directions):
            raise ValueError("one is there twice: leave it out")
        return directions

    @model_validator(mode="after")
    def _action_suits(self) -> _Rule:
        for direction in self.direction:
            suitable = [action for action in STRENGTH if action in (self.actions or SUITS[direction])]
            if self.action not in suitable:
                kind = type(self).model_fields["kind"].default
                raise _FaultError(
                    "action", f"{self.action} does not suit a {kind} rule on {direction}: choose {_either(suitable)}"
                )
        if self.action in TELLS and not self.text and not self._needs_no_text():
            raise _FaultError("text", f"is missing: say what the caller hears, as {self.action} says it")
        return self

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases that it looks for, if it looks for any."""
        return ()

    def _needs_no_text(self) -> bool:
        return False


class _FaultError(ValueError):
    """A fault of a whole rule that belongs to one of its keys."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _either(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


class TermsRule(_Rule):
    """Words and phrases, whatever their case, spelling, or the gaps in them.

    Args:
        terms: Phrases. One that ends with `*` is found with any ending.
    """

    kind: Literal["terms"] = "terms"
    terms: Phrases

    _terms = field_validator("terms")(lambda terms: tuple(map(_phrase, terms)))

    @property
    def phrases(self) -> tuple[str, ...]:
        return self.terms


class PatternsRule(_Rule):
    """Regular expressions.

    Args:
        patterns: In Python's syntax, less what cannot be decided while a text is still coming (see
            `guardrails.regular.parse`).
    """

    kind: Literal["patterns"] = "patterns"
    patterns: Phrases

    @field_validator("patterns")
    @classmethod
    def _bounded(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                with warnings.catch_warnings(action="error", category=FutureWarning):
                    regular.bound(regular.parse(pattern))
            except (ValueError, FutureWarning) as error:
                mend = r": write \[ for a bracket" if isinstance(error, FutureWarning) else ""
                raise ValueError(f"{pattern!r} {error}{mend}") from None
        return patterns


class PersonalRule(_Rule):
    """Personal data, written or said as words.

    Args:
        what: Which.
        strict: Whether every long run of digits counts as a card's, whatever its checksum.
        keep: Whether the language model gets a placeholder that is put back when it calls a tool. For `heard` only.
    """

    kind: Literal["personal"] = "personal"
    what: Annotated[tuple[Personal, ...], BeforeValidator(listed), Field(min_length=1)]
    strict: bool = False
    keep: bool = False

    @model_validator(mode="after")
    def _kept_where_heard(self) -> PersonalRule:
        if self.keep and (self.direction != ("heard",) or self.action != "redact"):
            raise _FaultError("keep", "is for rules that redact what is heard, and nothing else: write a rule for that")
        if self.strict and "card" not in self.what:
            raise _FaultError("strict", "is for cards: take it out")
        return self

    def _needs_no_text(self) -> bool:
        return self.keep


class ClaimsRule(_Rule):
    """Claims that may not be made, in whatever words between.

    Args:
        claims: Each a row of parts, in the order in which they are said; each part a list of phrases of which one is
            said.
        within: How many words may stand between two parts.
        unless_negated: Whether "not" or the like between two parts makes it no claim.
        unless_after: Words that make it no claim where one of them is among the three before it in the same clause.
    """

    kind: Literal["claims"] = "claims"
    claims: Annotated[
        tuple[Annotated[tuple[Annotated[Phrases, BeforeValidator(listed)], ...], Field(min_length=2)], ...],
        Field(min_length=1),
    ]
    within: int = Field(default=3, ge=0, le=10)
    unless_negated: bool = True
    unless_after: tuple[Phrase, ...] = ()

    @field_validator("unless_after")
    @classmethod
    def _single_words(cls, after: tuple[str, ...]) -> tuple[str, ...]:
        for word in after:
            if len(regular.words(word)) != 1 or "*" in word:
                raise ValueError(f"{word!r} is not one word: write one for each")
        return after

    @model_validator(mode="after")
    def _not_too_large(self) -> ClaimsRule:
        for parts in self.claims:
            for phrase in (phrase for choices in parts for phrase in choices):
                _phrase(phrase)
            try:
                Nfa().add(regular.claim(parts, self.within, self.unless_negated), 0)
            except ValueError as error:
                raise _FaultError("claims", str(error)) from None
        return self


class TopicsRule(_Rule):
    """What is not talked about.

    Args:
        topics: Phrases that show that it is.
    """

    kind: Literal["topics"] = "topics"
    topics: Phrases

    _topics = field_validator("topics")(lambda topics: tuple(map(_phrase, topics)))

    @property
    def phrases(self) -> tuple[str, ...]:
        return self.topics


class DisclosureRule(_Rule):
    """What has to be said once a call: `text`.

    Args:
        before: Phrases that begin the topic before which it has to be said, whether caller or agent begins it.
        at_start: Whether it is said before anything else instead.
    """

    directions = ("said",)
    actions = frozenset({"say_first"})

    kind: Literal["disclosure"] = "disclosure"
    direction: Directions = ("said",)
    action: Action = "say_first"
    before: tuple[Phrase, ...] = ()
    at_start: bool = False

    _before = field_validator("before")(lambda before: tuple(map(_phrase, before)))

    @property
    def phrases(self) -> tuple[str, ...]:
        return self.before

    @model_validator(mode="after")
    def _is_heard(self) -> DisclosureRule:
        try:
            _words(self.text)
        except ValueError as error:
            raise _FaultError("text", str(error)) from None
        return self

    @model_validator(mode="after")
    def _when(self) -> DisclosureRule:
        if bool(self.before) == self.at_start:
            raise _FaultError("before", "say when: either phrases in before:, or at_start: true")
        return self


class ScriptRule(_Rule):
    """Lines that have to be said in this order.

    Args:
        lines: The lines.
        before: Phrases before which all have to have been said: those that have not are said first.
        before_tools: Tools that are not called before all have been said.
    """

    directions = ("said",)
    actions = frozenset({"say_first"})

    kind: Literal["script"] = "script"
    direction: Directions = ("said",)
    action: Action = "say_first"
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]
    before: tuple[Phrase, ...] = ()
    before_tools: tuple[Line, ...] = ()

    _lines = field_validator("lines")(lambda lines: tuple(map(_words, lines)))
    _before = field_validator("before")(lambda before: tuple(map(_phrase, before)))

    @field_validator("before_tools")
    @classmethod
    def _whole_names(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        for tool in tools:
            if "*" in tool:
                raise ValueError(f"{tool!r} has a *: name each tool")
        return tools

    @property
    def phrases(self) -> tuple[str, ...]:
        return self.before

    @model_validator(mode="after")
    def _when(self) -> ScriptRule:
        if not (self.before or self.before_tools):
            raise _FaultError("before", "say when: phrases in before:, or tools in before_tools:")
        in_full = " ".join(self.lines)
        if self.text not in ("", in_full):
            raise _FaultError("text", "is no key of a script rule, as its lines are what is said: take it out")
        object.__setattr__(self, "text", in_full)
        return self

    def _needs_no_text(self) -> bool:
        return True


class _Judged(_Rule):
    judge: str | None = None
    threshold: float = Field(default=0.5, gt=0, lt=1)

    @field_validator("judge")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in NAMES:
            raise ValueError(f"no judge is called {name!r}: choose {_either(NAMES)}")
        return name


class InjectionRule(_Judged):
    """Attempts to give the agent other orders than its own.

    Args:
        own: Phrases, added to those that ship; `phrases` in a file.
        judge: Which classifier is asked as well.
        threshold: From which of its scores on, over 0 and under 1.
    """

    directions = ("heard",)

    kind: Literal["injection"] = "injection"
    own: tuple[Phrase, ...] = Field(default=(), alias="phrases")

    _own = field_validator("own")(lambda phrases: tuple(map(_phrase, phrases)))

    @property
    def phrases(self) -> tuple[str, ...]:
        return (*lexicon("injection"), *self.own)


class ToxicityRule(_Judged):
    """Insults, slurs and threats.

    Args:
        words: Added to those that ship.
        judge: Which classifier is asked as well.
        threshold: From which of its scores on, over 0 and under 1.
    """

    directions = ("heard", "said")

    kind: Literal["toxicity"] = "toxicity"
    words: tuple[Phrase, ...] = ()

    _words = field_validator("words")(lambda words: tuple(map(_phrase, words)))

    @property
    def phrases(self) -> tuple[str, ...]:
        return (*lexicon("toxicity"), *self.words)


class ToolRule(_Rule):
    """Which calls of tools are let through.

    Args:
        tool: The tool's name, or how it begins and a `*`; `*` alone for all.
        arguments: A JSON schema of the calls that the rule lets through; it acts on all others. None to act on every
            call.
    """

    directions = ("tool_call",)
    actions = frozenset({"refuse", "confirm", "hand_over", "end_call"})

    kind: Literal["tool"] = "tool"
    direction: Directions = ("tool_call",)
    tool: Line
    arguments: dict[str, Any] | None = None

    def __hash__(self) -> int:
        return hash((self.id, self.tool, self.action, self.text))

    def watches(self, tool: str) -> bool:
        """Whether it is for a tool."""
        return tool.startswith(self.tool[:-1]) if self.tool.endswith("*") else tool == self.tool

    @field_validator("tool")
    @classmethod
    def _open_at_the_end(cls, tool: str) -> str:
        if "*" in tool[:-1]:
            raise ValueError(f"{tool!r} has a * in its midst: only the end may be left open")
        return tool

    @field_validator("text")
    @classmethod
    def _braces_in_pairs(cls, text: str) -> str:
        if re.search(r"[{}]", re.sub(r"\{\w+\}", "", text)):
            raise ValueError("has a brace that is part of no {name}: write the name of an argument between two")
        return text

    @field_validator("arguments")
    @classmethod
    def _a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema


Rule: TypeAlias = Annotated[
    TermsRule
    | PatternsRule
    | PersonalRule
    | ClaimsRule
    | TopicsRule
    | DisclosureRule
    | ScriptRule
    | InjectionRule
    | ToxicityRule
    | ToolRule,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[_Rule]] = {
    rule.model_fields["kind"].default: rule
    for rule in (
        TermsRule,
        PatternsRule,
        PersonalRule,
        ClaimsRule,
        TopicsRule,
        DisclosureRule,
        ScriptRule,
        InjectionRule,
        ToxicityRule,
        ToolRule,
    )
}


class Policy(Record):
    """What may be heard, said and done.

    Args:
        name: What the policy is called.
        summary: What it is for, in a sentence.
        fallback: Said where an answer is stopped by a rule without a text of its own, or by a failure.
        rules: In order: of two with the same action the first is the stronger.
    """

    name: Line
    summary: Line
    fallback: Line
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @field_validator("rules")
    @classmethod
    def _ids_differ(cls, rules: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[str] = set()
        for number, rule in enumerate(rules):
            if rule.id in seen:
                raise _FaultError(str(number), f"two rules are called {rule.id}: give one another id")
            seen.add(rule.id)
        return rules


class _Lexicon(Record):
    phrases: Phrases

    _phrases = field_validator("phrases")(lambda phrases: tuple(map(_phrase, phrases)))


@cache
def lexicon(name: str) -> tuple[str, ...]:
    """The phrases of a kind that ship: `injection` or `toxicity`."""
    return read(LEXICON / f"{name}.yaml", _Lexicon).phrases


def names() -> list[str]:
    """The policies that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(policy: str | Path) -> Policy:
    """A policy by the name of one that ships, or by the path of a YAML file.

    Raises:
        PolicyError: If there is none or it is malformed.
    """
    path = find(policy)
    document = parse(path, required(Policy), PolicyError, f"choose {_either(names())} or another file")
    try:
        return Policy.model_validate(document.content)
    except ValidationError as error:
        faults = _faults(document, error)
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise PolicyError(faults[0] + more, faults) from None


def find(policy: str | Path) -> Path:
    """The file of a policy.

    Raises:
        PolicyError: If it is the name of none.
    """
    path = Path(policy)
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if str(policy) not in names():
        if path.is_file():
            raise PolicyError(f"{path}: is not named as a YAML file: let its name end with .yaml")
        raise PolicyError(f"no policy {str(policy)!r}: choose {_either(names())} or give a YAML file")
    return FOLDER / f"{policy}.yaml"


def _faults(document: Document, error: ValidationError) -> list[str]:
    found = []
    errors = error.errors()
    for fault in errors:
        place = fault["loc"]
        if fault["type"] == "too_short" and any(
            place == other["loc"][: len(place)] != other["loc"] for other in errors
        ):
            continue  # what is at fault in a list is not counted there
        location, message = _fault(document.content, fault)
        line = document.line(location)
        found.append((line, f"{document.path.name}, line {line}{_rule(document.content, location)}: {message}"))
    return [text for _, text in sorted(found, key=lambda one: one[0])]


def _fault(content: dict[str, Any], fault: ErrorDetails) -> tuple[Location, str]:
    """Where in the file a fault is, and what to say of it."""
    location = fault["loc"]
    kind: type[Record] = Policy
    if len(location) > 2 and location[0] == "rules":
        kind = KINDS[str(location[2])]
        location = (*location[:2], *location[3:])
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, _FaultError):
        location = (*location, int(cause.key) if cause.key.isdigit() else cause.key)
    within = location[2:] if len(location) > 1 and location[0] == "rules" else location
    key = ".".join(map(str, within))
    return location, _message(kind, key, fault, str(cause) if cause is not None else "")


def _message(kind: type[Record], key: str, fault: ErrorDetails, cause: str) -> str:
    name = "" if kind is Policy else kind.model_fields["kind"].default
    what = f"{'an' if name[0] in 'aeiou' else 'a'} {name} rule" if name else "a policy"

    def no_key() -> str:
        return f"{key} is no key of {what}: choose {', '.join(_keys(kind))}"

    def not_true() -> str:
        return f"{key} {fault['input']!r} is neither true nor false: write one of them"

    def no_number() -> str:
        return f"{key} {fault['input']!r} is no {'whole ' if fault['type'].startswith('int') else ''}number: write one"

    def no_mapping() -> str:
        return f"{key or 'the rule'} is no mapping: write its keys below each other"

    known: dict[str, Callable[[], str]] = {
        "extra_forbidden": no_key,
        "invalid_key": no_key,
        "missing": lambda: f"{key} is missing: add it",
        "union_tag_not_found": lambda: f"kind is missing: choose {_either(KINDS)}",
        "union_tag_invalid": lambda: f"kind {fault['ctx']['tag']!r} is none: choose {_either(KINDS)}",
        "string_too_short": lambda: f"{key} is empty: fill it in",
        "too_short": lambda: (
            f"{key} is empty: fill it in"
            if isinstance(fault["input"], str)
            else f"{key} has too few: write at least {fault['ctx']['min_length']}"
        ),
        "literal_error": lambda: f"{key} {fault['input']!r} is none: choose {fault['ctx']['expected']}",
        "string_type": lambda: f"{key} is no text: put it in quotes",
        "string_pattern_mismatch": lambda: f"{key} {fault['input']!r} is no name: use letters, digits and - _ .",
        "tuple_type": lambda: f"{key} is no list: begin each item with a dash",
        "string_too_long": lambda: f"{key} is too long: write at most {fault['ctx']['max_length']} characters",
        "bool_type": not_true,
        "bool_parsing": not_true,
        "int_type": no_number,
        "int_parsing": no_number,
        "int_from_float": no_number,
        "float_type": no_number,
        "float_parsing": no_number,
        "finite_number": no_number,
        "dict_type": no_mapping,
        "model_type": no_mapping,
        "model_attributes_type": no_mapping,
    }
    if fault["type"] in known:
        return known[fault["type"]]()
    message = " ".join((cause or fault["msg"]).split())
    return f"{key}{' ' if cause else ': '}{message}" if key else message


def _keys(kind: type[Record]) -> list[str]:
    return [field.alias or name for name, field in kind.model_fields.items()]


def _rule(content: dict[str, Any], location: Location) -> str:
    if location[:1] != ("rules",) or len(location) < 2:
        return ""
    rule = content["rules"][location[1]]
    name = rule.get("id") if isinstance(rule, dict) else None
    return f", rule {name}" if isinstance(name, str) and name else f", rule {int(location[1]) + 1}"
