from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from assay.core.rows import parse_row
from assay.curation.catalog import Catalog
from assay.curation.export import export_kept
from assay.curation.recipe import TierRules
from assay.curation.tiers import tiers_of

from .support import run, write_rows

CASES: list[tuple[dict[str, Any], list[float], list[int]]] = [
    ({}, [0.9, 0.95, 0.5, 0.55, 0.1], [0, 0, 1, 1, 2]),
    ({}, [0.5, 0.5, 0.5], [0, 0, 0]),
    ({}, [0.1, 0.9], [1, 0]),
    ({"count": 2, "scores": [1, 1]}, [1.0, 0.98, 0.97, 0.2], [0, 0, 0, 1]),
    ({"method": "quantile"}, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [0, 0, 1, 1, 2, 2]),
    ({"method": "quantile"}, [0.9, 0.9, 0.9, 0.9, 0.1, 0.1], [0, 0, 0, 0, 1, 1]),
    ({"method": "cuts"}, [0.7, 0.69, 0.3, 0.29], [0, 1, 1, 2]),
    ({"method": "cuts"}, [0.1, 0.2, 0.9], [1, 1, 0]),        # no gap where a tier is empty
]


@pytest.mark.parametrize(("rules", "rates", "wanted"), CASES)
def test_tiers(rules: dict[str, Any], rates: list[float], wanted: list[int]) -> None:
    assert tiers_of(rates, TierRules.model_validate(rules)) == wanted


def test_clusters_are_the_best_of_all_cuts() -> None:
    dice = random.Random(3)
    for _ in range(50):
        rates = [dice.randrange(17) / 16 for _ in range(dice.randrange(1, 9))]
        found = tiers_of(rates, TierRules())
        levels = sorted(set(rates), reverse=True)

        def loss(tiers: dict[float, int], rates: list[float] = rates) -> float:
            total = 0.0
            for tier in set(tiers.values()):
                inside = [rate for rate in rates if tiers[rate] == tier]
                total += sum((rate - sum(inside) / len(inside)) ** 2 for rate in inside)
            return total

        groups = min(3, len(levels))
        best = min(loss({level: sum(place >= cut for cut in cuts) for place, level in enumerate(levels)})
                   for cuts in itertools.combinations(range(1, len(levels)), groups - 1))
        assert loss(dict(zip(rates, found, strict=True))) == pytest.approx(best)
        assert all(a <= b for a, b in itertools.pairwise(tier for _, tier in sorted(zip(rates, found, strict=True), reverse=True)))


@pytest.mark.parametrize("wrong", [{"count": 2}, {"scores": [0, 0, 0]}, {"cuts": [0.3, 0.7]}, {"method": "cuts", "scores": [1]}])
def test_settings_that_do_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TierRules.model_validate(wrong)


def test_tiers_are_found_by_a_run_and_written_into_the_spec(tmp_path: Path) -> None:
    tests = [{"input": f"{n}\n", "output": f"{n}\n"} for n in range(4)]
    pool = write_rows(tmp_path / "p.jsonl", [{"id": "echo", "prompt": "Print the number.", "reward": {"type": "code", "tests": tests}}])
    # Programs right up to a number: 4 pass all the tests, 4 three, 2 two, 2 one.
    programs = [f"```python\nn = int(input())\nprint(n if n < {limit} else -1)\n```" for limit in (4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 1, 1)]
    rollouts = write_rows(tmp_path / "r.jsonl", [{"id": "echo", "model": "sft", "responses": programs}])
    run(tmp_path / "c.duckdb", pool, rollouts)
    with Catalog.open(tmp_path / "c.duckdb", read_only=True) as catalog:
        assert catalog.rows("SELECT test, k, n, tier FROM v_test_difficulty ORDER BY test") == [
            (0, 12, 12, 0), (1, 10, 12, 0), (2, 8, 12, 1), (3, 4, 12, 2)]
        export_kept(catalog, str(tmp_path / "kept.jsonl"))
    row = json.loads((tmp_path / "kept.jsonl").read_text())
    reward = parse_row(row, "here").problem.reward
    assert reward.type == "code" and reward.tiers is not None
    assert [test.tier for test in reward.tests] == [0, 0, 1, 2] and reward.tiers.scores == (1.0, 2.0, 3.0)
