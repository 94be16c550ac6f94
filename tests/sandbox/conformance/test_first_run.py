"""A small Python source is compiled by its first run. Nobody can tell but by the time it takes; the compilation is no part of the run."""
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from assay.sandbox import docker, local
from assay.sandbox.execution import Compiled, CompileFailed, Ended, Job, Outcome, TestRun
from assay.sandbox.protocol import boot_bytes

from ..conftest import LIMITS, Judge

NONCE = os.urandom(8).hex()


def fresh(source: str) -> bytes:
    """Never compiled before."""
    return f"{source}\n# {NONCE} {time.perf_counter_ns()}".encode()


@pytest.mark.parametrize(("mode", "source", "data"), [
    ("stdin", "print(open(0).read())", b"x"), ("call", "def f(x):\n    print(x)\n    return x", b'{"args": [1], "kwargs": {}}'),
    ("assert", "def f(x):\n    return x", b"def check(g):\n    assert g(3) == 3")])
def test_every_mode(judge: Judge, mode: Any, source: str, data: bytes) -> None:
    first, second = (judge.program(fresh(source), data, data, mode=mode, entry="f") for _ in range(2))
    again = judge.program(fresh(source), data, data, mode=mode, entry="f")
    stdout = {"stdin": b"x\n", "call": b"1\n", "assert": b""}[mode]
    result = b"1" if mode == "call" else None
    for compiled, *outcomes in (first, second, again):
        assert isinstance(compiled, Compiled)
        assert [(o.ended, o.exit_code, o.stdout, o.result, o.completed) for o in outcomes if isinstance(o, Outcome)] == [
            (Ended.EXITED, 0, stdout, result, mode == "assert")] * 2


@pytest.mark.parametrize("mode", ["stdin", "call", "assert"])
def test_what_does_not_compile_is_not_run(judge: Judge, mode: Any) -> None:
    [failed] = judge.program(fresh("print('ran')\nif: x"), b"{}", b"{}", mode=mode, entry="f")
    assert isinstance(failed, CompileFailed)
    assert failed.reason == "compile_error" and "main.py" in failed.message and "SyntaxError: invalid syntax" in failed.message
    assert judge.one(fresh("print(7)")).stdout == b"7\n"


def test_no_artifact_from_a_run_that_may_write_no_files(judge: Judge) -> None:
    """The first run cannot hand its artifact over: it is compiled apart, and run then."""
    source = "print('y' * 9)\n" + "\n".join(f"name_{n} = {n}, 'text {n}'" for n in range(200))
    limits = replace(LIMITS, file_bytes=1, output_bytes=10)
    compiled, *outcomes = judge.program(fresh(source), b"", b"", limits=limits)
    assert isinstance(compiled, Compiled)
    assert [(o.stdout, o.stderr, o.ended) for o in outcomes if isinstance(o, Outcome)] == [(b"y" * 9 + b"\n", b"", Ended.EXITED)] * 2


@pytest.mark.parametrize("notice", [b"0.02", b"1e-4"], ids=["", "though it was looked for too early"])
def test_a_long_first_run_is_heard_of_before_it_ends(new_judge: Callable[[], Judge], monkeypatch: pytest.MonkeyPatch, notice: bytes) -> None:
    for module in (local, docker):
        monkeypatch.setattr(module, "boot_bytes", lambda config: boot_bytes(config).replace(b"NOTICE_S = 0.02", b"NOTICE_S = " + notice))
    judge = new_judge()

    async def heard() -> tuple[float, float]:
        source = fresh("import time\ntime.sleep(5)\nprint(time.time())")
        times = []
        async with aclosing(judge.pool.execute(Job(source, "python", "stdin", (TestRun(),), replace(LIMITS, wall_s=60)))) as items:
            async for item in items:
                times.append(float(item.stdout) if isinstance(item, Outcome) else time.time())
        return times[0], times[1]

    compiled, ended = judge.run(heard())
    assert compiled < ended


def test_a_program_reaches_no_artifact(judge: Judge) -> None:
    """Neither of its own, which its later runs get, nor of another: no descriptor but 0, 1 and 2 is open, and of memfds only the
    starter's is mapped, privately."""
    source = """
import os
print([n for n in range(3, 1024) if os.path.lexists(f"/proc/self/fd/{n}")],
      any("memfd:code" in line or "memfd" in line and line.split()[1][3] == "s" for line in open("/proc/self/maps")))
for n in range(3, 64):
    try:
        os.ftruncate(n, 0)
        print("changed", n)
    except OSError:
        pass
"""
    items = judge.program(fresh(source), b"", b"", b"")
    assert [o.stdout for o in items if isinstance(o, Outcome)] == [b"[] False\n"] * 3


def test_limits_hold_in_a_first_run(judge: Judge) -> None:
    limits = replace(LIMITS, cpu_s=0.3)
    spinning = judge.one(fresh("while True: pass"), limits=limits)
    assert spinning.ended is Ended.CPU_LIMIT and 0.3 <= spinning.cpu_s < 1.5     # the kernel's own limit is 2
    hungry = judge.one(fresh("x = bytearray(600 << 20)\nprint(len(x))"))
    assert hungry.ended is Ended.MEMORY_LIMIT or hungry.exit_code != 0
    assert judge.one(fresh("import os\nos.kill(os.getpid(), 9)")).signal == 9


def test_a_source_that_takes_long_to_compile_costs_its_run_nothing(judge: Judge) -> None:
    """A great many constants to fold in few bytes: seconds of the compiler's are not the program's."""
    fold = "\n".join("('a' * 4000 + 'b') , " * 30 for _ in range(12))
    outcome = judge.one(fresh(fold + "\nprint(1)"), limits=replace(LIMITS, cpu_s=1))
    assert outcome.stdout == b"1\n" and outcome.cpu_s < 0.5


def test_cancelling_a_first_run_keeps_the_accounts(judge: Judge) -> None:
    """What the agent holds is what the host thinks it holds, though the answer crossed the cancellation."""
    source = fresh("import time\ntime.sleep(30)")

    async def cancelled(after_s: float) -> None:
        task = asyncio.create_task(first())
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.wait([task])

    async def first() -> None:
        async with aclosing(judge.pool.execute(Job(source, "python", "stdin", (TestRun(),), LIMITS))) as items:
            async for _ in items:
                pass

    for after_s in (0.001, 0.01, 0.02, 0.05, 0.3):
        judge.run(cancelled(after_s))
        assert judge.one(fresh("print(8)")).stdout == b"8\n"
