"""The pool: windows, cancellation, death and replacement, files and arguments, many inputs, what other runs may see."""
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core.errors import SandboxUnavailable, SlotDied
from assay.sandbox.execution import Compiled, CompileFailed, Ended, Job, Outcome, TestRun
from assay.sandbox.languages import Language, languages

from ..conftest import LIMITS, MIB, OWN_MEMORY, Item, Judge, collect, taken_up, until

ECHO = "import sys\nprint(sys.stdin.read(), end='')"


def outcomes(items: list[object]) -> list[Outcome]:
    return [item for item in items if isinstance(item, Outcome)]


def test_outcomes_in_order(judge: Judge) -> None:
    items = judge.program(ECHO, *(b"%d" % n for n in range(40)))
    assert [item.stdout for item in outcomes(list(items))] == [b"%d" % n for n in range(40)]


def test_stop_on_failure(judge: Judge) -> None:
    source = "n = int(input())\nraise SystemExit(n == 2)"
    inputs = [b"%d\n" % n for n in range(6)]
    assert [o.exit_code for o in outcomes(list(judge.program(source, *inputs)))] == [0, 0, 1]
    assert [o.exit_code for o in outcomes(list(judge.program(source, *inputs, stop=False)))] == [0, 0, 1, 0, 0, 0]
    assert judge.one(ECHO, b"next").stdout == b"next"


def test_large_input_and_output(judge: Judge) -> None:
    data = os.urandom(3 * MIB).hex().encode()[: 4 * MIB - 1]
    assert judge.one(ECHO, data).stdout == data


def test_binary_input(judge: Judge) -> None:
    data = bytes(range(256)) * 300
    assert judge.one("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", data).stdout == data[::-1]


def test_no_tests_is_a_compilation(judge: Judge) -> None:
    items = judge.job(Job(b"x = 1", "python", "stdin", (), LIMITS))
    assert [type(item) for item in items] == [Compiled]


def test_limits_of_one_run(judge: Judge) -> None:
    small = type(LIMITS)(cpu_s=0.3, wall_s=3, memory_bytes=LIMITS.memory_bytes, output_bytes=10, processes=8, file_bytes=MIB)
    source = b"import sys\nif input() == 'spin':\n    while True: pass\nprint('x' * 11)"
    items = judge.job(Job(source, "python", "stdin", (TestRun(b"a\n"), TestRun(b"a\n", limits=small), TestRun(b"spin\n", limits=small)),
                          LIMITS, stop_on_failure=False))
    assert [o.ended for o in outcomes(list(items))] == [Ended.EXITED, Ended.OUTPUT_LIMIT, Ended.CPU_LIMIT]


def test_files_and_arguments(judge: Judge) -> None:
    source = b"""
import os, sys
print(sys.argv[1:], open("in.txt").read(), sorted(os.listdir(".")), os.listdir("feedback"))
open("feedback/team.txt", "w").write("x")
for change in (lambda: open("in.txt", "w"), lambda: os.remove("in.txt"), lambda: os.rename("in.txt", "x")):
    try:
        change()
        print("changed")
    except OSError:
        pass
"""
    run = TestRun(b"", ("a", "b c"), {"in.txt": b"seven", "feedback/": b""})
    for outcome in outcomes(list(judge.job(Job(source, "python", "stdin", (run, run), LIMITS)))):
        assert outcome.stdout == b"['a', 'b c'] seven ['feedback', 'in.txt'] []\n", outcome
        assert outcome.exit_code == 0


@pytest.mark.parametrize(("source", "note"), [
    ("open('feedback/note', 'w').write('why')", "why"),
    ("open('feedback/note', 'wb').write(b'\\xff' * 100_000)", "\ufffd" * 2048),
    ("pass", ""),
    ("import os\nos.symlink('/etc/passwd', 'feedback/note')", ""),
    ("import os\ntry: os.rename('feedback', 'x')\nexcept PermissionError: open('feedback/note', 'w').write('not its own')", "not its own"),
    ("import os\nos.mkfifo('feedback/note')", ""),
    ("import os\nos.mkdir('feedback/note')", ""),
])
def test_a_note_comes_back(judge: Judge, source: str, note: str) -> None:
    run = TestRun(b"", files={"feedback/": b""}, note="feedback/note")
    (outcome,) = outcomes(list(judge.job(Job(source.encode(), "python", "stdin", (run,), LIMITS))))
    assert (outcome.note, outcome.exit_code) == (note, 0), outcome


