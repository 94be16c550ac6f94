"""Call and assert mode: each row of functions.toml on each backend."""
from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Judge

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "functions.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_function(judge: Judge, case: dict[str, Any]) -> None:
    outcome = judge.one(case["program"], case["data"].encode(), mode=case.get("mode", "call"), entry=case.get("entry"))
    assert outcome.ended in case.get("ended", ["exited"]), outcome
    if "ended" not in case:
        assert outcome.exit_code == case.get("exit", 0), outcome
        assert outcome.error.startswith(case["error"]) if "error" in case else outcome.error == "", outcome
    wanted = case.get("raw_result", case.get("result"))
    if "result_length" in case:
        assert outcome.result is not None
        assert len(outcome.result) == case["result_length"]
    else:
        assert outcome.result == (None if wanted is None else wanted.encode()), outcome
    assert outcome.completed is case.get("completed", False), outcome
    if "out" in case:
        assert outcome.stdout.decode() == case["out"]
