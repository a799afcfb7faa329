"""A policy's rules for one direction, ready to scan with. Made once, shared by all conversations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrails.judged import JudgedScanner
from guardrails.judging import scorer
from guardrails.personal import BOUND, personal_scanners
from guardrails.policy import STRENGTH, DisclosureRule, ScriptRule, ToxicityRule
from guardrails.regular import Automaton, Node, RegularScanner, UnlessAfterScanner, bound, claim, parse, term
from guardrails.scanning import NEVER, Scanner, scan

if TYPE_CHECKING:
    from guardrails.policy import Direction, Policy, Rule

MOST_KEPT = 32


def trees(rule: Rule) -> Iterator[Node]:
    """What a rule looks for, where that is words or patterns.

    Raises:
        PatternError, ValueError: If something cannot be looked for. One line with the mend.
    """
    match rule.kind:
        case "patterns":
            yield from map(parse, rule.patterns)
        case "claims":
            for parts in rule.claims:
                yield claim(parts, rule.within, rule.unless_negated)
        case _:
            yield from map(term, rule.phrases)


class Rules:
    """The rules of a policy for one direction, by rank: the lower, the stronger.

    Args:
        policy: The policy.
        direction: Which of its rules.

    Attributes:
        bound: How many characters can be undecided at most, those that cannot be seen not counted.
        sentences: Whether any rule asks where sentences end.
        replacing: The strongest rank that replaces whole sentences; `NEVER` if none does.
        required: Disclosures and scripts.
        opening: The ranks of what must be said before anything else.

    Raises:
        ValueError: If a rule cannot be looked for; the policy's own check says so before.
    """

    def __init__(self, policy: Policy, direction: Direction) -> None:
        rules = [rule for rule in policy.rules if direction in rule.direction and rule.kind != "tool"]
        self._ranked = sorted(rules, key=lambda rule: STRENGTH.index(rule.action))
        ranked = list(enumerate(self._ranked))
        spoken = [(tree, rank) for rank, rule in ranked for tree in trees(rule)]
        exempted = {rank: rule.unless_after for rank, rule in ranked if rule.kind == "claims" and rule.unless_after}
        self._automaton = Automaton((tree, rank) for tree, rank in spoken if rank not in exempted)
        self._exempted = [
            (words, Automaton((tree, rank) for tree, rank in spoken if exempted.get(rank) == words))
            for words in dict.fromkeys(exempted.values())
        ]
        self._personal = [
            (what, rank, rule.strict) for rank, rule in ranked if rule.kind == "personal" for what in rule.what
        ]
        # What is heard is judged as a whole by whoever guards it, so that nothing else waits for the verdict.
        self._judged = [
            (rule.judge, rule.threshold, rank)
            for rank, rule in ranked
            if isinstance(rule, ToxicityRule) and rule.judge is not None and direction == "said"
        ]
        self.required = [rule for rule in rules if isinstance(rule, DisclosureRule | ScriptRule)]
        self.opening = {rank for rank, rule in ranked if rule.kind == "disclosure" and rule.at_start}
        self.replacing = min((rank for rank, rule in ranked if rule.action == "replace_sentence"), default=NEVER)
        self.sentences = any(rule.action.endswith("_sentence") for rule in rules)
        self.bound = max(
            [bound(tree) for tree, _ in spoken] + [BOUND[what] for what, _, _ in self._personal], default=0
        )
        self._topics = Automaton((tree, rank) for tree, rank in spoken if self._ranked[rank].action == "say_first")

    def __getitem__(self, rank: int) -> Rule:
        return self._ranked[rank]

    def scanners(self) -> list[Scanner]:
        """New scanners for one conversation."""
        scanners: list[Scanner] = [RegularScanner(self._automaton)]
        scanners += [UnlessAfterScanner(automaton, words) for words, automaton in self._exempted]
        return scanners + personal_scanners(self._personal)

    def judges(self) -> list[JudgedScanner]:
        """New scanners that ask classifiers, for one conversation. A classifier is loaded when it is first asked."""
        return [JudgedScanner(scorer(name), threshold, rank) for name, threshold, rank in self._judged]

    def topics(self, text: str) -> set[int]:
        """The ranks of what must be said first where a text begins its topic."""
        return {span.rank for span in scan(RegularScanner(self._topics), text)}


_made: dict[tuple[int, Direction], tuple[Policy, Rules]] = {}


def compiled(policy: Policy, direction: Direction) -> Rules:
    """The rules of a policy for one direction. The same policy object gives the same rules again."""
    key = (id(policy), direction)
    if key not in _made:
        if len(_made) >= MOST_KEPT:
            _made.pop(next(iter(_made)))
        # The policy is kept, so that its id is no other's.
        _made[key] = (policy, Rules(policy, direction))
    return _made[key][1]
