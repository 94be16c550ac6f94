"""Identical programs of one problem are graded once: in RL, many samples of a prompt are the same text.

Holds the last few problems only, so that their tests are not kept alive. A grade that is IE is nobody else's: it is tried again.
"""
from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from ..core.problem import CodeTests, Program
from ..core.verdict import Grade, Verdict

__all__ = ["Repeats"]

_PROBLEMS: Final = 64
"""Problems remembered: a group's samples come close to one another, within a batch of a few dozen prompts."""

_Held = dict[Program, "asyncio.Future[Grade]"]


class Repeats:
    """Used on one event loop. The problem is told by its reward object, not by its content: hashing big tests would cost more."""

    def __init__(self, problems: int = _PROBLEMS) -> None:
        self._most = problems
        self._problems: OrderedDict[int, tuple[CodeTests, _Held]] = OrderedDict()   # keeps the reward alive, so its id stays its own

    async def once(self, reward: CodeTests, program: Program, grade: Callable[[], Awaitable[Grade]]) -> Grade:
        """`grade()`, or what it gave, or is about to give, for the same program of the same problem."""
        held = self._of(reward)
        while (there := held.get(program)) is not None:
            try:
                found = await asyncio.shield(there)
            except asyncio.CancelledError:
                if not there.cancelled():       # it is we who are cancelled
                    raise
                continue                        # the one who was grading it left: the next of us takes over
            if found.verdict is not Verdict.IE:
                return found
            if held.get(program) is there:
                del held[program]
        future = held[program] = asyncio.get_running_loop().create_future()
        try:
            result = await grade()
        except BaseException:
            held.pop(program, None)
            future.cancel()
            raise
        future.set_result(result)
        return result

    def _of(self, reward: CodeTests) -> _Held:
        key = id(reward)
        if key in self._problems:
            self._problems.move_to_end(key)
        else:
            self._problems[key] = reward, {}
            while len(self._problems) > self._most:
                self._problems.popitem(last=False)
        return self._problems[key][1]
