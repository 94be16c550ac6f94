"""Worker processes: results, time, memory, death, and nothing left behind."""
from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.core.errors import MachineBusy, WorkerDied
from assay.verifiers import workers
from assay.verifiers.workers import WorkerPool

JOBS = "worker_jobs"


@pytest.fixture(autouse=True)
def _jobs_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    found = WorkerPool(1)
    yield found
    found.kill()


def call(pool: WorkerPool, name: str, *args: object, budget_s: float = 10.0) -> object:
    reply = pool.call(f"{JOBS}:{name}", args, budget_s)
    assert reply.status == "done", reply
    return reply.value


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def wait_gone(pid: int, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not is_gone(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return is_gone(pid)


def when_busy(pool: WorkerPool, action: Callable[[], None]) -> threading.Thread:
    """Does it as soon as a worker has work."""
    def wait() -> None:
        end = time.monotonic() + 60
        while len(pool._free) == len(pool._all) and time.monotonic() < end:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_results_and_cpu_time(pool: WorkerPool) -> None:
    assert call(pool, "echo", {"a": [1, None, "é"]}) == {"a": [1, None, "é"]}
    reply = pool.call(f"{JOBS}:spin", [0.2], 10.0)
    assert reply.value == "finished"
    assert 0.2 <= reply.cpu_s < 0.6
    assert 0.19 < reply.wall_s < 60


def test_one_process_serves_many_calls(pool: WorkerPool) -> None:
    assert len({call(pool, "pid") for _ in range(20)}) == 1


def test_budget_kills_and_the_replacement_is_warm(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "STRETCH", 100)       # the machine of a test may be busy
    first = call(pool, "pid")
    reply = pool.call(f"{JOBS}:spin", [60], 0.3)
    assert reply.status == "timeout"
    assert 0.25 < reply.cpu_s < 0.6 and reply.wall_s > 0.25     # the kernel counts ticks
    assert isinstance(first, int) and is_gone(first)
    (replacement,) = pool._all          # started by the kill, not by the next call
    assert replacement.process.pid == call(pool, "pid") != first


def test_a_budget_that_went_by_without_a_core_is_no_verdict(pool: WorkerPool) -> None:
    """A worker that sleeps stands for one that a busy machine gives no core."""
    with pytest.raises(MachineBusy, match=r"had a core for 0\.0"):
        pool.call(f"{JOBS}:nap", [60], 0.3)
    assert call(pool, "echo", 1) == 1


def test_memory_is_limited(pool: WorkerPool) -> None:
    assert pool.call(f"{JOBS}:fill", [4000], 10.0).status == "memory"
    assert call(pool, "fill", 10) == 10 << 20


def test_an_exception_is_a_reply(pool: WorkerPool) -> None:
    before = call(pool, "pid")
    reply = pool.call(f"{JOBS}:fail", [], 10.0)
    assert reply.status == "error" and "by itself" in reply.value
    assert call(pool, "pid") == before


def test_a_worker_that_dies_is_replaced_and_the_call_tried_again(pool: WorkerPool, tmp_path: Path) -> None:
    assert call(pool, "die_once", str(tmp_path / "marker")) == "second time"


def test_a_worker_that_always_dies(pool: WorkerPool) -> None:
    with pytest.raises(WorkerDied):
        pool.call(f"{JOBS}:die", [], 10.0)
    assert call(pool, "echo", 1) == 1


def test_killed_from_outside_in_the_middle_of_work(pool: WorkerPool) -> None:
    """As the kernel's memory killer would: the call is tried again and succeeds."""
    victim = call(pool, "pid")
    assert isinstance(victim, int)
    killer = when_busy(pool, lambda: os.kill(victim, 9))
    assert call(pool, "spin", 0.8) == "finished"
    killer.join()
    assert call(pool, "pid") != victim


def test_kill_ends_a_call_in_progress(pool: WorkerPool) -> None:
    call(pool, "pid")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            pool.call(f"{JOBS}:spin", [60], 60.0)
        except WorkerDied as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    when_busy(pool, pool.kill).join()
    thread.join(60)
    assert not thread.is_alive() and len(errors) == 1


def test_close_leaves_no_process() -> None:
    pool = WorkerPool(2)
    pool.warm()
    pids = [worker.process.pid for worker in pool._all]
    call(pool, "echo", 1)
    pool.close()
    assert all(wait_gone(pid) for pid in pids)
    assert call(pool, "echo", 2) == 2       # a closed pool starts again
    pool.close()


def test_many_threads_share_few_workers() -> None:
    pool = WorkerPool(2)
    results: list[object] = []
    threads = [threading.Thread(target=lambda n=n: results.append(call(pool, "echo", n))) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=str) == sorted(range(32), key=str) and len(pool._all) == 2
    pool.close()


def _in_child(pool: WorkerPool, queue: multiprocessing.SimpleQueue[object]) -> None:
    queue.put(call(pool, "pid"))
    pool.kill()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_workers_of_its_own(pool: WorkerPool) -> None:
    ours = call(pool, "pid")
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(pool, queue), daemon=True)
    child.start()
    theirs = queue.get()
    child.join(60)
    assert theirs != ours
    assert call(pool, "pid") == ours


PARENT = """
import sys
sys.path.insert(0, {tests!r})
from assay.verifiers.workers import WorkerPool
pool = WorkerPool(1)
pool.call("worker_jobs:echo", [1], 10.0)
print(next(iter(pool._all)).process.pid, flush=True)
pool.call("worker_jobs:spin", [{spin}], {spin} + 1.0)
sys.stdin.read()
"""


@pytest.mark.parametrize("spin", [0, 2], ids=["idle", "computing"])
def test_workers_end_with_their_parent(spin: int) -> None:
    code = PARENT.format(tests=str(Path(__file__).parent), spin=spin)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not is_gone(worker)
        parent.kill()
        parent.wait()
    assert wait_gone(worker)
