"""Going on behind a stage, without the pools; and knowing when nothing has changed."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.curation import pipeline, stages
from assay.curation.catalog import Catalog
from assay.curation.checkpoint import file_print, load_items
from assay.curation.export import export_kept
from assay.curation.pipeline import Inputs, curate, open_for_run
from assay.curation.recipe import Recipe
from assay.curation.rollouts import RolloutReader
from assay.verifiers.grader import Grader

from .support import ask, boxed, rollout_row, run, write_rows
from .test_pipeline import POOL, PROMPTS, ROLLOUTS


class Stop(Exception):
    """Stands for a kill."""


def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
    def stopped(*args: Any, **more: Any) -> Any:
        real(*args, **more)
        raise Stop

    return stopped


@pytest.mark.parametrize(("where", "name"), [(stages, "check_golds"), (stages, "check_golden"), (stages, "count_rates"), (pipeline, "_finish")])
def test_goes_on_behind_the_last_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    pool, rollouts = write_rows(tmp_path / "pool.jsonl", POOL), write_rows(tmp_path / "r.jsonl", ROLLOUTS)
    bench = write_rows(tmp_path / "bench.jsonl", [{"id": "i7", "prompt": PROMPTS[7]}])
    whole, stopped = tmp_path / "whole.duckdb", tmp_path / "stopped.duckdb"
    run(whole, pool, rollouts, benchmarks=(bench,))
    if name != "_finish":
        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(where, name, stopping(getattr(where, name)))
            run(stopped, pool, rollouts, benchmarks=(bench,))
    else:
        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(where, name, lambda *args: (_ for _ in ()).throw(Stop))
            run(stopped, pool, rollouts, benchmarks=(bench,))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "ingest", None)         # the pools are not read again
        patch.setattr(stages, "filter_types", None)
        run(stopped, pool, rollouts, benchmarks=(bench,), resume=True)
    for sql in ("SELECT run, row, status, stage, reason, evidence FROM decisions ORDER BY row", "FROM contamination ORDER BY ALL",
                "FROM clusters ORDER BY ALL", "SELECT pid, mid, sample, verdict FROM grades ORDER BY ALL", "FROM rates ORDER BY ALL",
                "FROM test_rates ORDER BY ALL", "FROM run_verifiers", "SELECT run FROM run_ends", "FROM test_tiers ORDER BY ALL"):
        assert ask(stopped, sql) == ask(whole, sql), sql
    outputs = []
    for path in (whole, stopped):
        with Catalog.open(path, read_only=True) as opened:
            export_kept(opened, str(tmp_path / f"{path.stem}.jsonl"))
        outputs.append((tmp_path / f"{path.stem}.jsonl").read_bytes())
    assert outputs[0] == outputs[1] != b""


_MIXED: list[dict[str, Any] | str] = [
    *ROLLOUTS, "{no row", {"id": "nobody", "model": "sft", "responses": ["7"]}, rollout_row("todo", "sft", 2, 4), rollout_row("fine", "sft", 8, 16),
    {"id": "easy", "model": "sft", "scores": [1, 0]}, {"id": "unsure", "model": "sft", "responses": []},
    {"id": "alone", "model": "other", "responses": [boxed("7", 0)] * 3},
    {"id": "alone", "model": "other", "responses": [boxed("7", 0), boxed("8", 0)]}]


def _rows_parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the lines of rollouts that are parsed."""
    real, lines = RolloutReader._parse, list[int]()

    def parse(self: RolloutReader, row: Any, path: str, line: int, where: str) -> Any:
        lines.append(line)
        return real(self, row, path, line, where)

    monkeypatch.setattr(RolloutReader, "_parse", parse)
    return lines


