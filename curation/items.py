"""What the stages of a run speak of: `Item`, one row of the pool as the stages see it, and `Decision`, what became of it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["REASONS", "Decision", "Item", "Status", "alive"]

REASONS = {
    "kept": "passed every stage",
    "ingest.bad_row": "the row is no problem",
    "ingest.id_repeat": "an earlier row has the same id",
    "type.proof": "asks for a proof",
    "type.mcq": "multiple choice",
    "type.multipart": "several questions in one",
    "type.yes_no": "a yes or no answer can be guessed",
    "type.needs_figure": "needs a figure that is not there",
    "type.language": "in another language",
    "gold.empty": "no gold answer",
    "gold.sentinel": "the gold is a placeholder",
    "gold.unparseable": "the gold is not equal to itself under the verifier",
    "gold.conflict": "duplicates of it have other golds",
    "contam.ngram": "shares a long span with a benchmark item",
    "contam.short_exact": "is a short benchmark item",
    "dup.exact": "the same prompt as another row",
    "dup.near": "nearly the same prompt as another row",
    "code.no_tests": "no tests",
    "code.golden_fails": "its golden program fails a test",
    "code.golden_unrunnable": "its golden program cannot be run",
    "code.flaky": "its golden program passes only sometimes",
    "diff.unsolved": "never solved by the advanced models",
    "diff.too_easy": "nearly always solved by the policy",
    "sft.mixed_language": "the response mixes languages",
    "sft.unfinished": "the response does not come to its end",
    "sft.repeat": "the same response to the same query again",
    "sft.surplus": "the query has enough responses",
    "undecided.no_rollouts": "the recipe demands rollouts and there are none",
    "undecided.few_rollouts": "too few policy rollouts to decide",
    "undecided.few_advanced": "too few advanced rollouts to decide",
    "undecided.no_golden": "the recipe demands a golden program and there is none",
    "undecided.untagged": "the tagger gave no answer; run again with --resume",
    "undecided.ungraded": "could not be graded: a fault of ours, not the problem's; run again with --resume",
}


class Status(StrEnum):
    """What became of a row."""

    KEPT = "kept"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a row was kept, rejected or left undecided: the stage that decided, a reason of `REASONS`, and what it rests on."""

    status: Status
    stage: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def reject(cls, stage: str, reason: str, /, **evidence: Any) -> Decision:
        return cls(Status.REJECTED, stage, reason, evidence)

    @classmethod
    def undecided(cls, stage: str, reason: str, /, **evidence: Any) -> Decision:
        return cls(Status.UNDECIDED, stage, reason, evidence)


@dataclass(slots=True)
class Item:
    """One row of the pool. The reward spec itself stays in the catalog, under `pid`: a pool's tests need not fit in memory.

    `golds` are the gold answers (math), `tests` counts the tests (code; test code counts as one).
    """

    row: int
    file: str
    line: int
    id: str
    source: str
    domain: str
    pid: int = -1
    type: str = ""
    prompt: str = ""
    golds: tuple[str, ...] = ()
    tests: int = 0
    options: bool = False
    """The row itself says that it is multiple choice, or brings options."""
    solutions: tuple[int, ...] = ()
    """Hashes of its golden programs."""
    decision: Decision | None = None


def alive(items: Iterable[Item], kind: str = "") -> list[Item]:
    """The rows that no stage has decided, of one type of reward or of any."""
    return [item for item in items if item.decision is None and item.type and (not kind or item.type == kind)]
