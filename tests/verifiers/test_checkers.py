"""The checkers, by table: a bug becomes a row in cases/checkers.jsonl or cases/values.jsonl."""
from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from assay.core.checkers import Checker, JsonChecker, TokensChecker
from assay.verifiers.checkers import check_output, check_value, to_bytes

CASES = Path(__file__).parent / "cases"
CHECKER: TypeAdapter[Any] = TypeAdapter(Checker)


def rows(name: str) -> list[Any]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize("row", rows("checkers.jsonl"))
def test_output(row: dict[str, Any]) -> None:
    difference = check_output(CHECKER.validate_python(row["checker"]), to_bytes(row["got"]), to_bytes(row["expected"]))
    assert (difference is None) is row["right"], difference


@pytest.mark.parametrize("row", rows("values.jsonl"))
def test_value(row: dict[str, Any]) -> None:
    difference = check_value(CHECKER.validate_python(row["checker"]), row["got"].encode(), row["expected"])
    assert (difference is None) is row["right"], difference


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 100_000, "[" * 900 + "]" * 900])
def test_a_monstrous_value_is_wrong_and_raises_nothing(text: str) -> None:
    assert check_value(JsonChecker(), text.encode(), [1]) is not None
    assert check_value(CHECKER.validate_python({"type": "unordered"}), text.encode(), [1]) is not None


def test_a_flood_of_tokens_costs_memory_only_for_what_was_expected() -> None:
    flood = b"ab " * 4_000_000
    tracemalloc.start()
    assert check_output(CHECKER.validate_python({"type": "lcb"}), b"1 " * 4_000_000, b"2 3\n") is not None
    for kind in ("tokens", "float", "lines", "unordered", "sorted"):
        assert check_output(CHECKER.validate_python({"type": kind}), flood, b"1\n2\n") is not None
        assert check_output(CHECKER.validate_python({"type": kind}), b"\n" * 12_000_000, b"1\n2\n") is not None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_lone_surrogates_stand_for_bytes() -> None:
    assert to_bytes("a\udcff") == b"a\xff"
    assert to_bytes("\ud800") == b"\xed\xa0\x80"


JSON_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                           lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(JSON_VALUES)
def test_a_value_equals_its_own_json(value: Any) -> None:
    assert check_value(JsonChecker(), json.dumps(value).encode(), value) is None


@given(st.lists(st.text(alphabet="ab1. ", min_size=1)), st.lists(st.text(alphabet="ab1. ", min_size=1)))
def test_tokens_is_equality_of_splits(a: list[str], b: list[str]) -> None:
    got, expected = " ".join(a).encode(), "\n".join(b).encode()
    assert (check_output(TokensChecker(), got, expected) is None) is (got.split() == expected.split())
