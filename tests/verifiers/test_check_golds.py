"""Which golds can be used."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.core.errors import RowError
from assay.verifiers.check_golds import GoldReport, check_gold, check_golds


@pytest.mark.parametrize(("gold", "status"), [
    ("42", "readable"), ("$\\frac{1}{2}$", "readable"), ("x^2+1", "readable"), ("(1, 2)", "readable"), ("1 \\pm \\sqrt{19}", "readable"),
    ("x = 3", "readable"), ("204_5", "readable"), ("-221_3", "readable"), ("5\\text{ cm}^2", "readable"), ("B", "readable"),
    ("so we get $\\boxed{28\\%}$", "readable"), ("\\text{Evelyn}", "text"), ("They are the same.", "text"), ("\\sum_{n=0}^\\infty x^n", "text"),
    ("", "unreadable"), ("$ $", "unreadable"), ("\\frac{1}{", "unreadable"), ("((1, 2)", "unreadable"), ("x <", "unreadable"),
    ("\\frac{1}{0}", "no_value"), ("10^{10^{10}}", "no_value"), ("100000!", "no_value"),
])
def test_status(gold: str, status: str) -> None:
    report = check_gold(gold, "row 1")
    assert report.status == status, report
    assert report.where == "row 1" and report.gold == gold
    assert (report.reason == "") is (status == "readable")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    rows = [{"id": "a", "reward": {"type": "math", "answer": "1"}}, {"id": "b", "reward": {"type": "math", "answer": ["2", "\\frac{"]}},
            {"id": "c", "reward": {"type": "code", "tests": []}}, {"id": "d", "reward": {"type": "nonsense"}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not JSON\n", encoding="utf-8")
    found = list(check_golds(path))
    assert [(one.where, one.status) for one in found if isinstance(one, GoldReport)] == [
        ("a", "readable"), ("b, answer 1", "readable"), ("b, answer 2", "unreadable")]
    assert sum(isinstance(one, RowError) for one in found) == 2
