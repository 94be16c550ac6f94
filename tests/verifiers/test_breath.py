"""Threads that grade math let an event loop beside them have its turns."""
from __future__ import annotations

import asyncio
import time

import pytest

from assay import Grader, Problem
from assay.verifiers import grader as module


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The sleeps of the grading threads."""
    found: list[float] = []

    class Clock:
        perf_counter = staticmethod(time.perf_counter)
        thread_time = staticmethod(time.thread_time)

        @staticmethod
        def sleep(seconds: float) -> None:
            found.append(seconds)
            time.sleep(seconds)

    monkeypatch.setattr(module, "time", Clock)
    return found


ITEMS = [(Problem.model_validate({"reward": {"type": "math", "answer": f"x+{n}"}}), rf"\boxed{{{n + n % 2}+x}}") for n in range(400)]


def test_they_pause_while_a_loop_waits_and_only_then(slept: list[float]) -> None:
    async def awaited(grader: Grader) -> list[float | None]:
        return [grade.score for grade in await asyncio.gather(*(grader.agrade(*item) for item in ITEMS))]

    with Grader("local", workers=1) as grader:
        blocking = [grade.score for grade in grader.grade_many(ITEMS)]
        assert not slept
        assert asyncio.run(awaited(grader)) == blocking == [float(n % 2 == 0) for n in range(400)]
        assert len(slept) > 3 and max(slept) < 0.001
        before = len(slept)
        grader.grade_many(ITEMS)
        assert len(slept) == before       # nobody waits any more
