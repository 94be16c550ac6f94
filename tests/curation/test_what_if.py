"""What-if against whole runs: whatever settings change, the counts are those of a run with the changed recipe, and rows that move are as many."""
from __future__ import annotations

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.curation import replay, replay_stages
from assay.curation.catalog import Catalog
from assay.curation.recipe import Recipe
from assay.curation.replay import changed_recipe, what_if
from assay.verifiers.grader import Grader

from .support import ask, math_row, rollout_row, run, write_rows
from .test_pipeline import POOL, PROMPTS

_ADD = "a, b = map(int, input().split())\nprint({})"
_ANIMALS = ["cat", "dog", "emu", "fox", "gnu", "hen", "jay", "kid", "lark", "mink", "newt", "owl", "pika", "quail", "rat", "swan", "toad", "vole"]


def _code_row(name: str, *programs: str, prompt: str = "") -> dict[str, Any]:
    return {"id": name, "prompt": prompt or f"Read two numbers, and print for the {name} what becomes of their sum.",
            "reward": {"type": "code", "tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "2 2\n", "output": "4\n"}]},
            "solutions": [{"program": program, "language": "python"} for program in programs]}


_STORY = "{} walks along the river with her {} sisters, who carry stones of {} pounds each, until they rest below the old oak; how much is it in all?"
_ROWS: list[dict[str, Any] | str] = [
    *POOL,
    *(math_row(name, f"How many legs have {n} of kind {name}?", str(4 * n), source="zoo/legs") for n, name in enumerate(_ANIMALS, 2)),
    math_row("s1", _STORY.format("Ann", 3, 7), "21"), math_row("s2", _STORY.format("Mary", 3, 7), "21", source="zoo/river"),
    math_row("s3", _STORY.format("Jo", 4, 7), "28"), math_row("s4", "Please solve this. " + _STORY.format("Ann", 3, 7), "22"),
    math_row("yes", "Is 7 prime?", "yes"), math_row("figure", "In the figure shown, how long is the side AB of the square?", "3"),
    math_row("parts", "(a) What is 1 + 1?\n(b) What is 2 + 2?", "2, 4"), math_row("zh", "小明有三个苹果，又买了四个，他现在有几个苹果？", "7"),
    math_row("odd gold", "Which number is odd in every sense?", "\\frac{"),
    _code_row("sound", _ADD.format("a + b")), _code_row("wrong", _ADD.format("a * b")),
    _code_row("half", _ADD.format("a * b"), _ADD.format("a+b")),
    _code_row("broken", "print("), _code_row("bare"),
    _code_row("copied", prompt="Read two numbers, and print for the bare what becomes of their sum!"),
]
_MATH = {row["id"]: row["reward"]["answer"] for row in _ROWS if isinstance(row, dict) and row["reward"]["type"] == "math"}
_SETTINGS = st.one_of(
    st.tuples(st.sampled_from([f"type.{name}" for name in ("proof", "mcq", "multipart", "yes_no", "needs_figure")]),
              st.sampled_from(["true", "false"])),
    st.tuples(st.just("type.language"), st.sampled_from(["[]", '["en"]', '["zh", "other"]'])),
    st.tuples(st.just("gold.sentinels"), st.sampled_from(["[]", '["todo", "yes", "7"]'])),
    st.tuples(st.just("contamination.ngram"), st.integers(4, 24).map(str)),
    st.tuples(st.sampled_from(["contamination.coverage", "contamination.boilerplate"]), st.sampled_from(["0", "0.0001", "0.3", "0.6", "1"])),
    st.tuples(st.sampled_from(["contamination.short_exact", "duplicates.exact"]), st.sampled_from(["true", "false"])),
    st.tuples(st.just("duplicates.near"), st.sampled_from(["0", "0.2", "0.4", "0.7", "0.9", "1"])),
    st.tuples(st.just("duplicates.exempt_sources"), st.sampled_from(["[]", '["zoo/*"]'])),
    st.tuples(st.just("code.golden_runs"), st.integers(1, 2).map(str)),
    st.tuples(st.just("code.golden"), st.sampled_from(["any", "all"])),
    st.tuples(st.sampled_from(["code.require_golden", "difficulty.require_rollouts"]), st.sampled_from(["true", "false"])),
    st.tuples(st.just("difficulty.max"), st.sampled_from(["0", "0.25", "1/2", "0.8", "15/16", "1", "all", "never"])),
    st.tuples(st.sampled_from([f"difficulty.{domain}.{role}_rollouts" for domain in ("math", "code") for role in ("policy", "advanced")]),
              st.integers(1, 20).map(str)),
    st.tuples(st.just("difficulty.scores"), st.sampled_from(["ours", "recorded"])),
    st.tuples(st.just("roles.policy"), st.sampled_from(["[]", '["other*"]', '["*"]'])),
    st.tuples(st.just("roles.advanced"), st.sampled_from(["[]", '["sft"]'])),
    st.tuples(st.just("stages"), st.permutations(Recipe().stages[1:]).flatmap(
        lambda names: st.integers(0, 7).map(lambda n: "[" + ", ".join(f'"{name}"' for name in ("ingest", *names[:n])) + "]"))),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, str]:
    """A catalog with every grade that any of the recipes asks for; its last run is one of `mimo`."""
    folder = tmp_path_factory.mktemp("what-if")
    rollouts = [rollout_row(name, "sft", n * 5 % 17, (16, 16, 10, 4)[n % 4], gold) for n, (name, gold) in enumerate(_MATH.items())]
    rollouts += [rollout_row(name, "other", n % 3, 3, gold) | {"scores": [n % 2] * 3} for n, (name, gold) in enumerate(_MATH.items()) if n % 2]
    rollouts += [rollout_row(name, "advanced-1", n % 4, 4, gold) for n, (name, gold) in enumerate(_MATH.items()) if n % 3]
    rollouts += [{"id": name, "model": model, "scores": [int(n < right) for n in range(16)]} for (name, model), right in zip(
        itertools.product(("sound", "wrong", "bare", "broken"), ("sft", "advanced-1")), (16, 0, 3, 0, 16, 0, 0, 0), strict=True)]
    rollouts += [{"id": "bare", "model": "advanced-1", "responses": [{"program": f"print(0)  # {n}", "language": "python"} for n in range(3)]}]
    pool, answers = write_rows(folder / "pool.jsonl", _ROWS), write_rows(folder / "r.jsonl", rollouts)
    bench = write_rows(folder / "bench.jsonl", [{"id": "i7", "prompt": PROMPTS[7]}, {"id": "river", "prompt": _STORY.format("Eve", 3, 7)}])
    catalog = folder / "c.duckdb"
    run(catalog, pool, answers, recipe=Recipe(stages=("ingest", "difficulty")), benchmarks=(bench,))
    run(catalog, pool, answers, recipe=Recipe(stages=("ingest", "gold_check", "code")), benchmarks=(bench,), resume=True)
    run(catalog, pool, answers, benchmarks=(bench,), resume=True)
    return catalog, pool, answers, bench


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_SETTINGS, min_size=1, max_size=3, unique_by=lambda change: change[0]))
def test_any_change_counts_as_a_whole_run_decides(finished: tuple[Path, str, str, str], tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    catalog, pool, rollouts, bench = finished
    asked = ["=".join(change) for change in changes]
    with Catalog.open(catalog, read_only=True) as opened, Grader(workers=1) as grader:
        change = what_if(opened, asked, lambda: grader)
    whole = tmp_path / "whole.duckdb"
    shutil.copy(catalog, whole)
    run(whole, pool, rollouts, benchmarks=(bench,), recipe=changed_recipe(Recipe(), asked), resume=True)
    fates = [ask(path, "SELECT status, reason FROM v_decision ORDER BY row") for path in (catalog, whole)]
    assert change.before == Counter(reason for _, reason in fates[0])
    assert change.after == Counter(reason for _, reason in fates[1])
    assert change.moved == sum(old != new for (old, _), (new, _) in zip(*fates, strict=True))


_ASKS = ["difficulty.max=0.5", "difficulty.max=never", "difficulty.math.policy_rollouts=3", "difficulty.code.advanced_rollouts=2",
         "difficulty.scores=recorded", "code.require_golden=true", "code.golden=any", "code.golden_runs=1", "roles.policy=[]"]


@pytest.mark.parametrize("asked", _ASKS)
def test_late_rules_are_counted_as_they_are_decided_row_by_row(finished: tuple[Path, str, str, str], monkeypatch: pytest.MonkeyPatch,
                                                               asked: str) -> None:
    """The two ways agree, and the quick one reads no row of math: it is what keeps 130,000 rows under a second."""
    def none(*_: Any, **__: Any) -> Any:
        raise AssertionError("rows are decided one by one")

    with Catalog.open(finished[0], read_only=True) as opened:
        with monkeypatch.context() as patched:
            patched.setattr(replay_stages, "decide_again", none)
            quick = what_if(opened, [asked], none)
        monkeypatch.setattr(replay, "LATE", ())
        slow = what_if(opened, [asked], none)
    assert (quick.before, quick.after, quick.moved) == (slow.before, slow.after, slow.moved)
    assert quick.before != quick.after or asked == "code.golden_runs=1"
