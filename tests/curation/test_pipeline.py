"""Whole runs: every row gets one decision, whatever comes in, and however often a run is stopped."""
from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError, UsageError
from assay.core.problem import Problem
from assay.curation import pipeline
from assay.curation import rollouts as rollouts_of
from assay.curation.catalog import Catalog
from assay.curation.pipeline import Inputs, curate, open_for_run
from assay.curation.recipe import Recipe
from assay.verifiers.grader import Grader

from .support import ask, boxed, math_row, reasons, rollout_row, run, write_rows

PROMPTS = [f"A {animal} eats {n} carrots on each of {n + 3} days; how many does it eat?" for n, animal in
           enumerate(["hare", "goat", "mule", "cow", "pony", "deer", "elk", "moose", "ibex", "yak"], 2)]
POOL: list[dict[str, Any] | str] = [
    math_row("fine", PROMPTS[0], "7", source="s1"),
    math_row("easy", PROMPTS[1], "7", source="s1"),
    math_row("never", PROMPTS[2], "7", source="s2"),
    math_row("unsure", PROMPTS[3], "7", source="s2"),
    math_row("copy", PROMPTS[0].upper(), "7.0"),
    math_row("split-a", PROMPTS[4], "7"),
    math_row("split-b", PROMPTS[4] + " ", "8"),
    math_row("fine", PROMPTS[5], "9"),
    math_row("none", PROMPTS[6], ""),
    math_row("todo", PROMPTS[6] + "?", "TODO"),
    math_row("proof", "Prove that 7 is prime.", "7"),
    math_row("choice", "Which is prime? A) 4 B) 6 C) 7 D) 8", "C"),
    math_row("leaked", PROMPTS[7], "7"),
    "{this is no row",
    {"id": "tests", "prompt": PROMPTS[8], "reward": {"type": "code", "tests": []}},
    math_row("alone", PROMPTS[9], "7"),
]
ROLLOUTS = [
    rollout_row("fine", "sft", 8, 16), rollout_row("easy", "sft", 15, 16), rollout_row("never", "sft", 0, 16),
    rollout_row("unsure", "sft", 9, 10), rollout_row("fine", "advanced-1", 3, 4), rollout_row("never", "advanced-1", 0, 4),
]
WANTED = {
    "easy": "diff.too_easy", "never": "diff.unsolved", "unsure": "undecided.few_rollouts", "copy": "dup.exact", "split-a": "gold.conflict",
    "split-b": "gold.conflict", "none": "gold.empty", "todo": "gold.sentinel", "proof": "type.proof", "choice": "type.mcq",
    "leaked": "contam.short_exact", "": "ingest.bad_row", "tests": "code.no_tests", "alone": "kept",
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    return (write_rows(tmp_path / "pool.jsonl", POOL), write_rows(tmp_path / "r.jsonl", ROLLOUTS),
            write_rows(tmp_path / "bench.jsonl", [{"id": "i7", "prompt": PROMPTS[7]}]))


def test_every_row_has_one_decision(tmp_path: Path, files: tuple[str, str, str]) -> None:
    pool, rollouts, bench = files
    catalog = tmp_path / "c.duckdb"
    summary = run(catalog, pool, rollouts, benchmarks=(f"mine={bench}",))
    found = reasons(catalog)
    assert {key: found[key] for key in WANTED} == WANTED
    assert [row[0] for row in ask(catalog, "SELECT reason FROM v_decision WHERE id = 'fine' ORDER BY row")] == ["kept", "ingest.id_repeat"]
    assert summary.rows == len(POOL) == sum(summary.status.values())
    assert dict(ask(catalog, "SELECT status, count(*) FROM v_decision GROUP BY 1")) == dict(summary.status)
    assert ask(catalog, "SELECT n FROM v_funnel WHERE stage = 'in'") == [(len(POOL),)]
    assert ask(catalog, "SELECT sum(n) FROM v_funnel WHERE stage <> 'in'") == [(len(POOL),)]
    assert ask(catalog, "SELECT benchmark, item_id, rule FROM v_contamination") == [("mine", "i7", "short_exact")]
    assert ask(catalog, "SELECT model, k, n FROM v_pass_rate p JOIN v_decision d USING (problem_id) WHERE id = 'fine' AND d.status = 'kept' "
                        "ORDER BY model") == [("advanced-1", 3, 4), ("sft", 8, 16)]
    [(low, high)] = ask(catalog, "SELECT low, high FROM v_pass_rate WHERE k = 8")
    assert (round(low, 4), round(high, 4)) == (0.28, 0.72)      # Wilson, 8 of 16
    assert ask(catalog, "SELECT source, n, kept, mean_pass_rate FROM v_source_stats WHERE source = 's1'") == [("s1", 2, 1, 23 / 32)]


def test_a_second_run_grades_nothing(tmp_path: Path, files: tuple[str, str, str]) -> None:
    pool, rollouts, _ = files
    catalog = tmp_path / "c.duckdb"
    first = run(catalog, pool, rollouts)
    counts = "SELECT (SELECT count(*) FROM grades), (SELECT count(*) FROM rollouts), (SELECT count(*) FROM problems)"
    before, decided = ask(catalog, counts), reasons(catalog)
    again = run(catalog, pool, rollouts, resume=True)
    assert (again.rows, again.status, again.reasons, again.graded) == (first.rows, first.status, first.reasons, 0)
    assert ask(catalog, "SELECT count(*) FROM runs") == [(1,)]      # nothing has changed: no run at all
    os.utime(rollouts, (1, 1))
    second = run(catalog, pool, rollouts, resume=True)
    assert first.graded > 50 and second.graded == 0
    assert ask(catalog, counts) == before
    assert reasons(catalog) == decided
    assert ask(catalog, "SELECT count(*) FROM runs") == [(2,)]


def test_a_run_can_be_stopped_anywhere(tmp_path: Path, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The grader dies after 0, 7, 14, ... grades; the decisions are those of a run that was never stopped, and no grade is lost."""
    pool, rollouts, _ = files
    whole = tmp_path / "whole.duckdb"
    run(whole, pool, rollouts)
    real = Grader.iter_grades
    stopped = tmp_path / "stopped.duckdb"

    def dying(self: Grader, items: Any) -> Any:
        for n, found in enumerate(real(self, items)):
            if n == 7:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Grader, "iter_grades", dying)
    for stops in itertools.count():
        try:
            run(stopped, pool, rollouts, resume=True)
        except KeyboardInterrupt:
            continue
        assert stops > 5
        break
    assert reasons(stopped) == reasons(whole)
    keys = "SELECT pid, mid, sample, verdict FROM grades ORDER BY ALL"
    assert ask(stopped, keys) == ask(whole, keys)


def test_a_changed_recipe_regrades_nothing(tmp_path: Path, files: tuple[str, str, str]) -> None:
    pool, rollouts, _ = files
    catalog = tmp_path / "c.duckdb"
    run(catalog, pool, rollouts)
    recipe = Recipe.model_validate({"difficulty": {"math": {"too_easy": "1/4"}}})
    summary = run(catalog, pool, rollouts, recipe=recipe, resume=True)
    assert summary.graded == 0
    assert reasons(catalog)["fine"] == "ingest.id_repeat"
    assert ask(catalog, "SELECT reason FROM v_decision WHERE id = 'fine' AND row = 0") == [("diff.too_easy",)]


def test_faults_of_ours_are_no_wrong_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout whose grading fails leaves n; the next run grades it."""
    from concurrent.futures import Future

    from assay.core.verdict import Grade, Verdict

    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7")])
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row("a", "sft", 15, 16)])
    real = Grader.submit

    def failing(self: Grader, problem: Problem, response: Any) -> Any:
        if "Attempt 3." in response.text:
            future: Future[Grade] = Future()
            future.set_result(Grade(Verdict.IE, None, "worker_died", "on purpose"))
            return future
        return real(self, problem, response)

    catalog = tmp_path / "c.duckdb"
    monkeypatch.setattr(Grader, "submit", failing)
    run(catalog, pool, rollouts)
    assert ask(catalog, "SELECT k, n FROM v_pass_rate") == [(14, 15)]
    assert reasons(catalog) == {"a": "undecided.ungraded"}
    monkeypatch.setattr(Grader, "submit", real)
    assert run(catalog, pool, rollouts, resume=True).graded == 1
    assert ask(catalog, "SELECT k, n FROM v_pass_rate") == [(15, 16)]
    assert reasons(catalog) == {"a": "diff.too_easy"}


