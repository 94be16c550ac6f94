"""What a judge says: `Verdict`, `CaseResult` of one test, `Grade` of one response.

Three faults, three fates (docs/decisions/0001-three-faults.md):
- the response's fault: a verdict other than IE and a score in [0, 1];
- the problem's fault (a gold that does not parse, no tests, a validator that crashes): IE, reason `bad_reference`, score None;
- ours (a slot died, a worker pool died, no daemon): retried once, then IE with a reason of its own, score None.

So `score is None` exactly when the verdict is IE: an infrastructure fault is never a zero.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn

__all__ = ["BAD_REFERENCE", "CaseResult", "Grade", "Verdict"]

BAD_REFERENCE: Final = "bad_reference"
"""The reason of every IE that is the problem's fault."""


class Verdict(StrEnum):
    """Judges' words for the outcome of a response or of one of its tests."""

    AC = "AC"
    """Accepted."""
    WA = "WA"
    """Wrong answer."""
    NA = "NA"
    """No answer: none was found in the response."""
    CE = "CE"
    """Compile error."""
    RE = "RE"
    """Run-time error: non-zero exit, a signal, an exception."""
    TLE = "TLE"
    """Time limit exceeded: CPU time, or wall time without CPU use."""
    MLE = "MLE"
    """Memory limit exceeded."""
    OLE = "OLE"
    """Output limit exceeded."""
    IE = "IE"
    """Internal error: not the response's fault, so no score."""

    def __bool__(self) -> NoReturn:
        # Every member of a StrEnum is truthy, so `if grade.verdict:` would accept a wrong answer.
        raise TypeError("a Verdict has no truth value; compare it: grade.verdict is Verdict.AC")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The outcome of one test that was run."""

    verdict: Verdict
    cpu_s: float = 0.0
    """CPU seconds of the program and all its children, user and system."""
    wall_s: float = 0.0
    memory_bytes: int | None = None
    """Peak memory, or None where it was not measured."""

    def to_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict.value, "cpu_s": self.cpu_s, "wall_s": self.wall_s, "memory_bytes": self.memory_bytes}


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one response, and what it rests on.

    `score` is in [0, 1], and None exactly when the verdict is IE. `reason` is a stable slug (`equal`, `no_boxed_answer`,
    `bad_reference`); `detail` is for people and may change. `cases` has one entry a test that was run, in order: code only.
    `components` are the numbers and settings that the score was made of.

    Raises: ValueError if score and verdict contradict each other.
    """

    verdict: Verdict
    score: float | None
    reason: str
    detail: str = ""
    cases: tuple[CaseResult, ...] = ()
    components: Mapping[str, Any] = field(default_factory=dict)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.score is None) != (self.verdict is Verdict.IE):
            raise ValueError(f"a score is None exactly when the verdict is IE, not score {self.score!r} with {self.verdict.value}")
        if self.score is not None and not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"a score is in [0, 1], not {self.score!r}")

    def to_dict(self) -> dict[str, Any]:
        """The grade as the wire format has it (docs/wire-format.md), without `id` and `index`; `cases` only where there are any."""
        out: dict[str, Any] = {
            "verdict": self.verdict.value, "score": self.score, "reason": self.reason, "detail": self.detail,
            "components": dict(self.components), "cpu_s": self.cpu_s, "wall_s": self.wall_s,
        }
        if self.memory_bytes is not None:
            out["memory_bytes"] = self.memory_bytes
        out["cases"] = [case.to_dict() for case in self.cases]
        return out
