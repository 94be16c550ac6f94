"""SampleGrader: order, neighbours, faults of every kind, event loops, pickling."""
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pickle
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from assay import Grade, Grader, Verdict
from assay.core.errors import UsageError
from assay.verifiers.adapters.samples import Sample, SampleGrader

from .support import ADD, ADD_TEXT, CASES, RIGHT, SCORES, WRONG

SAMPLES = [Sample({"answer": reference}, response) for reference, response, _, _ in CASES]
SOUND = [Sample({"answer": "72"}, r"\boxed{72}"), Sample({"answer": ADD_TEXT}, WRONG), Sample({"answer": ADD_TEXT}, RIGHT)]


def scores(grades: list[Grade]) -> list[float | None]:
    return [grade.score for grade in grades]


def test_every_case(grader: Grader) -> None:
    grades = SampleGrader(grader).grade(SAMPLES)
    assert [(grade.score, grade.reason) for grade in grades] == [(score, reason) for _, _, score, reason in CASES]


def test_awaited(grader: Grader) -> None:
    assert scores(asyncio.run(SampleGrader(grader).agrade(SAMPLES * 3))) == SCORES * 3


def test_pickled(grader: Grader) -> None:
    with pickle.loads(pickle.dumps(grader)) as other:
        assert scores(SampleGrader(other).grade(SAMPLES[:4])) == SCORES[:4]
    again = pickle.loads(pickle.dumps(SampleGrader(grader, sources={"mine": "math"})))
    assert scores(again.grade([Sample({"answer": "72", "data_source": "mine"}, r"\boxed{72}")])) == [1.0]
    again.close()


def test_no_column_is_a_fault_of_configuration(grader: Grader) -> None:
    with pytest.raises(UsageError, match=r"looked for reward.*the columns are gold, prompt"):
        SampleGrader(grader).grade([Sample({"gold": "72", "prompt": "p"}, r"\boxed{72}")])
    with pytest.raises(UsageError, match="looked for reward"):
        asyncio.run(SampleGrader(grader).agrade([Sample({}, r"\boxed{72}")]))
    assert SampleGrader(grader).grade([]) == []
    # one row of a mixture without it is that sample's own fault
    assert scores(SampleGrader(grader).grade([Sample({}, "x"), SOUND[0]])) == [None, 1.0]


def test_the_check_before_a_run(grader: Grader) -> None:
    SampleGrader(grader).check([{"answer": "72"}, {"answer": "1/2"}])
    with pytest.raises(UsageError, match=r"(?s)2 of 3 rows.*row 1: no_reference.*row 2: unknown_data_source"):
        SampleGrader(grader).check([{"answer": "72"}, {"answer": None}, {"answer": "72", "data_source": "x"}])


@pytest.mark.parametrize("settings", [{"grader": 7}, {"patience_s": 0}, {"patience_s": float("nan")}, {"sources": {"x": 7}}])
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SampleGrader(**settings)


def test_faults_are_counted_and_said_once(grader: Grader, caplog: pytest.LogCaptureFixture) -> None:
    samples = SampleGrader(grader)
    before = samples.metrics()
    with caplog.at_level(logging.WARNING, "assay"):
        samples.grade([Sample({"answer": None}, "x"), Sample({"answer": None}, "x"), Sample({"answer": "1"}, None), *SOUND])
    after = samples.metrics()
    assert after["reasons"]["no_reference"] - before["reasons"].get("no_reference", 0) == 2
    assert after["reasons"]["bad_response"] - before["reasons"].get("bad_response", 0) == 1
    assert after["grades"]["IE"] - before["grades"].get("IE", 0) == 3 and after["in_flight"] == 0
    assert [record.args[0] for record in caplog.records] == ["no_reference", "bad_response"]   # type: ignore[index]
    assert 'assay_reasons_total{reason="no_reference"}' in samples.prometheus()


class Broken(Grader):
    """A Grader that fails in `how` for the response "break"."""

    how = ""

    def submit(self, problem: Any, response: Any) -> Future[Grade]:
        if response.text != "break":
            return super().submit(problem, response)
        future: Future[Grade] = Future()
        if self.how == "submit":
            raise RuntimeError("cannot start a thread")
        if self.how == "raise":
            future.set_exception(ZeroDivisionError("a bug of ours"))
        if self.how == "timeout":
            future.set_exception(TimeoutError("a bug of ours"))
        if self.how == "cancel":
            future.cancel()
        return future


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize(("how", "reason", "says"), [
    ("submit", "internal_error", "RuntimeError: cannot start a thread"), ("raise", "internal_error", "ZeroDivisionError: a bug of ours"),
    ("timeout", "internal_error", "TimeoutError: a bug of ours"), ("cancel", "cancelled", "closed"),
    ("hang", "no_progress", "no grade came for 8.0 s")])
