"""What the service needs of a Grader, and the one place where an exception of it becomes an IE: one item's, and no other's."""
from __future__ import annotations

import traceback
from typing import Final, Protocol

from ...core.problem import Problem, Program, Response
from ...core.verdict import Grade, Verdict

__all__ = ["GradesOne", "graded"]

_DETAIL_CHARS: Final = 4000


class GradesOne(Protocol):
    """A Grader, or what stands for one."""

    async def agrade(self, problem: Problem, response: Response | Program | str) -> Grade: ...
    def prometheus(self) -> str: ...


async def graded(grader: GradesOne, problem: Problem, response: Response | Program) -> Grade:
    """The grade. A Grader does not raise for what an item is; should it do so, that is this item's IE, and its neighbours are as they were."""
    try:
        return await grader.agrade(problem, response)
    except Exception as error:  # noqa: BLE001  # the boundary, with the traceback
        return Grade(Verdict.IE, None, "internal_error", "".join(traceback.format_exception(error))[-_DETAIL_CHARS:])
