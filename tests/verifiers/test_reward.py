"""Rewards: MiMo-7B's schemes (section 3.3.1), by worked examples and by properties."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.problem import CodeTests, TestCase, Tiers
from assay.verifiers.reward import REWARD_NAMES, missing_for, score_tests


def problem(tiers: list[int], scores: tuple[float, ...] = (1.0, 3.0), weights: list[float] | None = None) -> CodeTests:
    return CodeTests(tests=tuple(TestCase(input="", output="", tier=tier, weight=weights[n] if weights else None)
                                 for n, tier in enumerate(tiers)), tiers=Tiers(scores=scores))


@pytest.mark.parametrize(("name", "passed", "score"), [
    ("all_tests", [True, True, True], 1.0), ("all_tests", [True, False, True], 0.0), ("all_tests", [True, True], 0.0),
    ("fraction", [True, False, True], 2 / 3), ("fraction", [True], 1 / 3),
    ("difficulty_soft", [True, False, True], 0.125 + 0.75), ("difficulty_strict", [True, False, True], 0.0),
    ("difficulty_strict", [True, True, False], 0.25), ("difficulty_soft", [True, True, False], 0.25),
    ("difficulty_strict", [True, True, True], 1.0), ("difficulty_soft", [True, True, True], 1.0),
])
def test_worked_examples(name: str, passed: list[bool], score: float) -> None:
    assert score_tests(name, problem([0, 0, 1]), passed) == pytest.approx(score)    # type: ignore[arg-type]


def test_weights() -> None:
    assert score_tests("fraction", problem([0, 0], weights=[1, 3]), [False, True]) == 0.75


def test_difficulty_needs_tiers() -> None:
    assert missing_for("difficulty_soft", CodeTests(tests=(TestCase(input="", output=""),)))
    with pytest.raises(ValueError, match="tiers"):
        score_tests("difficulty_strict", CodeTests(tests=(TestCase(input="", output=""),)), [True])
    assert missing_for("difficulty_soft", problem([0, 2]))


TESTS = st.integers(1, 8).flatmap(lambda n: st.tuples(st.lists(st.integers(0, 2), min_size=n, max_size=n),
                                                       st.lists(st.booleans(), min_size=n, max_size=n)))


@given(TESTS)
def test_all_schemes_agree_on_all_and_none_and_strict_is_never_more_than_soft(case: tuple[list[int], list[bool]]) -> None:
    tiers, passed = case
    reward = problem(tiers, (1.0, 2.0, 4.0))
    scores = {name: score_tests(name, reward, passed) for name in REWARD_NAMES}
    assert all(0.0 <= score <= 1.0 for score in scores.values())
    assert scores["difficulty_strict"] <= scores["difficulty_soft"] + 1e-12
    if all(passed):
        assert all(score == pytest.approx(1.0) for score in scores.values())
    if not any(passed):
        assert all(score == 0.0 for score in scores.values())


@given(TESTS, st.data())
def test_one_more_passed_test_never_lowers_a_reward(case: tuple[list[int], list[bool]], data: st.DataObject) -> None:
    tiers, passed = case
    better = list(passed)
    better[data.draw(st.integers(0, len(passed) - 1))] = True
    for name in REWARD_NAMES:
        reward = problem(tiers, (1.0, 2.0, 4.0))
        assert score_tests(name, reward, better) >= score_tests(name, reward, passed) - 1e-12
