"""Interactive problems, from the pipes up to the verdict: each row of interactive.toml on each backend, and the pool underneath."""
from __future__ import annotations

import asyncio
import os
import time
import tomllib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import MachineBusy, SlotDied
from assay.core.problem import CodeTests, Program
from assay.core.verdict import Grade, Verdict
from assay.sandbox.execution import Compiled, CompileFailed, Ended, Exchange, Job, PartnerFailed, TestRun
from assay.verifiers.code_tests import CodeVerifier

from ..conftest import LIMITS, MIB, Judge, until

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "interactive.toml").read_text())["case"]
GUESS = """
import sys
low, high, left = 1, 1000, int(open(sys.argv[1]).read())
while True:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.stderr.write("ended early")
        sys.exit(43)
    words = line.split()
    if len(words) != 2 or words[0] not in (b"?", b"!") or not words[1].isdigit():
        sys.exit(43)
    n = int(words[1])
    if words[0] == b"!":
        sys.exit(42 if low == high == n else 43)
    left -= 1
    if left < 0:
        sys.stderr.write("too many questions")
        sys.exit(43)
    if n < low or (n < high and high - n > n - low):
        print("higher", flush=True)
        low = max(low, n + 1)
    else:
        print("lower", flush=True)
        high = min(high, n)
"""
FIRST = next(case for case in CASES if case["name"] == "binary_search")
ECHO = b"import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
Item = Compiled | CompileFailed | PartnerFailed | Exchange


def graded(judge: Judge, case: dict[str, Any], tests: int = 1) -> Grade:
    test = {"input": case.get("input", "10")} | ({"output": case["output"]} if "output" in case else {})
    checker = {"type": "interactive", "program": case.get("interactor", GUESS), "language": case.get("interactor_language", "python"),
               "args": case.get("args", [])}
    reward = CodeTests.model_validate({"type": "code", "checker": checker, "limits": {"cpu_s": 2, "memory_mb": 256} | case.get("limits", {}),
                                       "tests": [test] * tests})
    try:
        return judge.run(CodeVerifier(judge.pool).grade(reward, Program(case["program"], case.get("language", "python"))))
    except MachineBusy as error:
        return Grade(Verdict.IE, None, error.slug, str(error))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_interaction(judge: Judge, case: dict[str, Any]) -> None:
    if case.get("fast"):        # else the wall limit would end it
        case = case | {"limits": {"wall_s": 100} | case.get("limits", {})}
    start = time.perf_counter()
    grade = graded(judge, case)
    took_s = time.perf_counter() - start
    assert grade.verdict.value == case["verdict"], grade
    if not (case["verdict"] == "IE" and grade.reason == MachineBusy.slug):      # an interactor that computes, beside others that do
        assert grade.reason == case.get("reason", grade.reason), grade
        assert case.get("has", "") in grade.detail, grade
    assert (grade.score is None) is (case["verdict"] == "IE")
    assert len(grade.detail) < 3000
    assert took_s < (45 if case.get("fast") else 300)
    assert graded(judge, FIRST, tests=2).verdict.value == "AC"      # the next submission is unharmed


def test_the_accounts_are_the_programs(judge: Judge) -> None:
    greedy = "import sys\nheld = b'x' * 150_000_000\nsum(range(20_000_000))\nprint(1, flush=True)\nsys.exit(42)"
    grade = graded(judge, {"interactor": greedy, "program": "input()"}, tests=2)
    assert grade.verdict.value == "AC"
    assert len(grade.cases) == 2
    assert all(case.cpu_s < 0.3 and 0 < (case.memory_bytes or 0) < 100 * MIB for case in grade.cases)


async def exchanges(judge: Judge, program: bytes, partner: bytes, *runs: TestRun, limits: Any = LIMITS) -> list[Item]:
    wide = replace(limits, wall_s=60, output_bytes=64 * MIB)
    ours, theirs = Job(program, "python", "stdin", runs, limits), Job(partner, "python", "stdin", runs, wide)
    async with aclosing(judge.pool.interact(ours, theirs, 42)) as items:
        return [item async for item in items]


def test_both_ways_in_bulk(judge: Judge) -> None:
    partner = b"""
import sys, threading
data = bytes(range(256)) * 12_000
thread = threading.Thread(target=lambda: (sys.stdout.buffer.write(data), sys.stdout.buffer.flush(), __import__("os").close(1)))
thread.start()
sys.exit(42 if sys.stdin.buffer.read() == data else 43)
"""
    program = b"import shutil, sys\nshutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer, 1000)"
    compiled, exchange = judge.run(exchanges(judge, program, partner, TestRun()))
    assert isinstance(compiled, Compiled)
    assert isinstance(exchange, Exchange)
    assert (exchange.partner.exit_code, exchange.program.ended, exchange.program.exit_code) == (42, Ended.EXITED, 0)
    assert sum(len(data) for _, data in exchange.said + exchange.last) + exchange.omitted == 2 * 256 * 12_000


