"""Grading over a Ray cluster of four nodes on this machine, one of them lost in mid-run: every grade there, and equal to one machine's."""
from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from assay.core.problem import Problem, Program
from assay.core.rows import parse_row
from assay.core.verdict import Grade
from assay.verifiers.grader import Grader

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_timeout_ms": 3000,
          "health_check_failure_threshold": 3}
"""A lost node is noticed in seconds rather than in half a minute."""
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


@pytest.fixture
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
    assert sum(bool(node["Alive"]) for node in ray.nodes()) == 3
    assert told([found[n] for n in range(len(work))]) == expected


def test_what_ray_gives_up_on_is_ie_and_hurts_no_other(cluster: Any) -> None:
    from assay.verifiers.scale import ray_grader

    with ray_grader.RayGrader("local", slots=1) as grader:
        ray = grader._ray

        def poisoned(settings: dict[str, Any], chunk: list[Any]) -> list[Grade]:
            import os
            if any(response == "die" for _, response in chunk):
                os._exit(1)
            if any(response == "raise" for _, response in chunk):
                raise ValueError("a bug")
            return Grader(**settings).grade_many(chunk)

        grader._task = ray.remote(num_cpus=1, max_retries=1)(poisoned)
        started = time.monotonic()
        grades = grader.grade_many([(MATH[1], r"\boxed{1}"), (MATH[1], "die"), (MATH[1], "raise"), (MATH[1], r"\boxed{2}")])
        assert time.monotonic() - started < 120
    assert [(grade.score, grade.reason if grade.score is None else "") for grade in grades] == [
        (1.0, ""), (None, "ray_lost"), (None, "ray_failed"), (0.0, "")]


def test_it_is_refused_without_ray_connected() -> None:
    import ray

    from assay.verifiers.scale.ray_grader import RayGrader

    assert not ray.is_initialized()
    with pytest.raises(RuntimeError, match=r"ray\.init"):
        RayGrader("local")
