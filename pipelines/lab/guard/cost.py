"""What the guard costs: microseconds for a token, memory, and how long its hold-back delays an ordinary sentence.

As a program, `python -m pipelines.lab.guard.cost NAME REPEATS` measures one policy in a process of its own, for `run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from rich.table import Table

from guardrails.policy import Personal, Policy
from guardrails.stream import StreamGuard

RULES = (10, 100, 1000)
PERSONAL: tuple[Personal, ...] = ("card", "ssn", "phone", "iban", "email")
REPEATS, QUICK_REPEATS = 100, 10
TOKEN = 4
"""Characters of a token, as language models have them on average."""

TOKENS_PER_SEC = 30.0
"""How fast an answer is written, for what a held character delays."""

SPEECH = (
    "Sure, I can help you with that.",
    "Your order left the depot in Leeds this morning, and you should have it by tomorrow evening.",
    "One moment please, I am looking it up for you.",
    "It looks like the invoice for September was paid twice, so I have asked for one of them to be sent back.",
    "That usually takes five to seven working days.",
    "Is there anything else that I can do for you today?",
    "I am sorry to hear that, it must have been a long wait.",
    "We are open from nine to five, Monday to Friday, and until noon on Saturdays.",
    "The new contract starts on the first of March and costs 42 pounds a month, with no fee for setting it up.",
    "You can change the address at any time in your account, or I can do it for you now.",
    "Could you tell me the last two letters of the reference, please?",
    "Perfect, thank you, I have found it.",
    "The engineer will ring you about half an hour before he comes, at some time between two and four.",
    "If it rains on the day, we will find another one together.",
)
"""What an agent says all day."""

_VERBS = (
    "cancel refund promise waive guarantee share reset unlock disclose transfer ignore reveal approve double skip"
).split()
_THINGS = (
    "account address agreement balance benefit charge claim contract coverage deposit diagnosis discount dosage fee "
    "interest invoice loan order outcome password payment plan premium price profit rate refund report return reward "
    "risk saving statement subscription treatment warranty"
).split()
_HOWS = "free full instant internal lifetime private secret special total zero early extra final hidden".split()


COMMON: dict[str, Any] = {"direction": "said", "action": "redact", "text": "[hidden]"}


def policy(name: str, seed: int = 0) -> Policy:
    """A policy to measure.

    Args:
        name: A number of rules, as a company might have them: phrases mostly, some patterns and claims, and all
            personal data. Or one kind of personal data alone.
        seed: Of which phrases.
    """
    rules = _rules(int(name), seed) if name.isdigit() else [_personal([name])]
    return Policy.model_validate({"name": "cost", "summary": "A benchmark's.", "fallback": "No.", "rules": rules})


def _personal(what: Sequence[str]) -> dict[str, Any]:
    return {**COMMON, "id": "personal", "kind": "personal", "what": what}


def _rules(count: int, seed: int) -> list[dict[str, Any]]:
    phrases = [f"{verb} {how} {thing}" for verb in _VERBS for how in _HOWS for thing in _THINGS]
    made = [_personal(PERSONAL)]
    for number, phrase in enumerate(Random(seed).sample(phrases, count - 1)):
        verb, _, thing = phrase.split()
        rule = {**COMMON, "id": f"rule-{number}"}
        match number % 10:
            case 0:
                rule |= {"kind": "patterns", "patterns": [rf"\b{thing}-\d{{{3 + number % 5}}}\b"]}
            case 1:
                rule |= {"kind": "claims", "claims": [[[verb], [thing]]]}
            case _:
                rule |= {"kind": "terms", "terms": [phrase]}
        made.append(rule)
    return made


@dataclass(frozen=True)
class Cost:
    """Of one policy.

    Args:
        name: Of the policy, as for `policy`.
        load_ms: To make it ready, once.
        p50_us: Microseconds for a token, the median.
        p99_us: And what one in a hundred exceeds.
        worst_us: And the most.
        memory_mb: What the process grew by with the policy loaded and in use.
        held: Characters kept back after a token, on average.
        held_most: And at most.
        delay_ms: How much later a sentence's last token could be said than without a guard, on average.
        delay_most_ms: And at most.
    """

    name: str
    load_ms: float
    p50_us: float
    p99_us: float
    worst_us: float
    memory_mb: float
    held: float
    held_most: int
    delay_ms: float
    delay_most_ms: float


def measure(name: str, repeats: int) -> Cost:
    """Guard ordinary speech.

    Args:
        name: With which `policy`.
        repeats: How often everything in `SPEECH` is said.
    """
    import psutil

    process = psutil.Process()
    made = policy(name)
    before = process.memory_info().rss
    began = time.perf_counter()
    StreamGuard(made).feed("Hello")
    load = time.perf_counter() - began
    took: list[float] = []
    held: list[int] = []
    for _ in range(repeats):
        guard = StreamGuard(made)
        text = " ".join(SPEECH)
        for at in range(0, len(text), TOKEN):
            began = time.perf_counter()
            guard.feed(text[at : at + TOKEN])
            took.append(time.perf_counter() - began)
            held.append(guard.held)
        guard.finish()
    memory = process.memory_info().rss - before
    delays = [_delay(made, f"{one} {other}", len(one)) for one, other in pairwise(SPEECH)]
    micros = np.array(took) * 1e6
    return Cost(
        name,
        round(load * 1e3, 1),
        round(float(np.percentile(micros, 50)), 1),
        round(float(np.percentile(micros, 99)), 1),
        round(float(micros.max()), 1),
        round(memory / 2**20, 1),
        round(float(np.mean(held)), 2),
        max(held),
        round(float(np.mean(delays)), 1),
        round(max(delays), 1),
    )


def _delay(made: Policy, text: str, whole: int) -> float:
    """Milliseconds by which the first `whole` characters come out later than they went in, at the pace of tokens."""
    guard = StreamGuard(made)
    out, needed = 0, -(-whole // TOKEN)
    tokens = [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]
    for number, token in enumerate(tokens, 1):
        out += len(guard.feed(token))
        if out >= whole:
            return max(0, number - needed) / TOKENS_PER_SEC * 1e3
    return max(0, len(tokens) - needed) / TOKENS_PER_SEC * 1e3


def run(repeats: int, on_policy: Callable[[int, int], None]) -> list[Cost]:
    """Measure every number of rules, and every kind of personal data, each in a process of its own.

    Args:
        repeats: As for `measure`.
        on_policy: Called before each with policies done and policies in all.
    """
    names = (*map(str, RULES), *PERSONAL)
    costs = []
    for number, name in enumerate(names):
        on_policy(number, len(names))
        command = [sys.executable, "-m", __spec__.name, name, str(repeats)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        costs.append(Cost(**json.loads(done.stdout)))
    on_policy(len(names), len(names))
    return costs


def table(costs: Sequence[Cost]) -> Table:
    """For people."""
    shown = Table(
        title=f"Cost of the guard on ordinary speech, at {TOKENS_PER_SEC:.0f} tokens of {TOKEN} characters a second",
        caption="held: characters; later: milliseconds by which a sentence is whole later",
    )
    shown.add_column("rules")
    for name in (
        "token µs, p50/p99",
        "worst",
        "load ms",
        "MB",
        "held, mean/most",
        "later, mean/most",
    ):
        shown.add_column(name, justify="right")
    for cost in costs:
        shown.add_row(
            f"{int(cost.name):,}" if cost.name.isdigit() else f"{cost.name} alone",
            f"{cost.p50_us:.0f}/{cost.p99_us:.0f}",
            f"{cost.worst_us:.0f}",
            f"{cost.load_ms:.0f}",
            f"{cost.memory_mb:.0f}",
            f"{cost.held:.1f}/{cost.held_most}",
            f"{cost.delay_ms:.0f}/{cost.delay_most_ms:.0f}",
        )
    return shown


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2])))))  # noqa: T201