def test_what_nobody_reads_stays_with_who_says_it(judge: Judge) -> None:
    """A flood meets a full pipe: what waits in this process is bounded."""
    async def most_held() -> int:
        flood, deaf = b"import os\nwhile True: os.write(1, b'x' * 100_000)", b"import time\ntime.sleep(1)\nraise SystemExit(43)"
        task = asyncio.create_task(exchanges(judge, flood, deaf, TestRun(), limits=replace(LIMITS, output_bytes=64 * MIB)))
        held = 0
        while not task.done():
            await asyncio.sleep(0.05)
            held = max([held, *(session._frames.qsize() for session in judge.pool._sessions)])
        assert isinstance(task.result()[1], Exchange)
        return held

    assert judge.run(most_held()) < 20


def test_the_two_share_no_slot(judge: Judge) -> None:
    """Whatever comes before: partners have slots of their own, and programs never get one of those."""
    leave = b"import os\nopen('/tmp/mark', 'w').write('x')\nprint(os.getpid(), sorted(os.listdir('/proc'))[:0], flush=True)\ninput()"
    judge.run(exchanges(judge, leave, b"print(input(), flush=True)\nraise SystemExit(42)", TestRun()))
    numbers = {session.number: session for session in judge.pool._sessions}
    assert set(numbers) == {0, 1}
    assert [session.number for session in judge.pool._programs.idle] == [0]
    assert [session.number for session in judge.pool._partners.idle] == [1]
    assert judge.one(ECHO.decode(), b"a\n").stdout == b"a\n"
    assert [session.number for session in judge.pool._programs.idle] == [0]


def test_partner_first_is_told(judge: Judge) -> None:
    for n, (program, partner, partner_first) in enumerate([
            (b"input()", b"raise SystemExit(43)", True), (b"raise SystemExit(1)", b"input()", False),
            (b"pass", b"import sys\nsys.stdin.read()\nraise SystemExit(43)", False),
            (b"import os\nos.close(1)\ninput()", b"try: input()\nexcept EOFError: raise SystemExit(43)", True)]):
        _, exchange = judge.run(exchanges(judge, program, partner, TestRun()))
        assert isinstance(exchange, Exchange)
        assert exchange.partner_first is partner_first, (n, exchange)


@pytest.mark.parametrize("program", [b"import time\ntime.sleep(100)", b"while True: pass", b"while True: print('x' * 1000, flush=True)", b"input()"])
def test_cancel_in_the_middle(judge: Judge, program: bytes) -> None:
    async def cancelled() -> float:
        task = asyncio.create_task(exchanges(judge, program, ECHO, TestRun(), TestRun(), limits=replace(LIMITS, cpu_s=100, wall_s=100)))
        await until(lambda: sum(session.busy for session in judge.pool._sessions) == 2, "they do not talk")
        await asyncio.sleep(0.4)
        start = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return time.perf_counter() - start

    assert judge.run(cancelled()) < 45      # rather than its limits
    assert graded(judge, FIRST).verdict.value == "AC"
    alone = "import os\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]) <= 4)"
    assert judge.one(alone).stdout == b"True\n"


@pytest.mark.parametrize("which", [0, 1])
def test_a_dead_slot_fails_the_job(new_judge: Callable[..., Judge], which: int) -> None:
    judge = new_judge()

    async def killed() -> None:
        task = asyncio.create_task(exchanges(judge, b"import time\ntime.sleep(100)", b"input()", TestRun(), limits=replace(LIMITS, wall_s=100)))
        await until(lambda: sum(session.busy for session in judge.pool._sessions) == 2, "they do not talk")
        await asyncio.sleep(0.4)
        for session in list(judge.pool._sessions):
            if session.number == which:
                session.link.kill()
        with pytest.raises(SlotDied):
            await task

    judge.run(killed())
    assert graded(judge, FIRST).verdict.value == "AC"


def test_many_at_once_with_few_slots(new_judge: Callable[..., Judge]) -> None:
    """More interactive submissions than slots, plain ones among them: none waits for ever."""
    judge = new_judge(slots=2)

    async def all_of_them() -> list[list[Any]]:
        async def plain() -> list[Any]:
            async with aclosing(judge.pool.execute(Job(ECHO, "python", "stdin", (TestRun(b"x\n"),), LIMITS))) as items:
                return [item async for item in items]

        jobs = [exchanges(judge, b"print('x', flush=True)\ninput()", b"print(input(), flush=True)\nraise SystemExit(42)", TestRun(), TestRun())
                for _ in range(8)]
        async with asyncio.timeout(300):
            return list(await asyncio.gather(*jobs, *(plain() for _ in range(4))))

    for items in judge.run(all_of_them()):
        assert all(isinstance(item, Compiled) or (item.program if isinstance(item, Exchange) else item).exit_code == 0 for item in items)


def test_no_descriptor_stays_behind() -> None:
    judge = Judge("local")
    counts = []
    for _ in range(3):
        assert graded(judge, FIRST, tests=40).verdict.value == "AC"
        agents = [int(child) for session in judge.pool._sessions
                  for child in Path(f"/proc/{session.link.pid}/task/{session.link.pid}/children").read_text().split()]  # type: ignore[attr-defined]
        counts.append([len(os.listdir(f"/proc/{pid}/fd")) for pid in agents])
    judge.close()
    assert counts[1] == counts[2]
