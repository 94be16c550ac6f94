"""What-if, explain and diff: they tell what a real run would do, and what runs did."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from assay.core.errors import UsageError
from assay.curation.catalog import Catalog
from assay.curation.explain import diff_text, explain_text
from assay.curation.recipe import Recipe
from assay.curation.replay import change_text, changed_recipe, what_if
from assay.verifiers.grader import Grader

from .support import ask, math_row, rollout_row, run, write_rows
from .test_pipeline import POOL, PROMPTS, ROLLOUTS

SETTINGS = [
    ["difficulty.max=0.4"],
    ["difficulty.math.advanced_rollouts=5"],
    ["difficulty.require_rollouts=true"],
    ["type.proof=false", "type.mcq=false"],
    ["gold.sentinels=[]"],
    ["duplicates.exact=false", "duplicates.near=0"],
    ["contamination.short_exact=false"],
    ['stages=["ingest", "type", "difficulty"]'],
    ['roles.policy=["advanced*"]', 'roles.advanced=["sft"]'],
    ["tiers.count=2", "tiers.scores=[1, 2]"],
]


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, str, str, str]:
    """A catalog with every grade that any recipe may ask for: all stages that reject before the graded ones were off at first."""
    pool, rollouts = write_rows(tmp_path / "pool.jsonl", POOL), write_rows(tmp_path / "r.jsonl", ROLLOUTS)
    bench = write_rows(tmp_path / "bench.jsonl", [{"id": "i7", "prompt": PROMPTS[7]}])
    catalog = tmp_path / "c.duckdb"
    run(catalog, pool, rollouts, recipe=Recipe(stages=("ingest", "gold_check", "difficulty")), benchmarks=(bench,))
    run(catalog, pool, rollouts, benchmarks=(bench,), resume=True)
    return catalog, pool, rollouts, bench


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings[0].partition("=")[0])
def test_what_if_is_what_a_run_would_do(finished: tuple[Path, str, str, str], settings: list[str]) -> None:
    catalog, pool, rollouts, bench = finished
    with Catalog.open(catalog, read_only=True) as opened:
        with Grader() as grader:
            change = what_if(opened, settings, lambda: grader)
        recipe = changed_recipe(Recipe(), settings)
    before = Counter(dict(ask(catalog, "SELECT reason, count(*) FROM v_decision GROUP BY 1")))
    assert change.before == before
    run(catalog, pool, rollouts, benchmarks=(bench,), recipe=recipe, resume=True)
    assert change.after == Counter(dict(ask(catalog, "SELECT reason, count(*) FROM v_decision GROUP BY 1")))


def test_what_if_writes_nothing_and_names_mistakes(finished: tuple[Path, str, str, str]) -> None:
    catalog = finished[0]
    before = catalog.read_bytes()
    with Catalog.open(catalog, read_only=True) as opened:
        assert "nothing was written" in change_text(what_if(opened, ["difficulty.max=0.1"], Grader))
        for wrong, said in (("difficulty.mx=1", "mean `difficulty.max`"), ("difficulty.maths.too_easy=1", "mean `difficulty.math`"),
                            ("difficulty", "KEY=VALUE"), ("difficulty.max=2", "neither"),
                            ("name.x=1", "no such setting")):
            with pytest.raises(UsageError, match=said.replace(".", r"\.")):
                what_if(opened, [wrong], Grader)
    assert catalog.read_bytes() == before


def test_explain(finished: tuple[Path, str, str, str]) -> None:
    with Catalog.open(finished[0], read_only=True) as opened:
        story = explain_text(opened, "easy")
        assert "diff.too_easy" in story and "sft: 15 of 16 right" in story and PROMPTS[1].split(";")[0] in story
        assert "the best of them" in explain_text(opened, "copy")
        assert "overlaps with bench i7" in explain_text(opened, "leaked")
        [(key,)] = opened.rows("SELECT problem_id FROM v_decision WHERE id = 'never'")
        assert "diff.unsolved" in explain_text(opened, key)
        assert "ingest.bad_row" in explain_text(opened, "")
        with pytest.raises(UsageError, match="near: easy"):
            explain_text(opened, "EAZY")


def test_diff(tmp_path: Path) -> None:
    catalog = tmp_path / "c.duckdb"
    first = write_rows(tmp_path / "1.jsonl", [math_row(name, PROMPTS[n], "7") for n, name in enumerate("abc")])
    second = write_rows(tmp_path / "2.jsonl", [math_row(name, PROMPTS[n], "7") for n, name in enumerate("abcd") if name != "b"])
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row("a", "sft", 12, 16)])
    run(catalog, first, rollouts)
    run(catalog, second, rollouts, recipe=Recipe.model_validate({"difficulty": {"math": {"too_easy": "1/2"}}}), resume=True)
    with Catalog.open(catalog, read_only=True) as opened:
        assert diff_text(opened, 1, 2).splitlines() == [
            "difficulty.math.too_easy: 9/10 -> 1/2", "kept: 3 in run 1, 2 in run 2",
            "        1  absent -> kept   d", "        1  kept -> absent   b", "        1  kept -> diff.too_easy   a"]
        assert "same decision" in diff_text(opened, 2, 2)
        with pytest.raises(UsageError, match="no finished run 9"):
            diff_text(opened, 1, 9)
