"""MiMo's difficulty rules, on counts. Source: MiMo-7B report, section 3.2. Pure functions; integers decide.

    k right of n graded rollouts; a rollout that ended in a fault of ours (IE) is in neither.
    With fewer than the recipe asks for, a rule decides only if the missing ones could not change it; else the row is undecided.
"""
from __future__ import annotations

from dataclasses import dataclass

from .items import Decision
from .recipe import CodeDifficulty, DifficultyRules, MathDifficulty

__all__ = ["Evidence", "Tally", "difficulty"]

_STAGE = "difficulty"


@dataclass(frozen=True, slots=True)
class Tally:
    """Rollouts of one problem by one role: `given`, graded `n`, right `k`. `solved_tests`: a test was passed by some rollout."""

    given: int = 0
    n: int = 0
    k: int = 0
    solved_tests: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a problem's difficulty."""

    is_code: bool
    policy: Tally = Tally()
    advanced: Tally = Tally()
    has_golden: bool = False
    """A golden program passed all tests."""


def difficulty(rules: DifficultyRules, known: Evidence) -> Decision | None:
    """None: keep (or nothing is known). The unsolved rule goes first."""
    domain: MathDifficulty | CodeDifficulty = rules.code if known.is_code else rules.math
    return _unsolved(domain, rules, known) or _too_easy(domain, rules, known)


def _unsolved(domain: MathDifficulty | CodeDifficulty, rules: DifficultyRules, known: Evidence) -> Decision | None:
    if known.is_code and known.has_golden:
        return None
    tally = known.advanced
    if tally.k or (known.is_code and tally.solved_tests):
        return None
    if tally.n >= domain.advanced_rollouts:
        return Decision.reject(_STAGE, "diff.unsolved", role="advanced", k=0, n=tally.n)
    if tally.given:
        return _undecided("few_advanced", "advanced", tally, domain.advanced_rollouts)
    return None


def _too_easy(domain: MathDifficulty | CodeDifficulty, rules: DifficultyRules, known: Evidence) -> Decision | None:
    tally = known.policy
    if not tally.given:
        return Decision.undecided(_STAGE, "undecided.no_rollouts") if rules.require_rollouts else None
    wanted = domain.policy_rollouts
    missing = max(0, wanted - tally.n)
    if domain.is_too_easy(tally.k, tally.n + missing):
        return Decision.reject(_STAGE, "diff.too_easy", role="policy", k=tally.k, n=tally.n, limit=domain.too_easy)
    if missing and domain.is_too_easy(tally.k + missing, tally.n + missing):
        return _undecided("few_rollouts", "policy", tally, wanted)
    return None


def _undecided(what: str, role: str, tally: Tally, wanted: int) -> Decision:
    reason = "undecided.ungraded" if tally.given >= wanted > tally.n else f"undecided.{what}"
    return Decision.undecided(_STAGE, reason, role=role, given=tally.given, n=tally.n, k=tally.k, wanted=wanted)
