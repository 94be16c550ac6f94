"""The service's paths.

    POST /grade          one row with its responses -> {"id", "grades": [line, ...]}, lines as docs/wire-format.md has them
    POST /grade/batch    rows, one a line -> lines as they finish, each with its place (batch.py)
    POST /get_reward     OpenRLHF (openrlhf.py)
    POST /verify         NeMo-Gym (nemo_gym.py), with /seed_session and /reverify_mode
    GET  /health         200 {"status": "ok"}, or 503 {"status": "draining"}
    GET  /metrics        Prometheus text

Refusals are {"error": {"reason", "detail"}}: 401, 403, 408, 413, 422 for a bad row, 429 with Retry-After when the queue is full,
503 when the service drains. An IE is no refusal: its line has `"score": null`. When the client leaves, its work is cancelled.
"""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from ...core.errors import RowError
from ...core.problem import Problem, Program, Response
from ...core.verdict import Grade
from . import nemo_gym, openrlhf
from .admission import Admission, Refused
from .batch import BatchResponse
from .body import Disconnected, discard, read_body
from .grading import GradesOne, awaited, grade_of, known, submitted
from .guard import Guard, refusal_body, refusal_headers
from .lines import grade_line, json_bytes, json_object, row_of
from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["Service"]

T = TypeVar("T")
_Item = tuple[Problem, Response | Program] | Grade
"""What to grade, or the IE of what cannot be."""
_LEAVING_AFTER_S: Final = 0.02
"""Work that takes longer is watched for its client leaving; to watch each math grade costs more than to grade it."""
_PATHS: Final = frozenset({"/grade", "/grade/batch", "/get_reward", "/verify", "/seed_session", "/reverify_mode", "/health", "/metrics"})


