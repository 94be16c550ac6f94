"""Grading over a Ray cluster of four nodes on this machine, one of them lost in mid-run: every grade there, and equal to one machine's."""
from __future__ import annotations

import asyncio
import pickle
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from assay.core.problem import Problem, Program
from assay.core.rows import parse_row
from assay.core.verdict import Grade
from assay.verifiers.grader import Grader

from ..adapters.support import CASES, SCORES

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_timeout_ms": 30_000,
          "health_check_failure_threshold": 3}
"""A node that is gone is noticed in seconds rather than in half a minute; one that a busy machine gives no core for some seconds is not lost."""
MATH = [parse_row({"id": f"m{n}", "reward": {"type": "math", "answer": str(n)}}, "here").problem for n in range(20)]
CODE = [parse_row({"id": f"c{n}", "reward": {"type": "code", "mode": "stdin", "tests": [
    {"input": f"{n} {k}\n", "output": f"{n * k}\n"} for k in range(3)]}}, "here").problem for n in range(10)]
PROGRAMS = ["a, b = map(int, input().split())\nprint(a * b)", "a, b = map(int, input().split())\nprint(a + b)", "print(", "1/0"]


def items(of_math: int, of_code: int) -> list[Any]:
    made: list[tuple[Problem, Any]] = []
    for n in range(max(of_math, of_code)):
        if n < of_math:
            made.append((MATH[n % 20], f"so \\boxed{{{n % 23}}}" if n % 7 else "no idea"))
        if n < of_code:     # a number in each, so that no two are the same program
            made.append((CODE[n % 10], Program(f"# {n}\nimport time; time.sleep(0.02)\n{PROGRAMS[n % 4]}")))
    return made


def told(grades: list[Grade]) -> list[Any]:
    return [(grade.verdict, grade.score, grade.reason, tuple(case.verdict for case in grade.cases)) for grade in grades]


# The first test needs Ray not connected, the last takes a node away: starting a cluster takes 20 s, so there is one.

def test_it_is_refused_without_ray_connected() -> None:
    import ray

    from assay.verifiers.scale.ray_grader import RayGrader

    assert not ray.is_initialized()
    with pytest.raises(RuntimeError, match=r"ray\.init"):
        RayGrader("local")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": HEALTH})
    nodes = [made.add_node(num_cpus=1) for _ in range(3)]
    ray.init(address=made.address, log_to_driver=False, include_dashboard=False)
    made.wait_for_nodes()
    try:
        yield made, nodes
    finally:
        ray.shutdown()
        made.shutdown()


def test_what_ray_gives_up_on_is_ie_and_hurts_no_other(cluster: Any) -> None:
    from assay.verifiers.scale import ray_grader

    with ray_grader.RayGrader("local", slots=1) as grader:
        ray = grader._ray

        def poisoned(settings: dict[str, Any], chunk: list[Any]) -> tuple[list[Grade], int]:
            import os
            if any(response == "die" for _, response in chunk):
                os._exit(1)
            if any(response == "raise" for _, response in chunk):
                raise ValueError("a bug")
            return Grader(**settings).grade_many(chunk), 0

        grader._task = ray.remote(num_cpus=1, max_retries=1)(poisoned)
        started = time.monotonic()
        grades = grader.grade_many([(MATH[1], r"\boxed{1}"), (MATH[1], "die"), (MATH[1], "raise"), (MATH[1], r"\boxed{2}")])
        assert time.monotonic() - started < 600
        metrics = grader.metrics()
        assert metrics["reasons"]["ray_lost"] == metrics["reasons"]["ray_failed"] == 1 and metrics["retries"] >= 1 and metrics["in_flight"] == 0
    assert [(grade.score, grade.reason if grade.score is None else "") for grade in grades] == [
        (1.0, ""), (None, "ray_lost"), (None, "ray_failed"), (0.0, "")]


def test_in_the_adapters(cluster: Any) -> None:
    """As with a Grader; the metrics are those of the whole cluster."""
    from assay.verifiers.adapters.trl import AsyncTrlReward, TrlReward
    from assay.verifiers.scale.ray_grader import RayGrader

    n = len(CASES)
    references, responses = [reference for reference, _, _, _ in CASES], [response for _, response, _, _ in CASES]
    reward = pickle.loads(pickle.dumps(TrlReward(RayGrader("local", slots=1, actors=2))))
    assert reward(["p"] * n, responses, answer=references) == SCORES
    metrics = reward.metrics()
    assert metrics["grades"] == Counter("IE" if score is None else "AC" if score else "NA" if reason.startswith("no_") else "WA"
                                        for _, _, score, reason in CASES)
    assert metrics["in_flight"] == 0 and metrics["latency_s"]["count"] == n and 'reason="no_reference"' in reward.samples.prometheus()
    awaited = AsyncTrlReward(reward.samples.grader)
    assert asyncio.run(awaited(["p"] * n, responses, answer=references)) == SCORES
    slow = reward.samples.grader.submit(CODE[0], Program("import time; time.sleep(9)"))
    time.sleep(0.5)
    reward.close()      # what is under way is cancelled; the next item starts anew
    assert slow.cancelled()
    assert reward(["p"] * n, responses, answer=references) == SCORES
    reward.close()


def test_retries_of_the_workers_are_counted(cluster: Any) -> None:
    """What a worker says that it tried again is in the metrics here."""
    from assay.verifiers.scale import ray_grader

    class Restless(ray_grader._CodeActor):
        def grade_many(self, chunk: list[Any]) -> tuple[list[Grade], int]:
            grades, retries = super().grade_many(chunk)
            return grades, retries + len(chunk)

    with ray_grader.RayGrader("local", slots=1, actors=1) as grader:
        before, ray_grader._CodeActor = ray_grader._CodeActor, Restless     # type: ignore[misc]
        try:
            assert [grade.score for grade in grader.grade_many(items(0, 6))] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        finally:
            ray_grader._CodeActor = before      # type: ignore[misc]
        assert grader.metrics()["retries"] == 6


def test_a_node_lost_in_mid_run_loses_no_grade(cluster: Any) -> None:
    import ray

    from assay.verifiers.scale.ray_grader import RayGrader

    made, nodes = cluster
    work = items(2000, 240)
    with Grader("local", slots=2, workers=2) as one:
        expected = told(one.grade_many(work))
    assert len({verdict for verdict, *_ in expected}) >= 4
    found: dict[int, Grade] = {}
    with RayGrader("local", slots=1, actors=4) as grader:
        removed = False
        for place, grade in grader.iter_grades(work):
            assert place not in found
            found[place] = grade
            if not removed and len(found) > len(work) // 4:
                made.remove_node(nodes[0], allow_graceful=False)
                removed = True
    assert removed
    until = time.monotonic() + 60   # the run may end before the cluster has noticed
    while sum(bool(node["Alive"]) for node in ray.nodes()) == 4 and time.monotonic() < until:
        time.sleep(0.1)
    assert sum(bool(node["Alive"]) for node in ray.nodes()) == 3
    assert told([found[n] for n in range(len(work))]) == expected
