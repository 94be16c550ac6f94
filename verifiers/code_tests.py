"""A program against a problem's tests -> Grade.

The sandbox says what a process did, this file says what a judge calls it: `_verdict_of` is the one place where the two
vocabularies meet. Outputs are compared here, on the host, as results stream in; the sandbox never sees an expected output.

Raises FaultError where the fault is ours; the Grader retries once and makes it IE.
"""
from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol

from ..core.checkers import InteractiveChecker, LcbChecker, ValidatorChecker
from ..core.errors import DeadlineExceeded, MachineBusy
from ..core.problem import CodeTests, Limits, Program, TestCase
from ..core.verdict import BAD_REFERENCE, CaseResult, Grade, Verdict
from ..sandbox.execution import Compiled, CompileFailed, Ended, Exchange, Job, Outcome, PartnerFailed, RunLimits, TestRun
from .assert_tests import fault_of_tests
from .checkers import check_output, check_value, to_bytes
from .repeats import FailureOrder
from .reward import RewardName, RunOrder, missing_for, run_order, score_tests
from .validators import (
    ACCEPTED,
    EXCERPT,
    BadReference,
    Ruling,
    conversation,
    excerpt,
    interactor_job,
    interactor_ruling,
    validator_job,
    validator_ruling,
)

__all__ = ["CodeVerifier", "Detail", "Executor"]

Detail = Literal["none", "first", "all"]
MIB: Final = 1 << 20
_SHOWN: Final = 10
"""Failed tests that `detail` shows with "all"."""
_CHUNK: Final = 8
"""Tests run before their outputs go to a validator: bounds what is held (8 x output_mb) and what is wasted after a failure."""


class Executor(Protocol):
    """What is needed of sandbox.slots.SandboxPool."""

    def execute(self, job: Job) -> AsyncIterator[Compiled | CompileFailed | Outcome]: ...

    def interact(self, job: Job, partner: Job, goes_on: int) -> AsyncIterator[Compiled | CompileFailed | PartnerFailed | Exchange]: ...


@dataclass(slots=True)
class _Record:
    """What is known so far of one submission."""

    order: Sequence[int] = ()                       # the problem's numbers of the tests, as they are run
    cases: list[CaseResult] = field(default_factory=list)       # in that order
    first: tuple[Verdict, str] | None = None        # of the first test that is not AC
    details: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, verdict: Verdict, reason: str) -> None:
        self.cases.append(CaseResult(verdict, outcome.cpu_s, outcome.wall_s, outcome.memory_bytes))
        if verdict is not Verdict.AC and self.first is None:
            self.first = verdict, reason

    def passed(self, total: int) -> list[bool]:
        """Of all tests, in the problem's order: what was not run has not passed."""
        passed = [False] * total
        for n, case in zip(self.order, self.cases, strict=False):
            passed[n] = case.verdict is Verdict.AC
        return passed

    def in_order(self) -> tuple[tuple[CaseResult, ...], list[int] | None]:
        """The cases in the problem's order, and the numbers of their tests where these are not simply the first ones."""
        ran = sorted(zip(self.order, self.cases, strict=False), key=lambda place: place[0])
        numbers = [n for n, _ in ran]
        return tuple(case for _, case in ran), numbers if numbers != list(range(len(ran))) else None