def test_equal_responses_are_graded_once_and_counted_each(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7")])
    row = {"id": "a", "model": "sft", "responses": [boxed("7", 0)] * 5 + [boxed("8", 0)] * 3}
    rollouts = write_rows(tmp_path / "r.jsonl", [row])
    catalog = tmp_path / "c.duckdb"
    assert run(catalog, pool, rollouts).graded == 3         # two texts, and the gold itself
    assert ask(catalog, "SELECT k, n FROM v_pass_rate") == [(5, 8)]
    more = write_rows(tmp_path / "more.jsonl", [{"id": "a", "model": "sft", "responses": [boxed("9", 0)]}])
    assert run(catalog, pool, rollouts, more, resume=True).graded == 1
    assert ask(catalog, "SELECT k, n FROM v_pass_rate") == [(5, 9)]


def test_rollouts_by_content_hash_and_strangers(tmp_path: Path) -> None:
    problem = Problem.model_validate(math_row("", PROMPTS[0], "7"))
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7")])
    rollouts = write_rows(tmp_path / "r.jsonl", [
        rollout_row(problem.content_hash, "sft", 1, 2), rollout_row("nobody", "sft", 1, 2), {"id": "a", "responses": ["x"]},
        {"id": "a", "model": "@gold", "responses": ["x"]}, {"id": "a", "model": "m", "responses": ["x"], "scores": [1, 0]}, "[]"])
    summary = run(tmp_path / "c.duckdb", pool, rollouts)
    assert (summary.unknown_rollouts, summary.bad_rollouts) == (1, 4)
    assert ask(tmp_path / "c.duckdb", "SELECT model, k, n FROM v_pass_rate") == [("sft", 1, 2)]


def test_recorded_scores_stay_apart(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7"), math_row("b", PROMPTS[1], "7")])
    rollouts = write_rows(tmp_path / "r.jsonl", [
        rollout_row("a", "sft", 1, 4) | {"scores": [1, 1, 1, 0]}, {"id": "b", "model": "sft", "scores": [1] * 16}])
    catalog = tmp_path / "c.duckdb"
    run(catalog, pool, rollouts)
    assert ask(catalog, "SELECT k, n FROM v_pass_rate") == [(1, 4)]
    assert reasons(catalog) == {"a": "kept", "b": "kept"}           # of b, nothing of ours is known
    assert ask(catalog, "SELECT k, n FROM v_recorded_rate ORDER BY n") == [(3, 4), (16, 16)]
    run(catalog, pool, rollouts, recipe=Recipe.model_validate({"difficulty": {"scores": "recorded"}}), resume=True)
    assert reasons(catalog) == {"a": "undecided.few_rollouts", "b": "diff.too_easy"}    # 15 or 3 of 16


def test_roles(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7")])
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row("a", "Alpha", 16, 16), rollout_row("a", "Beta", 0, 16)])
    catalog = tmp_path / "c.duckdb"
    run(catalog, pool, rollouts)                                   # nobody fits a pattern: both are policy, 16 of 32
    assert reasons(catalog) == {"a": "kept"}
    run(catalog, pool, rollouts, resume=True, policy=("Alpha",))
    assert reasons(catalog) == {"a": "diff.too_easy"}
    run(catalog, pool, rollouts, resume=True, policy=("Alpha",), advanced=("Beta",))
    assert reasons(catalog) == {"a": "diff.unsolved"}
    with pytest.raises(UsageError, match="Gamma"):
        run(catalog, pool, rollouts, resume=True, policy=("Gamma",))


def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [{"what": 1}])
    with pytest.raises(UsageError, match="line 1"):
        run(tmp_path / "c.duckdb", pool)
    with pytest.raises(InputError):
        run(tmp_path / "c.duckdb", str(tmp_path / "absent.jsonl"))
    with pytest.raises(UsageError, match="no rows"):
        run(tmp_path / "c.duckdb", write_rows(tmp_path / "empty.jsonl", []))
    assert not list(tmp_path.glob("c.duckdb*"))


