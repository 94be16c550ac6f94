"""Golden programs, by the grades that the catalog has: what they decide, and which passed."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.verdict import BAD_REFERENCE
from .catalog import Catalog
from .items import Decision, Item, alive
from .recipe import Recipe

__all__ = ["GOLD", "GOLDEN", "attempt", "decide_golden", "golden_passes", "latest_grades"]

GOLD: Final = "@gold"
GOLDEN: Final = "@golden"
"""The pool's own answers and programs, as models of the catalog."""


def decide_golden(items: Sequence[Item], catalog: Catalog, recipe: Recipe, mid: int, vid: int) -> None:
    """By the grades that the catalog has."""
    runs = recipe.code.golden_runs
    found = latest_grades(catalog, mid, vid)
    for item in alive(items, "code"):
        if not item.solutions:
            if recipe.code.require_golden:
                item.decision = Decision.undecided("code", "undecided.no_golden")
            continue
        outcomes = [[found.get((item.pid, attempt(value, n)), ("IE", "ungraded", "")) for n in range(runs)] for value in item.solutions]
        item.decision = _golden_decision(outcomes, recipe.code.golden)


def golden_passes(items: Sequence[Item], catalog: Catalog, recipe: Recipe, mid: int, vid: int) -> set[int]:
    """pids of which a golden program passed in every run."""
    found = latest_grades(catalog, mid, vid)

    def passes(pid: int, value: int) -> bool:
        return all(found.get((pid, attempt(value, n)), ("",))[0] == "AC" for n in range(recipe.code.golden_runs))

    return {item.pid for item in items if any(passes(item.pid, value) for value in item.solutions)}


def attempt(value: int, n: int) -> int:
    """The hash that the n-th run of a program is recorded under: runs are to be made, not copied."""
    return (value + n) & 0xFFFFFFFFFFFFFFFF


def _golden_decision(outcomes: Sequence[Sequence[tuple[str, str, str]]], needed: str) -> Decision | None:
    """Of all programs and their runs. What is worst for the problem is named first: fails, flaky, unrunnable, then our faults."""
    passing = [all(verdict == "AC" for verdict, _, _ in runs) for runs in outcomes]
    if all(passing) or (needed == "any" and any(passing)):
        return None
    decisions: dict[str, Decision] = {}
    for place, runs in enumerate(outcomes):
        verdicts = [verdict for verdict, _, _ in runs]
        verdict, reason, detail = next((run for run in runs if run[0] != "AC"), runs[0])
        evidence = {"program": place, "verdicts": verdicts, "reason": reason, "detail": detail}
        if verdict == "IE" and reason != BAD_REFERENCE:
            decisions["undecided.ungraded"] = Decision.undecided("code", "undecided.ungraded", **evidence)
        elif verdict in ("CE", "IE"):
            decisions["code.golden_unrunnable"] = Decision.reject("code", "code.golden_unrunnable", **evidence)
        elif "AC" in verdicts:
            decisions["code.flaky"] = Decision.reject("code", "code.flaky", **evidence)
        elif verdict != "AC":
            decisions["code.golden_fails"] = Decision.reject("code", "code.golden_fails", **evidence)
    return next((decisions[reason] for reason in ("code.golden_fails", "code.flaky", "code.golden_unrunnable", "undecided.ungraded")
                 if reason in decisions), None)


def latest_grades(catalog: Catalog, mid: int, vid: int) -> dict[tuple[int, int], tuple[str, str, str]]:
    """(pid, hash) -> verdict, reason, detail; a fault of ours only where there is no verdict."""
    rows = catalog.rows("SELECT pid, hash, verdict, reason, detail FROM grades WHERE mid = ? AND vid = ? "
                        "ORDER BY verdict = 'IE' AND reason <> ? DESC, graded_at", [mid, vid, BAD_REFERENCE])
    return {(pid, value): (verdict, reason, detail) for pid, value, verdict, reason, detail in rows}
