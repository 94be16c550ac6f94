"""What a process did -> what a judge says, with a sandbox that is a script: no process runs here."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from assay.core.errors import MachineBusy, SlotDied
from assay.core.problem import CodeTests, Program
from assay.core.verdict import Grade, Verdict
from assay.sandbox.execution import Compiled, CompileFailed, Ended, Job, Outcome
from assay.verifiers.code_tests import CodeVerifier
from assay.verifiers.repeats import FailureOrder

Run = Callable[[Job, int], Outcome]


class Scripted:
    """An executor whose outcomes are given by a function of the job and the number of its test."""

    def __init__(self, run: Run, compiled: Compiled | CompileFailed | None = None) -> None:
        self.run = run
        self.compiled = compiled or Compiled()
        self.jobs: list[Job] = []
        self.runs = 0

    async def execute(self, job: Job) -> AsyncIterator[Compiled | CompileFailed | Outcome]:
        self.jobs.append(job)
        yield self.compiled
        if isinstance(self.compiled, CompileFailed):
            return
        for n in range(len(job.tests)):
            self.runs += 1
            outcome = self.run(job, n)
            yield outcome
            if job.stop_on_failure and (outcome.ended is not Ended.EXITED or outcome.exit_code != 0):
                return


def judged(executor: Scripted, spec: dict[str, Any], *, reward: str = "all_tests", detail: str = "first") -> Grade:
    verifier = CodeVerifier(executor, reward=reward, detail=detail)     # type: ignore[arg-type]
    return asyncio.run(verifier.grade(CodeTests.model_validate(spec), Program("x")))


def exited(stdout: bytes = b"", code: int = 0, **more: Any) -> Outcome:
    return Outcome(Ended.EXITED, exit_code=code, stdout=stdout, **more)


def echo(job: Job, n: int) -> Outcome:
    return exited(job.tests[n].data)


STDIN = {"type": "code", "tests": [{"input": str(n), "output": str(n)} for n in range(5)]}
CALL = {"type": "code", "mode": "call", "entry_point": "f", "tests": [{"args": [1], "output": [1, 2]}, {"args": [2], "output": None}]}
ASSERT = {"type": "code", "mode": "assert", "entry_point": "f", "test_code": "def check(f): ..."}


@pytest.mark.parametrize(("outcome", "verdict", "reason"), [
    (exited(b"0\n"), Verdict.AC, "accepted"),
    (exited(b"1\n"), Verdict.WA, "wrong_answer"),
    (exited(b""), Verdict.WA, "wrong_answer"),
    (exited(b"0\n", code=1), Verdict.RE, "exit_code"),
    (Outcome(Ended.SIGNALLED, signal=11, stdout=b"0\n"), Verdict.RE, "signal"),
    (Outcome(Ended.CPU_LIMIT, stdout=b"0\n"), Verdict.TLE, "cpu_time_limit"),
    (Outcome(Ended.WALL_LIMIT, stdout=b"0\n"), Verdict.TLE, "wall_time_limit"),
    (Outcome(Ended.MEMORY_LIMIT, stdout=b"0\n"), Verdict.MLE, "memory_limit"),
    (Outcome(Ended.OUTPUT_LIMIT, stdout=b"0\n"), Verdict.OLE, "output_limit"),
])
def test_stdin(outcome: Outcome, verdict: Verdict, reason: str) -> None:
    grade = judged(Scripted(lambda _job, _n: outcome), {"type": "code", "tests": [{"input": "", "output": "0"}]})
    assert (grade.verdict, grade.reason, grade.score) == (verdict, reason, float(verdict is Verdict.AC))
    assert [case.verdict for case in grade.cases] == [verdict]


def test_without_a_core_there_is_no_verdict() -> None:
    """Of the program, its compiler, a validator: whichever of them had none."""
    spec = {"type": "code", "tests": [{"input": "", "output": "0"}]}
    validator = spec | {"checker": {"type": "validator", "program": "v", "language": "python", "args": []}}
    starved = Outcome(Ended.STARVED)
    busy = CompileFailed("machine_busy", "the compiler had no core")
    for executor, problem in ((Scripted(lambda _job, _n: starved), spec), (Scripted(echo, busy), spec),
                              (Scripted(lambda job, _n: starved if job.tests[0].argv else exited()), validator)):
        with pytest.raises(MachineBusy):
            judged(executor, problem)


@pytest.mark.parametrize(("outcome", "verdict", "reason"), [
    (exited(result=b"[1,2]"), Verdict.AC, "accepted"),
    (exited(result=b"[1,3]"), Verdict.WA, "wrong_answer"),
    (exited(b"[1,2]"), Verdict.RE, "no_result"),                # printed, not returned
    (exited(result=None), Verdict.RE, "no_result"),             # os._exit(0) inside the call
    (exited(result=b"[1,2]", code=1), Verdict.RE, "exit_code"),
    (exited(result=b"[1,2]", error="ValueError: x"), Verdict.RE, "exception"),
    (exited(result=b"not json"), Verdict.WA, "wrong_answer"),
])
def test_call(outcome: Outcome, verdict: Verdict, reason: str) -> None:
    grade = judged(Scripted(lambda _job, n: outcome if n == 0 else exited(result=b"null")), CALL)
    assert (grade.verdict, grade.reason) == (verdict, reason)


@pytest.mark.parametrize(("outcome", "verdict", "reason"), [
    (exited(completed=True), Verdict.AC, "accepted"),
    (exited(completed=False), Verdict.RE, "not_completed"),     # an exit code alone is never a pass
    (exited(completed=True, code=1), Verdict.RE, "not_completed"),
    (exited(error="AssertionError: ", code=1), Verdict.WA, "assertion_failed"),
    (exited(error="NameError: f", code=1), Verdict.RE, "exception"),
    (exited(completed=True, error="NameError: f"), Verdict.RE, "exception"),
])
def test_assert(outcome: Outcome, verdict: Verdict, reason: str) -> None:
    grade = judged(Scripted(lambda _job, _n: outcome), ASSERT)
    assert (grade.verdict, grade.reason) == (verdict, reason)
    assert len(grade.cases) == 1


def test_expected_outputs_never_reach_the_sandbox() -> None:
    executor = Scripted(lambda _job, _n: exited(b"SECRET"))
    judged(executor, {"type": "code", "tests": [{"input": "in", "output": "SECRET"}]})
    judged(executor, CALL | {"tests": [{"args": ["in"], "output": "SECRET"}]})
    assert executor.jobs and "SECRET" not in repr(executor.jobs)


def test_stop_on_failure() -> None:
    def second_fails(job: Job, n: int) -> Outcome:
        return exited(b"wrong") if n == 1 else echo(job, n)

    stopped = judged(Scripted(second_fails), STDIN)
    assert [case.verdict.value for case in stopped.cases] == ["AC", "WA"]
    whole = judged(Scripted(second_fails), STDIN | {"stop_on_failure": False})
    assert [case.verdict.value for case in whole.cases] == ["AC", "WA", "AC", "AC", "AC"]
    assert (whole.verdict, whole.score) == (Verdict.WA, 0.0)
    share = judged(Scripted(second_fails), STDIN, reward="fraction")
    assert (share.verdict, share.score) == (Verdict.WA, 0.8)


def test_the_verdict_is_that_of_the_first_failure() -> None:
    ends = [exited(b"0"), Outcome(Ended.CPU_LIMIT), exited(b"x"), exited(b"3"), exited(b"", code=3)]
    grade = judged(Scripted(lambda _job, n: ends[n]), STDIN | {"stop_on_failure": False})
    assert grade.verdict is Verdict.TLE


def test_a_compile_error_has_no_cases() -> None:
    grade = judged(Scripted(echo, CompileFailed("compile_error", "line 1: no")), STDIN)
    assert (grade.verdict, grade.score, grade.reason, grade.cases) == (Verdict.CE, 0.0, "compile_error", ())
    assert "line 1" in grade.detail


@pytest.mark.parametrize(("spec", "says"), [
    ({"type": "code"}, "no tests"),
    ({"type": "code", "tests": [{"input": "1"}]}, "test 1 has no output"),
    ({"type": "code", "tests": [{"input": "1", "output": "1"}, {"output": "1"}]}, "test 2 has no input"),
    ({"type": "code", "tests": [{"input": "1", "output": 5}]}, "not text"),
    ({"type": "code", "mode": "call", "tests": [{"args": [], "output": 1}]}, "entry_point"),
    ({"type": "code", "mode": "call", "entry_point": "f", "tests": [{"output": 1}]}, "no args"),
    ({"type": "code", "mode": "assert", "entry_point": "f"}, "no test_code"),
])
def test_a_problem_without_its_parts_is_a_bad_reference(spec: dict[str, Any], says: str) -> None:
    grade = judged(Scripted(echo), spec)
    assert (grade.verdict, grade.score, grade.reason) == (Verdict.IE, None, "bad_reference")
    assert says in grade.detail


def validated(ends: Callable[[bytes], Outcome], tests: int = 20) -> tuple[dict[str, Any], Run]:
    spec = {"type": "code", "tests": [{"input": str(n), "output": "answer"} for n in range(tests)],
            "checker": {"type": "validator", "program": "VALIDATOR", "language": "cpp", "args": ["strict"]}}

    def run(job: Job, n: int) -> Outcome:
        if job.source != b"VALIDATOR":
            return echo(job, n)
        test = job.tests[n]
        assert job.language == "cpp" and test.argv == ("input", "answer", "feedback/", "strict")
        assert test.files["answer"] == b"answer" and test.files["input"] == test.data
        return ends(test.data)
    return spec, run


def test_a_validator_decides() -> None:
    spec, run = validated(lambda _data: exited(code=42))
    assert judged(Scripted(run), spec).verdict is Verdict.AC
    spec, run = validated(lambda data: exited(code=43 if data == b"11" else 42))
    executor = Scripted(run)
    grade = judged(executor, spec)
    assert (grade.verdict, len(grade.cases)) == (Verdict.WA, 12)
    assert executor.runs == 2 * 16      # two chunks, not all twenty


@pytest.mark.parametrize("tests", [1, 7, 8, 9, 16])
def test_a_validator_decides_however_many_tests_there_are(tests: int) -> None:
    """None of the outputs is the answer file's: were they compared with it, all would be wrong."""
    spec, run = validated(lambda data: exited(code=42), tests)
    assert judged(Scripted(run), spec).verdict is Verdict.AC
    spec, run = validated(lambda data: exited(code=43), tests)
    spec["tests"] = [{**test, "output": test["input"]} for test in spec["tests"]]       # and now all of them are
    grade = judged(Scripted(lambda job, n: run(job, n) if job.source != b"VALIDATOR" else exited(code=43)), spec)
    assert (grade.verdict, grade.reason) == (Verdict.WA, "wrong_answer")


