"""Regular rules: terms and patterns, compiled to an automaton that says after each character what is undecided."""

from guardrails.regular.automaton import Automaton
from guardrails.regular.nfa import TooLargeError, bound
from guardrails.regular.pattern import PatternError, parse
from guardrails.regular.scanner import RegularScanner
from guardrails.regular.tree import Node
from guardrails.regular.unless import UnlessAfterScanner
from guardrails.regular.words import claim, some_words, term, words

__all__ = [
    "Automaton",
    "Node",
    "PatternError",
    "RegularScanner",
    "TooLargeError",
    "UnlessAfterScanner",
    "bound",
    "claim",
    "parse",
    "some_words",
    "term",
    "words",
]
