"""What a policy costs and where it may not do what was meant, rule by rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product

from guardrails.check import check
from guardrails.compiled import trees
from guardrails.fold import Kind, fold
from guardrails.judged import LONGEST_CLAUSE
from guardrails.personal import BOUND
from guardrails.policy import STRENGTH, Direction, Policy, Rule
from guardrails.regular import Automaton, RegularScanner, bound
from guardrails.regular.nfa import Nfa
from guardrails.scanning import scan
from guardrails.sentences import LONGEST

MOST_EXAMPLES = 200
"""Of what a rule looks for, to see whether another is there before it."""

LONG = 200
"""Characters that are a lot to keep a caller waiting for."""


@dataclass(frozen=True)
class Examined:
    """A rule.

    Args:
        rule: The rule itself.
        bound: How many characters it may keep back at most; 0 if it keeps none.
        states: How many states what it looks for takes; 0 if it looks for no words.
        warnings: What may not be as it was meant, each with a mend.
    """

    rule: Rule
    bound: int
    states: int
    warnings: tuple[str, ...]


def examine(policy: Policy) -> list[Examined]:
    """Every rule of a policy, in its order."""
    return [Examined(rule, held_back(rule), _states(rule), tuple(_warnings(policy, rule))) for rule in policy.rules]


def held_back(rule: Rule) -> int:
    """How many characters a rule may keep back at most, those that cannot be seen not counted."""
    if rule.kind == "tool":
        return 0
    if rule.action == "replace_sentence":
        return LONGEST
    most = max((bound(tree) for tree in trees(rule)), default=0)
    if rule.kind == "personal":
        most = max(BOUND[what] for what in rule.what)
    if rule.kind in ("injection", "toxicity") and rule.judge is not None:
        most = max(most, LONGEST_CLAUSE)
    return most


def _states(rule: Rule) -> int:
    nfa = Nfa()
    empty = len(nfa.ranks)
    for tree in trees(rule):
        nfa.add(tree, 0)
    return len(nfa.ranks) - empty


def _warnings(policy: Policy, rule: Rule) -> Iterator[str]:
    if rule.action == "replace_sentence" and "said" in rule.direction:
        yield (
            "keeps every answer waiting until its first sentence is whole: use cut_sentence, if what comes before the "
            "match in the sentence may be heard"
        )
    elif rule.kind == "patterns" and held_back(rule) > LONG:
        yield f"may keep back {held_back(rule)} characters: make what it looks for shorter"
    for direction in rule.direction:
        before = _there_before(policy, rule, direction)
        if before:
            yield f"never acts on {direction}, as {before} is stronger and covers all of it: take one of them out"
    if rule.text and rule.action != "say_first" and "said" in rule.direction:
        for other in _acting(policy, rule.text):
            yield f"says what {other} forbids, and what it says is not checked again: say it otherwise"
    if rule.kind in ("injection", "toxicity") and rule.judge is not None:
        yield "asks a classifier, which misses some: see its measured share; only its phrases are certain"


def of_fallback(policy: Policy) -> list[str]:
    """What there is to say of a policy's fallback."""
    return [f"the fallback says what {other} forbids: say it otherwise" for other in _acting(policy, policy.fallback)]


def _acting(policy: Policy, text: str) -> list[str]:
    found = check(policy, text, direction="said").decisions
    return list(dict.fromkeys(decision.rule for decision in found if decision.action != "say_first"))


def _there_before(policy: Policy, rule: Rule, direction: Direction) -> str:
    """The rule that is stronger and covers all that this one looks for; "" if there is none."""
    examples = list(islice(_examples(rule), MOST_EXAMPLES))
    if rule.action == "say_first" or not examples:
        return ""
    place = policy.rules.index(rule)
    for number, other in enumerate(policy.rules):
        if direction not in other.direction or other.action == "say_first":
            continue
        if (STRENGTH.index(other.action), number) >= (STRENGTH.index(rule.action), place):
            continue
        if all(_covers(other, example) for example in examples):
            return other.id
    return ""


def _covers(rule: Rule, example: str) -> bool:
    """Whether a rule covers all of a text."""
    spans = scan(RegularScanner(_automaton(rule)), example)
    covered = {at for start, end, _ in spans for at in range(start, end)}
    return all(at in covered for at, char in enumerate(map(fold, example)) if char.kind is not Kind.IGNORED)


@lru_cache(maxsize=1024)
def _automaton(rule: Rule) -> Automaton:
    return Automaton((tree, 0) for tree in trees(rule))


def _examples(rule: Rule) -> Iterator[str]:
    """Some of what a rule looks for."""
    for phrase in rule.phrases:
        yield from _endings(phrase)
    if rule.kind == "claims":
        for parts in rule.claims:
            for row in product(*parts):
                yield from _rows(row)


def _endings(phrase: str) -> Sequence[str]:
    plain = phrase.rstrip("*")
    return (plain, f"{plain}zz") if phrase.endswith("*") else (plain,)


def _rows(row: Sequence[str]) -> Iterator[str]:
    yield " ".join(part.rstrip("*") for part in row)
    yield " zz ".join(part.rstrip("*") for part in row)
