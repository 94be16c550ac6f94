"""Faults of ours, for real where that can be: each is called for by a mark in a program, and hits that program alone or its whole pool.

    # raise    a bug: an exception that nobody expects            # kill    every process of the sandbox is killed, twice
    # worker   the worker died, twice                             # hang    a program that sleeps past the Grader's deadline
"""
from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from assay import CodeTests, Grade, Program
from assay.core.errors import WorkerDied
from assay.sandbox.execution import Job
from assay.verifiers import grader as module

from ..support import ADD, ADD_TEXT, CRASH, HUNGRY, RIGHT, WRONG

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
    (ADD_TEXT, marked("worker"), None, "worker_died"),
    ("72", r"\boxed{71}", 0.0, "different"),
    (ADD_TEXT, marked("kill"), None, "slot_died"),
    (ADD_TEXT, CRASH, 0.0, None),
    (None, r"\boxed{72}", None, "no_reference"),
    ("72", "I do not know", 0.0, "no_answer_found"),
)
REASONS = {reason: 1 for _, _, score, reason in FAULTS if score is None}


class Killing:
    """A pool whose slot is killed as soon as it has taken up the work."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def execute(self, job: Job) -> AsyncIterator[Any]:
        async with aclosing(self._pool.execute(job)) as results:
            async for result in results:
                kill_slots()
                yield result


class Faulty(Verifier):
    """CodeVerifier with the faults above. With one slot, a kill hits no neighbour."""

    async def grade(self, reward: CodeTests, program: Program) -> Grade:
        if "# raise" in program.source:
            raise ZeroDivisionError("a bug of ours")
        if "# worker" in program.source:
            raise WorkerDied("the worker ended")
        if "# kill" in program.source:
            program = Program("import time; time.sleep(3)")
            self._pool = Killing(self._pool)
        return await super().grade(reward, program)


_spared: set[int] = set()


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

    return switch_on
