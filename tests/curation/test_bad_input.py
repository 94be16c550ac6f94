"""Bad input of every kind: a row's fault is the row's, a file's fault is one line that names it, and nothing is decided by half."""
from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from assay.core.errors import InputError, UsageError
from assay.curation.pipeline import Inputs
from assay.curation.recipe import Recipe, load_recipe

from .support import ask, math_row, reasons, run, write_rows

ROW = json.dumps(math_row("fine", "How many legs have 3 cows?", "12")).encode()
STATIC = Recipe(stages=("ingest", "type", "gold", "contamination", "duplicates"))


@pytest.mark.parametrize(("name", "data"), [
    ("half.parquet", None), ("empty.parquet", b""), ("half.jsonl.gz", gzip.compress(ROW * 5000)[:-20]), ("no.jsonl.gz", b"plain text"),
    ("no.jsonl.zst", b"plain text"),
])
def test_files_that_break_off(tmp_path: Path, name: str, data: bytes | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / name
    if data is None:
        pq.write_table(pa.table({"id": ["a"] * 10_000, "prompt": ["q"] * 10_000, "reward": ['{"type": "math", "answer": "7"}'] * 10_000}), path)
        data = path.read_bytes()[:-500]
    path.write_bytes(data)
    with pytest.raises(InputError, match=name) as caught:
        run(tmp_path / "c.duckdb", str(path), recipe=STATIC)
    assert "\n" not in str(caught.value)
    if (tmp_path / "c.duckdb").exists():
        assert ask(tmp_path / "c.duckdb", "SELECT count(*) FROM decisions") == [(0,)]


@pytest.mark.parametrize(("line", "kept"), [
    (ROW.replace(b"cows", "chèvres".encode("latin-1")), False), (ROW.decode().encode("utf-16"), None), (b"\xef\xbb\xbf" + ROW, True),
    (ROW.replace(b"cows", b"cows\x00"), False), (ROW.replace(b"cows", b"cow\\u0000s"), True), (ROW.replace(b"cows", b"\\ud800"), False),
    (ROW.replace(b"cows", b"\xf0\x9f\x90\x84"), True), (b'{"id": "fine", "prompt": 1e999, "reward": {}}', False), (b"[" * 100_000, False),
], ids=["latin-1", "utf-16", "bom", "raw nul", "escaped nul", "half a surrogate pair", "emoji", "infinite", "deep"])
def test_encodings(tmp_path: Path, line: bytes, kept: bool | None) -> None:
    """A line that is not UTF-8 is a bad row; the lines around it are none of its fault. (UTF-16 has line ends within characters.)"""
    pool = tmp_path / "pool.jsonl"
    other = json.dumps(math_row("other", "How many legs have 5 hens?", "10")).encode()
    pool.write_bytes(line + b"\n" + other + b"\n")
    run(tmp_path / "c.duckdb", str(pool), recipe=STATIC)
    found = reasons(tmp_path / "c.duckdb")
    assert found["other"] == "kept"
    if kept is not None:
        assert found.get("fine", "ingest.bad_row") == ("kept" if kept else "ingest.bad_row")
    [(rows, decided)] = ask(tmp_path / "c.duckdb", "SELECT (SELECT count(*) FROM pool_rows), (SELECT count(*) FROM decisions)")
    assert rows == decided


@pytest.mark.parametrize("prompt", ["", None, " \n\t", "\u200b\ufeff", "\x00"], ids=ascii)
@pytest.mark.parametrize("reward", [{"type": "math", "answer": "7"},
                                    {"type": "code", "tests": [{"input": "1", "output": "1"}]}], ids=["math", "code"])
def test_a_row_that_asks_nothing_is_no_problem(tmp_path: Path, prompt: str | None, reward: dict[str, object]) -> None:
    """A policy would be paid for guessing; neither does such a row take an id, or a duplicate, away from one that asks."""
    empty = {"id": "same", "prompt": prompt, "reward": reward, "source": "s", "domain": "d"}
    pool = write_rows(tmp_path / "pool.jsonl", [empty, {"id": "absent", "reward": reward}, math_row("same", "?", "7"), math_row("dot", "素", "7")])
    run(tmp_path / "c.duckdb", pool, recipe=STATIC)
    assert ask(tmp_path / "c.duckdb", "SELECT id, reason FROM v_decision ORDER BY row") == [
        ("same", "ingest.bad_row"), ("absent", "ingest.bad_row"), ("same", "kept"), ("dot", "kept")]
    [(evidence, source, domain)] = ask(tmp_path / "c.duckdb", "SELECT evidence, source, domain FROM v_decision WHERE row = 0")
    assert "line 1: no text in `prompt`" in evidence and (source, domain) == ("s", "d")


def test_ids_and_golds_that_are_none(tmp_path: Path) -> None:
    rows = [math_row("a", "How many is 1 + 2?", "3"), math_row("a", "How many is 2 + 2?", "4"), math_row("b", "How many is 3 + 2?", None),
            math_row("c", "How many is 4 + 2?", []), math_row("d", "How many is 5 + 2?", " "), math_row("e", "How many is 6 + 2?", "N/A")]
    run(tmp_path / "c.duckdb", write_rows(tmp_path / "pool.jsonl", rows), recipe=STATIC)
    assert [reason for (reason,) in ask(tmp_path / "c.duckdb", "SELECT reason FROM v_decision ORDER BY row")] == [
        "kept", "ingest.id_repeat", "gold.empty", "gold.empty", "gold.empty", "gold.sentinel"]


def test_long_prompts(tmp_path: Path) -> None:
    """Two of 1 MB and a short one: all rules see them, and the time grows with the length (docs/curation.md has the figure for 50 MB)."""
    long = "A field has 5 rows of cabbages and one gate. " * 23_000
    rows = [math_row("long", long, "7"), math_row("copy", long.upper(), "7"), math_row("short", "How many is 1 + 2?", "3")]
    bench = write_rows(tmp_path / "b.jsonl", [{"id": "i", "prompt": "How many is 1 + 2?"}])
    run(tmp_path / "c.duckdb", write_rows(tmp_path / "pool.jsonl", rows), recipe=STATIC, benchmarks=(bench,))
    assert reasons(tmp_path / "c.duckdb") == {"long": "kept", "copy": "dup.exact", "short": "contam.short_exact"}


@pytest.mark.parametrize("row", [{"id": "i"}, {"id": "i", "prompt": " "}, {"id": "i", "prompt": 5}, "{half"])
def test_a_benchmark_without_text(tmp_path: Path, row: dict[str, object] | str) -> None:
    pool, bench = write_rows(tmp_path / "p.jsonl", [math_row("a", "q", "1")]), write_rows(tmp_path / "b.jsonl", [row])
    with pytest.raises(InputError, match=r"b\.jsonl, line 1"):
        run(tmp_path / "c.duckdb", pool, benchmarks=(bench,))
    empty = write_rows(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError, match="no items"):
        run(tmp_path / "c.duckdb", pool, benchmarks=(empty,))


@pytest.mark.parametrize(("text", "said"), [
    ("[difficulty]\ntoo_easi = 1\n", r"unknown key `difficulty.too_easi`; did you mean `difficulty\.\w+`"),
    ("[duplicats]\nnear = 1\n", "did you mean `duplicates`"), ("[sft]\nmoste = 1\n", "did you mean `sft.most`"),
    ("[tagger]\nmodle = 1\n", "did you mean `tagger.model`"), ("stages = ['ingest', 'tpye']", "stages"), ("[type\n", "not TOML"),
])
def test_recipes_with_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load_recipe(str(tmp_path / "own.toml"))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", "q", "1")])
    for inputs in (Inputs((str(tmp_path / "no.jsonl"),)), Inputs((pool,), rollouts=("no.jsonl",)), Inputs((pool,), benchmarks=("x=no.jsonl",))):
        with pytest.raises(UsageError, match=r"no\.jsonl"):
            inputs.check()


def test_half_surrogate_pairs_in_responses_stop_nothing(tmp_path: Path) -> None:
    pool = write_rows(tmp_path / "p.jsonl", [math_row("a", "How many is 1 + 2?", "3")])
    rollouts = write_rows(tmp_path / "r.jsonl", ['{"id": "a", "model": "m", "responses": ["\\\\boxed{\\ud800}", "\\\\boxed{3}"]}',
                                                 '{"id": "a", "model": "m\\ud800", "responses": ["3"]}'])
    summary = run(tmp_path / "c.duckdb", pool, rollouts)
    assert summary.graded == 3 and summary.bad_rollouts == 1 and ask(tmp_path / "c.duckdb", "SELECT model, k, n FROM v_pass_rate") == [("m", 1, 2)]