@pytest.mark.parametrize("grades", [1, 7, 24, 40])
def test_rollouts_that_are_graded_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grades: int) -> None:
    """Stopped after so many grades of rollouts, and again after 20 more: the catalog is that of a run that was never stopped."""
    pool, rollouts = write_rows(tmp_path / "pool.jsonl", POOL), write_rows(tmp_path / "r.jsonl", _MIXED)
    whole, stopped = tmp_path / "whole.duckdb", tmp_path / "stopped.duckdb"
    first = run(whole, pool, rollouts)
    lines = _rows_parsed(monkeypatch)
    parsed: list[int] = []
    for most in (grades, 20):
        def until(stage: str, done: int, most: int = most) -> None:
            if stage == "rollouts" and done >= most:
                raise Stop

        with contextlib.suppress(Stop), open_for_run(str(stopped), resume=True, overwrite=False) as opened, Grader(workers=1) as grader:
            curate(opened, Inputs((pool,), (rollouts,)), Recipe(), grader, advance=until)
        parsed.append(len(lines))
        lines.clear()
    last = run(stopped, pool, rollouts, resume=True)
    assert (last.reasons, last.bad_rollouts, last.unknown_rollouts) == (first.reasons, first.bad_rollouts, first.unknown_rollouts)
    for sql in ("SELECT run, row, status, stage, reason FROM decisions ORDER BY row",
                "SELECT pid, mid, sample, hash, verdict FROM grades ORDER BY ALL",
                "FROM rollouts ORDER BY ALL", "FROM rates ORDER BY ALL", "SELECT run FROM run_ends", "FROM models ORDER BY ALL"):
        assert ask(stopped, sql) == ask(whole, sql), sql
    assert parsed[0] == len(_MIXED) - 1     # that of scores alone goes its own way
    assert len(lines) < parsed[1] <= parsed[0] and (parsed[1] < parsed[0] or grades < 20)


def test_lines_of_an_earlier_run_settle_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same name, another file: its line 1 is another rollout now, and is graded although line 1 once was."""
    pool = write_rows(tmp_path / "pool.jsonl", POOL)
    rollouts = write_rows(tmp_path / "r.jsonl", [rollout_row("fine", "sft", 8, 16)])
    run(tmp_path / "c.duckdb", pool, rollouts)
    write_rows(tmp_path / "r.jsonl", [rollout_row("alone", "sft", 16, 16)])
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(stages, "check_golden", stopping(stages.check_golden))
        run(tmp_path / "c.duckdb", pool, rollouts, resume=True)
    assert run(tmp_path / "c.duckdb", pool, rollouts, resume=True).graded > 0
    assert ask(tmp_path / "c.duckdb", "SELECT reason FROM v_decision WHERE id = 'alone'") == [("diff.too_easy",)]


def test_other_inputs_are_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = write_rows(tmp_path / "pool.jsonl", POOL)
    catalog = tmp_path / "c.duckdb"
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(stages, "check_golds", stopping(stages.check_golds))
        run(catalog, pool)
    pool = write_rows(tmp_path / "pool.jsonl", POOL[:3])
    assert run(catalog, pool, resume=True).rows == 3
    assert ask(catalog, "SELECT run, rows_in FROM run_ends") == [(2, 3)]
    assert run(catalog, pool, resume=True, recipe=Recipe(stages=("ingest", "type"))).rows == 3
    assert ask(catalog, "SELECT max(run) FROM run_ends") == [(3,)]


def test_prints(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 200_000)
    os.utime(path, ns=(1, 1))
    first = file_print(str(path))
    path.write_bytes(b"x" * 199_999 + b"y")
    os.utime(path, ns=(1, 1))
    assert file_print(str(path)) != first
    assert file_print(str(tmp_path)) == file_print("owner/name") == file_print("-") == ""


def test_items_without_their_texts(tmp_path: Path) -> None:
    catalog = tmp_path / "c.duckdb"
    run(catalog, write_rows(tmp_path / "pool.jsonl", POOL), recipe=Recipe(stages=("ingest", "type", "gold")))
    with Catalog.open(catalog, read_only=True) as opened:
        whole, bare = load_items(opened, 1), load_items(opened, 1, texts=False)
    for a, b in zip(whole, bare, strict=True):
        for name in ("row", "id", "pid", "type", "solutions", "decision", "file", "line"):
            assert getattr(a, name) == getattr(b, name)
        assert a.tests == b.tests or a.tests <= 1