@pytest.mark.parametrize("end", [exited(code=0), exited(code=1), Outcome(Ended.SIGNALLED, signal=11), Outcome(Ended.CPU_LIMIT)])
def test_a_validator_that_crashes_is_the_problems_fault(end: Outcome) -> None:
    spec, run = validated(lambda _data: end)
    grade = judged(Scripted(run), spec)
    assert (grade.verdict, grade.reason) == (Verdict.IE, "bad_reference")


def test_a_validator_that_crashes_behind_the_test_that_decides_does_not_count() -> None:
    spec, run = validated(lambda data: exited(code={b"0": 42, b"1": 43}.get(data, 1)))
    assert judged(Scripted(run), spec).verdict is Verdict.WA
    assert judged(Scripted(run), spec | {"stop_on_failure": False}).verdict is Verdict.IE


def test_a_program_that_crashes_is_not_shown_to_the_validator() -> None:
    spec, run = validated(lambda _data: exited(code=42))
    grade = judged(Scripted(lambda job, n: exited(b"x", code=1) if job.source != b"VALIDATOR" else run(job, n)), spec)
    assert (grade.verdict, grade.reason) == (Verdict.RE, "exit_code")


@pytest.mark.parametrize(("detail", "lines"), [("none", 0), ("first", 1), ("all", 5)])
def test_detail_is_bounded(detail: str, lines: int) -> None:
    big = {"type": "code", "stop_on_failure": False, "tests": [{"input": "i" * 100_000, "output": "o" * 100_000}] * 5}
    grade = judged(Scripted(lambda _job, _n: exited(b"g" * 100_000, stderr=b"e" * 100_000)), big, detail=detail)
    assert len(grade.detail.splitlines()) == lines
    assert len(grade.detail) <= 1200 * lines
    assert detail == "none" or all(word in grade.detail for word in ("test 1: WA wrong_answer", "input 'iii", "expected 'ooo", "got 'ggg", "eee"))