class CodeVerifier:
    """Grades programs with the slots of `pool`; any number of `grade` calls may be under way.

    With `stop_on_failure` a run ends as soon as no test that is left can change the reward, and tests are run in the order that brings
    this about soonest (reward.py); with a `failure_order`, those that failed most often come first where that can help. The verdict is
    that of the first test that failed; `cases` are in the problem's order all the same, and where they are not those of its first
    tests, `components["ran"]` has the numbers of their tests, from 0. Without `stop_on_failure` every test is run, in the problem's order.
    """

    def __init__(self, pool: Executor, *, reward: RewardName = "all_tests", detail: Detail = "first", deadline_s: float | None = None,
                 failure_order: FailureOrder | None = None) -> None:
        self._pool = pool
        self._failure_order = failure_order
        self._deadline_s = deadline_s
        self._reward: RewardName = reward
        self._detail: Detail = detail

    async def grade(self, reward: CodeTests, program: Program) -> Grade:
        """Raises: FaultError; DeadlineExceeded `deadline_s` after the program came to a slot."""
        started = time.perf_counter()
        record = _Record()
        fault = _reference_fault(reward) or missing_for(self._reward, reward)
        try:
            if fault:
                raise BadReference(fault)
            async with asyncio.timeout(None) as clock:
                failed = await self._run(reward, program, record, clock)
        except TimeoutError:
            raise DeadlineExceeded(f"not graded within {self._deadline_s} s; {len(record.cases)} tests were run") from None
        except BadReference as error:
            return Grade(Verdict.IE, None, BAD_REFERENCE, str(error), record.in_order()[0], wall_s=time.perf_counter() - started)
        wall_s = time.perf_counter() - started
        if failed:
            return Grade(Verdict.CE, 0.0, failed.reason, failed.message[:4000], cpu_s=failed.cpu_s, wall_s=wall_s)
        verdict, reason = record.first or (Verdict.AC, "accepted")
        total = 1 if reward.mode == "assert" else len(reward.tests)
        passed = record.passed(total)
        cases, ran = record.in_order()
        memory = [case.memory_bytes for case in record.cases if case.memory_bytes is not None]
        return Grade(
            verdict, score_tests(self._reward, reward, passed), reason, "\n".join(record.details), cases,
            {"reward": self._reward, "tests": total, "passed": sum(passed)} | ({} if ran is None else {"ran": ran}),
            cpu_s=sum(case.cpu_s for case in record.cases), wall_s=wall_s, memory_bytes=max(memory, default=None))

    async def _run(self, reward: CodeTests, program: Program, record: _Record, clock: asyncio.Timeout) -> CompileFailed | None:
        if reward.mode == "assert":
            plan = RunOrder((0,), 0)
            tests: tuple[TestCase, ...] = (TestCase(input=reward.test_code, output=None),)
        else:
            plan = self._plan(reward)
            tests = tuple(reward.tests[n] for n in plan.tests)
        record.order = plan.tests
        if isinstance(reward.checker, InteractiveChecker):
            return await self._interact(reward, reward.checker, program, tests, record, clock, plan)
        runs = [_test_run(reward, test) for test in tests]
        by_validator = isinstance(reward.checker, ValidatorChecker) and reward.mode == "stdin"
        step = _CHUNK if by_validator else len(tests)
        for start in range(0, len(tests), step):
            job = Job(to_bytes(program.source), program.language, reward.mode, tuple(runs[start:start + step]),
                      _run_limits(reward.limits), reward.entry_point, plan.needed == 0, to_bytes(reward.preamble or ""),
                      typed=reward.mode == "call" and isinstance(reward.checker, LcbChecker), taken_up=partial(self._start, clock))
            outcomes: list[Outcome] = []
            async with aclosing(self._pool.execute(job)) as results:    # type: ignore[type-var]  # an async generator has aclose
                async for result in results:
                    self._start(clock)
                    if isinstance(result, CompileFailed):
                        return _programs_fault(result)
                    if isinstance(result, Compiled):
                        continue
                    if not by_validator:
                        self._judge(reward, tests, result, record)
                        if _over(plan, record):
                            return None
                    else:
                        outcomes.append(result)
            if outcomes:
                await self._validate(reward, tests, outcomes, record, plan)
                if _over(plan, record):
                    return None
        return None

    def _plan(self, reward: CodeTests) -> RunOrder:
        if not reward.stop_on_failure:
            return RunOrder(tuple(range(len(reward.tests))), len(reward.tests))
        return run_order(self._reward, reward, self._failure_order.failures(reward) if self._failure_order else None)

    def _start(self, clock: asyncio.Timeout) -> None:
        if self._deadline_s is not None and clock.when() is None:   # the wait for a slot does not count
            clock.reschedule(asyncio.get_running_loop().time() + self._deadline_s)

    async def _interact(self, reward: CodeTests, checker: InteractiveChecker, program: Program, tests: Sequence[TestCase], record: _Record,
                        clock: asyncio.Timeout, plan: RunOrder) -> CompileFailed | None:
        """Raises: BadReference, FaultError."""
        limits = [_run_limits(test.limits or reward.limits) for test in tests]
        runs = tuple(TestRun(limits=one) for one in limits)
        job = Job(to_bytes(program.source), program.language, "stdin", runs, _run_limits(reward.limits), None, False,
                  to_bytes(reward.preamble or ""))
        partner = interactor_job(checker, tests, max(limits, key=lambda one: one.wall_s))
        async with aclosing(self._pool.interact(job, partner, ACCEPTED)) as results:    # type: ignore[type-var]
            async for result in results:
                self._start(clock)
                if isinstance(result, PartnerFailed):
                    _programs_fault(result.failure)
                    raise BadReference(f"the interactor does not compile: {result.failure.reason}: {result.failure.message[:400]}")
                if isinstance(result, CompileFailed):
                    return _programs_fault(result)
                if isinstance(result, Exchange):
                    ruling = interactor_ruling(result, limits[len(record.cases)])
                    self._judge(reward, tests, result.program, record, ruling, conversation(result))
                    if _over(plan, record):
                        return None
        return None

    def _judge(self, reward: CodeTests, tests: Sequence[TestCase], outcome: Outcome, record: _Record, ruling: Ruling | None = None,
               talk: str = "") -> None:
        n = len(record.cases)
        verdict, reason, difference = _verdict_of(reward, tests[n], outcome, ruling)
        record.add(outcome, verdict, reason)
        number = record.order[n]
        if verdict is not Verdict.AC and self._failure_order and reward.mode != "assert":
            self._failure_order.failed(reward, number)
        wanted = {"none": 0, "first": 1, "all": _SHOWN}[self._detail]
        if verdict is not Verdict.AC and len(record.details) < wanted:
            record.details.append(_describe(reward, number, tests[n], outcome, verdict, reason, difference, talk))

    async def _validate(self, reward: CodeTests, tests: Sequence[TestCase], outcomes: Sequence[Outcome], record: _Record,
                        plan: RunOrder) -> None:
        """Judges a chunk of outputs by the problem's own validator. Raises: BadReference, FaultError."""
        checker = reward.checker
        assert isinstance(checker, ValidatorChecker)
        first = len(record.cases)
        to_check = [(test, outcome.stdout) for test, outcome in zip(tests[first:], outcomes, strict=False)
                    if outcome.ended is Ended.EXITED and outcome.exit_code == 0]
        said: list[Outcome] = []
        if to_check:
            job = validator_job(checker, to_check)
            async with aclosing(self._pool.execute(job)) as results:    # type: ignore[type-var]
                async for result in results:
                    if isinstance(result, CompileFailed):
                        _programs_fault(result)
                        raise BadReference(f"the validator does not compile: {result.reason}: {result.message[:400]}")
                    if isinstance(result, Outcome):
                        said.append(result)
        answers = iter(said)
        for outcome in outcomes:
            # one by one: how it ended for a test behind the one that decides does not count
            ruling = validator_ruling(next(answers)) if outcome.ended is Ended.EXITED and outcome.exit_code == 0 else None
            self._judge(reward, tests, outcome, record, ruling)
            if _over(plan, record):
                return


