"""Exports: what was kept, whole, in the wire format; the same bytes each time."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError, UsageError
from assay.core.rows import parse_row, read_rows
from assay.curation.catalog import Catalog
from assay.curation.export import export_kept
from assay.curation.recipe import Recipe

from .support import math_row, reasons, rollout_row, run, write_rows

ROWS: list[dict[str, Any]] = [
    math_row("b", "How many hats has Ann, if she has 3 and 4 more?", ["7", "seven"], source="s", licence="MIT", url="http://x", level=4,
             tags=["é", None]),
    {"id": "a", "prompt": "Add.", "domain": "code", "solutions": [{"program": "def f(): return 7\n", "language": "python"}],
     "reward": {"type": "code", "mode": "call", "entry_point": "f", "checker": {"type": "json"}, "limits": {"cpu_s": 2.0},
                "tests": [{"args": [], "output": 7}, {"args": [], "output": None}]}},
    math_row("z", "Prove that 1 = 1.", "7"),
]


def catalog_of(tmp_path: Path) -> Catalog:
    path = tmp_path / "c.duckdb"
    recipe = Recipe(stages=("ingest", "type", "gold_check", "difficulty"))      # no golden runs: nothing here needs a sandbox
    run(path, write_rows(tmp_path / "p.jsonl", ROWS), write_rows(tmp_path / "r.jsonl", [rollout_row("b", "sft", 2, 5)]), recipe=recipe)
    return Catalog.open(path, read_only=True)


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.gz", "kept.jsonl.zst", "kept.parquet"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    with catalog_of(tmp_path) as catalog:
        assert export_kept(catalog, str(tmp_path / name)) == 2
    back = [parse_row(row, "here") for _, row in read_rows(tmp_path / name) if isinstance(row, dict)]
    assert [row.problem.id for row in back] == ["b", "a"]
    for row, original in zip(back, ROWS, strict=False):
        wanted = parse_row(original, "here").problem
        assert row.problem.reward == wanted.reward
        assert row.problem.content_hash == wanted.content_hash
        assert row.problem.solutions == wanted.solutions
        assert (row.problem.source.source, row.problem.source.licence, row.problem.source.url) == (
            wanted.source.source, wanted.source.licence, wanted.source.url)
    rates = back[0].extra["pass_rates"]
    rates = json.loads(rates) if isinstance(rates, str) else rates
    assert (rates["sft"]["k"], rates["sft"]["n"]) == (2, 5)


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.gz", "kept.jsonl.zst", "kept.parquet"])
def test_the_same_bytes_each_time(tmp_path: Path, name: str) -> None:
    with catalog_of(tmp_path) as catalog:
        export_kept(catalog, str(tmp_path / name))
        before = (tmp_path / name).read_bytes()
        export_kept(catalog, str(tmp_path / name), overwrite=True)
    assert (tmp_path / name).read_bytes() == before
    assert not [left for left in os.listdir(tmp_path) if left.startswith(".")]


def test_metadata_is_carried_through_two_rounds(tmp_path: Path) -> None:
    with catalog_of(tmp_path) as catalog:
        export_kept(catalog, str(tmp_path / "kept.parquet"))
    again = tmp_path / "again.duckdb"
    run(again, str(tmp_path / "kept.parquet"), recipe=Recipe(stages=("ingest", "type")))
    assert reasons(again) == {"b": "kept", "a": "kept"}
    with Catalog.open(again, read_only=True) as catalog:
        [(metadata, domain)] = catalog.rows("SELECT metadata, domain FROM pool_rows WHERE id = 'b'")
        assert json.loads(metadata)["level"] == 4 and json.loads(metadata)["tags"] == ["é", None]
        assert domain == "math"
        assert catalog.rows("SELECT domain FROM pool_rows WHERE id = 'a'") == [("code",)]


def test_what_is_refused(tmp_path: Path) -> None:
    with catalog_of(tmp_path) as catalog:
        target = tmp_path / "kept.jsonl"
        target.write_text("mine")
        with pytest.raises(UsageError, match="exists"):
            export_kept(catalog, str(target))
        with pytest.raises(UsageError, match="unknown format"):
            export_kept(catalog, str(tmp_path / "kept.csv"))
        with pytest.raises(InputError, match="cannot be written"):
            export_kept(catalog, "/proc/kept.jsonl")
        assert target.read_text() == "mine"
    with Catalog.open(tmp_path / "new.duckdb") as empty, pytest.raises(UsageError, match="no run"):
        export_kept(empty, str(tmp_path / "x.jsonl"))


def test_a_failure_leaves_the_target_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.curation import export

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    target = tmp_path / "kept.jsonl"
    target.write_text("before")
    monkeypatch.setattr(export, "_write_jsonl", full)
    with catalog_of(tmp_path) as catalog, pytest.raises(InputError, match="No space left"):
        export_kept(catalog, str(target), overwrite=True)
    assert target.read_text() == "before"
    assert not [left for left in os.listdir(tmp_path) if left.startswith(".")]