def test_other_inputs_are_nowhere(judge: Judge) -> None:
    """The fork server's memory holds no other test's input, and no descriptor leads to one."""
    source = OWN_MEMORY.encode() + b"""
import sys
own, mark = sys.stdin.read().split()
print([name for n in range(4) for name in places(b"other%03d" % n, mark.encode()[::-1])])
"""
    secret = os.urandom(16).hex()
    runs = [TestRun(b"other%03d%s" % (n, secret.encode())) for n in range(4)]
    spy = Job(source, "python", "stdin", (TestRun(b"own %s" % secret[::-1].encode()),), LIMITS)
    judge.job(Job(ECHO.encode(), "python", "stdin", tuple(runs), LIMITS))
    assert outcomes(list(judge.job(spy)))[0].stdout == b"[]\n"


HOLDERS = {
    "attributes_of_the_input": """
import os
for n in range(3000): os.setxattr("/proc/self/fd/0", "user.%d" % n, b"x" * 65000)
""",
    "descriptors_on_their_way": """
import os, socket
a, b = socket.socketpair()
fds = [os.memfd_create("x") for _ in range(20)]
for fd in fds: os.write(fd, b"x" * (10 << 20))
socket.send_fds(a, [b"x"], [a.fileno(), b.fileno(), *fds])
""",
    "files": "import os\nfor f in ('/dev/shm', '/tmp', '.'):\n    for n in range(9): open('%s/%d' % (f, n), 'wb').write(b'x' * (8 << 20))",
    "empty_files": "for f in ('/dev/shm', '/tmp', '.'):\n    for n in range(9000): open('%s/%d' % (f, n), 'wb').close()",
    "names_that_are_not_there": "import os\nfor n in range(200000): os.path.exists('/usr/lib/%d' % n)",
    "shared_memory": """
import mmap, os
m = mmap.mmap(-1, 180 << 20)
for n in range(0, 180 << 20, 4096): m[n] = 1
if os.fork() == 0:
    while True: pass
""",
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_no_run_leaves_its_memory_to_the_next_one(judge: Judge, holder: str) -> None:
    """The next one would be MLE for it, or die."""
    judge.one(HOLDERS[holder], b"1\n")
    outcome = judge.one("x = bytearray(b'x') * (200 << 20)\nprint(len(x))", b"1\n")
    assert (outcome.ended, outcome.stdout) == (Ended.EXITED, b"%d\n" % (200 << 20))


@pytest.mark.parametrize("burn", ["while True: pass", "import time\ntime.sleep(100)",
                                  "import os\nfor _ in range(5): os.fork()\nwhile True: pass"])
def test_cancel(judge: Judge, burn: str) -> None:
    async def cancelled() -> float:
        job = Job(burn.encode(), "python", "stdin", (TestRun(),) * 3, replace(LIMITS, cpu_s=100, wall_s=100))
        task = await taken_up(judge.pool, job)
        start = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return time.perf_counter() - start

    assert judge.run(cancelled()) < 45      # rather than its limits
    assert judge.one("import os\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]) <= 4)").stdout == b"True\n"


def test_leaving_early_frees_the_slot(judge: Judge) -> None:
    async def first() -> None:
        job = Job(ECHO.encode(), "python", "stdin", tuple(TestRun(b"%d" % n) for n in range(50)), LIMITS)
        async with aclosing(judge.pool.execute(job)) as items:
            async for item in items:
                if isinstance(item, Outcome):
                    break

    for _ in range(5):
        judge.run(first())
        assert judge.one(ECHO, b"after").stdout == b"after"


def test_waiting_in_line(judge: Judge) -> None:
    """One slot, many callers: all are served, in the order in which they came."""
    served: list[int] = []

    async def one(n: int) -> None:
        await collect(judge.pool, Job(ECHO.encode(), "python", "stdin", (TestRun(b"x"),), LIMITS))
        served.append(n)

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(12):
                group.create_task(one(n))

    judge.run(all_of_them())
    assert served == list(range(12))


def test_slots_run_at_the_same_time(new_judge: Callable[..., Judge]) -> None:
    judge = new_judge(slots=2)
    source = b"import time\nprint(time.time())\ntime.sleep(5)\nprint(time.time())"
    job = Job(source, "python", "stdin", (TestRun(),), replace(LIMITS, wall_s=60))

    async def both() -> list[list[Item]]:
        return await asyncio.gather(collect(judge.pool, job), collect(judge.pool, job))

    judge.run(both())       # starts the slots
    (begun, ended), (other_begun, other_ended) = (map(float, outcomes(list(items))[0].stdout.split()) for items in judge.run(both()))
    assert begun < other_ended and other_begun < ended


def test_a_dead_slot_is_replaced(new_judge: Callable[..., Judge]) -> None:
    judge = new_judge()
    assert judge.one(ECHO, b"1").stdout == b"1"

    async def killed() -> None:
        task = await taken_up(judge.pool, Job(b"while True: pass", "python", "stdin", (TestRun(),), replace(LIMITS, cpu_s=100, wall_s=100)))
        for session in list(judge.pool._sessions):
            session.link.kill()
        with pytest.raises(SlotDied):
            await task

    judge.run(killed())
    assert judge.one(ECHO, b"2").stdout == b"2"


def test_slots_that_died_while_idle_meet_no_job(new_judge: Callable[..., Judge]) -> None:
    judge = new_judge(slots=2)

    async def both() -> None:
        await asyncio.gather(*(collect(judge.pool, Job(b"import time; time.sleep(0.3)", "python", "stdin", (TestRun(),), LIMITS)) for _ in range(2)))

    async def killed() -> None:
        for session in list(judge.pool._sessions):
            session.link.kill()
        await until(lambda: all(session.gone for session in judge.pool._sessions), "their ends were not noticed")

    judge.run(both())
    assert len(judge.pool._programs.idle) == 2
    judge.run(killed())
    assert judge.one(ECHO, b"1").stdout == b"1"


@pytest.mark.parametrize(("limit", "most"), [("_STORE_BYTES", 300_000), ("_STORE_BLOBS", 5)])
def test_many_blobs_are_evicted(judge: Judge, monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(f"assay.sandbox.session.{limit}", most)
    inputs = [b"%d" % n + b"x" * 100_000 for n in range(8)]
    for _ in range(2):
        assert [o.stdout for o in outcomes(list(judge.program(ECHO, *inputs)))] == inputs


def test_unknown_language_and_mode(judge: Judge) -> None:
    for language, mode in (("cobol", "stdin"), ("c", "call")):
        (item,) = judge.program("x", language=language, mode=mode)
        assert isinstance(item, CompileFailed)
        assert item.reason == "unknown_language"


def test_closed_pool_says_so(new_judge: Callable[..., Judge]) -> None:
    judge = new_judge()
    judge.run(judge.pool.close())
    with pytest.raises(SandboxUnavailable):
        judge.one(ECHO)


SCRIPT = """
import asyncio, sys
from assay.sandbox.execution import Job, RunLimits, TestRun
from assay.sandbox.slots import PoolConfig, SandboxPool
async def main():
    pool = SandboxPool(PoolConfig(backend=sys.argv[1], slots=1))
    await pool.start()
    source = b"import os, ctypes\\nos.fork()\\nctypes.CDLL(None).prctl(15, b'%s', 0, 0, 0)\\nwhile True: pass" % sys.argv[2].encode()
    print("up", flush=True)
    async for _ in pool.execute(Job(source, "python", "stdin", (TestRun(),), RunLimits(600, 600, 1 << 28, 1 << 20, 8, 1 << 20))): pass
asyncio.run(main())
"""


def left(name: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == name:
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_the_host_process(backend: str, number: signal.Signals) -> None:
    name = "left-" + os.urandom(4).hex()
    with subprocess.Popen([sys.executable, "-c", SCRIPT, backend, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        end = time.monotonic() + 60
        while len(left(name)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(left(name)) == 2
        process.send_signal(number)
        process.wait(60)
    end = time.monotonic() + 60
    while left(name) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left(name)


DISTINCT = list({language.name: language for language in languages().values()}.values())


@pytest.mark.parametrize("language", DISTINCT, ids=[language.name for language in DISTINCT])
def test_language_proves_itself(judge: Judge, language: Language) -> None:
    """By its own self-test; where its binaries are absent, by saying so."""
    test = language.selftest
    limits = type(LIMITS)(cpu_s=10, wall_s=60, memory_bytes=1024 * MIB, output_bytes=MIB, processes=64, file_bytes=MIB)
    items = judge.program(test.program, test.input.encode(), language=language.name, limits=limits)
    if isinstance(items[0], CompileFailed):
        assert items[0].reason == "language_absent", items
        assert language.needs
        return
    (outcome,) = outcomes(list(items))
    assert (outcome.stdout.decode(), outcome.exit_code) == (test.output, 0), outcome


@pytest.mark.parametrize(("language", "source", "reason"), [
    ("c", "int main(void) { return x; }", "compile_error"), ("c", '#include "/dev/zero"\nint main(void) {}', "compile_error"),
    ("c", '#include "/etc/shadow"\nint main(void) {}', "compile_error"), ("c", "", "compile_error"),
    ("c", "main[-1u]={1};", "compile_error"), ("c", "int a[1 << 28] = {1};\nint main(void) { return a[5]; }", "compile_error"),
    ("cpp", "template<int N> struct A { A<N + 1> a; }; A<0> a; int main() {}", "compile_error"),
    ("cpp", "constexpr int f(int n) { return n < 2 ? 1 : f(n - 1) + f(n - 2); } constexpr int a = f(60); int main() {}", "compile_error"),
    ("cpp", "\n".join(f"#define A{n + 1} A{n} A{n}" for n in range(40)) + "\n#define A0 x\nA40", "compile_error"),
    ("c", '#include "/dev/urandom"\nint main(void) {}', "compile_error"), ("c", '#include "/dev/stdin"\nint main(void) { x }', "compile_error"),
    ("cpp", 'asm(".incbin \\"/etc/shadow\\"");\nint main() {}', "compile_error"), ("c", '#include "main.c"\nint main(void) {}', "compile_error"),
])
def test_compilers_are_held(judge: Judge, language: str, source: str, reason: str) -> None:
    (item,) = judge.program(source, language=language)
    assert isinstance(item, CompileFailed)
    if item.reason != "language_absent":
        assert item.reason in (reason, "compile_limit"), item
        assert "root:" not in item.message
        assert len(item.message) <= 20_000
    assert item.cpu_s < 45      # their limit is 30


MAIN = "{ public static void main(String[] a) { System.out.println(new java.util.Scanner(System.in).nextInt() + 1); } }"


@pytest.mark.parametrize("head", [
    "class Any", "public class Other", "package a.b;\npublic final class Other", "package a;\nclass Helper {}\nclass Any",
    "/**\n * public class ListNode {}\n */\n// public class Node\npublic class Solution", "public interface Shape {}\nclass Main",
    "/* all of\npublic class ListNode {}\nis a comment */\npublic class Solution", "public\nclass Solution", "public class L\u00f6sung",
    "class Abc { public static void main(String[] a) { System.out.println(9); } }\nclass Main", "public class Solution { int x; }\nclass Driver"])
def test_a_java_program_may_be_called_anything(judge: Judge, head: str) -> None:
    items = judge.program(f"{head} {MAIN}", b"41\n", language="java", limits=replace(LIMITS, cpu_s=10, wall_s=30))
    if isinstance(items[0], CompileFailed):
        assert items[0].reason == "language_absent" and os.environ.get("CI") != "true", items
        return
    (outcome,) = outcomes(list(items))
    assert outcome.stdout == b"42\n"
    assert isinstance(items[0], Compiled) and items[0].cpu_s < 7      # 1 to 2; jar made random numbers for 8, where it had no file of them


def test_int_0x80_is_no_way_around(judge: Judge) -> None:
    """A 64-bit program that makes a 32-bit call dies of it."""
    source = "#include <stdio.h>\nint main(void) { long r; __asm__ volatile (\"int $0x80\" : \"=a\"(r) : \"a\"(20)); printf(\"%ld\", r); }"
    items = judge.program(source, language="c")
    if isinstance(items[0], CompileFailed):    # another machine, or no compiler
        return
    (outcome,) = outcomes(list(items))
    assert (outcome.ended, outcome.signal, outcome.stdout) == (Ended.SIGNALLED, signal.SIGSYS, b"")


def test_deep_recursion_of_a_native_program(judge: Judge) -> None:
    source = "#include <stdio.h>\nint f(int n) { volatile char a[100]; a[0] = n; return n ? f(n - 1) + a[0] - a[0] + 1 : 0; }\n" \
             "int main(void) { printf(\"%d\", f(1000000)); }"
    items = judge.program(source, language="c")
    if not isinstance(items[0], CompileFailed):
        assert outcomes(list(items))[0].stdout == b"1000000"


def test_a_cancel_that_is_cancelled_loses_no_slot(new_judge: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    judge = new_judge(slots=1)

    async def broken(_session: object) -> None:
        raise asyncio.CancelledError

    async def leave() -> None:
        task = await taken_up(judge.pool, Job(b"import time; time.sleep(60)", "python", "stdin", (TestRun(),), replace(LIMITS, wall_s=60)))
        task.cancel()
        await asyncio.wait([task])

    with monkeypatch.context() as patch:
        patch.setattr("assay.sandbox.session.Session.cancel", broken)
        judge.run(leave())
    assert judge.one(ECHO, b"after").stdout == b"after"