class Service:
    """`asgi` is the application. Whoever runs it closes the grader."""

    def __init__(self, grader: GradesOne, settings: Settings) -> None:
        self.settings = settings
        self.admission = Admission(settings.queue, settings.streams, settings.ahead)
        self._grader = grader
        self._unscored: Counter[str] = Counter()
        app = FastAPI(title="assay", docs_url=None, redoc_url=None, openapi_url=None)
        app.exception_handler(Refused)(_on_refused)
        app.exception_handler(RowError)(_on_bad_row)
        app.exception_handler(Disconnected)(_on_disconnected)
        for path, handler in (("/grade", self._grade), ("/grade/batch", self._batch), ("/get_reward", self._get_reward),
                              ("/verify", self._verify), ("/seed_session", self._seed_session)):
            app.router.routes.append(Route(path, _Endpoint(handler), methods=["POST"]))
        for path, shown in (("/health", self._health), ("/metrics", self._metrics), ("/reverify_mode", self._reverify_mode)):
            app.add_api_route(path, shown, methods=["GET"], response_model=None)
        self.asgi = Guard(app, settings, _PATHS)

    async def _grade(self, request: Request) -> HttpResponse:
        def read(payload: dict[str, Any]) -> tuple[Problem, list[_Item]]:
            row = row_of(payload, "the row", self.settings.responses)
            return row.problem, [(row.problem, response) for response in row.responses]

        def write(problem: Problem, grades: list[Grade]) -> dict[str, Any]:
            return {"id": problem.id, "grades": [grade_line(problem, index, grade) for index, grade in enumerate(grades)]}

        return await self._answered(request, read, write)

    async def _get_reward(self, request: Request) -> HttpResponse:
        def read(payload: dict[str, Any]) -> tuple[None, list[_Item]]:
            return None, [*openrlhf.items(payload, self.settings.responses)]

        def write(_: None, grades: list[Grade]) -> dict[str, Any]:
            self._count_unscored("openrlhf", grades)
            return openrlhf.answer(grades, self.settings.unscored)

        return await self._answered(request, read, write)

    async def _verify(self, request: Request) -> HttpResponse:
        def read(payload: dict[str, Any]) -> tuple[dict[str, Any], list[_Item]]:
            return payload, [nemo_gym.item(payload)]

        def write(payload: dict[str, Any], grades: list[Grade]) -> dict[str, Any]:
            self._count_unscored("nemo_gym", grades)
            return nemo_gym.answer(payload, grades[0], self.settings.unscored)

        return await self._answered(request, read, write)

    async def _batch(self, request: Request) -> HttpResponse:
        try:
            self.admission.open_stream()
        except Refused:
            await discard(request.receive, self.settings.idle_s)
            raise
        return BatchResponse(self._grader, self.admission, self.settings)

    async def _seed_session(self, request: Request) -> HttpResponse:
        await discard(request.receive, self.settings.idle_s)
        self.admission.check_open()
        return _json({})

    async def _reverify_mode(self) -> HttpResponse:
        return _json("stateless")

    async def _health(self) -> HttpResponse:
        draining = self.admission.draining
        return _json({"status": "draining" if draining else "ok", "queue": self.admission.in_use, "capacity": self.admission.capacity},
                     503 if draining else 200)

    async def _metrics(self) -> HttpResponse:
        gate = self.admission
        lines = [self._grader.prometheus().rstrip("\n"), "# HELP assay_http_requests_total Answers by path and status.",
                 "# TYPE assay_http_requests_total counter"]
        lines += [f'assay_http_requests_total{{path="{path}",status="{status}"}} {n}' for (path, status), n in sorted(self.asgi.answers.items())]
        lines += ["# HELP assay_unscored_total Responses without a score, by contracts that have no null.", "# TYPE assay_unscored_total counter"]
        lines += [f'assay_unscored_total{{contract="{name}"}} {self._unscored[name]}' for name in ("nemo_gym", "openrlhf")]
        for name, kind, text, value in (
                ("queue_in_use", "gauge", "Responses accepted and not graded.", gate.in_use),
                ("queue_capacity", "gauge", "Responses that may be accepted at once.", gate.capacity),
                ("queue_refused_total", "counter", "Requests answered 429.", gate.refused),
                ("streams_open", "gauge", "Batches under way.", gate.open_streams),
                ("draining", "gauge", "1 while the service drains.", int(gate.draining))):
            lines += [f"# HELP assay_{name} {text}", f"# TYPE assay_{name} {kind}", f"assay_{name} {value}"]
        return HttpResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def _answered(self, request: Request, read: Callable[[dict[str, Any]], tuple[T, list[_Item]]],
                        write: Callable[[T, list[Grade]], dict[str, Any]]) -> HttpResponse:
        """Reads the body, grades what `read` finds in it all at once, and answers what `write` makes of it."""
        try:
            self.admission.check_room()
        except Refused:
            await discard(request.receive, self.settings.idle_s)
            raise
        body = await read_body(request.receive, self.settings.body_bytes, self.settings.idle_s, self.admission)
        try:
            context, items = read(json_object(body, "the body"))
            self.admission.enter(len(items))
            try:
                grades = await self._graded(request, items)
            finally:
                self.admission.leave(len(items)) if items else None
            return _json(write(context, grades))
        finally:
            self.admission.release(len(body))

    async def _graded(self, request: Request, items: list[_Item]) -> list[Grade]:
        futures = [known(item) if isinstance(item, Grade) else submitted(self._grader, *item) for item in items]
        if not all(future.done() for future in futures):
            return await self._while_there(request, asyncio.gather(*map(awaited, futures)))
        try:
            return [grade_of(future) for future in futures]
        except asyncio.CancelledError:
            raise _not_finished() from None

    async def _while_there(self, request: Request, grading: asyncio.Future[list[Grade]]) -> list[Grade]:
        """The grades, unless the client leaves first: then the work is cancelled. Raises: Disconnected."""
        leaving: asyncio.Future[Any] | None = None
        try:
            self.admission.under_way.add(grading)
            await asyncio.wait((grading,), timeout=_LEAVING_AFTER_S)
            if not grading.done():
                leaving = asyncio.ensure_future(request.receive())      # the body is read, so the next message says that the client left
                await asyncio.wait((grading, leaving), return_when=asyncio.FIRST_COMPLETED)
                if not grading.done():
                    raise Disconnected
            try:
                return grading.result()
            except asyncio.CancelledError:
                raise _not_finished() from None
        finally:
            self.admission.under_way.discard(grading)
            grading.cancel()
            if leaving is not None:
                leaving.cancel()

    def _count_unscored(self, contract: str, grades: list[Grade]) -> None:
        self._unscored[contract] += sum(grade.score is None for grade in grades)


class _Endpoint:
    """A handler as an ASGI application: what FastAPI finds out about a handler's parameters, at each request, costs more than a math grade."""

    def __init__(self, handler: Callable[[Request], Awaitable[HttpResponse]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handler(Request(scope, receive))
        await response(scope, receive, send)


def _not_finished() -> Refused:
    return Refused(503, "not_finished", "the service had to end before this was graded")


def _json(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(json_bytes(value), status, media_type="application/json")


async def _on_refused(_: Request, error: Exception) -> HttpResponse:
    assert isinstance(error, Refused)
    return HttpResponse(json_bytes(refusal_body(error)), error.status, refusal_headers(error), "application/json")


async def _on_bad_row(_: Request, error: Exception) -> HttpResponse:
    return _json({"error": {"reason": "bad_row", "detail": str(error)}}, 422)


async def _on_disconnected(_: Request, error: Exception) -> HttpResponse:
    return HttpResponse(status_code=499)        # nobody reads it; it is counted