def test_an_existing_catalog_is_not_touched_unasked(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", PROMPTS[0], "7")])
    run(tmp_path / "c.duckdb", pool)
    with pytest.raises(UsageError, match="--resume"):
        run(tmp_path / "c.duckdb", pool)
    with open_for_run(str(tmp_path / "c.duckdb"), resume=False, overwrite=True) as catalog:
        assert catalog.rows("SELECT count(*) FROM runs") == [(0,)]


def test_rows_that_get_lost_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounting is real: a stage that loses a row stops the run, and no decision is written."""
    from assay.core.errors import CatalogError

    pool = write_rows(tmp_path / "p.jsonl", [math_row(str(n), PROMPTS[n], "7") for n in range(3)])
    real = pipeline.ingest
    monkeypatch.setattr(pipeline, "ingest", lambda *args, **more: real(*args, **more)[1:])
    with pytest.raises(CatalogError, match="3 rows were read and 2 decided"):
        run(tmp_path / "c.duckdb", pool)
    with Catalog.open(tmp_path / "c.duckdb", read_only=True) as catalog:
        assert catalog.rows("SELECT count(*) FROM decisions") == [(0,)]


def test_stages_may_be_left_out(tmp_path: Path, files: tuple[str, str, str]) -> None:
    pool, rollouts, _ = files
    catalog = tmp_path / "c.duckdb"
    with open_for_run(str(catalog), resume=False, overwrite=False) as opened, Grader("local") as grader:
        summary = curate(opened, Inputs((pool,), (rollouts,)), Recipe(stages=("ingest", "type")), grader)
    assert summary.graded == 0
    assert set(reasons(catalog).values()) == {"kept", "type.mcq", "type.proof", "ingest.bad_row", "ingest.id_repeat"}


SCORES = [
    {"id": "fine", "model": "sft", "scores": [1, 0, None, True, 0.5]}, {"id": "easy", "model": "sft", "scores": [1, 1], "sampling": {"top_p": 1}},
    {"id": "fine", "model": "sft", "scores": [0, 0]}, {"id": "fine", "model": "other", "scores": []},
    {"id": "easy", "model": "sft", "scores": [2e308]}, {"id": "nobody", "model": "sft", "scores": [1]},
    {"id": "never", "model": "sft", "scores": ["1"]}, {"id": "never", "model": "sft", "scores": [1, 10**400]},
    {"id": "unsure", "model": "sft", "scores": [-0.0, 1.0, False]}, {"id": "unsure", "model": "sft", "scores": [[1]]},
    {"id": "unsure", "model": "@gold", "scores": [1]}]


def test_scores_by_the_column(tmp_path: Path, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way in stores what the slow one does, and a second run stores nothing."""
    from assay.curation import rollouts as module

    scores = write_rows(tmp_path / "s.jsonl", [json.dumps(row).replace("Infinity", "2e308") for row in SCORES])
    fast, slow = tmp_path / "fast.duckdb", tmp_path / "slow.duckdb"
    first = run(fast, files[0], scores)

    class Everything(set[tuple[int, int]]):
        def __contains__(self, _key: object) -> bool:
            return True

    with monkeypatch.context() as patch:
        patch.setattr(module, "set", Everything, raising=False)
        second = run(slow, files[0], scores)
    assert (first.bad_rollouts, first.unknown_rollouts) == (second.bad_rollouts, second.unknown_rollouts) == (5, 1)
    table = "SELECT pid, mid, sample, hash, length, recorded, sampling, file, line FROM rollouts ORDER BY ALL"
    assert ask(fast, table) == ask(slow, table)
    assert [row[2:6:3] for row in ask(fast, table)] == [(0, 1.0), (1, 0.0), (2, None), (3, 1.0), (4, 0.5), (5, 0.0), (6, 0.0), (0, 1.0), (1, 1.0),
                                                        (0, 0.0), (1, 1.0), (2, 0.0)]
    again = run(fast, files[0], scores, recipe=Recipe.model_validate({"difficulty": {"scores": "recorded"}}), resume=True)
    assert (again.bad_rollouts, again.unknown_rollouts) == (5, 1)
    os.utime(scores, (1, 1))
    run(fast, files[0], scores, resume=True)
    assert ask(fast, table) == ask(slow, table)


def test_a_model_that_is_not_there_is_found_before_grading(tmp_path: Path, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    pool, rollouts, _ = files
    monkeypatch.setattr(Grader, "iter_grades", None)
    for policy, advanced in ((("stf",), ()), (("sft",), ("advanced-2",))):
        with pytest.raises(UsageError, match=r"no rollouts of a model '(stf|advanced-2)'; there are advanced-1, sft"):
            run(tmp_path / "c.duckdb", pool, rollouts, policy=policy, advanced=advanced)
        assert not (tmp_path / "c.duckdb").exists()


def test_a_model_that_is_asked_for_is_looked_for_no_longer_than_needed(tmp_path: Path, files: tuple[str, str, str]) -> None:
    """Names are patterns, letter case apart; the first line has the one, an earlier run the other, and what is behind is not read twice."""
    pool, rollouts, _ = files
    run(tmp_path / "c.duckdb", pool, rollouts)
    more = write_rows(tmp_path / "more.jsonl", [rollout_row("alone", "New-SFT", 8, 16), "{no row", {"id": "alone", "model": "@gold", "scores": [1]}])
    read: list[str] = []
    real = rollouts_of.model_names

    def names(paths: Any) -> Any:
        for name in real(paths):
            read.append(name)
            yield name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "model_names", names)
        run(tmp_path / "c.duckdb", pool, more, resume=True, policy=("new-*",), advanced=("Advanced-1",))
    assert read == ["New-SFT"]
    assert json.loads(ask(tmp_path / "c.duckdb", "SELECT roles FROM v_run")[0][0]) == {"policy": ["New-SFT"], "advanced": ["advanced-1"]}
