"""`POST /grade/batch`: rows in, one JSON object a line; grades out as they finish, one a line, each with its place.

    in    {"id": "p1", "reward": {...}, "responses": ["...", "..."]}
    out   {"line": 1, "id": "p1", "index": 1, "verdict": "AC", "score": 1.0, ...}        as `/grade` has them, in any order
          {"line": 2, "error": {"reason": "bad_row", "detail": "line 2: ..."}}           the row was not graded; the others are
          {"end": true, "rows": 2, "graded": 1, "rejected": 1, "complete": true}         always the last line

`line` counts lines of the request from 1, blank ones included. Without the end line the answer was cut off. `complete` is false where
rows were not read (the service drains, or the client was too slow), with the reason in `stopped`: those that were read are graded.

Grading goes on while rows still come in. A client that sends all before it reads is fine up to `_UNSENT_BYTES` of grades.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response as HttpResponse

from ...core.errors import RowError
from ...core.problem import Problem, Program, Response
from ...core.verdict import Grade
from .admission import Admission, Refused
from .body import Disconnected, chunks
from .lines import grade_line, json_bytes, json_object, row_of
from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["BatchResponse"]

_UNSENT_BYTES: Final = 64 << 20
"""Lines held for a client that does not read; then no further row is read until it does."""
_DRAIN_POLL_S: Final = 0.25

GradeOne = Callable[[Problem, Response | Program | str], Awaitable[Grade]]


class BatchResponse(HttpResponse):
    """Reads and answers at once, so it is an ASGI application of its own. The stream was opened in `admission` by the caller."""

    def __init__(self, grade: GradeOne, admission: Admission, settings: Settings) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._grade = grade
        self._admission = admission
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _Batch(self._grade, self._admission, self._settings, receive, send).run(self.raw_headers)
        finally:
            self._admission.close_stream()


class _Batch:
    def __init__(self, grade: GradeOne, admission: Admission, settings: Settings, receive: Receive, send: Send) -> None:
        self._grade = grade
        self._admission = admission
        self._settings = settings
        self._receive = receive
        self._send = send
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._change = asyncio.Event()      # something to send, or nothing more to come
        self._room = asyncio.Event()
        self._room.set()
        self._items: set[asyncio.Task[None]] = set()
        self._rows = self._graded = self._rejected = 0
        self._stopped: str | None = None
        self._left = False

    async def run(self, headers: list[tuple[bytes, bytes]]) -> None:
        kept = [(name, value) for name, value in headers if name != b"content-length"]
        await self._send({"type": "http.response.start", "status": 200, "headers": kept})
        reader = asyncio.create_task(self._read())
        leaving = asyncio.create_task(self._notice_leaving(reader))
        try:
            while not reader.done() or self._items or self._unsent:
                self._change.clear()
                if self._left:
                    return
                if self._unsent:
                    await self._flush()
                else:
                    await self._change.wait()
            reader.result()
            await self._flush(self._end(), more=False)
        except (Disconnected, TimeoutError, OSError):
            return      # nobody is there to answer
        finally:
            for task in (leaving, reader, *self._items):
                task.cancel()
            await asyncio.gather(leaving, reader, *self._items, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for number, line in self._lines():
                if not line.strip():
                    continue
                self._rows += 1
                await self._take(number, line)
        except Refused as refusal:
            self._stopped = refusal.reason
        except Disconnected:
            self._left = True
        finally:
            self._change.set()

    async def _notice_leaving(self, reader: asyncio.Task[None]) -> None:
        """A client that leaves when it has sent everything is seen only by asking for more."""
        await asyncio.wait({reader})
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._change.set()

    async def _lines(self) -> AsyncIterator[tuple[int, bytes | bytearray]]:
        """(number, line); a line over the limit is passed over and reported, the next one is read again."""
        held = bytearray()
        number, too_long = 1, False
        source = chunks(self._receive, self._settings.idle_s)
        async for chunk in self._until_draining(source):
            start = 0
            while (end := chunk.find(b"\n", start)) >= 0:
                held += chunk[start:end]
                if too_long or len(held) > self._settings.body_bytes:
                    self._reject(number, "too_large", f"line {number}: longer than {self._settings.body_bytes} bytes")
                else:
                    yield number, held
                held, too_long = bytearray(), False
                number += 1
                start = end + 1
            held += chunk[start:]
            if len(held) > self._settings.body_bytes:
                held, too_long = bytearray(), True
        if too_long:
            self._reject(number, "too_large", f"line {number}: longer than {self._settings.body_bytes} bytes")
        elif held and self._stopped is None:
            yield number, held

    async def _until_draining(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`source`, cut off when the service drains."""
        upcoming: asyncio.Task[bytes] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(source))     # type: ignore[arg-type]
                await asyncio.wait({upcoming}, timeout=_DRAIN_POLL_S)
                if self._admission.draining:
                    self._stopped = "draining"
                    return
                if upcoming.done():
                    done, upcoming = upcoming, None
                    try:
                        yield done.result()
                    except StopAsyncIteration:
                        return
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)

    async def _take(self, number: int, line: bytes | bytearray) -> None:
        try:
            row = row_of(json_object(line, f"line {number}"), f"line {number}", self._settings.responses)
        except RowError as error:
            self._reject(number, "bad_row", str(error))
            return
        except Refused as refusal:
            self._reject(number, refusal.reason, refusal.detail)
            return
        for index, response in enumerate(row.responses):
            await self._room.wait()
            await self._admission.enter_stream()
            task = asyncio.create_task(self._one(number, row.problem, index, response))
            self._items.add(task)
            task.add_done_callback(self._done)

    async def _one(self, number: int, problem: Problem, index: int, response: Response | Program) -> None:
        grade = await self._grade(problem, response)
        self._graded += 1
        self._put({"line": number} | grade_line(problem, index, grade))

    def _done(self, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that is cancelled before it starts runs none of its code, and its place would be lost.
        self._items.discard(task)
        self._admission.leave_stream()
        self._change.set()

    def _reject(self, number: int, reason: str, detail: str) -> None:
        self._rejected += 1
        self._put({"line": number, "error": {"reason": reason, "detail": detail}})

    def _put(self, line: dict[str, Any]) -> None:
        data = json_bytes(line) + b"\n"
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > _UNSENT_BYTES:
            self._room.clear()
        self._change.set()

    async def _flush(self, last: bytes = b"", *, more: bool = True) -> None:
        data = b"".join(self._unsent) + last
        self._unsent.clear()
        async with asyncio.timeout(self._settings.idle_s):
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._unsent_bytes = 0 if not self._unsent else sum(map(len, self._unsent))
        if self._unsent_bytes <= _UNSENT_BYTES:
            self._room.set()

    def _end(self) -> bytes:
        end: dict[str, Any] = {"end": True, "rows": self._rows, "graded": self._graded, "rejected": self._rejected,
                               "complete": self._stopped is None}
        return json_bytes(end | ({"stopped": self._stopped} if self._stopped else {})) + b"\n"
