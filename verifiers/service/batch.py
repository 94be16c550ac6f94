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
import contextlib
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response as HttpResponse

from ...core.errors import RowError
from ...core.problem import Problem, Program, Response
from .admission import Admission, Refused
from .grading import GradesOne, awaited, submitted
from .lines import grade_line, json_bytes, json_object, row_of
from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["BatchResponse"]

_UNSENT_BYTES: Final = 64 << 20
"""Lines held for a client that does not read; then no further row is read until it does."""
_AHEAD_BYTES: Final = 256 << 10
"""Read and not yet looked at."""
_DETAIL_CHARS: Final = 4000
_AT_A_TIME_S: Final = 0.001
"""What a reader of rows takes of the event loop before others have their turn."""
_POLL_S: Final = 0.25
"""How soon a batch that waits for its client notices that the service drains."""

class BatchResponse(HttpResponse):
    """Reads and answers at once, so it is an ASGI application of its own. The stream was opened in `admission` by the caller."""

    def __init__(self, grader: GradesOne, admission: Admission, settings: Settings) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._grader = grader
        self._admission = admission
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _Batch(self._grader, self._admission, self._settings, receive, send).run(self.raw_headers)
        finally:
            self._admission.close_stream()


class _Batch:
    def __init__(self, grader: GradesOne, admission: Admission, settings: Settings, receive: Receive, send: Send) -> None:
        self._grader = grader
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
        self._left = self._ended = False
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    async def run(self, headers: list[tuple[bytes, bytes]]) -> None:
        kept = [(name, value) for name, value in headers if name != b"content-length"]
        await self._send({"type": "http.response.start", "status": 200, "headers": kept})
        pump = asyncio.create_task(self._pump())
        reader = asyncio.create_task(self._read())
        this = asyncio.current_task()
        assert this is not None
        self._admission.under_way.add(this)
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
        except (TimeoutError, OSError):
            return      # nobody is there to answer
        except asyncio.CancelledError:
            if not self._admission.given_up:
                raise
            return      # without the end line, so it is seen to be cut off
        finally:
            self._admission.under_way.discard(this)
            for task in (pump, reader, *self._items):
                task.cancel()
            await asyncio.gather(pump, reader, *self._items, return_exceptions=True)

    async def _read(self) -> None:
        since = time.monotonic()
        try:
            async for number, line in self._lines():
                if not line.strip():
                    continue
                self._rows += 1
                await self._take(number, line)
                if time.monotonic() - since > _AT_A_TIME_S:
                    await asyncio.sleep(0)
                    since = time.monotonic()
        except Refused as refusal:
            self._stopped = refusal.reason
        finally:
            self._change.set()

    async def _pump(self) -> None:
        """Everything that the client sends, a bounded way ahead of the reader, so that its leaving is seen while the reader waits."""
        while True:
            if sum(map(len, self._chunks)) >= _AHEAD_BYTES:
                self._taken.clear()
                await self._taken.wait()
                continue
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left = True
            elif not self._ended:
                if message.get("body"):
                    self._chunks.append(message["body"])
                self._ended = not message.get("more_body")
            self._arrived.set()
            if self._left:
                self._change.set()
                return

    async def _lines(self) -> AsyncIterator[tuple[int, bytes | bytearray]]:
        """(number, line); a line over the limit is passed over and reported, the next one is read again."""
        held = bytearray()
        number, too_long = 1, False
        while (chunk := await self._next_chunk()) is not None:
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

    async def _next_chunk(self) -> bytes | None:
        """None at the end of the body, and when the service drains. Raises: Refused when the client is too slow."""
        since = time.monotonic()
        while True:
            if self._admission.draining:
                self._stopped = "draining"
                return None
            if self._chunks:
                self._taken.set()
                return self._chunks.popleft()
            if self._ended or self._left:
                return None
            if time.monotonic() - since > self._settings.idle_s:
                raise Refused(408, "too_slow", f"no byte of the body in {self._settings.idle_s:g} s")
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._arrived.wait()

    async def _take(self, number: int, line: bytes | bytearray) -> None:
        try:
            row = row_of(json_object(line, f"line {number}"), f"line {number}", self._settings.responses)
        except RowError as error:
            self._reject(number, "bad_row", str(error))
            return
        except Refused as refusal:
            self._reject(number, refusal.reason, refusal.detail)
            return
        except Exception as error:  # noqa: BLE001  # the boundary: reading one row must not end the others' batch
            self._reject(number, "internal_error", "".join(traceback.format_exception(error))[-_DETAIL_CHARS:])
            return
        for index, response in enumerate(row.responses):
            await self._room.wait()
            await self._admission.enter_stream()
            task = asyncio.create_task(self._one(number, row.problem, index, response))
            self._items.add(task)
            task.add_done_callback(self._done)

    async def _one(self, number: int, problem: Problem, index: int, response: Response | Program) -> None:
        grade = await awaited(submitted(self._grader, problem, response))
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
