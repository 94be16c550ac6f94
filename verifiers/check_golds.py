"""Which gold answers of a file can be used: `check_gold` for one, `check_golds` for the math rows of a file.

    readable    parsed into an expression, a list, a set ...; answers in any equal form are accepted
    text        only text to us (prose, or a construct that the parser leaves alone): only the same text is accepted
    unreadable  mathematics that is broken (unbalanced braces, half a relation) or empty: grades end IE `bad_reference`
    no_value    read, but without a value: 0/0, or beyond the limits of evaluation; only the same spelling is accepted
    unequal     its own boxed text is not accepted as an answer to it: a fault of ours, or a gold such as `\\ldots`
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..core.errors import RowError
from ..core.problem import MathAnswer
from ..core.rows import parse_row, read_rows
from ..core.verdict import Verdict
from .math_answer import verify_math
from .mathexpr.answers import parsed
from .mathexpr.final_answer import gold_answer
from .mathexpr.tree import Call, Num, Sym, Words, walk
from .mathexpr.values import OutOfBudget, TooLarge, Undefined, Work, equal, symbols

__all__ = ["GoldReport", "GoldStatus", "check_gold", "check_golds"]

GoldStatus = Literal["readable", "text", "unreadable", "no_value", "unequal"]
_PROSE: Final = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,}+\s++[A-Za-z]{2,}+\s")
_BROKEN: Final = ("unbalanced", "empty", "half_a_relation", "unexpected", "too_deep", "too_long", "too_large")
_WORK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class GoldReport:
    """`where` names the row; `reason` is why the status is not `readable`, in the parser's slug or a sentence."""

    where: str
    gold: str
    status: GoldStatus
    reason: str = ""


def check_gold(gold: str, where: str = "") -> GoldReport:
    """What can be done with one gold."""
    text = gold_answer(gold).strip()
    bare = text.strip("$ \n")
    if not bare:
        return GoldReport(where, gold, "unreadable", "empty")
    side = parsed(re.sub(r"^\$([^$]*)\$\.?$", r"\1", text).strip())
    if side.node is None:
        if side.problem.startswith(_BROKEN) and not _PROSE.search(text):
            return GoldReport(where, gold, "unreadable", side.problem)
        return _with_self_match(GoldReport(where, gold, "text", side.problem), bare)
    if any(isinstance(node, Words) for node in walk(side.node)):
        return _with_self_match(GoldReport(where, gold, "text", "words"), bare)
    if isinstance(side.node, Call) and not symbols(side.node) and all(
            isinstance(node, Num | Sym) or isinstance(node, Call) and node.op not in ("pm", "mp", "ratio", "index") for node in walk(side.node)):
        try:
            equal(side.node, Call("add", (side.node, side.node)), Work(_WORK_S))
        except (Undefined, TooLarge, OutOfBudget) as error:
            return GoldReport(where, gold, "no_value", type(error).__name__)
    return _with_self_match(GoldReport(where, gold, "readable"), bare)


def _with_self_match(report: GoldReport, bare: str) -> GoldReport:
    grade = verify_math(report.gold, "\\boxed{" + bare + "}")
    if grade.verdict is Verdict.AC:
        return report
    return GoldReport(report.where, report.gold, "unequal", f"{grade.verdict.value} {grade.reason}")


def check_golds(source: str | Path) -> Iterator[GoldReport | RowError]:
    """A report for each gold of each math row of a file in the wire format; a RowError for each row that is no problem.

    Raises: InputError.
    """
    for number, row in read_rows(source):
        if isinstance(row, RowError):
            yield row
            continue
        try:
            problem = parse_row(row, f"{source}, line {number}").problem
        except RowError as error:
            yield error
            continue
        yield from _of_problem(problem.id, problem.reward)


def _of_problem(name: str, reward: object) -> Iterable[GoldReport]:
    if isinstance(reward, MathAnswer):
        for n, gold in enumerate(reward.golds):
            yield check_gold(gold, f"{name}" if len(reward.golds) == 1 else f"{name}, answer {n + 1}")
