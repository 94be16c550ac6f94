"""Counts of a finished run under other rules for `code` and `difficulty`: rows that the rules cannot tell apart are decided once.

A row's fate in `difficulty` hangs on its counts of rollouts alone, so the catalog counts rows by these, and the rule is asked once for
each kind: some thousands of kinds instead of a pool of rows. No prompt is read. Golden programs are looked at one by one.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from .catalog import Catalog
from .checkpoint import load_items
from .difficulty import Evidence, Tally, difficulty
from .golden import GOLDEN, decide_golden, golden_passes
from .items import Decision, Status
from .recipe import Recipe
from .roles import assign_roles
from .tallies import tally_query

__all__ = ["KEPT", "LATE", "Fate", "Moves", "recount"]

LATE: Final = ("code", "difficulty")
"""Stages that look at grades and counts only."""


class Fate(NamedTuple):
    """A decision without its evidence."""

    status: Status
    reason: str


KEPT: Final = Fate(Status.KEPT, "kept")

Moves = Counter[tuple[Fate, Fate]]
"""How many rows go from one fate to another."""


def recount(catalog: Catalog, run: int, recipe: Recipe, stands: Sequence[str], again: Sequence[str], inputs: Mapping[str, Any]) -> Moves:
    """Of all rows of a finished run: as it decided, and as `recipe` does. What stages of `stands` decided stays; all stages of `again` are LATE."""
    mids = {name: mid for mid, name in catalog.rows("SELECT mid, name FROM models")}
    decided, golden = _golden(catalog, run, recipe, stands, again, mids)
    roles = assign_roles(mids, inputs["policy"], inputs["advanced"], recipe.roles) if "difficulty" in again else {"policy": [], "advanced": []}
    rates = f"(SELECT * FROM rates WHERE run = {int(run)})"
    policy, advanced = (tally_query(roles[role], recipe.difficulty.scores, rates) for role in ("policy", "advanced"))
    rows = catalog.rows(
        f"WITH policy AS ({policy}), advanced AS ({advanced}), golden AS (SELECT unnest($2::INTEGER[]) AS pid), "
        "decided AS (SELECT unnest($3::BIGINT[]) AS row) "
        "SELECT d.status, d.stage, d.reason, n.row, q.type = 'code', g.pid IS NOT NULL, "
        "p.given, p.n, p.k, p.solved_tests, a.given, a.n, a.k, a.solved_tests, count(*) "
        "FROM decisions d JOIN pool_rows w USING (run, row) LEFT JOIN problems q USING (pid) LEFT JOIN policy p USING (pid) "
        "LEFT JOIN advanced a USING (pid) LEFT JOIN decided n USING (row) LEFT JOIN golden g USING (pid) WHERE run = $1 GROUP BY ALL",
        [run, sorted(golden), list(decided)])
    moves: Moves = Counter()
    for status, stage, reason, row, is_code, has_golden, *counts, many in rows:
        old = new = Fate(Status(status), reason)
        if row is not None:
            new = Fate(decided[row].status, decided[row].reason)
        elif old.status is Status.KEPT or stage not in stands:
            known = Evidence(bool(is_code), _tally(*counts[:4]), _tally(*counts[4:]), bool(has_golden))
            decision = difficulty(recipe.difficulty, known) if "difficulty" in again else None
            new = KEPT if decision is None else Fate(decision.status, decision.reason)
        moves[old, new] += many
    return moves


def _tally(given: int | None, n: int, k: int, solved: bool) -> Tally:
    return Tally() if given is None else Tally(int(given), int(n), int(k), bool(solved))


def _golden(catalog: Catalog, run: int, recipe: Recipe, stands: Sequence[str], again: Sequence[str],
            mids: Mapping[str, int]) -> tuple[dict[int, Decision], set[int]]:
    """What the stage `code` decides, by row, and the problems of which a golden program passed."""
    if "code" not in recipe.stages:
        return {}, set()
    items = load_items(catalog, run, texts=False, kind="code")
    [(vid,)] = catalog.rows("SELECT vid FROM verifiers JOIN run_verifiers USING (vid) WHERE run = ? AND name = 'code'", [run])
    decided: dict[int, Decision] = {}
    if "code" in again:
        for item in items:
            if item.decision is not None and (item.decision.status is Status.KEPT or item.decision.stage not in stands):
                item.decision = None
        waiting = [item for item in items if item.decision is None]
        decide_golden(waiting, catalog, recipe, mids[GOLDEN], vid)
        decided = {item.row: item.decision for item in waiting if item.decision is not None}
    return decided, golden_passes(items, catalog, recipe, mids[GOLDEN], vid)
