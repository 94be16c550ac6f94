"""`WorkerPool`: functions of ours in worker processes that can be killed at any moment.

    call(function, args, budget_s)  ->  WorkerReply        the function returned, or ran out of time or memory
                                    ->  WorkerDied         the process ended by itself, twice
                                    ->  MachineBusy        it was given too little of a core to use its budget up, twice

- A worker is a fresh interpreter with a pipe to it, not a child of `multiprocessing`: no `__main__` is imported again, and a
  daemonic process (a pool's worker, a data loader) may have one. Nothing of the host is touched: no signal handler, no alarm.
- The budget is CPU time of the work: starting a process, waiting for a free one and waiting for a core are not counted, so that no
  verdict depends on what else the machine does. The kernel's timer ends a worker at its budget, to the tick, though this process may
  have no core then; and its replacement is started at once, before anyone asks for it.
- A worker that has neither answered nor used its budget up after `STRETCH` times as many wall seconds was given no core: MachineBusy.
- The address space is limited; a worker that loses its parent sees its pipe close and ends, and while it computes the kernel's
  timers end it.
- After a fork the child forgets the parent's workers and starts its own.

Requests and replies are frames: four bytes of length, then JSON. Functions are named "module:function", take and return JSON
values, and must be ours: the name never comes from data.
"""
from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..core.errors import MachineBusy, WorkerDied

__all__ = ["WorkerPool", "WorkerReply"]

WORKER_BYTES: Final = 512 << 20
"""Address space of a worker: sympy and Math-Verify need about 300 MB of it."""
STRETCH: Final = 4
"""A worker may take this many times its budget while it waits for a core (busy machines)."""
START_LIMIT_S: Final = 60.0
"""Wall seconds that a fresh interpreter may take to import what it needs, on a loaded machine."""
MAX_FRAME_BYTES: Final = 16 << 20
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class WorkerReply:
    """What became of a call. `status`: `done` (then `value` is the result), `timeout`, `memory` or `error` (then it is a text).

    `cpu_s` is the worker's CPU time for this call; `wall_s` counts from the start of the work, without the time that it waited for a core
    (where that can be told: Linux).
    """

    status: str
    value: Any
    cpu_s: float
    wall_s: float


