"""Tables of golds and answers: what is one answer and what is not, both ways round."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.math_policy import MathPolicy
from assay.core.problem import Response
from assay.core.verdict import Verdict
from assay.verifiers.math_answer import verify_math

CASES = Path(__file__).with_name("cases")


def rows(name: str) -> list[Any]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]


def boxed(answer: str) -> str:
    return answer if "\\boxed" in answer else "\\boxed{" + answer + "}"


@pytest.mark.parametrize("row", rows("math_pairs.jsonl"))
def test_pair(row: dict[str, Any]) -> None:
    grade = verify_math(row["gold"], boxed(row["answer"]))
    assert (grade.verdict is Verdict.AC) is row["same"], grade
    assert grade.verdict is not Verdict.IE or row["gold"] == "\\frac{1}{0}"
    if "\\boxed" not in row["answer"]:
        turned = verify_math(row["answer"], boxed(row["gold"]))
        assert (turned.verdict is Verdict.AC) is row["same"], turned


@pytest.mark.parametrize("row", rows("math_responses.jsonl"))
def test_response(row: dict[str, Any]) -> None:
    grade = verify_math(row["gold"], row["response"])
    assert (grade.verdict is Verdict.AC) is row["same"], grade


@pytest.mark.parametrize(("gold", "answer", "policy", "same"), [
    ("\\frac13", "0.33", MathPolicy(), False), ("\\frac13", "0.33", MathPolicy(rounding="printed"), True),
    ("\\frac13", "0.34", MathPolicy(rounding="printed"), False), ("\\pi", "3.14", MathPolicy(rounding="printed"), True),
    ("\\pi", "3", MathPolicy(rounding="printed"), False), ("0.33", "0.34", MathPolicy(rounding="printed"), False),
    ("10\\%", "10", MathPolicy(), True), ("10\\%", "10", MathPolicy(percent="strict"), False),
    ("10\\%", "0.1", MathPolicy(percent="strict"), True),
    ("5\\text{ cm}", "5", MathPolicy(), True), ("5\\text{ cm}", "5", MathPolicy(units="required"), False),
    ("5\\text{ cm}", "5\\text{ m}", MathPolicy(units="ignored"), True), ("5\\text{ cm}", "0.05\\text{ m}", MathPolicy(units="required"), True),
    ("1, 2", "2, 1", MathPolicy(), True), ("1, 2", "2, 1", MathPolicy(order="strict"), False),
])
def test_policy(gold: str, answer: str, policy: MathPolicy, same: bool) -> None:
    grade = verify_math(gold, boxed(answer), policy=policy)
    assert (grade.verdict is Verdict.AC) is same, grade
    assert grade.components["policy"] == policy.model_dump()


def test_any_of_several_golds() -> None:
    assert verify_math(["1", "2"], "\\boxed{2}").verdict is Verdict.AC
    assert verify_math(("1", "2"), Response("\\boxed{3}")).verdict is Verdict.WA


@pytest.mark.parametrize(("response", "reason"), [
    ("", "empty_response"), (" \n\t", "empty_response"), ("<think>2+2=4", "unfinished_reasoning"), ("\\boxed{}", "empty_box"),
    ("\\boxed{5", "unclosed_box"), ("I do not know", "no_answer_found"),
    (" ... ".join(f"\\boxed{{{n}}}" for n in range(100)), "several_answers"), ("\\boxed{" + "1+" * 9000 + "1}", "answer_too_long"),
])
def test_no_answer(response: str, reason: str) -> None:
    grade = verify_math("5", response)
    assert (grade.verdict, grade.score, grade.reason) == (Verdict.NA, 0.0, reason)


@pytest.mark.parametrize("gold", ["", "  ", "$ $", "\\boxed{}", "\\frac{1}{", "((1", "10^{10^{10}}"])
def test_a_gold_that_cannot_be_used(gold: str) -> None:
    grade = verify_math(gold, "\\boxed{5}")
    assert (grade.verdict, grade.score, grade.reason) == (Verdict.IE, None, "bad_reference")
    assert grade.detail


@pytest.mark.parametrize("gold", ["10^{10^{10}}", "\\text{No. This would lead to } 0=1", "\\sum_{n=0}^{\\infty} x^n", "They are the same."])
def test_a_gold_that_is_compared_as_text_equals_itself(gold: str) -> None:
    assert verify_math(gold, boxed(gold)).verdict is Verdict.AC


@pytest.mark.parametrize(("gold", "answer", "same"), [
    ("\\int_0^1 x\\,dx", "\\frac12", True), ("\\sum_{k=1}^{10}k", "55", True), ("\\lim_{x\\to 0}\\frac{\\sin x}{x}", "1", True),
    ("\\int_0^1 x\\,dx", "1", False), ("\\sum_{k=1}^{10}k", "54", False),
])
def test_last_tier(gold: str, answer: str, same: bool) -> None:
    grade = verify_math(gold, boxed(answer), policy=MathPolicy(budget_s=30))      # the machine of a test may be busy
    assert (grade.verdict is Verdict.AC) is same, grade


def test_the_grade_says_what_it_rests_on() -> None:
    grade = verify_math("\\frac12", "so \\boxed{0.5}")
    assert grade.score == 1.0 and grade.reason == "equal" and grade.detail == "boxed"
    assert 0 < grade.cpu_s < 0.5 and 0 < grade.wall_s < 10


@pytest.mark.parametrize(("question", "gold", "answer", "reason"), [
    ("Simplify $\\sqrt{50}$.", "5\\sqrt2", "\\sqrt{50}", "echo"), ("Simplify $\\sqrt{50}$.", "5\\sqrt2", "5\\sqrt{2}", "equal"),
    ("Compute $2+2$.", "4", "2+2", "echo"), ("Compute $2+2$.", "4", "4", "equal"), ("What is \\(2^{10}=?\\)", "1024", "2^{10}", "echo"),
    ("Expand $(x+1)^2$.", "x^2+2x+1", "(x+1)^2", "echo"), ("Let $f(x)=x+1$. What is $f$?", "1+x", "x+1", "equal"),
    ("Which is larger, $2^{10}$ or $10^2$?", "2^{10}", "2^{10}", "equal"), ("If $x=3$, what is $x$?", "3.0", "3", "equal"),
    ("", "4", "2+2", "equal"),
])
def test_the_question_given_back_is_no_answer(question: str, gold: str, answer: str, reason: str) -> None:
    assert verify_math(gold, boxed(answer), question=question).reason == reason
