"""Guardrails for what is heard, said and done: policies as data, held to while a text is still being written."""

from guardrails.check import Result, check
from guardrails.policy import Policy, PolicyError, load, names
from guardrails.stream import Decision, StreamGuard

__all__ = ["Decision", "Policy", "PolicyError", "Result", "StreamGuard", "check", "load", "names"]