def _programs_fault(failed: CompileFailed) -> CompileFailed:
    """Raises: BadReference if it is the problem's; MachineBusy if it is ours."""
    if failed.reason == MachineBusy.slug:
        raise MachineBusy(failed.message)
    if failed.reason == "preamble_error":
        raise BadReference(f"the preamble fails: {failed.message[:400]}")
    return failed


def _over(plan: RunOrder, record: _Record) -> bool:
    """Whether no test that is left can change the reward."""
    return record.first is not None and len(record.cases) >= plan.needed


def _reference_fault(reward: CodeTests) -> str | None:
    """What is wrong with the problem itself, as far as can be told before running anything."""
    if reward.mode == "assert":
        if not (reward.test_code or "").strip():
            return "no test_code"
        if isinstance(reward.checker, InteractiveChecker):
            return "an interactor talks with a program; assert mode runs tests"
        return fault_of_tests(reward.test_code or "")
    if reward.mode == "call" and not reward.entry_point:
        return "call mode without entry_point"
    if not reward.tests:
        return "no tests"
    interactive = isinstance(reward.checker, InteractiveChecker)
    for n, test in enumerate(reward.tests, 1):
        if not test.has_output and not interactive:
            return f"test {n} has no output"
        if reward.mode == "stdin" and not isinstance(test.output, str) and not (interactive and test.output is None):
            return f"test {n}: output is {type(test.output).__name__}, not text"
        if reward.mode == "stdin" and test.input is None:
            return f"test {n} has no input"
        if reward.mode == "call" and test.args is None and test.kwargs is None:
            return f"test {n} has no args"
    if reward.mode == "call" and isinstance(reward.checker, ValidatorChecker):
        return "a validator checks what a program prints; call mode prints nothing"
    if reward.mode == "call" and interactive:
        return "an interactor talks with a program; call mode runs functions"
    return None


def _test_run(reward: CodeTests, test: TestCase) -> TestRun:
    if reward.mode == "call":
        data = json.dumps({"args": test.args or (), "kwargs": test.kwargs or {}}).encode()
    else:
        data = to_bytes(test.input or "")
    return TestRun(data, limits=_run_limits(test.limits) if test.limits else None)


