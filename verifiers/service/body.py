"""Reading a request's body: never more than the limit, never waiting longer than the client may keep us."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from .admission import Admission, Refused

if TYPE_CHECKING:
    from starlette.types import Receive

__all__ = ["Disconnected", "chunks", "discard", "read_body"]

DISCARDED_BYTES: Final = 256 << 20
"""A refused body is read to its end up to this size: closing a connection with unread bytes resets it, and the client would see that
in the place of the answer."""


class Disconnected(Exception):
    """The client left."""


async def chunks(receive: Receive, idle_s: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises: Refused 408 after `idle_s` seconds without a byte; Disconnected."""
    while True:
        try:
            async with asyncio.timeout(idle_s):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "too_slow", f"no byte of the body in {idle_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def discard(receive: Receive, idle_s: float, limit: int = DISCARDED_BYTES) -> None:
    """Reads what is left of a body and keeps nothing. Raises: Disconnected."""
    size = 0
    try:
        async for chunk in chunks(receive, idle_s):
            size += len(chunk)
            if size > limit:
                return
    except Refused:
        return


async def read_body(receive: Receive, limit: int, idle_s: float, admission: Admission) -> bytes:
    """All of it; its size is held in `admission` until `release(len(body))`. Raises: Refused 413, 408, 429; Disconnected."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks(receive, idle_s):
            if size + len(chunk) > limit:
                raise Refused(413, "too_large", f"the body is larger than {limit} bytes")
            admission.hold(len(chunk))
            size += len(chunk)
            parts.append(chunk)
    except BaseException as error:
        admission.release(size)
        if isinstance(error, Refused) and error.status != 408:
            parts.clear()
            await discard(receive, idle_s)
        raise
    return parts[0] if len(parts) == 1 else b"".join(parts)
