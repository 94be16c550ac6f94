"""Wall limits where every core is taken: time spent waiting for a core does not count, sleep does."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from assay.core.errors import MachineBusy
from assay.core.problem import CodeTests, Program
from assay.core.verdict import Verdict
from assay.sandbox.execution import Ended
from assay.verifiers.code_tests import CodeVerifier

from ..conftest import LIMITS, Judge

BURN_S = 25


@pytest.fixture
def busy() -> Iterator[None]:
    """Three processes a core that compute, for a bounded time."""
    source = f"import time\nend = time.monotonic() + {BURN_S}\nwhile time.monotonic() < end: sum(range(10000))"
    burning = [subprocess.Popen([sys.executable, "-S", "-c", source]) for _ in range(3 * len(os.sched_getaffinity(0)))]
    time.sleep(0.2)
    yield
    for process in burning:
        process.kill()
        process.wait()


@pytest.mark.parametrize("sleeper", ["import time\ntime.sleep(60)", "import threading\nthreading.Event().wait()",
                                     "import time\nwhile True:\n    time.sleep(0.01)",
                                     "import os, time\nfor _ in range(20): os.fork() or time.sleep(60)\ntime.sleep(60)"],
                         ids=["sleep", "wait", "naps", "many"])
@pytest.mark.usefixtures("busy")
def test_a_sleeper_ends_at_its_wall_limit(judge: Judge, sleeper: str) -> None:
    """The turn is two runs, for one that met its wall limit without use of CPU is tried once more; each of bounded length."""
    start = time.monotonic()
    outcome = judge.one(f"{sleeper}\n# {time.perf_counter_ns()}", limits=replace(LIMITS, cpu_s=2, wall_s=1))
    turn = time.monotonic() - start
    assert outcome.ended is Ended.WALL_LIMIT, outcome
    assert 0.9 <= outcome.wall_s < 10
    assert turn < 30, f"{turn:.2f} s"       # 2 * 4 * 1, and what the machine takes to notice; the programs would run for 60 s


@pytest.fixture
def greedy() -> Iterator[None]:
    """A dozen processes a core that compute, each in a session of its own (the kernel is fair among sessions), for a bounded time."""
    source = "import time\nend = time.monotonic() + 12\nwhile time.monotonic() < end: sum(range(10000))"
    burning = [subprocess.Popen([sys.executable, "-S", "-c", source], start_new_session=True) for _ in range(12 * len(os.sched_getaffinity(0)))]
    time.sleep(0.5)
    yield
    for process in burning:
        process.kill()
    for process in burning:
        process.wait()


@pytest.mark.usefixtures("greedy")
def test_no_core_is_no_verdict(judge: Judge) -> None:
    """About a second of work in 0.4 s of wall time, with a tenth of a core: where it does not end in time, nothing is known of it."""
    outcome = judge.one("for _ in range(50): sum(range(1_000_000))", limits=replace(LIMITS, cpu_s=20, wall_s=0.4))
    assert outcome.ended in (Ended.STARVED, Ended.EXITED), outcome


@pytest.mark.usefixtures("greedy")
def test_stepping_back_is_the_programs_own_doing(judge: Judge) -> None:
    outcome = judge.one("import os\nos.nice(19)\nwhile True: pass", limits=replace(LIMITS, cpu_s=20, wall_s=2))    # time to get there
    assert outcome.ended is Ended.WALL_LIMIT, outcome


INTERACTOR = """
import sys
for line in sys.stdin:
    end = 300_000
    while end: end -= 1
    print(line, end="", flush=True)
sys.exit(42)
"""
CHAT = "for n in range(5):\n    print(n, flush=True)\n    assert int(input()) == n"


@pytest.mark.usefixtures("greedy")
def test_an_interactor_without_a_core_is_no_verdict_either(judge: Judge) -> None:
    """Its program does nothing but wait for it."""
    checker = {"type": "interactive", "program": INTERACTOR, "language": "python"}
    reward = CodeTests.model_validate({"type": "code", "checker": checker, "limits": {"cpu_s": 2, "wall_s": 0.4}, "tests": [{"input": "1"}]})
    try:
        grade = judge.run(CodeVerifier(judge.pool).grade(reward, Program(CHAT, "python")))
    except MachineBusy:
        return
    assert grade.verdict is Verdict.AC, grade
