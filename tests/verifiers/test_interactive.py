"""Who is to blame in an interaction: what the two sides did -> verdict. (On real sandboxes: tests/sandbox/conformance/interactive.toml.)"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assay.core.errors import MachineBusy
from assay.core.problem import CodeTests, Program
from assay.core.verdict import Grade, Verdict
from assay.sandbox.execution import Compiled, CompileFailed, Ended, Exchange, Job, Outcome, PartnerFailed
from assay.verifiers.code_tests import CodeVerifier

SPEC = {"type": "code", "limits": {"cpu_s": 1}, "tests": [{"input": "in", "output": "SECRET"}, {"input": "in 2", "limits": {"cpu_s": 3}}],
        "checker": {"type": "interactive", "program": "INTERACTOR", "language": "cpp", "args": ["a"]}}


class Scripted:
    def __init__(self, *items: Compiled | CompileFailed | PartnerFailed | Exchange) -> None:
        self.items = items
        self.jobs: list[tuple[Job, Job]] = []

    async def interact(self, job: Job, partner: Job, goes_on: int) -> AsyncIterator[Compiled | CompileFailed | PartnerFailed | Exchange]:
        assert goes_on == 42
        self.jobs.append((job, partner))
        for item in self.items:
            yield item


def judged(*items: Compiled | CompileFailed | PartnerFailed | Exchange, **more: Any) -> Grade:
    verifier = CodeVerifier(Scripted(*items))     # type: ignore[arg-type]
    return asyncio.run(verifier.grade(CodeTests.model_validate(SPEC | more), Program("x")))


def ended(code: int) -> Outcome:
    return Outcome(Ended.EXITED, exit_code=code, stderr=b"said so")


CRASHED = Outcome(Ended.SIGNALLED, signal=11)
STOPPED = Outcome(Ended.STOPPED)


@pytest.mark.parametrize(("program", "partner", "partner_first", "verdict"), [
    (ended(0), ended(42), False, Verdict.AC),
    (ended(0), ended(42), True, Verdict.AC),
    (ended(0), ended(43), False, Verdict.WA),
    (ended(0), ended(43), True, Verdict.WA),
    (STOPPED, ended(43), True, Verdict.WA),
    (CRASHED, ended(43), True, Verdict.WA),             # it may have crashed of its interactor's end
    (CRASHED, ended(43), False, Verdict.RE),
    (CRASHED, ended(42), True, Verdict.RE),             # a crash after the right answer
    (CRASHED, STOPPED, False, Verdict.RE),
    (ended(1), CRASHED, False, Verdict.RE),             # the interactor could not cope with a submission that was gone
    (ended(42), STOPPED, False, Verdict.RE),            # the exit code of an interactor is none of a submission's
    (ended(0), CRASHED, False, Verdict.IE),
    (STOPPED, CRASHED, True, Verdict.IE),
    (CRASHED, CRASHED, True, Verdict.IE),
    (ended(0), STOPPED, False, Verdict.IE),             # it never ended
    (ended(0), ended(0), False, Verdict.IE),
    (ended(0), ended(1), True, Verdict.IE),
    (ended(0), Outcome(Ended.CPU_LIMIT), False, Verdict.IE),
    (STOPPED, Outcome(Ended.MEMORY_LIMIT), True, Verdict.IE),
    (STOPPED, Outcome(Ended.OUTPUT_LIMIT), True, Verdict.IE),
    (Outcome(Ended.CPU_LIMIT), STOPPED, False, Verdict.TLE),
    (Outcome(Ended.CPU_LIMIT), ended(42), True, Verdict.TLE),
    (Outcome(Ended.CPU_LIMIT), ended(43), True, Verdict.WA),
    (Outcome(Ended.WALL_LIMIT), STOPPED, False, Verdict.TLE),
    (Outcome(Ended.WALL_LIMIT), ended(42), True, Verdict.TLE),
    (Outcome(Ended.MEMORY_LIMIT), ended(43), False, Verdict.MLE),
    (Outcome(Ended.OUTPUT_LIMIT), ended(43), False, Verdict.OLE),
])
def test_who_is_to_blame(program: Outcome, partner: Outcome, partner_first: bool, verdict: Verdict) -> None:
    grade = judged(Compiled(), Exchange(program, partner, partner_first), tests=SPEC["tests"][:1])
    assert grade.verdict is verdict, grade
    assert (grade.score is None) is (verdict is Verdict.IE)
    assert (grade.reason == "bad_reference") is (verdict is Verdict.IE)


def test_an_interactor_that_computes_for_long_makes_no_time_limit() -> None:
    slow = Exchange(Outcome(Ended.WALL_LIMIT, wall_s=3.0), Outcome(Ended.STOPPED, cpu_s=1.5, wall_s=3.0), False, pondered_s=1.6)
    assert judged(Compiled(), slow).verdict is Verdict.IE
    busy = Exchange(Outcome(Ended.WALL_LIMIT, wall_s=3.0), Outcome(Ended.STOPPED, cpu_s=2.9, wall_s=3.0), False, pondered_s=0.1)
    assert judged(Compiled(), busy).verdict is Verdict.TLE


def test_an_interactor_without_a_core_makes_no_time_limit() -> None:
    busy = Exchange(Outcome(Ended.WALL_LIMIT, wall_s=3.0), Outcome(Ended.STOPPED, wall_s=1.0), False, lost_s=4.0)
    with pytest.raises(MachineBusy, match=r"for 4\.00 s in which the interactor had no core"):
        judged(Compiled(), busy)
    with pytest.raises(MachineBusy):
        judged(Compiled(), Exchange(Outcome(Ended.STARVED, wall_s=3.0), Outcome(Ended.STOPPED, wall_s=3.0), False))
    idle = Exchange(Outcome(Ended.WALL_LIMIT, wall_s=3.0), Outcome(Ended.STOPPED, wall_s=3.0), False, lost_s=0.2)
    assert judged(Compiled(), idle).verdict is Verdict.TLE


def test_a_program_that_starves_its_interactor_itself_gains_nothing() -> None:
    burning = Exchange(Outcome(Ended.WALL_LIMIT, cpu_s=0.9, wall_s=3.0), Outcome(Ended.STOPPED, wall_s=3.0), False, lost_s=0.9)
    assert judged(Compiled(), burning).verdict is Verdict.TLE


@pytest.mark.parametrize(("items", "verdict", "says"), [
    ((CompileFailed("compile_error", "line 1"),), Verdict.CE, "line 1"),
    ((PartnerFailed(CompileFailed("compile_error", "line 2")),), Verdict.IE, "the interactor does not compile: compile_error: line 2"),
])
def test_compilation(items: Any, verdict: Verdict, says: str) -> None:
    grade = judged(*items)
    assert grade.verdict is verdict
    assert says in grade.detail


def test_what_each_side_gets() -> None:
    executor = Scripted(Compiled(), *(Exchange(ended(0), ended(42), False) for _ in range(2)))
    grade = asyncio.run(CodeVerifier(executor).grade(CodeTests.model_validate(SPEC), Program("x")))     # type: ignore[arg-type]
    assert (grade.verdict, len(grade.cases)) == (Verdict.AC, 2)
    (job, partner), = executor.jobs
    assert "SECRET" not in repr(job)
    assert "in 2" not in repr(job)
    assert [run.limits.cpu_s for run in job.tests if run.limits] == [1, 3]
    assert (partner.language, partner.source) == ("cpp", b"INTERACTOR")
    assert [run.argv for run in partner.tests] == [("input", "answer", "feedback/", "a")] * 2
    assert [dict(run.files) for run in partner.tests] == [{"input": b"in", "answer": b"SECRET", "feedback/": b""},
                                                         {"input": b"in 2", "answer": b"", "feedback/": b""}]
    assert partner.limits.wall_s > 4 * 7


def test_stops_after_the_first_failure() -> None:
    wrong = Exchange(STOPPED, ended(43), True)
    assert len(judged(Compiled(), wrong, wrong).cases) == 1
    assert len(judged(Compiled(), wrong, wrong, stop_on_failure=False).cases) == 2


def test_the_detail_shows_both_sides_bounded() -> None:
    said = ((True, b"? 5\n"), (False, b"higher\n"))
    grade = judged(Compiled(), Exchange(STOPPED, ended(43), True, said=said))
    assert "exchange >'? 5\\n' <'higher\\n'" in grade.detail
    assert "refused by the interactor: 'said so'" in grade.detail
    long = judged(Compiled(), Exchange(STOPPED, ended(43), True, 0.0, ((True, b"\xff" * 5000),), 10**6, ((False, b"z" * 5000),)))
    assert len(long.detail) < 3000
    assert "zzz" in long.detail


@pytest.mark.parametrize(("more", "says"), [
    ({"mode": "call", "entry_point": "f", "tests": [{"args": [1], "output": 1}]}, "interactor"),
    ({"tests": [{"output": "1"}]}, "no input"),
    ({"tests": [{"input": "1", "output": 5}]}, "not text"),
    ({"tests": []}, "no tests"),
])
def test_a_problem_without_its_parts(more: dict[str, Any], says: str) -> None:
    grade = judged(**more)
    assert (grade.verdict, grade.reason) == (Verdict.IE, "bad_reference")
    assert says in grade.detail
