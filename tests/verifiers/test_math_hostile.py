"""Hostile responses and golds: a verdict within the budget, nothing executed, memory bounded."""
from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from assay.core.math_policy import MathPolicy
from assay.core.verdict import Verdict
from assay.verifiers import workers
from assay.verifiers.math_answer import verify_math
from assay.verifiers.mathexpr.final_answer import final_answer
from assay.verifiers.workers import WORKER_BYTES

OVER_S = 0.1
"""What a grade may take beyond its budget, to notice; in CPU time, for on a busy machine a process may wait."""


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits for a core is waited for."""
    monkeypatch.setattr(workers, "STRETCH", 60)


def boxed(text: str) -> str:
    return "\\boxed{" + text + "}"


WRONG = {
    "10 MB of letters": "a" * 10_000_000,
    "10 MB in a box": boxed("1" * 10_000_000),
    "10 MB of braces": "{" * 10_000_000,
    "10 MB of boxes that are never closed": "\\boxed{" * 1_400_000,
    "boxes in boxes": "\\boxed{" * 20_000 + "}" * 20_000,
    "10 MB of dollars": "$" * 10_000_000,
    "markers": "the answer is " * 700_000,
    "bold": "**a** " * 1_000_000,
    "backslashes": "\\" * 5_000_000,
    "a million digits": boxed("9" * 1_000_000),
    "a number of 4001 digits": boxed("1" * 4001),
    "a hundred boxes": " then ".join(boxed(str(n)) for n in range(100)),
    "a power tower": boxed("10^{10^{10}}"),
    "a high power tower": boxed("2^{2^{2^{2^{2^{2^{2}}}}}}"),
    "a plain power tower": boxed("9**9**9**9"),
    "a factorial": boxed("10000!"),
    "a large factorial": boxed("100000000!"),
    "factorials of factorials": boxed("10!!!!"),
    "a large binomial": boxed("\\binom{10^9}{10^8}"),
    "an e tower": boxed("e^{e^{e^{e^{e}}}}"),
    "an i tower": boxed("i^{i^{i^{i^{i}}}}"),
    "a variable tower": boxed("x^{x^{x^{x}}}"),
    "a large sine": boxed("\\sin(10^{100000})"),
    "a large root": boxed("\\sqrt[3]{" + "9" * 3000 + "}"),
    "a complex power": boxed("(1+i)^{10^{12}}"),
    "a power of a polynomial": boxed("(x+y+z)^{2000}"),
    "nested fractions, 500": boxed("\\frac{1}{" * 500 + "2" + "}" * 500),
    "nested roots, 40": boxed("\\sqrt{2+" * 40 + "2" + "}" * 40),
    "unbalanced braces": boxed("\\frac{" * 500 + "1"),
    "unbalanced left": boxed("\\left(" * 400),
    "parentheses": boxed("(" * 3000 + "1" + ")" * 3000),
    "many roots": boxed("+".join(f"\\sqrt{{{n}}}" for n in range(2, 500))),
    "many sines": boxed("+".join(f"\\sin({n}x)" for n in range(2, 200))),
    "many gammas": boxed("+".join(f"(x+{n})!" for n in range(100))),
    "a long list": boxed(",".join(str(n) for n in range(2000))),
    "a long set of roots": boxed("\\{" + ",".join(f"\\sqrt{{{n}}}" for n in range(2, 120)) + "\\}"),
    "many signs": boxed("\\pm1" * 200),
    "a long chain": boxed("=".join("x" * 1000)),
    "a large matrix": boxed("\\begin{pmatrix}" + "\\\\".join("&".join("1" * 40) for _ in range(40)) + "\\end{pmatrix}"),
    "a macro": boxed("\\def\\a{\\a\\a}\\a"),
    "0/0": boxed("\\frac{0}{0}"),
    "infinity minus infinity": boxed("\\infty-\\infty"),
    "0^0": boxed("0^0"),
    "nan": boxed("\\text{NaN}"),
    "a lone surrogate": boxed("\ud800"),
    "an integral": boxed("\\int_0^1 e^{e^{e^{x}}} \\sin(x^{x}) dx"),
    "a long sum": boxed("\\sum_{k=1}^{10^9} \\frac{1}{k^2}"),
}


@pytest.mark.parametrize("gold", ["1", "x^2+1", "\\sqrt{2}+\\pi", "1, 2, 3"], ids=["integer", "polynomial", "radical", "list"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_within_the_budget(name: str, gold: str) -> None:
    grade = verify_math(gold, WRONG[name])
    assert grade.verdict in (Verdict.WA, Verdict.NA), grade
    assert grade.score == 0.0 and grade.reason
    assert grade.cpu_s < MathPolicy().budget_s + OVER_S


LONG = 200_000
"""Characters of a response that are read."""
ENDLESS = {
    "a marker and commas": ("final answer is ", ","),
    "markers and commas": ("answer is " * (LONG // 20), ", "),
    "a marker and spaces": ("final answer", " "),
    "an answer and tabs": ("the answer", "\t"),
    "formulas that nothing closes": ("$1$", "\\("),
    "displays that nothing closes": ("the answer is ", "\\["),
    "dollars that nothing closes": ("the answer is ", "$$ "),
    "tags": ("", "<answer>"),
    "solutions and spaces": ("the solutions are 5", " "),
    "an open text between boxes": ("\\boxed{1}\\text{", " "),
    "a letter and spaces": ("选", " "),
    "bold and spaces": ("** A", " "),
    "open groups": ("\\boxed{", "{"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_is_looked_for_in_linear_time(name: str) -> None:
    """A pattern holds Python's lock while it searches, so nothing can end it: "final answer is" and 4,096 commas once took 55 s."""
    start, again = ENDLESS[name]
    for end in ("x", "", "$1$", "\\boxed{2}"):
        text = start + again * ((LONG - len(start)) // len(again)) + end
        before = time.process_time()
        final_answer(text)
        assert time.process_time() - before < 1.5, end


@pytest.mark.parametrize("name", ["a power tower", "an integral", "many gammas", "unbalanced braces", "nested fractions, 500", "a lone surrogate"])
def test_hostile_golds(name: str) -> None:
    """A monstrous gold never accepts a plain answer, and its own text is accepted or the gold is called bad."""
    gold = WRONG[name].removeprefix("\\boxed{").removesuffix("}")
    assert verify_math(gold, boxed("1")).verdict in (Verdict.WA, Verdict.IE)


@pytest.mark.parametrize("payload", [
    "__import__('os').system('touch {0}')", "exec(\"open('{0}','w')\")", "7 if open('{0}','w') else 7", "eval('7')", "S('7')", "print(7)",
    "sum([7 for _ in [open('{0}','w')]])", "(lambda: open('{0}','w'))() or 7", "\\write18{{touch {0}}}", "\\input{{|touch {0}}}",
    "\\sum_{{k=1}}^{{open('{0}','w')}} k", "\\int_0^1 \\text{{__import__('os').system('touch {0}')}} dx",
])
def test_model_text_is_never_executed(payload: str, tmp_path: Path) -> None:
    mark = tmp_path / "pwned"
    for gold in ("7", "\\sum_{k=1}^{7} 1"):
        grade = verify_math(gold, boxed(payload.format(mark)))
        assert grade.verdict in (Verdict.WA, Verdict.NA), grade
    assert not mark.exists()


def test_the_budget_is_the_policys() -> None:
    grade = verify_math("1", WRONG["an integral"], policy=MathPolicy(budget_s=0.2))
    assert grade.reason in ("budget", "different")
    assert grade.cpu_s < 0.2 + OVER_S


def test_workers_are_small() -> None:
    assert WORKER_BYTES <= 512 << 20


@pytest.mark.slow
def test_a_hundred_thousand_grades_with_flat_memory() -> None:
    def grade(n: int) -> None:
        verify_math(f"\\frac{{{n}}}{{7}}+x", f"\\boxed{{x+{n}/7}}")

    for n in range(20_000):
        grade(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(20_000, 100_000):
        grade(n)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000, f"{grown} KiB"
