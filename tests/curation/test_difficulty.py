"""The difficulty rules, at their edges."""
from __future__ import annotations

import pytest

from assay.curation.difficulty import Evidence, Tally, difficulty
from assay.curation.items import Status
from assay.curation.recipe import DifficultyRules

RULES = DifficultyRules()

MATH = [
    # policy (given, n, k), advanced (given, n, k), reason or None
    ((16, 16, 14), (16, 16, 16), None),
    ((16, 16, 15), (16, 16, 16), "diff.too_easy"),            # 93.75 % > 90 %
    ((20, 20, 18), (0, 0, 0), None),                          # exactly 90 % stays
    ((20, 20, 19), (0, 0, 0), "diff.too_easy"),
    ((10, 10, 9), (0, 0, 0), "undecided.few_rollouts"),       # 9 to 15 of 16 possible
    ((10, 10, 8), (0, 0, 0), None),                           # at most 14 of 16: no rollout could change it
    ((16, 15, 15), (0, 0, 0), "diff.too_easy"),               # 15 or 16 of 16, whatever the missing one says
    ((16, 15, 14), (0, 0, 0), "undecided.ungraded"),          # 14 or 15 of 16: a fault of ours is in the way
    ((16, 0, 0), (0, 0, 0), "undecided.ungraded"),
    ((0, 0, 0), (0, 0, 0), None),
    ((16, 16, 0), (0, 0, 0), None),                           # no advanced rollouts: nobody says that it is impossible
    ((16, 16, 0), (4, 4, 0), "diff.unsolved"),
    ((16, 16, 3), (4, 4, 0), "diff.unsolved"),                # the report's rule asks the advanced models alone
    ((16, 16, 3), (3, 3, 0), "undecided.few_advanced"),
    ((16, 16, 3), (4, 3, 0), "undecided.ungraded"),
    ((16, 16, 3), (1, 1, 1), None),
]


@pytest.mark.parametrize(("policy", "advanced", "reason"), MATH)
def test_math(policy: tuple[int, int, int], advanced: tuple[int, int, int], reason: str | None) -> None:
    decision = difficulty(RULES, Evidence(False, Tally(*policy), Tally(*advanced)))
    assert (decision.reason if decision else None) == reason


CODE = [
    # policy, advanced (given, n, k, solved a test), golden passes, reason
    ((16, 16, 16), (0, 0, 0, False), True, "diff.too_easy"),
    ((16, 16, 15), (0, 0, 0, False), True, None),
    ((16, 15, 15), (0, 0, 0, False), True, "undecided.ungraded"),
    ((15, 15, 15), (0, 0, 0, False), True, "undecided.few_rollouts"),
    ((16, 16, 0), (16, 16, 0, False), True, None),            # hard, but a golden program shows that it can be solved
    ((16, 16, 0), (16, 16, 0, False), False, "diff.unsolved"),
    ((16, 16, 0), (16, 16, 0, True), False, None),            # some test was solved
    ((16, 16, 0), (15, 15, 0, False), False, "undecided.few_advanced"),
    ((16, 16, 0), (0, 0, 0, False), False, None),
]


@pytest.mark.parametrize(("policy", "advanced", "golden", "reason"), CODE)
def test_code(policy: tuple[int, int, int], advanced: tuple[int, int, int, bool], golden: bool, reason: str | None) -> None:
    decision = difficulty(RULES, Evidence(True, Tally(*policy), Tally(*advanced), golden))
    assert (decision.reason if decision else None) == reason


def test_rollouts_can_be_demanded() -> None:
    decision = difficulty(DifficultyRules(require_rollouts=True), Evidence(False))
    assert decision is not None and decision.reason == "undecided.no_rollouts" and decision.status is Status.UNDECIDED


def test_no_count_is_decided_by_rounding() -> None:
    """Against fractions, for every k and n up to 200."""
    for n in range(1, 201):
        for k in range(n + 1):
            assert RULES.math.is_too_easy(k, n) == (10 * k > 9 * n)
            assert RULES.code.is_too_easy(k, n) == (k == n)
