"""The catalog as a file: who may open it, and what is refused."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from assay.core.errors import CatalogError, InputError, UsageError
from assay.curation.catalog import Catalog


def test_made_once_then_opened(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    for _ in range(2):
        with Catalog.open(path) as catalog:
            assert catalog.rows("SELECT count(*) FROM schema_migrations") == [(4,)]


def test_older_clients_can_read_it(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "c.duckdb").close()
    with duckdb.connect(str(tmp_path / "c.duckdb"), read_only=True) as plain:
        tags = plain.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'c'").fetchall()
    assert "1.4" in str(tags)


def test_a_read_only_catalog_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such catalog"):
        Catalog.open(tmp_path / "c.duckdb", read_only=True)
    assert not (tmp_path / "c.duckdb").exists()


def test_no_catalog(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(CatalogError, match="not a catalog"):
        Catalog.open(tmp_path / "text")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        other.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(CatalogError, match="mine"):
        Catalog.open(tmp_path / "other.duckdb")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet", "rows", ":memory:"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_of_data_is_no_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read_only: bool) -> None:
    """DuckDB opens them as a database in memory: a whole run went into one with --resume, ended well, and left nothing."""
    monkeypatch.chdir(tmp_path)
    if name.endswith(".parquet"):
        duckdb.execute(f"COPY (SELECT 1 AS id) TO '{name}'")
    else:
        Path(name).write_text('{"id": 1}\n')
    before = Path(name).read_bytes()
    with pytest.raises(CatalogError, match="not a catalog"):
        Catalog.open(name, read_only=read_only)
    assert Path(name).read_bytes() == before


def test_a_newer_version(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "c.duckdb").close()
    with duckdb.connect(str(tmp_path / "c.duckdb")) as plain:
        plain.execute("INSERT INTO schema_migrations VALUES (999, 'later')")
    for read_only in (True, False):
        with pytest.raises(CatalogError, match="newer assay"):
            Catalog.open(tmp_path / "c.duckdb", read_only=read_only)


def test_in_use_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    Catalog.open(path).close()
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(CatalogError, match=rf"in use by another process \(pid {holder.pid}\)"):
            Catalog.open(path, read_only=True)
        holder.stdin.close()


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        with pytest.raises(duckdb.Error):
            catalog.append_all({"models": {"mid": [0], "name": ["a"]}, "verifiers": {"vid": [0], "name": ["n"]}})     # version is missing
        assert catalog.rows("SELECT * FROM models") == []
        catalog.append("models", {"mid": [0], "name": ["a"]})
        assert catalog.rows("SELECT * FROM models") == [(0, "a")]


def test_sql_of_users(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "c.duckdb").close()
    with Catalog.open(tmp_path / "c.duckdb", read_only=True) as catalog:
        assert catalog.query("SELECT 1 AS a, NULL AS b") == (["a", "b"], [(1, None)])
        for wrong in ("SELEC 1", "SELECT * FROM nowhere", "INSERT INTO models VALUES (1, 'x')", "DROP TABLE models"):
            with pytest.raises(UsageError) as caught:
                catalog.query(wrong)
            assert "\n" not in str(caught.value)


def test_for_notebooks(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        catalog.append_all({"models": {"mid": [2, 3], "name": ["a", "b"]}, "test_outcomes": {
            "pid": [0], "mid": [2], "sample": [0], "vid": [0], "ran": [3], "passed": ["101"]}})
        assert catalog.df("models").to_dict("list") == {"mid": [2, 3], "name": ["a", "b"]}
        assert catalog.df("SELECT max(mid) AS most FROM models")["most"].tolist() == [3]
        assert catalog.arrow("test_outcomes")["passed"].to_pylist() == ["101"]
        assert catalog.arrow("v_decision").num_rows == 0
        assert catalog.query("FROM models ORDER BY mid", limit=1)[1] == [(2, "a")]
        assert next(iter(catalog.names())).startswith("v_") and catalog.names()["models"] == ["mid", "name"]
        for wrong, said in (("nowhere", "SHOW TABLES lists"), ("SELEC 1", "syntax error"), ("SELECT x FROM models", "mid")):
            for read in (catalog.df, catalog.arrow):
                with pytest.raises(UsageError, match=said) as caught:
                    read(wrong)
                assert "\n" not in str(caught.value)


@pytest.mark.parametrize("view", ["v_run", "v_decision", "v_funnel", "v_kept", "v_rejections", "v_undecided", "v_pass_rate",
                                  "v_recorded_rate", "v_difficulty_hist", "v_contamination", "v_gold_conflicts", "v_test_difficulty",
                                  "v_source_stats"])
def test_views_answer_in_an_empty_catalog(tmp_path: Path, view: str) -> None:
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        assert catalog.rows(f"SELECT * FROM {view}") == []


def test_columns_of_the_contract(tmp_path: Path) -> None:
    wanted = {
        "v_decision": "problem_id id source domain status stage reason", "v_funnel": "stage reason n",
        "v_pass_rate": "problem_id model k n pass_rate low high", "v_contamination": "problem_id benchmark item_id rule span",
        "v_test_difficulty": "problem_id test k n pass_rate tier", "v_source_stats": "source domain n kept mean_pass_rate"}
    with Catalog.open(tmp_path / "c.duckdb") as catalog:
        for view, columns in wanted.items():
            assert catalog.query(f"SELECT * FROM {view}")[0][:len(columns.split())] == columns.split()
