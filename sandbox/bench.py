"""What the judge costs: tests a second, CPU milliseconds a test, and both against a bare fork+exec of /bin/true on the same machine.

    assay bench judge [--sandbox local|docker] [--slots N] [--rounds N] [--tests N] [--json]

Rounds of each workload are interleaved with rounds of the floor, so that a busy machine slows both; the ratios are of medians.
CPU counts everything below this process: itself, the slots' agents and the programs, read from /proc; so it is known for the local
backend only. Workloads:
    python    100 tests of `print(sum(map(int, input().split())))`      native    the same in C
    single    one test a job: compile, run, a new program every time    cpp       compiling bits/stdc++.h, against plain g++ -O2
    cancel    leaving a job early: milliseconds until everything of it is dead
"""
from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .execution import Compiled, Job, Outcome, RunLimits, TestRun
from .slots import PoolConfig, SandboxPool

__all__ = ["measure"]

MIB = 1 << 20
LIMITS = RunLimits(cpu_s=5, wall_s=20, memory_bytes=256 * MIB, output_bytes=4 * MIB, processes=32, file_bytes=16 * MIB)
SUM = b"print(sum(map(int, input().split())))"
C_SUM = b'#include <stdio.h>\nint main(void){long a,b;if(scanf("%ld %ld",&a,&b)!=2)return 1;printf("%ld\\n",a+b);}'
CPP = b"#include <bits/stdc++.h>\nint main(){std::map<int,std::vector<std::string>> m;int a;while(std::cin>>a)m[a].push_back(\"x\");" \
      b"std::cout<<m.size()<<std::endl;} // "


@dataclass
class Figures:
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, n: int, wall_s: float, cpu_s: float) -> None:
        self.per_second.append(n / wall_s)
        self.cpu_ms.append(1000 * cpu_s / n)


def machine_cpu_s() -> float:
    """CPU seconds of this process, of its children, dead or alive, and of theirs."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(name)
            parents[pid] = int(fields[1])
            used[pid] = sum(map(int, fields[13:15])) / ticks           # dead children of the tree
            try:
                used[pid] += time.clock_gettime((~pid << 3) | 2)       # itself, to the nanosecond
            except OSError:
                used[pid] += sum(map(int, fields[11:13])) / ticks
    total = 0.0
    for pid in used:
        above = pid
        while above and above != os.getpid():
            above = parents.get(above, 0)
        if above:
            total += used[pid]
    return total


def floor(n: int) -> None:
    """fork+exec of /bin/true, as cheap as a plain process can have it."""
    for _ in range(n):
        pid = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(pid, 0)


async def run(pool: SandboxPool, source: bytes, language: str, tests: int) -> None:
    job = Job(source, language, "stdin", tuple(TestRun(b"%d 2\n" % n) for n in range(tests)), LIMITS)
    done = 0
    async with aclosing(pool.execute(job)) as items:
        async for item in items:
            if isinstance(item, Outcome):
                assert item.stdout == b"%d\n" % (done + 2), item
                done += 1
    assert done == tests


async def many(pool: SandboxPool, slots: int, source: bytes, language: str, tests: int) -> None:
    await asyncio.gather(*(run(pool, source, language, tests) for _ in range(slots)))


async def cancel(pool: SandboxPool) -> float:
    """Milliseconds from leaving a job that forks and burns to its slot being free."""
    source = b"import os\nfor _ in range(8):\n    if os.fork() == 0: break\nwhile True: pass"
    task = asyncio.create_task(run(pool, source, "python", 1))
    await asyncio.sleep(0.1)
    start = time.perf_counter()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    return 1000 * (time.perf_counter() - start)


async def cpp_share(pool: SandboxPool, n: int) -> tuple[float, float]:
    """CPU seconds of compiling a program in a slot, and by plain g++ -O2."""
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.cpp")
        for k in range(n):
            source = CPP + str(k).encode() + os.urandom(4).hex().encode()
            async with aclosing(pool.execute(Job(source, "cpp", "stdin", (), LIMITS))) as items:
                async for item in items:
                    assert isinstance(item, Compiled), item
                    ours.append(item.cpu_s)
            path.write_bytes(source)
            before = os.times()
            subprocess.run(["g++", "-O2", "-o", f"{folder}/a", str(path)], check=True)
            after = os.times()
            plain.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(ours), statistics.median(plain)


async def measure(backend: Literal["auto", "docker", "local"], *, slots: int = 2, tests: int = 100, rounds: int = 7, cancels: int = 100,
                  say: Callable[[str], None] = print) -> dict[str, object]:
    """All figures; `say` gets them as lines of a table. Raises: SandboxUnavailable."""
    out: dict[str, object] = {}
    async with SandboxPool(PoolConfig(backend=backend, slots=slots)) as pool:
        nothing = {"python": SUM, "native": C_SUM}

        async def singles() -> None:
            await asyncio.gather(*(run(pool, SUM + b" # %d" % time.perf_counter_ns(), "python", 1) for _ in range(tests)))

        async def bare() -> None:
            floor(tests)

        workloads: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "floor": (tests, bare),
            "python": (tests * slots, lambda: many(pool, slots, nothing["python"], "python", tests)),
            "native": (tests * slots, lambda: many(pool, slots, nothing["native"], "c", tests)),
            "single": (tests, singles),
        }
        for _, action in workloads.values():
            await action()    # everything started, compiled, warm
        figures = {name: Figures() for name in workloads}
        for _ in range(rounds):
            for name, (n, action) in workloads.items():
                cpu, wall = machine_cpu_s(), time.perf_counter()
                await action()
                figures[name].add(n, time.perf_counter() - wall, machine_cpu_s() - cpu)
        base = statistics.median(figures["floor"].cpu_ms)
        say(f"{pool.backend_name}: {pool.level}\n{'':10}{'tests/s':>10}{'cpu-ms':>10}{'x floor':>10}")
        for name, one in figures.items():
            per_second, cpu = statistics.median(one.per_second), statistics.median(one.cpu_ms)
            if name != "floor" and pool.backend_name != "local":
                say(f"{name:10}{per_second:10.0f}{'-':>10}{'-':>10}")      # a container's processes are not below this one: not counted
                out[name] = {"per_second": per_second}
                continue
            say(f"{name:10}{per_second:10.0f}{cpu:10.2f}{cpu / base:10.2f}")
            out[name] = {"per_second": per_second, "cpu_ms": cpu, "ratio": cpu / base}
        times = sorted([await cancel(pool) for _ in range(cancels)])
        p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
        say(f"cancel: median {statistics.median(times):.1f} ms, p99 {p99:.1f} ms")
        out["cancel"] = {"median_ms": statistics.median(times), "p99_ms": p99}
        ours, plain = await cpp_share(pool, 5)
        say(f"bits/stdc++.h: {1000 * ours:.0f} cpu-ms in a slot, {1000 * plain:.0f} by plain g++ -O2, {100 * ours / plain:.0f} %")
        out["cpp"] = {"slot_cpu_s": ours, "plain_cpu_s": plain}
    return out
