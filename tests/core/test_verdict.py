from __future__ import annotations

import pickle

import pytest

from assay.core.verdict import CaseResult, Grade, Verdict


def test_a_verdict_has_no_truth_value() -> None:
    with pytest.raises(TypeError):
        bool(Verdict.WA)


@pytest.mark.parametrize(("verdict", "score"), [(Verdict.IE, 0.0), (Verdict.AC, None), (Verdict.WA, 1.5), (Verdict.WA, float("nan"))])
def test_a_score_is_none_exactly_for_ie(verdict: Verdict, score: float | None) -> None:
    with pytest.raises(ValueError, match="score"):
        Grade(verdict, score, "x")


def test_a_grade_pickles_and_prints() -> None:
    grade = Grade(Verdict.WA, 0.0, "wrong_answer", cases=(CaseResult(Verdict.WA, 0.1, 0.2, 5),), components={"tests": 1})
    assert pickle.loads(pickle.dumps(grade)) == grade
    assert grade.to_dict()["cases"] == [{"verdict": "WA", "cpu_s": 0.1, "wall_s": 0.2, "memory_bytes": 5}]
