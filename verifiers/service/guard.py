"""What every request passes first: token, origin, size. Plain ASGI: a middleware of Starlette's own kind costs more than a math grade.

    403  a browser sent it (`Origin`) to a service without a token: a page on the web must not reach one on this machine
    401  no token, or a wrong one
    413  `Content-Length` is over the limit
"""
from __future__ import annotations

import hmac
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from .admission import Refused
from .body import Disconnected, discard
from .lines import json_bytes
from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "refusal_body", "refusal_headers"]

_UNGUARDED: Final = frozenset({"/health"})
_STREAMED: Final = frozenset({"/grade/batch"})


class Guard:
    """Wraps the application. `answers` counts (path, status) for `/metrics`."""

    def __init__(self, app: ASGIApp, settings: Settings, paths: frozenset[str]) -> None:
        self._app = app
        self._settings = settings
        self._paths = paths
        self._expected = f"Bearer {settings.token}".encode() if settings.token else None
        self.answers: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[path, message["status"]] += 1
            await send(message)

        try:
            self._check(scope)
        except Refused as refusal:
            try:
                await discard(receive, self._settings.idle_s)
            except Disconnected:
                return
            await _answer(refusal, counted)
            return
        await self._app(scope, receive, counted)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self._expected is None:
            if b"origin" in headers:
                raise Refused(403, "from_a_browser", "requests of web pages are refused where there is no token")
        elif scope["path"] not in _UNGUARDED and not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            raise Refused(401, "unauthorized", "the header `Authorization: Bearer TOKEN` is missing, or its token is wrong")
        length = headers.get(b"content-length", b"0")
        if scope["path"] not in _STREAMED and length.isdigit() and int(length) > self._settings.body_bytes:
            raise Refused(413, "too_large", f"the body has {int(length)} bytes, more than {self._settings.body_bytes}")


def refusal_body(refusal: Refused) -> dict[str, Any]:
    error: dict[str, Any] = {"reason": refusal.reason, "detail": refusal.detail}
    if refusal.retry_after_s is not None:
        error["retry_after_s"] = round(refusal.retry_after_s, 3)
    return {"error": error}


def refusal_headers(refusal: Refused) -> dict[str, str]:
    """`Retry-After` in whole seconds, as HTTP has it; the body says it finer."""
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(max(1, round(refusal.retry_after_s)))}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    if refusal.status in (408, 503):
        headers["connection"] = "close"
    return headers


async def _answer(refusal: Refused, send: Send) -> None:
    body = json_bytes(refusal_body(refusal))
    headers = {"content-type": "application/json", "content-length": str(len(body))} | refusal_headers(refusal)
    await send({"type": "http.response.start", "status": refusal.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()]})
    await send({"type": "http.response.body", "body": body})