class _Worker:
    """One process. Used by one thread at a time."""

    def __init__(self, preload: Sequence[str], memory_bytes: int) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        setup = json.dumps({"preload": list(preload), "memory_bytes": memory_bytes})
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", f"{__package__}.worker_main", setup],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, bufsize=0,
            start_new_session=True, cwd="/",
        )
        self.ready = False
        self.cpu_s = self.waited_s = 0.0        # so far

    def wait_ready(self) -> None:
        """Raises: WorkerDied."""
        if not self.ready:
            reply = self._receive(time.monotonic() + START_LIMIT_S)
            if reply is None:
                raise WorkerDied(f"a worker process was not ready within {START_LIMIT_S:.0f} s")
            self.ready, self.cpu_s, self.waited_s = True, reply["cpu_s"], reply["waited_s"]

    def call(self, function: str, args: Sequence[Any], budget_s: float) -> WorkerReply | None:
        """None: it has not used its budget up, and the process is still at it. Raises: WorkerDied."""
        wall_s = STRETCH * budget_s
        request = json.dumps({"function": function, "args": args, "budget_s": budget_s, "wall_s": wall_s}).encode()
        started = time.monotonic()
        try:
            self._send(_LENGTH.pack(len(request)) + request, started + wall_s)
            reply = self._receive(started + wall_s)
        except WorkerDied:
            cpu_s = self.kill()
            if self.process.returncode != -signal.SIGPROF:
                raise
            return WorkerReply("timeout", None, cpu_s, min(cpu_s, time.monotonic() - started))     # it waited for nothing but a core
        if reply is None:
            return None
        cpu_s, self.cpu_s = max(0.0, reply["cpu_s"] - self.cpu_s), reply["cpu_s"]
        waited_s, self.waited_s = max(0.0, reply["waited_s"] - self.waited_s), reply["waited_s"]
        return WorkerReply(reply["status"], reply["value"], cpu_s, max(0.0, time.monotonic() - started - waited_s))

    def kill(self) -> float:
        """Ends the process; its CPU seconds since its last reply."""
        cpu_s = 0.0
        if self.process.returncode is None:
            with contextlib.suppress(OSError):
                os.kill(self.process.pid, signal.SIGKILL)
                _pid, status, usage = os.wait4(self.process.pid, 0)     # Popen's own wait would not tell the CPU time
                self.process.returncode = os.waitstatus_to_exitcode(status)
                cpu_s = max(0.0, usage.ru_utime + usage.ru_stime - self.cpu_s)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(OSError):
            self.process.wait()         # where another thread was quicker
        return cpu_s

    def forget(self) -> None:
        """In a forked child: drop the pipes of the parent's worker without touching it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.returncode = 0     # so that its finaliser neither waits nor warns

    def _send(self, data: bytes, deadline: float) -> None:
        assert self.process.stdin is not None
        view = memoryview(data)
        try:
            while view:
                if not select.select([], [self.process.stdin], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise WorkerDied("a worker process does not read its pipe")
                view = view[os.write(self.process.stdin.fileno(), view[:select.PIPE_BUF]):]
        except (OSError, ValueError) as error:
            raise WorkerDied(f"a worker process is gone: {error}") from error

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        head = self._read(_LENGTH.size, deadline)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise WorkerDied(f"a worker process broke the protocol: a frame of {length} bytes")
        body = self._read(length, deadline + 1.0)
        if body is None:
            raise WorkerDied("a worker process stopped in the middle of a frame")
        reply: dict[str, Any] = json.loads(body)
        return reply

    def _read(self, size: int, deadline: float) -> bytes | None:
        assert self.process.stdout is not None
        data = b""
        try:
            poller = select.poll()
            poller.register(self.process.stdout, select.POLLIN)
            while len(data) < size:
                if not poller.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                    return None
                part = os.read(self.process.stdout.fileno(), size - len(data))
                if not part:
                    raise WorkerDied("a worker process ended while it had work")
                data += part
        except (OSError, ValueError) as error:
            raise WorkerDied(f"a worker process is gone: {error}") from error
        return data


class WorkerPool:
    """`size` workers, started when first needed. Thread-safe; usable in any process, forked ones included.

    preload: what a worker does before it says that it is ready: modules that it imports, "module:function"s that it calls.
    """

    def __init__(self, size: int = 1, *, preload: Sequence[str] = (), memory_bytes: int = WORKER_BYTES) -> None:
        if size < 1:
            raise ValueError(f"a pool has at least one worker, not {size}")
        self._size = size
        self._preload = tuple(preload)
        self._memory_bytes = memory_bytes
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._free: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._epoch = 0

    def call(self, function: str, args: Sequence[Any], budget_s: float) -> WorkerReply:
        """Runs "module:function" in a worker, for at most `budget_s` CPU seconds. A worker that dies by itself is replaced, and the
        call tried once more; so it is where a worker waited for a core for so long that its budget was not used up.

        Raises: WorkerDied, MachineBusy.
        """
        for attempt in (1, 2):
            epoch, worker = self._take()
            reply: WorkerReply | None = None
            alive = False
            try:
                worker.wait_ready()
                reply = worker.call(function, args, budget_s)
                alive = reply is not None and reply.status not in ("memory", "timeout")
            except WorkerDied:
                if attempt == 2 or epoch != self._epoch:
                    raise
                continue
            finally:
                killed_cpu_s = self._give_back(worker, alive)
            if reply is not None:
                return reply
            if attempt == 2:
                raise MachineBusy(f"a worker process had a core for {killed_cpu_s:.2f} of {STRETCH * budget_s:.2f} s, its budget is {budget_s:.2f} s")
        raise AssertionError("unreachable")

    def warm(self) -> None:
        """Starts every worker now, without waiting for it."""
        with self._changed:
            while not self._closed and len(self._all) < self._size:
                self._free.append(self._start())

    def close(self) -> None:
        """Ends the workers, after the calls in progress. A later call starts new ones."""
        with self._changed:
            while len(self._free) < len(self._all):
                self._changed.wait()
        self.kill()

    def kill(self) -> None:
        """Ends the workers now; a call in progress raises WorkerDied."""
        with self._changed:
            self._epoch += 1
            idle, busy = self._free, self._all.difference(self._free)
            self._all, self._free = set(), []
            for worker in busy:
                worker.process.kill()       # its pipes are closed by the thread that reads them
            self._changed.notify_all()
        for worker in idle:
            worker.kill()

    def _take(self) -> tuple[int, _Worker]:
        with self._changed:
            while True:
                if self._free:
                    return self._epoch, self._free.pop()
                if len(self._all) < self._size:
                    return self._epoch, self._start()
                self._changed.wait()

    def _give_back(self, worker: _Worker, alive: bool) -> float:
        """Back to the free ones, or killed and replaced; then its CPU seconds."""
        cpu_s = 0.0
        if not alive:
            cpu_s = worker.kill()
        with self._changed:
            if worker in self._all:
                if alive:
                    self._free.append(worker)
                else:
                    self._all.discard(worker)
                    self._free.insert(0, self._start())
                self._changed.notify()
        return cpu_s

    def _start(self) -> _Worker:
        worker = _Worker(self._preload, self._memory_bytes)
        self._all.add(worker)
        return worker

    def _forget(self) -> None:
        for worker in self._all:
            worker.forget()
        self._reset()


_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._forget()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.kill()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
