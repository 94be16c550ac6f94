"""Reading pools: shapes, mappings, and rows that are wrong."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError, RowError, UsageError
from assay.core.problem import CodeTests, MathAnswer
from assay.curation.sources.mapping import load_mapping, shipped_mappings
from assay.curation.sources.reader import PoolRow, read_benchmark, read_pool
from assay.curation.sources.test_shapes import reward_of_tests

from .support import math_row, write_rows


def read(tmp_path: Path, *rows: Any, mapping: str | None = None) -> list[PoolRow]:
    return list(read_pool(write_rows(tmp_path / "pool.jsonl", rows), mapping))


SHAPES = [
    ("pool", {"id": "p/1", "prompt": "q", "domain": "math", "licence": "MIT", "answer": "7", "source": "s"}),
    ("pool", {"id": "p/1", "prompt": "q", "domain": "code", "licence": "MIT", "tests": {"kind": "asserts", "asserts": ["assert f()"]}}),
    ("gsm8k", {"question": "q", "answer": "so 3 and 4\n#### 7"}),
    ("math", {"problem": "q", "level": "Level 1", "solution": "It is $\\boxed{7}$."}),
    ("problem_answer", {"problem": "q", "solution": "It is 7", "answer": "7"}),
    ("verl", {"prompt": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "q"}], "data_source": "d",
              "reward_model": {"style": "rule", "ground_truth": "7"}}),
    ("mbpp", {"task_id": 3, "text": "q", "code": "def f(): return 7", "test_list": ["assert f() == 7"]}),
    ("humaneval", {"task_id": "H/0", "prompt": "def f():\n", "test": "def check(c):\n    assert c() == 7", "entry_point": "f",
                   "canonical_solution": "    return 7\n"}),
    ("apps", {"problem_id": 5, "question": "q", "input_output": '{"inputs": ["1\\n"], "outputs": ["7\\n"]}', "solutions": '["print(7)"]'}),
]


@pytest.mark.parametrize(("name", "row"), SHAPES, ids=[name for name, _ in SHAPES])
def test_shapes_are_recognised(tmp_path: Path, name: str, row: dict[str, Any]) -> None:
    said: list[str] = []
    [found] = read_pool(write_rows(tmp_path / "pool.jsonl", [row]), None, said.append)
    assert found.error == ""
    assert found.problem is not None
    assert f"`{name}`" in said[0]
    assert "q" in found.problem.prompt or name == "humaneval"
    reward = found.problem.reward
    if isinstance(reward, MathAnswer):
        assert reward.answer == "7" and found.domain == "math"
    else:
        assert "7" in (reward.test_code or "") + str(reward.tests) or name == "pool"
        assert found.domain == "code"


def test_every_mapping_has_a_shape_tested() -> None:
    assert {name for name, _ in SHAPES} == set(shipped_mappings())


def test_the_golden_program_of_humaneval_continues_its_prompt(tmp_path: Path) -> None:
    [found] = read(tmp_path, dict(SHAPES)["humaneval"])
    assert found.problem is not None and found.problem.solutions[0].source == "def f():\n    return 7\n"


def test_the_wire_format_needs_no_mapping(tmp_path: Path) -> None:
    row = math_row("a", "q", ["1", 2], source="s", licence="MIT", url="u", domain="geometry", level=3, metadata={"year": 1999})
    [found] = read(tmp_path, row)
    assert found.problem is not None
    assert (found.id, found.source, found.domain, found.extra) == ("a", "s", "geometry", {"level": 3, "year": 1999})
    assert found.problem.source.licence == "MIT" and found.problem.reward == MathAnswer(answer=("1", "2"))


def test_a_null_gold_and_null_tests_are_no_bad_rows(tmp_path: Path) -> None:
    first, second = read(tmp_path, math_row("a", "q", None), {"id": "b", "prompt": "q", "reward": {"type": "code", "tests": None}})
    assert first.problem is not None and first.problem.reward == MathAnswer(answer="")
    assert second.problem is not None and second.problem.reward == CodeTests()


def test_bad_rows_stop_nothing(tmp_path: Path) -> None:
    rows = read(tmp_path, math_row("a", "q", "1"), "{half", '["list"]', {"id": "b", "prompt": "q"}, math_row("c", 5, "1"),
                {"id": "d", "prompt": "q", "reward": {"type": "maths", "answer": "1"}}, math_row("e", "q", "1"))
    assert [row.problem is not None for row in rows] == [True, False, False, False, False, False, True]
    for row in rows[1:-1]:
        assert f"line {row.line}" in row.error and "\n" not in row.error


def test_no_mapping_fits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 1.*nearest is `math`, which needs `solution`"):
        read(tmp_path, {"problem": "q", "level": 5})


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    mapping = tmp_path / "own.toml"
    mapping.write_text('domain = "math"\nsource = "mine"\n[fields]\nprompt = ["q.text", "q"]\nanswer = "a"\nid = "n"\n')
    [found] = read(tmp_path, {"n": 5, "q": {"text": "how many?"}, "a": 3}, mapping=str(mapping))
    assert found.problem is not None
    assert (found.id, found.source, found.problem.prompt, found.problem.reward) == ("5", "mine", "how many?", MathAnswer(answer="3"))


def test_a_mapping_with_a_mistake(tmp_path: Path) -> None:
    mapping = tmp_path / "own.toml"
    mapping.write_text('[fields]\npromt = "q"\n')
    with pytest.raises(UsageError, match=r"own.toml: unknown key `fields.promt`; did you mean `prompt`"):
        load_mapping(str(mapping))
    with pytest.raises(UsageError, match="did you mean `gsm8k`"):
        load_mapping("gsm8")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl: no such file"):
        list(read_pool(str(tmp_path / "absent.jsonl")))


TESTS = [
    (["assert f(1) == 2", " "], None, {"mode": "assert", "test_code": "assert f(1) == 2"}),
    ({"kind": "asserts", "setup": "x = 1\r\n", "asserts": ["assert f(x)"]}, None, {"mode": "assert", "test_code": "x = 1\n\nassert f(x)"}),
    ({"kind": "check", "code": "def check(c):\n    assert c(1)\n"}, "Solution().go", {"mode": "assert", "entry_point": "Solution.go"}),
    ({"kind": "check", "code": "def check(c):\n    assert c(1)\n\n\ncheck(Solution().go)"}, None,
     {"mode": "assert", "entry_point": "Solution.go", "test_code": "def check(c):\n    assert c(1)\n"}),
    ({"inputs": ["1\n", ["2", "3"]], "outputs": ["2\n", "5"]}, None,
     {"mode": "stdin", "tests": [{"input": "1\n", "output": "2\n"}, {"input": "2\n3\n", "output": "5"}]}),
    ({"inputs": [[1, [2]]], "outputs": [[3]], "fn_name": "add"}, None,
     {"mode": "call", "entry_point": "add", "tests": [{"args": [1, [2]], "output": 3}]}),
    ('[{"input": "1\\n[2]", "output": "3", "testtype": "functional"}]', "add",
     {"mode": "call", "tests": [{"args": [1, [2]], "output": 3}]}),
    ({"public_tests": {"input": ["1"], "output": ["2"]}, "private_tests": {"input": ["3"], "output": ["4"]}}, None,
     {"mode": "stdin", "tests": [{"input": "1", "output": "2"}, {"input": "3", "output": "4"}]}),
    (None, None, {"mode": "stdin", "tests": []}),
    ([], None, {"tests": []}),
    ({"kind": "check", "code": "def check(c):\n    pass\n"}, "f", {"tests": []}),
    ({"kind": "asserts", "asserts": []}, None, {"tests": []}),
]


@pytest.mark.parametrize(("tests", "entry", "wanted"), TESTS)
def test_kinds_of_tests(tests: Any, entry: str | None, wanted: dict[str, Any]) -> None:
    got = reward_of_tests(tests, entry, "", "here")
    assert {key: got.get(key) for key in wanted} == wanted
    CodeTests.model_validate(got)


@pytest.mark.parametrize("tests", [{"kind": "spell"}, 5, "assert nothing", {"inputs": 1}, '{"half', [1]])
def test_unknown_tests_are_named(tests: Any) -> None:
    with pytest.raises(RowError, match="here"):
        reward_of_tests(tests, None, "", "here")


def test_benchmarks(tmp_path: Path) -> None:
    good = write_rows(tmp_path / "b.jsonl", [{"id": 1, "prompt": "p"}, {"task_id": "t", "question": "q"}])
    assert list(read_benchmark(good)) == [("1", "p"), ("t", "q")]
    bad = write_rows(tmp_path / "c.jsonl", [{"id": 1, "prompt": " "}])
    with pytest.raises(InputError, match="line 1"):
        list(read_benchmark(bad))


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [math_row("a", "q", "1", source="s"), {"id": "b", "prompt": "r", "reward": {"type": "code", "mode": "assert", "test_code": "assert 1"}}]
    pq.write_table(pa.Table.from_pylist([row | {"reward": json.dumps(row["reward"])} for row in rows]), tmp_path / "p.parquet")
    from_parquet = list(read_pool(str(tmp_path / "p.parquet")))
    assert [row.problem for row in from_parquet] == [row.problem for row in read(tmp_path, *rows)]
