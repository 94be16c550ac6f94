"""Many tests on a few slots, and whether anything grows: descriptors, processes, cgroups, mounts, files, memory of this process.

    python benchmarks/leaks.py [--backend local|docker] [--tests 100000] [--slots 2] [--talk]

Exit 1 where something grew. Programs are of all kinds: right, wrong, crashing, forking, writing files, meeting limits; with --talk, each
talks with a partner.
"""
from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from assay.sandbox.execution import Exchange, Job, Outcome, RunLimits, TestRun
from assay.sandbox.slots import PoolConfig, SandboxPool

MIB = 1 << 20
LIMITS = RunLimits(cpu_s=1, wall_s=5, memory_bytes=128 * MIB, output_bytes=MIB, processes=16, file_bytes=8 * MIB)
PROGRAMS = (
    "print(sum(map(int, input().split())))", "raise ValueError", "import os\nif os.fork() == 0: os.setsid()", "open('x', 'w').write('y')",
    "import os\nos.makedirs('a/b/c')\nopen('/tmp/z', 'w')", "import sys\nsys.exit(3)", "import os\nos.abort()", "print('x' * 2_000_000)",
    "import threading\nthreading.Thread(target=print, args=(1,)).start()",
)
TALKERS = (
    "for _ in range(5):\n    print(int(input()) + 1, flush=True)", "print('x' * 200_000)", "raise ValueError", "input()\ninput()\n1 / 0",
    "import os\nif os.fork() == 0: os.setsid(); input()", "import os\nos.close(1)\ninput()", "print('x' * 2_000_000)", "import os\nos.abort()",
)
PARTNERS = (
    "for n in range(5):\n    print(n, flush=True)\n    if input() != str(n + 1): raise SystemExit(43)\nraise SystemExit(42)",
    "print('x' * 200_000, flush=True)\ninput()\nraise SystemExit(42)", "raise SystemExit(43)", "1 / 0", "import sys\nsys.stdin.read()\nsys.exit(42)",
)
GROWTH_BYTES = 50 * MIB


def held() -> dict[str, int]:
    gc.collect()
    me = Path("/proc/self")
    groups = sum(len(list(top.rglob(f"assay-{os.getpid()}-*"))) for top in Path("/sys/fs/cgroup").iterdir()) if Path("/sys/fs/cgroup").is_dir() else 0
    return {
        "descriptors": len(os.listdir(me / "fd")), "threads": len(os.listdir(me / "task")),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")), "cgroups": groups,
        "tmp": len(os.listdir("/tmp")),
        "rss": int((me / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
    }


def held_by_slots(pool: SandboxPool) -> dict[str, int]:
    """Of the slots' resident processes, agents and fork servers: memory, descriptors, mounts (local slots only). Descriptors without those of
    inputs and compiled programs, whose number goes up and down below its bound."""
    outer = {session.link.pid for session in pool._sessions if hasattr(session.link, "pid")}
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
    out = {"slot rss": 0, "slot fds": 0, "slot mounts": 0}
    for pid in parents:
        above = pid
        while above in parents and above not in outer:
            above = parents[above]
        if above in outer:
            try:
                out["slot rss"] += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
                held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                out["slot fds"] += sum(not path.startswith(("/memfd:blob", "/memfd:code")) for path in held)
                out["slot mounts"] += len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
            except OSError:
                continue
    return out


async def talks(pool: SandboxPool, number: int, tests: int) -> int:
    done = 0
    while done < tests:
        number += 1
        runs = (TestRun(),) * 20
        sources = (kind[number % len(kind)].encode() for kind in (TALKERS, PARTNERS))     # the same again: each new one is a descriptor
        limits = replace(LIMITS, wall_s=0.1)                # some pairs only wait for each other
        job, partner = (Job(source, "python", "stdin", runs, limits) for source in sources)
        async with aclosing(pool.interact(job, partner, 42)) as items:
            async for item in items:
                done += isinstance(item, Exchange)
                if number % 17 == 0 and done % 8 == 0:
                    break    # left early: a cancellation
    return done


async def work(pool: SandboxPool, number: int, tests: int) -> int:
    done = 0
    while done < tests:
        source = f"{PROGRAMS[number % len(PROGRAMS)]}\n# {number}".encode()
        number += 1
        job = Job(source, "python", "stdin", tuple(TestRun(b"%d %d\n" % (number, k)) for k in range(50)), LIMITS, stop_on_failure=False)
        async with aclosing(pool.execute(job)) as items:
            async for item in items:
                done += isinstance(item, Outcome)
                if number % 17 == 0 and done % 20 == 0:
                    break    # left early: a cancellation
    return done


async def main(args: argparse.Namespace) -> int:
    outside = held()
    async with SandboxPool(PoolConfig(backend=args.backend, slots=args.slots)) as pool:
        work_on = talks if args.talk else work
        await asyncio.gather(*(work_on(pool, 1000 * n, 300 if args.talk else 1500) for n in range(args.slots)))
        before, start = held() | held_by_slots(pool), time.monotonic()
        done = sum(await asyncio.gather(*(work_on(pool, 10**6 * (n + 1), args.tests // args.slots) for n in range(args.slots))))
        after = held() | held_by_slots(pool)
        print(f"{pool.backend_name}: {done} tests, {done / (time.monotonic() - start):.0f} tests/s")
    closed = held()
    print(f"{'':12}{'at first':>12}{'warm':>12}{'after':>12}{'closed':>12}")
    for name in before:
        print(f"{name:12}{outside.get(name, 0):12}{before[name]:12}{after[name]:12}{closed.get(name, 0):12}")
    bad = [name for name in before if name not in ("processes", "tmp")    # others' come and go
           and after[name] > before[name] + (GROWTH_BYTES if name.endswith("rss") else 0)]
    if closed["cgroups"] > outside["cgroups"] or closed["descriptors"] > outside["descriptors"] + 2:
        bad.append("what is left after the end")
    print("grew: " + ", ".join(bad) if bad else "nothing grew")
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="local", choices=["local", "docker"])
    parser.add_argument("--tests", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--talk", action="store_true", help="programs that talk with a partner")
    sys.exit(asyncio.run(main(parser.parse_args())))
