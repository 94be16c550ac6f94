"""One test of an interaction: a program in one slot, its partner in another, and the host between them as both of their pipes.

    program --SAID--> host --FEED--> partner        (and the other way round; TOOK comes back as FLOW: sandbox/protocol.py)

The two never share a slot, so neither sees the other's files, memory or processes; what one prints is all that the other learns.

Who ended first matters, since the end of one can bring about the end of the other. Outcomes cannot tell it (a slot is cleaned before
its outcome comes, and the other hears of the end meanwhile), so the agent says with the end of an output whether the process is gone too.
"""
from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from ..core.errors import SlotDied
from .execution import Ended, Exchange, Outcome, RunLimits, TestRun
from .session import Said, Session, Took

__all__ = ["converse"]

_REST_S: Final = 30.0
"""That a partner has to end after the program has. It hears no more by then."""
_UNBOUNDED: Final = 1 << 40
"""Flow for one whose partner has ended: nobody is there to be flooded, and its own output limit holds."""
_SHOWN: Final = 1024
"""Bytes kept of an exchange's beginning, and as many of its end."""
_IDLE_SHARE: Final = 0.1
"""Of its CPU limit: a program that met the wall limit with less is tried once more, as with other tests (sandbox/agent.py)."""


async def converse(program: Session, partner: Session, n: int, run: TestRun, reply: TestRun, limits: RunLimits, goes_on: int) -> Exchange:
    """Let run `n` of the program and of the partner talk. Both sessions have begun their jobs. Raises: SlotDied."""
    exchange = await _Talk(program, partner, n, goes_on).run(run, reply)
    outcome = exchange.program
    if outcome.ended is Ended.WALL_LIMIT and outcome.cpu_s < _IDLE_SHARE * limits.cpu_s:
        exchange = await _Talk(program, partner, n, goes_on).run(run, reply)
    return exchange


class _Side:
    def __init__(self, session: Session, *, is_program: bool) -> None:
        self.session = session
        self.is_program = is_program
        self.outcome: Outcome | None = None
        self.spoke_at_cpu_s = 0.0       # of its own
        self.held_s = 0.0               # the word, before it last spoke


class _Talk:
    def __init__(self, program: Session, partner: Session, n: int, goes_on: int) -> None:
        self.program, self.partner = _Side(program, is_program=True), _Side(partner, is_program=False)
        self.n, self.goes_on = n, goes_on
        self.partner_first: bool | None = None
        self.transcript = _Transcript()
        self.rest: asyncio.TimerHandle | None = None

    async def run(self, run: TestRun, reply: TestRun) -> Exchange:
        await self.partner.session.talk(self.n, reply)
        await self.program.session.talk(self.n, run)
        both = [asyncio.create_task(self._carry(me, other))
                for me, other in ((self.program, self.partner), (self.partner, self.program))]
        try:
            await asyncio.gather(*both)
        finally:
            if self.rest is not None:
                self.rest.cancel()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        assert self.program.outcome is not None
        assert self.partner.outcome is not None
        first, omitted, last = self.transcript.shown()
        pondered_s = max(0.0, self.partner.outcome.cpu_s - self.partner.spoke_at_cpu_s)
        # What the program still waited for, and the partner did not owe it. (Of earlier waits its wall limit has made allowance.)
        lost_s = max(0.0, self.program.outcome.awaited_s - (self.partner.outcome.held_s or self.partner.held_s))
        return Exchange(self.program.outcome, self.partner.outcome, bool(self.partner_first), pondered_s, first, omitted, last, lost_s)

    async def _carry(self, me: _Side, other: _Side) -> None:
        """From `me` to `other`, until the end of `me`."""
        while me.outcome is None:
            heard = await me.session.hear(self.n)
            if isinstance(heard, Took):
                if other.outcome is None:
                    other.session.flow(self.n, heard.size)
            elif isinstance(heard, Said):
                me.spoke_at_cpu_s = max(me.spoke_at_cpu_s, heard.cpu_s)
                if heard.data:
                    me.held_s = heard.held_s
                    self.transcript.add(me.is_program, heard.data)
                else:
                    self._ended_first(me, heard.over)
                if other.outcome is None:
                    await other.session.feed(self.n, heard.data, heard.held_s)
            else:
                me.outcome = heard
                self._ended_first(me, True)
                self._ended(me, other)

    def _ended_first(self, side: _Side, ended: bool) -> None:
        if ended and self.partner_first is None:
            self.partner_first = side is self.partner

    def _ended(self, me: _Side, other: _Side) -> None:
        """What the end of one means for the other, if that still runs."""
        if other.outcome is not None:
            return
        assert me.outcome is not None
        well = me.outcome.ended is Ended.EXITED and me.outcome.exit_code == (0 if me.is_program else self.goes_on)
        if me.is_program and (well or self.partner_first):
            self.rest = asyncio.get_running_loop().call_later(_REST_S, self._stop, other)
        elif not well:
            self._stop(other)
            return
        other.session.flow(self.n, _UNBOUNDED)

    def _stop(self, side: _Side) -> None:
        with contextlib.suppress(SlotDied):     # which whoever listens to it hears of
            if side.outcome is None and not side.session.broken:
                side.session.end(self.n)


class _Transcript:
    """The beginning and the end of what was said."""

    def __init__(self) -> None:
        self._first: list[tuple[bool, bytes]] = []
        self._last: list[tuple[bool, bytes]] = []
        self._room = _SHOWN
        self._held = self._omitted = 0

    def add(self, by_program: bool, data: bytes) -> None:
        if self._room:
            _append(self._first, by_program, data[:self._room])
            data, self._room = data[self._room:], max(0, self._room - len(data))
        if not data:
            return
        _append(self._last, by_program, data)
        self._held += len(data)
        while self._held > _SHOWN:
            by, oldest = self._last.pop(0)
            cut = min(len(oldest), self._held - _SHOWN)
            self._held -= cut
            self._omitted += cut
            if cut < len(oldest):
                self._last.insert(0, (by, oldest[cut:]))

    def shown(self) -> tuple[tuple[tuple[bool, bytes], ...], int, tuple[tuple[bool, bytes], ...]]:
        return tuple(self._first), self._omitted, tuple(self._last)


def _append(entries: list[tuple[bool, bytes]], by_program: bool, data: bytes) -> None:
    if entries and entries[-1][0] is by_program:
        entries[-1] = by_program, entries[-1][1] + data
    elif data:
        entries.append((by_program, data))
