"""The later runs of a job are started by a fork server that has the job's code. No run can tell, and nothing of one job is in the next."""
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox import docker, local
from assay.sandbox.cgroups import start_time
from assay.sandbox.execution import Compiled, Ended, Job, Outcome, TestRun

from ..conftest import LIMITS, OWN_MEMORY, Judge

RUNS = 7


def outcomes(judge: Judge, source: str, *inputs: bytes, **options: Any) -> list[Outcome]:
    compiled, *items = judge.program(source + f"\n# {os.urandom(8).hex()}", *inputs, **options)
    assert isinstance(compiled, Compiled)
    assert all(isinstance(item, Outcome) for item in items)
    return items  # type: ignore[return-value]


STATE = """
import sys, gc, os, threading, atexit
print(len(vars(sys.modules["__main__"])), "left" in globals(), hasattr(sys, "left"), os.path.exists("left"), os.path.exists("/tmp/left"))
print(__name__, sys.argv, os.getcwd(), os.getsid(0) == os.getpid(), sorted(os.environ), threading.active_count(), gc.isenabled())
print([n for n in range(3, 1024) if os.path.lexists(f"/proc/self/fd/{n}")], os.getresuid()[0] != 0, sys.stdin.read())
left = sys.left = print
for name in ("left", "/tmp/left"): open(name, "w").close()
atexit.register(print, "the end")
"""


def test_each_run_is_like_the_first(judge: Judge) -> None:
    found = outcomes(judge, STATE, *[b"the same"] * RUNS)
    assert {(o.ended, o.exit_code, o.stdout, o.stderr) for o in found} == {(Ended.EXITED, 0, found[0].stdout, b"")}
    assert len(found) == RUNS and found[0].stdout.endswith(b"the same\nthe end\n")


@pytest.mark.parametrize(("mode", "source", "data"), [
    ("stdin", "print(open(0).read())", b"x"), ("call", "seen = []\ndef f(x):\n    seen.append(x)\n    return seen", b'{"args": [1], "kwargs": {}}'),
    ("assert", "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)", b"def check(g):\n    assert g(3) == 1")])
@pytest.mark.parametrize("preamble", ["", "import math\nhalf = math.pi / 2\n"])
def test_every_mode(judge: Judge, mode: Any, source: str, data: bytes, preamble: str) -> None:
    found = outcomes(judge, source, *[data] * RUNS, mode=mode, entry="f", preamble=preamble)
    assert len(found) == RUNS
    assert {(o.ended, o.exit_code, o.completed, o.result) for o in found} == {(
        Ended.EXITED, 0, mode == "assert", b"[1]" if mode == "call" else None)}


@pytest.mark.parametrize("attack", [
    "os.kill(-1, 9)", "os.killpg(0, 9)", "os.kill(os.getppid(), 9)",
    "[os.kill(int(p), 9) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]",
    "x = [bytearray(1 << 20) for _ in range(1000)]",
    "[os.fork() for _ in range(4)]; time.sleep(100)",
    "os.setsid() if os.fork() == 0 else None; [threading.Thread(target=time.sleep, args=(100,)).start() for _ in range(9)]",
    "os.close(0); os.close(1); [os.dup2(2, n) for n in range(3, 64)]",
])
def test_an_attack_on_it_changes_no_other_run(judge: Judge, attack: str) -> None:
    source = f"""
import os, sys, time, threading
what = input()
print(what, flush=True)
if what == "attack":
    try:
        {attack}
    except (OSError, MemoryError):
        pass
"""
    limits = replace(LIMITS, wall_s=1.0)
    runs = [b"plain\n"] * 3 + [b"attack\n", b"plain\n"] * 2
    found = outcomes(judge, source, *runs, stop=False, limits=limits)
    assert [(o.ended, o.exit_code, o.stdout) for o in found if o.stdout != b"attack\n"] == [(Ended.EXITED, 0, b"plain\n")] * 5
    assert len(found) == RUNS
    assert judge.one("import os\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]) <= 3)").stdout == b"True\n"


SPY = OWN_MEMORY + """
print(places(b"text:", "%s".encode()[::-1]))
"""


def test_nothing_of_a_program_is_in_the_next(judge: Judge) -> None:
    """Else a policy could take the answer of whoever was graded before it."""
    secret = os.urandom(16).hex()
    own = outcomes(judge, SPY % secret[::-1] + f"\ndef solve(): return 'text:{secret}' + input()", *[b"x"] * RUNS)
    assert b"[]" not in own[-1].stdout, "the spy sees what is there"
    other = outcomes(judge, SPY % secret[::-1], *[b"x"] * RUNS)
    assert {o.stdout for o in other} == {b"[]\n"}


def test_as_many_processes_as_before(judge: Judge) -> None:
    limits = replace(LIMITS, processes=6)
    source = """
import os, time
made = 0
for _ in range(20):
    try:
        if os.fork() == 0:
            time.sleep(100)
    except OSError:
        break
    made += 1
print(made)
"""
    [made] = {o.stdout for o in outcomes(judge, source, *[b""] * RUNS, limits=limits)}
    assert made in (b"5\n", b"6\n")     # with a limit of each process rather than of the group, the fork server counts too


def test_it_is_replaced() -> None:
    """Killed by the kernel, say: the run is started by another. On `local`, whose processes this one can see by their parents."""
    judge = Judge("local")
    agent = children(children(os.getpid(), "local_init")[-1])[-1]
    source = "import time\nprint(input(), flush=True)\ntime.sleep(0.05)"

    async def killed() -> list[Any]:
        items: list[Any] = []
        job = Job(source.encode(), "python", "stdin", tuple(TestRun(b"%d" % n) for n in range(12)), LIMITS)
        async with aclosing(judge.pool.execute(job)) as running:
            async for item in running:
                items.append(item)
                if len(items) == 8:     # and runs 9 to 11 at most are on their way or over
                    _starter, server, *_program = sorted(children(agent), key=start_time)
                    os.kill(server, signal.SIGKILL)
        return items

    with closing(judge):
        _compiled, *found = judge.run(killed())
    assert [(o.ended, o.stdout) for o in found] == [(Ended.EXITED, b"%d\n" % n) for n in range(12)]


def children(pid: int, having: str = "") -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = []
    for child in map(int, text.split()):
        try:
            if having in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
        except OSError:
            pass
    return found


def test_without_a_compiler(new_judge: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the starter cannot be built, Python does its work."""
    whole = local.boot_bytes

    def broken(config: Any) -> bytes:
        text = whole(config)
        assert b"int spawn(" in text
        return text.replace(b"int spawn(", b"nil spawn(")

    for module in (local, docker):
        monkeypatch.setattr(module, "boot_bytes", broken)
    judge = new_judge()
    found = outcomes(judge, STATE, *[b"the same"] * RUNS)
    assert {(o.ended, o.stdout) for o in found} == {(Ended.EXITED, found[0].stdout)} and len(found) == RUNS
    assert judge.one('#include <stdio.h>\nint main(void){puts("native");}', language="c").stdout == b"native\n"