def _run_limits(limits: Limits) -> RunLimits:
    wall_s = 2 * limits.cpu_s + 1 if limits.wall_s is None else limits.wall_s
    return RunLimits(limits.cpu_s, wall_s, int(limits.memory_mb * MIB), int(limits.output_mb * MIB), limits.processes,
                     int(limits.file_mb * MIB))


_LIMIT_VERDICTS: Final = {
    Ended.CPU_LIMIT: (Verdict.TLE, "cpu_time_limit"), Ended.WALL_LIMIT: (Verdict.TLE, "wall_time_limit"),
    Ended.MEMORY_LIMIT: (Verdict.MLE, "memory_limit"), Ended.OUTPUT_LIMIT: (Verdict.OLE, "output_limit"),
}


def _verdict_of(reward: CodeTests, test: TestCase, outcome: Outcome, ruling: Ruling | None) -> tuple[Verdict, str, str]:
    """What the process did -> verdict, reason, and in words what differs. An exit code alone is never a pass. Raises: MachineBusy."""
    judge = "interactor" if isinstance(reward.checker, InteractiveChecker) else "validator"
    if ruling is not None and ruling.prevails:
        return Verdict.WA, "wrong_answer", f"refused by the {judge}: {ruling.said}"
    if outcome.ended is Ended.STARVED:
        raise MachineBusy("the program had no core for three times its wall limit")
    if outcome.ended in _LIMIT_VERDICTS:
        return *_LIMIT_VERDICTS[outcome.ended], ""
    if outcome.ended is Ended.SIGNALLED:
        return Verdict.RE, "signal", f"signal {outcome.signal}"
    if reward.mode == "assert":
        return _assert_verdict(outcome)
    if outcome.error:
        return Verdict.RE, "exception", outcome.error
    if outcome.exit_code != 0:
        return Verdict.RE, "exit_code", f"exit code {outcome.exit_code}"
    if reward.mode == "call":
        if outcome.result is None:
            return Verdict.RE, "no_result", "the program ended before the call returned"
        difference = check_value(reward.checker, outcome.result, test.output, nodes=outcome.nodes)
    elif ruling is not None:
        difference = None if ruling.accepted else f"refused by the {judge}: {ruling.said}"
    elif isinstance(reward.checker, ValidatorChecker | InteractiveChecker):
        raise AssertionError(f"the {judge} said nothing about {outcome.ended}")     # IE: never compared with an answer file
    else:
        difference = check_output(reward.checker, outcome.stdout, to_bytes(test.output))
    return (Verdict.AC, "accepted", "") if difference is None else (Verdict.WA, "wrong_answer", difference)


def _assert_verdict(outcome: Outcome) -> tuple[Verdict, str, str]:
    if outcome.error:
        failed = outcome.error.startswith("AssertionError")
        return (Verdict.WA, "assertion_failed", outcome.error) if failed else (Verdict.RE, "exception", outcome.error)
    if outcome.completed and outcome.exit_code == 0:
        return Verdict.AC, "accepted", ""
    return Verdict.RE, "not_completed", f"the program ended (exit code {outcome.exit_code}) before its tests did"


def _describe(reward: CodeTests, n: int, test: TestCase, outcome: Outcome, verdict: Verdict, reason: str, difference: str,
              talk: str) -> str:
    """One failed test for people, bounded; made here, of what the host holds."""
    parts = [f"test {n + 1}: {verdict.value} {reason}" + (f": {difference[:EXCERPT]}" if difference else "")]
    if talk:
        parts += [f"input {excerpt(_start(test.input or ''))}", f"exchange {talk}"]
    elif reward.mode == "stdin":
        parts += [f"input {excerpt(_start(test.input or ''))}", f"expected {excerpt(_start(str(test.output)))}",
                  f"got {excerpt(outcome.stdout)}"]
    elif reward.mode == "call":
        parts += [f"args {excerpt(_json_start(test.args))}", f"expected {excerpt(_json_start(test.output))}",
                  f"got {'nothing' if outcome.result is None else excerpt(outcome.result)}"]
    if outcome.stderr:
        parts.append(f"stderr ...{excerpt(outcome.stderr[-4 * EXCERPT:], tail=True)}")
    return "; ".join(parts)


def _start(text: str) -> bytes:
    """Of a long text what an excerpt needs: no copy of a test of hundreds of megabytes is made for it."""
    return to_bytes(text[:8 * EXCERPT])


def _json_start(value: object) -> bytes:
    out, size = [], 0
    for part in json.JSONEncoder().iterencode(value):
        out.append(part[:8 * EXCERPT])
        size += len(part)
        if size > 8 * EXCERPT:
            break
    return "".join(out).encode()