def test_our_own_fault_is_raised() -> None:
    def died(_job: Job, _n: int) -> Outcome:
        raise SlotDied("slot 1 died")

    with pytest.raises(SlotDied):
        judged(Scripted(died), STDIN)


def test_tests_that_fail_most_often_come_first() -> None:
    async def main() -> list[tuple[str, int, str]]:
        executor = Scripted(lambda job, n: exited(b"wrong") if job.tests[n].data == b"3" else echo(job, n))
        verifier = CodeVerifier(executor, failure_order=FailureOrder())
        reward = CodeTests.model_validate(STDIN)
        grades = [await verifier.grade(reward, Program("x")) for _ in range(3)]
        return [(grade.verdict.value, len(grade.cases), grade.detail[:7], grade.components.get("ran")) for grade in grades]

    assert asyncio.run(main()) == [("WA", 4, "test 4:", None), ("WA", 1, "test 4:", [3]), ("WA", 1, "test 4:", [3])]


def test_without_stopping_the_order_is_the_problems_own() -> None:
    async def main() -> list[list[str]]:
        executor = Scripted(lambda job, n: exited(b"wrong") if job.tests[n].data == b"3" else echo(job, n))
        verifier = CodeVerifier(executor, failure_order=FailureOrder())
        reward = CodeTests.model_validate(STDIN | {"stop_on_failure": False})
        return [[case.verdict.value for case in (await verifier.grade(reward, Program("x"))).cases] for _ in range(2)]

    assert asyncio.run(main()) == [["AC", "AC", "AC", "WA", "AC"]] * 2
