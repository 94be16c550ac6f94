"""Run by test_ordinary_user.py as a user who is not root: programs that leave something behind, and what a later one finds. Prints JSON."""
from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

from assay.sandbox.execution import Compiled, Job, Outcome, RunLimits, TestRun
from assay.sandbox.slots import PoolConfig, SandboxPool

LIMITS = RunLimits(cpu_s=2, wall_s=6, memory_bytes=256 << 20, output_bytes=4 << 20, processes=32, file_bytes=16 << 20)
STATE = """
import json, os, resource, signal
limits = [resource.getrlimit(n) for n in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_DATA)]
modes = [os.stat(name).st_mode for name in (".", "/tmp", "/dev/shm")]
open("x", "w").close()
print(json.dumps([os.getpriority(0, 0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)), limits, modes, os.fstat(0).st_mode,
                  open("/dev/stdin").read(), str(signal.getsignal(signal.SIGINT))]))
"""
OTHERS = """
import os, resource, signal
for pid in range(1, 80):
    try: pid == os.getpid() or %s
    except OSError: pass
"""
PROGRAMS = {
    "limits": OTHERS % "resource.prlimit(pid, resource.RLIMIT_AS, (1 << 28, 1 << 28))",
    "niceness": OTHERS % "os.setpriority(os.PRIO_PROCESS, pid, 19)",
    "niceness_of_all": "import os\ntry: os.setpriority(os.PRIO_USER, 0, 19)\nexcept OSError: pass",
    "cores": OTHERS % "os.sched_setaffinity(pid, {0})",
    "scheduling": OTHERS % "os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))",
    "stop": OTHERS % "os.kill(pid, signal.SIGSTOP)",
    "interrupt": OTHERS % "os.kill(pid, signal.SIGINT)",
    "kill": OTHERS % "os.kill(pid, signal.SIGKILL)",
    "folders": "import os\nfor name in ('.', '/tmp', '/dev/shm'): os.chmod(name, 0)",
    "input": "import os\nos.fchmod(0, 0)",
    "own": "import os, resource\nos.nice(5)\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nos.sched_setaffinity(0, {0})",
}


async def outcomes(pool: SandboxPool, source: str, runs: int) -> list[Any]:
    job = Job(source.encode(), "python", "stdin", (TestRun(b"input\n"),) * runs, LIMITS, None, False)
    async with aclosing(pool.execute(job)) as items:
        return [item async for item in items if not isinstance(item, Compiled)]


async def main() -> None:
    found: dict[str, Any] = {}
    pool = SandboxPool(PoolConfig(backend="local", slots=1))
    await pool.start()
    try:
        before = await outcomes(pool, STATE, 3)
        assert all(isinstance(one, Outcome) and one.exit_code == 0 for one in before), before
        for name, program in PROGRAMS.items():
            for runs in (1, 3):          # the third is a clone of another process
                await outcomes(pool, program, runs)
                after = await outcomes(pool, STATE, 3)
                if [one.stdout for one in after] != [one.stdout for one in before]:
                    found[f"{name} {runs}"] = [str(one) for one in after]
    finally:
        await pool.close()
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
