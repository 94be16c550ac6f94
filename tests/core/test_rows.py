"""Rows: every bad one is a RowError that names the place and the field; good ones come through whole."""
from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError, RowError, UsageError
from assay.core.problem import CodeTests, MathAnswer, Problem, Program, Response
from assay.core.rows import from_columns, parse_row, read_rows

MATH = {"type": "math", "answer": "1"}


def test_a_math_row() -> None:
    row = parse_row({"id": "p1", "prompt": "1/2?", "reward": {"type": "math", "answer": ["0.5", "1/2"]}, "responses": ["a", {"text": "b"}],
                     "case": 7}, "f, line 1")
    assert isinstance(row.problem.reward, MathAnswer)
    assert row.problem.reward.golds == ("0.5", "1/2")
    assert row.responses == (Response("a"), Response("b"))
    assert row.extra == {"case": 7}


def test_a_code_row() -> None:
    row = parse_row({"id": 5, "source": "s", "licence": "MIT", "reward": {
        "type": "code", "mode": "call", "entry_point": "add", "tests": [{"args": [1, 2], "output": 3}, {"args": [], "output": None}, {"args": []}],
        "checker": {"type": "float", "abs": 1e-6}, "limits": {"cpu_s": 2, "memory_mb": 256}},
        "responses": [{"program": "x", "language": "cpp"}, {"program": "y"}], "solutions": [{"program": "z"}]}, "f, line 1")
    reward = row.problem.reward
    assert isinstance(reward, CodeTests)
    assert row.problem.id == "5"
    assert [test.has_output for test in reward.tests] == [True, True, False]
    assert reward.tests[0].args == (1, 2)
    assert row.responses == (Program("x", "cpp"), Program("y", "python"))
    assert row.problem.solutions == (Program("z", "python"),)
    assert (row.problem.source.source, row.problem.source.licence) == ("s", "MIT")


@pytest.mark.parametrize(("row", "says"), [
    ({"id": "a"}, "no `reward`"),
    ({"reward": {"type": "poem"}}, "'poem'"),
    ({"reward": {"answer": "1"}}, "type"),
    ({"reward": {"type": "math"}}, "answer"),
    ({"reward": {"type": "math", "answer": True}}, "answer"),
    ({"reward": {"type": "math", "answer": "1", "polcy": {}}}, "polcy"),
    ({"reward": {"type": "code", "tests": "x"}}, "tests"),
    ({"reward": {"type": "code", "tests": [{"inptu": "1"}]}}, "inptu"),
    ({"reward": {"type": "code", "limits": {"cpu_s": -1}}}, "cpu_s"),
    ({"reward": {"type": "code", "limits": {"cpu_s": float("nan")}}}, "cpu_s"),
    ({"reward": {"type": "code", "checker": {"type": "vibes"}}}, "vibes"),
    ({"reward": MATH, "id": []}, "`id`"),
    ({"reward": MATH, "prompt": 5}, "prompt"),
    ({"reward": MATH, "responses": "x"}, "`responses`"),
    ({"reward": MATH, "responses": ["x", None]}, "responses[1]"),
    ({"reward": MATH, "responses": [{"text": "x", "more": 1}]}, "responses[0]"),
    ({"reward": MATH, "solutions": 5}, "`solutions`"),
    ({"reward": None}, "reward"),
])
def test_a_bad_row_says_where_and_what(row: dict[str, Any], says: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_row(row, "pool.jsonl, line 3")
    assert str(caught.value).startswith("pool.jsonl, line 3")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_id_is_a_hash_of_the_content() -> None:
    def row_id(**row: Any) -> str:
        return parse_row(row, "").problem.id

    same = row_id(prompt="What  is\n1?", reward=MATH)
    assert same == row_id(prompt="What is 1? ", reward={"answer": "1", "type": "math", "policy": {}})
    assert same != row_id(prompt="What is 1?", reward={"type": "math", "answer": "2"})
    assert same != row_id(prompt="What is 2?", reward=MATH)
    assert len(same) == 32


@pytest.mark.parametrize("end", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_format_reads_the_same(tmp_path: Path, end: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": str(n), "reward": MATH, "responses": ["a"]} for n in range(600)]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / f"rows{end}"
    if end == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif end == ".jsonl.zst":
        codec = pa.Codec("zstd")
        path.write_bytes(codec.compress(text[:500], asbytes=True) + codec.compress(text[500:], asbytes=True))     # two frames
    else:
        path.write_bytes(gzip.compress(text) if end == ".jsonl.gz" else text)
    assert list(read_rows(path)) == list(enumerate(rows, 1))


def test_bad_lines_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n[1]\n{"a": \n\xff\xfe{}\n' + b"[" * 200_000 + b'\n{"n": ' + b"9" * 5000 + b'}\n{"b": 2}')
    got = list(read_rows(path))
    assert {number: isinstance(row, RowError) for number, row in got} == {1: False, 3: True, 4: True, 5: True, 6: True, 7: True, 8: False}
    assert all(f"rows.jsonl, line {number}" in str(row) for number, row in got if isinstance(row, RowError))


@pytest.mark.parametrize(("name", "content"), [("half.parquet", b"PAR1 and no more"), ("half.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9999)[:50]),
                                               ("absent.jsonl", None), ("rows.csv", b"a,b")])
def test_an_unreadable_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((InputError, UsageError), match=name):
        list(read_rows(path))


@pytest.mark.parametrize("depth", [300, 600, 900, 990, 100_000])
def test_what_is_nested_deeply_is_a_row_or_an_error_of_that_row(depth: int) -> None:
    """From JSON text in a column of Parquet too; never an exception out of the middle of a file."""
    reward = '{"type": "code", "mode": "call", "entry_point": "f", "tests": [{"args": [1], "output": ' + "[" * depth + "]" * depth + "}]}"
    row = from_columns({"id": "a", "reward": reward})
    try:
        parse_row(row, "rows, line 1")
    except RowError as error:
        assert "line 1" in str(error)


def test_a_large_spec_is_hashed_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(prompt="é p", reward=CodeTests.model_validate({"type": "code", "tests": [
        {"input": "a\ud800" * 50, "output": [1, None, {"b": 2.5, "a": "ü"}], "limits": {"cpu_s": 3}}] * 3, "checker": {"type": "float", "abs": 0.1}}))
    small = problem.content_hash
    monkeypatch.setattr("assay.core.problem._LARGE", 7)
    assert problem.content_hash == small
