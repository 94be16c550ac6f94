"""The Grader with its real pools: order, isolation of items, pickling, processes, event loops, faults of ours."""
from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import CodeTests, Grade, Grader, MathAnswer, Problem, Program, Response, TestCase, Verdict
from assay.core.errors import SlotDied
from assay.core.problem import Limits
from assay.verifiers import grader as module

ONE = Problem(prompt="1?", reward=MathAnswer(answer="1"))
ADD = Problem(prompt="add", reward=CodeTests(tests=(TestCase(input="1 2\n", output="3\n"), TestCase(input="4 5\n", output="9\n"))))
RIGHT = Program("print(sum(map(int, input().split())))")
WRONG = Program("print(3)")
CRASH = Program("raise SystemExit(3)")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader("local", slots=2, workers=1) as g:
        yield g


def verdicts(grades: list[Grade]) -> list[str]:
    return [grade.verdict.value for grade in grades]


def test_a_mixed_batch_keeps_its_order(grader: Grader) -> None:
    items: list[Any] = [(ADD, RIGHT), (ONE, r"\boxed{1}"), (ADD, WRONG), (ONE, r"\boxed{2}"), (ADD, CRASH),
                        (ADD, Response("```python\nprint(sum(map(int, input().split())))\n```")), (ADD, Response("no code")), (ONE, RIGHT)] * 4
    assert verdicts(grader.grade_many(items)) == ["AC", "AC", "WA", "WA", "RE", "AC", "NA", "NA"] * 4


def test_a_partly_right_program(grader: Grader) -> None:
    grade = grader.grade(ADD, WRONG)
    assert [case.verdict.value for case in grade.cases] == ["AC", "WA"]
    assert (grade.score, grade.components["passed"], grade.components["tests"]) == (0.0, 1, 2)
    assert grade.cpu_s > 0 and grade.wall_s > 0


def test_inside_an_event_loop(grader: Grader) -> None:
    async def main() -> tuple[Grade, dict[int, str]]:
        one = await grader.agrade(ADD, RIGHT)
        return one, {n: grade.verdict.value async for n, grade in grader.as_completed([(ADD, WRONG), (ONE, r"\boxed{1}"), (ADD, RIGHT)])}

    one, rest = asyncio.run(main())
    assert one.verdict is Verdict.AC
    assert rest == {0: "WA", 1: "AC", 2: "AC"}


def test_from_many_threads(grader: Grader) -> None:
    got: list[list[str]] = []

    def work() -> None:
        got.append(verdicts(grader.grade_many([(ADD, RIGHT), (ADD, WRONG), (ONE, r"\boxed{1}")])))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [["AC", "WA", "AC"]] * 8


SPAWN = """
import multiprocessing, pickle, sys

def work(pickled, out):
    grader, items = pickle.loads(pickled)
    out.put([grade.verdict.value for grade in grader.grade_many(items)])

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    child = context.Process(target=work, args=(open(sys.argv[1], "rb").read(), out), daemon=sys.argv[2] == "True")
    child.start()
    print(*out.get(timeout=100))
    child.join(60)
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("daemon", [False, True])
def test_in_a_spawned_child(grader: Grader, tmp_path: Path, daemon: bool) -> None:
    (tmp_path / "spawn.py").write_text(SPAWN)
    (tmp_path / "work.pickle").write_bytes(pickle.dumps((grader, [(ADD, RIGHT), (ONE, r"\boxed{1}"), (ADD, WRONG)])))
    done = subprocess.run([sys.executable, "spawn.py", "work.pickle", str(daemon)], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (done.stdout.split(), done.returncode) == (["AC", "AC", "WA"], 0), done.stderr


def test_the_hosts_alarm_is_untouched(grader: Grader) -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        grader.grade_many([(ONE, r"\boxed{\frac{2}{2}}"), (ADD, RIGHT)] * 5)
        while not rung:
            signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [signal.SIGALRM]


def test_leaving_early_cancels_the_rest(grader: Grader) -> None:
    slow = Program("while True: pass")
    stream = grader.iter_grades([(ADD, RIGHT), *[(ADD, slow)] * 20])
    assert next(stream)[1].verdict is Verdict.AC
    stream.close()
    assert grader.grade(ADD, RIGHT).verdict is Verdict.AC      # the slots are free again


class Dying:
    """A code verifier whose slot dies: `deaths` times, then it grades."""

    deaths = 0

    def __init__(self, *_args: object, **_settings: object) -> None: ...

    async def grade(self, _reward: CodeTests, program: Program) -> Grade:
        if program.source == "bug":
            raise ZeroDivisionError("a bug of ours")
        if Dying.deaths:
            Dying.deaths -= 1
            raise SlotDied("slot 0 died")
        return Grade(Verdict.AC, 1.0, "accepted")


@pytest.mark.parametrize(("deaths", "verdict", "reason"), [(1, "AC", "accepted"), (2, "IE", "slot_died")])
def test_our_faults_are_retried_once_and_never_a_zero(grader: Grader, monkeypatch: pytest.MonkeyPatch, deaths: int, verdict: str,
                                                      reason: str) -> None:
    monkeypatch.setattr(module, "CodeVerifier", Dying)
    Dying.deaths = deaths
    grade = grader.grade(ADD.model_copy(deep=True), RIGHT)     # another problem: what was graded before is not graded again
    assert (grade.verdict.value, grade.reason, grade.score) == (verdict, reason, 1.0 if verdict == "AC" else None)


def test_a_bug_hurts_its_own_item_only(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CodeVerifier", Dying)
    problem = ADD.model_copy(deep=True)
    grades = grader.grade_many([(problem, RIGHT), (problem, Program("bug")), (problem, RIGHT)])
    assert verdicts(grades) == ["AC", "IE", "AC"]
    assert grades[1].reason == "internal_error" and "ZeroDivisionError: a bug of ours" in grades[1].detail


def test_close_leaves_no_process(grader: Grader) -> None:
    with Grader("local", slots=1, workers=1) as g:
        g.grade_many([(ADD, RIGHT), (ONE, r"\boxed{\frac{x+1}{2}}")])
        assert children() - children_of(grader)
    assert not children() - children_of(grader)


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):      # a thread that just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def children_of(_grader: Grader) -> set[int]:
    """Those that were there before: the module's grader keeps its pools."""
    return BEFORE


