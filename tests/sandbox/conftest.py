"""Slots for the conformance suite: one pool a backend and session, on an event loop of its own."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from assay.sandbox.execution import Compiled, CompileFailed, Job, Outcome, RunLimits, TestRun
from assay.sandbox.slots import PoolConfig, SandboxPool

MIB = 1 << 20
LIMITS = RunLimits(cpu_s=2, wall_s=6, memory_bytes=256 * MIB, output_bytes=4 * MIB, processes=32, file_bytes=16 * MIB)

OWN_MEMORY = """
def places(mark, wanted):
    found = set()
    with open("/proc/self/maps") as maps:
        areas = [line.split() for line in maps]
    with open("/proc/self/mem", "rb", 0) as mem:
        for area in areas:
            low, high = (int(x, 16) for x in area[0].split("-"))
            if "r" not in area[1] or (len(area) > 5 and area[5] in ("[vvar]", "[vsyscall]")): continue
            try:
                mem.seek(low)
                data = mem.read(high - low)
            except (OSError, ValueError, OverflowError): continue
            at = -1
            while (at := data.find(wanted, at + 1)) >= 0:
                if data[max(0, at - len(mark)):at] == mark: found.add(area[-1])
    return sorted(found)
"""
"""Of a program that looks for what it should not find: where in all that it can read `wanted` stands behind `mark`. It has the two apart, so
that it does not find itself."""

T = TypeVar("T")
Item = Compiled | CompileFailed | Outcome


class Judge:
    """A pool with one slot, used from plain functions."""

    def __init__(self, backend: str, slots: int = 1) -> None:
        self.runner = asyncio.Runner()
        self.pool = SandboxPool(PoolConfig(backend=backend, slots=slots))  # type: ignore[arg-type]
        self.run(self.pool.start())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def job(self, job: Job) -> list[Item]:
        return self.run(collect(self.pool, job))

    def program(self, source: str | bytes, *inputs: bytes, mode: Any = "stdin", entry: str | None = None, language: str = "python",
                limits: RunLimits = LIMITS, stop: bool = True, preamble: str = "", typed: bool = False) -> list[Item]:
        code = source.encode() if isinstance(source, str) else source
        return self.job(Job(code, language, mode, tuple(map(TestRun, inputs or (b"",))), limits, entry, stop, preamble.encode(), typed))

    def one(self, source: str | bytes, data: bytes = b"", **options: Any) -> Outcome:
        """The outcome of one run."""
        compiled, outcome = self.program(source, data, **options)
        assert isinstance(compiled, Compiled)
        assert isinstance(outcome, Outcome)
        return outcome

    def close(self) -> None:
        self.run(self.pool.close())
        self.runner.close()


async def collect(pool: SandboxPool, job: Job) -> list[Item]:
    async with aclosing(pool.execute(job)) as items:
        return [item async for item in items]


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for it, on a machine that may be busy."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


async def taken_up(pool: SandboxPool, job: Job) -> asyncio.Task[list[Item]]:
    """The job's task, when its first run is under way (or over)."""
    compiled = asyncio.Event()

    async def work() -> list[Item]:
        found: list[Item] = []
        async with aclosing(pool.execute(job)) as items:
            async for item in items:
                found.append(item)
                compiled.set()
        return found

    task = asyncio.create_task(work())
    async with asyncio.timeout(60):
        await compiled.wait()
    return task


@pytest.fixture(scope="session", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def judge(backend: str) -> Iterator[Judge]:
    judge = Judge(backend)
    yield judge
    judge.close()


@pytest.fixture
def new_judge(backend: str) -> Iterator[Callable[[], Judge]]:
    """Makes judges of the test's own, which it may break."""
    made: list[Judge] = []

    def make(slots: int = 1) -> Judge:
        made.append(Judge(backend, slots))
        return made[-1]

    yield make
    for judge in made:
        judge.close()
