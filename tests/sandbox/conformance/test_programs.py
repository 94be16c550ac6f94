"""Each row of programs.toml on each backend, and after it a plain program: the next submission is unharmed."""
from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox.execution import CompileFailed, Outcome

from ..conftest import LIMITS, Judge

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "programs.toml").read_text())["case"]
MADE = {"@nested": "(" * 50_000 + ")" * 50_000}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_program(judge: Judge, case: dict[str, Any]) -> None:
    program: str = case["program"]
    items = judge.program(MADE.get(program, program), case.get("input", "").encode(),
                          limits=replace(LIMITS, wall_s=case.get("wall_s", LIMITS.wall_s)))
    if "compile_failed" in case:
        assert isinstance(items[0], CompileFailed)
        assert items[0].reason == case["compile_failed"]
    else:
        outcome = items[1]
        assert isinstance(outcome, Outcome)
        check(outcome, case)
    after = judge.one("import json, heapq, bisect, os\nprint(int(input()) + len(os.listdir('.')))", b"41\n")
    assert (after.stdout, after.exit_code, after.stderr) == (b"41\n", 0, b"")


def check(outcome: Outcome, case: dict[str, Any]) -> None:
    assert outcome.ended in case.get("any", [case.get("ended", "exited")]), outcome
    if outcome.ended == "exited" and ("any" not in case or "exit" in case):
        assert outcome.exit_code == case.get("exit", 0), outcome
    if "signal" in case:
        assert outcome.signal == case["signal"]
    if "out" in case:
        assert outcome.stdout.decode() == case["out"], outcome
    if "has" in case:
        assert case["has"] in outcome.stderr.decode()
    assert outcome.cpu_s < 3.5
    assert outcome.wall_s < 40
