"""`assay convert`: what assay wrote comes back to the last key; what others wrote is read by their usual columns; nothing is lost silently."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from assay.cli import app
from assay.core.errors import UsageError
from assay.core.rows import RowError, parse_row, read_rows
from assay.curation.convert import FORMATS, convert_file

ROOT = Path(__file__).resolve().parent.parent.parent
PATHS = [("verl", "parquet"), ("verl", "jsonl"), ("trl", "parquet"), ("trl", "jsonl.zst"), ("verifiers", "jsonl"), ("nemo-gym", "jsonl.gz"),
         ("canonical", "jsonl")]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
json_value = st.recursive(st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats(allow_nan=False) | text,
                          lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6)
math = st.fixed_dictionaries({"type": st.just("math"), "answer": text | st.integers() | st.lists(text, min_size=1, max_size=3)},
                             optional={"policy": st.just({"percent": "strict"})})
test_case = st.fixed_dictionaries({"input": text, "output": json_value}) | st.fixed_dictionaries({"args": st.lists(json_value, max_size=2)},
                                                                                                 optional={"output": json_value})
code = st.fixed_dictionaries({"type": st.just("code"), "tests": st.lists(test_case, max_size=3)}, optional={
    "mode": st.sampled_from(["stdin", "call"]), "entry_point": text, "checker": st.just({"type": "float", "abs": 1e-9}),
    "limits": st.just({"cpu_s": 2, "memory_mb": 256.5}), "stop_on_failure": st.booleans()})
row = st.fixed_dictionaries({"reward": math | code}, optional={
    "id": text | st.integers() | st.none(), "prompt": text | st.none(), "responses": st.lists(text, max_size=2), "source": text,
    "domain": text, "assay": json_value, "row": json_value, "extra_info": json_value, "name": json_value, "_": json_value,
    "solutions": st.just([{"program": "print(1)", "language": "python"}])})


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


def back(path: Path, kind: str) -> list[Any]:
    convert_file(str(path), str(path.parent / "back.jsonl"), kind, overwrite=True)
    return [found for _, found in read_rows(path.parent / "back.jsonl")]


@pytest.mark.parametrize(("kind", "end"), PATHS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(row, max_size=5))
def test_there_and_back_is_the_same_row(kind: str, end: str, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    valid = [each for each in rows if _is_valid(each)]
    target = tmp_path / f"out.{end}"
    done = convert_file(write(tmp_path / "in.jsonl", rows), str(target), "canonical", kind, overwrite=True)
    assert (done.rows, done.rejected) == (len(valid), len(rows) - len(valid))
    assert back(target, kind) == json.loads(json.dumps(valid))


def _is_valid(each: dict[str, Any]) -> bool:
    try:
        parse_row(each, "here")
    except RowError:
        return False
    return True


@pytest.mark.parametrize(("kind", "end"), PATHS)
def test_the_examples_come_back(kind: str, end: str, tmp_path: Path) -> None:
    rows = [found for _, found in read_rows(ROOT / "examples" / "pool.jsonl")]
    valid = [each for each in rows if isinstance(each, dict) and _is_valid(each)]
    convert_file(str(ROOT / "examples" / "pool.jsonl"), str(tmp_path / f"out.{end}"), "canonical", kind)
    assert back(tmp_path / f"out.{end}", kind) == valid
    assert len(valid) > 50


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_there_and_back_is_graded_by_the_same_spec(kind: str, tmp_path: Path) -> None:
    """What a framework's adapter reads out of a converted row is the row's own spec."""
    from assay.verifiers.adapters.columns import Reader

    spec = {"type": "code", "mode": "call", "entry_point": "f", "tests": [{"args": [1], "output": None}, {"args": [2]}]}
    convert_file(write(tmp_path / "in.jsonl", [{"prompt": "p", "reward": spec}]), str(tmp_path / "out.jsonl"), "canonical", kind)
    [(_, found)] = read_rows(tmp_path / "out.jsonl")
    assert isinstance(found, dict)
    assert Reader().spec(found.get("verifier_metadata", found)) == parse_row({"reward": spec}, "here").problem.reward


FOREIGN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("verl", {"data_source": "openai/gsm8k", "prompt": [{"role": "user", "content": "2+2?"}], "ability": "math",
              "reward_model": {"style": "rule", "ground_truth": "4"}, "extra_info": {"split": "train", "index": 7}},
     {"id": "7", "prompt": "2+2?", "reward": {"type": "math", "answer": "4"}, "source": "openai/gsm8k", "domain": "math",
      "extra_info": {"split": "train", "index": 7}}),
    ("verl", {"data_source": "nobody/knows", "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": "2+2?"}],
              "reward_model": {"ground_truth": r"\{1, 2\}"}},
     {"prompt": "Think.\n\n2+2?", "reward": {"type": "math", "answer": r"\{1, 2\}"}, "source": "nobody/knows"}),
    ("verl", {"data_source": "apps", "prompt": "Add.", "ability": "code",
              "reward_model": {"ground_truth": '{"inputs": ["1 2"], "outputs": ["3"]}'}},
     {"prompt": "Add.", "reward": {"type": "code", "mode": "stdin", "tests": [{"input": "1 2", "output": "3"}]}, "source": "apps",
      "domain": "code"}),
    ("trl", {"prompt": "2+2?", "solution": "4", "level": 3}, {"prompt": "2+2?", "reward": {"type": "math", "answer": "4"}, "level": 3}),
    ("trl", {"prompt": [{"role": "user", "content": [{"type": "text", "text": "2+2?"}]}], "answer": 4},
     {"prompt": "2+2?", "reward": {"type": "math", "answer": "4"}}),
    ("verifiers", {"idx": 3, "prompt": "2+2?", "answer": "4"}, {"id": "3", "prompt": "2+2?", "reward": {"type": "math", "answer": "4"}}),
    ("nemo-gym", {"responses_create_params": {"input": "2+2?"}, "expected_answer": "4", "question": "2+2?"},
     {"prompt": "2+2?", "reward": {"type": "math", "answer": "4"}, "question": "2+2?"}),
    ("nemo-gym", {"responses_create_params": {"input": [{"role": "user", "content": "Add."}]},
                  "verifier_metadata": {"unit_tests": {"inputs": ["1"], "outputs": ["2"]}, "id": 5}},
     {"id": "5", "prompt": "Add.", "reward": {"type": "code", "mode": "stdin", "tests": [{"input": "1", "output": "2"}]}}),
]


@pytest.mark.parametrize(("kind", "given_row", "wanted"), FOREIGN)
def test_rows_of_other_programs(kind: str, given_row: dict[str, Any], wanted: dict[str, Any], tmp_path: Path) -> None:
    convert_file(write(tmp_path / "in.jsonl", [given_row]), str(tmp_path / "out.jsonl"), kind)
    assert [found for _, found in read_rows(tmp_path / "out.jsonl")] == [wanted]


@pytest.mark.parametrize(("kind", "bad", "said"), [
    ("canonical", {"prompt": "x"}, "no `reward`"), ("canonical", {"reward": {"type": "nope"}}, "nope"),
    ("verl", {"prompt": "x"}, "no reference"), ("verl", {"prompt": 3, "reward_model": {"ground_truth": "1"}}, "neither text nor messages"),
    ("verl", {"prompt": "x", "ability": "code", "reward_model": {"ground_truth": "assert f(1) == 2"}}, "has tests"),
    ("verl", {"prompt": "x", "extra_info": {"assay": "{"}}, "damaged"), ("verl", {"prompt": "x", "extra_info": {"assay": "[]"}}, "damaged"),
    ("trl", {"prompt": "x", "assay": "3"}, "damaged"), ("trl", {"prompt": "x", "assay": '{"row": {}}'}, "reward"),
    ("trl", {"prompt": [3], "answer": "1"}, "neither text nor messages"), ("verifiers", {"prompt": "x"}, "no reference"),
    ("nemo-gym", {"expected_answer": "1"}, "neither text nor messages"), ("nemo-gym", {"responses_create_params": {"input": "x"}}, "no reference"),
])
def test_a_row_that_cannot_be_converted_is_set_aside_with_its_reason(kind: str, bad: dict[str, Any], said: str, tmp_path: Path) -> None:
    good = FORMATS[kind].export({"reward": {"type": "math", "answer": "1"}}, 0)
    source = write(tmp_path / "in.jsonl", [good, bad, good])
    done = convert_file(source, str(tmp_path / "out.jsonl"), kind)
    assert (done.rows, done.rejected) == (2, 1)
    [(_, rejected)] = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert isinstance(rejected, dict)
    assert rejected["line"] == 2
    assert said in rejected["reason"]


def test_half_a_surrogate_pair_is_kept_where_it_can_be_and_said_where_not(tmp_path: Path) -> None:
    given_row = {"prompt": "\ud800", "reward": {"type": "math", "answer": "1"}}
    source = write(tmp_path / "in.jsonl", [given_row])
    convert_file(source, str(tmp_path / "out.jsonl"), "canonical", "verl")
    assert back(tmp_path / "out.jsonl", "verl") == [given_row]
    assert convert_file(source, str(tmp_path / "out.parquet"), "canonical", "verl").rejected == 1


def test_a_parquet_file_is_of_verl_s_own_shape(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    convert_file(str(ROOT / "examples" / "pool.jsonl"), str(tmp_path / "out.parquet"), "canonical", "verl")
    first = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert first["prompt"][0]["role"] == "user"
    assert first["reward_model"]["style"] == "rule"
    assert json.loads(first["reward_model"]["ground_truth"])["type"] == "math"
    assert first["extra_info"]["index"] == 0


def test_what_is_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"reward": {"type": "math", "answer": "1"}}])
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        convert_file(source, str(target))
    with pytest.raises(UsageError, match="itself"):
        convert_file(source, source, overwrite=True)
    assert target.read_text() == "mine"
    (tmp_path / "broken.parquet").write_bytes(b"PAR1nope")
    with pytest.raises(OSError, match="not a readable Parquet"):
        convert_file(str(tmp_path / "broken.parquet"), str(target), "verl", overwrite=True)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.parquet", "in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(("options", "code"), [
    (["--to", "verl"], 0), (["--to", "nope"], 2), (["--to", "nemo-gym"], 0), (["--from", "verl"], 3),
])
def test_the_command(options: list[str], code: int, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"reward": {"type": "math", "answer": "1"}, "prompt": "x"}])
    done = CliRunner().invoke(app, ["convert", source, "-o", str(tmp_path / "out.jsonl"), *options])
    assert done.exit_code == code, done.output


def test_no_parquet_for_what_has_no_one_schema(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"reward": {"type": "math", "answer": "1"}}])
    for kind in ("canonical", "verifiers", "nemo-gym"):
        with pytest.raises(UsageError, match="Parquet"):
            convert_file(source, str(tmp_path / "out.parquet"), "canonical", kind)
