"""Faults of ours, for real where that can be: each is called for by a mark in a program, and hits that program alone or its whole pool.

    # raise    a bug: an exception that nobody expects            # kill    every process of the sandbox is killed, twice
    # hang     a program that sleeps past the Grader's deadline   # stop    the Docker daemon is stopped while the program runs

and a math answer that only a worker process can decide, which then ends, twice.
"""
from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from assay import CodeTests, Grade, Program
from assay.sandbox.execution import Job
from assay.verifiers import grader as module
from assay.verifiers import math_answer

from ..support import ADD, ADD_TEXT, CRASH, HUNGRY, RIGHT, WRONG
from .daemon import StoppableDaemon

Verifier = module.CodeVerifier


def marked(mark: str) -> str:
    return f"```python\n# {mark}\nprint(sum(map(int, input().split())))\n```"


PATIENT = json.dumps({**ADD, "limits": {"cpu_s": 2, "memory_mb": 128, "wall_s": 120}})
DEADLINE_S = 10.0
"""Long enough for whatever works, on a busy machine."""
HANG = "```python\n# hang\nimport time\ntime.sleep(60)\n```"
# reference, response, score, reason (None: any)
FAULTS: tuple[tuple[Any, Any, float | None, str | None], ...] = (
    (ADD_TEXT, RIGHT, 1.0, "accepted"),
    (ADD_TEXT, marked("raise"), None, "internal_error"),
    ("72", r"\boxed{72}", 1.0, "equal"),
    (PATIENT, HANG, None, "deadline_exceeded"),
    (ADD_TEXT, WRONG, 0.0, "wrong_answer"),
    (ADD_TEXT, HUNGRY, 0.0, "memory_limit"),            # the response's own fault, and said so
    (r"\int_0^1 x\,dx", r"\boxed{\int_0^1 (1-x)\,dx}", None, "worker_died"),
    ("72", r"\boxed{71}", 0.0, "different"),
    (ADD_TEXT, marked("kill"), None, "slot_died"),
    (ADD_TEXT, CRASH, 0.0, None),
    (None, r"\boxed{72}", None, "no_reference"),
    ("72", "I do not know", 0.0, "no_answer_found"),
)
REASONS = {reason: 1 for _, _, score, reason in FAULTS if score is None}
STOPPED: tuple[tuple[Any, Any, float | None, str | None], ...] = (
    (ADD_TEXT, RIGHT, 1.0, "accepted"),                 # before the daemon stops
    (ADD_TEXT, marked("stop"), None, "sandbox_unavailable"),
    ("72", r"\boxed{72}", 1.0, "equal"),
    (ADD_TEXT, WRONG, None, "sandbox_unavailable"),
    ("72", r"\boxed{71}", 0.0, "different"),
    (ADD_TEXT, marked("another"), None, "sandbox_unavailable"),
)
"""With one slot and the docker sandbox, in this order."""
LATE = {3: (0.0, "wrong_answer"), 5: (1.0, "accepted")}
"""What the programs that come after the daemon's stop are worth."""


class Struck:
    """A pool that `strike` hits as soon as it has taken up the work."""

    def __init__(self, pool: Any, strike: Callable[[], None]) -> None:
        self._pool, self._strike = pool, strike

    async def execute(self, job: Job) -> AsyncIterator[Any]:
        async with aclosing(self._pool.execute(job)) as results:
            async for result in results:
                self._strike()
                yield result


class Faulty(Verifier):
    """CodeVerifier with the faults above. With one slot, a kill hits no neighbour."""

    async def grade(self, reward: CodeTests, program: Program) -> Grade:
        if "# raise" in program.source:
            raise ZeroDivisionError("a bug of ours")
        if "# kill" in program.source:
            program = Program("import time; time.sleep(60)")
            self._pool = Struck(self._pool, kill_slots)
        if "# stop" in program.source:
            program = Program("import time; time.sleep(60)")
            self._pool = Struck(self._pool, _daemons[-1].stop)
        return await super().grade(reward, program)


_spared: set[int] = set()
_daemons: list[StoppableDaemon] = []


def slots() -> set[int]:
    """The children of this process that are slots: those that live in another namespace of processes."""
    mine = os.readlink("/proc/self/ns/pid")
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == os.getpid() and os.readlink(status.parent / "ns/pid_for_children") != mine:
                found.add(int(status.parent.name))
        except OSError:
            continue
    return found


def kill_slots() -> None:
    """Kills every slot, but those of Graders that were there before the test."""
    for pid in slots() - _spared:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def switch_on() -> None:
        _spared.clear()
        _spared.update(slots())
        monkeypatch.setattr(module, "CodeVerifier", Faulty)
        monkeypatch.syspath_prepend(str(Path(__file__).parent))     # a worker that starts now finds what it is to die of
        monkeypatch.setattr(math_answer, "_TIER_3", "dying_worker:die")
        monkeypatch.setattr(math_answer, "_PRELOAD", ())

    return switch_on


@pytest.fixture
def stoppable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StoppableDaemon]:
    """A Docker daemon for the Graders that start during the test. `# stop` stops it."""
    daemon = StoppableDaemon(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", daemon.url)
    monkeypatch.setattr(module, "CodeVerifier", Faulty)
    _daemons.append(daemon)
    yield daemon
    _daemons.remove(daemon)
    daemon.close()
