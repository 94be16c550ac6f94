"""Who gets in: a bounded count of accepted work, and the end of it when the service drains.

    /grade           enter(n)                 at once, or Refused (429 full, 503 draining)
    /grade/batch     await enter_stream()     waits for room, first come first served; holds half of the queue at most, and `ahead` items

Used from one event loop, so it needs no locks.
"""
from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import Any, Final

__all__ = ["Admission", "Refused"]

_SMOOTHING: Final = 0.05
"""Weight of the newest departure in the pace that `Retry-After` rests on: about the last twenty count."""
_LONGEST_S: Final = 60.0


class Refused(Exception):
    """Work that is not taken on. Not an AssayError: it never leaves the service other than as this status."""

    def __init__(self, status: int, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, reason, detail, retry_after_s)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s


class Admission:
    """Counts what is accepted and unfinished, up to `capacity`."""

    def __init__(self, capacity: int, streams: int, ahead: int, most_bytes: int = 1 << 30) -> None:
        self.capacity = capacity
        self.held_bytes = 0
        self._most_bytes = most_bytes
        self.in_use = 0
        self.refused = 0
        self.draining = False
        self.open_streams = 0
        self.given_up = False
        self.under_way: set[asyncio.Future[Any]] = set()
        """What `give_up` cancels."""
        self._most_streams = streams
        self._stream_share = max(1, min(capacity // 2, ahead))
        self._stream_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pace_s = 0.01
        self._last = 0.0
        self._change = asyncio.Event()

    def enter(self, n: int) -> None:
        """Takes n places, all or none. Raises: Refused."""
        self.check_open()
        if n > self.capacity:
            raise Refused(413, "too_many_responses", f"{n} responses at once, and the queue holds {self.capacity}: send fewer a request")
        if self.in_use + n > self.capacity:
            self.refused += 1
            raise Refused(429, "queue_full", f"{self.in_use} of {self.capacity} places are taken", self.retry_after_s)
        self.in_use += n

    def leave(self, n: int = 1) -> None:
        now = time.monotonic()
        if self._last:
            self._pace_s += _SMOOTHING * (min(now - self._last, _LONGEST_S) / n - self._pace_s)
        self.in_use -= n
        self._last = now if self.in_use else 0.0
        self._wake()

    def check_room(self) -> None:
        """For a request whose body is not read yet. Raises: Refused where it could not get in now."""
        self.check_open()
        if self.in_use >= self.capacity:
            self.enter(1)

    def hold(self, size: int) -> None:
        """Memory for a body that is being read. Raises: Refused."""
        if self.held_bytes + size > self._most_bytes:
            self.refused += 1
            raise Refused(429, "memory_full", f"bodies under way hold {self.held_bytes} bytes", self.retry_after_s)
        self.held_bytes += size

    def release(self, size: int) -> None:
        self.held_bytes -= size

    def open_stream(self) -> None:
        """Raises: Refused."""
        self.check_open()
        if self.open_streams >= self._most_streams:
            self.refused += 1
            raise Refused(429, "streams_full", f"{self.open_streams} batches are under way", self.retry_after_s)
        self.open_streams += 1

    def close_stream(self) -> None:
        self.open_streams -= 1
        self._change.set()

    async def enter_stream(self) -> None:
        """One place for an item of a batch, as soon as there is one."""
        if self._waiting or not self._stream_room():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():    # given and cancelled at once: the place goes to the next one
                    self.leave_stream()
                else:
                    self._waiting.remove(turn)
                raise
            return
        self._take()

    def leave_stream(self) -> None:
        self._stream_use -= 1
        self.leave()

    def check_open(self) -> None:
        """Raises: Refused while draining."""
        if self.draining:
            raise Refused(503, "draining", "the service is shutting down: nothing new is accepted", 1.0)

    @property
    def retry_after_s(self) -> float:
        """When half of what is accepted should be done, at the pace of late; 0.05 to 60 seconds."""
        return min(_LONGEST_S, max(0.05, math.ceil(self.in_use / 2) * self._pace_s))

    async def drained(self) -> None:
        """Returns when nothing accepted is unfinished and no batch is open."""
        while self.in_use or self.open_streams:
            self._change.clear()
            await self._change.wait()

    def give_up(self) -> None:
        """The time for draining is over: what is under way is cancelled."""
        self.given_up = True
        for future in self.under_way:
            future.cancel()

    def _stream_room(self) -> bool:
        return self._stream_use < self._stream_share and self.in_use < self.capacity

    def _take(self) -> None:
        self._stream_use += 1
        self.in_use += 1

    def _wake(self) -> None:
        while self._waiting and self._stream_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)
        self._change.set()
