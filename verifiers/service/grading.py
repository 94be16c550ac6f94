"""What the service needs of a Grader, and the one place where an exception of it becomes an IE: one item's, and no other's."""
from __future__ import annotations

import asyncio
import contextlib
import traceback
from concurrent.futures import Future
from typing import Final, Protocol

from ...core.problem import Problem, Program, Response
from ...core.verdict import Grade, Verdict

__all__ = ["GradesOne", "awaited", "grade_of", "known", "submitted"]

_DETAIL_CHARS: Final = 4000


class GradesOne(Protocol):
    """A Grader, or what stands for one."""

    def submit(self, problem: Problem, response: Response | Program | str) -> Future[Grade]: ...
    def prometheus(self) -> str: ...


def submitted(grader: GradesOne, problem: Problem, response: Response | Program) -> Future[Grade]:
    """The grade to be. A Grader does not raise for what an item is; should it do so, that is this item's IE, and its neighbours are as they were."""
    try:
        return grader.submit(problem, response)
    except Exception as error:  # noqa: BLE001  # the boundary, with the traceback
        return known(_fault(error))


def grade_of(future: Future[Grade]) -> Grade:
    """Of one that is done. Raises: asyncio.CancelledError, if its work was given up."""
    if future.cancelled():
        raise asyncio.CancelledError
    error = future.exception()
    if isinstance(error, Exception):
        return _fault(error)
    return future.result()


async def awaited(future: Future[Grade]) -> Grade:
    """As `grade_of`, as soon as it is done. Cancelling this cancels the work."""
    if not future.done():
        with contextlib.suppress(Exception):    # `grade_of` looks at it
            await asyncio.wrap_future(future)
    return grade_of(future)


def known(grade: Grade) -> Future[Grade]:
    future: Future[Grade] = Future()
    future.set_result(grade)
    return future


def _fault(error: Exception) -> Grade:
    return Grade(Verdict.IE, None, "internal_error", "".join(traceback.format_exception(error))[-_DETAIL_CHARS:])
