"""assert mode runs tests and program in one process: what a program would try there, and what honest programs need."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import CodeTests, Grader, Limits, Problem, Program

ROWS = [json.loads(line) for line in (Path(__file__).parent / "cases" / "assert_mode.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader("local", slots=1, workers=1) as g:
        yield g


@pytest.mark.parametrize("row", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_row(grader: Grader, row: dict[str, Any]) -> None:
    reward = CodeTests(mode="assert", test_code=row["test_code"], entry_point=row.get("entry_point"), limits=Limits(cpu_s=5, memory_mb=512))
    grade = grader.grade(Problem(reward=reward), Program(row["program"]))
    assert grade.verdict.value == row["verdict"], grade.detail
