"""Writes pool.jsonl and benchmark.jsonl from authoring/*.toml: the rows of the wire format (docs/wire-format.md).

    python examples/make_pool.py        # the files are committed; run it after changing authoring/
"""
from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PROVENANCE: Final = {"licence": "Apache-2.0", "url": "https://example.org/assay-examples"}


def load(name: str) -> dict[str, Any]:
    """One file of authoring/."""
    return tomllib.loads((HERE / "authoring" / f"{name}.toml").read_text(encoding="utf-8"))


def as_text(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_rows(name: str, rows: Iterable[dict[str, Any]]) -> None:
    (HERE / name).write_text(as_text(rows), encoding="utf-8")


def math_row(problem: dict[str, Any]) -> dict[str, Any]:
    return {"id": problem["id"], "prompt": problem["prompt"], "reward": {"type": "math", "answer": problem["answer"]},
            "source": "examples-math", **PROVENANCE}


def code_row(problem: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> dict[str, Any]:
    told = by_id[problem["duplicate_of"]] if "duplicate_of" in problem else problem
    reward: dict[str, Any] = {"type": "code", "mode": told["mode"]}
    for key in ("entry_point", "checker", "limits"):
        if key in told:
            reward[key] = told[key]
    if told["mode"] == "assert":
        reward["test_code"] = told["test_code"].lstrip("\n")
    elif told["mode"] == "call":
        reward["tests"] = [{"args": args, "output": output} for args, output in told["tests"]]
    else:
        reward["tests"] = [{"input": given, "output": output} for given, output in told["tests"]]
    row: dict[str, Any] = {"id": problem["id"], "prompt": told["prompt"], "reward": reward}
    if told.get("golden", True):
        row["solutions"] = [{"program": told["right"][0].lstrip("\n"), "language": told.get("language", "python")}]
    return row | {"source": "examples-code", **PROVENANCE}


def pool_rows() -> list[dict[str, Any]]:
    codes = load("code")["problem"]
    by_id = {problem["id"]: problem for problem in codes}
    return [*map(math_row, load("math")["problem"] + load("faults")["problem"]), *(code_row(problem, by_id) for problem in codes)]


def benchmark_rows() -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = load("benchmark")["item"]
    return items


if __name__ == "__main__":
    write_rows("pool.jsonl", pool_rows())
    write_rows("benchmark.jsonl", benchmark_rows())
