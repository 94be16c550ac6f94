"""Rows and a runner that the tests of curation share."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assay.curation.catalog import Catalog
from assay.curation.pipeline import Inputs, Summary, curate, open_for_run
from assay.curation.recipe import Recipe
from assay.verifiers.grader import Grader


def math_row(row_id: str, prompt: str, answer: Any, **more: Any) -> dict[str, Any]:
    return {"id": row_id, "prompt": prompt, "reward": {"type": "math", "answer": answer}, **more}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def boxed(answer: str, n: int) -> str:
    """A response; n keeps equal answers apart as texts."""
    return f"Attempt {n}. So it is \\boxed{{{answer}}}."


def rollout_row(row_id: str, model: str, right: int, of: int, gold: str = "7", wrong: str = "8") -> dict[str, Any]:
    return {"id": row_id, "model": model, "responses": [boxed(gold if n < right else wrong, n) for n in range(of)],
            "sampling": {"temperature": 1.0}}


def run(catalog: Path, pool: str, *rollouts: str, recipe: Recipe | None = None, resume: bool = False, **inputs: Any) -> Summary:
    """One run with the local sandbox, where programs need one."""
    with open_for_run(str(catalog), resume=resume, overwrite=False) as opened, Grader("local", slots=1, workers=1) as grader:
        return curate(opened, Inputs((pool,), rollouts, **inputs), recipe or Recipe(), grader)


def reasons(catalog: Path) -> dict[str, str]:
    """Row id -> reason, of the latest run."""
    with Catalog.open(catalog, read_only=True) as opened:
        return dict(opened.rows("SELECT id, reason FROM v_decision ORDER BY row"))


def ask(catalog: Path, sql: str) -> list[tuple[Any, ...]]:
    with Catalog.open(catalog, read_only=True) as opened:
        return opened.query(sql)[1]
