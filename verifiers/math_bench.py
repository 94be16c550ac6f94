"""Accuracy and speed of math verification next to Math-Verify, on labelled rows, in one run.

A row: {"gold": TEXT, "response": TEXT, "label": true | false} and anything else. Math-Verify is used as its documentation says
(parse the gold, parse the response, verify), in a worker process with its own time-outs off and BUDGET_S instead of them. Both are
asked about the same row one after the other, so that a busy machine slows both. CPU seconds count each one's own process.
"""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..core.errors import InputError, RowError
from ..core.verdict import Verdict
from .math_answer import verify_math
from .workers import WorkerPool

__all__ = ["Score", "bench_math", "labelled_rows"]

BUDGET_S: Final = 10.0
"""Math-Verify's: five seconds to parse and five to compare."""
_FUNCTION: Final = f"{__package__}.mathexpr.sympy_tier:math_verify_response"


@dataclass(slots=True)
class Score:
    """One verifier's figures. `false_negatives` and `false_positives` are row numbers, from 0."""

    positives: int = 0
    negatives: int = 0
    false_negatives: list[int] = field(default_factory=list)
    false_positives: list[int] = field(default_factory=list)
    over_budget: int = 0
    cpu_s: list[float] = field(default_factory=list)

    def add(self, row: int, label: bool, accepted: bool, cpu_s: float) -> None:
        self.positives += label
        self.negatives += not label
        if label and not accepted:
            self.false_negatives.append(row)
        if accepted and not label:
            self.false_positives.append(row)
        self.cpu_s.append(cpu_s)

    def cpu_quantile_s(self, share: float) -> float:
        return sorted(self.cpu_s)[max(0, math.ceil(share * len(self.cpu_s)) - 1)] if self.cpu_s else 0.0

    @property
    def grades_per_cpu_s(self) -> float:
        return len(self.cpu_s) / sum(self.cpu_s) if sum(self.cpu_s) else 0.0


def labelled_rows(path: Path) -> Iterator[tuple[str, str, bool]]:
    """(gold, response, label) of each row of a JSONL file. Raises: InputError, RowError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
            gold, response, label = row["gold"], row["response"], row["label"]
        except (ValueError, KeyError, TypeError) as error:
            raise RowError(f"{path}, line {number}: needs `gold`, `response` and `label`: {error!r}") from error
        if not (isinstance(gold, str) and isinstance(response, str) and isinstance(label, bool)):
            raise RowError(f"{path}, line {number}: `gold` and `response` are texts and `label` is true or false")
        yield gold, response, label


def bench_math(rows: Iterable[tuple[str, str, bool]], *, with_math_verify: bool = True) -> dict[str, Score]:
    """The scores of "assay" and, if asked for, of "Math-Verify"."""
    ours, theirs = Score(), Score()
    pool = WorkerPool(1, preload=(f"{__package__}.mathexpr.sympy_tier:warm_up",))
    try:
        for n, (gold, response, label) in enumerate(rows):
            grade = verify_math(gold, response)
            ours.add(n, label, grade.verdict is Verdict.AC, grade.cpu_s)
            ours.over_budget += grade.reason == "budget"
            if with_math_verify:
                reply = pool.call(_FUNCTION, [gold, response], BUDGET_S)
                theirs.add(n, label, reply.status == "done" and bool(reply.value), reply.cpu_s)
                theirs.over_budget += reply.status == "timeout"
    finally:
        pool.close()
    return {"assay": ours, "Math-Verify": theirs} if with_math_verify else {"assay": ours}
