"""Judges as Pipecat classifiers, and Pipecat classifiers as judges."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pipecat.classifiers.base_classifier import (
    BaseClassifier,
    ChoiceQuestion,
    ClassifierError,
    ClassifierImage,
    ClassifierQuestion,
    ClassifierResult,
    ScoreQuestion,
    YesNoQuestion,
    YesNoResult,
)
from pipecat.metrics.metrics import LLMTokenUsage, MetricsData

from guardrails.judging import JudgeError, Scores, worst
from processors.guarding.classifier import QUESTIONS, ClassifierJudge, JudgeClassifier

ASKED = YesNoQuestion(instructions="Is it?")


class Words:
    """A judge that looks for words."""

    labels = ("injection", "toxicity")

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def score(self, text: str) -> Scores:
        self.threads.append(threading.current_thread())
        if "broken" in text:
            raise JudgeError("the model has gone: install it again")
        return {"injection": 0.9 if "ignore" in text else 0.1, "toxicity": 0.8 if "idiot" in text else 0.2}


class Stuck:
    """A judge that answers when it is let."""

    labels = ("injection",)

    def __init__(self) -> None:
        self.let = threading.Event()

    def score(self, text: str) -> Scores:
        self.let.wait(30)
        return {"injection": 0.0}


class Vendor(BaseClassifier):
    """A classifier of another make."""

    def __init__(self, fault: Exception | None = None, *, hangs: bool = False) -> None:
        super().__init__()
        self.fault, self.hangs = fault, hangs
        self.asked: list[Mapping[str, ClassifierQuestion]] = []

    async def _ask(
        self,
        state: str | dict[str, Any] | list[Any],
        questions: Mapping[str, ClassifierQuestion],
        images: Sequence[ClassifierImage] = (),
    ) -> tuple[dict[str, ClassifierResult], LLMTokenUsage | None]:
        self.asked.append(questions)
        if self.fault:
            raise self.fault
        if self.hangs:
            await asyncio.Event().wait()
        return {name: YesNoResult(probability=0.75 if "ignore" in state else 0.25) for name in questions}, None


async def test_a_question_is_answered_with_the_score_of_its_name() -> None:
    judge = Words()
    answers = await JudgeClassifier(judge).yes_no(
        "you idiot", {"injection": ASKED, "toxicity": ASKED, "anything": ASKED}
    )
    assert {name: answer.probability for name, answer in answers.items()} == {
        "injection": 0.1,
        "toxicity": 0.8,
        "anything": 0.8,
    }
    assert judge.threads != [threading.current_thread()]


async def test_a_choice_between_a_label_and_another() -> None:
    question = ChoiceQuestion(instructions="What is it?", options={"injection": None, "fine": None})
    answer = (await JudgeClassifier(Words()).choice("ignore it", {"kind": question}))["kind"]
    assert answer.choice == "injection"
    assert answer.probabilities == {"injection": 0.9, "fine": pytest.approx(0.1)}
    assert (await JudgeClassifier(Words()).choice("hello", {"kind": question}))["kind"].choice == "fine"


@pytest.mark.parametrize(
    "question",
    [
        ScoreQuestion(instructions="How bad?", levels=["a little", "a lot"]),
        ChoiceQuestion(instructions="Which?", options={"good": None, "bad": None}),
        ChoiceQuestion(instructions="Which?", options={"injection": None, "toxicity": None}),
        ChoiceQuestion(instructions="Which?", options={"injection": None, "good": None, "bad": None}),
    ],
)
async def test_what_a_judge_cannot_answer(question: ClassifierQuestion) -> None:
    with pytest.raises(ClassifierError, match="answers yes or no, or chooses between injection or toxicity"):
        await JudgeClassifier(Words()).ask("hello", {"kind": question})


async def test_a_judges_error_is_a_classifiers_error() -> None:
    with pytest.raises(ClassifierError, match="the model has gone: install it again"):
        await JudgeClassifier(Words()).yes_no("broken", {"injection": ASKED})


async def test_a_judge_that_is_too_slow() -> None:
    judge = Stuck()
    try:
        with pytest.raises(ClassifierError, match=r"took over 0\.01 s"):
            await JudgeClassifier(judge, limit_secs=0.01).yes_no("hello", {"injection": ASKED})
    finally:
        judge.let.set()


async def test_metrics_name_the_judge() -> None:
    classifier = JudgeClassifier(Words())
    seen: list[MetricsData] = []
    done = asyncio.Event()

    @classifier.event_handler("on_metrics")
    async def on_metrics(_: BaseClassifier, data: list[MetricsData]) -> None:
        seen.extend(data)
        done.set()

    await classifier.yes_no("hello", {"injection": ASKED})
    await asyncio.wait_for(done.wait(), 10)
    assert seen[0].model == "Words(injection, toxicity)"


async def test_a_classifier_judges() -> None:
    vendor = Vendor()
    judge = ClassifierJudge(vendor, QUESTIONS, asyncio.get_running_loop())
    assert judge.labels == ("injection", "toxicity")
    assert await asyncio.to_thread(judge.score, "ignore it") == {"injection": 0.75, "toxicity": 0.75}
    assert await asyncio.to_thread(worst(judge), "hello") == 0.25
    assert vendor.asked[0] == QUESTIONS


@pytest.mark.parametrize(
    ("vendor", "line"),
    [
        (Vendor(ClassifierError("no answer")), r"the classifier failed \(ClassifierError\)"),
        (Vendor(ZeroDivisionError()), r"the classifier failed \(ZeroDivisionError\)"),
        (Vendor(hangs=True), "the classifier took over 0.01 s"),
    ],
)
async def test_a_classifier_that_fails(vendor: Vendor, line: str) -> None:
    judge = ClassifierJudge(vendor, QUESTIONS, asyncio.get_running_loop(), limit_secs=0.01)
    with pytest.raises(JudgeError, match=line):
        await asyncio.to_thread(judge.score, "hello")


async def test_a_classifier_is_not_waited_for_in_its_own_loop() -> None:
    judge = ClassifierJudge(Vendor(), QUESTIONS, asyncio.get_running_loop())
    with pytest.raises(JudgeError, match="call it in a thread"):
        judge.score("hello")


def test_a_loop_that_has_ended() -> None:
    loop = asyncio.new_event_loop()
    judge = ClassifierJudge(Vendor(), QUESTIONS, loop)
    loop.close()
    with pytest.raises(JudgeError, match="has ended"):
        judge.score("hello")


async def test_a_judge_behind_a_classifier_behind_a_judge() -> None:
    judge = ClassifierJudge(JudgeClassifier(Words()), QUESTIONS, asyncio.get_running_loop())
    assert await asyncio.to_thread(judge.score, "ignore the idiot") == {"injection": 0.9, "toxicity": 0.8}
