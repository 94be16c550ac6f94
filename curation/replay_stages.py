"""A finished run decided again, row by row, from some stage on: for recipes that differ in more than counts of rollouts.

Texts are read only where a stage needs them, and overlaps with benchmarks, which hang on no earlier stage, are taken from the catalog.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from . import stages
from .catalog import Catalog
from .checkpoint import load_items
from .filters.question_type import unsure
from .items import Decision, Item, Status
from .pipeline import read_benchmarks
from .recipe import Recipe
from .recount import KEPT, LATE, Fate, Moves
from .roles import assign_roles
from .tagger import known_tags
from .text import Tokens

__all__ = ["decide_again"]


def decide_again(catalog: Catalog, run: int, recipe: Recipe, stands: Sequence[str], again: Sequence[str], inputs: Mapping[str, Any],
                 comparer: Callable[[], stages.Comparer], *, stored_hits: bool) -> Moves:
    """As `recount`, for any stages. `stored_hits`: the overlaps with benchmarks that the run found are those of `recipe`."""
    items = load_items(catalog, run, texts=any(stage not in LATE for stage in again))
    old = [_fate(item.decision) for item in items]
    for item in items:
        if item.decision is not None and (item.decision.status is Status.KEPT or item.decision.stage not in stands):
            item.decision = None
    _decide(catalog, items, recipe, again, inputs, comparer, stored_hits)
    return Moves(zip(old, (_fate(item.decision) for item in items), strict=True))


def _fate(decision: Decision | None) -> Fate:
    return KEPT if decision is None else Fate(decision.status, decision.reason)


def _decide(catalog: Catalog, items: list[Item], recipe: Recipe, again: Sequence[str], inputs: Mapping[str, Any],
            comparer: Callable[[], stages.Comparer], stored_hits: bool) -> None:
    mids = {name: mid for mid, name in catalog.rows("SELECT mid, name FROM models")}
    vids = {name: vid for vid, name in catalog.rows(
        "SELECT vid, name FROM verifiers JOIN run_verifiers USING (vid) WHERE run = (SELECT run FROM v_run)")}
    tokens = lru_cache(1)(lambda: Tokens(item.prompt for item in items))
    for stage in again:
        if stage == "type":
            tags = known_tags(catalog, recipe.tagger.model)     # nobody is asked: where no answer is known, the rules decide
            stages.filter_types(items, recipe, {item.pid: tags[item.pid] for item in items if item.pid in tags and unsure(item)},
                                recipe.tagger.model)
        elif stage == "gold":
            stages.filter_golds(items, recipe)
        elif stage == "contamination" and stored_hits:
            _reject_stored(items, catalog)
        elif stage == "contamination":
            stages.filter_contamination(items, tokens(), recipe, read_benchmarks(inputs["benchmarks"]))
        elif stage == "duplicates":
            stages.filter_duplicates(items, tokens(), recipe, catalog, comparer())
        elif stage == "gold_check":
            stages.decide_golds(items, catalog, mids[stages.GOLD], vids["math"])
        elif stage == "code":
            stages.decide_golden(items, catalog, recipe, mids[stages.GOLDEN], vids["code"])
        elif stage == "difficulty":
            judged = "code" in recipe.stages
            golden = stages.golden_passes(items, catalog, recipe, mids[stages.GOLDEN], vids["code"]) if judged else set()
            roles = assign_roles(mids, inputs["policy"], inputs["advanced"], recipe.roles)
            rates = "(SELECT * FROM rates WHERE run = (SELECT run FROM v_run))"
            stages.decide_difficulty(items, recipe, catalog, roles, golden, rates)


def _reject_stored(items: Sequence[Item], catalog: Catalog) -> None:
    """By the first overlap of each row that the run stored."""
    rules = dict(catalog.rows("SELECT row, first(rule ORDER BY rowid) FROM contamination WHERE run = (SELECT run FROM v_run) GROUP BY row"))
    for item in stages.alive(items):
        if (rule := rules.get(item.row)) is not None:
            item.decision = stages.contaminated(rule)