BEFORE: set[int] = set()


@pytest.fixture(autouse=True)
def _note_children(grader: Grader) -> None:
    grader.grade(ADD, RIGHT)
    BEFORE.clear()
    BEFORE.update(children())


@pytest.mark.parametrize(("settings", "says"), [({"sandbox": "none"}, "sandbox"), ({"reward": "vibes"}, "reward")])
def test_wrong_settings_are_refused_at_once(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Grader(**settings)


def test_a_deadline_ends_a_program_that_hangs_in_its_first_run() -> None:
    """A small Python program is compiled by its first run, so that nothing comes from the slot before that run's end."""
    patient = Problem.model_validate({"reward": {"type": "code", "tests": [{"input": "", "output": ""}], "limits": {"cpu_s": 5, "wall_s": 60}}})
    with Grader("local", slots=1, workers=1, deadline_s=2.0) as g:
        hung = g.grade_many([(patient, Program(f"import time\ntime.sleep(20)  # {n}")) for n in range(2)])
    assert [(grade.score, grade.reason) for grade in hung] == [(None, "deadline_exceeded")] * 2


def test_a_deadline_counts_from_the_start_of_work() -> None:
    nap = "import time; time.sleep(0.5)\n"
    patient = ADD.model_copy(update={"reward": ADD.reward.model_copy(update={"limits": Limits(wall_s=100)})})
    with Grader("local", slots=1, workers=1, deadline_s=8.0) as g:
        grades = g.grade_many([(ADD, Program(f"{nap}# {n}\n{RIGHT.source}")) for n in range(9)])    # 9 s in all, 1 s each
        assert verdicts(grades) == ["AC"] * 9
        hung = g.grade(patient, Program("import time; time.sleep(90)"))
        assert (hung.verdict, hung.score, hung.reason) == (Verdict.IE, None, "deadline_exceeded")
        assert g.grade(ADD, RIGHT).verdict is Verdict.AC
        metrics = g.metrics()
    assert metrics["grades"] == {"AC": 10, "IE": 1} and metrics["reasons"]["deadline_exceeded"] == 1
    assert metrics["in_flight"] == 0 and metrics["latency_s"]["count"] == 11


def test_metrics_show_every_fault(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CodeVerifier", Dying)
    before = grader.metrics()
    Dying.deaths = 3
    problem = ADD.model_copy(deep=True)
    grades = [grader.grade(problem, Program(text)) for text in ("a", "b", "bug")]
    after = grader.metrics()
    assert verdicts(grades) == ["IE", "AC", "IE"]
    assert after["retries"] - before["retries"] == 2
    assert after["reasons"]["slot_died"] - before["reasons"].get("slot_died", 0) == 1
    assert after["reasons"]["internal_error"] - before["reasons"].get("internal_error", 0) == 1
    text = grader.prometheus()
    assert 'assay_reasons_total{reason="slot_died"}' in text and f'assay_latency_seconds_count {after["latency_s"]["count"]}' in text


def test_a_cache_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def graded(problem: Problem, program: Program, **settings: Any) -> Grade:
        with Grader("local", slots=1, workers=1, cache=str(tmp_path / "cache"), **settings) as g:
            return g.grade(problem, program)

    first = graded(ADD, WRONG)
    again = graded(ADD.model_copy(deep=True), WRONG)
    assert "cached" not in first.components and again.components["cached"]
    assert (again.verdict, again.cases, again.detail, again.cpu_s) == (first.verdict, first.cases, first.detail, first.cpu_s)
    other_tests = Problem(reward=CodeTests(tests=(*ADD.reward.tests, TestCase(input="1 1", output="2"))))   # type: ignore[union-attr]
    for grade in (graded(other_tests, WRONG), graded(ADD, RIGHT), graded(ADD, Program(WRONG.source, "pypy3")), graded(ADD, WRONG, detail="all")):
        assert "cached" not in grade.components
    monkeypatch.setattr(module, "CodeVerifier", Dying)
    Dying.deaths = 2
    assert graded(ADD, Program("new")).verdict is Verdict.IE
    assert graded(ADD, Program("new")).verdict is Verdict.AC       # the fault was not kept


def test_a_cache_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Grader("local", slots=1, workers=1, cache=str(tmp_path / "file")) as g:
        grade = g.grade(ADD, RIGHT)
    assert grade.verdict is Verdict.IE and "cannot hold a cache" in grade.detail
