"""`curate`, `stats`, `sql` and `export` as commands: what they print, where, and how they end."""
from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from assay.cli import app

ROWS = [
    {"id": "good", "prompt": "What is 3 + 4?", "reward": {"type": "math", "answer": "7"}, "source": "s[bold]", "domain": "math"},
    {"id": "proof", "prompt": "Prove that 3 + 4 = 7.", "reward": {"type": "math", "answer": "7"}},
    {"id": "code", "prompt": "Add two numbers.", "reward": {"type": "code", "tests": [{"input": "3 4\n", "output": "7\n"}]},
     "solutions": [{"program": "print(sum(map(int, input().split())))", "language": "python"}]},
    {"id": "wrong", "prompt": "Subtract two numbers.", "reward": {"type": "code", "tests": [{"input": "3 4\n", "output": "-1\n"}]},
     "solutions": [{"program": "print(sum(map(int, input().split())))", "language": "python"}]},
]


def assay(*args: Any) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    rollouts = tmp_path / "r.jsonl"
    rollouts.write_text(json.dumps({"id": "good", "model": "sft", "responses": ["\\boxed{7}"] * 3 + ["\\boxed{8}"] * 13}) + "\n" + json.dumps(
        {"id": "code", "model": "sft", "responses": ["```python\nprint(7)\n```", "```python\nprint(8)\n```"] * 8}) + "\n")
    result = assay("curate", pool, "--rollouts", rollouts, "--catalog", tmp_path / "c.duckdb", "--sandbox", "local", "--slots", 1, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "4 rows = 2 kept + 2 rejected + 0 undecided" in result.stderr
    assert result.stdout == ""
    return tmp_path / "c.duckdb"


def test_sql_in_three_styles(catalog: Path) -> None:
    query = "SELECT id, reason, source, NULL AS nothing FROM v_decision ORDER BY row"
    as_json = json.loads(assay("sql", catalog, query, "--json").stdout)
    assert [(row["id"], row["reason"]) for row in as_json] == [
        ("good", "kept"), ("proof", "type.proof"), ("code", "kept"), ("wrong", "code.golden_fails")]
    as_csv = list(csv.DictReader(io.StringIO(assay("sql", catalog, query, "--csv").stdout)))
    assert [row["id"] for row in as_csv] == [row["id"] for row in as_json] and as_csv[0]["nothing"] == ""
    table = assay("sql", catalog, query).stdout
    assert "code.golden_fails" in table and "s[bold]" in table


def test_tests_have_a_difficulty(catalog: Path) -> None:
    rows = json.loads(assay("sql", catalog, "SELECT test, k, n FROM v_test_difficulty", "--json").stdout)
    assert rows == [{"test": 0, "k": 8, "n": 16}]


def test_sql_errors_are_one_line(catalog: Path) -> None:
    result = assay("sql", catalog, "SELECT *\nFROM nowhere")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "nowhere" in result.stderr
    assert assay("sql", catalog, "DELETE FROM decisions").exit_code == 2
    assert assay("sql", catalog, "SELECT 1", "--json", "--csv").exit_code == 2


def test_stats(catalog: Path) -> None:
    text = assay("stats", catalog).stdout
    for part in ("in                                  4", "type.proof", "code.golden_fails", "pass rate of sft (policy), 2 problems",
                 "assay export"):
        assert part in text


def test_export_is_graded_again(catalog: Path, tmp_path: Path) -> None:
    responses = {"good": ["\\boxed{7}", "\\boxed{8}"], "code": ["```python\nprint(7)\n```", "```python\nprint(8)\n```"]}
    for name in ("kept.parquet", "kept.jsonl"):
        assert assay("export", catalog, "-o", tmp_path / name).exit_code == 0
        source, target = tmp_path / f"in-{name}", tmp_path / f"{name}.out.jsonl"
        if name.endswith("parquet"):
            table = pq.read_table(tmp_path / name)
            answers = pa.array([responses[row_id] for row_id in table["id"].to_pylist()])
            pq.write_table(table.append_column("responses", answers), source)
        else:
            rows = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
            source.write_text("".join(json.dumps(row | {"responses": responses[row["id"]]}) + "\n" for row in rows))
        result = assay("grade", source, "-o", target, "--sandbox", "local")
        assert result.exit_code == 0, result.output
        assert [json.loads(line)["verdict"] for line in target.read_text().splitlines()] == ["AC", "WA", "AC", "WA"]
    assert assay("export", catalog, "-o", tmp_path / "kept.jsonl").exit_code == 2
    assert assay("export", catalog, "-o", tmp_path / "kept.jsonl", "--overwrite").exit_code == 0


def test_usage(catalog: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    for args in (["--catalog", catalog], ["--catalog", tmp_path / "n.duckdb", "--recipe", "mima"],
                 ["--catalog", catalog, "--resume", "--overwrite"], ["--catalog", tmp_path / "n.duckdb", "--mapping", "non"]):
        result = assay("curate", pool, *args)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("assay: ") and "Traceback" not in result.output
    assert not (tmp_path / "n.duckdb").exists()
    assert assay("stats", tmp_path / "n.duckdb").exit_code != 0


@pytest.mark.parametrize("command", ["curate", "stats", "sql", "export"])
def test_help_has_an_example(command: str) -> None:
    result = assay(command, "--help")
    assert result.exit_code == 0 and "Example" in result.stdout


@pytest.mark.parametrize("option", ["--rollouts", "--benchmark"])
def test_a_missing_input_is_found_before_anything_is_replaced(tmp_path: Path, option: str) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"id": "a", "prompt": "1+1?", "reward": {"type": "math", "answer": "2"}}\n')
    catalog = tmp_path / "c.duckdb"
    command = [sys.executable, "-m", "assay.cli", "curate", str(pool), "--catalog", str(catalog)]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    before = catalog.read_bytes()
    done = subprocess.run([*command, "--overwrite", option, "absent.jsonl"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, catalog.read_bytes() == before) == (2, True)
    assert "absent.jsonl" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("query", ["", ";", "SELECT 1; SELECT 2", "/* nothing */"])
def test_sql_takes_one_query(tmp_path: Path, query: str) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"id": "a", "prompt": "1+1?", "reward": {"type": "math", "answer": "2"}}\n')
    command = [sys.executable, "-m", "assay.cli"]
    subprocess.run([*command, "curate", str(pool), "--catalog", str(tmp_path / "c.duckdb")], check=True, capture_output=True, timeout=120)
    done = subprocess.run([*command, "sql", str(tmp_path / "c.duckdb"), query], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "one query" in done.stderr and "Traceback" not in done.stderr


def test_asking_a_catalog(catalog: Path) -> None:
    found = assay("curate", "--catalog", catalog, "--what-if", "difficulty.max=0.1")
    assert found.exit_code == 0 and "diff.too_easy" in found.output and "nothing was written" in found.output
    assert "code.golden_fails" in assay("curate", "--catalog", catalog, "--explain", "wrong").output
    for args in (("--explain", "wrong", "--what-if", "difficulty.max=1"),
                 ("pool.jsonl", "--explain", "wrong"), ("pool.jsonl", "--what-if", "name=x")):
        result = assay("curate", *args, "--catalog", catalog)
        assert result.exit_code == 2 and "one of them, and no POOL" in result.output
    nobody = assay("curate", "--catalog", catalog, "--explain", "")
    assert nobody.exit_code == 2 and "no row with the id" in nobody.output


def test_what_if_of_late_rules_starts_quickly(catalog: Path) -> None:
    """A process that asks for counts loads neither the stages nor pandas: half its time was that."""
    code = ("import sys\nfrom assay.cli import app\ntry:\n    app(sys.argv[1:])\nfinally:\n"
            "    print(sorted({'pandas', 'assay.curation.stages', 'assay.verifiers.grader'} & sys.modules.keys()))")
    ended = subprocess.run([sys.executable, "-c", code, "curate", "--catalog", str(catalog), "--what-if", "difficulty.max=0.1"],
                           check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1] == "[]"