def test_a_broken_grader_is_no_zero(how: str, reason: str, says: str, blocking: bool) -> None:
    broken = Broken("local", slots=1, workers=1)
    broken.how = how
    samples = SampleGrader(broken, patience_s=8.0)
    try:
        broken.start_sandbox()
        work = [SOUND[0], Sample({"answer": "72"}, "break"), *SOUND[1:]]
        grades = samples.grade(work) if blocking else asyncio.run(samples.agrade(work))
        assert scores(grades) == [1.0, None, 0.0, 1.0]
        assert grades[1].reason == reason and says in grades[1].detail
        assert samples.metrics()["reasons"][reason] == 1
    finally:
        samples.close()


def test_an_alarm_of_the_framework_makes_no_zero(grader: Grader) -> None:
    """verl's naive manager raises TimeoutError out of an alarm in the main thread."""
    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError("too slow")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        slow = "```python\nimport time; time.sleep(1)\nprint(sum(map(int, input().split())))\n```"
        assert scores(SampleGrader(grader).grade([Sample({"answer": ADD_TEXT}, slow)])) == [1.0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with Grader("docker", slots=1, workers=1) as g:
        grades = SampleGrader(g).grade(SOUND)
        assert scores(grades) == [1.0, None, None]
        assert {grade.reason for grade in grades[1:]} == {"sandbox_unavailable"}
        assert g.metrics()["reasons"]["sandbox_unavailable"] == 2


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(status.parent.name))
        except OSError:
            continue
    return found


def test_killed_sandboxes(grader: Grader) -> None:
    """Every process of the sandbox is killed, again and again: what is graded is graded right, the rest is unscored and counted."""
    with Grader("local", slots=2, workers=1) as g:
        g.start_sandbox()
        stop = threading.Event()
        kills = 0

        def kill() -> None:
            """When a program runs, for the first time; then at any time."""
            nonlocal kills
            while not stop.is_set() and kills < 6:
                if kills == 0 and not any(session.busy for session in list(g._engine._pool._sessions)):     # type: ignore[union-attr]
                    stop.wait(0.01)
                    continue
                for child in descendants(os.getpid()) - others:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                kills += 1
                stop.wait(0.5)

        others = set(BEFORE)
        programs = [f"```python\nimport time; time.sleep(0.3)  # {n}\nprint(sum(map(int, input().split())))\n```" for n in range(8)]
        thread = threading.Thread(target=kill)
        thread.start()
        grades = SampleGrader(g).grade([Sample({"answer": ADD_TEXT}, program) for program in programs] + SOUND[:1])
        stop.set()
        thread.join()
        assert grades[-1].score == 1.0
        assert {grade.score for grade in grades} <= {1.0, None}     # each of them is right: a zero would be ours
        assert {grade.reason for grade in grades if grade.score is None} <= {"slot_died", "sandbox_unavailable"}    # the latter: while starting
        assert g.metrics()["retries"] > 0
        for grade in SampleGrader(g).grade(SOUND):      # a slot that was killed while idle is found out by its next item
            assert grade.verdict is not Verdict.IE or grade.reason == "slot_died"
        assert scores(SampleGrader(g).grade(SOUND)) == [1.0, 0.0, 1.0]


BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def _note_processes(grader: Grader) -> None:
    SampleGrader(grader).grade(SOUND)
    BEFORE.clear()
    BEFORE.update(descendants(os.getpid()))


def test_cancelling_cancels_the_work(grader: Grader) -> None:
    samples = SampleGrader(grader)
    patient = json.dumps({**ADD, "limits": {"wall_s": 100}})

    async def main() -> None:
        loops = [f"```python\nimport time\ntime.sleep(90)  # {n}\n```" for n in range(4)]
        task = asyncio.create_task(samples.agrade([Sample({"answer": patient}, loop) for loop in loops]))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.perf_counter()
    asyncio.run(main())
    assert scores(samples.grade(SOUND)) == [1.0, 0.0, 1.0]
    assert time.perf_counter() - started < 45


def test_the_event_loop_goes_on(grader: Grader) -> None:
    """Others on the loop have their turn while a batch is prepared and graded; in CPU time of all threads, the machine may be busy."""
    async def main() -> float:
        worst = 0.0
        task = asyncio.create_task(SampleGrader(grader).agrade(SAMPLES[:4] * 200))
        while not task.done():
            started = time.process_time()
            await asyncio.sleep(0)
            worst = max(worst, time.process_time() - started)
        assert scores(task.result()) == SCORES[:4] * 200
        return worst

    assert asyncio.run(main()) < 0.5
