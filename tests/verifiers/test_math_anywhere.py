"""verify_math from threads, forked and spawned processes, an event loop, and next to the host's own SIGALRM."""
from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from types import FrameType

import pytest

from assay.core.errors import WorkerDied
from assay.core.math_policy import MathPolicy
from assay.core.problem import MathAnswer
from assay.core.verdict import Grade, Verdict
from assay.verifiers import workers
from assay.verifiers.math_answer import MathVerifier, verify_math

from .test_workers import when_busy

PAIRS = [
    ("\\frac12", "\\boxed{0.5}", "AC"), ("\\frac12", "\\boxed{0.51}", "WA"), ("\\sqrt{8}", "\\boxed{2\\sqrt2}", "AC"),
    ("x^2+2x+1", "\\boxed{(x+1)^2}", "AC"), ("\\sum_{k=1}^{10}k", "\\boxed{55}", "AC"), ("\\sum_{k=1}^{10}k", "\\boxed{54}", "WA"),
    ("\\sin 2x", "\\boxed{2\\sin x\\cos x}", "AC"), ("A", "\\boxed{B}", "WA"),
]


PATIENT = MathPolicy(budget_s=30)
"""The machine of a test may be busy."""


def grade(gold: str, response: str) -> Grade:
    return verify_math(gold, response, policy=PATIENT)


def verdicts(n: int) -> list[str]:
    return [grade(gold, response).verdict.value for gold, response, _ in PAIRS[n % 2:]]


def wanted(n: int) -> list[str]:
    return [verdict for _, _, verdict in PAIRS[n % 2:]]


def test_32_threads() -> None:
    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(verdicts, range(64))) == [wanted(n) for n in range(64)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_process_pool(method: str) -> None:
    verdicts(0)         # so that a fork finds this process's worker, and must not use it
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as processes:
        grades = processes.map(partial(verify_math, policy=PATIENT), [gold for gold, _, _ in PAIRS], [response for _, response, _ in PAIRS])
        assert [grade.verdict.value for grade in grades] == wanted(0)
    assert verdicts(0) == wanted(0)


def _in_daemon(queue: multiprocessing.SimpleQueue[list[str]]) -> None:
    queue.put(verdicts(0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_daemonic_process_may_grade() -> None:
    """A data loader's worker is daemonic: multiprocessing would not let it have children."""
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.SimpleQueue[list[str]] = context.SimpleQueue()
    process = context.Process(target=_in_daemon, args=(queue,), daemon=True)
    process.start()
    assert queue.get() == wanted(0)
    process.join(60)


def test_inside_a_running_event_loop() -> None:
    async def main() -> list[list[str]]:
        here = verdicts(0)
        return [here, *await asyncio.gather(*(asyncio.to_thread(verdicts, 0) for _ in range(8)))]

    assert asyncio.run(main()) == [wanted(0)] * 9


def test_the_hosts_alarm_is_untouched() -> None:
    rung: list[float] = []

    def ring(number: int, frame: FrameType | None) -> None:
        rung.append(time.monotonic())

    before = signal.signal(signal.SIGALRM, ring)
    try:
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        while time.monotonic() < started + 0.8:
            assert verdicts(0) == wanted(0)
        assert signal.getsignal(signal.SIGALRM) is ring
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(rung) == 1 and rung[0] - started > 0.39


SLOW = "\\boxed{\\int_0^1 e^{e^{e^{x}}} \\sin(x^{x}) dx}"
ANSWER = MathAnswer(answer="\\sum_{k=1}^{10}k", policy=MathPolicy(budget_s=2))


def test_a_worker_killed_in_mid_grade_is_retried() -> None:
    verifier = MathVerifier(1)
    verifier.grade(ANSWER, "\\boxed{55}")
    (worker,) = verifier._pool._all
    killer = when_busy(verifier._pool, lambda: os.kill(worker.process.pid, signal.SIGKILL))
    grade = verifier.grade(ANSWER, SLOW)
    killer.join()
    assert grade.verdict is Verdict.WA
    assert verifier.grade(ANSWER, "\\boxed{55}").verdict is Verdict.AC
    verifier.close()


def test_kill_is_a_fault_of_ours_and_no_score() -> None:
    verifier = MathVerifier(1)
    verifier.grade(ANSWER, "\\boxed{55}")
    killer = when_busy(verifier._pool, verifier.kill)
    with pytest.raises(WorkerDied):
        verifier.grade(ANSWER, SLOW)
    killer.join()


def test_waiting_for_a_worker_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight slow grades share one worker: each has its own budget, from when its work starts."""
    monkeypatch.setattr(workers, "STRETCH", 100)       # the machine of a test may be busy
    verifier = MathVerifier(1)
    answer = MathAnswer.model_validate({"type": "math", "answer": "\\sum_{k=1}^{10}k", "policy": {"budget_s": 0.3}})
    with ThreadPoolExecutor(8) as threads:
        grades = list(threads.map(lambda _: verifier.grade(answer, SLOW), range(8)))
    verifier.close()
    assert Counter(grade.verdict for grade in grades) == {Verdict.WA: 8}
    assert all(grade.cpu_s < 0.4 for grade in grades)
