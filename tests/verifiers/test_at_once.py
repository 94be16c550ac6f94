"""Grades that need no search are given at once, in the caller's thread, and are the very grades that a worker thread gives."""
from __future__ import annotations

import asyncio
import dataclasses
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Grader, Problem
from assay.core.math_policy import MathPolicy
from assay.core.problem import MathAnswer
from assay.core.verdict import Grade
from assay.verifiers.grader import _AT_ONCE_S, _AtOnce
from assay.verifiers.math_answer import AT_ONCE_CHARS, MathVerifier

VERIFIER = MathVerifier()
NUMBERS = st.one_of(
    st.integers(-10**12, 10**12).map(str), st.decimals(-1000, 1000, places=2).map(str), st.integers(0, 10**7).map("{:,}".format),
    st.tuples(st.integers(-99, 99), st.integers(0, 99)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.integers(-99, 99), st.integers(0, 99)).map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
    st.sampled_from(["0.3333333333333", "0.33", "1/3", "50\\%", "", "-", "x", "\\sqrt{4}", "(1,2)", "1, 2", "12 cm", "\\text{five}", "1e3", "$7$"]))
FRAMES = st.sampled_from([
    "\\boxed{%s}", "so the answer is %s.", "#### %s", "%s", "<answer>%s</answer>", "I get $%s$", "<think>\\boxed{%s}", "\\boxed{%s"])


def told(grade: Grade) -> Grade:
    return dataclasses.replace(grade, cpu_s=0.0, wall_s=0.0)


POLICIES = st.sampled_from([MathPolicy(), MathPolicy(rounding="printed"), MathPolicy(percent="strict")])


@given(st.lists(NUMBERS, min_size=1, max_size=3), NUMBERS, FRAMES, POLICIES)
def test_a_grade_at_once_is_the_grade(golds: list[str], answer: str, frame: str, policy: MathPolicy) -> None:
    asked = MathAnswer(answer=tuple(golds), policy=policy)
    at_once = VERIFIER.grade_at_once(asked, frame % answer)
    assert at_once is None or told(at_once) == told(VERIFIER.grade(asked, frame % answer))


@pytest.mark.parametrize(("gold", "response", "verdict"), [
    ("42", r"\boxed{42}", "AC"), ("42", r"\boxed{43}", "WA"),
    ("1/2", r"\boxed{0.5}", "AC"), ("1,000", "#### 1000", "AC"), ("42", "<think>Is it 42?", "NA"),
    ("42", "", "NA"), (("7", "42"), r"\boxed{42}", "AC")])
def test_numbers_are(gold: str | tuple[str, ...], response: str, verdict: str) -> None:
    grade = VERIFIER.grade_at_once(MathAnswer(answer=gold), response)
    assert grade is not None and grade.verdict.value == verdict


@pytest.mark.parametrize(("gold", "response"), [
    ("x+1", r"\boxed{42}"), ("42", r"\boxed{x+1}"), ("", r"\boxed{42}"), ("42", "1" * (AT_ONCE_CHARS + 1)), ("2" * 300, r"\boxed{2}"),
    (tuple(map(str, range(50))), r"\boxed{2}"), (("42", "x"), r"\boxed{42}")])
def test_the_rest_is_not(gold: str | tuple[str, ...], response: str) -> None:
    assert VERIFIER.grade_at_once(MathAnswer(answer=gold), response) is None


def test_a_loop_grades_for_half_of_its_time() -> None:
    own = _AtOnce()
    asked = 0
    while own.ask():
        time.sleep(_AT_ONCE_S / 10)
        own.took()
        asked += 1
    assert 1 <= asked <= 12
    time.sleep(_AT_ONCE_S * 20)     # what a text that takes long has left to pay is paid
    assert own.ask()


def test_a_flood_in_a_loop_goes_to_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    before = MathVerifier.grade
    at_once = MathVerifier.grade_at_once

    def spy(self: MathVerifier, problem_answer: MathAnswer, response: str, *, question: str = "") -> Grade:
        threads.append(threading.current_thread().name)
        return before(self, problem_answer, response, question=question)

    def slow(self: MathVerifier, problem_answer: MathAnswer, response: str) -> Grade | None:
        threads.append(threading.current_thread().name)
        time.sleep(0.0003)
        return at_once(self, problem_answer, response)

    monkeypatch.setattr(MathVerifier, "grade", spy)
    monkeypatch.setattr(MathVerifier, "grade_at_once", slow)
    items = [(Problem.model_validate({"reward": {"type": "math", "answer": str(n)}}), rf"\boxed{{{n + n % 2}}}") for n in range(200)]

    async def awaited(grader: Grader) -> list[float | None]:
        return [grade.score for grade in await asyncio.gather(*(grader.agrade(*item) for item in items))]

    with Grader("local", workers=2) as grader:
        assert asyncio.run(awaited(grader)) == [float(n % 2 == 0) for n in range(200)]
        assert grader.metrics()["grades"] == {"AC": 100, "WA": 100} and grader.metrics()["in_flight"] == 0
    own = threads.count("MainThread")
    assert 1 <= own <= 100 and len(threads) >= 200 and {name[:10] for name in threads} == {"MainThread", "assay-math"}


def test_what_fails_at_once_is_graded_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: MathVerifier, problem_answer: MathAnswer, response: str) -> Grade | None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(MathVerifier, "grade_at_once", fails)
    with Grader("local", workers=1) as grader:
        assert grader.grade(Problem.model_validate({"reward": {"type": "math", "answer": "7"}}), r"\boxed{7}").score == 1.0
